"""Which session a proxy class that was imported from its module belongs to: the innermost ``with`` around the code.

Classes reached through a session (``session.Kernel``) never ask.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, NamedTuple

__all__ = ["api_session", "current_session", "enter", "leave", "session_of"]

api_session: ContextVar[Any] = ContextVar("api_session")
"""The session whose ``with`` block the code is in. New asyncio tasks take it along; new threads and greenlets start
without."""


class _Blocks(NamedTuple):
    """The ``with`` blocks of a context, outermost first, and the token that undoes the first of them."""

    sessions: tuple[Any, ...]
    token: Token[Any]


_blocks: ContextVar[_Blocks | None] = ContextVar("blocks", default=None)


def current_session() -> Any:
    """The session of the innermost ``with`` block, or None."""
    return api_session.get(None)


def session_of(proxy: Any) -> Any:
    """The session of a function proxy, or of the ``with`` block that the code is in.

    Raises:
        RuntimeError: There is neither.
    """
    session = proxy.session or current_session()
    if session is None:
        raise RuntimeError("there is no session: use the proxy inside `with Session()`, or as session.Kernel")
    return session


def enter(session: Any) -> None:
    """A ``with`` block of a session begins in this context."""
    token, blocks = api_session.set(session), _blocks.get()
    _blocks.set(_Blocks((session,), token) if blocks is None else blocks._replace(sessions=(*blocks.sessions, session)))


def leave(session: Any) -> None:
    """A ``with`` block of a session ends: the innermost of them, if it has several; not always the innermost of all.

    Without effect in a context where none began.
    """
    blocks = _blocks.get()
    if blocks is None or not any(entered is session for entered in blocks.sessions):
        return
    index = max(index for index, entered in enumerate(blocks.sessions) if entered is session)
    left = blocks.sessions[:index] + blocks.sessions[index + 1 :]
    _blocks.set(blocks._replace(sessions=left) if left else None)
    if left:
        api_session.set(left[-1])
    else:
        _undo(blocks.token)


def _undo(token: Token[Any]) -> None:
    try:
        api_session.reset(token)
    except (ValueError, RuntimeError):  # the block began in a context that this one was copied from
        api_session.set(None)
