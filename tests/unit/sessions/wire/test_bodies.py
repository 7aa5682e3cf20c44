"""Large bodies on a connection, in both directions: what arrives, what is an error, which connections serve again."""

from __future__ import annotations

import threading
import time

import pytest
from urllib3.util import Timeout

from ai.backend.client import exceptions as ours
from ai.backend.client.config import APIConfig
from ai.backend.client.sessions.wire.adapter import HubAdapter
from ai.backend.client.sessions.wire.bodies import Origin, SourceFailed
from ai.backend.client.sessions.wire.failures import FAILURES, translate
from ai.backend.client.sessions.wire.pool import IDLE_LIMIT
from ai.backend.client.sessions.wire.prepare import Preparer
from ai.backend.client.sessions.wire.transfers import SinkFailed, outgoing, stream_to_sink
from ai.backend.client.transfer import Transfer
from support.servers.faults import head, raw, reply, silence
from support.waiting import LIMIT, settled, until

PIECE = 1000
DATA = bytes(range(256)) * 100


class Bytes:
    """A source that is held in memory after all."""

    def __init__(self, data=DATA, length=None, error=None):
        self.length = len(data) if length is None else length
        self._data = data
        self._error = error
        self.begun = 0
        self.ended = 0

    def pieces(self, size):
        self.begun += 1
        try:
            for start in range(0, len(self._data), size):
                yield self._data[start : start + size]
            if self._error is not None:
                raise self._error
        finally:
            self.ended += 1


class Mover:
    """Sends transfers to one server, and says what came of them."""

    def __init__(self, hub, in_lane, url):
        config = APIConfig(endpoint=url, access_key="AK", secret_key="SK", proxies={})
        self.adapter = HubAdapter(hub, config)
        self.origin = Origin(url)
        self.moved = []
        self._hub = hub
        self._preparer = Preparer(config)
        self._in_lane = in_lane

    def move(self, method, read=LIMIT, **options):
        """Status and body, or what the sink returned; or our error."""
        return self._in_lane(self._move, Transfer(method, url=f"{self.origin.url}/x", piece=PIECE, **options), read)

    def _move(self, request, read):
        try:
            body, length = outgoing(self._hub, request, self.moved.append)
            attempt = self._preparer.prepare_transfer(request, self.origin, "", body, length, False)
            answer = self.adapter.send(attempt, timeout=Timeout(connect=LIMIT, read=read))
            if request.sink is None or not 200 <= answer.status_code < 300:
                return answer.status_code, answer.content
            return answer.status_code, stream_to_sink(self._hub, answer, request, self.moved.append).value
        except FAILURES as error:
            raise translate(error) from error

    @property
    def idle(self):
        return len(self.origin.pool._idle)

    def close(self):
        self._in_lane(self.adapter.close)


@pytest.fixture
def mover(hub, in_lane, server):
    mover = Mover(hub, in_lane, server.url)
    yield mover
    mover.close()


def collect(_, pieces):
    return b"".join(pieces)


def plain(body=DATA, length=None, keep=True, status=200):
    return raw(head(status, headers={"Content-Length": len(body) if length is None else length}) + body, keep=keep)


