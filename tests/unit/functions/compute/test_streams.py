"""What streams of compute sessions send, by protocol generation, and how their messages are read and written."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, BackendClientError, InvalidArgument, InvalidReply
from ai.backend.client.functions.compute import sockets
from ai.backend.client.functions.compute.kernel import Kernel
from ai.backend.client.functions.compute.sockets import output_of, result_of
from ai.backend.client.functions.streams.events import SSEMessage
from ai.backend.client.functions.streams.websocket import WSMessage, WSMsgType

GENERATIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
FROM_V6 = GENERATIONS[2:]
DEEP = "[" * 100_000
ID = uuid.UUID("11111111-2222-3333-4444-555555555555")


def opening(stream):
    """The request that opens a stream: method and path, parameters, type."""
    request = stream._spec.request()
    return f"{request.method} /{request.path}", dict(request.params or {}), request.content_type


def message(value):
    return WSMessage(WSMsgType.TEXT, value if isinstance(value, str) else json.dumps(value))


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["listen_events", "stream_events"])
@pytest.mark.parametrize(
    ("version", "path", "params"),
    [
        ("v4.20190615", "/stream/kernel/_/events", {"sessionId": "mine"}),
        ("v5.20191215", "/events/session", {"name": "mine"}),
        *((version, "/events/session", {"sessionName": "mine", "scope": "*"}) for version in FROM_V6),
    ],
)
def test_events_by_generation(kernel, function, version, path, params):
    assert opening(getattr(kernel(version), function)()) == (f"GET {path}", params, "")


@pytest.mark.parametrize("version", GENERATIONS)
def test_events_of_another_owner(kernel, version):
    """The server wants `ownerAccessKey` here, and refuses the `owner_access_key` of other calls."""
    _, params, _ = opening(kernel(version, "mine", "OTHER").listen_events())
    assert params["ownerAccessKey"] == "OTHER"
    assert "owner_access_key" not in params


def test_events_by_uuid_where_it_is_known(kernel):
    assert opening(kernel(GENERATIONS[-1], "mine", id=ID).listen_events("kernel"))[1] == {
        "sessionId": str(ID),
        "scope": "kernel",
    }
    assert opening(kernel("v5.20191215", "mine", id=ID).listen_events())[1] == {"name": "mine"}


def test_events_of_all_sessions(kernel):
    assert opening(kernel(GENERATIONS[-1], "*").listen_events())[1]["sessionName"] == "*"


@pytest.mark.parametrize("version", GENERATIONS[:2])
def test_a_scope_needs_v6(kernel, version):
    with pytest.raises(BackendAPIVersionError, match="v6"):
        opening(kernel(version).listen_events("kernel"))


def test_a_uuid_alone_needs_v6(kernel):
    with pytest.raises(BackendAPIVersionError, match="v6"):
        opening(kernel("v5.20191215", None, id=ID).listen_events())


@pytest.mark.parametrize("scope", ["", "all", None, 1])
def test_unknown_scopes(kernel, scope):
    with pytest.raises(InvalidArgument, match="scope"):
        kernel().listen_events(scope)


def test_events_of_a_background_task(proxy):
    bound = proxy("v7.20230615")["BackgroundTask"]
    assert opening(bound(ID).listen_events()) == ("GET /events/background-task", {"taskId": str(ID)}, "")
    assert bound(str(ID).replace("-", "")).task_id == str(ID)
    with pytest.raises(InvalidArgument, match="task_id"):
        bound("nothing")


def test_background_tasks_need_v5(proxy):
    with pytest.raises(BackendAPIVersionError, match="v5"):
        opening(proxy("v4.20190615")["BackgroundTask"](ID).listen_events())


# -- sockets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", GENERATIONS)
@pytest.mark.parametrize(("function", "suffix"), [("stream_execute", "execute"), ("stream_pty", "pty")])
def test_sockets_by_generation(kernel, version, function, suffix):
    area = "kernel" if version.startswith("v4") else "session"
    stream = getattr(kernel(version, "a b"), function)()
    assert opening(stream) == (f"GET /stream/{area}/a%20b/{suffix}", {}, "")
    other = getattr(kernel(version, "mine", "OTHER"), function)()
    assert opening(other)[1] == {"owner_access_key": "OTHER"}


def test_what_execute_says_first(kernel):
    query = kernel().stream_execute("print(1)")
    assert json.loads(query._spec.first_message) == {"code": "print(1)", "mode": "query", "options": {}}
    batch = kernel().stream_execute(mode="batch", opts={"exec": "*", "buildLog": 1})
    assert json.loads(batch._spec.first_message) == {
        "code": "",
        "mode": "batch",
        "options": {"clean": None, "build": None, "buildLog": True, "exec": "*"},
    }


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"mode": "input"}, "mode"),
        ({"mode": "continue"}, "mode"),
        ({"mode": None}, "mode"),
        ({"code": None}, "code"),
        ({"code": b"1"}, "code"),
        ({"mode": "batch", "opts": {"run": "x"}}, "opts"),
        ({"mode": "batch", "opts": "x"}, "opts"),
    ],
)
def test_bad_arguments_of_execute_are_refused_at_once(kernel, arguments, name):
    with pytest.raises(InvalidArgument) as caught:
        kernel().stream_execute(**arguments)
    assert caught.value.argument == name


def test_results():
    result = {"status": "continued", "console": [["stdout", "x"]]}
    assert result_of(message(result)) == result
    for wrong in ("no JSON", [], {}, {"status": 1}, {"console": []}):
        with pytest.raises(InvalidReply):
            result_of(message(wrong))
    with pytest.raises(InvalidReply):
        result_of(WSMessage(WSMsgType.BINARY, b"{}"))
    with pytest.raises(InvalidReply):
        result_of(WSMessage(WSMsgType.TEXT, DEEP))
    for status in ("error", "server-restarting"):
        with pytest.raises(BackendClientError, match="because"):
            result_of(message({"status": status, "msg": "because"}))


@pytest.mark.parametrize("received", [WSMessage(WSMsgType.TEXT, DEEP), SSEMessage("event", DEEP)])
def test_what_is_nested_too_deeply_is_no_json(received):
    with pytest.raises(ValueError, match="too deep"):
        received.json()


@pytest.mark.parametrize(
    ("value", "over", "answer"),
    [
        ({"status": "finished"}, True, None),
        ({"status": "exec-timeout"}, True, None),
        ({"status": "error"}, True, None),
        ({"status": "server-restarting"}, True, None),
        ({"status": "of a later server"}, True, None),
        ({"status": "continued"}, False, None),
        ({"status": "build-finished"}, False, None),
        ({"status": "waiting-input"}, False, ""),
        ("no JSON", False, None),
        ([], False, None),
        ({"status": ["finished"]}, False, None),
    ],
)
def test_how_a_run_is_left(kernel, play, value, over, answer):
    """It is interrupted, unless its latest message says that it is over, and unblocked if it waits for input."""
    shutdown = kernel().stream_execute("x")._spec.shutdown
    assert shutdown.is_over(message(value)) is over
    assert shutdown.answer(message(value)) == answer
    started = kernel().session._submit(shutdown.recipe())
    assert started.request == {"send": "POST /session/mine/interrupt", "idempotent": False}
    assert started.answer(None).done


def test_a_terminal_s_messages():
    shown = base64.b64encode(b"\x1b[1mhi\xff").decode()
    assert output_of(message({"type": "out", "data": shown})) == b"\x1b[1mhi\xff"
    for wrong in (
        {"type": "in", "data": shown},
        {"type": "out"},
        {"type": "out", "data": "?"},
        {"type": "out", "data": 1},
        [],
    ):
        with pytest.raises(InvalidReply):
            output_of(message(wrong))


class Wire:
    """Stands for a terminal's running side."""

    is_over = False

    def __init__(self):
        self.sent = []

    def send(self, kind, data):
        self.sent.append(json.loads(data))

    def drop(self):
        pass


