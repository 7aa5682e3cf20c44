"""Connections that are refused, reset, silent or slow."""

from __future__ import annotations

import io
import threading
import time

import pytest

from ai.backend.client.actors.supervision import INTENSITY
from ai.backend.client.exceptions import (
    BackendAPIError,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    ConnectTimeout,
    DeadlineExceeded,
    InvalidArgument,
    NeverSent,
    ProtocolError,
    ReadTimeout,
)
from ai.backend.client.request import AttachedFile, Request
from ai.backend.client.session import Session
from support.servers.faults import (
    black_hole,
    close,
    cut_after,
    deafness,
    drip,
    head,
    message,
    raw,
    reply,
    reset,
    silence,
    unused_port,
)
from support.waiting import LIMIT, until

DRIP_DEADLINE = 0.3
KERNEL = {"name": "kernel"}
BODY = message({"a": "b" * 100})


def get(session):
    return session.Kernel("kernel").get_info()


def post(session):
    return session.Kernel("kernel").execute("run", "code")


@pytest.mark.parametrize("call", [get, post])
def test_refused(make_config, server, failure, call):
    """Nothing was sent, so even a POST is tried as often as allowed."""
    with Session(config=make_config(server, retries=2)) as session:
        server.stop()
        error = failure(lambda: call(session), NeverSent)
    assert error.sent is False
    assert error.attempts == 3
    assert server.requests == []


def test_refused_after_an_attempt_that_the_server_got(runtime, make_config, server):
    """It takes the request, then it is gone: the last attempt was not sent, but the call was."""

    def take_and_vanish(connection, request):
        threading.Thread(target=server.stop).start()
        until(lambda: not server._accepting.is_alive(), "nobody listens any more")
        return False

    server.script(take_and_vanish)
    with runtime.session(make_config(server, retries=2)) as session:
        runtime.open(session)
        error = runtime.outcome(lambda: session.Kernel("kernel").get_info())
    assert isinstance(error, ConnectionLost)
    assert error.sent is True
    assert error.attempts >= 2
    assert isinstance(error.__cause__, NeverSent)
    assert "refused" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [close(), reset()], ids=["closed", "reset"])
def test_closed_instead_of_an_answer(make_config, server, failure, fault):
    server.script(fault)
    with Session(config=make_config(server, retries=2)) as session:
        error = failure(lambda: get(session), ConnectionLost)
        assert error.sent is True
        assert error.attempts == 3
        assert len(server.requests) == 3
        error = failure(lambda: post(session), ConnectionLost)
        assert (error.sent, error.attempts) == (True, 1)
        assert len(server.requests) == 4


@pytest.mark.parametrize("count", [1, 8, 12, 17, 40, len(BODY) - 100, len(BODY) - 1])
def test_closed_after_some_bytes(make_config, server, failure, count):
    """In the status line, in the headers, in the body: never a short answer."""
    server.script(cut_after(count))
    with Session(config=make_config(server, retries=2)) as session:
        failure(lambda: get(session), ConnectionLost, ProtocolError)
        server.requests.clear()
        error = failure(lambda: post(session), ConnectionLost, ProtocolError)
        assert error.attempts == 1
        assert len(server.requests) == 1


def test_a_connection_that_broke_is_not_used_again(session, server, failure):
    server.script(cut_after(len(BODY) - 10), reply({"name": "kernel"}))
    failure(lambda: get(session), ConnectionLost, ProtocolError)
    assert get(session) == {"name": "kernel"}
    assert server.requests[0].connection != server.requests[1].connection


def test_no_answer_is_a_read_timeout(make_config, server, failure):
    server.script(silence())
    with Session(config=make_config(server, retries=0, read_timeout=0.2)) as session:
        failure(lambda: get(session), ReadTimeout)
        error = failure(lambda: post(session), ReadTimeout)
    assert error.attempts == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200", head(), head(headers={"Content-Length": 100}) + b"{"], ids=["status", "head", "body"]
)
def test_silence_in_the_middle_is_a_read_timeout(make_config, server, failure, start):
    server.script(silence(start))
    with Session(config=make_config(server, retries=0, read_timeout=0.2)) as session:
        failure(lambda: get(session), ReadTimeout)


def test_a_read_timeout_of_a_post_is_not_repeated(make_config, server, failure):
    server.script(silence())
    with Session(config=make_config(server, retries=2, read_timeout=0.2)) as session:
        failure(lambda: post(session), ReadTimeout)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "step",
    [
        drip(b"HTTP/1.1 200 OK\r\n" * 10),
        drip(b"X-Header: value\r\n" * 10, start=b"HTTP/1.1 200 OK\r\n"),
        drip(b" " * 100, start=head(headers={"Content-Length": 100})),
        drip(b"1\r\nx\r\n" * 50, start=head(headers={"Transfer-Encoding": "chunked"})),
        drip(b" " * 100, start=head(headers={"Connection": "close"})),
    ],
    ids=["status line", "headers", "body", "chunks", "until closed"],
)
def test_a_dripping_server_cannot_hold_a_call_past_its_deadline(session, server, failure, step):
    server.script(step)
    start = time.monotonic()
    failure(lambda: get(session.with_options(deadline=DRIP_DEADLINE)), DeadlineExceeded)
    assert time.monotonic() - start >= DRIP_DEADLINE
    until(lambda: server.closed == server.connections, "the connection is closed")


