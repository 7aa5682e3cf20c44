"""The retry policy: what may be repeated, how long to wait, and when to stop."""

from __future__ import annotations

import datetime
import email.utils

import pytest
from requests.structures import CaseInsensitiveDict

from ai.backend.client import exceptions as ours
from ai.backend.client.request import Request
from ai.backend.client.sessions.wire.retry import (
    BASE,
    CAP,
    COST,
    QUOTA,
    REFUND,
    RETRY_AFTER_CAP,
    THROTTLE_COST,
    THROTTLED_BASE,
    Quota,
    RetryPolicy,
    retry_after,
)

NOW = 1_700_000_000.0
ALMOST_ONE = 0.999
GET = Request("GET", "/x")
POST = Request("POST", "/x")
SAFE_POST = Request("POST", "/x", idempotent=True)
UNSAFE_GET = Request("GET", "/x", idempotent=False)


def http_date(seconds):
    return email.utils.formatdate(NOW + seconds, usegmt=True)


def stale():
    error = ours.ConnectionLost("gone")
    error.stale = True
    return error


def api_error(status, kind=""):
    return ours.BackendAPIError(status, "", {"type": f"https://api.backend.ai/probs/{kind}"})


def decide(error, request=GET, attempts=1, retries=2, endpoints=1, headers=None, policy=None, rng=ALMOST_ONE):
    policy = policy or RetryPolicy(rng=lambda: rng, now=lambda: NOW)
    return policy.delay(request, error, attempts, retries, endpoints, headers or {})


# -- Retry-After ------------------------------------------------------------------------------------------------------

TEN_YEARS = 10 * 365 * 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("120", 120.0),
        ("999999999", 999999999.0),
        (str(TEN_YEARS), float(TEN_YEARS)),
        (http_date(20), 20.0),
        (http_date(-20), 0.0),
        (http_date(0), 0.0),
        (http_date(TEN_YEARS), float(TEN_YEARS)),
        (http_date(20).replace("GMT", "+0000"), 20.0),
        (http_date(20).replace("GMT", "-0000"), 20.0),
        (http_date(20).replace("GMT", ""), 20.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sun Nov  6 08:49:37 1994", 0.0),
    ],
)
def test_a_pause_that_makes_sense_is_understood(text, seconds):
    assert retry_after({"Retry-After": text}, NOW) == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "-1",
        "-0.5",
        "+5",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1e3",
        "0x10",
        "1_000",
        "5 s",
        "12,5",
        "1, 2",
        "soon",
        "²",
        "99999999999999999999",
        "Fri, 99 Foo 2030 25:61:61 GMT",
        "Mon, 01 Jan 10000 00:00:00 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2030 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 2030 99999999999999999999:00:00 GMT",
        "\x00",
        "a" * 10_000,
        "9" * 10_000,
    ],
)
def test_a_pause_that_makes_no_sense_is_no_pause(text):
    assert retry_after({"Retry-After": text}, NOW) is None


def test_no_header_is_no_pause():
    assert retry_after({}, NOW) is None


def test_a_date_is_read_in_its_own_time_zone():
    when = datetime.datetime.fromtimestamp(NOW + 15, datetime.timezone(datetime.timedelta(hours=9)))
    assert retry_after({"Retry-After": email.utils.format_datetime(when)}, NOW) == pytest.approx(15)


@pytest.mark.parametrize(("text", "wait"), [("0", 0.0), ("7", 7.0), (http_date(12), 12.0), (http_date(-100), 0.0)])
def test_the_server_s_pause_is_kept_with_a_little_jitter(text, wait):
    for rng in (0.0, ALMOST_ONE):
        delay = decide(api_error(429), headers=CaseInsensitiveDict({"retry-after": text}), rng=rng)
        assert delay == pytest.approx(wait + rng * BASE, abs=0.001)


