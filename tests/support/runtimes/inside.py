"""What scripts run by `support.runtimes.scripts` have at hand."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from support.waiting import until

__all__ = [
    "CancelledError",
    "config",
    "descriptors",
    "kind_of",
    "mark",
    "memory",
    "session",
    "stats",
    "steady",
    "tasks",
    "until",
]


def config(endpoint: str | None = None, **options: Any) -> Any:
    """A configuration for the server whose URL is the script's first argument."""
    from ai.backend.client.config import APIConfig

    return APIConfig(**{"endpoint": endpoint or sys.argv[1], "access_key": "AK", "secret_key": "SK", **options})


def session(kind: str = "Session", endpoint: str | None = None, **options: Any) -> Any:
    """A session for that server, not opened."""
    from ai.backend.client import session as module

    return getattr(module, kind)(config=config(endpoint, **options))


def stats() -> dict[str, Any]:
    """What the echo server (the script's first argument) has counted."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", int(sys.argv[1].rpartition(":")[2]), timeout=10)
    ) as connection:
        connection.request("GET", "/_control/stats")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer


def mark(name: str, value: object | None = None) -> None:
    """Print a line for the test to read; without a value the time."""
    sys.stdout.write(f"{name} {time.time() if value is None else value}\n")
    sys.stdout.flush()


def kind_of(call: Callable[[], Any]) -> str:
    """Name of the exception that `call` raises, or `ok`."""
    try:
        call()
    except BaseException as error:
        return type(error).__name__
    return "ok"


def descriptors() -> int:
    """Open descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1


def tasks() -> int:
    """Operating system threads of this process."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def memory() -> float:
    """Resident memory in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def steady(measure: Callable[[], int], quiet: float = 0.3) -> int:
    """What `measure` gives once it has not changed for a while: the kernel ends a thread a little after its join."""
    value, since = measure(), time.monotonic()
    while time.monotonic() < since + quiet:
        time.sleep(0.01)
        if measure() != value:
            value, since = measure(), time.monotonic()
    return value