def test_a_terminal_s_commands(kernel):
    terminal, wire = kernel().stream_pty(), Wire()
    terminal.session._stream = lambda spec: wire
    terminal.write(b"ls\n\xff")
    terminal.write("\u65e5")
    terminal.resize(24, 80)
    terminal.ping()
    terminal.restart()
    assert wire.sent == [
        {"type": "stdin", "chars": base64.b64encode(b"ls\n\xff").decode()},
        {"type": "stdin", "chars": base64.b64encode("\u65e5".encode()).decode()},
        {"type": "resize", "rows": 24, "cols": 80},
        {"type": "ping"},
        {"type": "restart"},
    ]
    for rows, cols in ((0, 80), (24, -1), ("24", 80), (24, 80.0), (True, 80)):
        with pytest.raises(InvalidArgument):
            terminal.resize(rows, cols)
    with pytest.raises(InvalidArgument, match="data"):
        terminal.write(5)


# -- tunnels ----------------------------------------------------------------------------------------------------------


def test_a_tunnel_s_sockets(kernel):
    plain = kernel().tunnel("sshd")
    assert opening(plain) == ("GET /stream/session/mine/tcpproxy", {"app": "sshd"}, "")
    assert (plain._spec.host, plain._spec.port) == ("127.0.0.1", 0)
    full = kernel().tunnel(
        "jupyter",
        port=8080,
        host="::1",
        app_port=8081,
        protocol="http",
        envs={"A": "1"},
        arguments={"--x": ["1", "2"]},
    )
    assert opening(full) == (
        "GET /stream/session/mine/httpproxy",
        {"app": "jupyter", "port": "8081", "envs": '{"A": "1"}', "arguments": '{"--x": ["1", "2"]}'},
        "",
    )
    assert (full._spec.host, full._spec.port) == ("::1", 8080)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"app": ""}, "app"),
        ({"app": None}, "app"),
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "22"}, "port"),
        ({"host": "localhost"}, "host"),
        ({"host": None}, "host"),
        ({"app_port": 22}, "app_port"),
        ({"protocol": "udp"}, "protocol"),
        ({"envs": {"A": 1}}, "envs"),
        ({"arguments": "x"}, "arguments"),
    ],
)
def test_bad_arguments_of_a_tunnel_are_refused_at_once(kernel, arguments, name):
    with pytest.raises(InvalidArgument) as caught:
        kernel().tunnel(**{"app": "sshd", **arguments})
    assert caught.value.argument == name


