"""The shapes of replies that are the same for every caller: typed dictionaries.

Objects that a ``fields`` argument shapes (GraphQL) are plain ``dict[str, Any]``. Keys that only some releases send are
``NotRequired``. Replies are handed on as they came: a type here is a promise of the API, not a check.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class VersionInfo(TypedDict):
    """What a server says of itself.

    Attributes:
        version: Latest API version, for example ``v7.20230615``.
        manager: Release, for example ``23.09.10``.
    """

    version: str
    manager: NotRequired[str]


class MutationResult(TypedDict):
    """The outcome of a GraphQL mutation.

    Attributes:
        ok: Whether it was done.
        msg: Why not, or ``success``.
    """

    ok: bool
    msg: str


class Announcement(TypedDict):
    """The manager's announcement.

    Attributes:
        enabled: Whether it is to be shown.
        message: Its text.
    """

    enabled: bool
    message: str


class ManagerNode(TypedDict):
    """One process group of the manager."""

    id: str
    num_proc: int
    service_addr: str
    heartbeat_timeout: float
    ssl_enabled: bool
    active_sessions: int
    status: str
    version: str
    api_version: list[Any]


class ManagerStatus(TypedDict):
    """The manager's state.

    Attributes:
        nodes: Its nodes.
        status: ``running`` or ``frozen``.
        active_sessions: How many compute sessions run.
    """

    nodes: list[ManagerNode]
    status: str
    active_sessions: int
