"""The call's future: its states, whoever settles it, and every way of waiting that the standard library knows."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import re
import sys
import threading
from concurrent.futures import _base as standard
from types import SimpleNamespace

import pytest

from ai.backend.client.actors import future as module
from ai.backend.client.actors.future import CallFuture
from support.waiting import LIMIT

MOMENT = 0.2
"""Seconds in which a thread that does not keep to a lock would have shown it. Correct code just takes that long."""
ROUNDS = 200
ERROR = ValueError("from the call")


def settled(value=None, error=None):
    future = CallFuture()
    assert future.settle(value, error)
    return future


def cancelled():
    future = CallFuture()
    assert future.cancel()
    return future


# -- what we lean on --------------------------------------------------------------------------------------------------

CHANGED = (
    f"concurrent.futures.Future of Python {sys.version.split()[0]} changed: CallFuture (actors/future.py) must follow"
)


def test_a_standard_future_has_exactly_the_private_attributes_that_we_stand_in_for():
    expected = {"_condition", "_done_callbacks", "_exception", "_result", "_state", "_waiters"}
    assert set(vars(concurrent.futures.Future())) == expected, CHANGED


@pytest.mark.parametrize(
    "function",
    ["wait", "as_completed", "_create_and_install_waiters", "_yield_finished_futures", "_AcquireFutures"],
)
def test_the_standard_waits_touch_only_attributes_that_we_have(function):
    source = inspect.getsource(getattr(standard, function))
    used = set(re.findall(r"\b(?:f|future)\.(_\w+)", source))
    assert used <= {"_condition", "_state", "_waiters"}, f"{CHANGED}: {function} uses {used}"


@pytest.mark.parametrize("method", ["add_result", "add_exception", "add_cancelled"])
def test_the_standard_waiters_are_told_of_outcomes_as_we_tell_them(method):
    for kind in (standard._AsCompletedWaiter, standard._FirstCompletedWaiter, standard._AllCompletedWaiter):
        assert list(inspect.signature(getattr(kind, method)).parameters) == ["self", "future"], CHANGED


def test_states_have_the_standard_s_names():
    assert (module.PENDING, module.FINISHED, module.CANCELLED) == (
        standard.PENDING,
        standard.FINISHED,
        standard.CANCELLED_AND_NOTIFIED,
    ), CHANGED


def test_every_public_method_of_the_standard_future_is_ours_or_needs_nothing_that_we_lack():
    ours = {name for name in vars(CallFuture) if not name.startswith("_")}
    theirs = {name for name in vars(concurrent.futures.Future) if not name.startswith("_")}
    executors = {"set_result", "set_exception", "set_running_or_notify_cancel"}
    assert theirs - ours - executors == set(), CHANGED


@pytest.mark.parametrize(
    "move",
    [
        lambda future: future.set_result(1),
        lambda future: future.set_exception(ERROR),
        lambda future: future.set_running_or_notify_cancel(),
    ],
    ids=["set_result", "set_exception", "set_running_or_notify_cancel"],
)
def test_an_executor_s_moves_are_refused_and_change_nothing(move):
    """Whoever holds a call's future must not be able to answer in the runtime's place, or to leave it half settled."""
    future = CallFuture()
    with pytest.raises(Exception, match=r"."):
        move(future)
    assert not future.done()
    assert not future.running()
    assert future.settle("the call's own", None)
    assert future.result(0) == "the call's own"


def test_a_plain_future_makes_no_condition_variable():
    future = settled(1)
    future.result(0)
    assert not any(isinstance(value, threading.Condition) for value in vars(future).values())


# -- states -----------------------------------------------------------------------------------------------------------

MOVES = {
    "value": lambda future: future.settle("value", None),
    "error": lambda future: future.settle(None, ERROR),
    "cancel": lambda future: future.cancel(),
}


@pytest.mark.parametrize("second", MOVES)
@pytest.mark.parametrize("first", MOVES)
def test_the_first_move_wins_and_the_second_learns_that_it_lost(first, second):
    future = CallFuture()
    assert MOVES[first](future) is True
    both_cancel = first == second == "cancel"  # "it is cancelled" stays true
    assert MOVES[second](future) is both_cancel
    assert future.done()
    assert not future.running()
    assert future.cancelled() is (first == "cancel")
    for _ in range(2):
        if first == "value":
            assert (future.result(0), future.exception(0)) == ("value", None)
        elif first == "error":
            assert future.exception(0) is ERROR
            with pytest.raises(ValueError, match="from the call"):
                future.result(0)
        else:
            for ask in (future.result, future.exception, future.get):
                with pytest.raises(concurrent.futures.CancelledError):
                    ask(timeout=0)


def test_a_pending_future_says_so():
    future = CallFuture()
    assert (future.done(), future.running(), future.cancelled()) == (False, False, False)
    assert "pending" in repr(future)
    for ask in (lambda: future.result(0), lambda: future.exception(0), lambda: future.get(block=False)):
        with pytest.raises(TimeoutError):
            ask()
    with pytest.raises(TimeoutError):
        future.get(timeout=0.01)


def test_get_that_does_not_block_gives_what_is_there():
    assert settled("here").get(block=False) == "here"
    with pytest.raises(ValueError, match="from the call"):
        settled(None, ERROR).get(block=False)
    assert settled("here").get(False, None) == "here"


def test_a_representation_shows_the_type_of_the_value_only():
    assert "s3cr3t" not in repr(settled("s3cr3t"))
    assert "s3cr3t" not in repr(settled(None, ValueError("s3cr3t")))
    assert "cancelled" in repr(cancelled())


def test_cancel_tells_the_call_once_and_settle_forgets_it():
    abandoned = []
    call = SimpleNamespace(
        abandon=lambda: abandoned.append(1),
        is_running=True,
        is_orphan=lambda: False,
        owner=SimpleNamespace(waiters=None),
    )
    future = CallFuture(call)
    assert future.running()
    assert future.cancel()
    assert future.cancel()
    assert abandoned == [1]
    future = CallFuture(call)
    future.settle(1, None)
    assert not future.cancel()
    assert not future.running()
    assert abandoned == [1]


def test_who_is_told_of_the_end_is_told_although_another_gives_up_waiting_in_that_moment():
    """A waiter whose time is up leaves the list that is just being gone through."""
    future = CallFuture()
    told = []

    def leaving():
        told.append("leaving")
        future._forget(leaving)

    future.on_settled(leaving)
    future.on_settled(lambda: told.append("staying"))
    future.settle("value", None)
    assert told == ["leaving", "staying"]


@pytest.mark.parametrize("timeout", [0, 0.0001])
def test_waits_that_were_given_up_leave_nothing_behind(timeout):
    """Polling a slow call must not make it grow."""
    future = CallFuture()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            future.result(timeout)
    assert len(future._wakers) == 0


# -- races ------------------------------------------------------------------------------------------------------------


def race(spawn, *moves):
    """All moves at once, each in a thread of its own; what they returned."""
    barrier = threading.Barrier(len(moves))

    def run(move):
        barrier.wait(LIMIT)
        return move()

    return [outcome.result(LIMIT) for outcome in [spawn(run, move) for move in moves]]


def test_of_racing_threads_exactly_one_settles(spawn):
    for _ in range(ROUNDS // 4):
        future = CallFuture()
        won = race(spawn, *(lambda n=n, f=future: f.settle(n, None) and ("won", n) for n in range(4)))
        winners = [outcome[1] for outcome in won if outcome]
        assert winners == [future.result(0)]


def test_settling_and_cancelling_at_once_ends_in_one_of_them(spawn):
    for _ in range(ROUNDS // 2):
        future = CallFuture()
        answered, gave_up = race(spawn, lambda f=future: f.settle("answer", None), future.cancel)
        assert answered is not gave_up
        assert future.cancelled() is gave_up
        if answered:
            assert future.result(0) == "answer"


def test_a_second_cancel_is_true_however_early_it_comes(spawn):
    """Between the two steps of the first one, another thread asks."""
    seen = []

    class Interrupted(CallFuture):
        def _announce(self):
            if not seen:
                seen.append("asking")
                seen.append(spawn(self.cancel).result(LIMIT))
            super()._announce()

    future = Interrupted()
    assert future.cancel() is True
    assert seen == ["asking", True]


def test_waiting_threads_are_all_woken(spawn):
    future = CallFuture()
    waiting = [spawn(future.result, LIMIT) for _ in range(8)]
    future.settle("value", None)
    assert [outcome.result(LIMIT) for outcome in waiting] == ["value"] * 8


def test_waiting_greenlets_are_all_woken(in_gevent, spawn):
    import gevent

    def body():
        future = CallFuture()
        jobs = [gevent.spawn(future.result, LIMIT) for _ in range(8)]
        gevent.sleep(0)
        spawn(future.settle, "value", None)
        return [job.get() for job in jobs]

    assert in_gevent(body) == ["value"] * 8


def test_no_wake_up_is_lost_between_looking_and_waiting(spawn):
    for _ in range(ROUNDS // 2):
        future = CallFuture()
        value, _ = race(spawn, lambda f=future: f.result(LIMIT), lambda f=future: f.settle("value", None))
        assert value == "value"


# -- callbacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", MOVES)
def test_callbacks_run_once_in_their_order_early_ones_and_late_ones(move):
    future = CallFuture()
    ran = []
    for number in range(3):
        future.add_done_callback(lambda done, number=number: ran.append((number, done)))
    assert ran == []
    MOVES[move](future)
    assert ran == [(0, future), (1, future), (2, future)]
    future.add_done_callback(lambda done: ran.append((3, done)))
    MOVES[move](future)
    assert ran == [(0, future), (1, future), (2, future), (3, future)]


def test_a_callback_added_in_the_moment_of_settling_runs_exactly_once(spawn):
    for _ in range(ROUNDS // 2):
        future = CallFuture()
        ran = []
        race(spawn, lambda f=future, r=ran: f.add_done_callback(r.append), lambda f=future: f.settle(1, None))
        assert ran == [future]


def test_a_callback_may_add_another(caplog):
    future = CallFuture()
    ran = []
    future.add_done_callback(lambda done: done.add_done_callback(ran.append))
    future.settle(1, None)
    assert ran == [future]


def test_an_error_in_a_callback_is_logged_and_the_next_one_runs(caplog):
    future = CallFuture()
    ran = []
    future.add_done_callback(lambda done: 1 / 0)
    future.add_done_callback(ran.append)
    future.settle(1, None)
    assert ran == [future]
    assert "ZeroDivisionError" in caplog.text


def test_callbacks_of_a_call_run_where_its_owner_says():
    handed_over = []
    future = CallFuture(
        SimpleNamespace(run_callbacks=handed_over.append, is_orphan=lambda: False, owner=SimpleNamespace(waiters=None))
    )
    ran = []
    future.add_done_callback(ran.append)
    future.settle(1, None)
    assert ran == []
    for run in handed_over:
        run()
    assert ran == [future]


@pytest.mark.parametrize("move", MOVES)
def test_on_settled_tells_of_every_end_early_or_late(move):
    future = CallFuture()
    told = []
    future.on_settled(lambda: told.append("early"))
    MOVES[move](future)
    future.on_settled(lambda: told.append("late"))
    assert set(told) == {"early", "late"}


# -- concurrent.futures -----------------------------------------------------------------------------------------------


def test_nothing_changes_while_the_standard_library_looks(spawn):
    """`wait` and `as_completed` hold a future's condition and read its state twice: it must be the same both times."""
    future = CallFuture()
    with future._condition:
        before = future._state
        settling = spawn(future.settle, "value", None)
        concurrent.futures.wait([settling], MOMENT)
        assert future._state == before
    assert settling.result(LIMIT)
    assert future.result(0) == "value"


