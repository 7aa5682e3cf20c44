"""`session.map` by hand: every future is settled by the test, in the order that it likes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import itertools
import threading

import gevent
import pytest

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.sessions.batch import Batch
from support.waiting import LIMIT, until

ERROR = ValueError("from the call")


class Calls:
    """Stands in for a session: remembers what was submitted, and settles it when it is told to."""

    def __init__(self):
        self.made = {}
        self.at_once = False

    def submit(self, *arguments):
        key = arguments[0] if len(arguments) == 1 else arguments
        future = self.made[key] = CallFuture()
        if self.at_once:
            future.settle(key, None)
        return future

    def settle(self, *keys):
        for key in keys:
            self.made[key].settle(key, None)

    @property
    def open(self):
        return [key for key, future in self.made.items() if not future.done()]

    @property
    def cancelled(self):
        return [key for key, future in self.made.items() if future.cancelled()]


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def batch(calls):
    """`batch(iterable, concurrency, ordered=True, return_exceptions=False)`."""

    def make(*iterables, concurrency=3, ordered=True, return_exceptions=False):
        return Batch(calls.submit, iterables, concurrency, ordered, return_exceptions)

    return make


@pytest.fixture
def soon():
    """`soon(condition, action)`: do it, in another thread, once the condition holds."""
    threads = []

    def start(condition, action):
        thread = threading.Thread(target=lambda: (until(condition, "it is time"), action()), daemon=True)
        thread.start()
        threads.append(thread)

    yield start
    for thread in threads:
        thread.join(LIMIT)


both_orders = pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])


@both_orders
def test_nothing_is_read_or_submitted_before_the_first_result_is_asked_for(calls, batch, ordered):
    read = []
    batch((read.append(number) for number in range(10)), ordered=ordered)
    iter(batch(iter(range(3)), ordered=ordered))
    assert (read, calls.made) == ([], {})


@both_orders
def test_the_window_is_never_larger_than_asked_for_and_always_full(calls, batch, ordered):
    read = []

    def items():
        for number in range(20):
            read.append(number)
            yield number

    calls.at_once = True
    results = batch(items(), concurrency=4, ordered=ordered)
    for taken, _ in enumerate(results):
        assert len(read) - taken <= 4
        assert len(read) == min(taken + 4, 20)
    assert len(read) == 20


@both_orders
def test_a_window_of_one_goes_step_by_step(calls, batch, ordered):
    calls.at_once = True
    results = batch(range(5), concurrency=1, ordered=ordered)
    for number in range(5):
        assert next(results) == number
        assert len(calls.made) == number + 1


def test_an_endless_input_is_no_trouble(calls, batch):
    calls.at_once = True
    results = batch(itertools.count())
    assert [next(results) for _ in range(100)] == list(range(100))
    assert len(calls.made) == 102
    results.close()


def test_ordered_results_come_in_the_order_of_the_input(calls, batch, soon):
    results = batch(range(3))
    soon(lambda: len(calls.made) == 3, lambda: calls.settle(2, 1, 0))
    assert list(results) == [0, 1, 2]


def test_unordered_results_come_in_the_order_in_which_they_ended(calls, batch, soon):
    results = batch(range(3), ordered=False)
    soon(lambda: len(calls.made) == 3, lambda: calls.settle(2, 0, 1))
    assert list(results) == [2, 0, 1]


def test_unordered_results_that_were_there_at_once_are_each_given_once(calls, batch):
    calls.at_once = True
    assert sorted(batch(range(10), ordered=False)) == list(range(10))


@both_orders
def test_arguments_come_from_all_inputs_side_by_side(calls, batch, ordered):
    calls.at_once = True
    assert sorted(batch("ab", [1, 2, 3], ordered=ordered)) == [("a", 1), ("b", 2)]
    assert list(batch([], ordered=ordered)) == []


@both_orders
def test_a_batch_is_over_once(calls, batch, ordered):
    calls.at_once = True
    results = batch(range(2), ordered=ordered)
    assert len(list(results)) == 2
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)
    assert list(results) == []


# -- failures ---------------------------------------------------------------------------------------------------------


@both_orders
def test_the_first_failure_is_raised_and_cancels_the_rest(calls, batch, soon, ordered):
    results = batch(range(10), ordered=ordered)
    soon(lambda: len(calls.made) == 3, lambda: calls.made[0].settle(None, ERROR))
    with pytest.raises(ValueError, match="from the call"):
        next(results)
    assert calls.cancelled == [1, 2]
    assert len(calls.made) == 3
    with pytest.raises(StopIteration):
        next(results)


@both_orders
def test_failures_and_cancellations_are_items_when_asked_for(calls, batch, soon, ordered):
    results = batch(range(3), ordered=ordered, return_exceptions=True)

    def settle():
        calls.made[0].settle(None, ERROR)
        calls.made[1].cancel()
        calls.settle(2)

    soon(lambda: len(calls.made) == 3, settle)
    outcomes = list(results)
    assert outcomes[0] is ERROR
    assert isinstance(outcomes[1], concurrent.futures.CancelledError)
    assert outcomes[2] == 2


@both_orders
def test_an_input_that_raises_is_raised_and_cancels_what_is_open(calls, batch, ordered):
    def items():
        yield 0
        yield 1
        raise OSError("from the input")

    results = batch(items(), ordered=ordered, return_exceptions=True)
    with pytest.raises(OSError, match="from the input"):
        next(results)
    assert calls.cancelled == [0, 1]
    assert list(results) == []


@both_orders
def test_a_submission_that_raises_is_raised_and_cancels_what_is_open(calls, ordered):
    def submit(number):
        if number == 2:
            raise OSError("refused")
        return calls.submit(number)

    results = Batch(submit, (range(10),), 5, ordered, True)
    with pytest.raises(OSError, match="refused"):
        next(results)
    assert calls.cancelled == [0, 1]
    assert list(results) == []


@both_orders
@pytest.mark.parametrize("value", [None, 5, concurrent.futures.Future()], ids=["None", "number", "other future"])
def test_a_function_that_gives_no_call_is_refused_and_cancels_what_is_open(calls, ordered, value):
    results = Batch(lambda number: value if number else calls.submit(0), (range(3),), 3, ordered, True)
    with pytest.raises(TypeError, match=type(value).__name__):
        next(results)
    assert calls.cancelled == [0]


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "3", None])
def test_a_window_that_is_no_positive_number_is_refused(calls, concurrency):
    with pytest.raises(InvalidArgument, match="concurrency"):
        Batch(calls.submit, ([1],), concurrency, True, False)


def test_no_input_at_all_is_refused(calls):
    with pytest.raises(InvalidArgument, match="iterables"):
        Batch(calls.submit, (), 1, True, False)


# -- leaving ----------------------------------------------------------------------------------------------------------


@both_orders
@pytest.mark.parametrize("way", ["close", "with", "error in with", "drop", "drop in a circle"])
def test_leaving_early_cancels_what_is_open(calls, batch, soon, ordered, way):
    results = batch(range(10), ordered=ordered)
    soon(lambda: len(calls.made) == 3, lambda: calls.settle(0))
    assert next(results) == 0
    assert calls.open == [1, 2]
    if way == "close":
        results.close()
        results.close()
    elif way == "with":
        with results as same:
            assert same is results
    elif way == "error in with":
        with pytest.raises(KeyError), results:
            raise KeyError
    elif way == "drop":
        del results
    else:
        circle = [results]
        circle.append(circle)
        del results, circle
        gc.collect()
    assert calls.cancelled == [1, 2]
    assert calls.open == []


def test_what_has_ended_is_not_cancelled_by_leaving(calls, batch):
    calls.at_once = True
    results = batch(range(3))
    next(results)
    results.close()
    assert calls.cancelled == []


def test_an_interrupt_while_waiting_cancels_what_is_open(calls, batch, monkeypatch):
    class Interrupted:
        def wake(self):
            pass

        def wait(self, timeout):
            raise KeyboardInterrupt

    monkeypatch.setattr("ai.backend.client.sessions.batch.waiter", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(batch(range(10)))
    assert calls.cancelled == [0, 1, 2]


@both_orders
def test_no_wake_up_is_lost_while_calls_end_one_by_one(calls, ordered):
    """Another thread settles them as fast as they come."""
    stop = threading.Event()

    def settle():
        while not stop.is_set():
            for key, future in list(calls.made.items()):
                future.settle(key, None)

    settling = threading.Thread(target=settle, daemon=True)
    settling.start()
    try:
        for _ in range(20):
            calls.made = {}
            assert sorted(Batch(calls.submit, (range(50),), 7, ordered, False)) == list(range(50))
    finally:
        stop.set()
        settling.join(LIMIT)


def test_only_the_consuming_greenlet_waits(calls, batch):
    def body():
        ticks = []

        def tick():
            while len(ticks) < 100:
                ticks.append(1)
                gevent.sleep(0)
            calls.settle(*calls.open)

        ticker = gevent.spawn(tick)
        results = list(batch(range(3)))
        ticker.kill()
        return results, len(ticks)

    outcome = []

    def run():
        hub = gevent.get_hub()
        try:
            outcome.append(body())
        finally:
            hub.destroy(destroy_loop=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert outcome == [([0, 1, 2], 100)]


# -- asyncio ----------------------------------------------------------------------------------------------------------


async def submitted(calls, count=3):
    """Let the other tasks run until so many calls were made."""
    while len(calls.made) < count:  # noqa: ASYNC110  # `submit` is no coroutine
        await asyncio.sleep(0)


def in_loop(body):
    return asyncio.run(asyncio.wait_for(body(), LIMIT))


@both_orders
def test_async_for_gives_every_result_and_does_not_hold_up_the_loop(calls, batch, ordered):
    async def body():
        async def settle():
            await submitted(calls)
            for key in (2, 1, 0):
                calls.settle(key)
                await asyncio.sleep(0)

        settling = asyncio.create_task(settle())
        results = [result async for result in batch(range(3), ordered=ordered)]
        await settling
        return results

    assert in_loop(body) == ([0, 1, 2] if ordered else [2, 1, 0])


@pytest.mark.parametrize("way", ["aclose", "async with", "cancel"])
def test_leaving_asynchronously_cancels_what_is_open(calls, batch, way):
    async def body():
        results = batch(range(10))
        if way == "cancel":
            waiting = asyncio.create_task(anext(results))
            await submitted(calls)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            return
        waiting = asyncio.create_task(anext(results))
        await submitted(calls)
        calls.settle(0)
        assert await waiting == 0
        if way == "aclose":
            await results.aclose()
        else:
            async with results as same:
                assert same is results

    in_loop(body)
    assert calls.open == []
    assert calls.cancelled == ([0, 1, 2] if way == "cancel" else [1, 2])


def test_the_first_failure_ends_async_for(calls, batch):
    async def body():
        results = batch(range(10))
        waiting = asyncio.create_task(anext(results))
        await submitted(calls)
        calls.made[0].settle(None, ERROR)
        with pytest.raises(ValueError, match="from the call"):
            await waiting
        with pytest.raises(StopAsyncIteration):
            await anext(results)

    in_loop(body)
    assert calls.cancelled == [1, 2]


# -- progress ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "total"), [([1, 2, 3], 3), (range(1, 4), 3), (iter([1, 2, 3]), None), ((n for n in (1, 2, 3)), None)]
)
def test_a_listener_hears_of_each_result_and_of_the_number_if_it_can_be_known(calls, items, total):
    calls.at_once = True
    heard = []
    results = list(Batch(calls.submit, (items,), 2, True, False, lambda done, of: heard.append((done, of))))
    assert results == [1, 2, 3]
    assert heard == [(1, total), (2, total), (3, total)]


def test_the_number_of_items_is_that_of_the_shortest_iterable(calls):
    calls.at_once = True
    heard = []
    list(Batch(calls.submit, ([1, 2, 3], "ab"), 2, True, False, lambda done, of: heard.append((done, of))))
    assert heard == [(1, 2), (2, 2)]


def test_a_bar_is_drawn_on_standard_error_and_left_there(calls, capsys):
    calls.at_once = True
    assert list(Batch(calls.submit, ([1, 2],), 2, True, False, True)) == [1, 2]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err


def test_without_progress_nothing_is_shown(calls, capsys):
    calls.at_once = True
    assert list(Batch(calls.submit, ([1, 2],), 2, True, False)) == [1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("progress", ["yes", 1, object()])
def test_a_listener_must_be_callable(calls, progress):
    with pytest.raises(InvalidArgument, match="progress"):
        Batch(calls.submit, ([1],), 2, True, False, progress)
