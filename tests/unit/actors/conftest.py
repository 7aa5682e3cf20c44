"""What the runtime's tests share: threads with a result, a hub, and a world without one, where time is a number."""

from __future__ import annotations

import concurrent.futures
import contextlib
import heapq
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import greenlet
import pytest

from ai.backend.client.actors.call import Call, Options
from ai.backend.client.actors.hub import Hub
from support.waiting import LIMIT


@pytest.fixture
def spawn() -> Iterator[Callable[..., concurrent.futures.Future[Any]]]:
    """`spawn(function, *args)` runs it in a thread of its own; the standard future of its outcome."""
    threads: list[threading.Thread] = []

    def start(function: Callable[..., Any], *args: Any) -> concurrent.futures.Future[Any]:
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def body() -> None:
            try:
                value = function(*args)
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(value)

        threads.append(threading.Thread(target=body, daemon=True))
        threads[-1].start()
        return outcome

    yield start
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a thread of the test hangs"


@pytest.fixture
def in_gevent(spawn: Any) -> Callable[..., Any]:
    """`in_gevent(function, *args)` runs it in a thread that owns a gevent hub; its value, or its exception raised."""

    def run(function: Callable[..., Any], *args: Any) -> Any:
        def body() -> Any:
            gevent_hub = gevent.get_hub()
            try:
                return function(*args)
            finally:
                gevent_hub.destroy(destroy_loop=True)

        return spawn(body).result(LIMIT)

    return run


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A running hub with a thread of its own."""
    hub = Hub()
    hub.start()
    yield hub
    hub.stop()
    assert hub.join(LIMIT), "the hub did not stop"


@pytest.fixture
def on_hub(hub: Hub) -> Callable[..., Any]:
    """`on_hub(function, *args)` calls it in the hub's own greenlet; its value, or its exception raised."""

    def run(function: Callable[..., Any], *args: Any) -> Any:
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        hub.call(lambda: _carry(outcome, function, args))
        return outcome.result(LIMIT)

    return run


@pytest.fixture
def start_lane(hub: Hub) -> Callable[..., concurrent.futures.Future[Any]]:
    """`start_lane(function, *args)` runs it in a greenlet below the hub, where it may wait; its standard future."""

    def start(function: Callable[..., Any], *args: Any) -> concurrent.futures.Future[Any]:
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        hub.call(lambda: hub.greenlet(lambda: _carry(outcome, function, args)).switch())
        return outcome

    return start


@pytest.fixture
def in_lane(start_lane: Any) -> Callable[..., Any]:
    """`start_lane` and its result."""
    return lambda function, *args: start_lane(function, *args).result(LIMIT)


def _carry(outcome: concurrent.futures.Future[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        value = function(*args)
    except BaseException as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(value)


class FakeTimer:
    """Remembers what to call and when, until it is cancelled."""

    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeHub:
    """A hub without a loop, in the test's own thread. Time passes only in `advance`."""

    own_thread = False

    def __init__(self) -> None:
        self.now = 1000.0
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []

    def monotonic(self) -> float:
        return self.now

    def later(self, seconds: float, function: Callable[[], object], *, ref: bool = True) -> FakeTimer:
        timer = FakeTimer(self.now + seconds, function)
        heapq.heappush(self._timers, (timer.due, next(self._numbers), timer))
        return timer

    @property
    def timers(self) -> list[FakeTimer]:
        """Those that will still fire."""
        return [timer for _, _, timer in self._timers if not timer.cancelled]

    def advance(self, seconds: float) -> None:
        """Let time pass, and fire what becomes due on the way."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, due)
            if not timer.cancelled:
                timer.call()
        self.now = end

    def greenlet(self, function: Callable[[], object]) -> Any:
        return greenlet.greenlet(function)

    def park(self) -> Any:
        return greenlet.getcurrent().parent.switch()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A fake hub, whose time is that of calls and deadlines too."""
    hub = FakeHub()
    for module in ("call", "deadlines"):
        monkeypatch.setattr(f"ai.backend.client.actors.{module}.monotonic", hub.monotonic)
    return hub


@pytest.fixture
def make_call() -> Callable[..., Call]:
    """`make_call(deadline)`: a call that nobody waits for."""

    def make(deadline: float | None = None, **values: Any) -> Call:
        options = Options(timeout=None, deadline=deadline, retries=0)
        owner = SimpleNamespace(pid=os.getpid(), waiters=None, unremarkable=(), disown=lambda call: False)
        call = Call(owner, "function", "Proxy", iter(()), options)  # type: ignore[arg-type]  # stand-ins
        for name, value in values.items():
            setattr(call, name, value)
        return call

    return make


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, int]]]:
    """`serve(handle)` listens on loopback, and calls `handle(connection)` in a thread per connection; its address."""
    with contextlib.ExitStack() as stack:

        def start(handle: Callable[[socket.socket], object], family: int = socket.AF_INET) -> tuple[str, int]:
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            listener = socket.create_server((host, 0), family=family)
            accepted: list[socket.socket] = []
            threads: list[threading.Thread] = []

            def run(connection: socket.socket) -> None:
                with contextlib.suppress(OSError), connection:
                    handle(connection)

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        accepted.append(connection)
                        threads.append(threading.Thread(target=run, args=(connection,), daemon=True))
                        threads[-1].start()

            def stop() -> None:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
                accepting.join(LIMIT)
                for connection in accepted:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                for thread in threads:
                    thread.join(LIMIT)

            accepting = threading.Thread(target=accept, daemon=True)
            accepting.start()
            stack.callback(stop)
            address: tuple[str, int] = listener.getsockname()[:2]
            return address

        yield start