def test_nothing_changes_while_the_standard_library_looks_even_if_settling_had_begun(spawn):
    """The same, when the condition is made after the outcome was decided, and before it is visible."""
    decided, go_on = threading.Event(), threading.Event()

    class Slow(CallFuture):
        def _announce(self):
            decided.set()
            assert go_on.wait(LIMIT)
            super()._announce()

    future = Slow()
    settling = spawn(future.settle, "value", None)
    assert decided.wait(LIMIT)
    with future._condition:
        before = future._state
        go_on.set()
        concurrent.futures.wait([settling], MOMENT)
        assert future._state == before
    assert settling.result(LIMIT)
    assert future.result(0) == "value"


def test_as_completed_yields_every_future_once_while_they_settle(spawn):
    futures = [CallFuture() for _ in range(5000)]
    settling = spawn(lambda: [future.settle(number, None) for number, future in enumerate(futures)])
    seen = list(concurrent.futures.as_completed(futures, LIMIT))
    assert settling.result(LIMIT) == [True] * len(futures)
    assert len(seen) == len(futures)
    assert set(seen) == set(futures)


def test_wait_returns_when_all_are_done_and_not_before_while_they_settle(spawn):
    futures = [CallFuture() for _ in range(5000)]
    settling = spawn(lambda: [future.settle(number, None) for number, future in enumerate(futures)])
    done, not_done = concurrent.futures.wait(futures, LIMIT)
    assert settling.result(LIMIT) == [True] * len(futures)
    assert (len(done), len(not_done)) == (len(futures), 0)


