"""Event streams connect again, with what they know, at a bounded pace, and not for ever."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from ai.backend.client.exceptions import BackendAPIError, BackendError, ConnectionLost, InvalidReply, NeverSent
from ai.backend.client.request import Request
from ai.backend.client.session import Session
from ai.backend.client.sessions.streams import events as stream_events
from ai.backend.client.sessions.streams.events import LONGEST_WAIT, EventsDriver, may_pass
from support.runtimes.streaming import read
from support.servers.faults import FaultServer, head, raw, reply, reset, silence
from support.servers.stream_steps import EVENT_STREAM, event, events, wait_for_close
from support.waiting import LIMIT, NEVER, soon, until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits are as short as the server wishes."""
    monkeypatch.setattr(stream_events, "SHORTEST_WAIT", 0.02)


def open_events(session, **options):
    return Request(session, "GET", "/events/session").connect_events(**options)


def last(item):
    return item.data == "last"


def test_it_goes_on_where_the_connection_broke(runtime, server, make_config):
    server.script(events(event("a", id=1)), events(event("b"), event("c", id=2)), events(event("last")))
    with runtime.session(make_config(server)) as session:
        stream = open_events(session)
        reading = read(runtime, stream, last)
        assert [one.data for one in reading.items] == ["a", "b", "c", "last"]
        assert stream.reconnects == 2
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "1", "2"]


def test_an_id_beyond_ascii_goes_back_as_utf8(server, make_config, runtime):
    server.script(events(event("a", id="\u65e5")), events(event("last")))
    with runtime.session(make_config(server)) as session:
        read(runtime, open_events(session), last)
    assert server.requests[1].headers["last-event-id"].encode("latin-1").decode() == "\u65e5"


@pytest.mark.parametrize(
    "broken",
    [
        events(event("a")),
        raw(head(headers={**EVENT_STREAM, "Transfer-Encoding": "chunked"}) + b"9\r\ndata: a\n\n\r\n5"),
        events(event("a"), then=lambda connection: (connection.until_delivered(), connection.reset())),
        events(event("a"), then=wait_for_close),
    ],
    ids=["end", "a cut chunk", "reset", "silence"],
)
def test_however_it_breaks(runtime, server, make_config, broken):
    server.script(broken, events(event("last")))
    with runtime.session(make_config(server, read_timeout=0.4)) as session:
        reading = read(runtime, open_events(session), last)
        assert [one.data for one in reading.items] == ["a", "last"]


def test_what_was_incomplete_is_dropped(runtime, server, make_config):
    server.script(events(event("a"), b"id: 9\ndata: half\nda"), events(b"ta: x\n\n", event("last")))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, open_events(session), last)
    assert [one.data for one in reading.items] == ["a", "last"]
    assert "last-event-id" not in server.requests[1].headers


def test_the_server_s_retry_is_kept_to(server, make_config, runtime):
    server.script(events(event("a", retry=600)), events(event("last")))
    with runtime.session(make_config(server)) as session:
        start = time.monotonic()
        read(runtime, open_events(session), last)
        assert time.monotonic() - start >= 0.3  # half of it is jitter


def test_not_after_server_close(runtime, server, make_config):
    server.script(events(event("a"), event("{}", "server_close")))
    with runtime.session(make_config(server)) as session:
        stream = open_events(session)
        reading = read(runtime, stream)
        assert [one.event for one in reading.items] == ["message", "server_close"]
        assert reading.error is None
        assert stream.closed
    assert len(server.requests) == 1


def test_not_when_it_is_not_wanted(runtime, server, make_config):
    server.script(events(event("a")))
    with runtime.session(make_config(server)) as session:
        assert len(read(runtime, open_events(session, reconnect=False)).items) == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_for_good_ends_the_stream(runtime, server, make_config, status):
    server.script(events(event("a")), reply({"title": "No."}, status))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, open_events(session))
    assert [one.data for one in reading.items] == ["a"]
    assert isinstance(reading.error, BackendAPIError)
    assert (reading.error.status, reading.error.title, reading.error.path) == (status, "No.", "/events/session")
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_refusal_that_may_pass_does_not(runtime, server, make_config, status):
    server.script(events(event("a")), *[reply({"title": "Later."}, status)] * 3, events(event("last")))
    with runtime.session(make_config(server, retries=0)) as session:
        reading = read(runtime, open_events(session), last)
    assert [one.data for one in reading.items] == ["a", "last"]
    assert reading.error is None


@pytest.mark.parametrize("step", [reset(), silence(), raw(b"")], ids=["reset", "silence", "end"])
def test_attempts_that_fail_are_repeated(runtime, server, make_config, step):
    server.script(events(event("a")), step, step, events(event("last")))
    with runtime.session(make_config(server, retries=0, read_timeout=0.3)) as session:
        reading = read(runtime, open_events(session), last)
    assert [one.data for one in reading.items] == ["a", "last"]


