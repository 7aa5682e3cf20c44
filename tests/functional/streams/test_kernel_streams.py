"""Runs, terminals, tunnels and logs of compute sessions, against a server that plays the manager's part."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendClientError,
    ConnectionLost,
    InvalidArgument,
    ProtocolError,
    StreamClosed,
)
from ai.backend.client.session import AsyncSession, Session
from support.runtimes.scripts import Script
from support.runtimes.streaming import read
from support.servers.faults import Connection, RawRequest, Step, head, raw, reply, silence
from support.servers.stream_steps import echo
from support.servers.websocket_peer import BINARY, CLOSE, Peer, close, frame, text, upgrade
from support.waiting import LIMIT, NEVER, at_some_pace, settled, soon, until

PACE = 0.05
"""Seconds between two reports of code that runs on."""
UUID = "11111111-2222-3333-4444-555555555555"
APPS = [{"name": "sshd", "protocol": "tcp", "ports": [2200]}, {"name": "httpd", "protocol": "http", "ports": [8080]}]


def route(**steps: Step) -> Step:
    """Answer by the last segment of the path; `default` for all others."""

    def step(connection: Connection, request: RawRequest) -> bool | None:
        name = request.target.partition("?")[0].rpartition("/")[2]
        return steps.get(name, steps.get("default", reply({"title": "No."}, 404)))(connection, request)

    return step


def result(status="continued", console=(), **more):
    return {"status": status, "console": list(console), "exitCode": None, "options": None, "files": [], **more}


class Run:
    """The manager's side of an execute socket: it reports until it is interrupted, or the code is over."""

    def __init__(self, *results: dict, obeys: bool = True) -> None:
        self.results = list(results)
        self.obeys = obeys
        self.greeting = None
        self.inputs: list[str] = []
        self.interrupts = 0
        self.order: list[str] = []

    def socket(self, peer: Peer) -> None:
        received = peer.read()
        assert received is not None
        self.greeting = json.loads(received.data)
        with contextlib.suppress(OSError):
            for one in self._results():
                peer.send(text(json.dumps(one)))
                if one["status"] == "waiting-input":
                    received = peer.read()
                    if received is None or received.opcode == CLOSE:
                        self.order.append("closed")
                        return
                    self.inputs.append(received.data.decode())
                    self.order.append("input")
                elif one["status"] == "continued":
                    time.sleep(PACE)
            self.order.append("finished")
            peer.send(close())
            peer.read_all()

    def _results(self):
        for one in self.results:
            if self.interrupts and self.obeys:
                break
            yield one
        while not (self.interrupts and self.obeys):
            yield result()
        yield result("finished", [["stderr", "KeyboardInterrupt"]], exitCode=0)

    def interrupt(self, connection: Connection, request: RawRequest) -> bool:
        self.interrupts += 1
        self.order.append("interrupt")
        connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    @property
    def step(self) -> Step:
        return route(execute=upgrade(self.socket), interrupt=self.interrupt)


class Scripted(Run):
    """Reports what it was given, and is over."""

    def _results(self):
        yield from self.results


# -- execute ----------------------------------------------------------------------------------------------------------


def test_a_run_with_input(runtime, server, make_config):
    run = Scripted(
        result("waiting-input", [["stdout", "who? "]]), result(), result("finished", [["stdout", "hi"]], exitCode=0)
    )
    server.script(run.step)
    with runtime.session(make_config(server)) as session:
        stream = session.Kernel("x").stream_execute("code")

        def follow():
            with stream:
                found = []
                for one in stream.results():
                    found.append(one["status"])
                    if found[-1] == "waiting-input":
                        sent = stream.send_input("bob")
                        assert sent is None or sent.result(LIMIT) is None
                return found

        async def follow_async():
            found = []
            async with stream:
                async for one in stream.results():
                    found.append(one["status"])
                    if found[-1] == "waiting-input":
                        await stream.send_input("bob")
            return found

        found = runtime.coroutine(follow_async) if runtime.name == "asyncio" else runtime.value(follow)
    assert found == ["waiting-input", "continued", "finished"]
    assert run.greeting == {"code": "code", "mode": "query", "options": {}}
    assert run.inputs == ["bob"]
    assert run.interrupts == 0


