"""Recipes that a recipe gathers: bounded, lazily pulled, and ended with the call that gathers them."""

from __future__ import annotations

import concurrent.futures
import time

import pytest

from ai.backend.client.actors.call import GatheredCall
from ai.backend.client.actors.messages import Close, Gathered
from ai.backend.client.actors.steps import Gather, Pause
from ai.backend.client.actors.supervision import INTENSITY
from ai.backend.client.exceptions import ActorCrashed, DeadlineExceeded, InvalidArgument, NeverSent, SessionClosed
from ai.backend.client.request import Request
from ai.backend.client.sessions.supervisor import State
from support.desk import LIMIT, ask, end_of, real_transport
from support.waiting import at_some_pace, until


def one(name, error=None, closed=None):
    """Asks once, and returns its name with the answer."""
    try:
        answer = yield Request("GET", f"/{name}")
    finally:
        if closed is not None:
            closed.append(name)
    if error is not None:
        raise error
    return name, answer


def gather(recipes, concurrency=100):
    values = yield Gather(recipes, concurrency)
    return values


def children(desk):
    """The gathered calls that are on the wire, by name."""
    found = {step.path: call for call, step in desk.transport.under_way.items() if isinstance(call, GatheredCall)}
    return {name: call for name, call in found.items() if not call.ended}


def wait_for(desk, *names):
    until(lambda: set(names) <= children(desk).keys(), f"{names} are on the wire")
    return [children(desk)[name] for name in names]


def answer(desk, *names):
    for name in names:
        [call] = wait_for(desk, name)
        desk.answer(call, f"answer to {name}")
        until(lambda call=call: call.ended, "it has ended")


# -- values -----------------------------------------------------------------------------------------------------------


def test_values_come_in_the_order_of_the_recipes(desk):
    call = desk.call(gather(one(name) for name in "abc"))
    answer(desk, "c", "a", "b")
    assert call.future.result(LIMIT) == [(name, f"answer to {name}") for name in "abc"]


def test_nothing_to_gather_is_an_empty_list(desk):
    assert desk.call(gather([])).future.result(LIMIT) == []


def test_recipes_that_ask_nothing_end_at_once(desk):
    def done(value):
        return value
        yield

    assert desk.call(gather((done(n) for n in range(5000)), 3)).future.result(LIMIT) == list(range(5000))


def test_a_recipe_may_gather_and_go_on(desk):
    def twice():
        first = yield Gather([one("a")], 1)
        between = yield Request("GET", "/between")
        second = yield Gather([one("b")], 1)
        return first, between, second

    call = desk.call(twice())
    answer(desk, "a")
    desk.is_under_way(call)
    desk.answer(call)
    answer(desk, "b")
    assert call.future.result(LIMIT) == ([("a", "answer to a")], "answer", [("b", "answer to b")])


def test_gathered_recipes_may_gather(desk):
    call = desk.call(gather([gather(one(name) for name in "ab"), one("c")]))
    answer(desk, "c", "b", "a")
    assert call.future.result(LIMIT) == [
        [("a", "answer to a"), ("b", "answer to b")],
        ("c", "answer to c"),
    ]


# -- how many at once -------------------------------------------------------------------------------------------------


def test_no_more_run_at_once_than_asked_for_and_the_next_is_made_when_one_ends(desk):
    made = []

    def recipes():
        for name in "abcdef":
            made.append(name)
            yield one(name)

    call = desk.call(gather(recipes(), 2))
    wait_for(desk, "a", "b")
    assert made == ["a", "b"]
    answer(desk, "b")
    wait_for(desk, "a", "c")
    assert made == ["a", "b", "c"]
    answer(desk, "a", "c", "d", "e", "f")
    assert [name for name, _ in call.future.result(LIMIT)] == list("abcdef")


def test_they_take_no_slots(make_desk):
    """Their parent holds one; waiting for more could be for ever."""
    desk = make_desk(slots=1)
    call = desk.call(gather(one(name) for name in "abc"))
    answer(desk, "a", "b", "c")
    call.future.result(LIMIT)
    assert [desk.slots.try_take([]) for _ in range(2)] == [True, False]


# -- errors -----------------------------------------------------------------------------------------------------------