def test_a_server_that_does_not_read_cannot_hold_a_call(session, server, failure):
    """A body larger than the socket buffers, and nobody who takes it."""
    server.read_bodies = False
    server.script(deafness())
    view = session.with_options(deadline=DRIP_DEADLINE)
    failure(lambda: view.Kernel("kernel").execute("run", "x" * 50_000_000), DeadlineExceeded)


def test_no_connection_in_time_is_a_connect_timeout(make_config):
    with black_hole() as url:
        session = Session(config=make_config(url, retries=0, connection_timeout=0.2))
        start = time.monotonic()
        with pytest.raises(ConnectTimeout) as caught:
            session.open()
        assert 0.2 <= time.monotonic() - start < LIMIT
        session.close()
    assert (caught.value.method, caught.value.path, caught.value.endpoint, caught.value.attempts) == (
        "GET",
        "/",
        url,
        1,
    )


def test_a_deadline_holds_while_connecting(make_config):
    with black_hole() as url:
        session = Session(config=make_config(url, connection_timeout=0, deadline=0.3))
        start = time.monotonic()
        with pytest.raises(CallTimeout):
            session.open()
        assert time.monotonic() - start < LIMIT
        session.close()


def test_a_host_that_does_not_exist(make_config):
    """`.invalid` never resolves (RFC 6761)."""
    session = Session(config=make_config("http://nobody.invalid:8081", retries=0))
    with pytest.raises(ConnectionFailed) as caught:
        session.open()
    session.close()
    assert caught.value.sent is False
    assert not isinstance(caught.value, CallTimeout)


def test_close_while_a_name_is_being_resolved_or_connected(make_config):
    with black_hole() as url:
        session = Session(config=make_config(url, connection_timeout=0, deadline=0))
        future = session.Kernel("kernel").get_info.submit()
        start = time.monotonic()
        session.close(timeout=0)
        assert time.monotonic() - start < LIMIT
        assert future.exception(LIMIT) is not None


def test_the_error_of_a_failed_open_tells_the_endpoint(make_config):
    url = f"http://127.0.0.1:{unused_port()}"
    session = Session(config=make_config(url, retries=1))
    with pytest.raises(NeverSent) as caught:
        session.open()
    session.close()
    error = caught.value
    assert (error.method, error.path, error.endpoint, error.attempts) == ("GET", "/", url, 2)
    assert error.elapsed is not None
    assert url in str(error)


def test_a_file_is_sent_whole_in_every_attempt(make_config, server):
    """The first attempt reads the stream; the second must not send what is left of it."""
    server.script(close(), reply(KERNEL))
    files = [AttachedFile("a", io.BytesIO(b"the file's content"))]
    with Session(config=make_config(server, retries=1)) as session:
        request = Request(session, "PUT", "/upload", files=files, idempotent=True)
        with request.fetch() as response:
            assert response.status == 200
    bodies = [request.body for request in server.requests]
    assert len(bodies) == 2
    assert all(b"the file's content" in body for body in bodies)


@pytest.mark.parametrize(
    "way", [{"content_type": "a\r\nX-Injected: 1"}, {"params": "abc"}, {"hold": "60"}, {"hold": -1}]
)
def test_a_request_that_makes_no_sense_is_refused_before_it_is_sent(make_config, server, way):
    with Session(config=make_config(server)) as session:
        with pytest.raises(InvalidArgument, match=next(iter(way))):
            Request(session, "GET", "/session/kernel", **way)
        assert server.requests == []


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Date"])
def test_a_header_that_the_session_sets_cannot_be_overridden(make_config, server, name):
    with Session(config=make_config(server)) as session:
        request = Request(session, "GET", "/session/kernel")
        request.headers[name] = "1"
        with pytest.raises(InvalidArgument, match=name):
            request.fetch().__enter__()
        assert server.requests == []


@pytest.mark.parametrize(
    "odd",
    [
        reply({}, 503, {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}),
        reply(b"[" * 200_000, 500),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n0\r\n\r\n"),
    ],
    ids=["Retry-After", "nested body", "negative chunk"],
)
def test_odd_answers_do_not_end_the_session(make_config, server, odd):
    """As many as would be too many crashes: they are the server's doing, not ours."""
    server.script(*[odd] * (INTENSITY + 2), reply(KERNEL))
    with Session(config=make_config(server, retries=0)) as session:
        for _ in range(INTENSITY + 2):
            with pytest.raises((BackendAPIError, ProtocolError, ConnectionLost)):
                get(session)
        assert get(session) == KERNEL
