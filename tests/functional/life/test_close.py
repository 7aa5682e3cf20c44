"""Promise 4, first half: whatever happens at close, every call ends. What close leaves behind: test_leaks.py."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait
from functools import partial

import pytest

from ai.backend.client.exceptions import ActorCrashed, ConnectionFailed, SessionClosed
from ai.backend.client.session import AsyncSession, Session
from support.asking import ask, is_answer, submit, wrong
from support.recipes import Probe
from support.runtimes.calling import is_cancelled
from support.servers.faults import unused_port
from support.waiting import LIMIT, NEVER, soon, until

IN_FLIGHT = 200


def names_in_flight(unique, orders):
    return [unique(orders) for _ in range(IN_FLIGHT)]


def test_close_drains_calls_that_end_in_time(runtime, echo, make_config, unique):
    names = names_in_flight(unique, "d100")
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, name) for name in names]
        runtime.close(session)
        assert all(future.done() for future in futures)
        assert wrong(names, [future.result(0) for future in futures]) == []


def test_close_ends_calls_that_do_not_end_in_time(runtime, echo, make_config, unique):
    names = names_in_flight(unique, "never")
    with runtime.session(make_config(echo, lanes=100)) as session:
        futures = [submit(session, name) for name in names]
        echo.until_pending(100)
        with soon():
            runtime.close(session, timeout=0.2)
        assert all(future.done() for future in futures)
        assert {type(future.exception(0)) for future in futures} == {SessionClosed}


def test_close_settles_every_kind_of_call(runtime, echo, make_config, unique):
    """Answered, queued, on the wire, cancelled: all end as one of the three."""
    names = [unique(orders) for orders in ("d10", "never", "d5000", "rand") for _ in range(IN_FLIGHT // 4)]
    with runtime.session(make_config(echo, lanes=64)) as session:
        futures = [submit(session, name) for name in names]
        for future in futures[::10]:
            future.cancel()
        runtime.close(session, timeout=0.1)
        assert all(future.done() for future in futures)
    for name, future in zip(names, futures, strict=True):
        if not future.cancelled():
            error = future.exception(0)
            assert isinstance(error, SessionClosed) if error else is_answer(name, future.result(0))


def test_close_closes_every_connection(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, unique("never")) for _ in range(IN_FLIGHT)]
        echo.until_pending(IN_FLIGHT)
        runtime.close(session, timeout=0)
        until(lambda: echo.stats()["open"] == 0, "the server sees all connections closed")
    assert len(futures) == len(echo.stats()["aborted"])


def stop_one_by_one(actors):
    for actor in actors:
        actor.actor_ref.stop(timeout=LIMIT)


def stop_all(actors):
    """As pykka's registry would, if it knew them."""
    for actor in actors:
        actor.actor_ref.stop(block=False)


@pytest.mark.parametrize("stop", [stop_one_by_one, stop_all])
def test_close_does_not_wait_for_actors_that_somebody_has_stopped(runtime, echo, make_config, unique, stop):
    with runtime.session(make_config(echo)) as session:
        runtime.value(partial(ask, session, unique()))
        actors = list(session._core.runtime._supervisor._functions.values())
        assert len(actors) == 2  # the probe's and the call's
        stop(actors)
        with soon():
            runtime.close(session, timeout=NEVER)
        assert not any(actor.actor_ref.is_alive() for actor in actors)


def test_close_drains_although_an_actor_was_stopped(runtime, echo, make_config, unique):
    names = names_in_flight(unique, "d100")
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, name) for name in names]
        until(lambda: "Kernel" in session._core.runtime._supervisor._functions, "calls flow")
        stop_all([session._core.runtime._supervisor._functions["Kernel"]])
        runtime.close(session, timeout=NEVER)
        assert wrong(names, [future.result(0) for future in futures]) == []


def test_close_drains_although_an_actor_crashes_meanwhile(runtime, echo, make_config, unique):
    name = unique("d300")
    with runtime.session(make_config(echo)) as session:
        probe = session.bind(Probe)
        crashing = probe.crash.submit(unique("d100"), ValueError("while it closes"))
        working = probe.get.submit(name)
        with soon():
            runtime.close(session, timeout=NEVER)
        assert isinstance(crashing.exception(0), ActorCrashed)
        assert is_answer(name, working.result(0))


def test_close_with_no_time_waits_for_no_actor(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, unique("never")) for _ in range(IN_FLIGHT)]
        echo.until_pending(IN_FLIGHT)
        actors = list(session._core.runtime._supervisor._functions.values())
        runtime.close(session, timeout=0)
        assert {type(future.exception(0)) for future in futures} == {SessionClosed}
        assert not any(actor.actor_ref.is_alive() for actor in actors)


