"""What streams promise whatever their kind: back-pressure, no loss, honest ends, calls beside them undisturbed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

import gevent
import pytest

from ai.backend.client.exceptions import (
    ActorCrashed,
    BackendAPIError,
    BackendError,
    InvalidArgument,
    NeverSent,
    Overloaded,
    SessionClosed,
    StreamClosed,
)
from ai.backend.client.request import Request, SSEResponse, WebSocketResponse
from ai.backend.client.session import AsyncSession, Session
from support.asking import ask, is_answer
from support.runtimes.streaming import read, read_async, read_blocking
from support.servers.faults import FaultServer, reply, silence, unused_port
from support.servers.stream_steps import (
    Counter,
    event,
    events,
    numbered_events,
    numbered_messages,
    until_closed,
    wait_for_close,
)
from support.servers.stream_steps import (
    echo as echo_peer,
)
from support.servers.websocket_peer import close, text, upgrade
from support.waiting import LIMIT, NEVER, settled, soon, until

KINDS = ["events", "websocket"]
MANY = 2000
TURNS = 50
PADDING = 10_000
SYSTEM_BUFFERS = 24 << 20
"""Bytes that the two ends of a loopback connection and the stream may hold together, at most."""


def open_events(session, path="/events/session", **options):
    return Request(session, "GET", path).connect_events(**options)


def open_socket(session, path="/stream/session/x/pty", **options):
    return Request(session, "GET", path).connect_websocket(**options)


def stream_of(kind, session):
    return open_events(session, reconnect=False) if kind == "events" else open_socket(session)


def numbered(kind, sent, **options):
    return (numbered_events if kind == "events" else numbered_messages)(sent, **options)


def idle(kind):
    return events(event("first"), then=wait_for_close) if kind == "events" else upgrade(until_closed)


def number_of(item):
    return int(item.data.split()[0])


def until_full(sent):
    """How much has been sent when the sender waits."""
    until(lambda: sent.value > 20, "the server sends")
    return settled(lambda: sent.value)


def until_waiting(stream, seen=(), items=0):
    """Wait until a reader of the stream has so many items, and waits for the next."""
    until(lambda: len(seen) == items and stream._driver._channel._takes, "the reader waits")


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_items_come_in_order_and_none_is_lost(runtime, server, make_config, kind):
    server.script(numbered(kind, Counter(), limit=MANY))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, stream_of(kind, session))
    assert reading.error is None
    assert [number_of(item) for item in reading.items] == list(range(MANY))


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_stops_reading_makes_the_sender_wait(runtime, server, make_config, kind):
    """And misses nothing when it goes on."""
    sent = Counter()
    server.script(numbered(kind, sent, padding=PADDING))
    with runtime.session(make_config(server)) as session:
        stream = stream_of(kind, session)
        runtime.value(stream.open)
        held = until_full(sent)
        assert held < SYSTEM_BUFFERS / PADDING
        goal = held + 500
        reading = read(runtime, stream, lambda item: number_of(item) >= goal)
        assert [number_of(item) for item in reading.items] == list(range(goal + 1))


def test_giving_up_a_wait_loses_no_item(runtime, server, make_config):
    """Futures of items are cancelled all the time while the server sends."""
    if runtime.session_class != "AsyncSession":
        pytest.skip("futures of items are for AsyncSession")
    server.script(numbered_messages(Counter(), limit=MANY))
    with runtime.session(make_config(server)) as session:
        stream = open_socket(session)
        runtime.value(stream.open)
        seen = []

        async def impatient():
            while True:
                try:
                    seen.append(await asyncio.wait_for(stream.receive_str(), 0.0005))
                except TimeoutError:
                    continue
                except StreamClosed:
                    return

        def impatient_greenlet():
            while True:
                try:
                    with gevent.Timeout(0.0005, TimeoutError):
                        seen.append(next(stream).data)
                except TimeoutError:
                    continue
                except StopIteration:
                    return

        if runtime.name == "asyncio":
            runtime.coroutine(impatient)
        else:
            runtime.value(impatient_greenlet)
        assert [int(text.split()[0]) for text in seen] == list(range(MANY))


@pytest.fixture
def hasty_threads():
    """Threads take turns every 10 µs."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_cancelling_at_the_very_moment_an_item_comes(server, make_config, hasty_threads):
    """Whoever wins, the item is there: for this reader or the next."""
    server.script(numbered_messages(Counter(), limit=MANY))
    with Session(config=make_config(server)) as session:
        stream = open_socket(session)
        seen: list[int] = []
        futures: list[Any] = []
        cancelled = 0

        def canceller():
            while len(seen) < MANY:
                if futures:
                    futures.pop().cancel()

        thread = threading.Thread(target=canceller)
        with stream:
            thread.start()
            while len(seen) < MANY:
                future = stream._driver.take(number_of)
                futures.append(future)
                if len(seen) % 2:
                    time.sleep(0)  # lets the other thread go first
                try:
                    seen.append(future.result(LIMIT))
                except CancelledError:
                    cancelled += 1
                    assert future.cancelled()
            thread.join(LIMIT)
    assert seen == list(range(MANY))
    assert cancelled > 0


