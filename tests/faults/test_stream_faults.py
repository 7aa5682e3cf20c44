"""Broken wires under streams: a typed error that says where, and no hang past the heartbeat."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time

import pytest
import trustme

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendError,
    CallTimeout,
    ConnectionLost,
    ConnectTimeout,
    NeverSent,
    ProtocolError,
    ReadTimeout,
    StreamClosed,
    TLSError,
)
from ai.backend.client.request import Request
from ai.backend.client.session import Session
from support.runtimes.streaming import read
from support.servers.faults import FaultServer, black_hole, close, head, raw, reply, reset, silence, unused_port
from support.servers.stream_steps import Counter, echo, event, events, numbered_messages, until_closed, wait_for_close
from support.servers.websocket_peer import CLOSE, PING, PONG, Peer, frame, text, upgrade
from support.servers.websocket_peer import close as close_frame
from support.waiting import LIMIT, at_some_pace, settled, soon, until

HEARTBEAT = 0.4
"""Seconds that the servers of these tests may be silent."""

PROBLEM = {"type": "https://api.backend.ai/probs/scripted", "title": "No.", "msg": "detail", "data": {"a": 1}}
PROBLEM_JSON = {"Content-Type": "application/problem+json"}


def open_events(session, **options):
    return Request(session, "GET", "/events/session").connect_events(**options)


def open_socket(session):
    return Request(session, "GET", "/stream/session/x/execute").connect_websocket()


def both(session):
    """A stream of each kind, without second attempts."""
    return {"/events/session": open_events(session, reconnect=False), "/stream/session/x/execute": open_socket(session)}


def located(error, path, server, kind=BackendError):
    assert isinstance(error, kind), error
    url = server if isinstance(server, str) else server.url
    assert (error.method, error.path, error.endpoint) == ("GET", path, url)
    return error


# -- refused ----------------------------------------------------------------------------------------------------------


def chunked_problem(status):
    body = json.dumps(PROBLEM).encode()
    data = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    return raw(head(status, "Refused", {**PROBLEM_JSON, "Transfer-Encoding": "chunked"}) + data)


def closed_problem(status):
    return raw(head(status, "Refused", PROBLEM_JSON) + json.dumps(PROBLEM).encode())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "framing", [lambda status: reply(PROBLEM, status, PROBLEM_JSON), chunked_problem, closed_problem],
    ids=["length", "chunked", "closed"],
)  # fmt: skip
def test_a_refused_stream_tells_status_and_problem(server, make_config, framing, status, runtime):
    server.script(framing(status))
    with runtime.session(make_config(server, retries=0)) as session:
        for path, stream in both(session).items():
            error = located(read(runtime, stream).error, path, server, BackendAPIError)
            assert (error.status, error.data, error.type, error.msg) == (status, PROBLEM, PROBLEM["type"], "detail")
            assert error.attempts in (1, 2)  # a connection that the server had closed meanwhile is replaced


def test_a_refusal_that_is_no_json(server, make_config):
    server.script(reply(b"<html>gateway</html>", 502, {"Content-Type": "text/html"}))
    with Session(config=make_config(server, retries=0)) as session:
        for stream in both(session).values():
            with pytest.raises(BackendAPIError) as caught:
                stream.open()
            assert caught.value.status == 502
            assert caught.value.data["content"] == "<html>gateway</html>"


def test_a_refusal_that_may_pass_is_tried_again(server, make_config):
    server.script(reply(PROBLEM, 503), upgrade(lambda peer: peer.send(text("hello"), close_frame())))
    with Session(config=make_config(server, retries=2)) as session:
        assert [message.data for message in open_socket(session)] == ["hello"]


# -- never there ------------------------------------------------------------------------------------------------------


def opened(make_config, server, **options):
    """A session that has its version, so that what fails is the stream."""
    session = Session(config=make_config(server, retries=0, **options))
    session.open()
    return session


def test_nobody_listens(make_config):
    with FaultServer() as server:
        session = opened(make_config, server)
    for path, stream in both(session).items():
        with pytest.raises(NeverSent) as caught:
            stream.open()
        located(caught.value, path, server)
    session.close()


def test_nobody_accepts(make_config):
    with black_hole() as url:
        session = Session(config=make_config(url, retries=0, connection_timeout=0.3), proxy_mode=True)
        for path, stream in both(session).items():
            with soon(), pytest.raises(ConnectTimeout) as caught:
                stream.open()
            located(caught.value, path, url)
        session.close()


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (close(), ConnectionLost),
        (reset(), ConnectionLost),
        (raw(b"HTTP/1.1 101 Switch"), ConnectionLost),
        (raw(b"220 smtp ready\r\n\r\n"), ProtocolError),
        (silence(), ReadTimeout),
        (silence(b"HTTP/1.1 101 Switching Protocols\r\n"), ReadTimeout),
    ],
    ids=["closed", "reset", "cut", "no HTTP", "silent", "silent within the head"],
)
def test_no_answer(server, make_config, step, kind, runtime):
    server.script(step)
    with runtime.session(make_config(server, retries=0, read_timeout=HEARTBEAT)) as session:
        for path, stream in both(session).items():
            with soon():
                located(read(runtime, stream).error, path, server, kind)


# -- broken while open ------------------------------------------------------------------------------------------------

MID_FRAME = text("x" * 1000)[:500]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "last", [b"", MID_FRAME, MID_FRAME[:1], MID_FRAME[:3]], ids=["between", "in", "head", "length"]
)
def test_a_socket_that_breaks(server, make_config, how, last, runtime):
    def then(peer: Peer) -> None:
        peer.send(text("first"))
        peer.send(last)
        peer.connection.until_delivered()
        getattr(peer.connection, how)()

    server.script(upgrade(then))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, open_socket(session))
    assert [message.data for message in reading.items] == ["first"]
    located(reading.error, "/stream/session/x/execute", server, ConnectionLost)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_event_stream_that_breaks(server, make_config, how, runtime):
    chunked = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}

    def step(connection, request):
        data = event("first")
        connection.send(head(headers=chunked) + b"%x\r\n%s\r\n64\r\ndata: sec" % (len(data), data))
        connection.until_delivered()
        getattr(connection, how)()

    server.script(step)
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, open_events(session, reconnect=False))
    assert [one.data for one in reading.items] == ["first"]
    located(reading.error, "/events/session", server, ConnectionLost)


def test_a_silent_event_stream_ends_at_the_heartbeat(server, make_config, runtime):
    server.script(events(event("first"), then=wait_for_close))
    with runtime.session(make_config(server, read_timeout=HEARTBEAT)) as session:
        start = time.monotonic()
        with soon():
            reading = read(runtime, open_events(session, reconnect=False))
        assert time.monotonic() - start >= HEARTBEAT
    assert [one.data for one in reading.items] == ["first"]
    located(reading.error, "/events/session", server, ReadTimeout)


def test_comments_keep_an_event_stream_alive(server, make_config, runtime):

    def check(pace):
        def pings(connection):
            for _ in range(6):
                time.sleep(HEARTBEAT * pace / 4)
                connection.send(b": ping\r\n\r\n")
            connection.send(event("late"))

        server.script(events(event("first"), then=pings))
        with runtime.session(make_config(server, read_timeout=HEARTBEAT * pace)) as session:
            reading = read(runtime, open_events(session, reconnect=False))
        assert [one.data for one in reading.items] == ["first", "late"]
        assert reading.error is None

    at_some_pace(check)


def half_open(peer: Peer) -> None:
    """As if the network were gone: nothing is read and nothing answered."""
    peer.connection.wait_for_end()


def test_a_half_open_socket_ends_at_the_heartbeat(server, make_config, runtime):
    server.script(upgrade(half_open))
    with runtime.session(make_config(server, read_timeout=HEARTBEAT)) as session:
        start = time.monotonic()
        with soon():
            reading = read(runtime, open_socket(session))
        assert time.monotonic() - start >= HEARTBEAT
    located(reading.error, "/stream/session/x/execute", server, ReadTimeout)


def test_a_socket_that_answers_pings_lives_on(server, make_config, runtime):
    """Many heartbeats long, without a message."""

    def check(pace):
        pings = Counter()

        def then(peer: Peer) -> None:
            while (received := peer.read()) is not None:
                if received.opcode == PING:
                    pings.add()
                    peer.send(frame(PONG, received.data))
                elif received.opcode == CLOSE:
                    peer.send(close_frame(received.code))
                    return

        server.script(upgrade(then))
        with runtime.session(make_config(server, read_timeout=HEARTBEAT * pace)) as session:
            stream = open_socket(session)
            runtime.value(stream.open)
            until(lambda: pings.value >= 8 or stream.closed, "it has been asked many times")
            assert not stream.closed
            runtime.value(stream.close)

    at_some_pace(check)


def test_a_reader_that_does_not_read_is_no_silent_server(server, make_config):
    """The stream waits for its reader as long as that takes."""
    server.script(numbered_messages(Counter(), padding=10_000, limit=1000))
    with Session(config=make_config(server, read_timeout=HEARTBEAT)) as session:
        stream = open_socket(session)
        stream.open()
        time.sleep(HEARTBEAT * 4)  # a slow reader
        assert [int(message.data.split()[0]) for message in stream] == list(range(1000))


def test_a_server_is_not_silent_while_its_reader_does_not_read(server, make_config):
    """It has nothing more to say when the reader comes back: its silence counts from then."""

    def then(peer: Peer) -> None:
        peer.send(text("x" * 300_000))  # more than waits in a stream
        until_closed(peer)

    def check(pace):
        server.script(upgrade(then))
        heartbeat = HEARTBEAT * pace
        with Session(config=make_config(server, read_timeout=heartbeat)) as session, open_socket(session) as stream:
            time.sleep(heartbeat * 3)  # a slow reader
            next(stream)
            time.sleep(heartbeat * 2)
            assert stream.exception() is None
            assert not stream.closed

    at_some_pace(check)


def test_the_timeout_of_a_view_is_the_heartbeat_of_its_streams(server, make_config):
    server.script(upgrade(half_open))
    with Session(config=make_config(server)) as session, soon(), pytest.raises(ReadTimeout):
        next(open_socket(session.with_options(timeout=HEARTBEAT)))


def test_a_server_that_never_reads_what_we_send(server, make_config):
    """Sending waits; closing does not."""
    server.script(upgrade(half_open))
    with Session(config=make_config(server, read_timeout=HEARTBEAT)) as session:
        stream = open_socket(session)
        stream.open()
        errors = []

        def send():
            try:
                while True:
                    stream.send_bytes(b"x" * 1_000_000)
            except BackendError as error:
                errors.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        sender.join(HEARTBEAT * 3)
        assert sender.is_alive()
        stream.close()
        sender.join(LIMIT)
        assert isinstance(errors[0], StreamClosed)


def test_a_server_that_takes_nothing_more_may_have_said_why(server, make_config):
    """Sending fails before that has been read."""
    broken = threading.Event()

    def then(peer: Peer) -> None:
        broken.wait(LIMIT)
        peer.send(text("too much"), close_frame(1008, "quota"))
        peer.read_all()

    server.script(upgrade(then))
    with Session(config=make_config(server)) as session, open_socket(session) as stream:

        def fail(data):
            raise BrokenPipeError(32, "Broken pipe")

        stream._driver._sock.sendall = fail
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                stream.send_bytes(b"x")
        broken.set()
        assert stream.receive_str() == "too much"
        with pytest.raises(StreamClosed) as caught:
            stream.receive()
        assert (caught.value.code, caught.value.reason) == (1008, "quota")


def test_a_server_that_takes_nothing_more_and_is_silent_is_left(server, make_config):
    server.script(upgrade(half_open))
    with Session(config=make_config(server)) as session, open_socket(session) as stream:

        def fail(data):
            raise BrokenPipeError(32, "Broken pipe")

        stream._driver._sock.sendall = fail
        with soon():
            with pytest.raises(ConnectionLost):
                stream.send_bytes(b"x")
            with pytest.raises(ConnectionLost):
                stream.receive()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
def test_the_system_asks_for_signs_of_life_on_a_stream_and_leaves_slow_readers_to_us(server, make_config):
    server.script(upgrade(half_open))
    with Session(config=make_config(server)) as session, open_socket(session) as stream:
        raw = stream._driver._sock._raw
        until(lambda: stream._driver._ready, "the driver runs")
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


def test_endless_pings_that_cannot_be_answered_fill_no_memory(server, make_config):
    """The server sends pings and reads no pong: in the end it has to wait."""
    sent = Counter()

    def then(peer: Peer) -> None:
        pings = (b"\x89\x7d" + b"p" * 125) * 1000
        with contextlib.suppress(OSError):
            while True:
                peer.send(pings)
                sent.add(len(pings))

    server.script(upgrade(then))
    with Session(config=make_config(server)) as session, open_socket(session):
        assert settled(lambda: sent.value) < 64 << 20


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def tls(ca, tmp_path):
    """A server that speaks TLS, and the file to trust it with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    with FaultServer(context) as server:
        yield server, str(path)


