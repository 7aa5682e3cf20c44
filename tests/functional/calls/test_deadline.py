"""Every call ends by its deadline, wherever it is at that moment."""

from __future__ import annotations

import time
from functools import partial

import pytest

from ai.backend.client.exceptions import CallTimeout, DeadlineExceeded, ReadTimeout
from support.asking import ask, is_answer, submit
from support.recipes import Probe
from support.waiting import soon

DEADLINE = 0.2


def timed(runtime, thunk):
    start = time.monotonic()
    with soon():
        outcome = runtime.outcome(thunk)
    return outcome, time.monotonic() - start


def test_a_call_on_the_wire_ends_by_its_deadline(runtime, echo, make_config, unique):
    name = unique("never")
    with runtime.session(make_config(echo)) as session:
        outcome, elapsed = timed(runtime, partial(ask, session.with_options(deadline=DEADLINE), name))
        assert isinstance(outcome, DeadlineExceeded)
        assert elapsed >= DEADLINE
        assert (outcome.method, outcome.path, outcome.endpoint) == ("GET", f"/session/{name}", echo.url)
        assert outcome.attempts == 1
        assert DEADLINE * 0.9 <= outcome.elapsed <= elapsed


def test_a_queued_call_ends_by_its_deadline_and_is_never_sent(runtime, echo, make_config, unique):
    first, second, third = unique("never"), unique(), unique()
    with runtime.session(make_config(echo, lanes=1)) as session:
        running = submit(session, first)
        echo.until_seen(first)
        outcome, elapsed = timed(runtime, partial(ask, session.with_options(deadline=DEADLINE), second))
        assert isinstance(outcome, DeadlineExceeded)
        assert elapsed >= DEADLINE
        running.cancel()
        assert is_answer(third, runtime.value(partial(ask, session, third)))
    assert echo.seen(second) == 0


def test_the_configured_deadline_holds_for_every_call(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo, deadline=DEADLINE)) as session:
        outcome, _ = timed(runtime, partial(ask, session, unique("never")))
    assert isinstance(outcome, DeadlineExceeded)


def test_a_deadline_spans_the_requests_of_a_recipe(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(deadline=DEADLINE)
        thunk = partial(view.bind(Probe).many, *(unique("d80") for _ in range(20)))
        outcome, _ = timed(runtime, thunk)
    assert isinstance(outcome, DeadlineExceeded)


def test_a_deadline_spans_the_retries(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(deadline=DEADLINE, retries=50)
        outcome, _ = timed(runtime, partial(ask, view, unique("s503")))
    assert isinstance(outcome, Exception)


def test_a_silent_server_is_a_read_timeout(runtime, echo, make_config, unique):
    name = unique("never")
    with runtime.session(make_config(echo, retries=0)) as session:
        outcome, elapsed = timed(runtime, partial(ask, session.with_options(timeout=DEADLINE), name))
    assert isinstance(outcome, ReadTimeout)
    assert elapsed >= DEADLINE
    assert outcome.path == f"/session/{name}"


def test_late_calls_do_not_disturb_others(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo, lanes=8)) as session:
        hasty = session.with_options(deadline=0.05)
        names = [unique("d100") for _ in range(8)]
        thunks = [partial(ask, hasty, unique("never")) for _ in range(8)] + [
            partial(ask, session, name) for name in names
        ]
        outcomes = runtime.outcomes(thunks)
    assert all(isinstance(outcome, CallTimeout) for outcome in outcomes[:8])
    assert all(is_answer(name, outcome) for name, outcome in zip(names, outcomes[8:], strict=True))


def test_the_wait_of_result_is_not_the_call_s_deadline(runtime, echo, make_config, unique):
    """`result(timeout)` gives up waiting; the call goes on."""
    name = unique("d300")
    with runtime.session(make_config(echo)) as session:
        future = submit(session, name)
        with pytest.raises(TimeoutError) as caught:
            future.result(0.05)
        assert not isinstance(caught.value, CallTimeout)
        assert not future.done()
        assert is_answer(name, runtime.wait(future))
