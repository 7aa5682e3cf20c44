"""The probe without a server: whom it holds back, and what its answer means."""

from __future__ import annotations

import warnings

import pytest

from ai.backend.client.actors.call import Call, Options
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import APIVersionWarning, BackendAPIError, NeverSent
from ai.backend.client.functions.toolkit.generations import Generation
from ai.backend.client.sessions.probe import Probe
from ai.backend.client.versioning import Release

CONFIGURED = (7, "20230615")


@pytest.fixture
def probe():
    return Probe(APIConfig(endpoint="http://h", version="v7.20230615", read_timeout=3.0, deadline=60.0, retries=2))


def waiting():
    def recipe():
        yield

    return Call(None, "function", "Kernel", recipe(), Options(1, 1, 0))


def test_the_first_call_starts_one_probe_with_the_session_s_own_limits(probe):
    first, second = waiting(), waiting()
    started = probe.hold_back(first)
    assert probe.call is started
    assert started.options == Options(3.0, 60.0, 2)
    assert probe.hold_back(second) is None
    spoken = Generation((6, "20220615"), Release(22, 9))
    assert probe.ended({"version": "v6.20220615"}, None) == (spoken, None, True, [first, second])


def test_a_call_that_was_given_up_waits_no_longer(probe):
    first, second = waiting(), waiting()
    probe.hold_back(first)
    probe.hold_back(second)
    probe.forget(first)
    probe.forget(first)
    assert probe.ended({"version": "v6.20220615"}, None).waiting == [second]


def test_a_probe_that_reached_nobody_fails_those_who_wait_and_the_next_call_starts_another(probe):
    first, second = waiting(), waiting()
    one = probe.hold_back(first)
    error = NeverSent("no connection")
    assert probe.ended(None, error) == (None, error, None, [first])
    assert probe.call is None
    assert probe.hold_back(second) not in (None, one)


@pytest.mark.parametrize(
    ("answer", "error"),
    [({}, None), ("text", None), (None, BackendAPIError(404, "Not Found", b""))],
    ids=["no version", "no object", "refused"],
)
def test_an_answer_without_a_version_falls_back_to_the_configured_one_and_warns(probe, answer, error):
    probe.hold_back(waiting())
    with pytest.warns(APIVersionWarning):
        outcome = probe.ended(answer, error)
    assert outcome[:3] == (Generation.of(CONFIGURED), None, False)


def test_where_warnings_are_errors_the_calls_get_that_error(probe):
    probe.hold_back(waiting())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = probe.ended({}, None)
    assert outcome.generation is None
    assert isinstance(outcome.error, APIVersionWarning)
