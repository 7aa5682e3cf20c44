"""What servers of streams do in tests: endless, counted, slow, silent."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

from support.servers.faults import Connection, RawRequest, Step, head
from support.servers.websocket_peer import CLOSE, PING, PONG, Peer, close, frame, text, upgrade

EVENT_STREAM = {"Content-Type": "text/event-stream"}


class Counter:
    """A number that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def add(self, number: int = 1) -> None:
        with self._lock:
            self.value += number


def event(data: str, kind: str | None = None, **fields: object) -> bytes:
    """An event as the manager sends it."""
    lines = [] if kind is None else [f"event: {kind}"]
    lines += [f"data: {data}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def events(*data: bytes, then: Callable[[Connection], object] | None = None) -> Step:
    """An event stream that begins with these bytes, and ends after `then`."""

    def step(connection: Connection, request: RawRequest) -> None:
        connection.send(head(headers=EVENT_STREAM) + b"".join(data))
        if then is not None:
            then(connection)

    return step


def wait_for_close(connection: Connection) -> None:
    """Keep the stream open until the client closes it."""
    connection.wait_for_close()


def numbered_events(sent: Counter, padding: int = 0, limit: int | None = None) -> Step:
    """Events `0 xxx…`, `1 xxx…`, … as fast as the client takes them."""

    def step(connection: Connection, request: RawRequest) -> None:
        connection.send(head(headers=EVENT_STREAM))
        with contextlib.suppress(OSError):
            for number in _numbers(limit):
                data = event(f"{number} {'x' * padding}")
                connection.send(data)
                sent.add()

    return step


def numbered_messages(sent: Counter, padding: int = 0, limit: int | None = None) -> Step:
    """The same as messages of a WebSocket, which is closed behind the last."""

    def then(peer: Peer) -> None:
        with contextlib.suppress(OSError):
            for number in _numbers(limit):
                peer.send(text(f"{number} {'x' * padding}"))
                sent.add()
            peer.send(close())
            peer.read_all()

    return upgrade(then)


def _numbers(limit: int | None) -> Iterator[int]:
    return iter(range(limit)) if limit is not None else itertools.count()


def echo(peer: Peer) -> None:
    """Answer every message with itself, every ping with a pong, and a close with a close."""
    while (received := peer.read()) is not None:
        if received.opcode == CLOSE:
            peer.send(close(received.code))
            return
        if received.opcode == PING:
            peer.send(frame(PONG, received.data))
        elif received.opcode != PONG:
            peer.send(frame(received.opcode, received.data))


def until_closed(peer: Peer) -> None:
    """Say nothing, answer pings, until the client closes."""
    while (received := peer.read()) is not None:
        if received.opcode == PING:
            peer.send(frame(PONG, received.data))
        elif received.opcode == CLOSE:
            peer.send(close(received.code))
            return
