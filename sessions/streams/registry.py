"""The streams of a session: how many there may be, what runs them, and their common end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ai.backend.client.actors.call import Options
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.originals import reentrant_lock
from ai.backend.client.exceptions import Overloaded, SessionClosed
from ai.backend.client.functions.streams.byte_stream import BytesSpec
from ai.backend.client.functions.streams.events import EventsSpec
from ai.backend.client.functions.streams.stream import StreamSpec
from ai.backend.client.functions.streams.tunnel import TunnelSpec
from ai.backend.client.functions.streams.websocket import WebSocketSpec
from ai.backend.client.sessions.streams.byte_stream import BytesDriver
from ai.backend.client.sessions.streams.driver import StreamDriver
from ai.backend.client.sessions.streams.events import EventsDriver
from ai.backend.client.sessions.streams.tunnel import TunnelDriver
from ai.backend.client.sessions.streams.websocket import SocketDriver

if TYPE_CHECKING:
    from ai.backend.client.sessions.runtime import Runtime

DRIVERS: Final[Mapping[type[StreamSpec], type[StreamDriver[Any]]]] = {
    BytesSpec: BytesDriver,
    EventsSpec: EventsDriver,
    TunnelSpec: TunnelDriver,
    WebSocketSpec: SocketDriver,
}
"""What runs which plan."""


class Streams:
    """The open streams of a session. ``make``, ``admit``, ``forget`` and ``start_parting`` are for any thread.

    Args:
        owner: The runtime.
        hub: Its hub.
        limit: How many streams may be open at once.
    """

    def __init__(self, owner: Runtime, hub: Hub, limit: int) -> None:
        self.owner = owner
        self.hub = hub
        self._limit = limit
        self._lock = (
            reentrant_lock()
        )  # of those who open one; the hub never takes it: they may be stopped with it  # guards what follows
        self._open: set[StreamDriver[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def make(self, plan: StreamSpec, options: Options) -> StreamDriver[Any]:
        """The running side of a stream, not yet open.

        Args:
            plan: What to open.
            options: Its limits.
        """
        return DRIVERS[type(plan)](self, plan, options)

    def admit(self, driver: StreamDriver[Any]) -> None:
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

    def forget(self, driver: StreamDriver[Any]) -> None:
        """A stream has ended, or never opened."""
        self._open.discard(driver)

    def start_parting(self) -> None:
        """The session is about to close, and has time: what streams have to do first are calls that it waits for."""
        for driver in self._all():
            driver.start_parting()

    def part(self) -> None:
        """The session closes: end the streams that have nothing left to do. In the hub's own greenlet."""
        for driver in self._closing():
            driver.part(SessionClosed("the session is closed"))

    def close(self) -> None:
        """End every stream. In the hub's own greenlet; may be repeated."""
        for driver in self._closing():
            driver.abort(SessionClosed("the session is closed"))

    def disown(self) -> None:
        """In a forked child: the streams are the parent's. Whoever waits for one here is told."""
        for driver in list(self._open):
            driver.disown()

    def _closing(self) -> list[StreamDriver[Any]]:
        self._closed = True
        return self._all()

    def _all(self) -> list[StreamDriver[Any]]:
        return list(self._open)  # one step
