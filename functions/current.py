"""Which session a proxy class that was imported from its module belongs to: the innermost ``with`` around the code.

Classes reached through a session (``session.Kernel``) never ask.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

__all__ = ["api_session", "current_session", "enter", "leave"]

api_session: ContextVar[Any] = ContextVar("api_session")
"""The session whose ``with`` block the code is in. Follows asyncio tasks and greenlets; a new thread starts without."""

_entered: ContextVar[tuple[tuple[Any, Token[Any]], ...]] = ContextVar("entered", default=())


def current_session() -> Any:
    """The session of the innermost ``with`` block, or None."""
    return api_session.get(None)


def enter(session: Any) -> None:
    """A ``with`` block of a session begins in this context."""
    _entered.set((*_entered.get(), (session, api_session.set(session))))


def leave(session: Any) -> None:
    """The innermost ``with`` block of a session ends. Without effect in a context where none began."""
    blocks = _entered.get()
    for index in range(len(blocks) - 1, -1, -1):
        entered, token = blocks[index]
        if entered is session:
            _entered.set(blocks[:index] + blocks[index + 1 :])
            if index == len(blocks) - 1:
                _restore(token, blocks[:index])
            return


def _restore(token: Token[Any], outer: tuple[tuple[Any, Token[Any]], ...]) -> None:
    try:
        api_session.reset(token)
    except (ValueError, RuntimeError):  # the block began in a context that this one was copied from
        api_session.set(outer[-1][0] if outer else None)