def test_the_server_gives_a_run_up(runtime, server, make_config):
    server.script(Scripted(result(), {"status": "error", "msg": "Invalid API parameters"}).step)
    with runtime.session(make_config(server)) as session:
        stream = session.Kernel("x").stream_execute("code")
        reading = read(runtime, stream)
        assert len(reading.items) == 2
        other = session.Kernel("x").stream_execute("code")

        def results():
            with other:
                return list(other.results())

        async def results_async():
            async with other:
                return [one async for one in other.results()]

        with pytest.raises(BackendClientError, match="Invalid API parameters"):
            runtime.coroutine(results_async) if runtime.name == "asyncio" else runtime.value(results)


def test_a_run_ends_with_its_last_report(runtime, server, make_config):
    """The web server does not pass the manager's close on."""
    heard = []

    def socket_of_the_web_server(peer: Peer) -> None:
        peer.read()
        peer.send(text(json.dumps(result())), text(json.dumps(result("finished", exitCode=0))))
        heard.extend(peer.read_all())

    run = Scripted()
    server.script(route(execute=upgrade(socket_of_the_web_server), interrupt=run.interrupt))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, session.Kernel("x").stream_execute("code"))
        assert (len(reading.items), reading.error) == (2, None)
        until(lambda: heard, "the server has heard the close")
    assert [(one.opcode, one.code) for one in heard] == [(CLOSE, 1000)]
    assert run.interrupts == 0


def test_leaving_early_interrupts_and_waits_for_the_end(runtime, server, make_config):
    """A run whose end nobody hears would block the session for later ones."""
    run = Run()
    server.script(run.step)
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, session.Kernel("x").stream_execute("code"), lambda item: True)
        assert (len(reading.items), reading.error) == (1, None)
        until(lambda: run.order[-1:] == ["finished"], "the run has ended")
    assert run.order == ["interrupt", "finished"]


def test_leaving_a_run_that_waits_for_input(runtime, server, make_config):
    """The interrupt comes first, so that the code never sees the answer that unblocks the server."""
    run = Run(result("waiting-input"))
    server.script(run.step)
    with runtime.session(make_config(server)) as session:
        read(runtime, session.Kernel("x").stream_execute("code"), lambda item: True)
        until(lambda: run.order[-1:] == ["finished"], "the run has ended")
    assert run.order == ["interrupt", "input", "finished"]
    assert run.inputs == [""]


def test_leaving_after_the_end_interrupts_nothing(runtime, server, make_config):
    run = Scripted(result("finished"))
    server.script(run.step)
    with runtime.session(make_config(server)) as session:
        read(runtime, session.Kernel("x").stream_execute("code"), lambda item: item.json()["status"] == "finished")
    assert run.interrupts == 0


def test_code_that_ignores_the_interrupt_is_left_after_a_while(server, make_config, monkeypatch):
    monkeypatch.setattr("ai.backend.client.sessions.streams.websocket.SHUTDOWN_LIMIT", 0.5)
    run = Run(obeys=False)
    server.script(run.step)
    with Session(config=make_config(server)) as session:
        start = time.monotonic()
        with soon(), session.Kernel("x").stream_execute("code") as stream:
            next(stream)
        assert time.monotonic() - start >= 0.5
    assert run.interrupts == 1


def test_a_manager_that_does_not_answer_the_interrupt_is_left_too(server, make_config, monkeypatch):
    monkeypatch.setattr("ai.backend.client.sessions.streams.websocket.SHUTDOWN_LIMIT", 0.5)
    run = Run()
    server.script(route(execute=upgrade(run.socket), interrupt=silence()))
    with Session(config=make_config(server)) as session:
        start = time.monotonic()
        with soon(), session.Kernel("x").stream_execute("code") as stream:
            next(stream)
        assert time.monotonic() - start >= 0.5


def test_closing_a_session_whose_slots_are_all_taken(server, make_config):
    """Its runs are interrupted by calls that come behind all others: nobody waits longer than he said."""
    run = Run()
    server.script(route(execute=upgrade(run.socket), interrupt=run.interrupt, default=silence()))
    session = Session(config=make_config(server, in_flight=1))
    stream = session.Kernel("x").stream_execute("code")
    next(stream)
    session.Kernel("x").get_info.submit()
    until(lambda: len(server.requests) == 2, "the call is under way")
    with soon():
        session.close(timeout=0.5)
    assert stream.closed


def test_closing_the_session_ends_its_runs_properly(runtime, server, make_config):
    run = Run()
    server.script(run.step)
    session = runtime.make(make_config(server))
    runtime.open(session)
    stream = session.Kernel("x").stream_execute("code")
    runtime.value(stream.open)
    runtime.close(session)
    assert stream.closed
    assert run.order == ["interrupt", "finished"]


