"""Promise 7: two sessions in one process never see each other's calls, keys or endpoints."""

from __future__ import annotations

from functools import partial

import pytest

from support.asking import ask
from support.servers.echo import EchoServer

KEYS = {"first": ("AKFIRST", "secret-of-the-first"), "second": ("AKSECOND", "secret-of-the-second")}
CALLS = 300


@pytest.fixture(scope="module")
def servers():
    """Two servers; each knows the keys of one session only and refuses the other's signature."""
    with (
        EchoServer(identity="first", keys=dict([KEYS["first"]])) as first,
        EchoServer(identity="second", keys=dict([KEYS["second"]])) as second,
    ):
        yield {"first": first, "second": second}


@pytest.fixture
def configs(servers, make_config):
    return {
        name: make_config(server, access_key=KEYS[name][0], secret_key=KEYS[name][1])
        for name, server in servers.items()
    }


def mixed(plan, outcomes):
    """The calls that were not answered by their own server, to their own key."""
    return [
        (which, name, outcome)
        for (which, name), outcome in zip(plan, outcomes, strict=True)
        if not isinstance(outcome, dict)
        or (outcome["server"], outcome["access_key"], outcome["name"]) != (which, KEYS[which][0], name)
    ]


def test_interleaved_calls_of_two_sessions_are_never_mixed(runtime, configs, unique):
    plan = [(which, unique("rand")) for _ in range(CALLS // 2) for which in KEYS]
    with runtime.session(configs["first"]) as first, runtime.session(configs["second"]) as second:
        sessions = {"first": first, "second": second}
        outcomes = runtime.outcomes([partial(ask, sessions[which], name) for which, name in plan])
    assert mixed(plan, outcomes) == []


def test_one_caller_alternates_between_two_sessions(runtime, configs, unique):
    plan = [(which, unique()) for _ in range(50) for which in KEYS]
    with runtime.session(configs["first"]) as first, runtime.session(configs["second"]) as second:
        sessions = {"first": first, "second": second}
        [outcomes] = runtime.columns([[partial(ask, sessions[which], name) for which, name in plan]])
    assert mixed(plan, outcomes) == []


def test_objects_of_one_session_keep_to_it(runtime, configs, unique):
    """Types are made per session: an object of the first, made before the second opened, belongs to the first."""
    with runtime.session(configs["first"]) as first:
        kernel = first.Kernel("of-the-first")
        with runtime.session(configs["second"]) as second:
            assert first.Kernel is not second.Kernel
            assert kernel.session is first
            assert runtime.value(kernel.get_info)["server"] == "first"
            assert runtime.value(second.Kernel("of-the-second").get_info)["server"] == "second"
        assert runtime.value(kernel.get_info)["server"] == "first"


def test_closing_one_session_leaves_the_other(runtime, configs, unique):
    with runtime.session(configs["first"]) as first:
        with runtime.session(configs["second"]) as second:
            slow = first.Kernel(unique("d200")).get_info.submit()
            runtime.value(partial(ask, second, unique()))
        assert runtime.wait(slow)["server"] == "first"
        assert runtime.value(partial(ask, first, unique()))["server"] == "first"


def test_two_sessions_may_share_one_configuration(runtime, configs, unique):
    with runtime.session(configs["first"]) as one, runtime.session(configs["first"]) as two:
        names = [unique("rand") for _ in range(100)]
        sessions = [one, two] * 50
        outcomes = runtime.outcomes([partial(ask, *pair) for pair in zip(sessions, names, strict=True)])
    assert mixed([("first", name) for name in names], outcomes) == []
