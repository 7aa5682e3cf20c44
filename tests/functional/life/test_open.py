"""Opening: lazily, once, whoever comes first, and without leaving a trace when it fails."""

from __future__ import annotations

import asyncio
import threading
import warnings
from functools import partial

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import (
    APIVersionWarning,
    BackendAPIError,
    CallTimeout,
    ConnectionFailed,
    InvalidReply,
    NeverSent,
)
from ai.backend.client.functions.base import BaseFunction
from ai.backend.client.session import AsyncSession, Session
from ai.backend.client.versioning import API_VERSION
from support.asking import ask, is_answer, questions, submit, wrong
from support.runtimes.inside import tasks
from support.servers.faults import FaultServer, close, reply, silence, unused_port
from support.waiting import LIMIT


def probes(echo):
    return echo.stats()["paths"].get("GET /", 0)


@pytest.mark.parametrize("session_class", [Session, AsyncSession])
def test_construction_does_no_io_and_starts_no_thread(echo, make_config, session_class):
    threads = tasks()
    sessions = [session_class(config=make_config(echo)) for _ in range(10)]
    assert tasks() == threads
    assert not any(session.closed for session in sessions)
    assert echo.stats()["requests"] == 0


def test_the_first_call_opens(runtime, echo, make_config, unique):
    name = unique()
    session = runtime.make(make_config(echo))
    assert is_answer(name, runtime.value(partial(ask, session, name)))
    runtime.close(session)
    assert probes(echo) == 1


def test_a_submitted_call_opens(runtime, echo, make_config, unique):
    name = unique()
    session = runtime.make(make_config(echo))
    assert is_answer(name, runtime.wait(submit(session, name)))
    runtime.close(session)
    assert probes(echo) == 1


def test_concurrent_first_calls_share_one_probe(runtime, echo, make_config, unique):
    names = [unique("rand") for _ in range(64)]
    session = runtime.make(make_config(echo))
    assert wrong(names, runtime.outcomes(questions(session, names))) == []
    runtime.close(session)
    assert probes(echo) == 1


def test_opening_twice_is_opening_once(runtime, echo, make_config):
    with runtime.session(make_config(echo)) as session:
        runtime.open(session)
    assert probes(echo) == 1


def test_the_version_is_negotiated(runtime, make_config, server):
    server.probe = reply({"version": "v6.20220315", "manager": "22.03.1"})
    with runtime.session(make_config(server)) as session:
        assert session.api_version == (6, "20220315")
        runtime.value(partial(ask, session, "kernel"))
    assert server.requests[-1].headers["x-backendai-version"] == "v6.20220315"
    assert server.requests[-1].target == "/session/kernel"