def test_closing_the_session_at_once_waits_for_nothing(runtime, server, make_config, monkeypatch):
    monkeypatch.setattr("ai.backend.client.sessions.streams.websocket.SHUTDOWN_LIMIT", NEVER)
    run = Run(obeys=False)
    server.script(run.step)
    session = runtime.make(make_config(server))
    runtime.open(session)
    stream = session.Kernel("x").stream_execute("code")
    runtime.value(stream.open)
    with soon():
        runtime.close(session, timeout=0)
    assert stream.closed


def test_an_unknown_session(runtime, server, make_config):
    server.script(reply({"type": "https://api.backend.ai/probs/object-not-found", "title": "No such session."}, 404))
    with runtime.session(make_config(server)) as session:
        for stream in (session.Kernel("x").stream_execute("1"), session.Kernel("x").stream_pty()):
            error = read(runtime, stream).error
            assert isinstance(error, BackendAPIError)
            assert (error.status, error.title) == (404, "No such session.")


# -- run --------------------------------------------------------------------------------------------------------------


class Executing:
    """The manager's side of `execute`: one step after the other."""

    def __init__(self, *results: dict) -> None:
        self.results = list(results)
        self.bodies: list[dict] = []
        self.interrupts = 0
        self.lock = threading.Lock()

    def __call__(self, connection: Connection, request: RawRequest) -> bool | None:
        if request.target.endswith("/interrupt"):
            self.interrupts += 1
            connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        with self.lock:
            self.bodies.append(json.loads(request.body))
            answer = self.results.pop(0) if self.results else result()
            if self.interrupts:
                answer = result("finished")
        if answer["status"] == "continued":
            time.sleep(PACE)
        return reply({"result": {"runId": "r", **answer}})(connection, request)


def test_run_follows_a_run_to_its_end(runtime, server, make_config):
    told = []
    manager = Executing(
        result(console=[["stdout", "a"]]), result("waiting-input"), result("finished", [["stdout", "b"]], exitCode=0)
    )
    server.script(manager)
    with runtime.session(make_config(server)) as session:
        done = runtime.value(
            lambda: session.Kernel("x").run("code", inputs=["in"], on_output=lambda *item: told.append(item))
        )
    assert (done.stdout, done.exit_code, done.status) == ("ab", 0, "finished")
    assert told == [("stdout", "a"), ("stdout", "b")]
    assert [body["mode"] for body in manager.bodies] == ["query", "continue", "input"]
    assert len({body["runId"] for body in manager.bodies}) == 1


def test_cancelling_a_run_interrupts_it_and_hears_it_out(runtime, server, make_config):
    manager = Executing()
    server.script(manager)
    with runtime.session(make_config(server)) as session:
        future = session.Kernel("x").run.submit("code")
        until(lambda: len(manager.bodies) >= 2, "it runs")
        assert future.cancel()
        assert future.cancelled()
        until(lambda: manager.interrupts == 1, "the code is interrupted")
        with pytest.raises((CancelledError, asyncio.CancelledError)):
            runtime.wait(future)
    # The session's end has waited for the end of the run, which no cut connection has confused.
    assert manager.interrupts == 1


def test_cancelling_a_run_that_waits_for_its_caller_s_input(runtime, server, make_config):
    manager = Executing(result("waiting-input"))
    server.script(manager)
    asked, answered = threading.Event(), threading.Event()

    def answer(prompt):
        asked.set()
        answered.wait(LIMIT)
        return "late"

    with runtime.session(make_config(server)) as session:
        future = session.Kernel("x").run.submit("code", inputs=answer)
        until(asked.is_set, "it is asked for")
        assert future.cancel()
        until(lambda: manager.interrupts == 1, "the code is interrupted")
        answered.set()
    assert all(body["code"] != "late" for body in manager.bodies)


