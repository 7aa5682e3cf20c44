"""Which failures of a transfer may pass, how often in a row they are borne, and how long to wait."""

from __future__ import annotations

import random
from collections.abc import Callable

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendError,
    CallTimeout,
    ConnectionFailed,
    InvalidReply,
    ProtocolError,
)
from ai.backend.client.functions.base import Pause

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 5.0
"""Seconds after a break, doubled with each further one: the vendor's values in 23.09."""

DOUBLINGS = 8
"""After so many the pause is the longest."""

BUSY = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses after which the same may work later."""


class Patience:
    """How often in a row a transfer may break.

    Args:
        breaks: That often.
        rng: Random number in [0, 1).
    """

    def __init__(self, breaks: int, rng: Callable[[], float] = random.random) -> None:
        self._breaks = breaks
        self._rng = rng
        self._count = 0

    def renew(self) -> None:
        """Bytes have arrived since the latest break."""
        self._count = 0

    def after(self, error: BackendError, is_break: bool | None = None) -> Pause:
        """What to do after a break: wait.

        Args:
            error: What happened.
            is_break: Whether it is one; default: as :func:`may_pass` says.

        Raises:
            BackendError: It is none, or there were too many.
        """
        if self._count >= self._breaks or not (may_pass(error) if is_break is None else is_break):
            raise error
        pause = min(FIRST_PAUSE * 2 ** min(self._count, DOUBLINGS), LONGEST_PAUSE)
        self._count += 1
        return Pause(pause * (0.5 + self._rng() / 2))


def may_pass(error: BackendError) -> bool:
    """Whether the same may work later."""
    if isinstance(error, BackendAPIError):
        return error.status in BUSY
    return isinstance(error, ConnectionFailed | CallTimeout | ProtocolError) and not isinstance(error, InvalidReply)
