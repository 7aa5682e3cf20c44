"""The supervisor with a transport made of nothing: whatever goes wrong in it, every call is answered."""

from __future__ import annotations

import gevent
import pytest
from pykka import ActorDeadError

from ai.backend.client.actors.messages import Close, Drained
from ai.backend.client.actors.supervision import INTENSITY
from ai.backend.client.exceptions import ActorCrashed, SessionClosed
from ai.backend.client.request import Request
from ai.backend.client.sessions.supervisor import State
from support.desk import LIMIT, ask, end_of
from support.waiting import until

ERRORS = [ValueError("no"), SystemExit(1), gevent.Timeout(5), gevent.GreenletExit()]


# -- the supervisor itself fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_handler_that_fails_on_a_call_costs_that_call_only(desk, error, caplog):
    working = [desk.call() for _ in range(5)]
    desk.is_under_way(*working)
    desk.transport.fault = error
    end = end_of(desk.call())
    assert isinstance(end, ActorCrashed)
    assert end.__cause__ is error
    desk.transport.fault = None
    for call in working:
        desk.answer(call)
        assert call.future.result(LIMIT) == "answer"
    assert desk.supervisor.state is State.OPEN


def test_a_supervisor_that_fails_again_and_again_ends_the_session_with_every_call_answered(desk, caplog):
    working = [desk.call() for _ in range(5)]
    desk.is_under_way(*working)
    desk.transport.fault = error = ValueError("no")
    for _ in range(INTENSITY + 1):
        assert isinstance(end_of(desk.call()), ActorCrashed | SessionClosed)
    for call in working:
        end = end_of(call)
        assert isinstance(end, SessionClosed)
        assert end.__cause__ is error
    until(lambda: desk.ended == [1], "the end was told")
    assert desk.supervisor.state is State.ENDED
    assert not len(desk.supervisor.in_flight)