def test_other_calls_go_on_beside_streams_and_take_no_lane_from_them(runtime, server, make_config):
    with runtime.session(make_config(server, lanes=1)) as session:
        server.script(idle("events"))
        streams = [open_events(session) for _ in range(5)]
        for stream in streams:
            runtime.value(stream.open)
        server.script(reply({"name": "kernel"}))
        for _ in range(3):
            assert runtime.value(session.Kernel("kernel").get_info) == {"name": "kernel"}
        for stream in streams:
            runtime.value(stream.close)
            assert stream.closed


def test_a_waiting_reader_blocks_nobody_else(runtime, server, make_config):
    """The server sends when another caller of the same thread has had its turns."""
    if not runtime.cooperative:
        pytest.skip("threads do not wait for each other")
    go = threading.Event()
    server.script(events(then=lambda connection: go.wait(LIMIT) and connection.send(event("item"))))
    with runtime.session(make_config(server)) as session:
        stream = open_events(session)
        runtime.value(stream.open)

        def next_item():
            return stream.__anext__() if runtime.name == "asyncio" else next(stream)

        item, _ = runtime.outcomes([next_item, runtime.turns(TURNS, go.set)])
        assert item.data == "item"
        runtime.value(stream.close)


# -- sending ----------------------------------------------------------------------------------------------------------


def test_a_socket_sends_and_receives(runtime, server, make_config):
    server.script(upgrade(echo_peer))
    with runtime.session(make_config(server)) as session:
        socket = open_socket(session)
        runtime.value(socket.open)
        runtime.value(partial(socket.send_str, "text"))
        runtime.value(partial(socket.send_bytes, b"\x00\xff"))
        runtime.value(partial(socket.send_json, {"a": [1, None]}))
        assert runtime.value(socket.receive_str) == "text"
        assert runtime.value(socket.receive_bytes) == b"\x00\xff"
        assert runtime.value(socket.receive_json) == {"a": [1, None]}
        nested: list[Any] = []
        for _ in range(100_000):
            nested = [nested]
        assert isinstance(runtime.outcome(partial(socket.send_json, nested)), InvalidArgument)
        assert not socket.closed
        runtime.value(socket.close)
        assert socket.closed
        for send in (partial(socket.send_str, "late"), socket.receive_str):
            outcome = runtime.outcome(send)
            assert isinstance(outcome, StreamClosed)
            assert outcome.is_clean


def test_many_senders_mix_nothing_up(runtime, server, make_config):
    """From as many callers as the runtime has; big and small."""
    server.script(upgrade(echo_peer))
    texts = [f"{index} {'x' * (index % 7 * 20_000)}" for index in range(100)]
    with runtime.session(make_config(server)) as session:
        socket = open_socket(session)
        runtime.value(socket.open)
        received = []

        def receive_all():
            return [received.append(socket.receive_str()) for _ in texts]

        async def receive_all_async():
            for _ in texts:
                received.append(await socket.receive_str())

        if runtime.name == "asyncio":

            async def both():
                reader = asyncio.create_task(receive_all_async())
                await asyncio.gather(*(socket.send_str(text) for text in texts))
                await reader

            runtime.coroutine(both)
        else:
            runtime.columns([[receive_all], *([partial(socket.send_str, text)] for text in texts)])
        if received and not isinstance(received[0], str):
            received = [one.get() for one in received]
        assert sorted(received) == sorted(texts)
        runtime.value(socket.close)