def test_input_is_read_when_the_code_asks_for_it(server, make_config):
    """Not before: it may have no end."""
    manager = Executing(result("waiting-input"), result("finished"))
    server.script(manager)
    with Session(config=make_config(server)) as session:
        session.Kernel("x").run("code", inputs=itertools.repeat("yes"))
    assert [body["code"] for body in manager.bodies] == ["code", "yes"]


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_ctrl_c_interrupts_a_run_although_its_session_is_closed_next(server, patched):
    manager = Executing()
    server.script(manager)
    running = Script(
        """
        try:
            with session() as s:
                s.Kernel("x").run("code")
        except KeyboardInterrupt:
            mark("interrupted")
        """,
        server.url,
        patched=patched,
    )
    until(lambda: len(manager.bodies) >= 2, "it runs", 20)
    running.interrupt()
    result = running.finish()
    assert "interrupted" in result.out, str(result)
    assert manager.interrupts == 1


def test_a_run_cancelled_while_it_waits_for_a_connection_is_never_sent(runtime, server, make_config):
    cancel_while_it_queues(runtime, server, make_config(server, lanes=1), lambda call: call.step is not None)


@pytest.mark.parametrize("runtime", ["asyncio"], indirect=True)
def test_a_run_cancelled_while_it_waits_for_its_turn_is_never_sent(runtime, server, make_config):
    """With the supervisor: threads and greenlets wait for their turn before there is a future to cancel."""
    cancel_while_it_queues(runtime, server, make_config(server, in_flight=1), lambda call: True)


def cancel_while_it_queues(runtime, server, config, is_there):
    """The call before it is held by the server meanwhile."""
    release = threading.Event()

    def held(connection: Connection, request: RawRequest) -> bool | None:
        release.wait(LIMIT)
        return reply({"name": "x"})(connection, request)

    executing = Executing()
    server.script(route(x=held, y=executing, interrupt=executing, z=reply({"name": "z"})))
    with runtime.session(config) as session:
        before = session.Kernel("x").get_info.submit()
        until(lambda: len(server.requests) == 1, "the call before it is held")
        run = start(runtime, session.Kernel("y").run)
        call = run._call._call
        until(lambda: is_there(call), "it queues")
        assert run.cancel()
        until(lambda: call.ended, "the hub knows")
        release.set()
        assert runtime.wait(before) == {"name": "x"}
        # Had it been sent, then before this one.
        assert runtime.wait(start(runtime, session.Kernel("z").get_info)) == {"name": "z"}
    assert [request.target.rpartition("/")[2] for request in server.requests] == ["x", "z"]


def start(runtime, function):
    """Submit a call where the runtime's callers are: an event loop does not wait for a place, a thread would."""
    if runtime.name != "asyncio":
        return function.submit()

    async def submit():
        return function.submit()

    return runtime.coroutine(submit)


# -- terminals --------------------------------------------------------------------------------------------------------


def test_a_terminal(runtime, server, make_config):
    received = []

    def manager(peer: Peer) -> None:
        while (got := peer.read()) is not None and got.opcode != CLOSE:
            command = json.loads(got.data)
            received.append(command)
            if command["type"] == "stdin":
                peer.send(text(json.dumps({"type": "out", "data": command["chars"]})))
        peer.send(close())

    server.script(upgrade(manager))
    with runtime.session(make_config(server)) as session:
        terminal = session.Kernel("x").stream_pty()
        runtime.value(terminal.open)
        runtime.value(partial(terminal.resize, 24, 80))
        runtime.value(terminal.ping)
        runtime.value(partial(terminal.write, b"\x00ls\n"))
        assert runtime.value(terminal.read) == b"\x00ls\n"
        runtime.value(partial(terminal.write, "more"))
        output = terminal.output()
        assert runtime.value(lambda: output.__anext__() if runtime.name == "asyncio" else next(output)) == b"more"
        runtime.value(terminal.close)
    assert received == [
        {"type": "resize", "rows": 24, "cols": 80},
        {"type": "ping"},
        {"type": "stdin", "chars": base64.b64encode(b"\x00ls\n").decode()},
        {"type": "stdin", "chars": base64.b64encode(b"more").decode()},
    ]


# -- tunnels ----------------------------------------------------------------------------------------------------------


def manager_with(proxy: Step, apps: Step | None = None) -> Step:
    return route(apps=apps or reply(APPS), tcpproxy=proxy, httpproxy=proxy)


