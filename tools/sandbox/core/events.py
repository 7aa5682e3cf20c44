"""Events of compute sessions, for the streams that listen to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

MAX_WAITING: Final = 1000
"""Events kept for one listener that does not read; the oldest are dropped beyond."""


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        name: For example ``session_started``.
        data: What is sent.
        scope: What listeners choose by.
    """

    name: str
    data: Mapping[str, Any]
    scope: Mapping[str, Any] = field(default_factory=dict)


class EventHub:
    """Hands events to whoever listens at that moment."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def send(self, event: Event) -> None:
        """Tell every listener."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def end(self) -> None:
        """Tell every listener that nothing comes any more."""
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Event | None]]:
        """Events from now on; None is the end."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(MAX_WAITING)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
