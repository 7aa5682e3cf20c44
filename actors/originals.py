"""The functions that lie below whatever was patched.

gevent replaces locks, threads and look-ups in a patched process. Ours are the original ones, so that a session made
before ``patch_all()`` keeps working after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent.monkey

get_ident: Callable[[], int]
get_ident, allocate_lock, start_new_thread = gevent.monkey.get_original(
    "_thread", ["get_ident", "allocate_lock", "start_new_thread"]
)
monotonic: Callable[[], float] = time.monotonic
thread_sleep: Callable[[float], None] = gevent.monkey.get_original("time", "sleep")
"""For native threads. ``time.sleep`` would give the thread a hub in a patched process, which nobody ends."""
getaddrinfo: Callable[..., list[Any]] = gevent.monkey.get_original("socket", "getaddrinfo")
