"""The hub: whatever is handed to it runs, in order, and nothing is left of it when it has ended."""

from __future__ import annotations

import gc
import os
import threading
import time

import gevent
import pytest

from ai.backend.client.actors.hub import Hub
from support.waiting import LIMIT, until

THREADS = 4
ITEMS = 500


def test_what_threads_schedule_runs_all_of_it_and_in_each_thread_s_order(hub, spawn, on_hub):
    ran = []
    start = threading.Barrier(THREADS)

    def produce(thread):
        start.wait(LIMIT)
        for number in range(ITEMS):
            hub.call(lambda number=number: ran.append((thread, number)))

    for producing in [spawn(produce, thread) for thread in range(THREADS)]:
        producing.result(LIMIT)
    on_hub(lambda: None)
    assert len(ran) == THREADS * ITEMS
    for thread in range(THREADS):
        assert [number for by, number in ran if by == thread] == list(range(ITEMS))


def test_what_is_scheduled_while_the_hub_ends_runs_too(spawn):
    for _ in range(20):
        hub = Hub()
        hub.start()
        ran = []
        start = threading.Barrier(3)

        def produce(hub=hub, ran=ran, start=start):
            start.wait(LIMIT)
            for _ in range(ITEMS):
                hub.call(lambda: ran.append(1))

        producers = [spawn(produce), spawn(produce)]
        start.wait(LIMIT)
        hub.stop()
        for producer in producers:
            producer.result(LIMIT)
        assert hub.join(LIMIT)
        until(lambda ran=ran: len(ran) == 2 * ITEMS, "every item has run")


def test_what_is_scheduled_after_the_end_runs_on_the_spot():
    hub = Hub()
    hub.start()
    hub.stop()
    assert hub.join(LIMIT)
    ran = []
    hub.call(lambda: ran.append(threading.get_ident()))
    assert ran == [threading.get_ident()]
    hub.soon(ran.append, "outcome")
    assert ran[1:] == ["outcome"]


def test_what_the_hub_s_own_items_schedule_runs_behind_them(hub, on_hub):
    order = []

    def first():
        hub.call(lambda: order.append("scheduled inside"))
        order.append("first")

    def both():
        hub.call(first)
        hub.call(lambda: order.append("second"))

    on_hub(both)
    on_hub(lambda: None)
    on_hub(lambda: None)
    assert order == ["first", "second", "scheduled inside"]


def test_items_that_schedule_each_other_for_ever_starve_no_timer(hub, on_hub, start_lane):
    fired = threading.Event()
    turning = True

    def again():
        if turning:
            hub.call(again)

    hub.call(again)
    on_hub(lambda: hub.later(0.01, fired.set))
    assert fired.wait(LIMIT)
    turning = False


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), gevent.GreenletExit(), KeyboardInterrupt()])
def test_an_item_that_raises_strands_no_other(hub, on_hub, caplog, error):
    def fail():
        raise error

    ran = []

    def fill():
        hub.call(fail)
        hub.call(lambda: ran.append("item"))
        hub.soon(fail)
        hub.soon(ran.append, "outcome")

    on_hub(fill)
    on_hub(lambda: None)
    until(lambda: sorted(ran) == ["item", "outcome"], "the items behind the failing ones have run")
    assert caplog.text.count("failed") + caplog.text.count("could not be delivered") == 2


def test_an_item_that_raises_after_the_end_strands_no_other(caplog):
    hub = Hub()
    hub.start()
    hub.stop()
    assert hub.join(LIMIT)
    ran = []

    def fail():
        hub.call(lambda: ran.append("behind"))
        raise ValueError("no")

    hub.call(fail)
    assert ran == ["behind"]
    assert "ValueError" in caplog.text


def test_an_item_that_raises_at_the_end_of_a_caller_s_hub_holds_up_no_end(in_gevent, caplog):
    """On a hub of the caller's, the items behind the stop are drained with it; what waits for the end must be told."""

    def fail():
        raise ValueError("no")

    def body():
        hub = Hub()
        hub.own_thread = False
        hub.start()
        said = []
        hub.last_words = lambda: said.append("last words")
        hub.stop()
        hub.call(fail)
        hub.call(lambda: said.append("behind"))
        until(lambda: len(said) == 2, "both were said", sleep=gevent.sleep)
        return sorted(said)

    assert in_gevent(body) == ["behind", "last words"]


def test_outcomes_are_delivered_together_at_the_end_of_the_turn(hub, on_hub):
    order = []

    def turn():
        hub.soon(order.append, "one outcome")
        hub.soon(order.append, "other outcome")
        order.append("turn")
        hub.call(lambda: order.append("next item"))

    on_hub(turn)
    until(lambda: len(order) == 4, "everything ran")
    assert order.index("turn") == 0
    assert order.index("other outcome") == order.index("one outcome") + 1


def test_an_outcome_that_brings_another_loses_neither(hub, on_hub):
    order = []

    def outer():
        order.append("outer")
        hub.soon(order.append, "inner")

    on_hub(lambda: hub.soon(outer))
    until(lambda: order == ["outer", "inner"], "both ran")


# -- timers -----------------------------------------------------------------------------------------------------------


def test_timers_fire_once_in_the_order_of_their_times(hub, on_hub):
    fired = []

    def start():
        hub.later(0.04, lambda: fired.append("late"))
        hub.later(0.01, lambda: fired.append("early"))
        hub.later(-1, lambda: fired.append("at once"))

    on_hub(start)
    until(lambda: len(fired) == 3, "all timers fired")
    assert fired == ["at once", "early", "late"]


