"""Which server has what: what differs between the managers of 19.09 to 26.9, and the refusal of what one does not have.

Two numbers decide. The API version that was agreed on, up to v7 (23.09), since a newer manager that is spoken to in an
older version answers as the older one did. The manager's release from 24.03 on: it changed its protocol without regard
to the version that it is spoken to in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ai.backend.client.exceptions import BackendAPIVersionError
from ai.backend.client.versioning import ApiVersion, Release, format_api_version, release_of

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

TRASH: Final = Release(24, 3)
"""Folders that are deleted go to the trash, and can be restored from there."""


class Gone(NamedTuple):
    """What newer servers do not have any more.

    Attributes:
        since: The first release without it.
        instead: What to do there, for the message.
    """

    since: Release
    instead: str


RESTART: Final = Gone(Release(26, 4), "end the session and create one")
IMAGE_IMPORT: Final = Gone(
    Release(24, 3), "build the image elsewhere, push it to a registry of the cluster and call Image.rescan_images"
)
LEGACY_SCHEDULER: Final = Gone(Release(26, 2), "the manager's scheduler runs by itself; Manager.scheduler_op steers it")


class _Since:
    """A question of a :class:`Generation`: is the server's release this one, or a later one?"""

    def __init__(self, year: int, number: int) -> None:
        self._since = Release(year, number)

    def __get__(self, generation: Generation, owner: type[Generation]) -> bool:
        return generation.release >= self._since


@dataclass(frozen=True, slots=True)
class Generation:
    """How a server is spoken to.

    Attributes:
        version: The API version that was agreed on.
        release: The manager's release.
    """

    version: ApiVersion
    release: Release

    has_trash = _Since(*TRASH)
    """A folder that is deleted is in the trash at first."""
    downloads_by_post = _Since(24, 3)
    """Files of sessions are asked for by ``POST``; before, by ``GET``."""
    names_run_id = _Since(25, 1)
    """The key of a run in the body of ``execute`` is ``run_id`` (from 25.6 on at the latest); before, ``runId``."""
    keeps_unset_state = _Since(25, 1)
    """A change of a user without a state keeps it (from 25.6 on at the latest), and a null there is refused; before, it
    takes the null to keep it."""
    reads_slots_as_numbers = _Since(25, 1)
    """A change of a resource preset takes no units (from 25.6 on at the latest)."""
    refuses_slots_of_new_domains = _Since(25, 1)
    """``create_domain`` fails with slots (from 25.6 on at the latest), and ``modify_domain`` takes them."""
    reads_one_place = _Since(26, 3)
    """A route reads its query or its JSON body, and ignores the other without a word; before, it takes either."""
    echoes_by_post = _Since(26, 3)
    """``POST /auth`` says again what it is told; before, ``GET /auth`` does."""
    wraps_usage = _Since(26, 3)
    """The usage of a folder is in ``{"data": ...}``."""
    mixes_events = _Since(26, 3)
    """Events of a session that is named by its UUID are among those of all of the caller's."""
    wants_group_ids = _Since(26, 3)
    """A folder's group is told by its UUID; before, by name or UUID."""

    @classmethod
    def of(cls, version: ApiVersion) -> Generation:
        """The generation of a version, where nothing is known of the release."""
        return cls(version, release_of(version))

    def has(self, since: ApiVersion | Release) -> bool:
        """Whether what came with a version, or with a release, is there."""
        return self.release >= since if isinstance(since, Release) else self.version >= since

    def require(self, what: str, *, since: ApiVersion | Release | None = None, gone: Gone | None = None) -> None:
        """Refuse what the server does not have.

        Args:
            what: Name of the function or argument, for the message.
            since: The first version, or release, that has it.
            gone: It is gone where this says so.

        Raises:
            BackendAPIVersionError: The server is too old, or too new.
        """
        if since is not None and not self.has(since):
            raise BackendAPIVersionError(f"{what} needs {self._compared(since)}")
        if gone is not None and self.has(gone.since):
            raise BackendAPIVersionError(f"{what} is gone since manager {gone.since}: {gone.instead}")

    def require_arguments(
        self, what: str, values: Iterable[str], since: Mapping[str, ApiVersion | Release] | Mapping[str, ApiVersion]
    ) -> None:
        """Refuse arguments that the server does not have.

        Args:
            what: Name of the function, for the message.
            values: The names of the arguments that were given.
            since: Argument → the first version, or release, that has it; others are everywhere.

        Raises:
            BackendAPIVersionError: The server is older than what one of them needs.
        """
        for argument in values:
            if argument in since:
                self.require(f"the argument {argument} of {what}", since=since[argument])

    def _compared(self, since: ApiVersion | Release) -> str:
        if isinstance(since, Release):
            return f"manager {since} or later; {self.release} is in use"
        return f"API version {format_api_version(since)} or later; {format_api_version(self.version)} is in use"


def as_query(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a query has them: those that are None are left out, lists repeat."""
    return {name: value for name, value in values.items() if value is not None}


def in_query(generation: Generation, values: Mapping[str, Any]) -> dict[str, Any]:
    """Where the parameters go of a route that reads its query, where it reads one place only, and a JSON body before.

    Args:
        generation: How the server is spoken to.
        values: Parameter → text, number, or list of such; None where a query leaves it out.

    Returns:
        The options of the :class:`~ai.backend.client.request.Request`.
    """
    return {"params": as_query(values)} if generation.reads_one_place else {"json": dict(values)}


def in_body(generation: Generation, values: Mapping[str, Any]) -> dict[str, Any]:
    """As :func:`in_query`, of a route that reads its JSON body, and the query before."""
    return {"json": dict(values)} if generation.reads_one_place else {"params": as_query(values)}
