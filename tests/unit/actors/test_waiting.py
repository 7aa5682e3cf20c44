"""Waiting: a thread waits on a lock, a greenlet gives its hub back, the hub itself is refused."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import gevent
import pytest

from ai.backend.client.actors import waiting as module
from ai.backend.client.actors.waiting import HAS_EVENTFD, GreenletWaiter, ThreadWaiter, in_event_loop, may_wait, waiter
from support.waiting import LIMIT


def test_who_asks_decides_how_to_wait(in_gevent, spawn):
    assert isinstance(spawn(waiter).result(LIMIT), ThreadWaiter)
    assert isinstance(in_gevent(waiter), GreenletWaiter)
    assert isinstance(in_gevent(lambda: gevent.spawn(waiter).get()), GreenletWaiter)


def test_asking_makes_no_gevent_hub(spawn):
    def body():
        waiter().wait(0)
        may_wait()
        return gevent._hub_local.get_hub_if_exists()

    assert spawn(body).result(LIMIT) is None


def test_the_hub_may_not_wait_and_its_lanes_may(on_hub, in_lane):
    with pytest.raises(RuntimeError, match="hub"):
        on_hub(waiter)
    assert on_hub(may_wait) is False
    assert in_lane(may_wait) is True


def test_a_running_loop_may_not_wait_and_a_thread_may(spawn):
    async def body():
        return may_wait(), in_event_loop()

    assert spawn(lambda: asyncio.run(body())).result(LIMIT) == (False, True)
    assert spawn(lambda: (may_wait(), in_event_loop())).result(LIMIT) == (True, False)


@pytest.fixture(params=["thread", "greenlet"])
def place(request, spawn, in_gevent):
    """Where the waiting is done: `place(function)`."""
    return in_gevent if request.param == "greenlet" else lambda function: spawn(function).result(LIMIT)


def test_a_wake_up_from_another_thread_ends_the_wait(place, spawn):
    def body():
        waiting = waiter()
        spawn(waiting.wake)
        return waiting.wait(LIMIT)

    assert place(body) is True


def test_a_wake_up_before_the_wait_ends_it_at_once(place, spawn):
    def body():
        waiting = waiter()
        spawn(waiting.wake).result(LIMIT)
        start = time.monotonic()
        return waiting.wait(LIMIT), time.monotonic() - start < LIMIT / 2

    assert place(body) == (True, True)


def test_a_second_wake_up_does_nothing(place, spawn):
    def body():
        waiting = waiter()
        spawn(lambda: (waiting.wake(), waiting.wake())).result(LIMIT)
        woken = waiting.wait(LIMIT)
        waiting.wake()
        return woken

    assert place(body) is True


@pytest.mark.parametrize("timeout", [-1, 0, 0.02])
def test_a_wait_gives_up_in_time(place, timeout):
    def body():
        start = time.monotonic()
        return waiter().wait(timeout), time.monotonic() - start

    woken, elapsed = place(body)
    assert woken is False
    assert max(timeout, 0) * 0.9 <= elapsed < LIMIT / 2


def test_a_wake_up_that_comes_after_the_time_is_up_harms_nobody(place, spawn):
    def body():
        late, next_one = waiter(), waiter()
        late.wait(0)
        spawn(lambda: (late.wake(), next_one.wake()))
        return next_one.wait(LIMIT)

    assert place(body) is True


def test_endless_and_enormous_timeouts_are_waits_like_others(place, spawn):
    def body():
        outcomes = []
        for timeout in (None, 1e12):
            waiting = waiter()
            spawn(waiting.wake)
            outcomes.append(waiting.wait(timeout))
        return outcomes

    assert place(body) == [True, True]


def test_only_the_waiting_greenlet_waits(in_gevent, spawn):
    def body():
        ticks = []

        def tick():
            while True:
                ticks.append(1)
                gevent.sleep(0)

        ticker = gevent.spawn(tick)
        waiting = waiter()

        def wake():
            while len(ticks) < 100:
                threading.Event().wait(0.001)
            waiting.wake()

        spawn(wake)
        woken = waiting.wait(LIMIT)
        ticker.kill()
        return woken, len(ticks) >= 100

    assert in_gevent(body) == (True, True)


def test_a_greenlet_wakes_another_of_its_own_hub(in_gevent):
    def body():
        waiting = waiter()
        job = gevent.spawn(waiting.wait, LIMIT)
        gevent.sleep(0)
        waiting.wake()
        return job.get()

    assert in_gevent(body) is True


def test_many_greenlets_are_each_woken_by_their_own_wake_up(in_gevent, spawn):
    def body():
        waiters = [waiter() for _ in range(100)]
        jobs = [gevent.spawn(waiting.wait, LIMIT) for waiting in waiters]
        gevent.sleep(0)
        spawn(lambda: [waiting.wake() for waiting in waiters[::2]])
        woken = gevent.joinall(jobs[::2], timeout=LIMIT)
        others = [job.ready() for job in jobs[1::2]]
        spawn(lambda: [waiting.wake() for waiting in waiters[1::2]])
        gevent.joinall(jobs, timeout=LIMIT)
        return len(woken), any(others), all(job.value for job in jobs)

    assert in_gevent(body) == (50, False, True)


def test_a_greenlet_that_is_killed_while_it_waits_leaves_nothing_behind(in_gevent, spawn):
    def body():
        killed, waiting = waiter(), waiter()
        job = gevent.spawn(killed.wait, LIMIT)
        gevent.sleep(0)
        job.kill()
        with gevent.Timeout(0.01, False):
            waiting.wait(None)
        again = waiter()
        spawn(lambda: (killed.wake(), waiting.wake(), again.wake()))
        return again.wait(LIMIT), len(module._port_of(gevent.get_hub())._waiting)

    assert in_gevent(body) == (True, 0)


def test_a_hub_that_nobody_waits_on_any_more_ends_by_itself(in_gevent, spawn):
    """The door for wake-ups must not keep the caller's loop alive."""

    def body():
        waiting = waiter()
        spawn(waiting.wake)
        waiting.wait(LIMIT)
        return gevent.get_hub().join(timeout=LIMIT)

    assert in_gevent(body) is True


