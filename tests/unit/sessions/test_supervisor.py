"""The supervisor with a transport made of nothing: whatever goes wrong in it, every call is answered."""

from __future__ import annotations

import gevent
import pytest
from pykka import ActorDeadError

from ai.backend.client.actors.function import FunctionActor
from ai.backend.client.actors.messages import POISON_PILL, Close, Ended, Invoke, Send
from ai.backend.client.actors.supervision import INTENSITY
from ai.backend.client.exceptions import ActorCrashed, SessionClosed
from ai.backend.client.request import Request
from ai.backend.client.sessions.supervisor import OUTCOMES, State
from support.desk import LIMIT, ask, end_of
from support.waiting import until

ERRORS = [ValueError("no"), SystemExit(1), gevent.Timeout(5), gevent.GreenletExit()]


def actor_of(desk, *calls):
    """The function actor of calls, once they are under way."""
    desk.is_under_way(*calls)
    return desk.supervisor._functions[calls[0].actor]


def in_one_turn(hub, actor, *messages):
    """Put messages so that the actor finds them all at once."""
    hub.call(lambda: [actor.mailbox.put(message) for message in messages])


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
    working = desk.call()
    actor = actor_of(desk, working)
    error = ValueError("no")
    desk.hub.call(lambda: desk.supervisor.crashed(None, error))
    assert isinstance(end_of(working), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")
    for _ in range(3):
        late = end_of(desk.call())
        assert isinstance(late, SessionClosed)
        assert late.__cause__ is error
    late_cancel = desk.call()
    late_cancel.future.cancel()
    desk.put(Close(0))
    desk.put(Ended(actor))
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
    until(lambda: desk.ended == [1], "the end was told")
    assert isinstance(end_of(desk.call()), SessionClosed)
    assert caplog.text == ""


def test_a_function_actor_that_is_stopped_from_outside_is_replaced(desk, caplog):
    working = desk.call(ask(steps=2))
    desk.is_under_way(working)
    stopped = actor_of(desk, working)
    stopped.actor_ref.stop(timeout=LIMIT)
    desk.answer(working, "first")
    until(lambda: desk.supervisor._functions.get("Kernel") not in (None, stopped), "another one has taken over")
    until(lambda: desk.transport.under_way[working] is not None, "the second step is under way")
    desk.answer(working, "second")
    assert working.future.result(LIMIT) == "second"
    assert desk.ended == []


def test_calls_that_come_just_when_their_actor_is_stopped_go_on_with_another(desk, caplog):
    """More of them than a session survives crashes: what its mailbox holds is no fault of theirs."""
    working = [desk.call(ask(steps=2)) for _ in range(2 * INTENSITY)]
    stopped = actor_of(desk, *working)

    def both() -> None:
        stopped.stop()
        for call in working:
            desk.supervisor.deliver(call, "first", None)

    desk.hub.call(both)
    late = desk.call()
    desk.is_under_way(late)
    for call in (*working, late):
        desk.answer(call, "last")
        assert call.future.result(LIMIT) == "last"
    assert caplog.text == ""


def test_a_session_ends_at_once_whose_function_actor_was_stopped_from_outside(desk, caplog):
    working = desk.call()
    desk.is_under_way(working)
    actor_of(desk, working).actor_ref.stop(timeout=LIMIT)
    desk.put(Close(0))
    assert isinstance(end_of(working), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")
    with pytest.raises(ActorDeadError):
        desk.supervisor.actor_ref.ask("anybody?", timeout=LIMIT)


# -- draining ---------------------------------------------------------------------------------------------------------

FOR_EVER = 1e6
"""Seconds of a close that only the actors' own answers can end in the time of a test."""


class Letters:
    """In the place of a supervisor's mailbox."""

    def __init__(self):
        self.messages = []

    def put(self, message):
        self.messages.append(message)


@pytest.fixture
def lone(hub):
    """A function actor, and what it has said."""
    letters = Letters()
    return FunctionActor.launch(hub, "Kernel", letters, OUTCOMES), letters.messages


def test_a_function_actor_ends_behind_the_pill_and_says_so_last(lone, desk):
    actor, said = lone
    before, after = desk.make(ask()), desk.make(ask())
    in_one_turn(desk.hub, actor, Invoke(before), POISON_PILL, Invoke(after))
    until(lambda: not actor.actor_ref.is_alive(), "it has ended")
    until(lambda: len(said) > 1, "it has said so")
    assert [type(message) for message in said[:1]] == [Send]
    assert said[-1] == Ended(actor)
    assert [message.call for message in said[:-1]] == [before, after]


def test_the_mailbox_of_an_ended_actor_answers_every_pill_and_hands_calls_back(lone, desk):
    actor, said = lone
    actor.actor_ref.stop(timeout=LIMIT)
    until(lambda: said == [Ended(actor)], "it has said so unasked")
    late = Invoke(desk.make(ask()))
    for message in (POISON_PILL, late):
        actor.mailbox.put(message)
    until(lambda: len(said) == 3, "each was answered")
    assert said[1:] == [Ended(actor, POISON_PILL), Ended(actor, late)]


def test_an_interrupt_on_the_pill_does_not_lose_it(lone):
    actor, said = lone
    actor.hub.call(lambda: actor._failed(POISON_PILL, KeyboardInterrupt()))
    until(lambda: said[-1:] == [Ended(actor)], "it has ended")


def test_the_session_ends_when_every_actor_has_said_that_it_has_ended(desk):
    """Without the pill nobody says so, and this close has no other end."""
    calls = [desk.call(ask(steps=2), actor=name) for name in ("Kernel", "Manager", "Image")]
    desk.is_under_way(*calls)
    actors = [actor_of(desk, call) for call in calls]
    desk.put(Close(FOR_EVER))
    for call in calls:
        desk.answer(call, "first")
    for call in calls:
        desk.answer(call, "second")
        assert call.future.result(LIMIT) == "second"
    until(lambda: desk.ended == [1], "the end was told")
    assert [actor.actor_ref.is_alive() for actor in actors] == [False] * 3


def test_the_session_does_not_end_before_the_last_actor_has_answered(desk):
    call = desk.call()
    silent = actor_of(desk, call)
    desk.answer(call)
    assert call.future.result(LIMIT) == "answer"
    silent.receive = lambda message: None  # takes the pill and says nothing
    desk.put(Close(FOR_EVER))
    until(lambda: desk.supervisor._ending == {silent}, "it has its pill")
    assert desk.supervisor.state is State.DRAINING
    silent.stop()
    until(lambda: desk.ended == [1], "the end was told")


def test_no_actor_ends_while_a_call_needs_it(desk):
    working = desk.call(ask(steps=3))
    desk.is_under_way(working)
    actor = actor_of(desk, working)
    desk.put(Close(FOR_EVER))
    for step in range(2):
        del desk.transport.under_way[working]
        desk.answer(working, step)
        desk.is_under_way(working)
        assert actor.actor_ref.is_alive()
    desk.answer(working, "last")
    assert working.future.result(LIMIT) == "last"
    until(lambda: desk.ended == [1], "the end was told")


def test_actors_that_were_stopped_from_outside_do_not_hold_up_the_end(desk):
    actors = [actor_of(desk, desk.call(actor=name)) for name in ("Kernel", "Manager")]
    for call in list(desk.transport.under_way):
        desk.answer(call)
    for actor in actors:
        actor.actor_ref.stop(timeout=LIMIT)
    desk.put(Close(FOR_EVER))
    until(lambda: desk.ended == [1], "the end was told")


@pytest.mark.parametrize("error", [KeyError("crash"), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_an_actor_that_crashes_while_the_session_drains_does_not_hold_up_the_end(desk, error):
    crashing, working = desk.call(ask(error=error)), desk.call(ask(steps=2))
    desk.is_under_way(crashing, working)
    desk.put(Close(FOR_EVER))
    desk.answer(crashing)
    assert isinstance(end_of(crashing), ActorCrashed)
    desk.answer(working, "first")
    desk.answer(working, "second")
    assert working.future.result(LIMIT) == "second"
    until(lambda: desk.ended == [1], "the end was told")


def test_the_last_call_may_be_the_one_that_crashes(desk):
    crashing = desk.call(ask(error=KeyError("crash")))
    desk.is_under_way(crashing)
    actor = actor_of(desk, crashing)
    desk.put(Close(FOR_EVER))
    desk.answer(crashing)
    assert isinstance(end_of(crashing), ActorCrashed)
    until(lambda: desk.ended == [1], "the end was told")
    assert not actor.actor_ref.is_alive()


def test_a_later_close_may_shorten_the_time_and_not_lengthen_it(desk):
    working = desk.call()
    desk.is_under_way(working)
    actor = actor_of(desk, working)
    desk.put(Close(FOR_EVER))
    desk.put(Close(0))
    desk.put(Close(FOR_EVER))
    assert isinstance(end_of(working), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told once")
    until(lambda: not actor.actor_ref.is_alive(), "the actor has ended, pill or not")
    desk.put(Close(FOR_EVER))
    assert desk.ended == [1]


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
