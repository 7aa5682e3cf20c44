"""One way to write a behaviour, several ways to run it.

A functional test takes the fixture `runtime` and says what many callers do at once in terms of *thunks*: callables
without arguments that make one call on the session. On `Session` a thunk returns the call's value, on `AsyncSession` a
`CallFuture`; how it is waited for is the runtime's:

============== ================ ==================================================
name           session          a caller is
============== ================ ==================================================
thread         `Session`        an OS thread
asyncio        `AsyncSession`   a task that awaits
gevent         `Session`        a greenlet that blocks; nothing is monkey-patched
gevent-future  `AsyncSession`   a greenlet that calls `.get()`; nothing is monkey-patched
patched        `Session`        a greenlet, in a process that ran `patch_all()`
patched-future `AsyncSession`   the same with `.get()`
============== ================ ==================================================

Test bodies are ordinary functions. They run in the runtime's home (for gevent: an OS thread of their own, so that the
main thread of the test process never owns a hub).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import gevent
import gevent.hub
import gevent.monkey

Thunk = Callable[[], Any]
TURN = 0.001
"""Seconds between two turns of a caller beside the others: it comes back from its event loop, and not at once."""


def is_patched() -> bool:
    """Whether this process ran `patch_all()`."""
    patched: bool = gevent.monkey.is_module_patched("socket")
    return patched


def is_cancelled(outcome: object) -> bool:
    """Whether a call ended cancelled, as any of the runtimes says it."""
    return isinstance(outcome, CancelledError | asyncio.CancelledError)


class Runtime(ABC):
    """How the callers of a test run.

    Attributes:
        name: See the table above.
        session_class: `Session` or `AsyncSession`, by name.
        crowd: How many callers a crowd has.
    """

    name: str
    session_class: str
    crowd: int
    cooperative = True
    """Whether callers share one OS thread."""

    def run(self, body: Callable[[], None]) -> None:
        """Run a test's body in the runtime's home."""
        body()

    def make(self, config: Any, **options: Any) -> Any:
        """A session that is not open."""
        from ai.backend.client import session as module

        return getattr(module, self.session_class)(config=config, **options)

    @contextlib.contextmanager
    def session(self, config: Any) -> Iterator[Any]:
        """An open session, closed at the end of the block; nothing that it still runs is waited for."""
        session = self.make(config)
        try:
            self.open(session)
            yield session
        finally:
            self.close(session, timeout=0)

    def open(self, session: Any) -> None:
        self.value(session.open)

    def close(self, session: Any, timeout: float | None = None) -> None:
        self.value(session.close if timeout is None else lambda: session.close(timeout=timeout))

    def value(self, thunk: Thunk) -> Any:
        """One caller, one call: its value, or its exception raised."""
        outcome = self.outcome(thunk)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def outcome(self, thunk: Thunk) -> Any:
        """One caller, one call: its value or its exception."""
        return self.columns([[thunk]])[0][0]

    def outcomes(self, thunks: Sequence[Thunk]) -> list[Any]:
        """As many callers as thunks, all at the same time: values and exceptions in the order of the thunks."""
        return [column[0] for column in self.columns([[thunk] for thunk in thunks])]

    @abstractmethod
    def columns(self, columns: Sequence[Sequence[Thunk]]) -> list[list[Any]]:
        """One caller per column, who makes its calls one after the other; all callers at the same time."""

    @abstractmethod
    def turns(self, count: int, then: Callable[[], object]) -> Thunk:
        """A caller who takes so many turns beside the others of its thread, and calls `then` behind the last."""

    def wait(self, future: Any, timeout: float | None = 10.0) -> Any:
        """Wait for a future as a caller of this runtime does; its value, or its exception raised."""
        return future.result(timeout)


class ThreadRuntime(Runtime):
    name = "thread"
    session_class = "Session"
    crowd = 32
    cooperative = False

    def columns(self, columns: Sequence[Sequence[Thunk]]) -> list[list[Any]]:
        if len(columns) == 1:
            return [[_outcome(thunk) for thunk in columns[0]]]
        results: list[list[Any]] = [[] for _ in columns]

        def caller(index: int) -> None:
            for thunk in columns[index]:
                results[index].append(_outcome(thunk))

        threads = [threading.Thread(target=caller, args=(index,), daemon=True) for index in range(len(columns))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def turns(self, count: int, then: Callable[[], object]) -> Thunk:
        raise NotImplementedError("threads do not wait for each other")


class AsyncioRuntime(Runtime):
    name = "asyncio"
    session_class = "AsyncSession"
    crowd = 512

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        self._loop_factory = loop_factory

    def run(self, body: Callable[[], None]) -> None:
        with asyncio.Runner(loop_factory=self._loop_factory) as self._runner:
            body()

    def coroutine(self, function: Callable[[], Any]) -> Any:
        """Run a coroutine function on the test's loop."""
        return self._runner.run(function())

    def columns(self, columns: Sequence[Sequence[Thunk]]) -> list[list[Any]]:
        async def caller(column: Sequence[Thunk]) -> list[Any]:
            return [await _awaited(thunk) for thunk in column]

        async def crowd() -> list[list[Any]]:
            return await asyncio.gather(*map(caller, columns))

        found: list[list[Any]] = self.coroutine(crowd)
        return found

    def turns(self, count: int, then: Callable[[], object]) -> Thunk:
        async def turns() -> None:
            for _ in range(count):
                await asyncio.sleep(TURN)
            then()

        return turns

    def wait(self, future: Any, timeout: float | None = 10.0) -> Any:
        async def one() -> Any:
            return await asyncio.wait_for(future, timeout)

        return self.coroutine(one)


