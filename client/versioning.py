"""API versions and releases: reading them, agreeing on one with a server, and the names that depend on the agreed one.

A version is a pair ``(major, date)``, for example ``(7, "20230615")``, written ``v7.20230615`` on the wire. Pairs
compare as versions do; the text does not (``"v10" < "v4"``). The version alone does not tell what a manager does: its
protocol changed with release 26.3, and the version did not. A release is a pair, too: ``Release(26, 3)``.
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
    "NEWEST_RELEASE",
    "ApiVersion",
    "Negotiated",
    "Release",
    "apply_version_aware_fields",
    "format_api_version",
    "get_id_or_name",
    "get_naming",
    "negotiate",
    "parse_api_version",
    "parse_release",
    "release_of",
]

ApiVersion: TypeAlias = tuple[int, str]


class Release(NamedTuple):
    """A release of the manager, for example 26.9: what of ``26.9.6`` decides how it is spoken to."""

    year: int
    number: int

    def __str__(self) -> str:
        """As the vendor writes it: up to 24.09 the number is a month, of two digits."""
        return f"{self.year}.{self.number:02}" if self.year < _PLAIN_NUMBERS_SINCE else f"{self.year}.{self.number}"


_PLAIN_NUMBERS_SINCE: Final = 25

_LATEST_RELEASES: Final[dict[ApiVersion, Release]] = {
    (4, "20181215"): Release(19, 3),
    (4, "20190115"): Release(19, 3),
    (4, "20190315"): Release(19, 3),
    (4, "20190615"): Release(19, 9),
    (5, "20191215"): Release(20, 3),
    (6, "20200815"): Release(21, 3),
    (6, "20210815"): Release(21, 9),
    (6, "20220315"): Release(22, 3),
    (6, "20220615"): Release(22, 9),
    (6, "20230315"): Release(23, 3),
    (7, "20230615"): Release(23, 9),
    (8, "20240315"): Release(24, 3),
    (8, "20240915"): Release(25, 6),
    (9, "20250722"): Release(26, 9),
}
"""Version → the latest release that we know which calls it its own."""

KNOWN_VERSIONS: Final[tuple[ApiVersion, ...]] = tuple(_LATEST_RELEASES)
"""Versions that this client speaks, oldest first. A manager answers status 400 to a version in ``X-BackendAI-Version``
that it does not know; every manager since 19.09 accepts those of the list that are not newer than its own latest, but
for :data:`WITHDRAWN`."""

WITHDRAWN: Final[dict[ApiVersion, Release]] = {(6, "20210815"): Release(26, 3)}
"""Version → the first release that does not accept it any more."""

API_VERSION: Final[ApiVersion] = KNOWN_VERSIONS[-1]
"""Newest version that this client speaks (managers 25.15 to 26.9); the default of
:class:`~ai.backend.client.config.APIConfig`."""

NEWEST_RELEASE: Final[Release] = _LATEST_RELEASES[API_VERSION]
"""Newest release that this client is made for; unknown ones are spoken to as this one is."""

MIN_API_VERSION: Final[ApiVersion] = KNOWN_VERSIONS[0]
"""Oldest version that this client is made for (manager 19.09)."""

_PATTERN: Final = re.compile(r"v([1-9][0-9]{0,8})\.([0-9]{8})")
_RELEASE: Final = re.compile(r"([1-9][0-9])\.([0-9]{1,2})(?![0-9]).*", re.DOTALL)
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
        release: The release to speak to; the newest known one that the server's version fits, if it told none.
        warning: Text for an :class:`~ai.backend.client.exceptions.APIVersionWarning`, or None when all is well.
    """

    version: ApiVersion
    release: Release
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


def parse_release(text: object) -> Release | None:
    """Read a release.

    Args:
        text: What a manager says of itself, for example ``26.9.6``. Anything is accepted: it comes from outside.

    Returns:
        The release; None if that is no text which begins with one.
    """
    match = _RELEASE.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else Release(int(match[1]), int(match[2]))


def release_of(version: ApiVersion) -> Release:
    """The newest release that we know which a server may have that calls this version its latest."""
    return max((release for known, release in _LATEST_RELEASES.items() if known <= version), default=_OLDEST_RELEASE)


_OLDEST_RELEASE: Final = min(_LATEST_RELEASES.values())


def negotiate(configured: ApiVersion, server: object, manager: object = None) -> Negotiated:
    """Choose the newest version that both sides know.

    Args:
        configured: Upper bound: ``APIConfig.parsed_version``.
        server: The server's latest version, as ``version`` in its answer to ``GET /`` has it. Anything is accepted: it
            comes from outside.
        manager: Its release, as ``manager`` there has it; likewise.

    Returns:
        Version, release and perhaps a warning. A server without a readable version gets the configured one, or the
        newest that its release knows. A server older than :data:`MIN_API_VERSION` gets its own, which may work for
        what did not change since. With a server that is newer than this client, or a configured version that is not in
        :data:`KNOWN_VERSIONS`, the newest known version below both is chosen. One that the server may have withdrawn is
        passed over for the one before it.
    """
    release = parse_release(manager)
    try:
        latest = parse_api_version(server)
    except InvalidArgument:
        version = _usable(configured, _bound(configured, release), release)
        warning = f"the server told no API version but {server!r:.{_EXCERPT}}; using {format_api_version(version)}"
        return Negotiated(version, release_of(configured) if release is None else release, warning)
    spoken = release_of(latest) if release is None else release
    version = _usable(configured, latest, spoken)
    return Negotiated(version, spoken, _version_warning(latest, spoken, version))


def _bound(configured: ApiVersion, release: Release | None) -> ApiVersion:
    """The newest version that a release knows, as far as the release is known."""
    if release is None:
        return configured
    return max((known for known, last in _LATEST_RELEASES.items() if last <= release), default=configured)


def _usable(configured: ApiVersion, latest: ApiVersion, release: Release | None) -> ApiVersion:
    """The newest version up to both bounds that a server of that release accepts; None: one of any release."""
    bound = min(configured, latest)
    return max((known for known in KNOWN_VERSIONS if known <= bound and _is_taken(known, release)), default=bound)


def _is_taken(version: ApiVersion, release: Release | None) -> bool:
    withdrawn = WITHDRAWN.get(version)
    return withdrawn is None or (release is not None and release < withdrawn)


def _version_warning(latest: ApiVersion, release: Release, version: ApiVersion) -> str | None:
    said, used = format_api_version(latest), format_api_version(version)
    if latest > API_VERSION or release > NEWEST_RELEASE:
        return (
            f"the server (API {said}, release {release}) is newer than what this client knows; "
            f"using {used}, consider an upgrade"
        )
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
