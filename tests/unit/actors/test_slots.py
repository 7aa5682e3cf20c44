"""In-flight slots: no more than there are, no wake-up lost, and nobody passed over."""

from __future__ import annotations

import threading
import time

import gevent
import pytest

from ai.backend.client.actors.slots import Slots
from support.waiting import LIMIT, until


def in_line(slots):
    return len(slots._line)


def test_there_are_as_many_as_were_asked_for():
    slots = Slots(2)
    assert [slots.try_take([]) for _ in range(3)] == [True, True, False]
    slots.give([None])
    assert [slots.try_take([]) for _ in range(2)] == [True, False]


def test_a_free_slot_is_taken_without_waiting():
    slots = Slots(1)
    assert slots.take([], 0.0) is True
    assert slots.take([], time.monotonic() - 1) is False


def test_who_finds_none_gives_up_at_the_deadline(spawn):
    slots = Slots(0)
    start = time.monotonic()
    assert spawn(slots.take, [], start + 0.05).result(LIMIT) is False
    assert 0.045 <= time.monotonic() - start < LIMIT / 2
    assert in_line(slots) == 0


def test_a_slot_that_is_given_back_ends_one_wait(spawn):
    slots = Slots(1)
    assert slots.try_take([])
    waiting = [spawn(slots.take, [], None) for _ in range(2)]
    until(lambda: in_line(slots) == 2, "both stand in line")
    slots.give([None])
    until(lambda: any(one.done() for one in waiting), "one has it")
    assert not all(one.done() for one in waiting)
    slots.give([None])
    assert [one.result(LIMIT) for one in waiting] == [True, True]


def test_threads_get_their_slots_in_the_order_they_came(spawn):
    slots = Slots(0)
    order = []

    def take(number):
        assert slots.take([], None)
        order.append(number)

    for number in range(5):
        spawn(take, number)
        until(lambda number=number: in_line(slots) == number + 1, "it stands in line")
    for number in range(5):
        slots.give([None])
        until(lambda number=number: len(order) == number + 1, "one has its slot")
    assert order == [0, 1, 2, 3, 4]


def test_greenlets_get_their_slots_in_the_order_they_came(in_gevent):
    def body():
        slots = Slots(0)
        order = []

        def take(number):
            assert slots.take([], None)
            order.append(number)

        jobs = [gevent.spawn(take, number) for number in range(5)]
        gevent.sleep(0)
        for _ in jobs:
            slots.give([None])
        gevent.joinall(jobs, timeout=LIMIT)
        return order

    assert in_gevent(body) == [0, 1, 2, 3, 4]


def test_who_was_woken_in_vain_keeps_their_place_in_line(in_gevent):
    """A newcomer was faster; that must not put the first behind the second."""

    def body():
        slots = Slots(0)
        order = []

        def take(name):
            assert slots.take([], None)
            order.append(name)

        jobs = [gevent.spawn(take, name) for name in ("first", "second")]
        gevent.sleep(0)
        slots.give([None])
        assert slots.try_take([])  # before the first runs
        gevent.sleep(0)
        gevent.sleep(0)
        assert order == []
        slots.give([None])
        gevent.sleep(0)
        gevent.sleep(0)
        slots.give([None])
        gevent.joinall(jobs, timeout=LIMIT)
        return order

    assert in_gevent(body) == ["first", "second"]


class WokenTooLate:
    """A waiter whose time is up in the very moment in which it is woken."""

    def __init__(self, meanwhile):
        self._meanwhile = meanwhile

    def wait(self, timeout):
        self._meanwhile()
        return False

    def wake(self):
        pass


class Interrupted(WokenTooLate):
    """A waiter that is interrupted in that moment."""

    def wait(self, timeout):
        self._meanwhile()
        raise KeyboardInterrupt


def test_who_times_out_in_the_moment_of_the_wake_up_takes_the_slot_after_all(monkeypatch):
    slots = Slots(0)
    monkeypatch.setattr("ai.backend.client.actors.slots.waiter", lambda: WokenTooLate(lambda: slots.give([None])))
    assert slots.take([], time.monotonic() + LIMIT) is True
    assert not slots.try_take([])
    assert in_line(slots) == 0


@pytest.mark.parametrize("late", [WokenTooLate, Interrupted])
def test_a_wake_up_that_came_too_late_is_passed_on(monkeypatch, spawn, late):
    slots = Slots(0)
    other = []

    def meanwhile():
        slots.give([None])
        other.append(spawn(slots.take, [], None))  # with a waiter of its own, see below
        until(lambda: other[0].done() or in_line(slots) == 1, "the other has come")

    made = iter([late(meanwhile)])
    from ai.backend.client.actors.waiting import waiter

    monkeypatch.setattr("ai.backend.client.actors.slots.waiter", lambda: next(made, None) or waiter())
    try:
        took = slots.take([], time.monotonic() + LIMIT)
    except KeyboardInterrupt:
        took = False
    if took:
        slots.give([None])
    assert other[0].result(LIMIT) is True
    assert not slots.try_take([])


def test_slots_and_waiters_stay_even_while_waits_time_out(spawn):
    """Threads that take, give and give up at random: at the end every slot is back, and nobody is in line."""
    slots = Slots(3)
    holding = []
    most = []

    def work():
        for number in range(150):
            if slots.take([], time.monotonic() + (number % 3) * 0.0005):
                holding.append(1)
                most.append(len(holding))
                holding.pop()
                slots.give([None])

    for working in [spawn(work) for _ in range(6)]:
        working.result(LIMIT)
    assert max(most) <= 3
    assert [slots.try_take([]) for _ in range(4)] == [True, True, True, False]
    assert in_line(slots) == 0


def test_close_ends_every_wait_of_threads_and_greenlets(spawn, in_gevent):
    slots = Slots(0)
    threads = [spawn(slots.take, [], None) for _ in range(3)]
    until(lambda: in_line(slots) == 3, "the threads stand in line")

    def body():
        jobs = [gevent.spawn(slots.take, [], None) for _ in range(3)]
        gevent.sleep(0)
        slots.close()
        gevent.joinall(jobs, timeout=LIMIT)
        return [job.value for job in jobs]

    assert in_gevent(body) == [False] * 3
    assert [thread.result(LIMIT) for thread in threads] == [False] * 3


def test_a_closed_gate_stays_closed(spawn):
    slots = Slots(1)
    slots.close()
    slots.close()
    assert slots.take([], None) is False
    slots.give([None])
    assert slots.take([], None) is False


def test_a_close_between_looking_and_waiting_is_noticed(monkeypatch):
    """Nobody may fall asleep after the last wake-up."""
    slots = Slots(0)

    def closing():
        slots.close()
        return Never()

    class Never:
        def wait(self, timeout):
            raise AssertionError("waits for ever")

        def wake(self):
            pass

    monkeypatch.setattr("ai.backend.client.actors.slots.waiter", closing)
    assert slots.take([], None) is False


def test_a_slot_given_between_looking_and_waiting_is_taken(monkeypatch):
    slots = Slots(0)

    def giving():
        slots.give([None])
        return threading.Event()

    monkeypatch.setattr("ai.backend.client.actors.slots.waiter", giving)
    assert slots.take([], None) is True
    assert in_line(slots) == 0
