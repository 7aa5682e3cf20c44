"""`session.map`: batches from one plain thread, greenlet or task, in bounded memory."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ai.backend.client.exceptions import BackendAPIError, SessionClosed
from ai.backend.client.session import AsyncSession
from support.asking import is_answer, submit, wrong
from support.recipes import Probe
from support.runtimes.calling import available
from support.servers.faults import silence
from support.waiting import LIMIT, until

# `for` blocks its caller, so it has no place in a running loop: `async for` is tested below.
BLOCKING = pytest.mark.parametrize("runtime", [name for name in available() if name != "asyncio"], indirect=True)


@pytest.fixture
def session(runtime, echo, make_config):
    """A session that opens on first use: fixtures are set up outside of the runtime's home."""
    session = runtime.make(make_config(echo))
    yield session
    closing = session.close(timeout=0)
    if closing is not None:
        closing.result(LIMIT)


class Input:
    """An iterable that tells how far it was read, and by which thread."""

    def __init__(self, names):
        self.pulled = 0
        self.threads = set()
        self._names = names

    def __iter__(self):
        for name in self._names:
            self.pulled += 1
            self.threads.add(threading.get_ident())
            yield name


def by_name(session):
    return lambda name: submit(session, name)


@BLOCKING
def test_results_come_in_the_order_of_the_input(session, unique):
    names = [unique("rand") for _ in range(300)]
    assert wrong(names, list(session.map(by_name(session), names))) == []


@BLOCKING
def test_unordered_results_come_as_they_complete(session, unique):
    slow = unique("d500")
    names = [slow, *(unique() for _ in range(50))]
    answers = list(session.map(by_name(session), names, ordered=False))
    assert sorted(answer["name"] for answer in answers) == sorted(names)
    assert answers[-1]["name"] == slow


@BLOCKING
def test_an_api_function_is_mapped_over_its_arguments(session, echo, unique):
    names = [unique() for _ in range(20)]
    assert wrong(names, list(session.map(session.bind(Probe).get, names))) == []


@BLOCKING
def test_several_iterables_are_read_side_by_side_until_the_shortest_ends(session, unique):
    first, second = [unique() for _ in range(10)], [unique() for _ in range(7)]
    answers = list(session.map(session.bind(Probe).many, first, second))
    assert [[one["name"] for one in pair] for pair in answers] == [
        list(pair) for pair in zip(first, second, strict=False)
    ]


@BLOCKING
def test_nothing_is_read_or_sent_before_the_first_result_is_asked_for(session, echo, unique):
    names = Input([unique() for _ in range(10)])
    results = session.map(by_name(session), names)
    assert names.pulled == 0
    assert echo.stats()["paths"].keys() <= {"GET /"}
    assert len(list(results)) == 10


@BLOCKING
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as-completed"])
def test_never_more_than_the_concurrency_is_in_flight_or_waiting_to_be_taken(session, echo, unique, ordered):
    names = Input([unique("rand") for _ in range(200)])
    taken = 0
    for _ in session.map(by_name(session), names, concurrency=7, ordered=ordered):
        taken += 1
        assert names.pulled - taken <= 7
    assert taken == 200
    assert echo.stats()["peak"] <= 7


@BLOCKING
def test_a_slow_consumer_stops_the_reading(session, unique):
    """Results that nobody takes count too, or memory would grow with the input."""
    names = Input(unique() for _ in itertools.count())
    results = iter(session.map(by_name(session), names, concurrency=5))
    next(results)
    next(results)
    assert names.pulled <= 7
    results.close()


@BLOCKING
def test_the_input_is_read_in_the_consumer_s_thread(session, unique):
    names = Input([unique("rand") for _ in range(100)])
    assert len(list(session.map(by_name(session), names, concurrency=8))) == 100
    assert names.threads == {threading.get_ident()}


@BLOCKING
def test_the_first_failure_cancels_the_rest_and_is_raised(session, echo, unique):
    never = [unique("never") for _ in range(5)]
    names = Input([unique("d50-s404"), *never, *(unique() for _ in range(1000))])
    with pytest.raises(BackendAPIError):
        list(session.map(by_name(session), names, concurrency=6))
    until(lambda: all(map(echo.aborted, never)), "the calls on the wire are cancelled")
    assert names.pulled < 20


