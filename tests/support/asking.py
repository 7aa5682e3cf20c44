"""The calls that tests make, and the proof that an answer belongs to its question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from support.runtimes.calling import Thunk


def ask(session: Any, name: str) -> Any:
    """One call that the echo server answers with `name`: a value on `Session`, a `CallFuture` on `AsyncSession`."""
    return session.Kernel(name).get_info()


def submit(session: Any, name: str) -> Any:
    """The same call as a `CallFuture` on both sessions."""
    return session.Kernel(name).get_info.submit()


def post(session: Any, name: str) -> Any:
    """A call that must not be sent twice."""
    return session.Kernel(name).execute("run", "code")


def questions(session: Any, names: Sequence[str]) -> list[Thunk]:
    """One thunk per name."""
    return [partial(ask, session, name) for name in names]


def wrong(names: Sequence[str], outcomes: Sequence[Any]) -> list[tuple[str, Any]]:
    """The calls that did not get their own answer."""
    assert len(names) == len(outcomes)
    return [pair for pair in zip(names, outcomes, strict=True) if not is_answer(*pair)]


def is_answer(name: str, outcome: Any) -> bool:
    """Whether this is the echo server's answer to `name`."""
    return isinstance(outcome, dict) and outcome.get("name") == name
