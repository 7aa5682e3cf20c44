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

from support.waiting import LIMIT, NEVER, settled, soon, until

__all__ = [
    "LIMIT",
    "NEVER",
    "CancelledError",
    "config",
    "descriptors",
    "held",
    "kind_of",
    "mark",
    "memory",
    "session",
    "settled",
    "soon",
    "stats",
    "tasks",
    "until",
    "until_back_to",
]


def config(endpoint: str | None = None, **options: Any) -> Any:
    """A configuration for the server whose URL is the script's first argument."""
    from ai.backend.client.actors import process
    from ai.backend.client.config import APIConfig

    process.EXIT_LIMIT = NEVER  # an exit that waits is told from one that takes its time on a busy machine
    return APIConfig(**{"endpoint": endpoint or sys.argv[1], "access_key": "AK", "secret_key": "SK", **options})


def session(kind: str = "Session", endpoint: str | None = None, **options: Any) -> Any:
    """A session for that server, not opened."""
    from ai.backend.client import session as module

    return getattr(module, kind)(config=config(endpoint, **options))


def stats() -> dict[str, Any]:
    """What the echo server (the script's first argument) has counted."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", int(sys.argv[1].rpartition(":")[2]), timeout=LIMIT)
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


def held() -> tuple[int, int]:
    """Descriptors and threads of this process, once they have settled: the kernel ends a thread after its join."""
    return settled(descriptors), settled(tasks)


def until_back_to(before: tuple[int, int], spare: int = 0) -> None:
    """Wait until no more than `spare` is held beyond what :func:`held` told before."""
    until(
        lambda: descriptors() <= before[0] + spare and tasks() <= before[1] + spare,
        f"no more than {before} and {spare} is held",
    )


def memory() -> float:
    """Resident memory in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
