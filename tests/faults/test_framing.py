"""Answers that break the rules of HTTP, and unusual ones that keep them."""

from __future__ import annotations

import gzip
import json
import random
import resource
import threading
import zlib

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendClientError,
    ConnectionLost,
    InvalidReply,
    ProtocolError,
)
from ai.backend.client.session import Session
from support.servers.faults import close_after, gzipped, head, message, raw, reply, silence
from support.waiting import LIMIT, until

KERNEL = {"name": "kernel"}
JSON = json.dumps(KERNEL).encode()


def get(session, name="kernel"):
    return session.Kernel(name).get_info()


def chunked(*chunks):
    return head(headers={"Transfer-Encoding": "chunked"}) + b"".join(chunks)


BROKEN = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "status is no number": b"HTTP/1.1 OK 200\r\n\r\n",
    "status out of range": b"HTTP/1.1 99999 Fine\r\nContent-Length: 0\r\n\r\n",
    "negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
    "binary": bytes(range(256)) * 4 + b"\r\n\r\n",
    "endless line": b"HTTP/1.1 200 " + b"x" * 100_000,
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "header flood": b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 60) for i in range(2000))
    + b"\r\n{}",
    "length is no number": head(headers={"Content-Length": "many"}) + JSON,
    "negative length": head(headers={"Content-Length": "-5"}) + JSON,
    "two lengths": head(headers={"Content-Length": "5", "content-length": "17"}) + JSON,
    "short length": head(headers={"Content-Length": len(JSON) + 1}) + JSON,
    "chunk size is no number": chunked(b"xyz\r\n", JSON, b"\r\n0\r\n\r\n"),
    "negative chunk size": chunked(b"-1\r\n", JSON, b"\r\n0\r\n\r\n"),
    "endless chunk size": chunked(b"1" * 100_000),
    "chunk is cut": chunked(b"%x\r\n" % (len(JSON) + 10), JSON),
    "chunks without an end": chunked(b"%x\r\n" % len(JSON), JSON, b"\r\n"),
    "chunk without its line end": chunked(b"%x\r\n" % len(JSON), JSON, b"0\r\n\r\n"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_answer_is_a_typed_error(session, server, failure, case):
    server.script(raw(BROKEN[case]), reply(KERNEL))
    failure(lambda: get(session), ConnectionLost, ProtocolError)
    assert get(session) == KERNEL


@pytest.mark.parametrize("case", ["endless line", "endless header", "header flood", "endless chunk size"])
def test_a_flood_ends_although_the_server_keeps_the_connection(session, server, failure, case):
    """The client must not wait for the end of something that has none."""
    server.script(silence(BROKEN[case]), reply(KERNEL))
    failure(lambda: get(session), ProtocolError)
    assert get(session) == KERNEL


@pytest.mark.parametrize("case", ["not http", "status is no number", "length is no number", "chunk size is no number"])
def test_a_broken_answer_to_a_post_is_not_asked_for_again(make_config, server, failure, case):
    server.script(raw(BROKEN[case]))
    with Session(config=make_config(server, retries=2)) as session:
        failure(lambda: session.Kernel("kernel").execute("run", "code"), ConnectionLost, ProtocolError)
    assert len(server.requests) == 1


def test_an_announced_giant_is_not_allocated(session, server, failure):
    """Only what arrives takes memory."""
    server.script(raw(head(headers={"Content-Length": 10 * 2**40}) + JSON))
    failure(lambda: get(session), ConnectionLost, ProtocolError)


GOOD = {
    "plain": message(KERNEL),
    "interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + message(KERNEL),
    "several interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + message(KERNEL),
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + message(KERNEL),
    "no reason phrase": b"HTTP/1.1 200 \r\nContent-Length: %d\r\n\r\n" % len(JSON) + JSON,
    "no reason phrase and no space": b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % len(JSON) + JSON,
    "odd case": b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:%d\r\n\r\n" % len(JSON) + JSON,
    "chunked": chunked(b"%x\r\n" % len(JSON), JSON, b"\r\n0\r\n\r\n"),
    "small chunks": chunked(*(b"1\r\n%c\r\n" % byte for byte in JSON), b"0\r\n\r\n"),
    "chunk extensions": chunked(b"%x;ext=1\r\n" % len(JSON), JSON, b"\r\n0\r\n\r\n"),
    "trailers": chunked(b"%x\r\n" % len(JSON), JSON, b"\r\n0\r\nX-Trailer: yes\r\n\r\n"),
    "capital chunk size": chunked(b"%X\r\n" % len(JSON), JSON, b"\r\n0\r\n\r\n"),
    "repeated headers": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: %d\r\n\r\n"
    % len(JSON)
    + JSON,
    "latin-1 header": b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: %d\r\n\r\n" % len(JSON) + JSON,
    "byte order mark": head(headers={"Content-Length": len(JSON) + 3}) + b"\xef\xbb\xbf" + JSON,
}


@pytest.mark.parametrize("case", list(GOOD))
def test_an_unusual_answer_is_understood(session, server, case):
    """Twice on one connection: nothing of the first is left for the second."""
    server.script(raw(GOOD[case], keep=True))
    assert get(session) == KERNEL
    assert get(session) == KERNEL
    assert server.requests[0].connection == server.requests[1].connection


UNTIL_CLOSED = {
    "no length": head() + JSON,
    "http 1.0": b"HTTP/1.0 200 OK\r\n\r\n" + JSON,
    "close announced": head(headers={"Connection": "close"}) + JSON,
}


@pytest.mark.parametrize("case", list(UNTIL_CLOSED))
def test_a_body_that_ends_with_the_connection_is_read_to_its_end(session, server, case):
    server.script(raw(UNTIL_CLOSED[case]))
    assert get(session) == KERNEL
    assert get(session) == KERNEL
    assert server.requests[0].connection != server.requests[1].connection


def test_a_compressed_body_is_decoded(session, server):
    server.script(gzipped(KERNEL))
    assert get(session) == KERNEL


def test_a_body_that_is_not_what_its_encoding_says_is_an_error(session, server, failure):
    server.script(reply(b"not gzip", headers={"Content-Encoding": "gzip"}))
    failure(lambda: get(session), ProtocolError)


def raw_deflate(data):
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packed.compress(data) + packed.flush()


def two_members(data):
    return gzip.compress(data[:7]) + gzip.compress(data[7:])


CODINGS = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "gzip of two members": ("gzip", two_members),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "twice": ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
}
FRAMINGS = {
    "by length": lambda body: {"headers": {"Content-Length": len(body)}},
    "by chunks": lambda body: {"headers": {"Transfer-Encoding": "chunked"}},
    "by the end": lambda body: {"headers": {}},
}