class GeventRuntime(Runtime):
    name = "gevent"
    session_class = "Session"
    crowd = 512

    def run(self, body: Callable[[], None]) -> None:
        if is_patched():
            body()
            return
        failures: list[BaseException] = []

        def home() -> None:
            hub = gevent.get_hub()
            try:
                body()
            except BaseException as error:
                failures.append(error)
            finally:
                hub.destroy(destroy_loop=True)

        thread = threading.Thread(target=home, daemon=True)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    def columns(self, columns: Sequence[Sequence[Thunk]]) -> list[list[Any]]:
        def caller(column: Sequence[Thunk]) -> list[Any]:
            return [_outcome(thunk) for thunk in column]

        greenlets = [gevent.spawn(caller, column) for column in columns]
        gevent.joinall(greenlets)
        return [greenlet.get() for greenlet in greenlets]

    def turns(self, count: int, then: Callable[[], object]) -> Thunk:
        def turns() -> None:
            for _ in range(count):
                gevent.sleep(TURN)
            then()

        return turns


class GeventFutureRuntime(GeventRuntime):
    name = "gevent-future"
    session_class = "AsyncSession"

    def wait(self, future: Any, timeout: float | None = 10.0) -> Any:
        return future.get(timeout=timeout)


class PatchedRuntime(GeventRuntime):
    name = "patched"


class PatchedFutureRuntime(GeventFutureRuntime):
    name = "patched-future"


RUNTIMES: dict[str, type[Runtime]] = {
    kind.name: kind
    for kind in (
        ThreadRuntime,
        AsyncioRuntime,
        GeventRuntime,
        GeventFutureRuntime,
        PatchedRuntime,
        PatchedFutureRuntime,
    )
}


def available() -> list[str]:
    """The runtimes that exist in this process."""
    return [name for name in RUNTIMES if name.startswith("patched") == is_patched()]


def _outcome(thunk: Thunk) -> Any:
    try:
        value = thunk()
        return value.get() if isinstance(value, Future) else value
    except Exception as error:
        return error


async def _awaited(thunk: Thunk) -> Any:
    try:
        value = thunk()
        return await value if hasattr(value, "__await__") else value
    except (Exception, asyncio.CancelledError) as error:
        return error
