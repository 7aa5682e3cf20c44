"""How an asyncio loop waits for the hub: one wake-up of the loop per burst of results, not one per result."""

from __future__ import annotations

import asyncio
import collections
import weakref


class Bridge:
    """The way from the hub into one asyncio loop. ``post`` is for any thread, the rest runs in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._queue: collections.deque[asyncio.Future[None]] = collections.deque()
        self._turn: object = object()
        self._rung_for: object = None

    def post(self, waiting: asyncio.Future[None]) -> None:
        """End a future of that loop. Nothing happens when the loop was closed."""
        self._queue.append(waiting)
        turn = self._turn
        if self._rung_for is not turn:  # see Hub.schedule
            loop = self._loop()
            if loop is None or loop.is_closed():
                self._queue.clear()
                return
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                if not loop.is_closed():  # code that ran meanwhile, a signal handler's
                    raise
            self._rung_for = turn

    def _deliver(self) -> None:
        self._turn = object()
        queue = self._queue
        try:
            while queue:
                waiting = queue[0]
                if not waiting.done():
                    waiting.set_result(None)
                queue.popleft()  # only now: an interrupt loses nothing
        finally:
            loop = self._loop()
            if queue and loop is not None:
                loop.call_soon(self._deliver)


_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = weakref.WeakKeyDictionary()


def bridge_to(loop: asyncio.AbstractEventLoop) -> Bridge:
    """The one bridge into a loop. Call it in that loop."""
    bridge = _bridges.get(loop)
    if bridge is None:
        bridge = _bridges[loop] = Bridge(loop)
    return bridge
