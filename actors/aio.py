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
        self._signalled = False

    def post(self, waiting: asyncio.Future[None]) -> None:
        """End a future of that loop. Nothing happens when the loop was closed."""
        self._queue.append(waiting)
        if self._signalled:
            return
        self._signalled = True
        loop = self._loop()
        try:
            if loop is None:
                raise RuntimeError("the loop is gone")
            loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            self._signalled = False
            self._queue.clear()

    def _deliver(self) -> None:
        self._signalled = False
        queue = self._queue
        while queue:
            waiting = queue.popleft()
            if not waiting.done():
                waiting.set_result(None)


_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = weakref.WeakKeyDictionary()


def bridge_to(loop: asyncio.AbstractEventLoop) -> Bridge:
    """The one bridge into a loop. Call it in that loop."""
    bridge = _bridges.get(loop)
    if bridge is None:
        bridge = _bridges[loop] = Bridge(loop)
    return bridge
