"""The streams of a session: how many there may be, and their common end. It knows no kind of stream."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from ai.backend.client.actors.call import Options, Owner
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.originals import reentrant_lock
from ai.backend.client.exceptions import Overloaded, SessionClosed


class Runner(Owner, Protocol):
    """What streams ask of the runtime of their session: to run calls."""

    def submit(
        self, name: str, actor: str, recipe: Generator[Any, Any, Any], options: Options, *, in_line: bool = False
    ) -> CallFuture[Any]:
        """See :meth:`~ai.backend.client.sessions.runtime.Runtime.submit`."""
        ...


class Running(Protocol):
    """What is asked of an open stream; see :mod:`~ai.backend.client.sessions.streams.driver`."""

    def begin_shutdown(self) -> object:
        """Do what has to be done before the stream is closed from this side. Any thread."""

    def close_with_session(self, error: BaseException) -> None:
        """End, or when what was begun is done."""

    def abort(self, error: BaseException) -> None:
        """End at once."""

    def disown(self) -> None:
        """End, in a forked child."""


class Streams:
    """The open streams of a session. ``admit``, ``forget`` and ``begin_shutdown`` are for any thread.

    Args:
        owner: The runtime.
        hub: Its hub.
        limit: How many streams may be open at once.
    """

    def __init__(self, owner: Runner, hub: Hub, limit: int) -> None:
        self.owner = owner
        self.hub = hub
        self._limit = limit
        # Of those who open a stream. The hub never takes it: whoever holds it may have been stopped.
        self._lock = reentrant_lock()
        self._open: set[Running] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, driver: Running) -> None:
        """Count a stream that opens.

        Raises:
            SessionClosed: Nothing opens any more.
            Overloaded: The limit is reached.
        """
        with self._lock:
            if len(self._open) >= self._limit and not self._closed:
                raise Overloaded(f"{self._limit} streams are open")
            self._open.add(driver)
        if self._closed:  # looked at last: whoever closes looks at the open ones after that
            self._open.discard(driver)
            raise SessionClosed("the session is closed")

    def forget(self, driver: Running) -> None:
        """A stream has ended, or never opened."""
        self._open.discard(driver)

    def begin_shutdown(self) -> None:
        """The session is about to close, and has time: what streams have to do first are calls that it waits for."""
        for driver in self._all():
            driver.begin_shutdown()

    def close(self) -> None:
        """The session closes, and has time: end the streams that have nothing left to do. In the hub's own greenlet."""
        for driver in self._closing():
            driver.close_with_session(SessionClosed("the session is closed"))

    def abort(self) -> None:
        """End every stream. In the hub's own greenlet; may be repeated."""
        for driver in self._closing():
            driver.abort(SessionClosed("the session is closed"))

    def disown(self) -> None:
        """In a forked child: the streams are the parent's. Whoever waits for one here is told."""
        for driver in list(self._open):
            driver.disown()

    def _closing(self) -> list[Running]:
        self._closed = True
        return self._all()

    def _all(self) -> list[Running]:
        return list(self._open)  # one step