def test_a_pause_is_waited_for_up_to_the_cap_and_no_further():
    at_cap = decide(api_error(503), headers={"Retry-After": str(int(RETRY_AFTER_CAP))}, rng=0.0)
    assert at_cap == RETRY_AFTER_CAP
    assert decide(api_error(503), headers={"Retry-After": str(RETRY_AFTER_CAP + 0.5)}) is None
    assert decide(api_error(429), headers={"Retry-After": http_date(TEN_YEARS)}) is None


def test_a_pause_that_is_too_long_takes_nothing_from_the_quota():
    quota = Quota(COST)
    policy = RetryPolicy(quota, rng=lambda: 0.0, now=lambda: NOW)
    assert decide(api_error(503), headers={"Retry-After": "3600"}, policy=policy) is None
    assert quota.take(COST)


@pytest.mark.parametrize("text", ["nan", "-1", "soon", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
def test_nonsense_falls_back_to_the_own_back_off(text):
    assert decide(api_error(503), headers={"Retry-After": text}, rng=0.5) == 0.5 * BASE


# -- what may be repeated ---------------------------------------------------------------------------------------------

NEVER_SENT = [ours.NeverSent("no"), ours.ConnectTimeout("no")]
MAYBE_SENT = [ours.ConnectionLost("lost"), ours.ReadTimeout("silent"), *map(api_error, (408, 425, 502, 503, 504))]
FINAL = [
    ours.TLSError("no"),
    ours.ProtocolError("no"),
    ours.InvalidReply("no"),
    ours.DeadlineExceeded("no"),
    ours.BackendClientError("no"),
    ours.InvalidArgument("x", 1, "no"),
    ours.SessionClosed("no"),
    ours.Overloaded("no"),
    ours.ActorCrashed("no"),
    *map(api_error, (400, 401, 403, 404, 405, 409, 412, 500, 501, 505, 507)),
    api_error(503, "server-frozen"),
    api_error(503, "not-implemented"),
]


def name_of(value):
    if isinstance(value, ours.BackendAPIError):
        return f"{value.status}-{value.type.rpartition('/')[2]}".rstrip("-")
    if isinstance(value, Request):
        return f"{value.method}-{'idempotent' if value.idempotent else 'once'}"
    return type(value).__name__


every_request = pytest.mark.parametrize("request_", [GET, POST, SAFE_POST, UNSAFE_GET], ids=name_of)


@every_request
@pytest.mark.parametrize("error", NEVER_SENT, ids=name_of)
def test_what_was_never_sent_is_repeated_whatever_it_is(request_, error):
    assert decide(error, request_) is not None


@every_request
@pytest.mark.parametrize("error", MAYBE_SENT, ids=name_of)
def test_what_may_have_arrived_is_repeated_only_if_that_does_no_harm(request_, error):
    assert (decide(error, request_) is not None) is request_.idempotent


@every_request
def test_what_was_throttled_was_not_done_and_is_repeated(request_):
    assert decide(api_error(429), request_) is not None


@every_request
@pytest.mark.parametrize("error", FINAL, ids=name_of)
def test_what_another_attempt_will_not_change_is_not_repeated(request_, error):
    assert decide(error, request_) is None


@pytest.mark.parametrize("body", [None, [], "text", {"type": None}, {"type": 5}, {}, b"\xff<html>"], ids=repr)
def test_an_answer_of_any_shape_is_judged_by_its_status(body):
    assert decide(ours.BackendAPIError(503, "", body)) is not None
    assert decide(ours.BackendAPIError(500, "", body)) is None


def test_attempts_are_counted():
    outcomes = [decide(ours.ReadTimeout("silent"), attempts=attempts, retries=2) is None for attempts in (1, 2, 3, 4)]
    assert outcomes == [False, False, True, True]
    assert decide(ours.ReadTimeout("silent"), attempts=1, retries=0) is None


@pytest.mark.parametrize("error", NEVER_SENT, ids=name_of)
def test_every_endpoint_gets_its_chance_at_once_whatever_the_number_of_retries(error):
    outcomes = [decide(error, POST, attempts=attempts, retries=0, endpoints=3) for attempts in (1, 2, 3)]
    assert outcomes == [0.0, 0.0, None]


def test_other_endpoints_are_no_reason_to_repeat_what_may_have_arrived():
    assert decide(ours.ConnectionLost("lost"), POST, endpoints=3) is None
    assert decide(ours.ConnectionLost("lost"), GET, retries=0, endpoints=3) is None


def test_a_connection_that_the_server_had_given_up_is_replaced_at_once_and_once():
    assert decide(stale(), retries=0) == 0.0
    assert decide(stale(), attempts=2, retries=0) is None
    assert decide(stale(), POST, retries=2) is None
    assert decide(ours.ConnectionLost("lost"), retries=0) is None


# -- how long ---------------------------------------------------------------------------------------------------------


def test_the_back_off_doubles_up_to_its_cap_and_is_a_random_part_of_that():
    expected = [min(BASE * 2**number, CAP) for number in range(12)]
    for rng in (0.0, 0.5, ALMOST_ONE):
        waits = [decide(ours.ReadTimeout("silent"), attempts=n + 1, retries=99, rng=rng) for n in range(12)]
        assert waits == pytest.approx([rng * limit for limit in expected])


def test_a_throttled_call_waits_longer():
    waits = [decide(api_error(429), attempts=attempts, retries=99, rng=0.5) for attempts in (1, 2, 3, 10)]
    assert waits == pytest.approx([0.5 * THROTTLED_BASE, THROTTLED_BASE, 2 * THROTTLED_BASE, 0.5 * CAP])


def test_the_back_off_stays_at_its_cap_however_many_attempts_were_made():
    assert decide(ours.ReadTimeout("silent"), attempts=5000, retries=10_000, rng=0.5) == 0.5 * CAP


# -- the quota --------------------------------------------------------------------------------------------------------


def test_a_retry_costs_and_an_empty_bucket_ends_the_retries():
    policy = RetryPolicy(rng=lambda: 0.0, now=lambda: NOW)
    granted = 0
    while decide(api_error(503), policy=policy) is not None:
        granted += 1
    assert granted == QUOTA // COST
    assert decide(api_error(503), policy=policy) is None


def test_a_retry_after_throttling_is_cheaper():
    policy = RetryPolicy(rng=lambda: 0.0, now=lambda: NOW)
    granted = 0
    while decide(api_error(429), policy=policy) is not None:
        granted += 1
    assert granted == QUOTA // THROTTLE_COST


def test_successes_earn_retries_back_up_to_the_bucket_s_size():
    quota = Quota(2 * COST)
    assert [quota.take(COST) for _ in range(3)] == [True, True, False]
    for _ in range(COST - 1):
        quota.give()
    assert not quota.take(COST)
    quota.give()
    assert quota.take(COST)
    for _ in range(1000):
        quota.give()
    assert [quota.take(COST) for _ in range(3)] == [True, True, False]
    quota.give(10_000)
    assert [quota.take(COST) for _ in range(3)] == [True, True, False]
    assert REFUND == 1


@pytest.mark.parametrize(
    ("error", "attempts", "endpoints"),
    [(ours.TLSError("no"), 1, 1), (ours.ReadTimeout("silent"), 3, 1), (ours.NeverSent("no"), 1, 2), (stale(), 1, 1)],
    ids=["final", "too many attempts", "next endpoint", "stale connection"],
)
def test_what_is_given_up_or_free_takes_nothing_from_the_quota(error, attempts, endpoints):
    quota = Quota(COST)
    policy = RetryPolicy(quota, rng=lambda: 0.0, now=lambda: NOW)
    decide(error, attempts=attempts, endpoints=endpoints, policy=policy)
    assert quota.take(COST)