@pytest.mark.parametrize("move", MOVES)
def test_wait_and_as_completed_see_every_kind_of_end(spawn, move):
    future, other = CallFuture(), CallFuture()
    waiting = spawn(concurrent.futures.wait, [future, other], LIMIT)
    completing = spawn(lambda: list(concurrent.futures.as_completed([future, other], LIMIT)))
    MOVES[move](future)
    other.settle(1, None)
    assert waiting.result(LIMIT).done == {future, other}
    assert set(completing.result(LIMIT)) == {future, other}


@pytest.mark.parametrize("move", MOVES)
def test_an_end_is_announced_once_however_often_it_is_asked_for(spawn, move):
    """`wait` counts what it is told."""
    future, other = CallFuture(), CallFuture()
    waiting = spawn(concurrent.futures.wait, [future, other], LIMIT)
    while not other._waiters:
        threading.Event().wait(0.001)
    told = []
    future.on_settled(lambda: told.append(1))
    MOVES[move](future)
    MOVES[move](future)
    future.cancel()
    concurrent.futures.wait([waiting], MOMENT)
    assert not waiting.done()
    other.settle(1, None)
    assert waiting.result(LIMIT).done == {future, other}
    assert told == [1]


def test_wait_returns_on_the_first_end_or_the_first_error(spawn):
    good, bad, pending = CallFuture(), CallFuture(), CallFuture()
    first = spawn(concurrent.futures.wait, [good, pending], LIMIT, concurrent.futures.FIRST_COMPLETED)
    failing = spawn(concurrent.futures.wait, [bad, pending], LIMIT, concurrent.futures.FIRST_EXCEPTION)
    good.settle(1, None)
    bad.settle(None, ERROR)
    assert first.result(LIMIT).done == {good}
    assert failing.result(LIMIT).done == {bad}
    assert not pending.done()


