"""Event streams: reading them, and connecting again when the connection ends before the stream does."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from ai.backend.client.actors.call import Options
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.backoff import Backoff, may_work_later
from ai.backend.client.exceptions import (
    BackendAPIError,
    InvalidReply,
    ProtocolError,
    ReadTimeout,
    StreamClosed,
)
from ai.backend.client.functions.streams.events import LAST_EVENT, EventsSpec
from ai.backend.client.functions.streams.sse import EventParser, SSEMessage
from ai.backend.client.functions.streams.stream import MAX_MESSAGE
from ai.backend.client.sessions.streams.byte_stream import body_reader, set_silence
from ai.backend.client.sessions.streams.driver import CHUNK, CLOSED_HERE, StreamDriver
from ai.backend.client.sessions.wire.failures import FAILURES, translate

CONTENT_TYPE = "text/event-stream"
NO_CONTENT = 204
"""The status with which a server tells that there will be no more events (WHATWG HTML, section 9.2.2)."""

SERVER_ERROR = 500

SHORTEST_WAIT = 1.0
"""Seconds before a new connection, at least. The manager sends ``retry: 5`` and means seconds, where the standard has
milliseconds: taken at its word it would be hammered."""

LONGEST_WAIT = 30.0
"""Seconds before a new connection, at most, whatever ``retry`` says and however many failed."""

OUTAGE_LIMIT = 300.0
"""Seconds without a healthy connection after which the stream ends in an error."""

HEALTHY = 30.0
"""Seconds that a connection without events must last to count as healthy."""


class EventsDriver(StreamDriver[SSEMessage]):
    """An event stream that runs.

    Attributes:
        reconnects: How many connections it had beyond the first.
    """

    def __init__(self, streams: Any, spec: EventsSpec, options: Options) -> None:
        super().__init__(streams, spec, options)
        self._reconnects = spec.reconnect
        self._wanted = spec.wanted
        self._parser = EventParser(MAX_MESSAGE)
        self._rng: Callable[[], float] = random.random
        self._failures = 0
        self._down_since: float | None = None
        self.reconnects = 0

    @property
    def last_event_id(self) -> str:
        """The latest event id."""
        return self._parser.last_event_id

    @staticmethod
    def size_of(item: SSEMessage) -> int:
        """Bytes that an event takes, roughly."""
        return len(item.data)

    def headers(self) -> Mapping[str, str]:
        """What the standard wants of a client (WHATWG HTML, section 9.2.3)."""
        headers = {"Accept": CONTENT_TYPE, "Cache-Control": "no-store"}
        if self._parser.last_event_id:
            # Header values are latin-1 text to the layers below; what goes out is UTF-8, as the standard has it.
            headers["Last-Event-ID"] = self._parser.last_event_id.encode().decode("latin-1")
        return headers

    def accept(self, raw: Any) -> None:
        """It must be an event stream; or a 204, which ends it."""
        if raw.status_code == NO_CONTENT:
            return
        kind = raw.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise InvalidReply(f"the answer is of type {kind[:80]!r}, not an event stream", raw.status_code)
        if raw.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise InvalidReply("the event stream is compressed, which nobody asked for", raw.status_code)

    def serve(self) -> BaseException | None:
        """Read, connection after connection."""
        while True:
            error = self._read_connection()
            if error is _OVER:
                return None
            if not self._reconnects:
                return error
            error = self._connect_again(error)
            if error is not None:
                return error

    def _read_connection(self) -> BaseException | None:
        """Read one connection to its end.

        Returns:
            What ended it, None for a clean end of the connection, :data:`_OVER` for the end of the stream.
        """
        if self._raw.status_code == NO_CONTENT:
            return _OVER
        self._parser.restart()
        set_silence(self._raw, self._options.timeout)
        read = body_reader(self._raw)
        began = monotonic()
        try:
            while data := read(CHUNK):
                for event in self._parser.feed(data):
                    self._recovered()
                    if self._wanted is not None and not self._wanted(event):
                        continue
                    if not self._channel.put(event) or event.event == LAST_EVENT:
                        return _OVER
            return None
        except ProtocolError as error:
            return self._located(error)
        except TimeoutError:
            return self._located(ReadTimeout(f"the server was silent for {self._options.timeout} s"))
        except FAILURES as failure:
            return self._located(translate(failure))
        finally:
            if monotonic() - began >= HEALTHY:
                self._recovered()

    def _recovered(self) -> None:
        self._failures = 0
        self._down_since = None

    def _connect_again(self, error: BaseException | None) -> BaseException | None:
        """Make a new connection, however many attempts that takes.

        Returns:
            None when there is one, else why there will be none.
        """
        if self._down_since is None:
            self._down_since = monotonic()
        while error is None or may_pass(error):
            self._disconnect()
            if monotonic() - self._down_since > OUTAGE_LIMIT:
                return error or InvalidReply("the server ends the event stream each time before an event", 200)
            self._reader.sleep(self._wait())
            call = self._submit(self._connect(), in_line=True)
            self._reader.wait(call)
            if call.cancelled():
                return StreamClosed(CLOSED_HERE)
            error = call.exception(0)
            if error is None:
                self.reconnects += 1
                return None
        return error

    def _wait(self) -> float:
        """Seconds to wait now: the server's wish, doubled with each failure, with jitter."""
        wish = max((self._parser.retry or 0) / 1000, SHORTEST_WAIT)
        wait = Backoff(wish, LONGEST_WAIT, jitter=0.5).wait(self._failures, self._rng)
        self._failures += 1
        return wait


class _Over(BaseException):
    """Type of the marker for the end of the stream."""


_OVER = _Over()


def may_pass(error: BaseException) -> bool:
    """Whether what ended or prevented a connection may be over by the next attempt: a server that fails, too."""
    return may_work_later(error) or (isinstance(error, BackendAPIError) and error.status >= SERVER_ERROR)
