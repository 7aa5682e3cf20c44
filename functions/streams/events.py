"""Event streams (Server-sent events)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, cast

from ai.backend.client.functions.base import M
from ai.backend.client.functions.streams.sse import SSEMessage
from ai.backend.client.functions.streams.stream import Stream, StreamSpec, stream_request
from ai.backend.client.request import Request

__all__ = ["EventsSpec", "SSEContextManager", "SSEMessage", "SSEResponse"]

LAST_EVENT = "server_close"
"""Type of the event after which Backend.AI closes for good: the client must not connect again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSpec(StreamSpec):
    """An event stream.

    Attributes:
        reconnect: Whether to connect again when the connection ends before ``server_close``.
        wanted: Which events the stream is about, where the server sends others, too. Called on the hub. None: all.
    """

    reconnect: bool = True
    wanted: Callable[[SSEMessage], bool] | None = None


class _EventsDriver(Protocol):
    last_event_id: str
    reconnects: int


class SSEResponse(Stream[M, SSEMessage]):
    """An event stream: yields :class:`SSEMessage` objects.

    It ends after the event ``server_close``. When the connection ends before that, or the server is silent for longer
    than ``timeout`` (Backend.AI sends a comment every 15 s), it connects again: after the server's ``retry`` time
    (at least 1 s, 1 s by default), then twice as long each time up to 30 s, with the ``Last-Event-ID`` if there is
    one. What happened meanwhile is lost unless the server replays it, which Backend.AI does not: see
    :attr:`reconnects`. It gives up, and raises the latest error, after 5 minutes without a connection, and at once
    when the server refuses for good (a status of 4xx).
    """

    @classmethod
    def of_request(cls, request: Request, reconnect: bool) -> Self:
        """See :meth:`Request.connect_events <ai.backend.client.request.Request.connect_events>`."""
        spec = EventsSpec(
            function="connect_events",
            actor="Request",
            request=lambda: stream_request(request),
            reconnect=reconnect,
        )
        return cls(request.session, spec)

    @property
    def last_event_id(self) -> str:
        """The latest id that the server gave to an event; empty when it gave none (Backend.AI gives none)."""
        driver = cast("_EventsDriver | None", self._made)
        return "" if driver is None else driver.last_event_id

    @property
    def reconnects(self) -> int:
        """How many times the connection was lost and made again. Events may be missing each time."""
        driver = cast("_EventsDriver | None", self._made)
        return 0 if driver is None else driver.reconnects

    @property
    def status(self) -> int | None:
        """HTTP status of the answer, None before the stream is open."""
        return None if self.raw_response is None else int(self.raw_response.status_code)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer; empty before the stream is open."""
        headers: Mapping[str, str] = {} if self.raw_response is None else self.raw_response.headers
        return headers

    def fetch_events(self) -> Self:
        """The vendor's spelling of iterating: the stream itself."""
        return self


SSEContextManager = SSEResponse
"""The vendor has a context manager of its own; here the stream is one."""
