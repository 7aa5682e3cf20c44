"""Promise 5: code that crashes inside an actor harms its own caller only."""

from __future__ import annotations

from concurrent.futures import wait
from functools import partial

import gevent
import pykka
import pytest

from ai.backend.client.exceptions import ActorCrashed, BackendAPIError, InvalidArgument, SessionClosed
from support.asking import ask, is_answer, submit
from support.recipes import Probe
from support.runtimes.calling import is_patched
from support.waiting import LIMIT

MANY = 500
"""More crashes in a row than any restart budget allows."""


class Neighbour(pykka.ThreadingActor):
    """An actor of some other library in the same process."""

    def answer(self) -> str:
        return "alive"


@pytest.fixture
def neighbour():
    ref = Neighbour.start()
    yield ref
    ref.stop(timeout=LIMIT)


def crashes():
    errors = [ValueError("from a recipe"), SystemExit(3), gevent.Timeout(5), gevent.GreenletExit()]
    if not is_patched():  # there it is Ctrl-C in the main thread, and belongs to the main greenlet
        errors.append(KeyboardInterrupt())
    return [pytest.param(error, id=type(error).__name__) for error in errors]


@pytest.mark.parametrize("error", crashes())
def test_only_the_caller_of_a_crash_learns_of_it(runtime, echo, make_config, unique, neighbour, error):
    bystander_name, next_name = unique("d300"), unique()
    with runtime.session(make_config(echo)) as session:
        probe = session.bind(Probe)
        bystander = submit(session, bystander_name)
        suspended = probe.many.submit(unique("d300"), unique())
        outcome = runtime.outcome(partial(probe.crash, unique(), error))
        assert isinstance(outcome, ActorCrashed)
        assert outcome.__cause__ is error
        assert is_answer(bystander_name, runtime.wait(bystander))
        ending = suspended.exception(LIMIT)
        assert ending is None or isinstance(ending, ActorCrashed)
        assert is_answer(next_name, runtime.value(partial(probe.get, next_name)))
        assert is_answer(next_name, runtime.value(partial(ask, session, next_name)))
    assert neighbour.proxy().answer().get(timeout=LIMIT) == "alive"


def test_too_many_crashes_end_the_session(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        probe = session.bind(Probe)
        waiting = [submit(session, unique("never")) for _ in range(20)]
        for _ in range(MANY):
            outcome = runtime.outcome(partial(probe.crash, unique(), ValueError("again")))
            if isinstance(outcome, SessionClosed):
                break
            assert isinstance(outcome, ActorCrashed)
        else:
            pytest.fail(f"the session survived {MANY} crashes in a row")
        assert not wait(waiting, 10).not_done
        assert {type(future.exception(0)) for future in waiting} == {SessionClosed}
        assert session.closed
        assert isinstance(runtime.outcome(partial(ask, session, unique())), SessionClosed)


def test_an_expected_error_in_a_recipe_is_no_crash(runtime, echo, make_config, unique):
    """API errors that pass through a recipe do not use up the budget of crashes."""
    with runtime.session(make_config(echo)) as session:
        for _ in range(50):
            assert isinstance(runtime.outcome(partial(ask, session, unique("s404"))), BackendAPIError)
        name = unique()
        assert is_answer(name, runtime.value(partial(ask, session, name)))


def test_an_error_before_the_first_request_reaches_the_caller_as_it_is(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        probe = session.bind(Probe)
        assert isinstance(runtime.outcome(partial(probe.get, "..")), InvalidArgument)
        name = unique()
        assert is_answer(name, runtime.value(partial(probe.get, name)))


def test_another_library_that_stops_all_actors_leaves_our_calls_alone(runtime, echo, make_config, unique):
    names = [unique("d300") for _ in range(20)]
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, name) for name in names]
        echo.until_pending(len(names))
        pykka.ActorRegistry.stop_all(timeout=LIMIT)
        for name, future in zip(names, futures, strict=True):
            assert is_answer(name, runtime.wait(future))
        name = unique()
        assert is_answer(name, runtime.value(partial(ask, session, name)))


def test_our_actors_are_not_in_the_registry(runtime, echo, make_config, unique):
    before = set(pykka.ActorRegistry.get_all())
    with runtime.session(make_config(echo)) as session:
        runtime.value(partial(ask, session, unique()))
        assert set(pykka.ActorRegistry.get_all()) == before