def test_a_connection_that_rested_too_long_is_not_used_again(mover, server, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("ai.backend.client.sessions.wire.pool.rest_clock", lambda: now[0])
    server.script(plain(), reply({"ok": 1}))
    assert mover.move("GET", sink=collect) == (200, DATA)
    now[0] += IDLE_LIMIT + 1
    assert mover.move("PATCH", source=Bytes(DATA))[0] == 200
    assert server.connections == 2


# -- up ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, len(DATA)])
def test_a_body_arrives_whole_with_its_length(mover, server, size):
    server.script(reply({"ok": 1}))
    assert mover.move("PATCH", source=Bytes(DATA[:size]))[0] == 200
    [request] = server.requests
    assert request.body == DATA[:size]
    assert request.headers["content-length"] == str(size)
    assert "transfer-encoding" not in request.headers
    assert mover.idle == 1


def test_progress_is_told_piece_by_piece(mover, server):
    mover.move("PATCH", source=Bytes(DATA))
    assert mover.moved == [*range(PIECE, len(DATA), PIECE), len(DATA)]


def test_connections_serve_again(mover, server):
    server.script(*[reply(), reply(), raw(head(headers={"Content-Length": 5}), keep=True)] * 5)
    for _ in range(5):
        mover.move("PATCH", source=Bytes())
        mover.move("GET", sink=collect)
        mover.move("HEAD")
    assert server.connections == 1


@pytest.mark.parametrize("size", [10, len(DATA)])
def test_a_source_that_fails_is_its_own_error_and_the_connection_is_closed(mover, server, size):
    source = Bytes(DATA[:size], length=2 * size, error=OSError("unreadable"))
    with pytest.raises(SourceFailed) as caught:
        mover.move("PATCH", source=source)
    assert str(caught.value.error) == "unreadable"
    assert source.ended == 1
    until(lambda: server.closed == server.connections, "the server sees the connection closed")
    assert mover.move("PATCH", source=Bytes(b"next"))[0] == 200


@pytest.mark.parametrize("difference", [-1, 1, 2 * PIECE])
def test_a_source_of_another_length_is_refused_before_the_server_could_take_it(mover, server, difference):
    with pytest.raises(SourceFailed):
        mover.move("PATCH", source=Bytes(DATA, length=len(DATA) + difference))
    until(lambda: server.closed == server.connections, "the server sees the connection closed")
    assert all(len(request.body) <= len(DATA) for request in server.requests)


def test_a_server_that_answers_before_it_has_the_body_is_heard(mover, server):
    server.read_bodies = False
    server.script(plain(b"no", status=403))
    source = Bytes(DATA * 2000)  # more than any buffer on the way takes
    assert mover.move("PATCH", source=source) == (403, b"no")
    assert mover.idle == 0, "the connection has a half-sent request on it"
    until(lambda: source.ended == 1, "its source is closed")


def test_a_server_that_answers_and_closes_is_heard(mover, server):
    server.read_bodies = False
    server.script(plain(b"no", status=413, keep=False))
    try:
        assert mover.move("PATCH", source=Bytes(DATA * 2000)) == (413, b"no")
    except ours.ConnectionLost:
        pass  # the reset overtook the answer: TCP allows that
    assert mover.idle == 0


def test_a_success_before_the_body_was_sent_is_none(mover, server):
    server.read_bodies = False
    server.script(plain(b"ok"))
    with pytest.raises(ours.ProtocolError, match="malformed"):
        mover.move("PATCH", source=Bytes(DATA * 2000))
    assert mover.idle == 0


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [(CONTINUE, b""), (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CONTINUE, b""), (CONTINUE[:11], CONTINUE[11:])],
    ids=["one", "two", "in pieces"],
)
def test_an_interim_answer_is_no_refusal(mover, server, before, after):
    """Nobody asked for it, and it may come all the same (RFC 9110, section 15.2)."""
    server.read_bodies = False

    def step(connection, request):
        connection.send(before)
        left = int(request.headers["content-length"]) - len(connection._buffer)
        connection._buffer = b""
        while left:
            data = connection.socket.recv(65536)
            if not data:
                return False
            left -= len(data)
        connection.send(after + head(200, headers={"Content-Length": 2}) + b"ok")
        return True

    server.script(step)
    assert [mover.move("PATCH", read=2, source=Bytes(DATA * 100)) for _ in range(2)] == [(200, b"ok")] * 2
    assert mover.idle == 1


def test_a_server_that_reads_no_more_is_a_timeout(mover, server):
    server.read_bodies = False
    server.script(silence())
    start = time.monotonic()
    with pytest.raises(ours.ReadTimeout):
        mover.move("PATCH", read=0.2, source=Bytes(DATA * 2000))
    assert time.monotonic() - start < LIMIT


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 2", head(204)[:-2]], ids=len)
def test_an_answer_that_ends_early_is_a_lost_connection(mover, server, data):
    server.script(raw(data))
    with pytest.raises(ours.ConnectionLost):
        mover.move("PATCH", source=Bytes())


# -- down -------------------------------------------------------------------------------------------------------------


def chunked(*parts):
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return head(headers={"Transfer-Encoding": "chunked"}) + body


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, len(DATA)])
def test_an_answer_runs_into_its_sink(mover, server, size):
    server.script(plain(DATA[:size]))
    assert mover.move("GET", sink=collect) == (200, DATA[:size])
    assert mover.moved[-1:] == [size]
    assert mover.idle == 1


@pytest.mark.parametrize("status", [200, 201, 206, 299])
def test_every_success_goes_to_the_sink_with_its_status_and_headers(mover, server, status):
    server.script(plain(b"hello", status=status))
    got = mover.move("GET", sink=lambda head, pieces: (head.status, head.length, head.headers["content-type"]))
    assert got == (status, (status, 5, "application/json"))


@pytest.mark.parametrize("status", [301, 304, 400, 404, 416, 500])
def test_everything_else_does_not(mover, server, status):
    server.script(plain(b"" if status == 304 else b"problem", status=status))
    assert mover.move("GET", sink=lambda *_: pytest.fail("called"))[0] == status


def test_chunked_and_open_ended_answers_run_into_the_sink_too(mover, server):
    server.script(
        raw(chunked(DATA[:5], DATA[5:5000], DATA[5000:]) + b"0\r\n\r\n", keep=True),
        raw(b"HTTP/1.1 200 OK\r\n\r\n" + DATA),
        raw(b"HTTP/1.0 200 OK\r\n\r\n" + DATA),
    )
    assert [mover.move("GET", sink=collect)[1] == DATA for _ in range(3)] == [True] * 3
    assert server.connections == 2


