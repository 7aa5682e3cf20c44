"""The kinds of streams, and what runs each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.actors.call import Options
from ai.backend.client.functions.streams.byte_stream import BytesSpec
from ai.backend.client.functions.streams.events import EventsSpec
from ai.backend.client.functions.streams.stream import StreamSpec
from ai.backend.client.functions.streams.tunnel import TunnelSpec
from ai.backend.client.functions.streams.websocket import WebSocketSpec
from ai.backend.client.sessions.streams.byte_stream import BytesDriver
from ai.backend.client.sessions.streams.driver import StreamDriver
from ai.backend.client.sessions.streams.events import EventsDriver
from ai.backend.client.sessions.streams.registry import Streams
from ai.backend.client.sessions.streams.tunnel import TunnelDriver
from ai.backend.client.sessions.streams.websocket import SocketDriver

DRIVERS: Final[Mapping[type[StreamSpec], type[StreamDriver[Any]]]] = {
    BytesSpec: BytesDriver,
    EventsSpec: EventsDriver,
    TunnelSpec: TunnelDriver,
    WebSocketSpec: SocketDriver,
}
"""What runs which spec."""


def make_driver(streams: Streams, spec: StreamSpec, options: Options) -> StreamDriver[Any]:
    """The running side of a stream, not yet open. Any thread.

    Args:
        streams: The streams of its session.
        spec: What to open.
        options: Its limits.
    """
    return DRIVERS[type(spec)](streams, spec, options)