def test_close_twice_is_close_once(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        runtime.value(partial(ask, session, unique()))
        runtime.close(session)
        runtime.close(session)
        assert session.closed


def test_a_closed_session_refuses_calls_at_once(runtime, echo, make_config, unique):
    name = unique()
    with runtime.session(make_config(echo)) as session:
        runtime.close(session)
        outcome = runtime.outcome(partial(ask, session, name))
        late = runtime.outcome(partial(submit, session, name))
    assert isinstance(outcome, SessionClosed)
    assert isinstance(late, SessionClosed)
    assert echo.seen(name) == 0


def test_a_closed_session_does_not_open_again(runtime, echo, make_config):
    session = runtime.make(make_config(echo))
    runtime.open(session)
    runtime.close(session)
    with pytest.raises(SessionClosed):
        runtime.open(session)


def test_close_before_open_sends_nothing(runtime, echo, make_config, unique):
    session = runtime.make(make_config(echo))
    runtime.close(session)
    assert session.closed
    assert isinstance(runtime.outcome(partial(ask, session, unique())), SessionClosed)
    assert echo.stats()["requests"] == 0


def test_close_after_a_failed_open(runtime, make_config):
    session = runtime.make(make_config(f"http://127.0.0.1:{unused_port()}", retries=0))
    with pytest.raises(ConnectionFailed):
        runtime.open(session)
    runtime.close(session)
    assert session.closed


def test_close_from_a_done_callback_does_not_deadlock(runtime, echo, make_config, unique):
    names = names_in_flight(unique, "never")
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, name) for name in names]
        closing = submit(session, unique("d50"))
        closing.add_done_callback(lambda _: session.close(timeout=0))
        runtime.wait(closing)
        assert not wait(futures, LIMIT).not_done
        assert {type(future.exception(0)) for future in futures} == {SessionClosed}
        until(lambda: session.closed, "the session is closed")


def test_close_from_another_thread(runtime, echo, make_config, unique):
    names = names_in_flight(unique, "never")
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, name) for name in names]
        echo.until_pending(IN_FLIGHT)
        closer = threading.Thread(target=lambda: settle(session.close(timeout=0)))
        closer.start()
        closer.join(LIMIT)
        assert not closer.is_alive()
        assert {type(future.exception(LIMIT)) for future in futures} == {SessionClosed}


def test_close_from_many_threads_at_once(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        futures = [submit(session, unique("never")) for _ in range(IN_FLIGHT)]
        closers = [threading.Thread(target=lambda: settle(session.close(timeout=0))) for _ in range(16)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(LIMIT)
        assert not any(closer.is_alive() for closer in closers)
        assert {type(future.exception(LIMIT)) for future in futures} == {SessionClosed}


def test_close_from_a_recipe_does_not_wait_for_itself(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        probe = session.bind(Probe)
        outcome = runtime.outcome(partial(probe.look, unique(), lambda: session.close(timeout=0) and None))
        until(lambda: session.closed, "the session is closed")
    assert outcome is None or isinstance(outcome, SessionClosed)


def test_calls_that_race_with_close_all_end(runtime, echo, make_config, unique):
    """Submitting threads never stop until they are refused; no call may fall between."""
    futures = []
    with runtime.session(make_config(echo, in_flight=1000)) as session:

        def submitter() -> None:
            while True:
                try:
                    futures.append(submit(session, unique("rand")))
                except SessionClosed:
                    return
                if futures[-1].done() and isinstance(futures[-1].exception(0), SessionClosed):
                    return

        threads = [threading.Thread(target=submitter, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: sum(future.done() for future in futures[:100]) > 50, "calls flow")
        runtime.close(session)
        for thread in threads:
            thread.join(LIMIT)
        assert not any(thread.is_alive() for thread in threads)
        assert not wait(futures, LIMIT).not_done
    for future in futures:
        error = future.exception(0)
        assert error is None or isinstance(error, SessionClosed)


@pytest.mark.parametrize("session_class", [Session, AsyncSession])
def test_with_left_by_an_exception_waits_for_nobody(echo, make_config, unique, session_class):
    futures = []

    def leave() -> None:
        with session_class(config=make_config(echo)) as session:
            futures.extend(submit(session, unique("never")) for _ in range(IN_FLIGHT))
            raise ZeroDivisionError

    with soon(), pytest.raises(ZeroDivisionError):
        leave()
    assert {type(future.exception(LIMIT)) for future in futures} == {SessionClosed}


def test_async_with_left_by_an_exception_waits_for_nobody(echo, make_config, unique):
    futures = []

    async def main() -> None:
        async with AsyncSession(config=make_config(echo)) as session:
            futures.extend(submit(session, unique("never")) for _ in range(IN_FLIGHT))
            raise ZeroDivisionError

    with soon(), pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert {type(future.exception(LIMIT)) for future in futures} == {SessionClosed}


def test_async_close_does_not_block_the_loop(echo, make_config, unique):
    async def main() -> None:
        session = AsyncSession(config=make_config(echo))
        await session.open()
        call = submit(session, unique("d300"))
        closing = session.close()
        assert not closing.done()
        await closing
        assert call.done()
        assert not is_cancelled(call.exception(0))

    asyncio.run(main())


def settle(closing):
    """`AsyncSession.close` returns a future, `Session.close` has waited already."""
    if closing is not None:
        closing.result(LIMIT)