def framed(framing, coding, body):
    """An answer whose framing is whole, whatever its body is."""
    headers = {"Content-Encoding": coding, **FRAMINGS[framing](body)["headers"]}
    packed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if framing == "by chunks" else body
    return raw(head(headers=headers) + packed, keep=framing != "by the end")


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("case", CODINGS)
def test_every_coding_is_decoded(session, server, case, framing):
    coding, pack = CODINGS[case]
    server.script(framed(framing, coding, pack(JSON)), reply(KERNEL))
    assert get(session) == KERNEL
    assert get(session) == KERNEL


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("case", CODINGS)
def test_a_compressed_body_that_was_cut_off_is_not_taken_for_whole(session, server, failure, case, framing):
    coding, pack = CODINGS[case]
    body = pack(json.dumps({"name": "kernel", "noise": random.Random(1).randbytes(1000).hex()}).encode())
    for left in (1, len(body) // 2, len(body) - 1):
        server.script(framed(framing, coding, body[:left]))
        error = failure(lambda: get(session), ConnectionLost, ProtocolError)
        assert getattr(error, "sent", True)


def test_an_encoding_that_nobody_asked_for_is_named(session, server, failure):
    server.script(framed("by length", "br", JSON))
    assert "'br'" in str(failure(lambda: get(session), ProtocolError))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip"])
def test_a_small_body_that_stands_for_a_large_one_is_refused(make_config, server, coding):
    """Without the memory that it stands for, and without holding up the others."""
    packed = zlib.compressobj(wbits=zlib.MAX_WBITS if coding == "deflate" else 16 + zlib.MAX_WBITS)
    body = b"".join(packed.compress(b" " * (1 << 20)) for _ in range(512)) + packed.flush()
    if coding == "gzip, gzip":
        body = gzip.compress(body)
    server.script(framed("by length", coding, body))
    with Session(config=make_config(server, retries=0)) as session:
        session.open()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ProtocolError, match="longer than 67108864 bytes"):
            get(session)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 160 << 10


def test_how_large_it_may_be_can_be_set(make_config, server):
    large = {"name": "x" * (1 << 20)}
    with Session(config=make_config(server, retries=0, decoded_limit=1 << 20)) as session:
        session.open()
        server.script(gzipped(large), gzipped({"name": "x" * 1000}))
        with pytest.raises(ProtocolError):
            get(session)
        assert get(session) == {"name": "x" * 1000}


def test_answers_without_a_body_leave_the_connection_usable(session, server):
    empty = raw(b"HTTP/1.1 204 No Content\r\n\r\n", keep=True)
    server.script(empty, reply(KERNEL), empty, reply(KERNEL))
    for _ in range(2):
        assert session.Kernel("kernel").interrupt() is None
        assert get(session) == KERNEL
    assert len({request.connection for request in server.requests}) == 1


