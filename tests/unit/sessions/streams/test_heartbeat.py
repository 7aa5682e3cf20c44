"""The heartbeat with a clock of the test's own."""

from __future__ import annotations

import pytest

from ai.backend.client.sessions.streams.heartbeat import PING_INTERVAL, Heartbeat

LIMIT = 10.0


class Body:
    """A hub whose time the test moves, and what the heartbeat does in it."""

    def __init__(self, limit=LIMIT):
        self.now = 0.0
        self.timer = None
        self.pings = []
        self.ended = []
        self.is_sending = False
        self.can_ping = True
        self.beat = Heartbeat(self, limit, lambda: self.is_sending, self._ping, self._end, lambda: self.now)
        self.beat.start()

    def later(self, seconds, function, ref):
        assert not ref, "nobody waits for a heartbeat"
        self.timer = (self.now + seconds, function)
        return self

    def cancel(self):
        self.timer = None

    def _ping(self):
        self.pings.append(self.now)
        return self.can_ping

    def _end(self):
        self.ended.append(self.now)

    def pass_to(self, end):
        while self.timer is not None and self.timer[0] <= end:
            (self.now, function), self.timer = self.timer, None
            function()
        self.now = end


def test_a_silent_server_is_pinged_and_left_when_the_limit_has_passed():
    body = Body()
    body.beat.listen()
    body.pass_to(100)
    assert (body.pings, body.ended) == ([5.0], [LIMIT])
    assert body.timer is None


def test_a_server_that_answers_is_never_left():
    body = Body()
    for now in range(1, 50):
        body.beat.listen()
        body.pass_to(now)
        body.beat.heard()
    assert (body.pings, body.ended) == ([], [])


def test_silence_counts_from_what_was_heard_last():
    body = Body()
    body.beat.listen()
    body.pass_to(3)
    body.beat.heard()
    body.beat.listen()
    body.pass_to(12.9)
    assert (body.pings, body.ended) == ([8.0], [])
    body.pass_to(13)
    assert body.ended == [13.0]


@pytest.mark.parametrize("why", ["is_sending", "is not read"])
def test_nobody_is_left_while_it_is_we_who_do_not_listen(why):
    body = Body()
    body.is_sending = why == "is_sending"
    if body.is_sending:
        body.beat.listen()
    body.pass_to(100)
    assert (body.pings, body.ended) == ([], [])
    body.is_sending = False
    body.beat.listen()
    body.pass_to(100 + 2 * LIMIT)
    assert len(body.ended) == 1


def test_without_a_limit_a_server_is_pinged_for_ever():
    body = Body(None)
    body.beat.listen()
    body.pass_to(5 * PING_INTERVAL)
    assert body.pings == [PING_INTERVAL * number for number in range(1, 6)]
    assert body.ended == []


def test_it_ends_when_there_is_nothing_left_to_ping_and_when_it_is_stopped():
    for stop in (False, True):
        body = Body()
        body.beat.listen()
        body.can_ping = False
        if stop:
            body.beat.stop()
            body.beat.stop()
        body.pass_to(100)
        assert (len(body.pings), body.ended, body.timer) == (0 if stop else 1, [], None)