def test_wait_and_as_completed_give_up_in_time():
    future = CallFuture()
    assert concurrent.futures.wait([future], 0.01).not_done == {future}
    with pytest.raises(TimeoutError):
        list(concurrent.futures.as_completed([future], 0.01))


# -- the hub ----------------------------------------------------------------------------------------------------------


def test_a_wait_in_the_hub_s_own_greenlet_is_refused_at_once(on_hub):
    future = CallFuture()
    for ask in (future.result, future.exception, future.get):
        with pytest.raises(RuntimeError, match="hub"):
            on_hub(ask)
    assert not future.done()
    future.settle("value", None)
    assert on_hub(future.result) == "value"


# -- asyncio ----------------------------------------------------------------------------------------------------------


def in_loop(body):
    """Run an async function, and let nothing take longer than the limit."""
    return asyncio.run(asyncio.wait_for(body(), LIMIT), debug=True)


async def started(condition):
    """Let the other tasks run until the condition holds."""
    while not condition():  # noqa: ASYNC110  # whatever it is that the condition looks at
        await asyncio.sleep(0)


def test_await_gives_the_value_the_error_or_the_cancellation(spawn):
    async def body():
        future, failing, dropped = CallFuture(), CallFuture(), CallFuture()
        tasks = [asyncio.ensure_future(one) for one in (future, failing, dropped)]
        await asyncio.sleep(0)
        spawn(lambda: (future.settle("value", None), failing.settle(None, ERROR), dropped.cancel()))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[:2] == ["value", ERROR]
        assert isinstance(outcomes[2], asyncio.CancelledError)
        assert [await settled("at once"), await future] == ["at once", "value"]

    in_loop(body)


def test_one_future_serves_several_tasks(spawn):
    async def body():
        future = CallFuture()
        tasks = [asyncio.create_task(future), asyncio.create_task(future)]
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(future), group.create_task(future)]
            await started(lambda: len(future._wakers) == 4)
            spawn(future.settle, "value", None)
        assert await asyncio.gather(*tasks, future) == ["value"] * 5

    in_loop(body)


