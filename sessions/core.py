"""What the facades of one session share. It is also what is left when the last of them has been dropped."""

from __future__ import annotations

import os
import warnings
from typing import NamedTuple

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.originals import allocate_lock
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import SessionClosed
from ai.backend.client.sessions.runtime import Runtime


class Closing(NamedTuple):
    """A runtime that closes, and the future that is settled when nothing is left of it."""

    runtime: Runtime
    future: CallFuture[None]


class Core:
    """What a session and its views share: the configuration, and the runtime once there is one. Any thread."""

    def __init__(self, config: APIConfig, probes: bool) -> None:
        self.config = config
        self.closed = False
        self._probes = probes
        self._lock = allocate_lock()
        self._pid = os.getpid()
        self.runtime: Runtime | None = None

    def open_runtime(self) -> Runtime:
        """The runtime of this process, made if need be."""
        runtime = self.runtime
        if runtime is not None and runtime.pid == os.getpid():
            return runtime
        if self._pid != os.getpid():
            # A forked child: the parent's runtime is none of ours, nor is a lock that a thread of the parent may have
            # held.
            self._lock = allocate_lock()
            self._pid = os.getpid()
            self.runtime = None
        with self._lock:
            if self.closed:
                raise SessionClosed("the session is closed")
            if self.runtime is None:
                self.runtime = Runtime(self.config, self._probes)
            return self.runtime

    def start_closing(self, timeout: float) -> Closing | None:
        """Refuse new calls and start closing the runtime, if there is one in this process."""
        with self._lock if self._pid == os.getpid() else allocate_lock():
            self.closed = True
            runtime = self.runtime
        if runtime is None or runtime.pid != os.getpid():
            return None
        return Closing(runtime, runtime.close(timeout))


def dropped(core: Core, text: str) -> None:
    """A session was garbage-collected: clean up after it. May run on any thread, so it waits for nothing."""
    runtime = core.runtime
    if runtime is None or core.closed or runtime.pid != os.getpid():
        return
    core.closed = True
    runtime.close(0)
    warnings.warn(f"{text} was not closed", ResourceWarning, stacklevel=2)
