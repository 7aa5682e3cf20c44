"""Several endpoints: the session uses those that work, and leaves the configuration alone."""

from __future__ import annotations

from functools import partial

import pytest

from ai.backend.client.exceptions import ConnectionFailed
from support.asking import ask, is_answer, post, questions, wrong
from support.servers.echo import EchoServer
from support.servers.faults import FaultServer, close, unused_port
from support.waiting import until

SESSIONS = 12
"""Sessions shuffle their own copy of the endpoints: of so many, some see the dead one first (1 in 4,096 to miss)."""


@pytest.fixture
def dead():
    return f"http://127.0.0.1:{unused_port()}"


def test_an_endpoint_that_refuses_is_passed_over(runtime, echo, make_config, unique, dead):
    config = make_config(f"{dead},{echo.url}")
    for _ in range(SESSIONS):
        name = unique()
        with runtime.session(config) as session:
            assert is_answer(name, runtime.value(partial(ask, session, name)))
    assert list(config.endpoints) == [dead, echo.url]


def test_a_call_that_was_never_sent_fails_over_whatever_its_method(runtime, echo, make_config, unique, dead):
    for _ in range(SESSIONS):
        name = unique()
        with runtime.session(make_config(f"{dead},{echo.url}")) as session:
            assert runtime.value(partial(post, session, name))["name"] == name
        assert echo.seen(name) == 1


def test_calls_fail_over_when_an_endpoint_goes_down(runtime, make_config, unique):
    with EchoServer(identity="first") as first, EchoServer(identity="second") as second:
        config = make_config(f"{first.url},{second.url}")
        with runtime.session(config) as session:
            answer = runtime.value(partial(ask, session, unique()))
            {"first": first, "second": second}[answer["server"]].stop()
            names = [unique("rand") for _ in range(50)]
            outcomes = runtime.outcomes(questions(session, names))
            assert wrong(names, outcomes) == []
            assert {outcome["server"] for outcome in outcomes} == {"first", "second"} - {answer["server"]}
            name = unique()
            assert runtime.value(partial(post, session, name))["name"] == name
        (second if answer["server"] == "first" else first).stop()
        assert list(config.endpoints) == [first.url, second.url]


def test_an_endpoint_that_comes_back_is_used_again(runtime, make_config):
    with FaultServer() as server, runtime.session(make_config(server, retries=0)) as session:
        call = partial(ask, session, "kernel")
        assert runtime.value(call)["target"] == "/session/kernel"
        server.stop()
        assert isinstance(runtime.outcome(call), ConnectionFailed)
        server.restart()
        until(lambda: not isinstance(runtime.outcome(call), ConnectionFailed), "the endpoint is tried again")
        assert runtime.value(call)["target"] == "/session/kernel"


def test_all_endpoints_dead_is_one_clear_error(runtime, make_config, dead):
    other = f"http://127.0.0.1:{unused_port()}"
    session = runtime.make(make_config(f"{dead},{other}"))
    with pytest.raises(ConnectionFailed) as caught:
        runtime.open(session)
    runtime.close(session)
    assert caught.value.sent is False
    assert caught.value.endpoint in (dead, other)
    assert caught.value.attempts >= 2


def test_a_post_that_may_have_arrived_does_not_fail_over(runtime, echo, make_config, unique):
    name = unique()
    with FaultServer() as lossy, FaultServer() as second:
        lossy.script(close())
        second.script(close())
        with runtime.session(make_config(f"{lossy.url},{second.url}")) as session:
            outcome = runtime.outcome(partial(post, session, name))
        assert isinstance(outcome, ConnectionFailed)
        assert outcome.sent is True
        assert len(lossy.requests) + len(second.requests) == 1


def test_every_endpoint_gets_its_own_host_and_signature(runtime, make_config, unique):
    """The signature covers the host: a request that fails over is signed again."""
    keys = {"AKSIGNED": "secret-of-the-signed"}
    with EchoServer(identity="signed", keys=keys) as signed:
        dead = f"http://127.0.0.1:{unused_port()}"
        config = make_config(f"{dead},{signed.url}/", access_key="AKSIGNED", secret_key=keys["AKSIGNED"])
        for _ in range(SESSIONS // 2):
            with runtime.session(config) as session:
                name = unique("s503x1")
                answer = runtime.value(partial(ask, session, name))
            assert (answer["server"], answer["access_key"], answer["name"]) == ("signed", "AKSIGNED", name)
            assert answer["host"] == f"127.0.0.1:{signed.port}"
