"""Streams on the real manager, agent and kernel runner, from every kind of caller; through the web server, too."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIError, BackendClientError, DeadlineExceeded
from ai.backend.client.session import Session
from support.cluster import IMAGE, RESOURCES
from support.runtimes.streaming import read
from support.waiting import until

LIMIT = 30.0
LIFE = [
    "kernel_preparing",
    "kernel_creating",
    "kernel_started",
    "session_terminating",
    "kernel_terminating",
    "kernel_terminated",
    "session_terminated",
]
"""What a 23.09 manager tells of a session's life; `kernel_terminated` comes twice."""

pytestmark = pytest.mark.timeout(120)


def start(session: Any, token: str) -> Any:
    return session.Kernel.get_or_create(IMAGE, client_token=token, resources=RESOURCES)


@pytest.fixture(scope="module")
def shared() -> Iterator[str]:
    """The name of one compute session for all tests that only run code: starting one takes seconds."""
    token = f"live-{secrets.token_hex(6)}"
    yield token
    with Session() as session, contextlib.suppress(BackendAPIError):
        session.Kernel(token).destroy(forced=True)


@pytest.fixture
def running(live_config, shared):
    """`running(runtime)`: a session of the runtime's, and the shared compute session."""

    @contextlib.contextmanager
    def run(runtime: Any) -> Iterator[tuple[Any, Any]]:
        with runtime.session(live_config()) as session:
            yield session, runtime.value(partial(start, session, shared))

    return run


def follow(runtime: Any, stream: Any, inputs: tuple[str, ...] = ()) -> tuple[str, dict[str, Any]]:
    """A run's output and last result; it gets the inputs that it asks for."""
    lines, text, result = list(inputs), "", {}

    def take(one: dict[str, Any]) -> bool:
        nonlocal text, result
        text += "".join(str(data) for kind, data in one["console"] or () if kind in ("stdout", "stderr"))
        result = one
        return one["status"] == "waiting-input"

    async def follow_async() -> None:
        async with stream:
            async for one in stream.results():
                if take(one):
                    await stream.send_input(lines.pop(0))

    def follow_blocking() -> None:
        with stream:
            for one in stream.results():
                if take(one):
                    sent = stream.send_input(lines.pop(0))
                    if sent is not None:
                        sent.result(LIMIT)

    runtime.coroutine(follow_async) if runtime.name == "asyncio" else runtime.value(follow_blocking)
    return text, result


def test_code_with_input_and_batches_over_a_websocket(runtime, running, tmp_path):
    with running(runtime) as (_, kernel):
        text, result = follow(
            runtime,
            kernel.stream_execute("a = input('first? ')\nb = input('second? ')\nprint('sum', int(a) + int(b))"),
            ("40", "2"),
        )
        assert text.endswith("sum 42\n")
        assert (result["status"], result["exitCode"]) == ("finished", 0)
        text, _ = follow(runtime, kernel.stream_execute("1 / 0"))
        assert "ZeroDivisionError" in text
        text, result = follow(runtime, kernel.stream_execute(mode="batch", opts={"exec": "echo batch; exit 3"}))
        assert (text, result["status"], result["exitCode"]) == ("batch\n", "finished", 3)
        (tmp_path / "main.py").write_text("import sys; print('from a file', sys.argv[1:])\n")
        runtime.value(partial(kernel.upload, [tmp_path / "main.py"], basedir=tmp_path))
        text, _ = follow(runtime, kernel.stream_execute(mode="batch", opts={"exec": "python main.py x"}))
        assert text == "from a file ['x']\n"


def test_output_comes_as_it_is_written(runtime, running):
    with running(runtime) as (_, kernel):
        times: list[float] = []
        code = "import time\nfor i in range(4):\n    print(i, flush=True); time.sleep(0.7)"
        reading = read(runtime, kernel.stream_execute(code), lambda message: times.append(time.monotonic()))
        assert reading.error is None
        assert times[-1] - times[0] > 1.5
        assert "".join(data for one in reading.items for _, data in one.json()["console"] or ()) == "0\n1\n2\n3\n"


@pytest.mark.parametrize(
    "code", ["import time\nfor i in range(100):\n    print(i, flush=True); time.sleep(0.2)", "input('?')"]
)
def test_leaving_a_run_early_interrupts_it_and_frees_the_session(runtime, running, code):
    with running(runtime) as (_, kernel):
        start_time = time.monotonic()
        reading = read(runtime, kernel.stream_execute(code), lambda message: message.json()["console"])
        assert reading.error is None
        assert runtime.value(partial(kernel.run, "print('next')")).stdout == "next\n"
        assert time.monotonic() - start_time < 12  # the code alone would take 20 s, or for ever


