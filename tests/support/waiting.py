"""Waiting for what happens, with a limit, and promises about time that a busy machine cannot break.

No test may fail because the machine is busy, so there are three kinds of promises about time, and no other:

* *not before*: `elapsed >= seconds`; a busy machine only adds to it.
* *without waiting for that*: what must not be waited for takes :data:`NEVER` seconds or has no end, and the block
  stands in :func:`soon`. A defect costs all of it, the right thing what the machine needs.
* *between two moments*: :func:`at_some_pace` tries the same with longer and longer times. A defect fails at each pace.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

LIMIT = 60.0
"""Seconds that nothing healthy needs, however busy the machine is: only a hang gets there."""
NEVER = 2 * LIMIT
"""Seconds of what must not be waited for."""
PAUSES = 0.002, 0.05
"""Seconds between two looks, the first and the longest: who waits long must not keep busy what it waits for."""
PACES = (1.0, 3.0, 10.0, 30.0)
"""What times are multiplied by until the machine keeps up."""


def until(
    condition: Callable[[], object], what: str, limit: float = LIMIT, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Poll until `condition()` is true; `sleep` is how the caller's kind waits.

    Raises:
        AssertionError: It was still false after `limit` seconds; the text says what was waited for.
    """
    deadline = time.monotonic() + limit
    pause, longest = PAUSES
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit} s in vain until {what}"
        sleep(pause)
        pause = min(pause * 1.5, longest)


@contextlib.contextmanager
def soon(limit: float = LIMIT) -> Iterator[None]:
    """The block ends in less than `limit` seconds: it waits for nothing of :data:`NEVER`."""
    start = time.monotonic()
    yield
    elapsed = time.monotonic() - start
    assert elapsed < limit, f"took {elapsed:.1f} s"


def settled(measure: Callable[[], Any], quiet: float = 0.4) -> Any:
    """What `measure` gives once it has not changed for `quiet` seconds.

    That is never certain: a busy machine may only have halted it. Use it where an early value makes no test fail.
    """
    value, since = measure(), time.monotonic()
    while time.monotonic() < since + quiet:
        time.sleep(quiet / 20)
        if (latest := measure()) != value:
            value, since = latest, time.monotonic()
    return value


def at_some_pace(check: Callable[[float], object]) -> None:
    """`check(pace)` holds when all its times are multiplied by `pace`, for one pace at least."""
    for pace in PACES[:-1]:
        try:
            check(pace)
        except Exception:
            continue
        return
    check(PACES[-1])
