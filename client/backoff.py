"""How long to wait before the same is tried again, and whether that makes sense at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from ai.backend.client.exceptions import BackendAPIError, CallTimeout, ConnectionFailed

THROTTLED = 429
BUSY = frozenset({408, 425, THROTTLED, 502, 503, 504})
"""Statuses after which the same may work later: the server, or one in front of it, had no time."""

PERMANENT_PROBLEMS = frozenset({"server-frozen", "not-implemented"})
"""Last part of the ``type`` of 503 answers that no time will change."""

MOST_STEPS = 32
"""Failures that make a wait longer: beyond, every wait has long been the longest, and no number grows too large."""


class Backoff(NamedTuple):
    """Waits that grow with each failure in a row.

    Attributes:
        first: Seconds after the first failure.
        longest: Seconds at most.
        jitter: How much of each wait is random: 0 nothing, 1 all of it. Clients that failed together must not come back
            together.
        factor: By how much each wait is longer than the one before.
    """

    first: float
    longest: float
    jitter: float = 0.0
    factor: float = 2.0

    def wait(self, failures: int, rng: Callable[[], float] = random.random) -> float:
        """Seconds to wait.

        Args:
            failures: How many there were in a row before the latest one.
            rng: Random number in [0, 1).
        """
        seconds = min(self.first * self.factor ** min(failures, MOST_STEPS), self.longest)
        return seconds * (1 - self.jitter + self.jitter * rng()) if self.jitter else seconds


def may_work_later(error: BaseException) -> bool:
    """Whether what failed may work later, though nothing is changed: nobody answered, or who did was too busy.

    It does not tell whether it may be done twice.
    """
    if isinstance(error, BackendAPIError):
        return error.status in BUSY and error.type.rpartition("/")[2] not in PERMANENT_PROBLEMS
    return isinstance(error, ConnectionFailed | CallTimeout)