def test_events_of_a_whole_life(runtime, live_config, tokens):
    token = tokens()
    with runtime.session(live_config()) as session:
        stream = session.Kernel(token).listen_events()
        runtime.value(stream.open)
        kernel = runtime.value(partial(start, session, token))
        runtime.value(kernel.destroy)
        reading = read(runtime, stream, lambda event: event.event == "session_terminated")
        assert reading.error is None
        assert sorted({event.event for event in reading.items}) == sorted(LIFE)  # the manager may swap neighbours
        assert {event.json()["sessionName"] for event in reading.items} == {token}
        assert stream.reconnects == 0


def test_events_by_scope_and_by_uuid(runtime, live_config, tokens):
    token = tokens()
    with runtime.session(live_config()) as session:
        kernel = runtime.value(partial(start, session, token))
        streams = {scope: kernel.listen_events(scope) for scope in ("session", "kernel")}
        for stream in streams.values():
            runtime.value(stream.open)
        assert "sessionId" in streams["session"]._spec.request().params
        runtime.value(kernel.destroy)
        ends = {"session": "session_terminated", "kernel": "kernel_terminated"}
        for scope, stream in streams.items():
            found = read(runtime, stream, lambda event, end=ends[scope]: event.event == end).items
            assert all(event.event.startswith(f"{scope}_") for event in found)


def test_events_of_a_background_task(runtime, running):
    with running(runtime) as (session, kernel):
        runtime.value(partial(kernel.run, "open('/home/work/big', 'wb').write(bytes(20_000_000))"))
        task = session.BackgroundTask(runtime.value(kernel.commit)["bgtask_id"])
        reading = read(runtime, task.listen_events())
        assert reading.error is None
        assert [event.event for event in reading.items][-2:] == ["bgtask_done", "server_close"]
        assert reading.items[0].json()["task_id"] == task.task_id
        assert isinstance(read(runtime, session.BackgroundTask("0" * 32).listen_events()).error, BackendAPIError)


def in_thread(use: Any, *args: Any) -> Any:
    """What the local side of a tunnel does, off the runtime's own thread."""
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(use(*args)))
    thread.start()
    until(lambda: not thread.is_alive(), "the local side is done", LIMIT)
    return outcomes[0]


def ssh_banner(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, LIMIT) as local:
        return local.recv(64)


def page(address: tuple[str, int], path: str = "/") -> bytes:
    for _ in range(20):  # the service may still be coming up
        try:
            with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=LIMIT) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.5)
    return b""


def test_an_ssh_banner_and_a_page_through_tunnels(runtime, running):
    with running(runtime) as (_, kernel):
        tunnel = kernel.tunnel("sshd")
        runtime.value(tunnel.open)
        assert in_thread(ssh_banner, tunnel.address).startswith(b"SSH-2.0-")
        runtime.value(tunnel.close)

        content = "x" * 300_000
        runtime.value(partial(kernel.run, f"open('/home/work/page.txt', 'w').write({content[:1]!r} * {len(content)})"))
        web = kernel.tunnel("httpd", protocol="http")
        runtime.value(web.open)
        assert b"Directory listing" in in_thread(page, web.address)

        def many(address: tuple[str, int]) -> list[bytes]:
            with ThreadPoolExecutor(8) as pool:
                return list(pool.map(lambda _: page(address, "/page.txt"), range(16)))

        assert in_thread(many, web.address) == [content.encode()] * 16
        assert web.last_error is None
        runtime.value(web.close)
        apps = {app["name"] for app in runtime.value(kernel.stream_app_info)}
        assert {"sshd", "ttyd", "httpd"} <= apps


def test_a_terminal_opens_and_takes_commands(runtime, running):
    """Managers of 23.09 show nothing of it, and break it off when something is typed."""
    with running(runtime) as (_, kernel):
        terminal = kernel.stream_pty()
        runtime.value(terminal.open)
        runtime.value(partial(terminal.resize, 30, 100))
        runtime.value(terminal.ping)
        runtime.value(partial(terminal.write, b"ls\n"))
        outcome = read(runtime, terminal)
        assert outcome.items == []
        assert outcome.error is None or isinstance(outcome.error, BackendClientError)


