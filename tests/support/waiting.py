"""Waiting for a condition, with a limit, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT = 10.0
"""Seconds that nothing healthy needs: only a hang gets there."""
PAUSE = 0.005


def until(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Poll until `condition()` is true.

    Raises:
        AssertionError: It was still false after `limit` seconds; the text says what was waited for.
    """
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit} s in vain until {what}"
        time.sleep(PAUSE)
