"""Which protocol generation has what, and the refusal when the one in use is too old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.exceptions import BackendAPIVersionError
from ai.backend.client.versioning import ApiVersion, format_api_version

V4_IMAGE: Final[ApiVersion] = (4, "20181215")
"""``image`` replaces ``lang`` in the create call."""
V4_OWNER: Final[ApiVersion] = (4, "20190615")
"""Domain, group, owner, type, queueing and reuse in the create call (server 19.09)."""
V5: Final[ApiVersion] = (5, "20191215")
"""``/session`` paths, UUIDs of sessions, templates, mount maps (server 20.03)."""
V6: Final[ApiVersion] = (6, "20200815")
"""Cluster size and mode at the root of the create call (server 20.09)."""
V6_FILTER: Final[ApiVersion] = (6, "20210815")
"""``filter`` and ``order`` of paginated queries, groups by name, changes of agents (server 21.09)."""
V6_DEPENDENCIES: Final[ApiVersion] = (6, "20220315")
"""Dependencies, callback URL and architecture in the create call; images by architecture (server 22.03)."""
V6_SUMMARIES: Final[ApiVersion] = (6, "20220615")
"""Agents for everybody, private scaling groups, one-time passwords and addresses of users (server 22.09)."""
V6_LOWER_CASE: Final[ApiVersion] = (6, "20230315")
"""Requests name the manager's states in lower case; details of slots, model services (server 23.03)."""
V7: Final[ApiVersion] = (7, "20230615")
"""Quota scopes, policies of users and projects, lists of own and invited folders (server 23.09)."""


def require_version(spoken: ApiVersion, needed: ApiVersion, what: str) -> None:
    """Refuse what the negotiated version does not have.

    Args:
        spoken: The negotiated version.
        needed: The first version that has it.
        what: Name of the function or argument, for the message.

    Raises:
        BackendAPIVersionError: ``spoken`` is older than ``needed``.
    """
    if spoken < needed:
        raise BackendAPIVersionError(
            f"{what} needs API version {format_api_version(needed)} or later; {format_api_version(spoken)} is in use"
        )


def require_arguments(
    spoken: ApiVersion, since: Mapping[str, ApiVersion], values: Mapping[str, Any], what: str
) -> None:
    """Refuse arguments that the negotiated version does not have.

    Args:
        spoken: The negotiated version.
        since: Argument → the first version that has it; others are in every version.
        values: The arguments that were given, by name.
        what: Name of the function, for the message.

    Raises:
        BackendAPIVersionError: ``spoken`` is older than what one of them needs.
    """
    for argument in values:
        if argument in since:
            require_version(spoken, since[argument], f"the argument {argument} of {what}")
