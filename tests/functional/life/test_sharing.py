"""What one caller does to its own call must not touch what others share: the session's end, its opening, its batch."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import gevent
import pytest

from ai.backend.client.exceptions import DeadlineExceeded, InvalidArgument
from ai.backend.client.request import Request
from ai.backend.client.session import AsyncSession, Session
from support.asking import ask, is_answer, submit
from support.runtimes.inside import descriptors
from support.servers.faults import FaultServer, reply
from support.waiting import LIMIT, NEVER, soon, until


def test_giving_up_on_the_end_does_not_cancel_it_for_others(echo, make_config, unique):
    async def main():
        session = AsyncSession(config=make_config(echo))
        call = ask(session, unique("d500"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.close(5), 0.1)
        await session.close()
        return await call

    assert "name" in asyncio.run(main())


def test_a_later_close_cannot_lengthen_an_earlier_one(echo, make_config, unique):
    session = Session(config=make_config(echo))
    call = submit(session, unique("never"))
    until(lambda: call.running(), "the call is on the wire")
    closer = threading.Thread(target=session.close, args=(0.3,))
    closer.start()
    with soon():
        session.close(NEVER)
    closer.join(LIMIT)
    assert call.done()


def test_the_first_caller_s_deadline_is_not_everybody_s(make_config, unique):
    late = threading.Event()
    slow = reply({"version": "v7.20230615"})

    def probe(connection, request):
        late.wait(LIMIT)
        return slow(connection, request)

    with FaultServer() as server:
        server.probe = probe
        server.script(reply({"name": "kernel"}))
        session = Session(config=make_config(server))
        hasty = session.with_options(deadline=0.1).Kernel("kernel").get_info.submit()
        patient = submit(session, "kernel")
        assert isinstance(hasty.exception(LIMIT), DeadlineExceeded)
        late.set()
        assert patient.result(LIMIT) == {"name": "kernel"}
        session.close()


def test_a_task_that_is_cancelled_before_its_first_step_cancels_its_call(echo, make_config, unique):
    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            call = ask(session, unique("never"))
            task = asyncio.create_task(call)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return call.cancelled()

    assert asyncio.run(main())


def test_a_signal_with_a_harmless_handler_disturbs_no_wait(echo, make_config, unique):
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with Session(config=make_config(echo)) as session:
            name = unique("d300")
            assert is_answer(name, ask(session, name))
            name = unique("d300")
            assert is_answer(name, submit(session, name).result(LIMIT))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen


def test_a_gevent_timeout_around_a_low_level_request_takes_it_off_the_wire(echo, make_config, unique):
    with Session(config=make_config(echo)) as session:
        request = Request(session, "GET", f"/session/{unique('never')}")
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.2):
            request.fetch().__enter__()
        until(lambda: echo.stats()["aborted"], "the server saw the connection close")


@pytest.mark.parametrize("return_exceptions", [True, False])
def test_an_item_that_is_refused_is_an_outcome_like_any_other(echo, make_config, unique, return_exceptions):
    names = [unique(), "", unique()]
    with Session(config=make_config(echo)) as session:
        batch = session.map(
            lambda name: session.Kernel(name).get_info.submit(), names, return_exceptions=return_exceptions
        )
        if return_exceptions:
            outcomes = list(batch)
            assert is_answer(names[0], outcomes[0])
            assert isinstance(outcomes[1], InvalidArgument)
            assert is_answer(names[2], outcomes[2])
        else:
            assert is_answer(names[0], next(batch))
            with pytest.raises(InvalidArgument):
                next(batch)


def test_connections_that_the_server_closed_are_closed_here_too(make_config):
    with FaultServer() as server, Session(config=make_config(server)) as session:
        server.script(reply({"name": "kernel"}))
        list(session.map(lambda _: submit(session, "kernel"), range(20), concurrency=20))
        busy = descriptors()
        server.stop()
        until(lambda: descriptors() < busy, "connections are closed")


def test_a_cookie_file_that_cannot_be_written_spoils_no_answer(make_config, server, tmp_path):
    folder = tmp_path / "not a folder"
    folder.write_text("")
    server.script(reply({"authenticated": True, "data": {}}, headers={"Set-Cookie": "AIOHTTP_SESSION=a; Path=/"}))
    config = make_config(server, endpoint_type="session", cookie_file=str(Path(folder) / "cookies"))
    with Session(config=config) as session:
        assert session.Auth.login("user", "password")["authenticated"] is True
    assert len(server.requests) == 1