def test_calls_that_wait_for_a_slot_or_for_the_version_are_answered_too(make_desk, caplog):
    desk = make_desk(slots=2, probes=True)
    calls = [desk.call() for _ in range(5)]  # two wait for the version, three for a slot
    until(lambda: desk.transport.under_way, "the probe is under way")
    desk.hub.call(lambda: desk.supervisor.crashed(None, ValueError("no")))
    for call in calls:
        assert isinstance(end_of(call), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")


def test_whoever_comes_after_that_end_is_answered_with_its_cause(desk, caplog):
    error = ValueError("no")
    desk.hub.call(lambda: desk.supervisor.crashed(None, error))
    until(lambda: desk.ended == [1], "the end was told")
    for _ in range(3):
        late = end_of(desk.call())
        assert isinstance(late, SessionClosed)
        assert late.__cause__ is error
    late_cancel = desk.call()
    late_cancel.future.cancel()
    desk.put(Close(0))
    desk.put(Drained("Kernel"))
    assert desk.ended == [1]


def test_an_interrupt_in_the_supervisor_costs_one_call_only(desk, caplog):
    """Ctrl-C on a hub of the caller's is the caller's business."""
    working = desk.call()
    desk.is_under_way(working)
    desk.transport.fault = KeyboardInterrupt()
    interrupted = desk.call()
    assert isinstance(end_of(interrupted), ActorCrashed)
    desk.transport.fault = None
    following = desk.call()
    desk.is_under_way(following)
    desk.answer(working)
    desk.answer(following)
    assert [call.future.result(LIMIT) for call in (working, following)] == ["answer", "answer"]
    assert desk.ended == []


# -- somebody stops actors from outside -------------------------------------------------------------------------------


def test_a_supervisor_that_is_stopped_from_outside_answers_every_call_and_ends_the_session(desk, caplog):
    working = [desk.call() for _ in range(3)]
    desk.is_under_way(*working)
    desk.supervisor.actor_ref.stop(timeout=LIMIT)
    for call in working:
        assert isinstance(end_of(call), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told", limit=2)
    assert isinstance(end_of(desk.call()), SessionClosed)
    assert caplog.text == ""


def test_a_function_actor_that_is_stopped_from_outside_strands_no_call_and_no_end(desk, caplog):
    working = desk.call(ask(steps=2))
    desk.is_under_way(working)
    desk.supervisor._functions["Kernel"].actor_ref.stop(timeout=LIMIT)
    desk.answer(working)
    assert isinstance(end_of(working), ActorCrashed)
    following = desk.call()
    desk.is_under_way(following)
    desk.supervisor._functions["Kernel"].actor_ref.stop(timeout=LIMIT)
    desk.put(Close(0))
    assert isinstance(end_of(following), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told", limit=2)
    with pytest.raises(ActorDeadError):
        desk.supervisor.actor_ref.ask("anybody?", timeout=LIMIT)


# -- function actors fail ---------------------------------------------------------------------------------------------


def crash(desk, error=None):
    call = desk.call(ask(error=error or KeyError("crash")))
    desk.is_under_way(call)
    desk.answer(call)
    return end_of(call)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_crash_is_the_crashed_call_s_own(desk, error):
    bystander = desk.call()
    suspended = desk.call(ask(steps=2))
    desk.is_under_way(bystander, suspended)
    end = crash(desk, error)
    assert isinstance(end, ActorCrashed)
    assert end.__cause__ is error
    desk.answer(bystander)
    desk.answer(suspended)
    until(lambda: bystander.future.done(), "the bystander has ended")
    desk.answer(suspended, "last")
    assert bystander.future.result(LIMIT) == "answer"
    assert suspended.future.result(LIMIT) == "last"
    assert desk.ended == []


def test_crashes_within_the_budget_are_survived_and_one_more_ends_the_session(desk):
    bystander = desk.call()
    desk.is_under_way(bystander)
    for _ in range(INTENSITY):
        assert isinstance(crash(desk), ActorCrashed)
    assert desk.supervisor.state is State.OPEN
    assert isinstance(crash(desk), ActorCrashed)
    until(lambda: desk.ended == [1], "the end was told")
    assert isinstance(end_of(bystander), SessionClosed)
    assert isinstance(end_of(desk.call()), SessionClosed)


def test_every_crash_is_followed_by_a_fresh_actor(desk):
    actors = []
    for _ in range(3):
        call = desk.call()
        desk.is_under_way(call)
        actors.append(desk.supervisor._functions["Kernel"])
        desk.answer(call)
        call.future.result(LIMIT)
        crash(desk)
    assert len(set(actors)) == 3
    until(lambda: not any(actor.actor_ref.is_alive() for actor in actors), "the old ones have stopped")


def test_an_outcome_of_the_recipe_is_no_crash(desk):
    for _ in range(3 * INTENSITY):
        assert isinstance(crash(desk, OSError("disk full")), OSError)
    assert desk.supervisor.state is State.OPEN


@pytest.mark.parametrize("step", [None, "text", 5, object()], ids=["None", "text", "number", "object"])
def test_a_step_that_is_none_is_a_crash(desk, step):
    def recipe():
        yield step

    end = end_of(desk.call(recipe()))
    assert isinstance(end, ActorCrashed)
    assert isinstance(end.__cause__, TypeError)


def test_a_transport_that_fails_on_a_lane_is_a_crash(desk):
    call = desk.call()
    desk.is_under_way(call)
    error = ValueError("broken")
    desk.hub.call(lambda: desk.supervisor.transport_failed(call, error))
    assert end_of(call).__cause__ is error
    assert desk.supervisor.state is State.OPEN


def test_a_recipe_that_fails_while_it_is_cancelled_hurts_nobody(desk, caplog):
    def stubborn():
        try:
            yield Request("GET", "/x")
        finally:
            raise ValueError("from the clean-up")

    call = desk.call(stubborn())
    desk.is_under_way(call)
    assert call.future.cancel()
    until(lambda: call.ended, "it was given up")
    following = desk.call()
    desk.is_under_way(following)
    desk.answer(following)
    assert following.future.result(LIMIT) == "answer"
    assert desk.transport.abandoned == [call]


def test_slots_come_back_whatever_the_end_of_their_call(make_desk):
    desk = make_desk(slots=4)
    crash(desk)
    answered, cancelled, stuck = desk.call(), desk.call(), desk.call()
    desk.is_under_way(answered, cancelled, stuck)
    desk.answer(answered)
    cancelled.future.cancel()
    answered.future.result(LIMIT)
    desk.put(Close(0))
    assert isinstance(end_of(stuck), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")
    assert [desk.slots.try_take([]) for _ in range(5)] == [True] * 4 + [False]
