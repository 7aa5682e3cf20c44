"""The hubs of this process: what happens to them when the interpreter exits, and in a forked child."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

from ai.backend.client.actors.originals import monotonic

if TYPE_CHECKING:
    from ai.backend.client.actors.hub import Hub

EXIT_LIMIT = 5.0
"""Seconds that the interpreter's exit waits for live hubs. Exits while callers are busy crashed without it."""

_log = logging.getLogger("ai.backend.client.actors.process")

exiting = False
"""Whether the interpreter exits, and the hubs that had a thread have been stopped. Those who call later (functions that
were registered with ``atexit`` before this module was) get a hub on their own thread: native ones cannot run on."""

_live: set[Hub] = set()
_abandoned: list[Hub] = []  # what a forked child inherited; held for ever, so that it is never finalised


def register(hub: Hub) -> None:
    """A hub runs."""
    _live.add(hub)


def forget(hub: Hub) -> None:
    """A hub has ended."""
    _live.discard(hub)


def on_main_thread() -> bool:
    """Whether the calling thread is the process's first one."""
    # By its native id, which on Linux is the process's: gevent's patching gives threading.main_thread() another ident.
    return sys.platform == "linux" and threading.get_native_id() == os.getpid()


def _stop_all() -> None:
    global exiting
    exiting = True
    hubs = [hub for hub in list(_live) if hub.pid == os.getpid() and hub.own_thread]
    for hub in hubs:
        hub.stop()
    limit = monotonic() + EXIT_LIMIT
    for hub in hubs:
        hub.join(limit - monotonic())


def _after_fork_in_child() -> None:
    """The child has a copy of every hub and no thread to run it: it must only drop what it shares with the parent."""
    for hub in list(_live):
        _live.discard(hub)
        _abandoned.append(hub)
        try:
            hub.disown()
        except Exception as error:
            _log.error("a forked child could not let go of its parent's session", exc_info=error)


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
