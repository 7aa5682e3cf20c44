"""Pipes: every byte arrives in order, neither side runs ahead, and whoever leaves early takes the other one along."""

from __future__ import annotations

import threading

import gevent
import pytest

from ai.backend.client.actors.offload import Abandoned
from ai.backend.client.actors.pipes import FromThread, ToThread
from support.waiting import LIMIT, settled, until

PIECES = [bytes([number % 256]) * (number % 7 + 1) for number in range(500)]


def numbers(seen=None, error=None):
    for piece in PIECES:
        if seen is not None:
            seen.append(piece)
        yield piece
    if error is not None:
        raise error


# -- to the thread ----------------------------------------------------------------------------------------------------


def pour(hub, sink, pieces=PIECES, failure=None, limit=10):
    pipe = ToThread(hub, limit)
    pipe.start(sink)
    for piece in pieces:
        if not pipe.put(piece):
            break
    return pipe.finish(failure)


def test_the_thread_gets_every_byte_in_order(hub, in_lane):
    assert in_lane(pour, hub, b"".join) == (b"".join(PIECES), None)


def test_the_function_runs_in_a_native_thread_of_its_own(hub, in_lane):
    ident, _ = in_lane(pour, hub, lambda pieces: (list(pieces), threading.get_native_id())[1])
    assert ident not in (threading.get_native_id(), in_lane(threading.get_native_id))


def test_the_function_s_error_is_a_value(hub, in_lane):
    def fail(pieces):
        list(pieces)
        raise OSError("disk full")

    value, error = in_lane(pour, hub, fail)
    assert value is None
    assert str(error) == "disk full"


@pytest.mark.parametrize("taken", [0, 1, 100])
def test_a_function_that_takes_no_more_stops_the_lane(hub, in_lane, taken):
    handed_out = []

    def some(pieces):
        for _ in range(taken):
            next(pieces)
        return "enough"

    def given():
        for piece in numbers(handed_out):
            yield piece
            gevent.sleep(0.001)  # the thread has its turn

    assert in_lane(pour, hub, some, given()) == ("enough", None)
    assert len(handed_out) < len(PIECES)


def test_what_ends_the_lane_s_bytes_is_raised_behind_the_last_one(hub, in_lane):
    got = []

    def take(pieces):
        try:
            got.extend(pieces)
        except ConnectionError as error:
            return error

    failure = ConnectionError("broken")
    assert in_lane(pour, hub, take, PIECES, failure) == (failure, None)


def test_a_slow_thread_holds_up_the_lane_and_nobody_else(hub, start_lane, in_lane):
    ready, go = threading.Event(), threading.Event()
    handed_out = []

    def slow(pieces):
        ready.set()
        go.wait(LIMIT)
        return sum(map(len, pieces))

    running = start_lane(pour, hub, slow, numbers(handed_out))
    assert ready.wait(LIMIT)
    until(lambda: len(handed_out) > 1, "the lane has begun")
    for _ in range(100):
        in_lane(lambda: None)  # the hub goes on
    assert sum(map(len, handed_out)) <= 10 + 2 * 7
    go.set()
    assert running.result(LIMIT) == (sum(map(len, PIECES)), None)


def test_the_thread_sleeps_while_there_is_nothing(hub, in_lane):
    def slowly():
        for piece in PIECES[:5]:
            gevent.sleep(0.02)  # a slow lane
            yield piece

    assert in_lane(pour, hub, b"".join, slowly()) == (b"".join(PIECES[:5]), None)


def test_an_abandoned_function_cleans_up_in_its_own_thread(hub, start_lane):
    cleaned = []

    def take(pieces):
        try:
            list(pieces)
        finally:
            cleaned.append(threading.get_native_id())

    def leave():
        pipe = ToThread(hub, 10)
        pipe.start(take)
        pipe.put(b"x")
        pipe.abandon()
        pipe.abandon()
        return threading.get_native_id()

    lane = start_lane(leave).result(LIMIT)
    until(lambda: cleaned, "the function has ended")
    assert cleaned != [lane]


