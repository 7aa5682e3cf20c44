"""The functions that lie below whatever was patched.

gevent replaces locks, threads and look-ups in a patched process, tools for tests replace clocks. Ours are the original
ones: a session made before ``patch_all()`` keeps working after it, and time limits end while the date stands still.
"""

from __future__ import annotations

import functools
import time
from _queue import Empty, SimpleQueue
from collections.abc import Callable
from typing import Any

import gevent.monkey

__all__ = [
    "Empty", "SimpleQueue", "ThreadLocal", "allocate_lock", "get_ident", "getaddrinfo", "monotonic", "reentrant_lock",
    "rest_clock", "start_new_thread", "thread_sleep",
]  # fmt: skip

get_ident: Callable[[], int]
get_ident, allocate_lock, reentrant_lock, start_new_thread, ThreadLocal = gevent.monkey.get_original(
    "_thread", ["get_ident", "allocate_lock", "RLock", "start_new_thread", "_local"]
)
monotonic: Callable[[], float] = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
"""For all that measures and limits time. freezegun puts its own function in the place of ``time.monotonic``, wherever a
module holds it, also under another name; this one it does not know."""
rest_clock: Callable[[], float] = functools.partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""For how long something has rested. Unlike :data:`monotonic`, it goes on while the machine sleeps, where there is such
a clock: the other side of a connection does not sleep with us."""
thread_sleep: Callable[[float], None] = gevent.monkey.get_original("time", "sleep")
"""For native threads. ``time.sleep`` would give the thread a hub in a patched process, which nobody ends."""
getaddrinfo: Callable[..., list[Any]] = gevent.monkey.get_original("socket", "getaddrinfo")