def test_a_tunnel_is_for_the_caller_s_own_sessions(kernel):
    with pytest.raises(InvalidArgument, match="owner_access_key"):
        opening(kernel("v7.20230615", "mine", "OTHER").tunnel("sshd"))


def test_a_tunnel_looks_for_its_service_first(kernel, reply):
    owner = kernel()
    spec = owner.tunnel("sshd")._spec
    apps = [{"name": "ttyd", "protocol": "http", "ports": [7681]}, {"name": "sshd", "protocol": "tcp", "ports": [2200]}]
    look = owner.session._submit(spec.check())
    assert look.request == {"send": "GET /stream/session/mine/apps", "idempotent": True}
    assert look.answer(reply(apps)).done
    with pytest.raises(InvalidArgument, match="ttyd") as caught:
        owner.session._submit(spec.check()).answer(reply(apps[:1]))
    assert caught.value.argument == "app"
    with pytest.raises(InvalidArgument, match="offers no services"):
        owner.session._submit(spec.check()).answer(reply([]))


def test_up_to_v4_nobody_can_look(kernel):
    owner = kernel("v4.20190615")
    assert owner.session._submit(iter_of(owner.tunnel("sshd")._spec.check)).done


def iter_of(check):
    """A recipe that does what the check does, as the tunnel's own does."""
    yield from check()


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_app_info(kernel, play, reply):
    started = play(kernel().stream_app_info)
    assert started.request == {"send": "GET /stream/session/mine/apps", "idempotent": True}
    apps = [{"name": "sshd", "protocol": "tcp", "ports": [2200]}]
    assert started.answer(reply(apps)).value == apps
    with pytest.raises(InvalidReply):
        play(kernel().stream_app_info).answer(reply({"apps": []}))
    with pytest.raises(BackendAPIVersionError, match="v5"):
        play(kernel("v4.20190615").stream_app_info)


@pytest.mark.parametrize(
    ("version", "path"), [(one, "/kernel/_/logs" if one.startswith("v4") else "/session/_/logs") for one in GENERATIONS]
)
def test_task_logs(proxy, version, path):
    stream = proxy(version)["Kernel"].get_task_logs(ID, chunk_size=100)
    assert opening(stream) == (f"GET {path}", {"taskId": str(ID)}, "text/plain")
    assert stream._spec.chunk_size == 100


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"task_id": "x"}, "task_id"), ({"chunk_size": 0}, "chunk_size"), ({"chunk_size": 1.5}, "chunk_size")],
)
def test_bad_arguments_of_task_logs(proxy, arguments, name):
    with pytest.raises(InvalidArgument) as caught:
        proxy()["Kernel"].get_task_logs(**{"task_id": ID, **arguments})
    assert caught.value.argument == name


def test_without_a_session_there_is_no_stream():
    lonely = Kernel("mine")
    for function in ("listen_events", "stream_execute", "stream_pty"):
        with pytest.raises(RuntimeError, match="no session"):
            getattr(lonely, function)()
    with pytest.raises(RuntimeError, match="no session"):
        Kernel.get_task_logs(ID)


def test_reprs_show_no_content(kernel):
    assert repr(kernel().stream_execute("secret")) == "<StreamExecute Kernel.stream_execute new>"
    assert sockets.MODES == ("query", "batch")