def test_an_abandoned_function_that_is_busy_is_ended_when_it_next_looks(hub, start_lane):
    busy, go, ended = threading.Event(), threading.Event(), []

    def take(pieces):
        next(pieces)
        busy.set()
        go.wait(LIMIT)
        try:
            list(pieces)
        except BaseException as error:
            ended.append(type(error))
            raise

    pipes = []

    def begin():
        pipes.append(ToThread(hub, 10))
        pipes[0].start(take)
        pipes[0].put(b"x")

    start_lane(begin).result(LIMIT)
    assert busy.wait(LIMIT)
    pipes[0].abandon()
    assert ended == []
    go.set()
    until(lambda: ended == [Abandoned], "the function has ended")


def test_a_lane_that_is_thrown_out_of_its_wait_is_not_resumed(hub, start_lane, on_hub):
    go = threading.Event()
    lanes = []

    def wait():
        import greenlet

        lanes.append(greenlet.getcurrent())
        pipe = ToThread(hub, 1)
        pipe.start(lambda pieces: go.wait(LIMIT))
        try:
            pipe.put(b"x")
            pipe.put(b"y")
            pipe.put(b"z")
        except Abandoned:
            pipe.abandon()
            hub.park()  # somebody else's wait
            return "resumed"

    running = start_lane(wait)
    until(lambda: lanes, "the lane has begun")
    on_hub(lambda: lanes[0].throw(Abandoned))
    go.set()
    on_hub(lambda: None)
    assert not running.done()
    on_hub(lanes[0].switch)
    assert running.result(LIMIT) == "resumed"


# -- from the thread --------------------------------------------------------------------------------------------------


def take(hub, pieces, limit=10, stop=None):
    pipe = FromThread(hub, limit, pieces)
    got = []
    try:
        for piece in pipe:
            got.append(piece)
            if len(got) == stop:
                break
    finally:
        pipe.abandon()
    return b"".join(got)


def test_the_lane_gets_every_byte_in_order(hub, in_lane):
    assert in_lane(take, hub, numbers()) == b"".join(PIECES)
    assert in_lane(take, hub, iter_nothing()) == b""


def iter_nothing():
    yield from ()


def test_the_generator_s_error_comes_behind_the_last_piece(hub, in_lane):
    def collect():
        got = []
        try:
            for piece in FromThread(hub, 10, numbers(error=OSError("unreadable"))):
                got.append(piece)
        except OSError as error:
            return got, str(error)

    assert in_lane(collect) == (PIECES, "unreadable")


def test_the_generator_does_not_run_ahead(hub, start_lane):
    produced, go = [], threading.Event()

    def slowly():
        pipe = FromThread(hub, 10, numbers(produced))
        try:
            for _ in pipe:
                while not go.is_set():
                    gevent.sleep(0.01)
        finally:
            pipe.abandon()

    running = start_lane(slowly)
    until(lambda: len(produced) > 1, "the generator has begun")
    assert sum(map(len, settled(lambda: list(produced)))) <= 10 + 3 * 7
    go.set()
    running.result(LIMIT)
    assert produced == PIECES


@pytest.mark.parametrize("stop", [1, 5])
def test_a_generator_that_nobody_listens_to_is_closed_in_its_thread(hub, in_lane, stop):
    closed = []

    def guarded():
        try:
            yield from numbers()
        finally:
            closed.append(threading.get_native_id())

    in_lane(take, hub, guarded(), 10, stop)
    until(lambda: closed, "the generator is closed")
    assert closed != [in_lane(threading.get_native_id)]


def test_many_pipes_at_once_keep_to_themselves(hub, start_lane):
    def copy(number):
        def pieces():
            for _ in range(200):
                yield b"%d," % number

        pipe = ToThread(hub, 16)
        pipe.start(b"".join)
        source = FromThread(hub, 16, pieces())
        for piece in source:
            pipe.put(piece)
        return pipe.finish()

    running = [start_lane(copy, number) for number in range(30)]
    assert [lane.result(LIMIT) for lane in running] == [(b"%d," % number * 200, None) for number in range(30)]


def test_a_hub_that_ended_ends_the_thread(monkeypatch):
    """Nobody told it: the lane is gone with its hub."""
    from ai.backend.client.actors import pipes
    from ai.backend.client.actors.hub import Hub

    monkeypatch.setattr(pipes, "LOOK_AROUND", 0.05)
    hub = Hub()
    hub.start()
    ended = []

    def take(pieces):
        try:
            list(pieces)
        except BaseException as error:
            ended.append(type(error))

    pipe = ToThread(hub, 10)
    pipe.start(take)
    hub.stop()
    assert hub.join(LIMIT)
    until(lambda: ended == [Abandoned], "the thread has ended")