def in_thread(function: Callable, *args):
    """Run what blocks in a thread of its own; the local end of a tunnel is nobody's runtime."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args)


def with_tunnel(runtime, tunnel, use: Callable[[tuple[str, int]], object]):
    """Open a tunnel, use its address in a thread, and close it."""
    runtime.value(tunnel.open)
    try:
        outcomes: list = []
        thread = threading.Thread(target=lambda: outcomes.append(use(tunnel.address)))
        thread.start()
        until(lambda: not thread.is_alive(), "the local side is done", 30)
        return outcomes[0]
    finally:
        runtime.value(tunnel.close)


def exchange(address, data):
    with socket.create_connection(address, 10) as local:
        local.settimeout(10)
        sender = threading.Thread(target=local.sendall, args=(data,))
        sender.start()
        received = bytearray()
        while len(received) < len(data):
            part = local.recv(65536)
            if not part:
                break
            received += part
        sender.join(LIMIT)
        return bytes(received)


def test_a_tunnel_carries_bytes_both_ways(runtime, server, make_config):
    server.script(manager_with(upgrade(echo)))
    data = bytes(range(256)) * 8000
    with runtime.session(make_config(server)) as session:
        tunnel = session.Kernel("x").tunnel("sshd")
        assert with_tunnel(runtime, tunnel, lambda address: exchange(address, data)) == data
        assert tunnel.last_error is None
        assert tunnel.closed
    apps, proxied = server.requests
    assert (apps.target, proxied.target) == ("/stream/session/x/apps", "/stream/session/x/tcpproxy?app=sshd")
    assert "sec-websocket-extensions" not in proxied.headers  # not worth compressing


def test_several_connections_at_once(runtime, server, make_config):
    server.script(manager_with(upgrade(echo)))

    def use(address):
        with ThreadPoolExecutor(10) as pool:
            return list(pool.map(lambda number: exchange(address, bytes([number]) * 100_000), range(20)))

    with runtime.session(make_config(server, lanes=2)) as session:
        found = with_tunnel(runtime, session.Kernel("x").tunnel("httpd", protocol="http"), use)
    assert found == [bytes([number]) * 100_000 for number in range(20)]


def test_a_slow_local_side_makes_the_service_wait(server, make_config):
    sent = []

    def pour(peer: Peer) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer.send(frame(BINARY, b"x" * 65536))
                sent.append(65536)

    server.script(manager_with(upgrade(pour)))
    with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("sshd") as tunnel:
        with socket.create_connection(tunnel.address, 10):
            assert settled(lambda: sum(sent)) < 48 << 20
        until(lambda: tunnel.connections == 0, "the connection is over")


def test_what_the_service_says_last_arrives(server, make_config):
    """Behind it the server closes with 1001, as the manager does when the service has closed."""

    def service(peer: Peer) -> None:
        received = peer.read()
        peer.send(frame(BINARY, b"answer to " + received.data), close(1001))
        peer.read_all()

    server.script(manager_with(upgrade(service)))
    with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("sshd") as tunnel:
        with socket.create_connection(tunnel.address, 10) as local:
            local.sendall(b"question")
            assert read_to_the_end(local) == b"answer to question"
        assert tunnel.last_error is None


def read_to_the_end(local: socket.socket) -> bytes:
    received = b""
    while part := local.recv(1000):
        received += part
    return received


def test_a_service_that_ends_without_a_close_has_ended(server, make_config):
    """So the manager does it when the service closes its connection."""

    def service(peer: Peer) -> None:
        peer.send(frame(BINARY, b"the page"))

    server.script(manager_with(upgrade(service)))
    with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("httpd", protocol="http") as tunnel:
        with socket.create_connection(tunnel.address, 10) as local:
            assert read_to_the_end(local) == b"the page"
        assert tunnel.last_error is None


@pytest.mark.parametrize(
    "part",
    [frame(BINARY, b"the page")[:-1], frame(BINARY, b"the page")[:1], frame(BINARY, b"half a page", fin=False)],
    ids=["in a frame", "in a head", "in a message"],
)
def test_a_service_cut_off_does_not_look_ended(server, make_config, part):
    server.script(manager_with(upgrade(lambda peer: peer.send(part))))
    with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("httpd", protocol="http") as tunnel:
        with socket.create_connection(tunnel.address, 10) as local, pytest.raises(ConnectionResetError):
            read_to_the_end(local)
        assert isinstance(tunnel.last_error, ConnectionLost)


def test_a_local_side_that_has_finished_sending_still_hears_the_answer(server, make_config):
    finished = threading.Event()

    def service(peer: Peer) -> None:
        received = peer.read()
        finished.wait(LIMIT)
        peer.send(frame(BINARY, b"late " + received.data))
        peer.read_all()

    server.script(manager_with(upgrade(service)))
    with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("sshd") as tunnel:
        with socket.create_connection(tunnel.address, 10) as local:
            local.sendall(b"question")
            local.shutdown(socket.SHUT_WR)
            relays = tunnel._driver._relays
            until(lambda: any(relay._linger for relay in list(relays)), "the tunnel has seen the question's end")
            finished.set()
            assert read_to_the_end(local) == b"late question"
        until(lambda: tunnel.connections == 0, "the connection is over")


def test_a_service_that_takes_its_time_to_answer_a_local_side_that_has_finished(server, make_config, monkeypatch):
    """The time for that counts from the end of what it was sent, and nothing says goodbye before."""

    def check(pace: float) -> None:
        monkeypatch.setattr("ai.backend.client.sessions.streams.tunnel.LINGER", pace)
        monkeypatch.setattr("ai.backend.client.sessions.streams.websocket.CLOSE_LIMIT", 0.1 * pace)

        def service(peer: Peer) -> None:
            size = 0
            while size < 8 << 20:
                received = peer.read()
                assert received is not None
                size += len(received.data)
            for number in range(3):
                time.sleep(0.4 * pace)  # less than the tunnel waits for each, and more altogether
                peer.send(frame(BINARY, b"%d" % number))
            peer.send(close(1001))
            peer.read_all()

        server.script(manager_with(upgrade(service)))
        with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("sshd") as tunnel:
            with socket.create_connection(tunnel.address, LIMIT) as local:
                local.sendall(b"x" * (8 << 20))
                local.shutdown(socket.SHUT_WR)
                assert read_to_the_end(local) == b"012"
            assert tunnel.last_error is None

    at_some_pace(check)


def test_a_local_side_that_leaves_ends_its_socket(server, make_config, monkeypatch):
    monkeypatch.setattr("ai.backend.client.sessions.streams.tunnel.LINGER", 0.2)
    ended = []
    server.script(manager_with(upgrade(lambda peer: ended.append(peer.read_all()))))
    with Session(config=make_config(server)) as session, session.Kernel("x").tunnel("sshd") as tunnel:
        socket.create_connection(tunnel.address, 10).close()
        until(lambda: ended, "the server sees the end")
        until(lambda: tunnel.connections == 0, "the connection is over")
    assert ended[0][-1].opcode == CLOSE


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        (reply({"title": "No such app."}, 404), BackendAPIError),
        (upgrade(lambda peer: (peer.send(close(1013, "try again")), peer.read_all())), StreamClosed),
        (raw(b""), BackendClientError),
    ],
    ids=["refused", "1013", "broken"],
)
def test_a_connection_that_fails_does_not_end_the_tunnel(runtime, server, make_config, proxy, kind):
    server.script(manager_with(proxy))
    with runtime.session(make_config(server, retries=0)) as session:
        tunnel = session.Kernel("x").tunnel("sshd")
        runtime.value(tunnel.open)
        for _ in range(2):
            with contextlib.suppress(ConnectionResetError), socket.create_connection(tunnel.address, 10) as local:
                local.settimeout(10)
                until(lambda: isinstance(tunnel.last_error, kind), f"the tunnel tells of a {kind.__name__}")
                assert local.recv(10) == b""
        assert isinstance(tunnel.last_error, kind)
        assert not tunnel.closed
        runtime.value(tunnel.close)


def test_closing_a_tunnel_ends_its_connections(runtime, server, make_config):
    server.script(manager_with(upgrade(echo)))
    with runtime.session(make_config(server)) as session:
        tunnel = session.Kernel("x").tunnel("sshd")
        runtime.value(tunnel.open)
        address = tunnel.address
        with socket.create_connection(address, 10) as local:
            until(lambda: tunnel.connections == 1, "it is being relayed")
            runtime.value(tunnel.close)
            local.settimeout(10)
            with contextlib.suppress(ConnectionError):
                assert local.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 1)
        with pytest.raises(StreamClosed):
            tunnel.address  # noqa: B018  # it raises


def test_a_tunnel_ends_with_its_session(runtime, server, make_config):
    server.script(manager_with(upgrade(echo)))
    session = runtime.make(make_config(server))
    tunnel = session.Kernel("x").tunnel("sshd")
    runtime.value(tunnel.open)
    address = tunnel.address
    runtime.close(session)
    assert tunnel.closed
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 1)


def test_a_service_that_is_not_there(runtime, server, make_config):
    server.script(manager_with(upgrade(echo)))
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(session.Kernel("x").tunnel("nosuch").open)
        assert isinstance(outcome, InvalidArgument)
        assert "sshd, httpd" in str(outcome)


def test_a_tunnel_into_an_unknown_session(runtime, server, make_config):
    server.script(manager_with(upgrade(echo), reply({"title": "No such session."}, 404)))
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(session.Kernel("x").tunnel("sshd").open)
        assert isinstance(outcome, BackendAPIError)
        assert outcome.status == 404


def test_a_port_that_is_taken(runtime, server, make_config):
    server.script(manager_with(upgrade(echo)))
    with socket.create_server(("127.0.0.1", 0)) as taken, runtime.session(make_config(server)) as session:
        port = taken.getsockname()[1]
        outcome = runtime.outcome(session.Kernel("x").tunnel("sshd", port=port).open)
        assert isinstance(outcome, InvalidArgument)
        assert (outcome.argument, outcome.value) == ("port", port)


def test_connections_of_tunnels_count_as_streams(server, make_config):
    server.script(manager_with(upgrade(echo)))
    with Session(config=make_config(server, streams=2)) as session, session.Kernel("x").tunnel("sshd") as tunnel:
        with socket.create_connection(tunnel.address, 10) as first:
            first.sendall(b"1")
            assert first.recv(1) == b"1"
            with (
                contextlib.suppress(ConnectionResetError),
                socket.create_connection(tunnel.address, 10) as second,
            ):
                second.settimeout(10)
                assert second.recv(1) == b""
            first.sendall(b"2")
            assert first.recv(1) == b"2"
        assert "2 streams" in str(tunnel.last_error)


def test_a_tunnel_in_asyncio(server, make_config):
    server.script(manager_with(upgrade(echo)))

    async def main():
        async with (
            AsyncSession(config=make_config(server)) as session,
            session.Kernel("x").tunnel("sshd") as tunnel,
        ):
            reader, writer = await asyncio.open_connection(*tunnel.address)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()

    asyncio.run(main())


# -- logs -------------------------------------------------------------------------------------------------------------


def chunked(*parts: bytes) -> Step:
    def step(connection: Connection, request: RawRequest) -> bool:
        connection.send(head(headers={"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}))
        for part in parts:
            connection.send(b"%x\r\n%s\r\n" % (len(part), part))
        connection.send(b"0\r\n\r\n")
        return True

    return step


@pytest.mark.parametrize("framing", ["chunked", "length", "closed"])
def test_task_logs_come_in_pieces(runtime, server, make_config, framing):
    data = bytes(range(256)) * 400
    step = {
        "chunked": chunked(data[:1], data[1:50_000], data[50_000:]),
        "length": reply(data, headers={"Content-Type": "text/plain"}),
        "closed": raw(head(headers={"Content-Type": "text/plain"}) + data),
    }[framing]
    server.script(step)
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, session.Kernel.get_task_logs(UUID, chunk_size=1000))
    assert reading.error is None
    assert b"".join(reading.items) == data
    assert max(map(len, reading.items)) <= 1000
    assert min(map(len, reading.items)) > 0


def test_a_log_that_does_not_exist(runtime, server, make_config):
    server.script(reply({"title": "No such vfolder."}, 404))
    with runtime.session(make_config(server)) as session:
        error = read(runtime, session.Kernel.get_task_logs(UUID)).error
    assert isinstance(error, BackendAPIError)
    assert error.title == "No such vfolder."


def test_a_log_in_a_chunk_of_negative_size(server, make_config):
    start = head(headers={"Content-Type": "text/plain", "Transfer-Encoding": "chunked"})
    server.script(raw(start + b"5\r\nhello\r\n-5\r\nworld"))
    with Session(config=make_config(server)) as session, pytest.raises(ProtocolError):
        list(session.Kernel.get_task_logs(UUID))


def test_a_log_that_breaks_off(runtime, server, make_config):
    server.script(
        raw(head(headers={"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}) + b"5\r\nhello\r\n64\r\nwor")
    )
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, session.Kernel.get_task_logs(UUID))
    assert b"".join(reading.items).startswith(b"hello")
    assert isinstance(reading.error, BackendClientError)


def test_the_connection_of_a_log_serves_on(server, make_config):
    server.script(chunked(b"x" * 1000))
    with Session(config=make_config(server)) as session:
        for _ in range(5):
            assert sum(map(len, session.Kernel.get_task_logs(UUID))) == 1000
    assert server.connections == 1
