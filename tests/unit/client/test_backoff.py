"""Back-off: the waits between attempts, and what is worth another one."""

from __future__ import annotations

import pytest

from ai.backend.client import exceptions as ours
from ai.backend.client.backoff import Backoff, may_work_later

ALMOST_ONE = 0.999


def test_waits_grow_by_the_factor_up_to_the_longest():
    assert [Backoff(0.5, 30).wait(failures) for failures in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [Backoff(1, 100, factor=3).wait(failures) for failures in range(6)] == [1, 3, 9, 27, 81, 100]
    assert Backoff(60, 30).wait(0) == 30


def test_jitter_is_the_part_that_is_random():
    for rng in (0.0, 0.5, ALMOST_ONE):
        assert Backoff(1, 30, jitter=1).wait(2, lambda rng=rng: rng) == pytest.approx(4 * rng)
        assert Backoff(1, 30, jitter=0.5).wait(2, lambda rng=rng: rng) == pytest.approx(2 + 2 * rng)
        assert Backoff(1, 30).wait(2, lambda rng=rng: rng) == 4


def test_no_number_of_failures_is_too_large():
    assert Backoff(0.02, 5).wait(10**6) == 5
    assert Backoff(1, 1e300, factor=1e9).wait(10**6) <= 1e300


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ours.NeverSent("x"), True),
        (ours.ConnectionLost("x"), True),
        (ours.ConnectTimeout("x"), True),
        (ours.ReadTimeout("x"), True),
        (ours.DeadlineExceeded("x"), True),
        *((ours.BackendAPIError(status, "", {}), True) for status in (408, 425, 429, 502, 503, 504)),
        *((ours.BackendAPIError(status, "", {}), False) for status in (400, 401, 404, 409, 500, 501)),
        (ours.BackendAPIError(503, "", {"type": "https://api.backend.ai/probs/server-frozen"}), False),
        (ours.InvalidReply("x"), False),
        (ours.ProtocolError("x"), False),
        (ours.TLSError("x"), False),
        (ours.SessionClosed("x"), False),
        (ours.InvalidArgument("x", 1, "no"), False),
        (TimeoutError("x"), False),
        (ValueError("x"), False),
    ],
    ids=repr,
)
def test_what_may_work_later(error, verdict):
    assert may_work_later(error) is verdict
