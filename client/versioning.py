"""API versions: reading them, agreeing on one with a server, and the names that depend on the agreed one.

A version is a pair ``(major, date)``, for example ``(7, "20230615")``, written ``v7.20230615`` on the wire. Pairs
compare as versions do; the text does not (``"v10" < "v4"``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ai.backend.client.exceptions import InvalidArgument

__all__ = [
    "API_VERSION",
    "KNOWN_VERSIONS",
    "MIN_API_VERSION",
    "ApiVersion",
    "Negotiated",
    "apply_version_aware_fields",
    "format_api_version",
    "get_id_or_name",
    "get_naming",
    "negotiate",
    "parse_api_version",
]

ApiVersion: TypeAlias = tuple[int, str]

KNOWN_VERSIONS: Final[tuple[ApiVersion, ...]] = (
    (4, "20181215"),
    (4, "20190115"),
    (4, "20190315"),
    (4, "20190615"),
    (5, "20191215"),
    (6, "20200815"),
    (6, "20210815"),
    (6, "20220315"),
    (6, "20220615"),
    (6, "20230315"),
    (7, "20230615"),
)
"""Versions that this client speaks, oldest first: the ones that manager 23.09 accepts in ``X-BackendAI-Version`` (any
other is answered with status 400). Every manager since 19.09 accepts those of the list that are not newer than its own
latest."""

API_VERSION: Final[ApiVersion] = KNOWN_VERSIONS[-1]
"""Newest version that this client speaks (manager 23.09); the default of
:class:`~ai.backend.client.config.APIConfig`."""

MIN_API_VERSION: Final[ApiVersion] = KNOWN_VERSIONS[0]
"""Oldest version that this client is made for (manager 19.09)."""

_PATTERN: Final = re.compile(r"v([1-9][0-9]{0,8})\.([0-9]{8})")
_EXCERPT: Final = 60
"""How many characters of a server's unreadable version are repeated in the warning."""

_NAMES: Final[dict[str, tuple[str, str]]] = {
    # key: (up to v4, from v5)
    "path": ("kernel", "session"),
    "session_events_path": ("/stream/kernel/_/events", "/events/session"),
    "name_arg": ("clientSessionToken", "name"),
    "event_name_arg": ("sessionId", "name"),
    "name_gql_field": ("sess_id", "name"),
    "type_gql_field": ("sess_type", "type"),
}


class Negotiated(NamedTuple):
    """What :func:`negotiate` found.

    Attributes:
        version: The version to use from now on.
        warning: Text for an :class:`~ai.backend.client.exceptions.APIVersionWarning`, or None when all is well.
    """

    version: ApiVersion
    warning: str | None


class _HasIdentity(Protocol):
    @property
    def id(self) -> object: ...

    @property
    def name(self) -> str | None: ...


def parse_api_version(text: object) -> ApiVersion:
    """Read a version.

    Args:
        text: ``v<major>.<YYYYMMDD>``, for example ``v7.20230615``; all else, also what is no string, is refused.

    Returns:
        The pair ``(major, date)``.

    Raises:
        InvalidArgument: The text has another form.
    """
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidArgument("version", text, "must look like v7.20230615")
    return int(match[1]), match[2]


def format_api_version(version: ApiVersion) -> str:
    """Write a version as the ``X-BackendAI-Version`` header wants it; the inverse of :func:`parse_api_version`."""
    return f"v{version[0]}.{version[1]}"


def negotiate(configured: ApiVersion, server: object) -> Negotiated:
    """Choose the newest version that both sides know.

    Args:
        configured: Upper bound: ``APIConfig.parsed_version``.
        server: The server's latest version, as ``version`` in its answer to ``GET /`` has it. Anything is accepted: it
            comes from outside.

    Returns:
        The version and perhaps a warning. A server without a readable version gets the configured one as it is. A
        server older than :data:`MIN_API_VERSION` gets its own, which may work for what did not change since. With a
        server newer than :data:`API_VERSION` or a configured version that is not in :data:`KNOWN_VERSIONS`, the newest
        known version below both is chosen.
    """
    try:
        latest = parse_api_version(server)
    except InvalidArgument:
        used = format_api_version(configured)
        return Negotiated(
            configured, f"the server told no API version but {server!r:.{_EXCERPT}}; using {used} as configured"
        )
    bound = min(configured, latest)
    version = max((known for known in KNOWN_VERSIONS if known <= bound), default=bound)
    return Negotiated(version, _version_warning(latest, version))


def _version_warning(latest: ApiVersion, version: ApiVersion) -> str | None:
    said, used = format_api_version(latest), format_api_version(version)
    if latest > API_VERSION:
        return f"the server's API {said} is newer than what this client knows; using {used}, consider an upgrade"
    if latest < MIN_API_VERSION:
        return f"the server's API {said} is older than what this client supports; using {used}, calls may fail"
    return None


def get_naming(api_version: ApiVersion, key: str) -> str:
    """The name that a thing of the API has in a version.

    Args:
        api_version: The negotiated version.
        key: ``path``, ``session_events_path``, ``name_arg``, ``event_name_arg``, ``name_gql_field`` or
            ``type_gql_field``.

    Returns:
        Its name; it changed once, from v4 to v5.

    Raises:
        KeyError: There is no such key.
    """
    up_to_v4, from_v5 = _NAMES[key]
    return up_to_v4 if api_version[0] <= 4 else from_v5


def get_id_or_name(api_version: ApiVersion, obj: _HasIdentity) -> str:
    """How to address a compute session.

    Args:
        api_version: The negotiated version.
        obj: A compute session (anything with ``id`` and ``name``).

    Returns:
        Its UUID when it is known and the version takes one (from v5), else its name.

    Raises:
        InvalidArgument: It has neither.
    """
    if api_version[0] >= 5 and obj.id:
        return str(obj.id)
    if not obj.name:
        raise InvalidArgument("name", obj.name, f"is needed to address a session in {format_api_version(api_version)}")
    return obj.name


def apply_version_aware_fields(
    api_session: Any, fields: Iterable[tuple[str, str | Callable[[Any], str]]]
) -> list[tuple[str, str]]:
    """Resolve the fields whose name depends on the version.

    Args:
        api_session: The session whose ``api_version`` decides; it is passed to the callables.
        fields: Pairs of a title and a field, or of a title and a callable that takes the session and returns the field.

    Returns:
        The same pairs, every field as text.
    """
    return [(title, field(api_session) if callable(field) else field) for title, field in fields]