def test_an_old_server_gets_old_paths(runtime, make_config, server):
    server.probe = reply({"version": "v4.20190615", "manager": "19.09.10"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", APIVersionWarning)  # it may well say that this server is old
        with runtime.session(make_config(server)) as session:
            assert session.api_version == (4, "20190615")
            runtime.value(partial(ask, session, "kernel"))
    assert server.requests[-1].target == "/kernel/kernel"


def test_the_configured_version_is_an_upper_bound(runtime, make_config, server):
    with runtime.session(make_config(server, version="v6.20210815")) as session:
        assert session.api_version == (6, "20210815")


@pytest.mark.parametrize(
    ("version", "manager", "spoken"),
    [
        ("v9.20250722", "26.9.6", "v6.20200815"),
        ("v9.20250722", "26.2.5", "v6.20210815"),
        ("v8.20240315", "24.03.11", "v6.20210815"),
    ],
)
def test_a_version_that_the_server_may_refuse_is_not_sent(runtime, make_config, server, version, manager, spoken):
    server.probe = reply({"version": version, "manager": manager})
    with runtime.session(make_config(server, version="v6.20210815")) as session:
        runtime.value(partial(ask, session, "kernel"))
    assert server.requests[-1].headers["x-backendai-version"] == spoken


def test_a_newer_server_is_used_as_the_newest_known_one_with_one_warning(runtime, make_config, server):
    server.probe = reply({"version": "v10.20270101", "manager": "27.3.1"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with runtime.session(make_config(server)) as session:
            for _ in range(3):
                assert runtime.value(partial(ask, session, "kernel")) == {"target": "/session/kernel"}
            assert session.api_version == (9, "20250722")
            runtime.value(partial(session.Kernel("kernel").list_files, "a"))
    assert len([one for one in caught if one.category is APIVersionWarning]) == 1
    assert server.requests[-1].headers["x-backendai-version"] == "v9.20250722"
    assert server.requests[-1].target == "/session/kernel/files?path=a"  # as 26.9 wants it


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (reply({"manager": "23.09.10"}), (7, "20230615")),
        (reply({"version": "latest"}), API_VERSION),
        (reply(b"<html>welcome</html>", headers={"Content-Type": "text/html"}), API_VERSION),
        (reply(b""), API_VERSION),
        (reply({"title": "no such route"}, status=404), API_VERSION),
        (reply([1, 2, 3]), API_VERSION),
    ],
    ids=["missing", "malformed", "html", "empty", "404", "list"],
)
def test_a_probe_without_a_usable_version_falls_back_and_warns(make_config, server, answer, agreed):
    server.probe = answer
    session = Session(config=make_config(server))
    with pytest.warns(APIVersionWarning):
        session.open()
    assert session.api_version == agreed
    assert session.Kernel("kernel").get_info() == {"target": "/session/kernel"}
    session.close()


def test_a_failed_open_may_be_tried_again(runtime, make_config):
    with FaultServer() as server:
        server.stop()
        session = runtime.make(make_config(server, retries=0))
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                runtime.open(session)
        assert isinstance(runtime.outcome(partial(ask, session, "kernel")), ConnectionFailed)
        server.restart()
        runtime.open(session)
        assert runtime.value(partial(ask, session, "kernel")) == {"target": "/session/kernel"}
        runtime.close(session)


def test_concurrent_openers_share_the_failure(runtime, make_config, server):
    server.probe = close()
    session = runtime.make(make_config(server, retries=0))
    outcomes = runtime.outcomes([partial(ask, session, "kernel")] * 16)
    runtime.close(session)
    assert all(isinstance(outcome, ConnectionFailed) for outcome in outcomes), outcomes
    assert server.requests == []


def test_a_silent_probe_ends_by_the_deadline(runtime, make_config, server):
    server.probe = silence()
    session = runtime.make(make_config(server, deadline=0.3, retries=0))
    outcome = runtime.outcome(partial(ask, session, "kernel"))
    runtime.close(session, timeout=0)
    assert isinstance(outcome, CallTimeout)


def test_close_ends_an_opening(make_config, server):
    server.probe = silence()
    session = AsyncSession(config=make_config(server))
    opening = session.open()
    call = submit(session, "kernel")
    session.close(timeout=0).result(LIMIT)
    assert opening.exception(LIMIT) is not None
    assert call.exception(LIMIT) is not None


def test_with_returns_the_session(echo, make_config, unique):
    name = unique()
    with Session(config=make_config(echo)) as session:
        assert is_answer(name, session.Kernel(name).get_info())
    assert session.closed


def test_with_works_on_an_async_session_outside_of_a_loop(echo, make_config, unique):
    name = unique()
    with AsyncSession(config=make_config(echo)) as session:
        assert is_answer(name, session.Kernel(name).get_info().result(LIMIT))
    assert session.closed


def test_with_inside_a_running_loop_is_refused(echo, make_config):
    async def main():
        session = AsyncSession(config=make_config(echo))
        with pytest.raises(RuntimeError), session:
            pass
        await session.close()

    asyncio.run(main())


def test_async_with_opens_and_closes(echo, make_config, unique):
    name = unique()

    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            assert session.api_version == (7, "20230615")
            answer = await session.Kernel(name).get_info()
        assert session.closed
        return answer

    assert is_answer(name, asyncio.run(main()))


def test_async_with_is_for_the_other_kind(echo, make_config):
    async def enter():
        async with Session(config=make_config(echo)):
            pass

    with pytest.raises(TypeError, match="AsyncSession"):
        asyncio.run(enter())


def test_a_refusal_without_keys_says_what_is_missing(make_config, server):
    refused = reply(
        {"type": "https://api.backend.ai/probs/auth-failed", "title": "Credential/signature mismatch."}, status=401
    )
    for key, hint in (
        ("", "the session has no access key: set BACKEND_ACCESS_KEY and BACKEND_SECRET_KEY"),
        ("AK", None),
    ):
        server.script(refused)
        with Session(config=make_config(server, access_key=key), proxy_mode=True) as session:
            with pytest.raises(BackendAPIError) as caught:
                session.Kernel("mine").get_info()
            assert caught.value.hint == hint
            assert hint is None or hint in str(caught.value)


@pytest.fixture
def default_endpoint(monkeypatch):
    """`default_endpoint(url)`: makes that the endpoint of who names none."""

    def make(url):
        monkeypatch.setattr(APIConfig, "DEFAULTS", {**APIConfig.DEFAULTS, "endpoint": url})

    return make


def test_a_default_endpoint_that_fails_is_told_to_be_one(runtime, default_endpoint, server, monkeypatch):
    refused = reply({"type": "https://api.backend.ai/probs/auth-failed", "title": "Credential mismatch."}, status=401)
    server.script(refused, refused)
    for url in (server.url, f"http://127.0.0.1:{unused_port()}"):
        default_endpoint(url)
        for is_set in (False, True):
            if is_set:
                monkeypatch.setenv("BACKEND_ENDPOINT", url)
            else:
                monkeypatch.delenv("BACKEND_ENDPOINT", raising=False)
            session = runtime.make(APIConfig(retries=0))
            outcome = runtime.outcome(partial(ask, session, "kernel"))
            runtime.close(session)
            assert isinstance(outcome, BackendAPIError | NeverSent)
            assert ("BACKEND_ENDPOINT is not set" in str(outcome)) is not is_set


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_reached_is_named(runtime, make_config, scheme):
    address = f"127.0.0.1:{unused_port()}"
    proxies = {scheme: f"http://anna:hunter2@{address}"}
    session = runtime.make(make_config(f"{scheme}://manager.example", proxies=proxies, retries=0))
    outcome = runtime.outcome(partial(ask, session, "kernel"))
    runtime.close(session)
    assert isinstance(outcome, NeverSent)
    assert f"no connection to the proxy http://***@{address}" in str(outcome)
    assert "hunter2" not in str(outcome)


PAGE = f"<html>404: nothing here {'x' * 10_000}</html>".encode()


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_is_no_manager_is_told_to_be_none(runtime, make_config, server, status):
    page = reply(PAGE, status=status, headers={"Content-Type": "text/html"})
    server.probe = page
    server.script(page)
    session = runtime.make(make_config(server))
    with pytest.warns(APIVersionWarning):
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    runtime.close(session)
    assert isinstance(outcome, InvalidReply)
    assert "this is no Backend.AI manager" in str(outcome)
    assert len(str(outcome)) < 700


@pytest.mark.parametrize(
    ("answer", "kind"), [(reply(PAGE), InvalidReply), (reply(PAGE, status=403), BackendAPIError)], ids=["page", "403"]
)
def test_a_server_that_may_be_no_manager_is_doubted(runtime, make_config, server, answer, kind):
    server.probe = reply(PAGE)
    server.script(answer)
    session = runtime.make(make_config(server))
    with pytest.warns(APIVersionWarning):
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    runtime.close(session)
    assert isinstance(outcome, kind)
    assert "may be no Backend.AI manager" in str(outcome)
    assert len(str(outcome)) < 700


def test_a_manager_behind_an_odd_proxy_is_no_stranger(runtime, make_config, server):
    """Its `GET /` is the proxy's; its errors are its own."""
    server.probe = reply(PAGE, status=404)
    server.script(reply({"type": "https://api.backend.ai/probs/session-not-found", "title": "No such."}, status=404))
    session = runtime.make(make_config(server))
    with pytest.warns(APIVersionWarning):
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    runtime.close(session)
    assert isinstance(outcome, BackendAPIError)
    assert (outcome.status, outcome.hint) == (404, None)


def test_proxy_mode_sends_no_probe(echo, make_config, unique):
    name = unique()
    with Session(config=make_config(echo), proxy_mode=True) as session:
        assert is_answer(name, session.Kernel(name).get_info())
    assert probes(echo) == 0


def test_a_session_that_opens_in_one_thread_works_in_others(echo, make_config, unique):
    name = unique()
    session = Session(config=make_config(echo))
    opener = threading.Thread(target=session.open)
    opener.start()
    opener.join(LIMIT)
    assert is_answer(name, session.Kernel(name).get_info())
    session.close()


def test_many_sessions_open_and_close(runtime, echo, make_config, unique):
    for _ in range(30):
        name = unique()
        with runtime.session(make_config(echo)) as session:
            assert is_answer(name, runtime.value(partial(ask, session, name)))
    assert probes(echo) == 30


@pytest.mark.parametrize(
    "attribute",
    [
        "Admin", "Agent", "AgentWatcher", "Auth", "Domain", "Group", "Image", "Kernel", "ComputeSession", "KeyPair",
        "Manager", "Resource", "KeypairResourcePolicy", "User", "ScalingGroup", "VFolder",
    ],
)  # fmt: skip
@pytest.mark.parametrize("session_class", [Session, AsyncSession])
def test_every_proxy_is_a_type_of_the_session_s_own(make_config, session_class, attribute):
    one, two = (session_class(config=make_config("http://127.0.0.1:1")) for _ in range(2))
    kind = getattr(one, attribute)
    assert issubclass(kind, BaseFunction)
    assert kind.session is one
    assert getattr(one, attribute) is kind
    assert getattr(two, attribute) is not kind
