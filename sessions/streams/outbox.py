"""What waits to be sent over one connection, and the greenlet that sends it while there is anything."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.greenlets import HubGreenlet
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.offload import Abandoned

H = TypeVar("H")

OUTGOING_HIGH = 1 << 20
"""Bytes waiting to be sent with which nothing more is read: a server whose pings nobody lets us answer must wait."""

BLOCK = 1 << 18
"""Bytes of small messages that are written at once."""


class Outbox(Generic[H]):
    """Blocks of bytes on their way to a connection, in order. Hub side only.

    What is put in before the connection is there is *held*, in a form of the caller's.

    Args:
        hub: Where its greenlet lives.
        broken: Called in that greenlet with what was raised when the connection would take no more.

    Attributes:
        size: Bytes that wait, what is held included.
    """

    def __init__(self, hub: Hub, broken: Callable[[BaseException], object]) -> None:
        self._hub = hub
        self._broken = broken
        self._sock: Any = None
        self._held: list[tuple[H, int, CallFuture[Any]]] = []
        self._waiting: collections.deque[tuple[bytes, CallFuture[Any] | None]] = collections.deque()
        self._sending: list[CallFuture[Any]] = []  # of what the greenlet is at
        self._writer: HubGreenlet | None = None
        self._drain: CallFuture[None] | None = None
        self.size = 0

    @property
    def is_writing(self) -> bool:
        """Whether the greenlet is at work."""
        return self._writer is not None

    def hold(self, item: H, size: int, future: CallFuture[Any]) -> None:
        """Keep something until the connection is there."""
        self._held.append((item, size, future))
        self.size += size

    def open(self, sock: Any) -> list[tuple[H, CallFuture[Any]]]:
        """The connection is there.

        Args:
            sock: Where the bytes go.

        Returns:
            What was held.
        """
        self._sock = sock
        held, self._held = self._held, []
        self.size -= sum(size for _, size, _ in held)
        return [(item, future) for item, _, future in held]

    def put(self, data: bytes, future: CallFuture[Any] | None = None) -> None:
        """Send bytes when it is their turn.

        Args:
            data: The bytes.
            future: Settled when the system has taken them.
        """
        self._waiting.append((data, future))
        self.size += len(data)
        if self._writer is None:
            self._writer = HubGreenlet(self._hub, self._write)
            self._writer.start()

    def wait(self, greenlet: HubGreenlet, left: int) -> None:
        """In a greenlet: wait until no more than ``left`` bytes wait, or nothing is written any more."""
        while self.size > left and self._writer is not None:
            if self._drain is None:
                self._drain = CallFuture[None]()
            greenlet.wait(self._drain)

    def _write(self) -> None:
        try:
            while self._waiting:
                block = self._next_block()
                self._sock.sendall(block)
                self.size -= len(block)
                sent, self._sending = self._sending, []
                for future in sent:
                    self._hub.soon(future.settle, None, None)
                if self.size <= OUTGOING_HIGH // 2:
                    self._drained()
        except Abandoned:
            raise
        except BaseException as error:  # noqa: BLE001  # what was cut here must not be followed by anything
            self._broken(error)
        finally:
            self._writer = None

    def _next_block(self) -> bytes:
        blocks: list[bytes] = []
        size = 0
        while self._waiting and (not blocks or size + len(self._waiting[0][0]) <= BLOCK):
            data, future = self._waiting.popleft()
            blocks.append(data)
            size += len(data)
            if future is not None:
                self._sending.append(future)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _drained(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None:
            drain.settle(None, None)

    def discard(self, error: BaseException) -> None:
        """The connection takes nothing more: drop what waits, and let go on whoever waits for room."""
        self.refuse(error)
        self.size = 0
        self._drained()

    def refuse(self, error: BaseException | None) -> None:
        """Drop what waits. Its futures get the error. In a forked child, too."""
        queued = (future for _, future in self._waiting if future is not None)
        refused = [*self._sending, *queued, *(future for _, _, future in self._held)]
        self._sending.clear()
        self._waiting.clear()
        self._held.clear()
        for future in refused:
            future.settle(None, error)

    def stop(self) -> None:
        """End the greenlet, in the hub's own. Nothing is sent any more."""
        if self._writer is not None:
            self._writer.stop()
        self._broken = _nothing  # what it belongs to holds this object: no cycle is left to be collected


def _nothing(_: object) -> None:
    return None
