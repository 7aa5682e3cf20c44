"""The heartbeat of a WebSocket: a silent server is pinged, and the stream ends when it stays silent."""

from __future__ import annotations

from collections.abc import Callable

from ai.backend.client.actors.hub import Hub, Timer
from ai.backend.client.actors.originals import monotonic

PING_INTERVAL = 30.0
"""Seconds between pings to a silent server at most (the vendor's heartbeat); half of ``limit`` where that is less."""


class Heartbeat:
    """Measures the server's silence. Hub side only.

    Not while the reader of the stream does not read: then it is we who do not listen. Nor while bytes wait to be sent:
    a server that does not read cannot have seen the ping.

    Args:
        hub: Where its timer runs.
        limit: Seconds that the server may be silent; None: for ever.
        is_sending: Whether bytes wait to be sent.
        ping: Sends a ping; False when that makes no sense any more.
        silent: Called once, when the server was silent for too long.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        hub: Hub,
        limit: float | None,
        is_sending: Callable[[], bool],
        ping: Callable[[], bool],
        silent: Callable[[], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._hub = hub
        self._limit = limit
        self._interval = PING_INTERVAL if limit is None else min(PING_INTERVAL, limit / 2)
        self._is_sending = is_sending
        self._ping = ping
        self._silent = silent
        self._clock = clock
        self._heard = 0.0
        self._listening = False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._heard = self._clock()
        self._beat_in(self._interval)

    def stop(self) -> None:
        """Measure no longer. May be repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_sending = self._ping = _no
        self._silent = _no  # what it belongs to holds this object: no cycle is left to be collected

    def listen(self) -> None:
        """The reader asks the connection for more; before that it was the reader of the stream that did not listen."""
        self._heard = self._clock()
        self._listening = True

    def heard(self) -> None:
        """Something has come, or the connection has ended."""
        self._listening = False
        self._heard = self._clock()

    def _beat_in(self, seconds: float) -> None:
        self._timer = self._hub.later(seconds, self._beat, ref=False)

    def _beat(self) -> None:
        self._timer = None
        pause = self._interval
        if self._listening and not self._is_sending():
            silence = self._clock() - self._heard
            if self._limit is not None and silence >= self._limit:
                self._silent()
                return
            if silence < self._interval:
                pause -= silence
            elif not self._ping():
                return
            elif self._limit is not None:
                pause = min(pause, self._limit - silence)
        self._beat_in(pause)


def _no() -> bool:
    return False
