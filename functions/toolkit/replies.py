"""The shapes of replies: typed dictionaries that are the same for every caller. Here are those that rooms share.

Objects that a ``fields`` argument shapes (GraphQL) are plain ``dict[str, Any]``. Keys that only some releases send are
``NotRequired``. Replies are handed on as they came: a type here is a promise of the API, not a check. Times are text as
the server writes it unless said otherwise, sizes are bytes.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


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


class Success(TypedDict):
    """The outcome of a call that returns nothing else."""

    success: bool
