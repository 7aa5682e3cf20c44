"""Bytes on a connection: which answers are understood, which are refused, and which connections serve again."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import zlib

import pytest
import trustme
from urllib3.util import Timeout

from ai.backend.client import exceptions as ours
from ai.backend.client.config import APIConfig
from ai.backend.client.request import Request
from ai.backend.client.sessions.wire.adapter import HubAdapter
from ai.backend.client.sessions.wire.failures import FAILURES, translate
from ai.backend.client.sessions.wire.pool import HEAD_LIMIT, IDLE_LIMIT
from ai.backend.client.sessions.wire.prepare import Preparer
from support.servers.faults import FaultServer, once_per_connection, raw, reset, silence, unused_port
from support.waiting import LIMIT, until

SHORT = 0.1
"""Seconds of a read timeout that is meant to run out."""


class Client:
    """Asks one server, and says what came of it."""

    def __init__(self, hub, in_lane, endpoint, url, **options):
        config = APIConfig(endpoint=url, access_key="AK", secret_key="SK", proxies={}, **options)
        self.adapter = HubAdapter(hub, config)
        self.endpoint = endpoint(url)
        self._preparer = Preparer(config)
        self._in_lane = in_lane

    def ask(self, method="GET", path="/x", body=None, read=LIMIT, connect=LIMIT):
        """Status, body and headers of the answer, or our error."""
        return self._in_lane(self._ask, method, path, body, Timeout(connect=connect, read=read))

    def _ask(self, method, path, body, timeout):
        attempt = self._preparer.prepare(Request(method, path, body), self.endpoint, "v7.20230615")
        try:
            answer = self.adapter.send(attempt, timeout=timeout)
            return answer.status_code, answer.content, answer.headers
        except FAILURES as error:
            raise translate(error) from error

    def close(self):
        self._in_lane(self.adapter.close)


@pytest.fixture
def client(hub, in_lane, endpoint, server):
    client = Client(hub, in_lane, endpoint, server.url)
    yield client
    client.close()


def answer(*lines, body=b"", status="200 OK", version="1.1"):
    return "\r\n".join([f"HTTP/{version} {status}", *lines, "", ""]).encode("latin-1") + body


def chunked(*parts, trailer=b""):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


PLAIN = answer("Content-Length: 5", body=b"hello")
OK = answer("Content-Length: 2", body=b"ok")


# -- answers ----------------------------------------------------------------------------------------------------------

HELLO = b"hello"
UNDERSTOOD = {
    "plain": (PLAIN, 200, HELLO),
    "nothing": (answer("Content-Length: 0"), 200, b""),
    "no reason": (answer("Content-Length: 5", body=HELLO, status="200"), 200, HELLO),
    "empty reason": (answer("Content-Length: 5", body=HELLO, status="200 "), 200, HELLO),
    "any case": (answer("cOnTeNt-LeNgTh:5", body=HELLO), 200, HELLO),
    "spaces": (answer("Content-Length: \t 5 \t", body=HELLO), 200, HELLO),
    "leading zeros": (answer("Content-Length: 0005", body=HELLO), 200, HELLO),
    "length twice, the same": (answer("Content-Length: 5", "Content-Length: 5", body=HELLO), 200, HELLO),
    "an error status": (answer("Content-Length: 5", body=HELLO, status="503 Busy"), 503, HELLO),
    "204": (answer(status="204 No Content"), 204, b""),
    "204 with a length of nothing": (answer("Content-Length: 0", status="204 No Content"), 204, b""),
    "304": (answer(status="304 Not Modified"), 304, b""),
    "304 with a length": (answer("Content-Length: 5", status="304 Not Modified"), 304, b""),
    "chunked": (answer("Transfer-Encoding: chunked", body=chunked(b"hel", b"lo")), 200, HELLO),
    "chunked, any case": (answer("TRANSFER-encoding:Chunked", body=chunked(HELLO)), 200, HELLO),
    "chunked, nothing": (answer("Transfer-Encoding: chunked", body=chunked()), 200, b""),
    "chunked, extensions": (
        answer("Transfer-Encoding: chunked", body=b"5;a=b\r\nhello\r\n0;c\r\n\r\n"),
        200,
        HELLO,
    ),
    "chunked, trailer": (answer("Transfer-Encoding: chunked", body=chunked(HELLO, trailer=b"A: b\r\n")), 200, HELLO),
    "gzip": (
        answer(f"Content-Length: {len(gzip.compress(HELLO))}", "Content-Encoding: gzip", body=gzip.compress(HELLO)),
        200,
        HELLO,
    ),
    "gzip, chunked": (
        answer("Content-Encoding: gzip", "Transfer-Encoding: chunked", body=chunked(gzip.compress(HELLO))),
        200,
        HELLO,
    ),
    "deflate": (
        answer(f"Content-Length: {len(zlib.compress(HELLO))}", "Content-Encoding: deflate", body=zlib.compress(HELLO)),
        200,
        HELLO,
    ),
    "folded header": (answer("X-Long: one", "\ttwo", "Content-Length: 5", body=HELLO), 200, HELLO),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, HELLO),
    "an empty header": (answer("X-Empty:", "Content-Length: 5", body=HELLO), 200, HELLO),
    "one interim answer": (answer(status="100 Continue") + PLAIN, 200, HELLO),
    "several interim answers": (
        answer("Link: </a>", status="103 Early Hints") + answer(status="102 Processing") + PLAIN,
        200,
        HELLO,
    ),
    "an interim answer before a chunked one": (
        answer(status="100 Continue") + answer("Transfer-Encoding: chunked", body=chunked(HELLO)),
        200,
        HELLO,
    ),
    "bytes outside of ASCII": (answer("X-Name: \xfcml\xe4ut", "Content-Length: 5", body=HELLO), 200, HELLO),
}


@pytest.mark.parametrize("step", [1, 7, None], ids=["byte by byte", "in small pieces", "at once"])
@pytest.mark.parametrize("case", UNDERSTOOD)
def test_an_answer_is_understood_however_it_is_cut(client, server, case, step):
    data, status, body = UNDERSTOOD[case]

    def send(connection, request):
        for start in range(0, len(data), step or len(data)):
            connection.send(data[start : start + (step or len(data))])
        return True

    server.script(send)
    got_status, got_body, _ = client.ask()
    assert (got_status, got_body) == (status, body)


CLOSE_DELIMITED = {
    "no length": answer(body=HELLO),
    "HTTP/1.0": answer("Content-Type: text/plain", body=HELLO, version="1.0"),
    "connection close": answer("Connection: close", body=HELLO),
    "HTTP/1.0 with a length": answer("Content-Length: 5", body=HELLO, version="1.0"),
}


@pytest.mark.parametrize("case", CLOSE_DELIMITED)
def test_an_answer_that_ends_with_its_connection_is_read_to_the_end(client, server, case):
    server.script(raw(CLOSE_DELIMITED[case]), raw(OK, keep=True))
    assert client.ask()[:2] == (200, HELLO)
    assert client.ask()[1] == b"ok"
    assert server.connections == 2


REFUSED = {
    "nothing": (b"", ours.ConnectionLost),
    "half a status line": (b"HTTP/1.1 2", ours.ConnectionLost),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", ours.ConnectionLost),
    "half a body": (answer("Content-Length: 10", body=HELLO), ours.ConnectionLost),
    "half a chunk": (answer("Transfer-Encoding: chunked", body=b"a\r\nhello"), ours.ConnectionLost),
    "no last chunk": (answer("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"), ours.ConnectionLost),
    "a chunk length that is none": (answer("Transfer-Encoding: chunked", body=b"xyz\r\n"), ours.ProtocolError),
    "two lengths": (answer("Content-Length: 5", "Content-Length: 6", body=HELLO), ours.ProtocolError),
    "two lengths, one of them none": (answer("Content-Length: 5", "Content-Length: x", body=HELLO), ours.ProtocolError),
    "a list of lengths": (answer("Content-Length: 5, 6", body=HELLO), ours.ProtocolError),
    "a negative length": (answer("Content-Length: -5", body=HELLO), ours.ProtocolError),
    "a signed length": (answer("Content-Length: +5", body=HELLO), ours.ProtocolError),
    "a length in words": (answer("Content-Length: five", body=HELLO), ours.ProtocolError),
    "no length at all": (answer("Content-Length:", body=HELLO), ours.ProtocolError),
    "an astronomical length": (answer("Content-Length: " + "9" * 30, body=HELLO), ours.ProtocolError),
    "a length beyond the limit": (answer("Content-Length: 99999999999", body=HELLO), ours.ProtocolError),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", ours.ProtocolError),
    "a mail server": (b"220 mail ESMTP\r\n\r\n", ours.ProtocolError),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", ours.ProtocolError),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", ours.ProtocolError),
    "a status beyond": (b"HTTP/1.1 999999 OK\r\nContent-Length: 0\r\n\r\n", ours.ProtocolError),
    "garbage": (bytes(range(256)) * 4, ours.ProtocolError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_answer_is_an_error_and_its_connection_is_not_used_again(client, server, case):
    data, error = REFUSED[case]
    server.script(raw(data), raw(OK, keep=True))
    with pytest.raises(error):
        client.ask()
    assert client.ask()[1] == b"ok"
    assert server.connections == 2


def test_a_head_without_end_is_refused_in_time(client, server):
    server.script(raw(b"HTTP/1.1 200 OK\r\n" + b"X-Flood: aaaaaaaaaaaaaaaa\r\n" * (HEAD_LIMIT // 8), keep=True))
    with pytest.raises(ours.ProtocolError):
        client.ask()


def test_interim_answers_without_end_do_not_exhaust_the_client(client, server):
    """Each of them is whole, so that no limit of a single one is reached."""

    def flood(connection, request):
        data = answer(status="100 Continue") * 1000
        for _ in range(200):
            connection.send(data)
        connection.send(PLAIN)
        return False

    server.script(flood)
    try:
        assert client.ask()[1] == HELLO
    except ours.ProtocolError:
        pass


def test_headers_are_given_as_they_came(client, server):
    server.script(
        raw(answer("X-One: 1", "x-two:  2 \t", "X-Three: a", "X-Three: b", "X-Empty:", "Content-Length: 0"), keep=True)
    )
    headers = client.ask()[2]
    assert headers["x-one"] == "1"
    assert headers["X-TWO"] == "2"
    assert headers["x-three"] == "a, b"
    assert headers["x-empty"] == ""
    assert "x-four" not in headers


def test_a_folded_header_is_one_header(client, server):
    server.script(raw(answer("X-Long: one", "  two", "\tthree", "X-Next: 1", "Content-Length: 0"), keep=True))
    headers = client.ask()[2]
    assert headers["x-long"].split() == ["one", "two", "three"]
    assert headers["x-next"] == "1"


def test_a_large_body_arrives_whole(client, server):
    body = json.dumps({"a": "b" * 3_000_000}).encode()
    server.script(raw(answer(f"Content-Length: {len(body)}", body=body), keep=True))
    assert client.ask()[1] == body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_request_arrives_as_it_was_prepared(client, server, method):
    server.script(raw(OK, keep=True))
    client.ask(method, "/path", b"body" * 10_000)
    request = server.requests[0]
    assert (request.method, request.target, request.body) == (method, "/path", b"body" * 10_000)
    assert request.headers["host"] == server.url.removeprefix("http://")
    assert request.headers["authorization"].startswith("BackendAI ")


def test_the_answer_to_head_has_no_body_whatever_its_length_says(client, server):
    server.script(raw(answer("Content-Length: 5"), keep=True), raw(OK, keep=True))
    status, body, headers = client.ask("HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "5")
    assert client.ask()[1] == b"ok"


# -- keeping connections ----------------------------------------------------------------------------------------------

KEPT = [case for case in UNDERSTOOD if case not in ("bare line feeds",)]


@pytest.mark.parametrize("case", KEPT)
def test_a_whole_answer_leaves_its_connection_to_the_next_request(client, server, case):
    server.script(raw(UNDERSTOOD[case][0], keep=True), raw(OK, keep=True))
    client.ask()
    for _ in range(3):
        assert client.ask()[1] == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: close"],
        ["connection:close"],
        ["Connection: Close"],
        ["Connection: close", "Keep-Alive: timeout=5"],
        ["Connection: upgrade, close"],
        ["Connection: keep-alive, close"],
        ["Connection: keep-alive", "Connection: close"],
    ],
    ids=", ".join,
)
def test_a_server_that_says_close_is_not_asked_again_on_that_connection(client, server, lines):
    server.script(raw(answer("Content-Length: 5", *lines, body=HELLO), keep=True), raw(OK, keep=True))
    assert client.ask()[1] == HELLO
    assert client.ask()[1] == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize("line", ["Connection: keep-alive", "Connection: Keep-Alive", "Keep-Alive: timeout=5"])
def test_a_server_that_says_keep_alive_is_asked_again(client, server, line):
    server.script(raw(answer("Content-Length: 5", line, body=HELLO), keep=True), raw(OK, keep=True))
    client.ask()
    client.ask()
    assert server.connections == 1


SURPLUS = {
    "plain": (PLAIN, HELLO),
    "nothing": (answer("Content-Length: 0"), b""),
    "204": (answer(status="204 No Content"), b""),
    "304": (answer(status="304 Not Modified"), b""),
    "chunked": (answer("Transfer-Encoding: chunked", body=chunked(HELLO)), HELLO),
    "gzip": (UNDERSTOOD["gzip"][0], HELLO),
}


@pytest.mark.parametrize("surplus", [OK, b"\r\n", b"x"], ids=["an answer", "a line", "a byte"])
@pytest.mark.parametrize("case", SURPLUS)
def test_bytes_that_nobody_asked_for_end_the_connection(client, server, case, surplus):
    """Whoever asks next must not get them, nor be asked on a connection that has lost count."""
    data, body = SURPLUS[case]
    server.script(raw(data + surplus, keep=True), raw(answer("Content-Length: 4", body=b"next"), keep=True))
    assert client.ask()[1] == body
    assert client.ask()[1] == b"next"
    assert server.connections == 2


def test_the_connection_used_last_is_used_first(client, server, in_lane, hub):
    """So that the others may become idle, and end."""
    both = threading.Barrier(2)

    def together(connection, request):
        both.wait(LIMIT)
        connection.send(OK)
        return True

    server.script(together, together, raw(OK, keep=True))
    threads = [threading.Thread(target=client.ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert server.connections == 2
    used = set()
    for _ in range(5):
        client.ask()
        used.add(server.requests[-1].connection)
    assert len(used) == 1
    assert server.connections == 2


def test_a_connection_that_ended_while_idle_is_replaced_before_anything_is_sent(client, server):
    server.script(raw(OK), raw(OK, keep=True))  # the first one is closed after its answer, without a word
    assert client.ask("POST", body=b"a")[1] == b"ok"
    connection = client.endpoint.pool._idle[0]
    until(lambda: connection.sock is None, "the hub has noticed, and closed it")
    assert client.ask("POST", body=b"b")[1] == b"ok"
    assert [request.body for request in server.requests] == [b"a", b"b"]
    assert server.connections == 2


def test_a_connection_that_had_served_and_ends_without_an_answer_says_so(client, server):
    server.script(raw(OK, keep=True), raw(b""))
    client.ask()
    with pytest.raises(ours.ConnectionLost) as caught:
        client.ask()
    assert caught.value.stale


@pytest.mark.parametrize("first", [raw(b""), reset()], ids=["closed", "reset"])
def test_a_new_connection_that_ends_without_an_answer_is_not_called_stale(client, server, first):
    server.script(first)
    with pytest.raises(ours.ConnectionLost) as caught:
        client.ask()
    assert not caught.value.stale


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("ai.backend.client.sessions.wire.pool.rest_clock", lambda: self.now)


@pytest.fixture(params=["plain", "urllib3's own", "through a proxy"])
def ask_on(request, hub, in_lane, endpoint, server):
    """`ask_on(step)`: ask the server once, by each way there is to a pooled connection."""
    proxied, method = request.param == "through a proxy", "HEAD" if request.param == "urllib3's own" else "POST"
    client = Client(hub, in_lane, endpoint, "http://manager.example" if proxied else server.url)
    if proxied:
        client.adapter = HubAdapter(hub, APIConfig(endpoint="http://manager.example", proxies={"http": server.url}))
    ok = raw(OK if method == "POST" else answer("Content-Length: 2"), keep=True)

    def ask():
        return client.ask(method, body=b"a" if method == "POST" else None)[0]

    ask.ok = ok
    yield ask
    client.close()


def test_a_connection_that_rested_too_long_is_not_used_again(ask_on, server, monkeypatch):
    clock = Clock(monkeypatch)
    server.script(once_per_connection(ask_on.ok))
    for _ in range(3):
        assert ask_on() == 200
        clock.now += IDLE_LIMIT + 1
    assert server.connections == 3
    until(lambda: server.closed == 2, "none of those that rested stays open")


def test_a_connection_that_rested_for_less_is_used_again(ask_on, server, monkeypatch):
    clock = Clock(monkeypatch)
    server.script(ask_on.ok)
    for _ in range(3):
        assert ask_on() == 200
        clock.now += IDLE_LIMIT - 1
    assert server.connections == 1


def test_closing_the_adapter_closes_its_idle_connections(client, server):
    server.script(raw(OK, keep=True))
    client.ask()
    client.close()
    until(lambda: server.closed == 1, "the server has noticed")
    assert server.connections == 1


# -- time and reachability --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"], ids=["nothing", "head", "body"]
)
def test_silence_is_a_read_timeout_and_ends_the_connection(client, server, start):
    server.script(silence(start), raw(OK, keep=True))
    with pytest.raises(ours.ReadTimeout):
        client.ask(read=SHORT)
    assert client.ask()[1] == b"ok"
    assert server.connections == 2


def test_a_read_timeout_counts_from_the_latest_byte_of_any_number_of_exchanges(client, server):
    """A connection may serve for hours."""

    def late(connection, request):
        threading.Event().wait(0.06)
        connection.send(OK)
        return True

    server.script(late)
    for _ in range(6):
        assert client.ask(read=0.2)[1] == b"ok"
    assert server.connections == 1


def test_a_port_that_refuses_was_never_sent_to(hub, in_lane, endpoint):
    client = Client(hub, in_lane, endpoint, f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(ours.NeverSent):
        client.ask("POST", body=b"x")


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def tls(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with FaultServer(context) as server:
        yield server


@pytest.fixture
def tls_client(hub, in_lane, endpoint, tls, ca, tmp_path):
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(bundle)
    client = Client(hub, in_lane, endpoint, tls.url, ca_bundle=bundle)
    yield client
    client.close()


@pytest.mark.parametrize("case", ["plain", "204", "chunked", "gzip", "folded header", "one interim answer"])
def test_answers_over_tls_are_the_same_and_keep_their_connection(tls_client, tls, case):
    data, status, body = UNDERSTOOD[case]
    tls.script(raw(data, keep=True))
    for _ in range(2):
        assert tls_client.ask()[:2] == (status, body)
    assert tls.connections == 1


def test_a_tls_connection_that_had_served_and_ends_without_an_answer_is_lost_and_not_distrusted(tls_client, tls):
    tls.script(raw(OK, keep=True), raw(b""))
    tls_client.ask()
    with pytest.raises(ours.ConnectionLost) as caught:
        tls_client.ask()
    assert caught.value.stale


def test_an_answer_over_tls_that_is_cut_is_lost_and_not_distrusted(tls_client, tls):
    tls.script(raw(answer("Content-Length: 10", body=HELLO)))
    with pytest.raises(ours.ConnectionLost):
        tls_client.ask()
