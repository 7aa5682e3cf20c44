"""What the facades of one session share. It is also what is left when the last of them has been dropped."""

from __future__ import annotations

import os
import warnings
from typing import NamedTuple

from ai.backend.client.actors import process
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.originals import reentrant_lock
from ai.backend.client.actors.waiting import in_event_loop
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import SessionClosed
from ai.backend.client.functions.server import Server
from ai.backend.client.sessions.runtime import Runtime


class Closing(NamedTuple):
    """A runtime that closes, and the future that is settled when nothing is left of it."""

    runtime: Runtime
    future: CallFuture[None]


class Core:
    """What a session and its views share: what is known of the server, and the runtime once there is one."""

    def __init__(self, config: APIConfig, probes: bool) -> None:
        self.config = config
        self.server = Server(config)
        self.closed = False
        self._probes = probes
        self._lock = reentrant_lock()  # a signal handler may use the session that the same thread is opening
        self._pid = os.getpid()
        self.runtime: Runtime | None = None

    def open_runtime(self) -> Runtime:
        """The runtime of this process, made if need be."""
        runtime = self.runtime
        if runtime is not None and runtime.pid == os.getpid() and not (runtime.closing and process.exiting):
            return runtime
        if self._pid != os.getpid():
            # A forked child: the parent's runtime is none of ours, nor is a lock that a thread of the parent may have
            # held.
            self._lock = reentrant_lock()
            self._pid = os.getpid()
            self.runtime = None
        with self._lock:
            if self.closed:
                raise SessionClosed("the session is closed")
            runtime = self.runtime
            if runtime is not None and not (runtime.closing and process.exiting):
                return runtime
            if process.exiting:
                _check_exit()
            made = Runtime(self.server, self._probes)
            meanwhile = self.runtime
            if meanwhile is not runtime and meanwhile is not None:  # opened by a signal handler in this thread
                made.close(0)
                return meanwhile
            self.runtime = made
            return made

    def start_closing(self, timeout: float) -> Closing | None:
        """Refuse new calls and start closing the runtime, if there is one in this process."""
        with self._lock if self._pid == os.getpid() else reentrant_lock():
            self.closed = True
            runtime = self.runtime
        if runtime is None or runtime.pid != os.getpid():
            return None
        return Closing(runtime, runtime.close(timeout))


def _check_exit() -> None:
    """Who calls while the interpreter exits needs a hub on the thread that calls."""
    if not process.on_main_thread():
        raise SessionClosed("the interpreter exits: only its main thread can still make calls")
    if in_event_loop():
        raise SessionClosed("the interpreter exits: calls can still be made, but not in an event loop: use Session")


def dropped(core: Core, text: str) -> None:
    """A session was garbage-collected: clean up after it. May run on any thread, so it waits for nothing."""
    runtime = core.runtime
    if runtime is None or core.closed or runtime.pid != os.getpid():
        return
    core.closed = True
    runtime.close(0)
    warnings.warn(f"{text} was not closed", ResourceWarning, stacklevel=2)