def test_a_wake_up_for_a_hub_that_is_gone_harms_nobody(in_gevent):
    waiting = in_gevent(waiter)
    waiting.wake()
    waiting.wake()


# -- eventfd ----------------------------------------------------------------------------------------------------------

with_eventfd = pytest.mark.skipif(not HAS_EVENTFD, reason="there is no eventfd")


@pytest.fixture
def pool():
    pool = module.WaiterPool()
    yield pool
    pool.close()


@with_eventfd
def test_a_thread_waits_on_an_eventfd_and_a_greenlet_never_does(pool, spawn, in_gevent):
    def take():
        waiting = waiter(pool)
        pool.give(waiting)
        return waiting

    assert isinstance(spawn(take).result(LIMIT), module.EventfdWaiter)
    assert isinstance(in_gevent(waiter, pool), GreenletWaiter)


@with_eventfd
@pytest.mark.parametrize("timeout", [-1, 0, 0.05, 0.2])
def test_an_eventfd_that_nobody_writes_lets_go_in_time_and_not_before(spawn, timeout):
    def body():
        eventfd = module.EventfdWaiter()
        rescue = threading.Timer(20, eventfd.wake)  # so that a wait without end shows as a late one
        rescue.start()
        start = time.monotonic()
        outcome = eventfd.wait(timeout), time.monotonic() - start
        rescue.cancel()
        rescue.join(LIMIT)
        return outcome

    woken, elapsed = spawn(body).result(LIMIT)
    assert woken is False
    assert max(timeout, 0) * 0.9 <= elapsed < 10


@with_eventfd
@pytest.mark.parametrize("timeout", [None, LIMIT, 1e9, 1e12])
def test_an_eventfd_ends_the_wait_whether_it_is_written_before_or_during_it(spawn, timeout):
    early, late = module.EventfdWaiter(), module.EventfdWaiter()
    early.wake()
    assert spawn(early.wait, timeout).result(LIMIT) is True
    waiting = spawn(late.wait, timeout)
    late.wake()
    assert waiting.result(LIMIT) is True


@with_eventfd
def test_an_eventfd_that_was_read_is_silent_again(spawn):
    eventfd = module.EventfdWaiter()
    for _ in range(3):
        eventfd.wake()
        assert spawn(eventfd.wait, LIMIT).result(LIMIT) is True
    waiting = spawn(eventfd.wait, None)
    threading.Event().wait(0.05)
    assert not waiting.done()
    eventfd.wake()
    assert waiting.result(LIMIT) is True


@with_eventfd
def test_a_late_wake_up_reaches_no_other_descriptor(pool):
    """It holds the waiter, and with it the descriptor."""
    late = pool.take()
    pool.give(late)
    pool.close()
    reader, writer = os.pipe()
    late.wake()
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 8)
    os.close(reader)
    os.close(writer)


@with_eventfd
def test_waiters_are_used_again_and_closed_with_their_pool(pool):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count

    before = descriptors()
    one, other = pool.take(), pool.take()
    pool.give(one)
    assert pool.take() is one
    pool.give(one)
    pool.close()
    pool.give(other)  # late
    del one, other
    assert descriptors() == before


@with_eventfd
def test_an_eventfd_of_another_process_stays_silent(spawn):
    """A forked child ends its copies of the parent's calls; the parent's threads go on waiting."""
    eventfd = module.EventfdWaiter()
    waiting = spawn(eventfd.wait, LIMIT)
    child = os.fork()
    if child == 0:
        try:
            eventfd.wake()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    early = spawn(lambda: threading.Event().wait(0.1))
    early.result(LIMIT)
    assert not waiting.done()
    eventfd.wake()
    assert waiting.result(LIMIT) is True
