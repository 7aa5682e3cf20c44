"""Cancelling is honest: a queued call is never sent, a call on the wire is abandoned with its connection."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from functools import partial

import pytest

from ai.backend.client.session import AsyncSession
from support.asking import ask, is_answer, submit, wrong
from support.recipes import Probe
from support.waiting import LIMIT, until


def test_a_queued_call_is_never_sent(runtime, echo, make_config, unique):
    first, second, third = unique("d300"), unique(), unique()
    with runtime.session(make_config(echo, lanes=1)) as session:
        running = submit(session, first)
        echo.until_seen(first)
        queued = submit(session, second)
        assert queued.cancel() is True
        assert queued.cancelled()
        assert is_answer(first, runtime.wait(running))
        assert is_answer(third, runtime.value(partial(ask, session, third)))
    assert echo.seen(second) == 0


def test_a_call_on_the_wire_is_abandoned_and_its_connection_closed(runtime, echo, make_config, unique):
    name, next_name = unique("never"), unique()
    with runtime.session(make_config(echo, lanes=1)) as session:
        future = submit(session, name)
        echo.until_seen(name)
        assert future.cancel() is True
        assert future.cancelled()
        until(lambda: echo.aborted(name), "the server sees the connection closed")
        assert is_answer(next_name, runtime.value(partial(ask, session, next_name)))


def test_a_late_answer_reaches_nobody(runtime, echo, make_config, unique):
    """The server answers cancelled calls while later ones are on the wire."""
    late = [unique("d300") for _ in range(20)]
    names = [unique("d350") for _ in range(20)]
    with runtime.session(make_config(echo, lanes=20)) as session:
        futures = [submit(session, name) for name in late]
        echo.until_pending(20)
        assert all(future.cancel() for future in futures)
        assert wrong(names, runtime.outcomes([partial(ask, session, name) for name in names])) == []


def test_a_finished_call_cannot_be_cancelled(runtime, echo, make_config, unique):
    name = unique()
    with runtime.session(make_config(echo)) as session:
        future = submit(session, name)
        runtime.wait(future)
        assert future.cancel() is False
        assert not future.cancelled()
        assert is_answer(name, future.result(0))


def test_cancelling_twice_is_true_twice(runtime, echo, make_config, unique):
    """As the standard library's own future says of one that is cancelled."""
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique("never"))
        assert future.cancel() is True
        assert future.cancel() is True


def test_cancelling_twice_counts_once_for_who_waits(runtime, echo, make_config, unique):
    """`wait` counts what it is told: told twice of one future, it would return with another still pending."""
    with runtime.session(make_config(echo)) as session:
        twice, pending = submit(session, unique("never")), submit(session, unique("never"))
        elapsed = []

        def wait_for_both() -> None:
            start = time.monotonic()
            assert concurrent.futures.wait([twice, pending], 0.3).not_done == {pending}
            elapsed.append(time.monotonic() - start)

        waiting = threading.Thread(target=wait_for_both)
        waiting.start()
        until(lambda: twice._waiters and pending._waiters, "somebody waits for both")
        twice.cancel()
        twice.cancel()
        waiting.join(LIMIT)
    assert elapsed[0] >= 0.3 * 0.9


def test_waiters_are_told_of_a_cancellation(runtime, echo, make_config, unique):
    told = threading.Event()
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique("never"))
        future.add_done_callback(lambda _: told.set())
        future.cancel()
        assert concurrent.futures.wait([future], 5).done == {future}
        assert list(concurrent.futures.as_completed([future], 5)) == [future]
        assert told.wait(LIMIT)
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(LIMIT)
        with pytest.raises(concurrent.futures.CancelledError):
            future.exception(LIMIT)


def test_a_recipe_is_cancelled_between_its_requests(runtime, echo, make_config, unique):
    first, second = unique("d100"), unique()
    with runtime.session(make_config(echo)) as session:
        future = session.bind(Probe).many.submit(first, second)
        echo.until_seen(first)
        assert future.cancel()
        name = unique("d200")
        runtime.value(partial(ask, session, name))
    assert echo.seen(second) == 0


def test_many_cancelled_calls_free_their_slots(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo, in_flight=10, lanes=4)) as session:
        for _ in range(20):
            futures = [submit(session, unique("never")) for _ in range(10)]
            assert all(future.cancel() for future in futures)
        names = [unique() for _ in range(10)]
        assert wrong(names, runtime.outcomes([partial(ask, session, name) for name in names])) == []


def test_cancel_from_another_thread_wakes_the_waiter(runtime, echo, make_config, unique):
    name = unique("never")
    with runtime.session(make_config(echo)) as session:
        future = submit(session, name)

        def cancel() -> None:
            echo.until_seen(name)
            future.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises((concurrent.futures.CancelledError, asyncio.CancelledError)):
            runtime.wait(future)
        thread.join(LIMIT)


def in_asyncio(make_config, echo, body):
    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            return await asyncio.wait_for(body(session), 20)

    return asyncio.run(main())


def test_wait_for_takes_the_call_off_the_wire(echo, make_config, unique):
    name = unique("never")

    async def body(session):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(session, name), 0.1)
        until(lambda: echo.aborted(name), "the server sees the connection closed")

    in_asyncio(make_config, echo, body)


def test_shield_keeps_the_call_on_the_wire(echo, make_config, unique):
    name = unique("d300")

    async def body(session):
        future = ask(session, name)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(future), 0.05)
        assert is_answer(name, await future)

    in_asyncio(make_config, echo, body)


def test_cancelling_the_task_cancels_its_call(echo, make_config, unique):
    name = unique("never")

    async def body(session):
        async def one():
            await ask(session, name)

        task = asyncio.create_task(one())
        await asyncio.to_thread(echo.until_seen, name)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        until(lambda: echo.aborted(name), "the server sees the connection closed")

    in_asyncio(make_config, echo, body)


def test_a_cancelled_future_does_not_cancel_the_task_that_awaits_it(echo, make_config, unique):
    """Awaiting a future that somebody else cancelled raises; the task itself goes on."""

    async def body(session):
        future = ask(session, unique("never"))
        asyncio.get_running_loop().call_later(0.05, future.cancel)
        with pytest.raises((asyncio.CancelledError, concurrent.futures.CancelledError)):
            await future
        assert asyncio.current_task().cancelling() == 0
        name = unique()
        assert is_answer(name, await ask(session, name))

    in_asyncio(make_config, echo, body)
