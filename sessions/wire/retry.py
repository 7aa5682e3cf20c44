"""Whether to try again, and when.

The loop sits above signing, so that every attempt has a fresh date, endpoint and signature. Arithmetic as in botocore's
standard mode (exponential back-off with full jitter, and a quota that stops a session from hammering a server that
fails every time).
"""

from __future__ import annotations

import datetime
import email.utils
import random
import re
import time
from collections.abc import Callable, Mapping

from ai.backend.client.backoff import THROTTLED, Backoff, may_work_later
from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendError,
    ConnectionLost,
    ConnectTimeout,
    DeadlineExceeded,
    NeverSent,
)
from ai.backend.client.request import Request

BASE = 0.05
CAP = 20.0
"""Seconds: back-off *n* is a random part of ``min(BASE * 2**n, CAP)`` (botocore's values for transient errors)."""

THROTTLED_BASE = 1.0
"""The same after a 429 without ``Retry-After`` (botocore's value)."""

TRANSIENT = Backoff(BASE, CAP, jitter=1.0)
AFTER_THROTTLING = Backoff(THROTTLED_BASE, CAP, jitter=1.0)

RETRY_AFTER_CAP = 30.0
"""Longest ``Retry-After`` in seconds that is waited for; more fails at once, so that the caller can decide."""

QUOTA = 500
COST = 14
THROTTLE_COST = 5
REFUND = 1
"""botocore's retry quota: a bucket of 500 tokens. A retry takes 14 (after throttling 5), every success gives 1 back."""


class Quota:
    """A session-wide bucket of retry tokens. Hub side only."""

    def __init__(self, size: int = QUOTA) -> None:
        self._size = size
        self._left = size

    def take(self, cost: int) -> bool:
        """Take tokens if there are enough."""
        if self._left < cost:
            return False
        self._left -= cost
        return True

    def give(self, tokens: int = REFUND) -> None:
        """Put tokens back."""
        if self._left < self._size:
            self._left = min(self._left + tokens, self._size)


class RetryPolicy:
    """Decides what happens after a failed attempt. Hub side only.

    Args:
        quota: The session's quota.
        rng: Random number in [0, 1).
        now: Wall-clock seconds, for ``Retry-After`` dates.
    """

    def __init__(
        self, quota: Quota | None = None, rng: Callable[[], float] = random.random, now: Callable[[], float] = time.time
    ) -> None:
        self.quota = quota or Quota()
        self._rng = rng
        self._now = now

    def delay(
        self,
        request: Request,
        error: BackendError,
        attempts: int,
        retries: int,
        endpoints: int,
        headers: Mapping[str, str],
    ) -> float | None:
        """How long to wait before the next attempt.

        Args:
            request: What was sent.
            error: What came of it.
            attempts: How many attempts were made.
            retries: How many more than one are allowed.
            endpoints: How many endpoints there are. Each gets its chance at once, whatever ``retries`` says.
            headers: The answer's headers, if there was one.

        Returns:
            Seconds, or None to give up.
        """
        if not self._may_repeat(request, error):
            return None
        unreachable = isinstance(error, NeverSent | ConnectTimeout)
        if unreachable and attempts < endpoints:
            return 0.0
        if isinstance(error, ConnectionLost) and error.stale and attempts == 1:
            return 0.0
        if attempts > retries:
            return None
        throttled = isinstance(error, BackendAPIError) and error.status == THROTTLED
        asked = retry_after(headers, self._now()) if headers else None
        if asked is not None and asked > RETRY_AFTER_CAP:
            return None
        if not self.quota.take(THROTTLE_COST if throttled else COST):
            return None
        if asked is not None:
            return asked + self._rng() * BASE
        return (AFTER_THROTTLING if throttled else TRANSIENT).wait(attempts - 1, self._rng)

    def _may_repeat(self, request: Request, error: BackendError) -> bool:
        if isinstance(error, DeadlineExceeded) or not may_work_later(error):
            return False
        return was_not_handled(error) or request.idempotent


def was_not_handled(error: BackendError) -> bool:
    """Whether the server has done nothing for an attempt: it did not get it, or (429) had no time for it."""
    return isinstance(error, NeverSent | ConnectTimeout) or getattr(error, "status", None) == THROTTLED


_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?").fullmatch


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read ``Retry-After``: seconds, or an HTTP date.

    Args:
        headers: The answer's headers.
        now: Wall-clock seconds.

    Returns:
        Seconds from now, never negative; None when there is none, or none that makes sense.
    """
    text = (headers.get("Retry-After") or "").strip()
    if not text:
        return None
    if _SECONDS(text):
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(when.timestamp() - now, 0.0)
