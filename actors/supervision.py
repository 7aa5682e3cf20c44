"""How many crashes are too many."""

from __future__ import annotations

import collections
from collections.abc import Callable

from ai.backend.client.actors.originals import monotonic

INTENSITY = 10
PERIOD = 5.0
"""At most ``INTENSITY`` restarts in ``PERIOD`` seconds. The window is the one of Erlang/OTP supervisors; they allow one
restart, for processes that do one job each, while one of our actors serves thousands of calls."""


class RestartBudget:
    """Restart intensity in the sense of Erlang/OTP: with more crashes than this in the window, restarts do not help.

    Args:
        intensity: How many restarts are allowed in the window.
        period: Length of the sliding window, in seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, intensity: int = INTENSITY, period: float = PERIOD, clock: Callable[[], float] = monotonic
    ) -> None:
        self._intensity = intensity
        self._period = period
        self._clock = clock
        self._crashes: collections.deque[float] = collections.deque()

    def spend(self) -> bool:
        """Record a crash.

        Returns:
            Whether the actor may be restarted.
        """
        now = self._clock()
        crashes = self._crashes
        crashes.append(now)
        while crashes and crashes[0] <= now - self._period:
            crashes.popleft()
        return len(crashes) <= self._intensity
