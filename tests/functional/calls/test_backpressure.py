"""A session accepts a limited number of calls; what the next one does depends on configuration and on who asks."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import pytest

from ai.backend.client.exceptions import CallTimeout, Overloaded, SessionClosed
from ai.backend.client.session import AsyncSession
from support.asking import ask, is_answer, questions, submit, wrong
from support.runtimes.calling import available
from support.servers.faults import after, named
from support.waiting import LIMIT, soon, until

TURNS = 50
BLOCKING = pytest.mark.parametrize("runtime", [name for name in available() if name != "asyncio"], indirect=True)


@BLOCKING
def test_a_caller_waits_for_its_turn(runtime, echo, make_config, unique):
    names = [unique("d50") for _ in range(20)]
    start = time.monotonic()
    with runtime.session(make_config(echo, in_flight=2)) as session:
        outcomes = runtime.outcomes([partial(ask, session, name) for name in names])
        elapsed = time.monotonic() - start
    assert wrong(names, outcomes) == []
    assert elapsed >= 0.05 * 10 * 0.9
    assert echo.stats()["peak"] <= 2


@BLOCKING
def test_submit_waits_for_its_turn_too(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo, in_flight=2)) as session:
        start = time.monotonic()
        running = [submit(session, unique("d200")) for _ in range(2)]
        name = unique()
        third = submit(session, name)
        assert time.monotonic() - start >= 0.2 * 0.9
        assert is_answer(name, runtime.wait(third))
        assert any(future.done() for future in running)


@pytest.mark.parametrize("runtime", [name for name in available() if name not in ("asyncio", "thread")], indirect=True)
def test_only_the_waiting_greenlet_waits(runtime, server, make_config, unique):
    leaves_others_their_turns(runtime, server, make_config(server, in_flight=2), [unique() for _ in range(6)])


def leaves_others_their_turns(runtime, server, config, names):
    """The server answers when another caller of the same thread has had its turns."""
    go = threading.Event()
    server.script(after(go, named()))
    with runtime.session(config) as session:
        *outcomes, _ = runtime.outcomes([*questions(session, names), runtime.turns(TURNS, go.set)])
    assert wrong(names, outcomes) == []


def test_a_full_session_refuses_when_configured_so(runtime, echo, make_config, unique):
    name = unique()
    with runtime.session(make_config(echo, in_flight=2, when_full="error")) as session:
        running = [submit(session, unique("never")) for _ in range(2)]
        outcome = runtime.outcome(partial(ask, session, name))
        assert isinstance(outcome, Overloaded)
        assert not any(future.done() for future in running), "it did not wait for them"
        for future in running:
            future.cancel()
        until(lambda: not session._core.runtime._supervisor.known_calls(), "the slots are free")
        assert is_answer(name, runtime.value(partial(ask, session, name)))
    assert echo.seen(name) == 1


@BLOCKING
def test_nobody_waits_for_a_turn_past_the_deadline(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo, in_flight=1)) as session:
        running = submit(session, unique("never"))
        with soon():
            outcome = runtime.outcome(partial(ask, session.with_options(deadline=0.2), unique()))
        assert isinstance(outcome, CallTimeout | Overloaded)
        assert not running.done()
        running.cancel()


@BLOCKING
def test_close_releases_who_waits_for_a_turn(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo, in_flight=1)) as session:
        name = unique("never")
        submit(session, name)

        def close() -> None:
            echo.until_seen(name)
            closing = session.close(timeout=0)
            if closing is not None:
                closing.result(LIMIT)

        thread = threading.Thread(target=close)
        thread.start()
        outcomes = runtime.outcomes([partial(ask, session, unique()) for _ in range(10)])
        thread.join(LIMIT)
    assert {type(outcome) for outcome in outcomes} == {SessionClosed}


@pytest.mark.parametrize("runtime", ["asyncio"] if "asyncio" in available() else [], indirect=True)
def test_a_running_loop_never_waits_its_calls_queue(runtime, echo, make_config, unique):
    names = [unique("d50") for _ in range(40)]

    async def burst(session):
        futures = [submit(session, name) for name in names]
        assert not all(future.done() for future in futures[4:]), "the loop went on before they had their turn"
        return await asyncio.gather(*futures)

    with runtime.session(make_config(echo, in_flight=4)) as session:
        answers = runtime.coroutine(lambda: burst(session))
    assert wrong(names, answers) == []


@pytest.mark.parametrize("runtime", ["asyncio"] if "asyncio" in available() else [], indirect=True)
def test_others_have_their_turns_while_a_full_session_queues(runtime, server, make_config, unique):
    leaves_others_their_turns(runtime, server, make_config(server, in_flight=4), [unique() for _ in range(20)])


def test_a_callback_never_waits(echo, make_config, unique):
    """A callback that submits to a full session must not hold the worker that will free the slot."""
    name = unique()
    found = []
    done = threading.Event()

    def follow_up(_):
        found.append(submit(session, name))
        done.set()

    session = AsyncSession(config=make_config(echo, in_flight=1))
    try:
        session.open().result(LIMIT)
        submit(session, unique("d50")).add_done_callback(follow_up)
        assert done.wait(LIMIT)
        assert is_answer(name, found[0].result(LIMIT))
    finally:
        session.close(timeout=0).result(LIMIT)


def test_calls_of_asyncio_and_threads_share_the_limit(echo, make_config, unique):
    names = [unique("rand") for _ in range(50)]
    thread_names = [unique("rand") for _ in range(50)]
    found = []

    async def main():
        async with AsyncSession(config=make_config(echo, in_flight=5)) as session:
            thread = asyncio.to_thread(
                lambda: found.extend(submit(session, name).result(LIMIT) for name in thread_names)
            )
            answers, _ = await asyncio.gather(asyncio.gather(*(ask(session, name) for name in names)), thread)
            return answers

    assert wrong(names, asyncio.run(main())) == []
    assert wrong(thread_names, found) == []
    assert echo.stats()["peak"] <= 5
