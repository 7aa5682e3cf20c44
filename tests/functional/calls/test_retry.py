"""What is sent again, how often, and when it is better to fail at once."""

from __future__ import annotations

import time
from functools import partial

import pytest

from ai.backend.client.exceptions import BackendAPIError, ConnectionFailed, ConnectionLost, SessionClosed
from ai.backend.client.sessions.wire.pool import IDLE_LIMIT
from support.asking import ask, is_answer, post, submit
from support.recipes import Probe
from support.runtimes.calling import available
from support.servers.echo import EchoServer
from support.servers.faults import once_per_connection, reply
from support.waiting import LIMIT, NEVER, soon, until

PAUSE = 1.0
"""Seconds that the server asks for in `ra1`."""
ONE_RUNTIME = pytest.mark.parametrize("runtime", available()[:1], indirect=True)
"""For what takes its time and is the same for every caller."""


def test_an_idempotent_call_is_repeated_when_the_server_is_busy(runtime, echo, make_config, unique):
    name = unique("s503x1")
    with runtime.session(make_config(echo)) as session:
        assert is_answer(name, runtime.value(partial(ask, session, name)))
    assert echo.seen(name) == 2


def test_retries_are_limited(runtime, echo, make_config, unique):
    name = unique("s503")
    with runtime.session(make_config(echo, retries=2)) as session:
        outcome = runtime.outcome(partial(ask, session, name))
    assert isinstance(outcome, BackendAPIError)
    assert (outcome.status, outcome.title) == (503, name)
    assert outcome.attempts == 3
    assert echo.seen(name) == 3


def test_a_post_is_not_sent_over_a_connection_that_rested_too_long(runtime, server, make_config, monkeypatch):
    """What stands between may have forgotten it, and the answer to a POST would be waited for in vain."""
    now = [1000.0]
    monkeypatch.setattr("ai.backend.client.sessions.wire.pool.rest_clock", lambda: now[0])
    server.script(once_per_connection(reply({"result": {"status": "finished"}})))
    with runtime.session(make_config(server, read_timeout=5)) as session:
        for _ in range(2):
            now[0] += IDLE_LIMIT + 1
            assert runtime.value(partial(post, session, "x"))
    assert server.connections == 3, "the one of the probe, and one for each call"


@ONE_RUNTIME
@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_statuses_that_pass_are_repeated(runtime, echo, make_config, unique, status):
    name = unique(f"s{status}x1")
    with runtime.session(make_config(echo)) as session:
        assert is_answer(name, runtime.value(partial(ask, session, name)))


@ONE_RUNTIME
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 412, 501])
def test_statuses_that_stay_are_not_repeated(runtime, echo, make_config, unique, status):
    name = unique(f"s{status}")
    with runtime.session(make_config(echo)) as session:
        outcome = runtime.outcome(partial(ask, session, name))
    assert isinstance(outcome, BackendAPIError)
    assert (outcome.status, outcome.attempts) == (status, 1)
    assert echo.seen(name) == 1


def test_a_post_is_sent_once_when_the_server_may_have_acted(runtime, echo, make_config, unique):
    """A 5xx may come after the deed."""
    name = unique("s502")
    with runtime.session(make_config(echo)) as session:
        outcome = runtime.outcome(partial(post, session, name))
    assert isinstance(outcome, BackendAPIError)
    assert echo.seen(name) == 1


def test_a_lost_answer_is_asked_for_again_when_idempotent(runtime, echo, make_config, unique):
    name = unique("drop1")
    with runtime.session(make_config(echo)) as session:
        assert is_answer(name, runtime.value(partial(ask, session, name)))
    assert echo.seen(name) == 2


def test_a_lost_answer_of_a_post_is_an_error(runtime, echo, make_config, unique):
    name = unique("drop1")
    with runtime.session(make_config(echo)) as session:
        outcome = runtime.outcome(partial(post, session, name))
    assert isinstance(outcome, ConnectionFailed)
    assert (outcome.sent, outcome.attempts, outcome.method) == (True, 1, "POST")
    assert echo.seen(name) == 1


def test_a_recipe_may_say_that_its_post_is_idempotent(runtime, echo, make_config, unique):
    name = unique("drop1")
    with runtime.session(make_config(echo)) as session:
        answer = runtime.value(partial(session.bind(Probe).post, name, idempotent=True))
    assert answer["result"]["name"] == name
    assert echo.seen(name) == 2


