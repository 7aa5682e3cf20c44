"""Promise 9: a user's test that mocks the endpoint with `responses` needs nothing else."""

from __future__ import annotations

from functools import partial

import pytest
import requests
import responses
from responses import matchers

from ai.backend.client.exceptions import BackendAPIError, ConnectionFailed
from support.asking import ask, post
from support.runtimes.calling import available

ENDPOINT = "http://manager.mock.example"
VERSION = {"version": "v7.20230615", "manager": "23.09.10"}


@pytest.fixture
def mock():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(f"{ENDPOINT}/", json=VERSION)
        yield mock


@pytest.fixture
def config(make_config):
    return make_config(ENDPOINT, retries=0)


def test_calls_get_the_mocked_answers(runtime, mock, config):
    for index in range(20):
        mock.get(f"{ENDPOINT}/session/kernel-{index}", json={"name": f"kernel-{index}"})
    with runtime.session(config) as session:
        outcomes = runtime.outcomes([partial(ask, session, f"kernel-{index}") for index in range(20)])
    assert outcomes == [{"name": f"kernel-{index}"} for index in range(20)]


def test_every_http_call_is_intercepted_and_counted(runtime, mock, config):
    mock.get(f"{ENDPOINT}/session/kernel", json={"name": "kernel"})
    with runtime.session(config) as session:
        for _ in range(3):
            runtime.value(partial(ask, session, "kernel"))
    assert mock.assert_call_count(f"{ENDPOINT}/", 1)
    assert mock.assert_call_count(f"{ENDPOINT}/session/kernel", 3)
    assert len(mock.calls) == 4


def test_the_mock_sees_the_request_as_it_would_be_sent(runtime, mock, config):
    mock.post(f"{ENDPOINT}/session/kernel", json={"result": {"status": "finished"}})
    with runtime.session(config) as session:
        assert runtime.value(partial(post, session, "kernel")) == {"status": "finished"}
    request = mock.calls[-1].request
    assert request.headers["Authorization"].startswith("BackendAI signMethod=HMAC-SHA256, credential=AK:")
    assert request.headers["X-BackendAI-Version"] == "v7.20230615"
    assert request.headers["Content-Type"] == "application/json"
    assert b'"code": "code"' in request.body if isinstance(request.body, bytes) else '"code": "code"' in request.body


def test_matchers_see_query_and_headers(runtime, mock, config):
    mock.delete(
        f"{ENDPOINT}/session/kernel",
        json={"stats": {}},
        match=[
            matchers.query_param_matcher({"forced": "true"}),
            matchers.header_matcher({"X-BackendAI-Domain": "default"}),
        ],
    )
    with runtime.session(config) as session:
        assert runtime.value(lambda: session.Kernel("kernel").destroy(forced=True)) == {"stats": {}}


def test_an_unmatched_call_fails_without_reaching_the_network(runtime, mock, config):
    with runtime.session(config) as session:
        outcome = runtime.outcome(partial(ask, session, "nobody"))
    assert isinstance(outcome, ConnectionFailed)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_mocked_error_statuses_are_api_errors(runtime, mock, config, status):
    mock.get(
        f"{ENDPOINT}/session/kernel", status=status, json={"type": "https://api.backend.ai/probs/x", "title": "Mocked"}
    )
    with runtime.session(config) as session:
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    assert isinstance(outcome, BackendAPIError)
    assert (outcome.status, outcome.title) == (status, "Mocked")


def test_a_mocked_exception_is_a_connection_error(runtime, mock, config):
    mock.get(f"{ENDPOINT}/session/kernel", body=requests.exceptions.ConnectionError("mocked"))
    with runtime.session(config) as session:
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    assert isinstance(outcome, ConnectionFailed)


def test_retries_go_through_the_mock(runtime, mock, make_config):
    mock.get(f"{ENDPOINT}/session/kernel", status=503, json={})
    mock.get(f"{ENDPOINT}/session/kernel", json={"name": "kernel"})
    with runtime.session(make_config(ENDPOINT)) as session:
        assert runtime.value(partial(ask, session, "kernel")) == {"name": "kernel"}
    assert mock.assert_call_count(f"{ENDPOINT}/session/kernel", 2)


def test_a_callback_computes_answers(runtime, mock, config):
    mock.add_callback(
        responses.GET, f"{ENDPOINT}/session/kernel", callback=lambda request: (200, {}, '{"from": "callback"}')
    )
    with runtime.session(config) as session:
        assert runtime.value(partial(ask, session, "kernel")) == {"from": "callback"}


def test_mocking_starts_and_ends_while_a_session_is_open(runtime, echo, make_config, unique):
    """The adapter's `send` is looked up per call, as `responses` replaces it."""
    name = unique()
    with runtime.session(make_config(echo)) as session:
        assert runtime.value(partial(ask, session, name))["server"] == "echo"
        with responses.RequestsMock() as mock:
            mock.get(f"{echo.url}/session/{name}", json={"server": "mock"})
            assert runtime.value(partial(ask, session, name))["server"] == "mock"
        assert runtime.value(partial(ask, session, name))["server"] == "echo"


@pytest.mark.parametrize("runtime", [name for name in available() if name != "asyncio"][:1], indirect=True)
@responses.activate
def test_the_decorator_works_as_well(runtime, config):
    responses.get(f"{ENDPOINT}/", json=VERSION)
    responses.get(f"{ENDPOINT}/session/kernel", json={"name": "kernel"})
    with runtime.session(config) as session:
        assert runtime.value(partial(ask, session, "kernel")) == {"name": "kernel"}