@pytest.mark.parametrize("when_full", ["wait", "error"])
def test_calls_that_take_every_slot_hold_it_up_and_no_more(server, make_config, when_full):
    free, broken = threading.Event(), threading.Event()

    def call(connection, request):
        free.wait(LIMIT)
        return reply({})(connection, request)

    server.script(events(event("a"), then=lambda connection: broken.wait(LIMIT)), call, events(event("last")))
    with Session(config=make_config(server, in_flight=1, when_full=when_full)) as session:
        stream = open_events(session)
        assert next(stream).data == "a"
        session.Kernel("x").get_info.submit()
        until(lambda: len(server.requests) == 2, "the call is under way")
        broken.set()
        until(lambda: stream._driver._failures >= 1, "the connection has ended")
        free.set()
        assert next(stream).data == "last"


def test_a_server_that_is_away_for_a_while(runtime, server, make_config):
    server.script(events(event("a")), events(event("last")))
    with runtime.session(make_config(server, retries=0)) as session:
        stream = open_events(session)
        runtime.value(stream.open)
        server.stop()
        until(lambda: stream._driver._failures >= 3, "attempts fail")
        server.restart()
        reading = read(runtime, stream, last)
    assert [one.data for one in reading.items] == ["a", "last"]


def test_a_server_that_stays_away_ends_the_stream(runtime, make_config, monkeypatch):
    monkeypatch.setattr(stream_events, "OUTAGE_LIMIT", 0.3)
    with FaultServer() as server:
        server.script(events(event("a")))
        session = runtime.make(make_config(server, retries=0))
        stream = open_events(session)
        runtime.value(stream.open)
    reading = read(runtime, stream)
    assert [one.data for one in reading.items] == ["a"]
    assert isinstance(reading.error, NeverSent | ConnectionLost)
    runtime.close(session)


def test_a_server_that_always_ends_at_once_is_given_up_too(runtime, server, make_config, monkeypatch):
    monkeypatch.setattr(stream_events, "OUTAGE_LIMIT", 0.3)
    server.script(events())
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, open_events(session))
    assert isinstance(reading.error, InvalidReply)
    assert len(server.requests) < 12


def test_another_endpoint_takes_over(runtime, make_config):
    with FaultServer() as first, FaultServer() as second:
        for server in (first, second):
            server.script(events(event("a"), then=wait_for_close))
        with runtime.session(make_config(f"{first.url},{second.url}", retries=0)) as session:
            stream = open_events(session)
            runtime.value(stream.open)
            there, other = (first, second) if first.requests else (second, first)
            other.script(events(event("last")))
            there.stop()
            reading = read(runtime, stream, last)
    assert [one.data for one in reading.items] == ["a", "last"]


def test_closing_while_it_waits_to_connect_again(runtime, server, make_config, monkeypatch):
    monkeypatch.setattr(stream_events, "LONGEST_WAIT", NEVER)
    server.script(events(event("a", retry=int(NEVER * 1000))))
    with runtime.session(make_config(server)) as session:
        stream = open_events(session)
        runtime.value(stream.open)
        until(lambda: stream._driver._failures >= 1, "the connection has ended")
        with soon():
            runtime.value(stream.close)
        assert stream.closed


def test_a_session_that_closes_while_a_stream_waits_to_connect_again(runtime, server, make_config, monkeypatch):
    monkeypatch.setattr(stream_events, "LONGEST_WAIT", NEVER)
    server.script(events(event("a", retry=int(NEVER * 1000))))
    session = runtime.make(make_config(server))
    stream = open_events(session)
    runtime.value(stream.open)
    until(lambda: stream._driver._failures >= 1, "the connection has ended")
    with soon():
        runtime.close(session)
    assert stream.closed


# -- arithmetic -------------------------------------------------------------------------------------------------------


def waits(retry, count, rng=lambda: 1.0):
    """The waits of a stream, without one."""
    driver = object.__new__(EventsDriver)
    driver._parser = SimpleNamespace(retry=retry)
    driver._failures = 0
    driver._rng = rng
    return [driver._wait() for _ in range(count)]


def test_waits_double_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(stream_events, "SHORTEST_WAIT", 1.0)
    assert waits(None, 7) == [1, 2, 4, 8, 16, 30, 30]
    assert waits(5, 3) == [1, 2, 4]  # what the manager sends, in seconds, is lifted to a second
    assert waits(10_000, 4) == [10, 20, 30, 30]
    assert waits(10**9, 2) == [LONGEST_WAIT] * 2
    assert waits(None, 3, lambda: 0.0) == [0.5, 1, 2]
    assert len(waits(None, 100)) == 100


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (NeverSent("x"), True),
        (ConnectionLost("x"), True),
        (BackendAPIError(503, "", {}), True),
        (BackendAPIError(429, "", {}), True),
        (BackendAPIError(404, "", {}), False),
        (InvalidReply("x"), False),
        (BackendError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_what_may_pass(error, passes):
    assert may_pass(error) is passes
