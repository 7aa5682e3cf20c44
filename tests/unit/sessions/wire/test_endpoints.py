"""The session's endpoints: which one is next, who rests, and who comes back. Time is a number here."""

from __future__ import annotations

import random

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.sessions.wire.endpoints import DOWN_BASE, DOWN_CAP, Endpoint, Endpoints

URLS = ["http://a:1", "http://b:2/base", "https://c"]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def endpoints(clock):
    return Endpoints(URLS, clock, shuffle=lambda urls: None)


def names(endpoints):
    return [endpoint.host_name for endpoint in endpoints]


@pytest.mark.parametrize(
    ("url", "scheme", "name", "port", "host", "base", "origin"),
    [
        ("http://h", "http", "h", 80, "h", "", "http://h"),
        ("http://h:80", "http", "h", 80, "h", "", "http://h"),
        ("https://h:443/", "https", "h", 443, "h", "", "https://h"),
        ("http://h:8081/prefix", "http", "h", 8081, "h:8081", "/prefix", "http://h:8081"),
        ("http://h:8081/prefix/deep/", "http", "h", 8081, "h:8081", "/prefix/deep", "http://h:8081"),
        ("https://H.Example:8443", "https", "h.example", 8443, "h.example:8443", "", "https://h.example:8443"),
        ("http://[::1]:8081", "http", "::1", 8081, "[::1]:8081", "", "http://[::1]:8081"),
        ("https://[2001:DB8::1]", "https", "2001:db8::1", 443, "[2001:db8::1]", "", "https://[2001:db8::1]"),
    ],
)
def test_a_url_is_taken_apart(url, scheme, name, port, host, base, origin):
    endpoint = Endpoint(url)
    assert (endpoint.scheme, endpoint.host_name, endpoint.port) == (scheme, name, port)
    assert (endpoint.host, endpoint.base_path, endpoint.origin) == (host, base, origin)
    assert endpoint.url == origin + base
    assert repr(endpoint) == f"<Endpoint {origin}{base}>"


def test_the_first_healthy_one_is_used_again_and_again(endpoints):
    assert names(endpoints.choose() for _ in range(3)) == ["a", "a", "a"]


def test_the_next_one_takes_over_when_one_fails(endpoints):
    first = endpoints.choose()
    endpoints.failed(first)
    assert endpoints.choose(avoid=first).host_name == "b"
    assert endpoints.choose().host_name == "b"


def test_the_one_that_just_failed_is_avoided_even_if_it_does_not_rest(endpoints):
    assert endpoints.choose(avoid=endpoints.all[0]).host_name == "b"


def test_all_are_tried_in_turn_before_any_is_tried_twice(endpoints, clock):
    tried = [endpoints.choose()]
    for _ in range(2):
        endpoints.failed(tried[-1])
        clock.now += 0.001
        tried.append(endpoints.choose(avoid=tried[-1]))
    assert names(tried) == ["a", "b", "c"]


def test_while_all_rest_the_one_whose_rest_ends_first_is_tried(endpoints, clock):
    for endpoint in (endpoints.all[1], endpoints.all[2], endpoints.all[0]):
        endpoints.failed(endpoint)
        clock.now += 0.01
    assert endpoints.choose().host_name == "b"
    assert endpoints.choose(avoid=endpoints.all[1]).host_name == "c"


def test_a_single_endpoint_is_always_the_one(clock):
    endpoints = Endpoints(URLS[:1], clock)
    only = endpoints.choose()
    endpoints.failed(only)
    assert endpoints.choose() is only
    assert endpoints.choose(avoid=only) is only


def test_a_rest_doubles_with_every_failure_up_to_the_cap(endpoints, clock):
    first = endpoints.all[0]
    rests = []
    for _ in range(12):
        start = clock.now
        endpoints.failed(first)
        rest = next(step / 4 for step in range(1, 1000) if not first.is_resting(start + step / 4))
        rests.append(rest)
        clock.now += DOWN_CAP + 1
    assert rests == [min(DOWN_BASE * 2**number, DOWN_CAP) for number in range(12)]


def test_a_rest_is_over_when_its_time_is_and_the_first_is_the_first_again(endpoints, clock):
    endpoints.failed(endpoints.all[0])
    clock.now += DOWN_BASE - 0.001
    assert endpoints.choose().host_name == "b"
    clock.now += 0.001
    assert endpoints.choose().host_name == "a"


def test_an_answer_ends_the_rest_and_forgets_the_failures(endpoints, clock):
    first = endpoints.all[0]
    for _ in range(5):
        endpoints.failed(first)
    first.succeeded()
    assert endpoints.choose() is first
    endpoints.failed(first)
    assert first.is_resting(clock.now + DOWN_BASE - 0.001)
    assert not first.is_resting(clock.now + DOWN_BASE)


def test_failures_without_end_are_no_trouble(endpoints, clock):
    for _ in range(10_000):
        endpoints.failed(endpoints.all[0])
    assert endpoints.all[0].is_resting(clock.now + DOWN_CAP - 0.001)
    assert not endpoints.all[0].is_resting(clock.now + DOWN_CAP)


def test_the_order_is_shuffled_once_and_the_configuration_is_not_touched(clock):
    config = APIConfig(endpoint=",".join(f"http://h{number}" for number in range(20)))
    before = config.endpoints
    orders = set()
    for seed in range(5):
        endpoints = Endpoints(config.endpoints, clock, shuffle=random.Random(seed).shuffle)
        assert sorted(names(endpoints.all)) == sorted(f"h{number}" for number in range(20))
        orders.add(tuple(names(endpoints.all)))
        endpoints.failed(endpoints.choose())
    assert len(orders) == 5
    assert config.endpoints is before
    assert [*before] == [f"http://h{number}" for number in range(20)]


def test_two_sessions_of_one_configuration_share_no_health(clock):
    config = APIConfig(endpoint="http://a,http://b")
    one, other = (Endpoints(config.endpoints, clock, shuffle=lambda urls: None) for _ in range(2))
    one.failed(one.choose())
    assert (one.choose().host_name, other.choose().host_name) == ("b", "a")
