"""A signal handler, a finalizer or a trace function strikes between any two steps of a call, and uses the session
itself, or raises: no other call may notice."""

from __future__ import annotations

from functools import partial

import pytest

from ai.backend.client.actors.aio import Bridge
from support.asking import ask, is_answer, submit
from support.runtimes.calling import available
from support.striking import Strike, lines, place, signal_places
from support.waiting import LIMIT, until

FEW = 12
"""Steps that the shortest call takes, at least, in whichever release of Python."""
SLOTS = 4


class Struck(Exception):
    """What the handler raises: an `Exception`, as Celery's soft time limit is."""


def plain(runtime, session, unique):
    return partial(ask, session, unique())


def with_time_limit(runtime, session, unique):
    future = submit(session, unique("d1"))
    return (lambda: future) if session.asynchronous else partial(future.result, LIMIT)


def cancelling(runtime, session, unique):
    future = submit(session, unique("never"))

    def cancel():
        try:
            future.cancel()
        finally:
            future.cancel()  # struck before it cancelled anything: the call would stay in flight
        return submit(session, unique()) if session.asynchronous else None

    return cancel


def waiting_for_a_slot(runtime, session, unique):
    for _ in range(SLOTS):
        submit(session, unique("d5"))
    return partial(ask, session, unique())


def struck_call(runtime, strike, thunk):
    """Make one call with the strike armed; its outcome."""

    def armed():
        strike.arm()
        return thunk()

    try:
        return runtime.outcome(armed)
    finally:
        strike.disarm()


SCENES = [plain, with_time_limit, cancelling, waiting_for_a_slot]
once_per_caller = pytest.mark.parametrize(
    "runtime", [name for name in available() if not name.endswith("future")], indirect=True
)
by_scene = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)


def steps_of(runtime, session, scene, unique, places):
    """Every step that a call takes, as far as a few calls show."""
    steps = {}
    for _ in range(3):
        strike = Strike(places=places)
        struck_call(runtime, strike, scene(runtime, session, unique))
        steps.update(strike.steps)
    assert len(steps) > FEW
    return list(steps)


@once_per_caller
@by_scene
def test_a_handler_that_waits_for_the_session_stalls_nobody(runtime, echo, make_config, unique, scene):
    with runtime.session(make_config(echo, in_flight=SLOTS, deadline=60)) as session:
        for step in steps_of(runtime, session, scene, unique, lines):
            name = unique()
            inner = []
            strike = Strike(step, lambda name=name, inner=inner: inner.append(submit(session, name).result(LIMIT)))
            outcome = struck_call(runtime, strike, scene(runtime, session, unique))
            assert not isinstance(outcome, BaseException), (place(step), outcome)
            assert not strike.struck or is_answer(name, inner[0]), place(step)


@once_per_caller
@by_scene
def test_what_a_handler_raises_comes_out_and_costs_one_call_only(runtime, echo, make_config, unique, scene):
    def fail():
        raise Struck

    with runtime.session(make_config(echo, in_flight=SLOTS, deadline=60)) as session:
        core = session._core.runtime
        for step in steps_of(runtime, session, scene, unique, signal_places):
            if step[0] is Bridge._deliver.__code__:  # called by asyncio: what is raised there is raised in its loop
                continue
            strike = Strike(step, fail)
            outcome = struck_call(runtime, strike, scene(runtime, session, unique))
            if strike.struck:
                assert isinstance(outcome, Struck), (place(step), outcome)
            name = unique()
            assert is_answer(name, runtime.value(partial(ask, session, name))), place(step)
            until(lambda: len(core._slots._tokens) == SLOTS, f"all slots are back: {place(step)}")