@pytest.mark.parametrize("cut", [1, PIECE, len(DATA) // 2, len(DATA) - 1])
def test_a_body_that_ends_early_is_told_to_the_sink_and_raised(mover, server, cut):
    server.script(plain(DATA[:cut], length=len(DATA), keep=False))
    got = []

    def sink(_, pieces):
        for piece in pieces:
            got.append(piece)

    with pytest.raises(ours.ConnectionLost):
        mover.move("GET", sink=sink)
    assert b"".join(got) == DATA[:cut]


def test_chunks_that_end_early_are_a_lost_connection(mover, server):
    server.script(raw(chunked(DATA)))
    with pytest.raises(ours.ConnectionLost):
        mover.move("GET", sink=collect)


def test_a_body_that_stops_is_a_timeout(mover, server):
    server.script(silence(head(headers={"Content-Length": len(DATA)}) + DATA[:PIECE]))
    with pytest.raises(ours.ReadTimeout):
        mover.move("GET", read=0.2, sink=collect)


@pytest.mark.parametrize("size", [10, len(DATA)])
def test_a_sink_that_fails_is_its_own_error(mover, server, size):
    def full(_, pieces):
        next(pieces)
        raise OSError("disk full")

    server.script(plain(DATA[:size]))
    with pytest.raises(SinkFailed) as caught:
        mover.move("GET", sink=full)
    assert str(caught.value.error) == "disk full"
    server.script(plain(b"next"))
    assert mover.move("GET", sink=collect) == (200, b"next")


def test_a_sink_that_takes_no_more_ends_the_exchange(mover, server):
    server.script(silence(head(headers={"Content-Length": 10**9}) + DATA * 10))
    assert mover.move("GET", sink=lambda _, pieces: next(pieces)[:5]) == (200, DATA[:5])
    until(lambda: server.closed == 1, "the server sees the connection closed")


def test_a_slow_sink_makes_the_server_wait(mover, server):
    sent = []

    def endless(connection, request):
        connection.send(head(headers={"Content-Length": 10**9}))
        while True:
            connection.send(bytes(65536))
            sent.append(65536)

    release = threading.Event()

    def slow(_, pieces):
        next(pieces)
        release.wait(LIMIT)
        return "enough"

    server.script(endless)

    def release_when_full():
        until(lambda: sent, "it sends")
        settled(lambda: len(sent))
        release.set()

    threading.Thread(target=release_when_full).start()
    assert mover.move("GET", sink=slow) == (200, "enough")
    assert sum(sent) < 64 << 20, "the kernel's buffers, not ours"


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_an_answer_may_come_in_any_pieces(mover, server, at):
    data = head(headers={"Content-Length": len(DATA)}) + DATA

    def in_two(connection, request):
        connection.send(data[:at])
        time.sleep(0.02)  # most often the client has the first piece alone; both at once are right too
        connection.send(data[at:])
        return True

    server.script(in_two)
    assert mover.move("GET", sink=collect) == (200, DATA)


# -- head -------------------------------------------------------------------------------------------------------------


def test_head_expects_no_body_whatever_is_announced(mover, server):
    server.script(raw(head(headers={"Content-Length": 10**6, "Upload-Offset": 5}), keep=True), reply({"ok": 1}))
    assert mover.move("HEAD") == (200, b"")
    assert mover.idle == 1
    assert mover.move("GET", sink=collect) == (200, b'{"ok": 1}')
    assert server.connections == 1


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_nothing_of_the_manager_s_is_sent(mover, server):
    mover.move("PATCH", source=Bytes(b"x"), params={"token": "t"}, headers={"Upload-Offset": "5"}, content_type="a/b")
    mover.move("GET", sink=collect, params={"token": "t", "dst_dir": "ü /"})
    patch, get = server.requests
    assert patch.target == "/x?token=t"
    assert get.target == "/x?token=t&dst_dir=%C3%BC+%2F"
    assert patch.headers.keys() == {"host", "user-agent", "content-type", "content-length", "upload-offset"}
    assert get.headers.keys() == {"host", "user-agent", "accept-encoding"}
    assert get.headers["accept-encoding"] == "identity"
    assert patch.headers["content-type"] == "a/b"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x",
        "h/x",
        "/x",
        "http://",
        "http://u:p@h/x",
        "http://h/x?q=1",
        "http://h/x#f",
        "http://h x/",
        "http://h/\n",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_credentials(url):
    with pytest.raises(ours.InvalidArgument) as caught:
        Transfer("GET", url=url)
    assert caught.value.argument == "url"
    assert "u:p" not in repr(caught.value)


def test_a_header_that_the_session_sets_is_refused(mover):
    with pytest.raises(ours.InvalidArgument):
        mover.move("GET", sink=collect, headers={"Authorization": "x"})