def test_a_server_that_does_not_read_makes_the_sender_wait(server, make_config):
    stop = threading.Event()
    server.script(upgrade(lambda peer: stop.wait(LIMIT)))
    with Session(config=make_config(server)) as session, open_socket(session) as socket:
        sent = Counter()

        def send():
            with contextlib.suppress(StreamClosed):
                while True:
                    socket.send_bytes(b"x" * PADDING)
                    sent.add()

        sender = threading.Thread(target=send)
        sender.start()
        assert until_full(sent) < SYSTEM_BUFFERS / PADDING
        socket.close()  # ends the sender that waits, too
        sender.join(LIMIT)
        assert not sender.is_alive()
        stop.set()


def test_what_waits_for_the_opening_is_limited_too(server, make_config):
    server.script(silence())
    with AsyncSession(config=make_config(server)) as session:
        socket = open_socket(session)
        futures = [socket.send_bytes(b"x" * (16 << 20)) for _ in range(5)]
        assert isinstance(futures[-1].exception(LIMIT), Overloaded)
        socket.close().get(timeout=LIMIT)


def test_futures_that_nobody_waits_for_do_not_fill_memory(server, make_config):
    stop = threading.Event()
    server.script(upgrade(lambda peer: stop.wait(LIMIT)))
    with AsyncSession(config=make_config(server)) as session:
        socket = open_socket(session)
        socket.open().get(timeout=LIMIT)
        futures = [socket.send_bytes(b"x" * (8 << 20)) for _ in range(12)]
        refused = [future.exception(LIMIT) for future in futures[-2:]]
        assert all(isinstance(error, Overloaded) for error in refused)
        socket.close().get(timeout=LIMIT)
        stop.set()


def test_a_defect_while_something_is_sent_ends_the_stream(server, make_config, caplog):
    """What was cut in the middle must not be followed by anything."""
    server.script(upgrade(until_closed))
    with Session(config=make_config(server)) as session, open_socket(session) as socket:

        def fail(data):
            raise RuntimeError("a defect")

        socket._driver._sock.sendall = fail
        with pytest.raises(ActorCrashed):
            socket.send_str("text")
        with pytest.raises(ActorCrashed):
            socket.receive()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_closing_from_another_thread_ends_a_waiting_reader(runtime, server, make_config, kind):
    server.script(idle(kind))
    with runtime.session(make_config(server)) as session:
        stream = stream_of(kind, session)
        runtime.value(stream.open)

        seen = []

        def close_it():
            until_waiting(stream, seen, 1 if kind == "events" else 0)
            outcome = stream.close()
            if outcome is not None:
                outcome.result(LIMIT)

        closer = threading.Thread(target=close_it)
        closer.start()
        reading = read(runtime, stream, seen.append)
        closer.join(LIMIT)
        assert reading.error is None
        assert len(reading.items) == (1 if kind == "events" else 0)
        assert stream.closed
        assert stream.exception() is None
        until(lambda: server.closed >= 1, "the server sees the connection closed")


@pytest.mark.parametrize("kind", KINDS)
def test_closing_ends_a_stream_whose_reader_had_stopped(runtime, server, make_config, kind):
    sent = Counter()
    server.script(numbered(kind, sent, padding=PADDING))
    with runtime.session(make_config(server)) as session:
        stream = stream_of(kind, session)
        runtime.value(stream.open)
        until_full(sent)
        with soon():
            runtime.value(stream.close)
        outcome = runtime.outcome(lambda: stream.__anext__() if runtime.name == "asyncio" else next(stream))
        assert isinstance(outcome, StopAsyncIteration if runtime.name == "asyncio" else StopIteration | RuntimeError)


def test_closing_a_socket_whose_server_never_pauses(server, make_config):
    """It sends faster than we read, also while we say goodbye: nobody else is kept from the hub."""
    messages = text("x") * 10_000
    sent = Counter()

    def then(peer):
        with contextlib.suppress(OSError):
            while True:
                peer.send(messages)
                sent.add()

    server.script(upgrade(then))
    with AsyncSession(config=make_config(server)) as session:
        socket = open_socket(session)
        socket.open().get(timeout=LIMIT)
        until_full(sent)
        socket.close().get(timeout=LIMIT)
        assert session.Kernel("x").stream_pty().close().get(timeout=LIMIT) is None