def test_a_recipe_may_say_that_its_get_is_not_idempotent(runtime, echo, make_config, unique):
    name = unique("drop1")
    with runtime.session(make_config(echo)) as session:
        assert isinstance(runtime.outcome(partial(session.bind(Probe).get, name, idempotent=False)), ConnectionFailed)
    assert echo.seen(name) == 1


def test_no_retries_means_one_attempt(runtime, echo, make_config, unique):
    busy, lost = unique("s503x1"), unique("drop1")
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(retries=0)
        outcomes = runtime.outcomes([partial(ask, view, busy), partial(post, view, lost)])
    assert [type(outcome) for outcome in outcomes] == [BackendAPIError, ConnectionLost]
    assert [outcome.attempts for outcome in outcomes] == [1, 1]
    assert (echo.seen(busy), echo.seen(lost)) == (1, 1)


@ONE_RUNTIME
def test_the_server_s_pause_is_kept(runtime, echo, make_config, unique):
    name = unique("s503x1-ra1")
    with runtime.session(make_config(echo)) as session:
        start = time.monotonic()
        assert is_answer(name, runtime.value(partial(ask, session, name)))
        assert time.monotonic() - start >= PAUSE


def test_a_pause_that_nobody_would_wait_for_fails_at_once(runtime, echo, make_config, unique):
    name = unique("s503-ra86400")
    with runtime.session(make_config(echo)) as session, soon():
        outcome = runtime.outcome(partial(ask, session, name))
    assert isinstance(outcome, BackendAPIError)
    assert (outcome.status, outcome.attempts) == (503, 1)
    assert echo.seen(name) == 1


def test_a_pause_past_the_deadline_is_not_begun(runtime, echo, make_config, unique):
    """Waiting for a moment that the call will not live to see helps nobody."""
    name = unique("s503-ra300")
    with runtime.session(make_config(echo)) as session, soon():
        outcome = runtime.outcome(partial(ask, session.with_options(deadline=NEVER), name))
    assert isinstance(outcome, BackendAPIError)


def test_close_ends_a_pause(runtime, echo, make_config, unique):
    name = unique(f"s503-ra{NEVER:.0f}")
    with runtime.session(make_config(echo)) as session:
        future = submit(session, name)
        echo.until_seen(name)
        with soon():
            runtime.close(session, timeout=0)
            assert isinstance(future.exception(LIMIT), SessionClosed | BackendAPIError)
    assert echo.seen(name) == 1


@ONE_RUNTIME
def test_cancel_ends_a_pause(runtime, echo, make_config, unique):
    name = unique("s503x1-ra1")
    with runtime.session(make_config(echo)) as session:
        future = submit(session, name)
        echo.until_seen(name)
        assert future.cancel()
        later = unique("s503x1-ra1")
        runtime.value(partial(ask, session, later))
    assert echo.seen(name) == 1


@ONE_RUNTIME
def test_pauses_hold_no_lane(runtime, echo, make_config, unique):
    name = unique()
    with runtime.session(make_config(echo, lanes=1)) as session:
        pausing = submit(session, unique(f"s503x1-ra{NEVER:.0f}"))
        until(lambda: echo.stats()["requests"] >= 2 and not echo.stats()["pending"], "the first attempt has failed")
        with soon():
            assert is_answer(name, runtime.value(partial(ask, session, name)))
        pausing.cancel()


@ONE_RUNTIME
def test_a_storm_of_failures_stops_the_retries(runtime, echo, make_config, unique):
    """1,000 calls to a server that always fails: the session's quota is spent long before 2,000 repetitions."""
    calls = 1000
    with runtime.session(make_config(echo, retries=2)) as session:
        futures = [submit(session, f"s503-bulk-{index}") for index in range(calls)]
        for future in futures:
            assert isinstance(future.exception(LIMIT), BackendAPIError)
    assert echo.stats()["requests"] - 1 < calls + 500


def test_every_attempt_is_signed_anew(make_config, unique, runtime):
    keys = {"AKSIGNED": "secret-of-the-signed"}
    with EchoServer(keys=keys) as server:
        config = make_config(server, access_key="AKSIGNED", secret_key=keys["AKSIGNED"])
        with runtime.session(config) as session:
            name = unique("s503x2")
            assert is_answer(name, runtime.value(partial(ask, session, name)))
            name = unique("s503x2")
            answer = runtime.value(partial(session.bind(Probe).post, name, idempotent=True))
            assert answer["result"]["name"] == name