def test_the_first_error_ends_the_others_and_is_raised_in_the_gathering_recipe(desk):
    closed = []

    def careful():
        try:
            yield Gather([one("a", NeverSent("no")), one("b", closed=closed), one("c", closed=closed)], 2)
        except NeverSent as error:
            return (yield from ask()), error.args

    call = desk.call(careful())
    wait_for(desk, "b")
    answer(desk, "a")
    desk.is_under_way(call)
    assert closed == ["b"]  # "c" was never begun
    assert "c" not in children(desk)
    desk.answer(call)
    assert call.future.result(LIMIT) == ("answer", ("no",))


def test_an_error_that_is_not_caught_is_the_call_s(desk):
    call = desk.call(gather([one("a", NeverSent("no"))]))
    answer(desk, "a")
    assert isinstance(end_of(call), NeverSent)


def test_bad_input_of_a_gathered_recipe_is_raised_as_it_stands(desk):
    refusal = InvalidArgument("name", "", "must not be empty")

    def refuse():
        raise refusal
        yield

    assert end_of(desk.call(gather([refuse()]))) is refusal


def test_a_crash_of_one_is_a_crash_of_the_call(desk):
    call = desk.call(gather([one("a", KeyError("a bug")), one("b")]))
    answer(desk, "a")
    error = end_of(call)
    assert isinstance(error, ActorCrashed)
    assert isinstance(error.__cause__, KeyError)
    assert children(desk) == {}
    assert desk.supervisor.state is State.OPEN


