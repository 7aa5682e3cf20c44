"""Which protocol generation has what, and the refusal when the one in use is too old."""

from __future__ import annotations

from typing import Final

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
"""``filter`` and ``order`` of paginated queries (server 21.09)."""
V6_DEPENDENCIES: Final[ApiVersion] = (6, "20220315")
"""Dependencies, callback URL and architecture in the create call (server 22.03)."""
V6_LOWER_CASE: Final[ApiVersion] = (6, "20230315")
"""Requests name the manager's states in lower case (server 23.03)."""


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