def test_a_timer_counts_from_now_however_old_the_loop_s_clock_is(hub, on_hub):
    fired = threading.Event()

    def start():
        time.sleep(0.05)  # a turn that took long
        start.at = time.monotonic()
        hub.later(0.05, lambda: (setattr(start, "end", time.monotonic()), fired.set()))

    on_hub(start)
    assert fired.wait(LIMIT)
    assert start.end - start.at >= 0.045


def test_a_cancelled_timer_does_not_fire_and_may_be_cancelled_again(hub, on_hub):
    fired = []

    def start():
        timer = hub.later(0.01, lambda: fired.append("cancelled"))
        timer.cancel()
        timer.cancel()
        return hub.later(0.02, lambda: fired.append("fires"))

    done = on_hub(start)
    until(lambda: fired, "the other timer fired")
    on_hub(done.cancel)
    assert fired == ["fires"]


# -- native threads ---------------------------------------------------------------------------------------------------


def test_offloaded_work_runs_beside_the_hub_and_returns_its_value(hub, start_lane, on_hub):
    go_on = threading.Event()

    def work(number):
        assert go_on.wait(LIMIT)
        return number, threading.get_ident()

    lanes = [start_lane(hub.offload, work, number) for number in range(3)]
    hub_thread = on_hub(threading.get_ident)  # the hub is free meanwhile
    go_on.set()
    outcomes = [lane.result(LIMIT) for lane in lanes]
    assert [number for number, _ in outcomes] == [0, 1, 2]
    assert hub_thread not in {thread for _, thread in outcomes}


def test_an_error_of_offloaded_work_reaches_who_waits_for_it(hub, in_lane, capfd):
    def work():
        raise ValueError("from the work")

    with pytest.raises(ValueError, match="from the work"):
        in_lane(hub.offload, work)
    assert in_lane(hub.offload, lambda: "next") == "next"


# -- life -------------------------------------------------------------------------------------------------------------


def test_stop_calls_teardown_and_then_last_words_once_each():
    hub = Hub()
    hub.start()
    order = []
    hub.teardown = lambda: order.append(("teardown", hub.stopped))
    hub.last_words = lambda: order.append(("last words", hub.stopped))
    hub.stop()
    hub.stop()
    assert hub.join(LIMIT)
    hub.stop()
    assert order == [("teardown", False), ("last words", True)]


def test_a_hub_ends_although_its_teardown_and_last_words_fail(caplog):
    hub = Hub()
    hub.start()

    def fail():
        raise SystemExit("no")

    hub.teardown = hub.last_words = fail
    hub.stop()
    assert hub.join(LIMIT)
    assert "teardown failed" in caplog.text
    assert "last words failed" in caplog.text


def test_what_was_scheduled_before_the_stop_runs_before_the_teardown():
    hub = Hub()
    hub.start()
    order = []
    hub.teardown = lambda: order.append("teardown")
    for number in range(100):
        hub.call(lambda number=number: order.append(number))
    hub.stop()
    assert hub.join(LIMIT)
    assert order == [*range(100), "teardown"]


def test_join_says_whether_the_hub_has_ended_and_never_waits_for_itself(hub, on_hub):
    assert hub.join(0.01) is False
    assert hub.join(-1) is False
    assert on_hub(hub.join, LIMIT) is True
    hub.stop()
    assert hub.join(LIMIT) is True
    assert hub.join(0) is True
    assert hub.stopped
    assert not hub.is_current()


def test_several_threads_may_join(hub, spawn):
    joining = [spawn(hub.join, LIMIT) for _ in range(4)]
    hub.stop()
    assert [joined.result(LIMIT) for joined in joining] == [True] * 4


def test_the_hub_knows_its_own_thread(hub, on_hub, in_lane):
    assert not hub.is_current()
    assert on_hub(hub.is_current)
    assert in_lane(hub.is_current)


def test_two_hubs_know_nothing_of_each_other(hub, on_hub):
    other = Hub()
    other.start()
    ran = threading.Event()
    other.call(ran.set)
    assert ran.wait(LIMIT)
    assert not on_hub(other.is_current)
    other.stop()
    assert other.join(LIMIT)
    assert not hub.stopped
    assert on_hub(lambda: "still here") == "still here"


def test_a_hub_of_the_caller_s_runs_in_its_loop_and_leaves_it_usable(in_gevent):
    def body():
        hub = Hub()
        hub.own_thread = False
        hub.start()
        order = []
        hub.teardown = lambda: order.append("teardown")
        hub.last_words = lambda: order.append("last words")
        hub.call(lambda: order.append(hub.is_current()))
        until(lambda: order, "the hub runs", sleep=gevent.sleep)
        hub.stop()
        until(lambda: "last words" in order, "the hub ends", sleep=gevent.sleep)
        assert hub.join(LIMIT) is True
        hub.call(lambda: order.append("after the end"))
        until(lambda: len(order) == 4, "it runs what comes late", sleep=gevent.sleep)
        return order

    assert in_gevent(body) == [True, "teardown", "last words", "after the end"]


def live_and_die():
    hub = Hub()
    hub.start()
    done = threading.Event()

    def lane():
        hub.offload(int, "7")
        hub.later(60, print).cancel()
        hub.soon(done.set)

    hub.call(lambda: hub.greenlet(lane).switch())
    assert done.wait(LIMIT)
    hub.stop()
    assert hub.join(LIMIT)


def counts():
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count


def test_fifty_hubs_leave_no_thread_no_descriptor_and_no_object():
    for _ in range(5):
        live_and_die()
    gc.collect()
    before, objects = counts(), len(gc.get_objects())
    for _ in range(50):
        live_and_die()
    until(lambda: counts() <= before, f"threads and descriptors are back at {before}")
    gc.collect()
    assert len(gc.get_objects()) - objects < 50