def test_an_html_error_page_is_an_api_error(session, server, failure):
    server.script(
        raw(head(502, headers={"Content-Type": "text/html", "Content-Length": 20}) + b"<h1>Bad Gateway</h1>", keep=True)
    )
    error = failure(lambda: get(session), BackendAPIError)
    assert error.status == 502
    assert error.type == "https://api.backend.ai/probs/generic-error"
    assert error.data["content"] == "<h1>Bad Gateway</h1>"


def test_an_html_page_instead_of_json_is_an_invalid_reply(session, server, failure):
    server.script(reply(b"<h1>Welcome</h1>", headers={"Content-Type": "text/html"}))
    error = failure(lambda: get(session), InvalidReply)
    assert (error.status, error.body) == (200, b"<h1>Welcome</h1>")


@pytest.mark.parametrize("body", [b"", b"null", b'"text"', b"[]", b"\xff\xfe", b"{" * 1000], ids=repr)
def test_any_body_of_an_error_status_is_an_api_error(session, server, failure, body):
    server.script(reply(body, status=500))
    assert failure(lambda: get(session), BackendAPIError).status == 500


def test_deeply_nested_json_is_no_crash(session, server, failure):
    """The decoder runs out of stack: an error of this call, not of the actor."""
    server.script(reply(b"[" * 200_000), reply(KERNEL))
    failure(lambda: get(session), BackendClientError)
    assert get(session) == KERNEL


# -- bytes that nobody asked for -------------------------------------------------------------------


def test_a_second_answer_is_never_the_answer_to_the_next_call(session, server):
    """The headline promise against a server that sends two answers at once."""
    server.script(raw(message({"name": "one"}) + message({"name": "stray"}), keep=True), reply({"name": "two"}))
    assert get(session, "kernel-one") == {"name": "one"}
    try:
        second = get(session, "kernel-two")
    except BackendClientError:
        second = get(session, "kernel-two")
    assert second == {"name": "two"}


def test_an_answer_that_arrives_before_its_question_is_not_taken(session, server):
    """The stray answer comes while the connection is idle."""

    strayed = threading.Event()

    def late_stray(connection, request):
        connection.send(message({"name": "one"}))
        connection.send(message({"name": "stray"}))
        strayed.set()
        return True

    server.script(late_stray, reply({"name": "two"}))
    assert get(session, "kernel-one") == {"name": "one"}
    assert strayed.wait(LIMIT)
    assert get(session, "kernel-two") == {"name": "two"}


def test_bytes_behind_the_body_do_not_become_the_next_answer(session, server):
    server.script(raw(message(KERNEL) + b"garbage", keep=True), reply({"name": "two"}))
    assert get(session) == KERNEL
    assert get(session, "kernel-two") == {"name": "two"}


def test_a_body_behind_a_bodyless_answer_does_not_become_the_next_answer(session, server):
    stray = message({"name": "stray"})
    server.script(
        raw(b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(stray) + stray, keep=True), reply(KERNEL)
    )
    assert session.Kernel("kernel").interrupt() is None
    assert get(session) == KERNEL


# -- connections that the server closes between calls ----------------------------------------------


def test_a_connection_closed_while_idle_is_replaced(session, server):
    """Unannounced; seen before the next call. It holds for a POST as well: nothing was sent on the dead connection."""
    server.script(close_after(reply({"result": {"status": "finished"}})))
    for _ in range(5):
        assert session.Kernel("kernel").execute("run", "code") == {"status": "finished"}
        until(lambda: server.closed == server.connections, "the server has closed the connection")
    assert len(server.requests) == 5


def test_a_connection_closed_in_the_moment_of_the_next_call_hurts_no_get(make_config, server):
    """As fast as it can: some calls meet the closing connection. An idempotent one is repeated then."""
    server.script(close_after(reply(KERNEL)))
    with Session(config=make_config(server)) as session:
        assert [get(session) for _ in range(100)] == [KERNEL] * 100


def test_a_connection_closed_in_the_moment_of_the_next_post_sends_it_at_most_once(make_config, server):
    server.script(close_after(reply({"result": {"status": "finished"}})))
    failures = 0
    with Session(config=make_config(server)) as session:
        for index in range(100):
            try:
                session.Kernel(f"kernel-{index}").execute("run", "code")
            except ConnectionLost:
                failures += 1
    targets = [request.target for request in server.requests]
    assert len(targets) == len(set(targets))
    assert len(targets) >= 100 - failures


def test_idle_connections_that_close_all_at_once(make_config, server):
    server.script(reply(KERNEL))
    with Session(config=make_config(server)) as session:
        futures = [session.Kernel("kernel").get_info.submit() for _ in range(50)]
        assert [future.result(LIMIT) for future in futures] == [KERNEL] * 50
        server.stop()
        server.restart()
        server.script(reply({"result": KERNEL}))
        futures = [session.Kernel("kernel").execute.submit("run", "code") for _ in range(50)]
        assert [future.result(LIMIT) for future in futures] == [KERNEL] * 50
