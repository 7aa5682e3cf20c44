"""Which failures of a transfer may pass, how often in a row they are borne, and how long to wait."""

from __future__ import annotations

import random
from collections.abc import Callable

from ai.backend.client.backoff import Backoff, may_work_later
from ai.backend.client.exceptions import BackendError, InvalidReply, ProtocolError
from ai.backend.client.functions.base import Pause

PAUSES = Backoff(first=0.02, longest=5.0, jitter=0.5)
"""After a break: the vendor's values in 23.09."""


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
        pause = PAUSES.wait(self._count, self._rng)
        self._count += 1
        return Pause(pause)


def may_pass(error: BackendError) -> bool:
    """Whether the same may work later: an answer that broke off in the middle of a file, too."""
    is_garbled = isinstance(error, ProtocolError) and not isinstance(error, InvalidReply)
    return is_garbled or may_work_later(error)
