"""What waits to be sent, on a hub and with a socket of the test's own."""

from __future__ import annotations

import pytest

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.greenlets import HubGreenlet
from ai.backend.client.exceptions import ConnectionLost
from ai.backend.client.sessions.streams.outbox import BLOCK, OUTGOING_HIGH, Outbox
from support.waiting import LIMIT, until


class Socket:
    """Takes bytes while it is open, in a greenlet."""

    def __init__(self, hub):
        self.hub = hub
        self.taken = []
        self.gate = CallFuture()
        self.error = None

    def sendall(self, data):
        while not self.gate.done():
            self.writer.wait(self.gate)
        if self.error is not None:
            raise self.error
        self.taken.append(data)

    @property
    def writer(self):
        return self.outbox._writer

    def open(self):
        self.hub.call(lambda: self.gate.settle(None, None))


@pytest.fixture
def sock(hub):
    sock = Socket(hub)
    sock.broken = []
    sock.outbox = Outbox(hub, sock.broken.append)
    sock.outbox.open(sock)
    yield sock
    hub.call(sock.outbox.stop)


def put(sock, *blocks):
    """Put blocks in one turn; their futures."""
    futures = [CallFuture() for _ in blocks]
    sock.hub.call(lambda: [sock.outbox.put(*pair) for pair in zip(blocks, futures, strict=True)])
    return futures


def test_blocks_are_sent_in_order_and_small_ones_at_once(sock):
    sock.open()
    for future in put(sock, b"a", b"b", b"c" * BLOCK, b"d"):
        assert future.result(LIMIT) is None
    assert b"".join(sock.taken) == b"ab" + b"c" * BLOCK + b"d"
    assert len(sock.taken) == 3
    until(lambda: not sock.outbox.is_writing, "the greenlet has ended")
    assert sock.outbox.size == 0


def test_what_is_held_counts_and_comes_back_when_the_connection_is_there(hub):
    outbox = Outbox(hub, lambda _: None)
    first, second = CallFuture(), CallFuture()
    outbox.hold("one", 3, first)
    outbox.hold("two", 4, second)
    assert outbox.size == 7
    assert outbox.open(None) == [("one", first), ("two", second)]
    assert outbox.size == 0


def test_who_waits_for_room_goes_on_when_there_is_some(sock):
    passed = []
    waiting = HubGreenlet(sock.hub, lambda: passed.append(sock.outbox.wait(waiting, OUTGOING_HIGH // 2)))
    put(sock, b"x" * (OUTGOING_HIGH + 1))
    waiting.start()
    until(lambda: sock.outbox._drain is not None, "it waits")
    assert passed == []
    sock.open()
    until(lambda: passed == [None], "it goes on")


def test_a_broken_connection_is_told_once_and_nothing_follows(sock):
    sock.error = BrokenPipeError(32, "Broken pipe")
    first, second = put(sock, b"a" * BLOCK, b"b" * BLOCK)
    sock.open()
    until(lambda: sock.broken == [sock.error], "it was told")
    error = ConnectionLost("gone")
    sock.hub.call(lambda: sock.outbox.discard(error))
    assert first.exception(LIMIT) is error
    assert second.exception(LIMIT) is error
    assert (sock.taken, sock.outbox.size) == ([], 0)


def test_discarding_lets_go_on_who_waits_for_room(sock):
    passed = []
    waiting = HubGreenlet(sock.hub, lambda: passed.append(sock.outbox.wait(waiting, 0)))
    [future] = put(sock, b"x")
    waiting.start()
    until(lambda: sock.outbox._drain is not None, "it waits")
    error = ConnectionLost("gone")
    sock.hub.call(lambda: sock.outbox.discard(error))
    until(lambda: passed == [None], "it goes on")
    assert future.exception(LIMIT) is error


def test_stopping_ends_the_greenlet_wherever_it_is(sock):
    [future] = put(sock, b"x")
    until(lambda: sock.outbox.is_writing, "it writes")
    error = ConnectionLost("gone")
    sock.hub.call(sock.outbox.stop)
    sock.hub.call(lambda: sock.outbox.refuse(error))
    assert future.exception(LIMIT) is error
    until(lambda: not sock.outbox.is_writing, "it has ended")
    assert (sock.taken, sock.broken) == ([], [])