def test_a_cancelled_task_takes_the_call_with_it_and_the_other_task_learns(spawn):
    async def body():
        future = CallFuture()
        one, other = asyncio.create_task(future), asyncio.create_task(future)
        await started(lambda: len(future._wakers) == 2)
        one.cancel()
        outcomes = await asyncio.gather(one, other, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert future.cancelled()

    in_loop(body)


def test_shield_protects_the_call():
    async def body():
        future = CallFuture()
        waiting = asyncio.ensure_future(asyncio.shield(future))
        await started(lambda: future._wakers)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not future.done()
        future.settle("value", None)
        await asyncio.sleep(0)
        assert await future == "value"

    in_loop(body)


def test_wait_for_cancels_the_call_that_is_late():
    async def body():
        future = CallFuture()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(future, 0.01)
        assert future.cancelled()
        assert await asyncio.wait_for(settled("value"), LIMIT) == "value"

    in_loop(body)


def test_a_failing_task_group_cancels_its_other_calls():
    async def body():
        good, bad = CallFuture(), CallFuture()
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # the group is what raises
            async with asyncio.TaskGroup() as group:
                group.create_task(good)
                group.create_task(bad)
                await started(lambda: good._wakers and bad._wakers)
                bad.settle(None, ERROR)
        assert caught.value.exceptions == (ERROR,)
        assert good.cancelled()

    in_loop(body)


def test_wrap_future_carries_outcomes_one_way_and_cancellations_both(spawn):
    async def body():
        future, failing, dropped, given_up = (CallFuture() for _ in range(4))
        wrapped = [asyncio.wrap_future(one) for one in (future, failing, dropped, given_up)]
        spawn(lambda: (future.settle("value", None), failing.settle(None, ERROR), dropped.cancel()))
        wrapped[3].cancel()
        outcomes = await asyncio.gather(*wrapped, return_exceptions=True)
        assert outcomes[:2] == ["value", ERROR]
        assert [type(outcome) for outcome in outcomes[2:]] == [asyncio.CancelledError] * 2
        await started(given_up.cancelled)

    in_loop(body)


def test_run_coroutine_threadsafe_takes_it_from_another_thread(spawn):
    async def body():
        future = CallFuture()
        loop = asyncio.get_running_loop()
        asking = spawn(lambda: asyncio.run_coroutine_threadsafe(future, loop).result(LIMIT))
        await started(lambda: future._wakers)
        future.settle("value", None)
        await started(asking.done)
        assert asking.result(0) == "value"

    in_loop(body)


def test_it_counts_as_a_coroutine_and_a_task_of_it_can_be_shown():
    async def body():
        future = CallFuture()
        assert asyncio.iscoroutine(future)
        assert inspect.isawaitable(future)
        task = asyncio.create_task(future)
        await asyncio.sleep(0)
        assert "CallFuture" in repr(task)
        assert task.get_stack() == []
        future.settle(1, None)
        assert await task == 1

    in_loop(body)


def test_loops_of_two_threads_wait_for_one_future(spawn):
    future = CallFuture()

    def wait():
        async def body():
            return await future

        return in_loop(body)

    loops = [spawn(wait), spawn(wait)]
    while len(future._wakers) < 2:
        threading.Event().wait(0.001)
    future.settle("value", None)
    assert [loop.result(LIMIT) for loop in loops] == ["value", "value"]


def test_a_loop_that_was_closed_meanwhile_harms_nobody():
    future = CallFuture()

    async def leave():
        waiting = future.__await__()
        waiting.send(None)
        return waiting

    waiting = asyncio.run(leave())
    told = []
    future.on_settled(lambda: told.append(1))
    assert future.settle("value", None)
    assert told == [1]
    waiting.close()


def test_a_thousand_results_wake_the_loop_far_fewer_times(spawn):
    async def body():
        loop = asyncio.get_running_loop()
        wakes = []
        original = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args, **options: (wakes.append(1), original(*args, **options))[1]
        futures = [CallFuture() for _ in range(1000)]
        tasks = [asyncio.ensure_future(future) for future in futures]
        await started(lambda: all(future._wakers for future in futures))

        def settle_all():  # in the loop's own thread: the loop cannot run in between
            for number, future in enumerate(futures):
                future.settle(number, None)

        settle_all()
        assert await asyncio.gather(*tasks) == list(range(1000))
        assert len(wakes) == 1

    in_loop(body)