def test_streams_over_tls(tls, make_config, runtime):
    server, bundle = tls
    with runtime.session(make_config(server, ca_bundle=bundle)) as session:
        server.script(numbered_messages(Counter(), padding=5000, limit=500))
        assert len(read(runtime, open_socket(session)).items) == 500
        server.script(events(*(event(str(number)) for number in range(500))))
        assert len(read(runtime, open_events(session, reconnect=False)).items) == 500


def test_reading_and_writing_at_once_over_tls(tls, make_config):
    server, bundle = tls
    server.script(upgrade(echo))
    with Session(config=make_config(server, ca_bundle=bundle)) as session, open_socket(session) as stream:
        sender = threading.Thread(target=lambda: [stream.send_bytes(bytes([n]) * 50_000) for n in range(100)])
        sender.start()
        assert [stream.receive_bytes() == bytes([n]) * 50_000 for n in range(100)] == [True] * 100
        sender.join(LIMIT)


def test_an_untrusted_server(tls, make_config):
    server, _ = tls
    session = Session(config=make_config(server, retries=0), proxy_mode=True)
    for path, stream in both(session).items():
        with pytest.raises(TLSError) as caught:
            stream.open()
        located(caught.value, path, server)
    session.close()


def test_a_tls_alert_in_the_middle(ca, tmp_path, make_config, runtime):
    """The server's end of TLS fails: what follows on the wire is no TLS record."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")

    def then(peer: Peer) -> None:
        peer.send(text("first"))
        plain = socket.socket(fileno=socket.dup(peer.connection.socket.fileno()))
        with plain:
            plain.sendall(b"\x15\x03\x03\x00\x02\x02\x50")  # an alert in the clear: fatal, internal_error
            peer.connection.until_delivered()

    with FaultServer(context) as server:
        server.script(upgrade(then))
        with runtime.session(make_config(server, ca_bundle=str(tmp_path / "ca.pem"))) as session:
            reading = read(runtime, open_socket(session))
    assert [message.data for message in reading.items] == ["first"]
    located(reading.error, "/stream/session/x/execute", server, TLSError)


def test_a_tls_connection_that_ends_without_goodbye(tls, make_config, runtime):
    server, bundle = tls

    def then(peer: Peer) -> None:
        peer.send(text("first"))
        peer.connection.until_delivered()
        peer.connection.reset()

    server.script(upgrade(then))
    with runtime.session(make_config(server, ca_bundle=bundle)) as session:
        reading = read(runtime, open_socket(session))
    assert [message.data for message in reading.items] == ["first"]
    located(reading.error, "/stream/session/x/execute", server, ConnectionLost)


def test_a_port_that_refuses_is_no_timeout(make_config):
    session = Session(config=make_config(f"http://127.0.0.1:{unused_port()}", retries=0), proxy_mode=True)
    with pytest.raises(NeverSent) as caught:
        open_socket(session).open()
    assert not isinstance(caught.value, CallTimeout)
    session.close()