@pytest.mark.parametrize("timeout", [0, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_ends_with_its_session(runtime, server, make_config, kind, timeout):
    server.script(idle(kind))
    session = runtime.make(make_config(server))
    runtime.open(session)
    stream = stream_of(kind, session)
    runtime.value(stream.open)
    closer = threading.Thread(target=lambda: (until_waiting(stream), finish(session, timeout)))
    closer.start()
    reading = read(runtime, stream)
    closer.join(LIMIT)
    assert isinstance(reading.error, SessionClosed)
    assert stream.closed
    outcome = runtime.outcome(stream_of(kind, session).open)
    assert isinstance(outcome, SessionClosed)


def finish(session, timeout):
    closing = session.close(timeout)
    if closing is not None:
        closing.result(LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_is_dropped_is_closed(runtime, server, make_config, kind):
    server.script(idle(kind))
    with runtime.session(make_config(server)) as session:
        stream = stream_of(kind, session)
        runtime.value(stream.open)
        del stream
        until(lambda: server.closed >= 1 or server.connections < 2, "the connection is closed")


@pytest.mark.parametrize(
    "step", [upgrade(lambda peer: peer.send(close(1011))), reply({}, 404)], ids=["open", "refused"]
)
def test_a_stream_that_ended_in_an_error_is_freed(server, make_config, step):
    """Although the error remembers, by its traceback, the code that used the stream."""
    server.script(step)

    def use(session):
        stream = open_socket(session)
        with pytest.raises(BackendError):
            next(stream)
        return weakref.ref(stream)

    with Session(config=make_config(server)) as session:
        used = use(session)
        until(lambda: gc.collect() >= 0 and used() is None, "it is freed")


def test_a_socket_s_close_is_answered_before_the_connection_ends(runtime, server, make_config, monkeypatch):
    monkeypatch.setattr("ai.backend.client.sessions.streams.websocket.CLOSE_LIMIT", NEVER)
    frames = []

    def then(peer):
        received = peer.read()
        frames.append(received)
        peer.send(b"\x88\x02\x03\xe8")
        frames.append(peer.read())

    server.script(upgrade(then))
    with runtime.session(make_config(server)) as session:
        socket = open_socket(session)
        runtime.value(socket.open)
        with soon():
            runtime.value(socket.close)
        until(lambda: len(frames) == 2, "the server has read the end")
    assert frames[0].code == 1000
    assert frames[1] is None


def test_a_server_that_does_not_answer_a_close_is_left_after_a_second(runtime, server, make_config):
    server.script(upgrade(lambda peer: peer.connection.wait_for_close()))
    with runtime.session(make_config(server)) as session:
        socket = open_socket(session)
        runtime.value(socket.open)
        with soon():
            runtime.value(socket.close)
        until(lambda: server.closed >= 1, "the connection is closed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_closed_before_it_was_opened_sends_nothing(runtime, server, make_config, kind):
    with runtime.session(make_config(server)) as session:
        stream = stream_of(kind, session)
        runtime.value(stream.close)
        assert stream.closed
        outcome = runtime.outcome(stream.open)
        assert isinstance(outcome, StreamClosed)
    assert server.requests == []


def test_opening_a_stream_that_is_being_closed(server, make_config):
    """Whichever comes first, nothing of it is left."""
    server.script(upgrade(until_closed))
    with Session(config=make_config(server)) as session:
        stream = open_socket(session)
        driver = stream._driver
        driver.close().result(LIMIT)
        assert isinstance(driver.open().exception(LIMIT), StreamClosed)
        assert len(session._core.runtime.streams) == 0
    assert server.requests == []


def test_closing_a_stream_that_waits_for_its_turn_to_open(server, make_config):
    free = threading.Event()
    server.script(lambda connection, request: free.wait(LIMIT) and reply({})(connection, request))
    with Session(config=make_config(server, in_flight=1)) as session:
        session.open()
        session.Kernel("x").get_info.submit()
        until(lambda: server.requests, "the call is under way")
        stream = open_socket(session)
        outcomes = []
        opener = threading.Thread(target=lambda: outcomes.append(read_blocking(stream).error))
        opener.start()
        until(lambda: len(session._core.runtime.streams) == 1, "it waits")
        stream.close()
        free.set()
        opener.join(LIMIT)
        assert isinstance(outcomes[0], StreamClosed)
        assert len(session._core.runtime.streams) == 0
    assert len(server.requests) == 1


def test_giving_up_an_opening_closes_the_stream_for_all(runtime, server, make_config):
    """The others are told so, and not that they were cancelled themselves."""
    if runtime.session_class != "AsyncSession":
        pytest.skip("futures of openings are for AsyncSession")
    server.script(silence())
    with runtime.session(make_config(server)) as session:
        stream = open_socket(session)
        [first, other] = runtime.value(lambda: [stream.open(), stream.open()])
        until(lambda: server.requests, "it opens")
        first.cancel()
        for opening in (other, runtime.value(lambda: [stream.open()])[0]):
            assert isinstance(runtime.outcome(lambda opening=opening: opening), StreamClosed)


def test_on_enter_that_fails_leaves_nothing_open(runtime, server, make_config):
    server.script(upgrade(until_closed))

    def fail(socket):
        raise KeyError("no")

    with runtime.session(make_config(server)) as session:
        stream = open_socket(session, on_enter=fail)
        assert isinstance(read(runtime, stream).error, KeyError)
        until(lambda: stream.closed, "it is closed")


def test_a_task_cancelled_at_the_very_moment_its_stream_is_open(server, make_config):
    server.script(upgrade(until_closed))

    async def main():
        async with AsyncSession(config=make_config(server)) as session:
            stream = open_socket(session)

            async def use():
                async with stream:
                    raise AssertionError("it was cancelled before")

            task = asyncio.create_task(use())
            await asyncio.sleep(0)  # it waits
            until(lambda: stream.raw_response is not None, "it is open, and the loop has not heard of it")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            until(lambda: stream.closed, "it is closed")
            assert stream.exception() is None  # from our side

    asyncio.run(main())


def test_the_garbage_collector_may_drop_a_stream_anywhere(server, make_config):
    """In the hub's thread, for one, while that has the lock of the stream's channel."""
    server.script(numbered_events(Counter()))
    with Session(config=make_config(server)) as session:
        stream = open_events(session)
        next(stream)
        driver = stream._driver
        cycle = [stream]
        cycle.append(cycle)
        dropped = threading.Event()

        def size_of(item):
            if dropped.is_set():
                gc.collect()
            return 1 << 20

        driver._channel._size_of = size_of
        gc.disable()
        try:
            del stream, cycle
            dropped.set()
            driver._channel.take()
            until(lambda: driver.is_over, "it is closed")
        finally:
            gc.enable()


# -- opening ----------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_a_stream_is_used(runtime, server, make_config):
    server.script(idle("events"))
    with runtime.session(make_config(server)) as session:
        stream = open_events(session)
        assert server.requests == []
        assert not stream.closed
        item = runtime.value(lambda: stream.__anext__() if runtime.name == "asyncio" else next(stream))
        assert item.data == "first"
        assert len(server.requests) == 1
        runtime.value(stream.close)


def test_the_streams_limit(runtime, server, make_config):
    server.script(idle("events"))
    with runtime.session(make_config(server, streams=3)) as session:
        streams = [open_events(session) for _ in range(3)]
        for stream in streams:
            runtime.value(stream.open)
        fourth = open_events(session)
        assert isinstance(runtime.outcome(fourth.open), Overloaded)
        assert fourth.closed
        runtime.value(streams[0].close)
        another = open_events(session)
        runtime.value(another.open)
        for stream in (*streams, another):
            runtime.value(stream.close)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_is_raised_when_it_is_opened_and_by_what_waits(runtime, server, make_config, kind):
    server.script(reply({"type": "x/y", "title": "No."}, 404))
    with runtime.session(make_config(server)) as session:
        stream = stream_of(kind, session)
        outcome = runtime.outcome(stream.open)
        assert isinstance(outcome, BackendAPIError)
        assert (outcome.status, outcome.title, outcome.attempts, outcome.endpoint) == (404, "No.", 1, server.url)
        assert isinstance(read(runtime, stream).error, BackendAPIError)
        assert stream.exception() is outcome


def test_a_stream_goes_to_the_endpoint_that_can_be_reached(runtime, server, make_config):
    server.script(numbered_events(Counter(), limit=3))
    urls = f"http://127.0.0.1:{unused_port()},{server.url}"
    with runtime.session(make_config(urls)) as session:
        for _ in range(4):
            reading = read(runtime, open_events(session, reconnect=False))
            assert (len(reading.items), reading.error) == (3, None)


def test_nobody_there(runtime, make_config):
    with FaultServer() as server:
        url = server.url
        session = runtime.make(make_config(url, retries=0))
        runtime.open(session)
    outcome = read(runtime, open_events(session)).error
    runtime.close(session, timeout=0)
    assert isinstance(outcome, NeverSent)


def test_cancelling_the_opening_closes_the_stream(server, make_config):
    server.script(lambda connection, request: connection.wait_for_close())
    with AsyncSession(config=make_config(server)) as session:
        stream = open_events(session)
        opening = stream.open()
        until(lambda: len(server.requests) == 1, "the request arrives")
        assert opening.cancel()
        until(lambda: stream.closed, "the stream is closed")
        until(lambda: server.closed >= 1, "the connection is closed")


def test_in_a_running_loop_a_blocking_use_is_refused(server, make_config):
    server.script(idle("events"))

    async def main():
        async with AsyncSession(config=make_config(server)) as session:
            stream = open_events(session)
            with pytest.raises(RuntimeError, match="async with"):
                stream.__enter__()
            with pytest.raises(RuntimeError, match="async for"):
                next(stream)
            async with stream:
                assert (await stream.__anext__()).data == "first"

    asyncio.run(main())


def test_two_openers_share_one_opening(runtime, server, make_config):
    server.script(idle("events"))
    with runtime.session(make_config(server)) as session:
        stream = open_events(session)
        assert runtime.outcomes([stream.open] * 5) == [None] * 5
        assert len(server.requests) == 1
        runtime.value(stream.close)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_only_get_opens_streams(make_config, server, method):
    with Session(config=make_config(server)) as session:
        for connect in ("connect_websocket", "connect_events"):
            with pytest.raises(ValueError, match="GET"):
                getattr(Request(session, method, "/x"), connect)()


# -- the vendor's names -----------------------------------------------------------------------------------------------


def test_the_vendor_s_way_of_sockets(server, make_config):
    server.script(upgrade(echo_peer))

    async def main():
        async def on_enter(socket):
            await socket.send_str("greeting")

        async with AsyncSession(config=make_config(server)) as session:
            request = Request(session, "GET", "/stream/session/x/pty")
            async with request.connect_websocket(on_enter=on_enter) as socket:
                assert isinstance(socket, WebSocketResponse)
                assert socket.raw_websocket is socket.raw_weboscket
                assert not socket.closed
                async for message in socket:
                    assert (message.type, message.data) == (1, "greeting")
                    break
                await socket.send_json({"a": 1})
                assert await socket.receive_json() == {"a": 1}
                await socket.close()
                assert socket.closed
                assert socket.exception() is None
                with pytest.raises(StreamClosed):
                    await socket.send_str("late")

    asyncio.run(main())


def test_the_vendor_s_way_of_events(server, make_config):
    server.script(numbered_events(Counter(), limit=2))

    async def main():
        async with (
            AsyncSession(config=make_config(server)) as session,
            Request(session, "GET", "/events/session").connect_events(reconnect=False) as response,
        ):
            assert isinstance(response, SSEResponse)
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            return [ev["data"].strip() async for ev in response.fetch_events()]

    assert asyncio.run(main()) == ["0", "1"]


def test_on_enter_blocking(server, make_config):
    server.script(upgrade(echo_peer))
    with Session(config=make_config(server)) as session:
        request = Request(session, "GET", "/stream/session/x/pty")
        with request.connect_websocket(on_enter=lambda socket: socket.send_str("hi")) as socket:
            assert next(socket).data == "hi"


def test_streams_of_every_kind_in_one_loop(server, make_config):
    """A thread's Session and a task's AsyncSession read the same at the same time."""
    server.script(numbered_messages(Counter(), limit=200))
    with Session(config=make_config(server)) as session, AsyncSession(config=make_config(server)) as other:
        found = []
        thread = threading.Thread(target=lambda: found.append(read_blocking(open_socket(session))))
        thread.start()
        found.append(asyncio.run(read_async(open_socket(other))))
        thread.join(LIMIT)
    assert [len(one.items) for one in found] == [200, 200]


def test_is_answer_still_holds_with_an_open_stream(runtime, echo, server, make_config, unique):
    """Streams of one server, calls to another; nothing is mixed up."""
    server.script(idle("websocket"))
    name = unique()
    with runtime.session(make_config(server)) as streaming, runtime.session(make_config(echo)) as session:
        socket = open_socket(streaming)
        runtime.value(socket.open)
        assert is_answer(name, runtime.value(partial(ask, session, name)))
        runtime.value(socket.close)