@BLOCKING
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as-completed"])
def test_exceptions_are_items_on_request(session, unique, ordered):
    names = [unique("s404" if index % 3 == 0 else "rand") for index in range(30)]
    answers = list(session.map(by_name(session), names, return_exceptions=True, ordered=ordered, concurrency=4))
    assert sum(isinstance(answer, BackendAPIError) for answer in answers) == 10
    assert sum(isinstance(answer, dict) for answer in answers) == 20
    if ordered:
        failed = [name for name, answer in zip(names, answers, strict=True) if not is_answer(name, answer)]
        assert failed == names[::3]


@BLOCKING
def test_leaving_early_cancels_what_is_open(session, echo, unique):
    never = [unique("never") for _ in range(5)]
    for _ in session.map(by_name(session), [unique(), *never], concurrency=6):
        break
    else:
        pytest.fail("no result")
    # `break` alone drops the iterator, which is enough.
    until(lambda: all(echo.aborted(name) for name in never if echo.seen(name)), "the open calls are cancelled")
    assert echo.stats()["pending"] == 0


@BLOCKING
def test_closing_the_iterator_cancels_what_is_open(session, echo, unique):
    never = [unique("never") for _ in range(5)]
    results = session.map(by_name(session), [unique(), *never], concurrency=6)
    next(results)
    results.close()
    until(lambda: echo.stats()["pending"] == 0, "the open calls are cancelled")
    with pytest.raises(StopIteration):
        next(results)


@BLOCKING
def test_closing_the_session_ends_the_batch(session, echo, unique):
    results = session.map(by_name(session), [unique(), *(unique("never") for _ in range(5))], concurrency=6)
    next(results)
    closing = session.close(timeout=0)
    if closing is not None:
        closing.result(LIMIT)
    with pytest.raises(SessionClosed):
        next(results)


@BLOCKING
def test_an_exception_of_the_input_is_raised_and_cancels_the_rest(session, echo, unique):
    def names():
        yield unique("never")
        yield unique("never")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(session.map(by_name(session), names(), concurrency=8))
    until(lambda: echo.stats()["pending"] == 0, "the open calls are cancelled")


@BLOCKING
def test_a_function_that_returns_no_future_is_refused(session, echo):
    with pytest.raises(TypeError):
        list(session.map(len, ["text"]))
    with pytest.raises(TypeError):
        list(session.map(lambda name: 42, ["text"]))


@BLOCKING
def test_an_empty_input_gives_nothing(session):
    assert list(session.map(by_name(session), [])) == []


@BLOCKING
@pytest.mark.parametrize("concurrency", [0, -1, "many", 1.5])
def test_a_concurrency_that_is_no_positive_number_is_refused(session, concurrency):
    with pytest.raises(ValueError, match="concurrency"):
        list(session.map(by_name(session), ["kernel"], concurrency=concurrency))


@BLOCKING
def test_a_batch_of_more_than_the_session_accepts_still_ends(runtime, echo, make_config, unique):
    names = [unique("rand") for _ in range(100)]
    with runtime.session(make_config(echo, in_flight=4, lanes=2)) as session:
        assert wrong(names, list(session.map(by_name(session), names, concurrency=50))) == []


@BLOCKING
def test_batches_of_several_threads_do_not_mix(session, unique):
    rows = [[unique("rand") for _ in range(50)] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda row: list(session.map(by_name(session), row, concurrency=8)), rows))
    for row, found in zip(rows, answers, strict=True):
        assert wrong(row, found) == []


def run_async(main):
    return asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_async_for_gives_results_in_order(echo, make_config, unique):
    names = [unique("rand") for _ in range(300)]

    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            return [answer async for answer in session.map(by_name(session), names)]

    assert wrong(names, run_async(main)) == []


def test_async_for_does_not_block_the_loop(server, make_config):
    server.script(silence())

    async def main():
        async with AsyncSession(config=make_config(server)) as session:
            waiting = asyncio.create_task(anext(aiter(session.map(by_name(session), ["kernel"]))))
            for _ in range(100):  # turns of the loop beside the one that waits
                await asyncio.sleep(0)
            await asyncio.to_thread(until, lambda: server.requests, "the call is on the wire")
            assert not waiting.done()
            waiting.cancel()

    run_async(main)


def test_leaving_async_for_early_cancels_what_is_open(echo, make_config, unique):
    never = [unique("never") for _ in range(5)]

    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            results = session.map(by_name(session), [unique(), *never], concurrency=6)
            async for _ in results:
                break
            await results.aclose()
            until(lambda: echo.stats()["pending"] == 0, "the open calls are cancelled")

    run_async(main)


def test_async_for_raises_the_first_failure(echo, make_config, unique):
    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            async for _ in session.map(by_name(session), [unique(), unique("s404"), unique("never")]):
                pass

    with pytest.raises(BackendAPIError):
        run_async(main)
