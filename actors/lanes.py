"""Lanes: greenlets that do a session's waiting.

An actor never waits, so what must wait (an HTTP exchange, a job in a native thread) is handed to a lane. Lanes grow on
demand up to a limit; what finds none free stands in line. A call in line costs about 2 KiB, a lane with its connection
about 10 KiB.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

from ai.backend.client.actors.call import Call
from ai.backend.client.actors.hub import Hub, Timer
from ai.backend.client.actors.offload import Abandoned

IDLE_LIMIT = 30.0
"""Seconds after which a lane that had nothing to do ends."""


class Interrupted(RuntimeError):
    """Ctrl-C ended the lane that worked on a call. No fault of anybody's."""


class Lane:
    """One greenlet, working on one call at a time."""

    __slots__ = ("call", "greenlet", "step")

    def __init__(self) -> None:
        self.call: Call | None = None
        self.step: Any = None
        self.greenlet: Any = None


class Lanes:
    """The lanes of a session.

    For code in the hub's own greenlet (actors, timers), which gets control back when a lane waits.

    Args:
        hub: Where they live.
        limit: How many there may be.
        work: Called on a lane with a call and its step; may wait, must deliver the outcome itself, must let
            :class:`Abandoned` through.
        failed: Called when ``work`` raised anything else.
    """

    def __init__(
        self,
        hub: Hub,
        limit: int,
        work: Callable[[Call, Any], object],
        failed: Callable[[Call, BaseException], object],
    ) -> None:
        self._hub = hub
        self._limit = limit
        self._work = work
        self._failed = failed
        self._closed = False
        self._all: set[Lane] = set()
        self._idle: list[Lane] = []
        self._line: collections.OrderedDict[Call, Any] = collections.OrderedDict()
        self._reaper: Timer | None = None
        self._least_idle = 0

    def __len__(self) -> int:
        return len(self._all)

    def run(self, call: Call, step: Any) -> None:
        """Do a step of a call on a lane, now or when one is free. Returns when the lane waits for the first time."""
        if self._idle:
            lane = self._idle.pop()
            if len(self._idle) < self._least_idle:
                self._least_idle = len(self._idle)
        elif len(self._all) < self._limit:
            lane = Lane()
            lane.greenlet = self._hub.greenlet(lambda: self._serve(lane))
            self._all.add(lane)
        else:
            self._line[call] = step
            return
        lane.call = call
        lane.step = step
        call.lane = lane
        lane.greenlet.switch()

    def _serve(self, lane: Lane) -> None:
        hub = self._hub
        line = self._line
        try:
            while True:
                call, step = lane.call, lane.step
                if call is not None:
                    try:
                        self._work(call, step)
                    except Abandoned:
                        if self._closed:
                            raise
                    except BaseException as error:
                        self._failed(call, error)
                    call.lane = None
                call = step = lane.call = lane.step = None
                if line:
                    call, step = line.popitem(last=False)
                    lane.call, lane.step = call, step
                    call.lane = lane
                else:
                    self._idle.append(lane)
                    if self._reaper is None:
                        self._least_idle = 0
                        self._reaper = hub.later(IDLE_LIMIT, self._reap, ref=False)
                    hub.park()
        except Abandoned:
            pass
        finally:
            # An interrupt may end a lane anywhere: nobody must be handed to it any more, nor be left with it.
            self._all.discard(lane)
            if lane in self._idle:
                self._idle.remove(lane)
            if lane.call is not None and not self._closed:
                self._failed(lane.call, Interrupted("Ctrl-C ended the lane"))

    def abandon(self, call: Call) -> None:
        """Stop working on a call that has ended.

        Its connection is closed by whoever holds it, since an exception passes.
        """
        if self._line.pop(call, None) is not None:
            return
        lane = call.lane
        if lane is not None and lane.call is call:
            call.lane = None
            lane.greenlet.throw(Abandoned)

    def _reap(self) -> None:
        """End the lanes that nobody needed since the last time."""
        self._reaper = None
        spare = min(self._least_idle, len(self._idle))
        surplus, self._idle[:spare] = self._idle[:spare], []
        for lane in surplus:
            lane.greenlet.throw(Abandoned)
        self._least_idle = len(self._idle)
        if self._all:
            self._reaper = self._hub.later(IDLE_LIMIT, self._reap, ref=False)

    def stop(self) -> None:
        """Start nothing more: what stands in line is dropped, and a lane whose call is abandoned ends."""
        self._closed = True
        self._line.clear()

    def close(self) -> None:
        """End every lane, whatever it does."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        self.stop()
        for lane in list(self._all):
            lane.greenlet.throw(Abandoned)
        self._idle.clear()
