"""The event-stream format (WHATWG HTML, section 9.2 "Server-sent events"), without I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ai.backend.client.exceptions import ProtocolError

BOM = b"\xef\xbb\xbf"
LINE_ENDS = b"\r\n"
DEFAULT_TYPE = "message"
MAX_RETRY_DIGITS = 9
"""Digits of a ``retry`` that are taken seriously: 31 years."""


class SSEMessage:
    """One event. Also reads like a mapping, as with 19.09: ``event["data"]``.

    Attributes:
        event: Its type, ``message`` when the server named none.
        data: Its data, lines joined with line feeds; JSON in all events of Backend.AI.
        id: The id that came with it, None when none did.
        retry: The reconnection time that came with it, as sent; None when none did.
    """

    __slots__ = ("data", "event", "id", "retry")

    def __init__(self, event: str, data: str, id: str | None = None, retry: int | None = None) -> None:
        self.event = event
        self.data = data
        self.id = id
        self.retry = retry

    def json(self) -> Any:
        """The data as JSON.

        Raises:
            ValueError: It is none.
        """
        try:
            return json.loads(self.data)
        except RecursionError:
            raise ValueError("the data is not JSON: it is nested too deeply") from None

    def keys(self) -> list[str]:
        """Names of what it has: ``event`` and ``data``, and ``id`` and ``retry`` where the server sent them."""
        return [name for name in ("event", "data", "id", "retry") if getattr(self, name) is not None]

    def __getitem__(self, name: str) -> Any:
        if name in self.__slots__ and getattr(self, name) is not None:
            return getattr(self, name)
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As for a mapping."""
        value = getattr(self, name) if name in self.__slots__ else None
        return default if value is None else value

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SSEMessage):
            return NotImplemented
        return (self.event, self.data, self.id, self.retry) == (other.event, other.data, other.id, other.retry)

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def __repr__(self) -> str:
        shown = self.data if len(self.data) <= 80 else f"{self.data[:80]}..."
        return f"<SSEMessage {self.event} {shown!r}>"


class EventParser:
    """Turns the bytes of an event stream into events.

    Args:
        limit: Bytes that one event may have.

    Attributes:
        last_event_id: What a client that connects again has to send as ``Last-Event-ID``; empty: nothing.
        retry: The latest reconnection time that the server gave, in its own number (milliseconds by the standard).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.last_event_id = ""
        self.retry: int | None = None
        self.restart()

    def restart(self) -> None:
        """A new connection begins: whatever is incomplete is dropped, as the standard wants it."""
        self._at_start = True
        self._after_cr = False
        self._partial = bytearray()  # the line that has no end yet
        self._id = self.last_event_id
        self._clear()

    def _clear(self) -> None:
        self._type = ""
        self._data = bytearray()  # one block: millions of short lines take no more room than their bytes
        self._given: str | None = None  # the id that this event came with
        self._retry: int | None = None

    def feed(self, data: bytes) -> Iterator[SSEMessage]:
        """Take what arrived. To be iterated to its end.

        Yields:
            The events that are complete now.

        Raises:
            ProtocolError: An event is longer than the limit.
        """
        if self._at_start:
            data = self._without_bom(data)
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return
        lines = data.splitlines()  # of bytes: at \n, \r and \r\n, and nowhere else
        rest = b""
        if data[-1] in LINE_ENDS:
            self._after_cr = data[-1:] == b"\r"  # the \n that may follow belongs to it
        else:
            rest = lines.pop()
        for line in lines:
            event = self._take_line(self._completed(line) if self._partial else line)
            if event is not None:
                yield event
        self._partial += rest
        self._check_size()

    def _check_size(self) -> None:
        if len(self._partial) + len(self._data) > self._limit:
            raise ProtocolError(f"an event is longer than {self._limit} bytes")

    def _completed(self, line: bytes) -> bytes:
        """The line whose beginning came earlier."""
        self._partial += line
        whole = bytes(self._partial)
        self._partial.clear()
        return whole

    def _without_bom(self, data: bytes) -> bytes:
        """The stream's first bytes, held back as long as they may be the beginning of a byte order mark."""
        data = bytes(self._partial + data)
        self._partial.clear()
        if len(data) < len(BOM) and BOM.startswith(data):
            self._partial += data
            return b""
        self._at_start = False
        return data.removeprefix(BOM)

    def _take_line(self, line: bytes) -> SSEMessage | None:
        """Take a line; returns the event that it ends."""
        if not line:
            return self._dispatch()
        name, _, raw = line.partition(b":")
        if raw[:1] == b" ":
            raw = raw[1:]
        if name == b"data":
            self._data += raw
            self._data += b"\n"
            self._check_size()
        elif name == b"event":
            self._type = raw.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in raw:
                self._given = self._id = raw.decode("utf-8", "replace")
        elif name == b"retry" and raw.isdigit() and len(raw) <= MAX_RETRY_DIGITS:
            self._retry = self.retry = int(raw)
        # Anything else is ignored; a line that begins with a colon is a comment, as keep-alive pings are.
        return None

    def _dispatch(self) -> SSEMessage | None:
        self.last_event_id = self._id
        event = None
        if self._data:
            data = self._data[:-1].decode("utf-8", "replace")
            event = SSEMessage(self._type or DEFAULT_TYPE, data, self._given, self._retry)
        self._clear()
        return event
