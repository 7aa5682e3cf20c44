"""Which API functions the live tests have really run, from which kind of caller, and how each call ended.

A call counts only when its test passed, and only with an outcome that is no accident: a value, or the very error (or
`ok: false` answer) that the test handed to `asserted`. `tools/api-coverage` makes a table of what was found.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import gevent

from ai.backend.client.actors.waiting import in_event_loop
from ai.backend.client.functions.base import BoundFunction
from ai.backend.client.sessions.facade import BaseSession
from support.runtimes.calling import is_patched

FOLDER = "LIVE_CALLS"
"""Environment variable: where this process and its children write what they found."""

CALLERS = ("sync", "asyncio", "gevent")
"""Kinds of callers: a plain thread with a `Session`, a task with an `AsyncSession`, a greenlet."""

Marks = dict[str, dict[str, str]]
"""Function → kind of caller → best outcome (`value`, `error`)."""


class Recorder:
    """Observes the calls of one test at a time.

    Attributes:
        marks: What the passed tests have shown so far.
    """

    def __init__(self) -> None:
        self.marks: Marks = {}
        self._calls: list[tuple[str, str, Any]] = []
        self._asserted: list[object] = []

    @contextlib.contextmanager
    def test(self) -> Iterator[None]:
        """Around the body of a test: its calls count if it does not raise."""
        self._calls, self._asserted = [], []
        submit, stream = BoundFunction.submit, BaseSession._stream
        with (
            mock.patch.object(BoundFunction, "submit", self._observing_calls(submit)),
            mock.patch.object(BaseSession, "_stream", self._observing_streams(stream)),
        ):
            yield
        for name, caller, future in self._calls:
            if (outcome := self._outcome(future)) is not None:
                note(self.marks, name, caller, outcome)

    def asserted(self, outcome: object) -> None:
        """The test wants exactly this failure."""
        self._asserted.append(outcome)

    def _observing_calls(self, submit: Callable[..., Any]) -> Callable[..., Any]:
        def observed(function: Any, *args: Any, **kwargs: Any) -> Any:
            future = submit(function, *args, **kwargs)
            self._add(function.name, future, function._session)
            return future

        return observed

    def _observing_streams(self, stream: Callable[..., Any]) -> Callable[..., Any]:
        def observed(session: Any, spec: Any) -> Any:
            driver = stream(session, spec)
            start = driver.open

            def opening() -> Any:  # to open a stream is what calls its function
                future = start()
                self._add(f"{spec.actor}.{spec.function}", future, session)
                return future

            driver.open = opening
            return driver

        return observed

    def _add(self, name: str, future: Any, session: Any) -> None:
        caller = _caller(session.asynchronous)
        if caller is not None:
            self._calls.append((name, caller, future))

    def _outcome(self, future: Any) -> str | None:
        if not future.done() or future.cancelled():
            return None
        error = future.exception()
        failure = error if error is not None else _refusal(future.result())
        if failure is None:
            return "value"
        return "error" if any(failure is wanted for wanted in self._asserted) else None


RECORDER = Recorder()
"""The one of this process."""

asserted = RECORDER.asserted


def note(marks: Marks, name: str, caller: str, outcome: str) -> None:
    """Add an outcome; a value beats an error."""
    callers = marks.setdefault(name, {})
    if outcome == "value" or caller not in callers:
        callers[caller] = outcome


def write(marks: Marks, folder: Path) -> None:
    """Leave what this process found in a file of its own."""
    if marks:
        (folder / f"{os.getpid()}.json").write_text(json.dumps(marks, indent=1, sort_keys=True))


def read(folder: Path) -> Marks:
    """What all processes of a run found."""
    found: Marks = {}
    for path in sorted(folder.glob("*.json")):
        for name, callers in json.loads(path.read_text()).items():
            for caller, outcome in callers.items():
                note(found, name, caller, outcome)
    return found


def _refusal(value: object) -> object:
    """A mutation's answer that says no."""
    return value if isinstance(value, Mapping) and value.get("ok") is False else None


def _caller(asynchronous: bool) -> str | None:
    """The calling code as it really is, whatever the test says about it."""
    if in_event_loop():
        return "asyncio" if asynchronous else None
    if is_patched() or isinstance(gevent.getcurrent(), gevent.Greenlet):
        return "gevent"
    return None if asynchronous else "sync"
