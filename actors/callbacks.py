"""Where users' done-callbacks run: never on the hub, which every call of the session shares.

A hub with a thread of its own gets a daemon thread beside it, started by the first callback. On a hub of the caller's
the callbacks run in a greenlet there, because code of a patched process expects to stay in its thread.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.originals import allocate_lock, get_ident, start_new_thread

IDLE_LIMIT = 5.0
"""Seconds without a callback after which the worker's thread ends; the next callback starts another."""

_log = logging.getLogger("ai.backend.client.actors.callbacks")


class CallbackWorker:
    """Runs functions one after the other; an error in one is logged and does not stop the next.

    :meth:`submit` is for any thread.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._queue: collections.deque[Callable[[], object]] = collections.deque()
        self._lock = allocate_lock()  # guards _running
        self._running = False
        self._worker: int | None = None
        self._idle_limit = IDLE_LIMIT
        self._ticket = allocate_lock()  # released once per burst; the worker's sleep
        self._ticket.acquire()

    def submit(self, function: Callable[[], object]) -> None:
        """Run a function soon."""
        self._queue.append(function)
        with self._lock:
            if self._running:
                if self._ticket.locked():
                    self._ticket.release()
                return
            self._running = True
        if self._hub.own_thread:
            start_new_thread(self._serve, ())
        elif self._hub.is_current():
            self._start_greenlet()
        else:
            self._hub.call(self._start_greenlet)

    def _start_greenlet(self) -> None:
        self._hub.run_callback(self._hub.greenlet(self._run_all_once).switch)

    def _run_all_once(self) -> None:
        while True:
            self._run_queue()
            with self._lock:
                if not self._queue:
                    self._running = False
                    return

    def is_current(self) -> bool:
        """Whether the calling code runs in a callback."""
        return self._worker == get_ident()

    def _serve(self) -> None:
        self._worker = get_ident()
        while True:
            self._run_queue()
            if self._ticket.acquire(True, self._idle_limit):
                continue
            with self._lock:
                if not self._queue:
                    self._worker = None  # the next thread may get the same ident
                    self._running = False
                    return

    def _run_queue(self) -> None:
        while self._queue:
            function = self._queue.popleft()
            try:
                function()
            except BaseException as error:
                _log.error("a callback failed", exc_info=error)
            del function  # what it holds must not live until the next callback

    def close(self) -> None:
        """End the worker when it has nothing left to do. Callbacks that come later still run."""
        with self._lock:
            self._idle_limit = 0.0
            if self._running and self._ticket.locked():
                self._ticket.release()
