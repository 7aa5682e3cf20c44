"""Where users' done-callbacks run: never on the hub, which every call of the session shares.

A hub with a thread of its own gets a daemon thread beside it, started by the first callback. On a hub of the caller's
the callbacks run in a greenlet there, because code of a patched process expects to stay in its thread.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

import greenlet

from ai.backend.client.actors.hub import Hub, quietly
from ai.backend.client.actors.originals import Empty, SimpleQueue, start_new_thread
from ai.backend.client.actors.waiting import ThreadWaiter

IDLE_LIMIT = 5.0
"""Seconds without a callback after which the worker's thread ends; the next callback starts another."""


class CallbackWorker:
    """Runs functions one after the other; an error in one is logged and does not stop the next.

    :meth:`submit` is for any thread.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._queue = SimpleQueue[Callable[[], object]]()
        self._free = collections.deque([None])  # one token: whoever serves the queue has it
        self._turn: object = object()
        self._called_for: object = None
        self._worker: object = None  # the greenlet that serves the queue: of its thread, where there is one
        self._idle_limit = IDLE_LIMIT

    def submit(self, function: Callable[[], object]) -> None:
        """Run a function soon."""
        self._queue.put(function)
        turn = self._turn
        if self._called_for is not turn:  # see Hub.schedule
            if self._hub.own_thread:
                start_new_thread(self._serve, ())
            elif self._hub.is_current():
                self._start_greenlet()
            else:
                self._hub.call(self._start_greenlet)
            self._called_for = turn

    def is_current(self) -> bool:
        """Whether the calling code runs in a callback."""
        return self._worker is not None and self._worker is greenlet.getcurrent()

    def _start_greenlet(self) -> None:
        self._hub.run_callback(self._hub.greenlet(lambda: self._work(0.0)).switch)

    def _serve(self) -> None:
        self._work(self._idle_limit)

    def _work(self, idle_limit: float) -> None:
        while not self._queue.empty():
            try:
                self._free.pop()
            except IndexError:
                return  # whoever serves looks once more when it has given the token back
            try:
                self._worker = greenlet.getcurrent()
                self._run_queue(idle_limit)
            finally:
                self._worker = None
                self._turn = object()
                self._free.append(None)

    def _run_queue(self, idle_limit: float) -> None:
        while True:
            try:
                function = self._queue.get(idle_limit > 0, min(idle_limit, self._idle_limit))
            except Empty:
                return
            try:
                function()
            except BaseException as error:
                self._hub.note(error, "a callback failed")
            del function  # what it holds must not live until the next callback

    def emit(self, write: Callable[[], object]) -> None:
        """:attr:`Hub.emit`: write to a log soon."""
        self.submit(lambda: quietly(write))

    def drain(self, timeout: float) -> None:
        """Wait until all that was submitted has run, for a time. In a native thread that is not the worker's."""
        if self._called_for is not None and not self.is_current():
            waiting = ThreadWaiter()
            self.submit(waiting.wake)
            waiting.wait(timeout)

    def close(self) -> None:
        """End the worker when it has nothing left to do. Callbacks that come later still run."""
        self._idle_limit = 0.0
        self._queue.put(_nothing)  # ends the wait of a worker that is idle


def _nothing() -> None:
    return None