def test_run(runtime, running):
    with running(runtime) as (_, kernel):
        told: list[tuple[str, Any]] = []
        code = (
            "import sys, time\nfor i in range(3):\n    print(i); time.sleep(1)\n"
            "print(input('name? '), file=sys.stderr)\n{'a': 1}"
        )
        done = runtime.value(partial(kernel.run, code, inputs=["bob"], on_output=lambda *item: told.append(item)))
        assert (done.stdout.splitlines()[:3], done.stderr, done.status) == (["0", "1", "2"], "bob\n", "finished")
        assert "".join(data for kind, data in told if kind == "stdout") == done.stdout
        assert len(told) > 2
        batch = runtime.value(partial(kernel.run, mode="batch", build="echo built", exec="echo done; exit 5"))
        assert (batch.exit_code, batch.exit_codes["build"]) == (5, 0)
        assert "done" in batch.stdout


def test_a_run_ends_with_its_time_or_its_caller(runtime, running):
    with running(runtime) as (_, kernel):
        endless = "import time\nwhile True: time.sleep(0.1)"
        outcome = runtime.outcome(partial(kernel.run, endless, timeout=2.5))
        assert isinstance(outcome, DeadlineExceeded)
        assert runtime.value(partial(kernel.run, "print(1)")).stdout == "1\n"
        future = kernel.run.submit(endless)
        time.sleep(1)
        assert future.cancel()
        assert runtime.value(partial(kernel.run, "print(2)")).stdout == "2\n"
        outcome = runtime.outcome(partial(kernel.run, "input('?')"))
        assert isinstance(outcome, BackendClientError)
        assert runtime.value(partial(kernel.run, "print(3)")).stdout == "3\n"


def test_refused_streams_tell_why(runtime, live_config):
    with runtime.session(live_config()) as session:
        for stream in (session.Kernel("no-such-session").stream_execute("1"), session.Kernel("no-such").stream_pty()):
            error = read(runtime, stream).error
            assert isinstance(error, BackendAPIError)
            assert error.status == 404
            assert error.type == "https://api.backend.ai/probs/object-not-found"
    with runtime.session(live_config(secret_key="wrong-secret-key")) as session:
        for stream in (session.Kernel("x").stream_execute("1"), session.Kernel("x").listen_events()):
            error = read(runtime, stream).error
            assert isinstance(error, BackendAPIError)
            assert error.status == 401
            assert error.type.startswith("https://api.backend.ai/probs/")


NEEDED = ("BACKEND_SESSION_ENDPOINT", "BACKEND_SESSION_USER", "BACKEND_SESSION_PASSWORD")


@pytest.mark.skipif(not all(map(os.environ.get, NEEDED)), reason="no web server: BACKEND_SESSION_* not set")
def test_through_the_web_server(runtime, live_config, tokens):
    """`/func/stream/...` and `/func/events/...`, with the session's cookie."""
    token = tokens()
    config = live_config(endpoint=os.environ["BACKEND_SESSION_ENDPOINT"], endpoint_type="session")
    with runtime.session(config) as session:
        runtime.value(
            partial(session.Auth.login, os.environ["BACKEND_SESSION_USER"], os.environ["BACKEND_SESSION_PASSWORD"])
        )
        events = session.Kernel(token).listen_events()
        runtime.value(events.open)
        kernel = runtime.value(partial(start, session, token))
        text, result = follow(runtime, kernel.stream_execute("print('hi', input('? '))"), ("you",))
        assert (text.splitlines()[-1], result["status"]) == ("? hi you", "finished")
        tunnel = kernel.tunnel("sshd")
        runtime.value(tunnel.open)
        assert in_thread(ssh_banner, tunnel.address).startswith(b"SSH-2.0-")
        runtime.value(tunnel.close)
        # The web server of 23.09 garbles a request without a body now and then.
        while "Malformed body" in str(runtime.outcome(kernel.destroy)):
            pass
        reading = read(runtime, events, lambda event: event.event == "session_terminated")
        assert reading.error is None
        assert {"kernel_preparing", "kernel_creating"} == {event.event for event in reading.items[:2]}  # in any order
        runtime.value(session.Auth.logout)
    with runtime.session(config) as session:
        error = read(runtime, session.Kernel(token).stream_execute("1")).error
        assert isinstance(error, BackendClientError | BackendAPIError)