def test_many_crashes_end_the_session_with_every_call_answered(desk):
    bystander = desk.call()
    calls = [desk.call(gather([one(f"x{n}", KeyError("a bug"))])) for n in range(INTENSITY + 1)]
    for n in range(INTENSITY + 1):
        [child] = wait_for(desk, f"x{n}")
        desk.answer(child)
    for call in (*calls, bystander):
        assert isinstance(end_of(call), ActorCrashed | SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")


@pytest.mark.parametrize(
    "item", [None, 5, "text", Request("GET", "/x"), iter(())], ids=lambda item: type(item).__name__
)
def test_what_is_no_recipe_is_a_mistake_of_the_gathering_recipe(desk, item):
    error = end_of(desk.call(gather([one("a"), item])))
    assert isinstance(error, ActorCrashed)
    assert isinstance(error.__cause__, TypeError)
    assert children(desk) == {}


@pytest.mark.parametrize("error", [OSError("unreadable"), NeverSent("no")])
def test_an_iterable_that_fails_is_an_error_of_the_gathering_recipe(desk, error):
    def recipes():
        yield one("a")
        raise error

    assert end_of(desk.call(gather(recipes()))) is error
    assert children(desk) == {}


def test_an_interrupt_between_two_recipes_ends_the_call(desk, caplog):
    """Ctrl-C may hit the supervisor while it makes the next one."""

    def recipes():
        yield one("a")
        raise KeyboardInterrupt

    call = desk.call(gather(recipes(), 1))
    answer(desk, "a")
    assert isinstance(end_of(call), ActorCrashed)
    following = desk.call()
    desk.is_under_way(following)
    desk.answer(following)
    assert following.future.result(LIMIT) == "answer"


# -- ends of the call -------------------------------------------------------------------------------------------------


def test_cancelling_the_call_ends_all_that_it_gathers(desk):
    closed = []
    call = desk.call(gather([one("a", closed=closed), gather([one("b", closed=closed)])]))
    running = wait_for(desk, "a", "b")
    assert call.future.cancel()
    until(lambda: len(closed) == 2, "the recipes are closed")
    until(lambda: not len(desk.supervisor.in_flight), "nothing is in flight")
    assert set(running) <= set(desk.transport.abandoned)
    assert desk.supervisor._gatherings == {}
    with pytest.raises(concurrent.futures.CancelledError):
        call.future.result(LIMIT)


def test_an_answer_that_comes_after_that_reaches_nobody(desk):
    call = desk.call(gather([one("a")]))
    [child] = wait_for(desk, "a")
    call.future.cancel()
    until(lambda: child.ended, "the child has ended")
    desk.answer(child)
    desk.put(Gathered(call, child, "late", None))
    following = desk.call()
    desk.is_under_way(following)
    desk.answer(following)
    assert following.future.result(LIMIT) == "answer"


def test_the_deadline_of_the_call_is_that_of_all(desk):
    call = desk.call(gather([one("a"), one("b")]), deadline=0.2)
    running = wait_for(desk, "a", "b")
    assert isinstance(end_of(call), DeadlineExceeded)
    until(lambda: all(child.ended for child in running), "the children have ended")


@pytest.mark.parametrize("fixed", [False, True])
def test_progress_puts_off_a_deadline_that_nobody_asked_for(desk, fixed):

    def check(pace):
        call = desk.call(gather([gather([one("a")])]), deadline=0.3 * pace, explicit=fixed, fixed=fixed)
        [child] = wait_for(desk, "a")
        end = time.monotonic() + 0.6 * pace
        while time.monotonic() < end and not call.future.done():
            desk.hub.call(lambda: desk.transport.progressed(child))
            time.sleep(0.02 * pace)
        assert call.future.done() is fixed
        if fixed:
            assert isinstance(end_of(call), DeadlineExceeded)

    at_some_pace(check)


def test_a_child_that_ends_is_progress(desk):

    def check(pace):
        call = desk.call(gather((one(f"{n}") for n in range(6)), 1), deadline=0.4 * pace)
        for n in range(6):
            wait_for(desk, f"{n}")
            time.sleep(0.1 * pace)  # a slow server
            answer(desk, f"{n}")
        assert len(call.future.result(LIMIT)) == 6

    at_some_pace(check)


def test_a_request_that_may_take_long_holds_the_call_too(desk):
    def held():
        return (yield Request("GET", "/held", hold=20.0))

    call = desk.call(gather([held()]), deadline=0.2)
    wait_for(desk, "held")
    time.sleep(0.5)  # longer than the deadline
    assert not call.future.done()
    assert call.deadline > time.monotonic() + 10


@pytest.mark.parametrize("timeout", [0, 0.1])
def test_the_end_of_the_session_ends_them(desk, timeout):
    call = desk.call(gather([one("a"), gather([one("b")])]))
    running = wait_for(desk, "a", "b")
    desk.put(Close(timeout))
    assert isinstance(end_of(call), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")
    assert all(child.ended for child in running)


def test_a_session_that_drains_lets_them_all_be_begun_and_end(desk):
    call = desk.call(gather((one(name) for name in "abc"), 1))
    wait_for(desk, "a")
    desk.put(Close(LIMIT))
    answer(desk, "a", "b", "c")
    assert len(call.future.result(LIMIT)) == 3
    until(lambda: desk.ended == [1], "the end was told")


def test_the_supervisor_s_own_end_answers_the_call(desk, caplog):
    call = desk.call(gather([one("a")]))
    wait_for(desk, "a")
    desk.hub.call(lambda: desk.supervisor.crashed(None, ValueError("no")))
    assert isinstance(end_of(call), SessionClosed)
    until(lambda: desk.ended == [1], "the end was told")


def test_they_are_known_to_a_forked_child(desk):
    call = desk.call(gather([one("a"), gather([one("b")])]))
    running = wait_for(desk, "a", "b")
    known = desk.supervisor.known_calls()
    assert {call, *running} <= set(known)
    for child in running:
        child.future.orphan(SessionClosed("forked"))  # what the child's clean-up does to every call that it knows
    call.future.cancel()


# -- pauses -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pausing_desk(make_desk):
    """Pauses are the transport's business."""
    return make_desk(make_transport=real_transport)


def test_a_pause_waits_and_goes_on(pausing_desk):
    def pausing():
        before = time.monotonic()
        value = yield Pause(0.1)
        return value, time.monotonic() - before

    value, elapsed = pausing_desk.call(pausing()).future.result(LIMIT)
    assert value is None
    assert elapsed >= 0.1 * 0.9
    assert not pausing_desk.transport._lanes._all, "no lane waits"


def test_a_pause_can_be_cancelled_and_leaves_no_timer(pausing_desk):
    desk = pausing_desk

    def pausing():
        yield Pause(60)

    call = desk.call(pausing())
    until(lambda: call.timer is not None, "it pauses")
    assert call.future.cancel()
    until(lambda: call.timer is None, "the timer is gone")
    until(lambda: not len(desk.supervisor.in_flight), "nothing is in flight")
