"""A `CallFuture` is the standard library's future, and can be awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gc
import inspect
import re
import threading
import time
import warnings

import pytest

from ai.backend.client.exceptions import BackendAPIError, InvalidArgument
from ai.backend.client.session import AsyncSession
from support.asking import ask, is_answer, submit, wrong
from support.waiting import LIMIT, until


def test_it_is_a_standard_future(runtime, echo, make_config, unique):
    name = unique("d100")
    with runtime.session(make_config(echo)) as session:
        future = submit(session, name)
        assert isinstance(future, concurrent.futures.Future)
        assert not future.done()
        assert is_answer(name, runtime.wait(future))
        assert future.done()
        assert not future.running()
        assert not future.cancelled()
        assert future.exception(0) is None
        assert is_answer(name, future.result(0))
        assert is_answer(name, future.get(timeout=0))


def test_whoever_forgets_to_wait_is_told(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique("d100"))
        assert repr(future) in ("<CallFuture of Kernel.get_info pending>", "<CallFuture of Kernel.get_info running>")
        for use in (lambda: future["status"], lambda: list(future)):
            with pytest.raises(TypeError, match="`await` it"):
                use()
        runtime.wait(future)
        assert "finished returned dict" in repr(future)


def test_it_keeps_its_outcome(runtime, echo, make_config, unique):
    """Asked again, by anyone, it says the same."""
    with runtime.session(make_config(echo)) as session:
        good, bad = submit(session, unique()), submit(session, unique("s404"))
        concurrent.futures.wait([good, bad], 10)
    assert good.result(0) is good.result(0)
    for _ in range(2):
        with pytest.raises(BackendAPIError):
            bad.result(0)
    assert bad.exception(0) is bad.exception(0)


def test_result_with_a_timeout_gives_up_in_time(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique("never"))
        for waiting in (future.result, future.exception):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                waiting(0.1)
            assert time.monotonic() - start >= 0.09
        with pytest.raises(TimeoutError):
            future.get(timeout=0)
        assert not future.done()


def test_wait_and_as_completed(runtime, echo, make_config, unique):
    names = [unique("rand") for _ in range(50)]
    with runtime.session(make_config(echo)) as session:
        futures = {submit(session, name): name for name in names}
        slow = submit(session, unique("never"))
        first = concurrent.futures.wait([*futures, slow], 10, concurrent.futures.FIRST_COMPLETED)
        assert first.done
        done = list(concurrent.futures.as_completed(futures, 10))
        assert sorted(futures[future] for future in done) == sorted(names)
        assert all(is_answer(futures[future], future.result(0)) for future in done)
        assert concurrent.futures.wait([slow], 0.05).not_done == {slow}


def test_wait_returns_on_the_first_exception(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, unique("never")), submit(session, unique("s404"))]
        done, _ = concurrent.futures.wait(futures, 10, concurrent.futures.FIRST_EXCEPTION)
        assert done == {futures[1]}
        assert isinstance(futures[1].exception(0), BackendAPIError)


def test_many_threads_wait_for_one_future(echo, make_config, unique):
    name = unique("d100")
    with AsyncSession(config=make_config(echo)) as session:
        future = submit(session, name)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: future.result(LIMIT), range(16)))
    assert all(is_answer(name, answer) for answer in answers)


def test_cancel_and_answer_race_ends_in_one_of_them(runtime, echo, make_config, unique):
    """All observers of one future agree."""
    names = [unique("rand") for _ in range(500)]
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, name) for name in names]
        for future in futures[::2]:
            future.cancel()
        thread = threading.Thread(target=lambda: [future.cancel() for future in futures[1::4]])
        thread.start()
        for name, future in zip(names, futures, strict=True):
            try:
                assert is_answer(name, future.result(LIMIT))
                assert not future.cancelled()
            except concurrent.futures.CancelledError:
                assert future.cancelled()
                assert future.cancel()
        thread.join(LIMIT)


def test_errors_before_sending_are_raised_where_the_call_is_made_or_awaited(runtime, echo, make_config):
    with runtime.session(make_config(echo)) as session:
        outcome = runtime.outcome(lambda: submit(session, ".."))
    assert isinstance(outcome, InvalidArgument)


FORGOTTEN = r"Kernel\.get_info was never looked at .* BackendAPIError"


def forget_a_failed_call(session, name):
    """Nobody asks for its outcome; returns once it has one."""
    future = submit(session, name)
    concurrent.futures.wait([future], 10)
    assert future.done()


def test_a_failed_call_that_nobody_looks_at_is_reported(runtime, echo, make_config, unique):
    gc.collect()  # what earlier tests left
    with runtime.session(make_config(echo)) as session, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forget_a_failed_call(session, unique("s404"))
        until(lambda: gc.collect() is not None and len(caught) > 0, "the error is reported")
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert re.search(FORGOTTEN, str(caught[0].message))


@pytest.mark.parametrize(
    "look",
    [
        lambda future: future.exception(LIMIT),
        lambda future: _outcome_of(future),
        lambda future: future.add_done_callback(lambda done: done.exception()),
        lambda future: concurrent.futures.wait([future], 10) and future.cancel(),
    ],
    ids=["exception", "result", "callback", "cancel"],
)
def test_a_failed_call_that_somebody_looks_at_is_not_reported(runtime, echo, make_config, unique, look):
    gc.collect()  # what earlier tests left
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with runtime.session(make_config(echo)) as session:
            future = submit(session, unique("s404"))
            look(future)
            concurrent.futures.wait([future], 10)
        del future
        gc.collect()
    assert caught == []


def _outcome_of(future):
    with pytest.raises(BackendAPIError):
        future.result(LIMIT)


def test_a_future_that_was_taken_for_the_value_says_what_to_do(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique())
        with pytest.raises(AttributeError, match=r"no attribute 'execute': first `await` it, or take its result\(\)"):
            future.execute("code")
        assert not hasattr(future, "execute")
        assert getattr(future, "_repr_html_", None) is None
        with pytest.raises(AttributeError) as caught:
            future.__array_interface__  # noqa: B018  # it raises
        assert "await" not in str(caught.value)
        assert copy.copy(future) is copy.deepcopy(future) is future
        assert "result" in dir(future)
        runtime.wait(future)


# -- asyncio ---------------------------------------------------------------------------------------


@pytest.fixture
def in_asyncio(echo, make_config):
    """Run `body(session)` on a loop, with an open `AsyncSession`."""

    def run(body, loop_factory=None):
        async def main():
            async with AsyncSession(config=make_config(echo)) as session:
                return await asyncio.wait_for(body(session), 30)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main())

    return run


def test_await(in_asyncio, unique):
    name = unique("rand")
    assert is_answer(name, in_asyncio(lambda session: _await(ask(session, name))))


async def _await(awaitable):
    return await awaitable


def test_await_twice_gives_the_same(in_asyncio, unique):
    async def body(session):
        future = ask(session, unique())
        return await future, await future

    first, second = in_asyncio(body)
    assert first == second


def test_await_raises_the_call_s_error(in_asyncio, unique):
    async def body(session):
        with pytest.raises(BackendAPIError):
            await ask(session, unique("s404"))

    in_asyncio(body)


def test_gather(in_asyncio, unique):
    names = [unique("rand") for _ in range(200)]

    async def body(session):
        return await asyncio.gather(*(ask(session, name) for name in names))

    assert wrong(names, in_asyncio(body)) == []


def test_gather_with_exceptions(in_asyncio, unique):
    async def body(session):
        return await asyncio.gather(ask(session, unique()), ask(session, unique("s404")), return_exceptions=True)

    answer, error = in_asyncio(body)
    assert isinstance(answer, dict)
    assert isinstance(error, BackendAPIError)


def test_create_task_and_task_group(in_asyncio, unique):
    names = [unique("rand") for _ in range(20)]

    async def body(session):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(session, name)) for name in names]
        task = asyncio.create_task(ask(session, names[0]), name="a call")
        assert is_answer(names[0], await task)
        return [task.result() for task in tasks]

    assert wrong(names, in_asyncio(body)) == []


def test_a_failing_task_group_cancels_the_other_calls(in_asyncio, echo, unique):
    never = unique("never")

    async def body(session):
        async def both():
            async with asyncio.TaskGroup() as group:
                group.create_task(ask(session, never))
                group.create_task(ask(session, unique("d50-s404")))

        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert isinstance(caught.value.exceptions[0], BackendAPIError)

    in_asyncio(body)
    assert echo.aborted(never)


def test_wait_for_returns_in_time(in_asyncio, unique):
    name = unique("d50")

    async def body(session):
        return await asyncio.wait_for(ask(session, name), 5)

    assert is_answer(name, in_asyncio(body))


def test_wait_wants_tasks(in_asyncio, unique):
    async def body(session):
        tasks = {asyncio.create_task(ask(session, unique("rand"))) for _ in range(10)}
        done, pending = await asyncio.wait(tasks, timeout=5)
        assert not pending
        return done

    assert len(in_asyncio(body)) == 10


def test_asyncio_as_completed(in_asyncio, unique):
    names = [unique("rand") for _ in range(20)]

    async def body(session):
        return [(await next_one)["name"] for next_one in asyncio.as_completed([ask(session, name) for name in names])]

    assert sorted(in_asyncio(body)) == sorted(names)


def test_wrap_future(in_asyncio, unique):
    name = unique("d50")

    async def body(session):
        return await asyncio.wrap_future(ask(session, name))

    assert is_answer(name, in_asyncio(body))


def test_cancelling_a_wrapped_future_cancels_the_call(in_asyncio, echo, unique):
    name = unique("never")

    async def body(session):
        wrapped = asyncio.wrap_future(ask(session, name))
        await asyncio.to_thread(echo.until_seen, name)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped

    in_asyncio(body)
    assert echo.aborted(name)


def test_run_coroutine_threadsafe(in_asyncio, unique):
    name = unique("rand")

    async def body(session):
        loop = asyncio.get_running_loop()

        def other_thread():
            return asyncio.run_coroutine_threadsafe(ask(session, name), loop).result(LIMIT)

        return await asyncio.to_thread(other_thread)

    assert is_answer(name, in_asyncio(body))


def test_it_counts_as_awaitable_and_coroutine(in_asyncio, unique):
    async def body(session):
        future = ask(session, unique())
        assert inspect.isawaitable(future)
        assert asyncio.iscoroutine(future)
        await future

    in_asyncio(body)


def test_a_timeout_block_cancels_the_call(in_asyncio, echo, unique):
    name = unique("never")

    async def body(session):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ask(session, name)

    in_asyncio(body)
    assert echo.aborted(name)


def test_one_future_is_awaited_by_several_tasks(in_asyncio, unique):
    name = unique("d50")

    async def body(session):
        future = ask(session, name)
        return await asyncio.gather(*(_await(future) for _ in range(10)))

    assert all(is_answer(name, answer) for answer in in_asyncio(body))


def test_loops_of_several_threads_share_a_session(echo, make_config, unique):
    rows = [[unique("rand") for _ in range(100)] for _ in range(4)]
    with AsyncSession(config=make_config(echo)) as session:

        def other_loop(row):
            async def main():
                return await asyncio.gather(*(ask(session, name) for name in row))

            return asyncio.run(main())

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(other_loop, rows))
    for row, answers in zip(rows, found, strict=True):
        assert wrong(row, answers) == []


def test_a_loop_that_ends_before_its_call_harms_nobody(echo, make_config, unique):
    name = unique("d200")
    with AsyncSession(config=make_config(echo)) as session:

        async def abandon():
            task = asyncio.ensure_future(_await(ask(session, name)))
            until(lambda: echo.seen(name), "the call is on the wire")
            await asyncio.sleep(0)
            return task

        asyncio.run(abandon())
        later = unique("d300")
        assert is_answer(later, ask(session, later).result(LIMIT))


def test_a_loop_that_is_stopped_with_a_call_pending_harms_nobody(echo, make_config, unique):
    """The answer arrives for a closed loop."""
    name = unique("d200")
    with AsyncSession(config=make_config(echo)) as session:
        loop = asyncio.new_event_loop()
        future = ask(session, name)
        steps = future.__await__()

        async def start():
            steps.send(None)

        loop.run_until_complete(start())
        loop.close()
        later = unique("d300")
        assert is_answer(later, ask(session, later).result(LIMIT))
        assert is_answer(name, future.result(0))
        steps.close()


def test_uvloop(in_asyncio, unique):
    uvloop = pytest.importorskip("uvloop")
    names = [unique("rand") for _ in range(200)]

    async def body(session):
        answers = await asyncio.gather(*(ask(session, name) for name in names))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(session, unique("never")), 0.05)
        return answers

    assert wrong(names, in_asyncio(body, uvloop.new_event_loop)) == []
