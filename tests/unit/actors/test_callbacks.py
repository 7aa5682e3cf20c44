"""The callback worker: users' functions run one after the other, and away from the hub."""

from __future__ import annotations

import logging
import threading
import weakref

import gevent
import pytest

from ai.backend.client.actors.callbacks import CallbackWorker
from ai.backend.client.actors.hub import Hub
from support.waiting import LIMIT, until


@pytest.fixture
def worker(hub):
    worker = CallbackWorker(hub)
    yield worker
    worker.close()
    until(lambda: not running(worker), "the worker has ended")


def running(worker):
    return not worker._free


def ran_all(worker):
    """Wait until everything submitted so far has run."""
    done = threading.Event()
    worker.submit(done.set)
    assert done.wait(LIMIT)


def test_nothing_runs_before_the_first_callback(worker):
    assert not running(worker)


def test_callbacks_run_in_their_order_on_one_thread_that_is_not_the_hub_s(worker, on_hub):
    ran = []
    for number in range(200):
        worker.submit(lambda number=number: ran.append((number, threading.get_ident())))
    ran_all(worker)
    assert [number for number, _ in ran] == list(range(200))
    threads = {thread for _, thread in ran}
    assert len(threads) == 1
    assert threads.isdisjoint({threading.get_ident(), on_hub(threading.get_ident)})


def test_callbacks_of_many_threads_all_run(worker, spawn):
    ran = []
    for producing in [spawn(lambda: [worker.submit(lambda: ran.append(1)) for _ in range(300)]) for _ in range(4)]:
        producing.result(LIMIT)
    ran_all(worker)
    assert len(ran) == 1200


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt(), gevent.GreenletExit()])
def test_an_error_is_logged_and_the_next_callback_runs(worker, caplog, error):
    def fail():
        raise error

    ran = []
    with caplog.at_level(logging.ERROR):
        worker.submit(fail)
        worker.submit(lambda: ran.append(1))
        ran_all(worker)
    assert ran == [1]
    assert "a callback failed" in caplog.text


def test_a_callback_may_submit_another(worker):
    done = threading.Event()
    worker.submit(lambda: worker.submit(done.set))
    assert done.wait(LIMIT)


def test_only_a_callback_is_on_the_worker(worker, spawn):
    seen = []
    worker.submit(lambda: seen.append(worker.is_current()))
    ran_all(worker)
    assert seen == [True]
    assert not worker.is_current()
    assert not spawn(worker.is_current).result(LIMIT)


def test_a_thread_that_comes_after_the_worker_is_not_taken_for_it(worker):
    """The system gives the identity of a thread that has ended to the next one."""
    gone = []
    worker.submit(lambda: gone.append(threading.get_ident()))
    ran_all(worker)
    worker.close()
    until(lambda: not running(worker), "the worker has ended")
    mistaken = []
    for _ in range(50):
        thread = threading.Thread(target=lambda: mistaken.append(worker.is_current()))
        thread.start()
        thread.join(LIMIT)
    assert not any(mistaken)


def test_an_idle_worker_ends_and_the_next_callback_starts_another(hub):
    worker = CallbackWorker(hub)
    worker._idle_limit = 0.01
    for _ in range(3):
        ran_all(worker)
        until(lambda: not running(worker), "the worker has ended")
    ran_all(worker)
    until(lambda: not running(worker), "the worker has ended")


def test_no_callback_is_lost_in_the_moment_in_which_the_worker_ends(hub):
    worker = CallbackWorker(hub)
    worker._idle_limit = 0.0
    ran = []
    for number in range(500):
        worker.submit(lambda number=number: ran.append(number))
    until(lambda: len(ran) == 500 and not running(worker), "all callbacks have run")
    assert sorted(ran) == list(range(500))


def test_close_lets_what_waits_run_and_takes_late_ones_too(hub):
    worker = CallbackWorker(hub)
    go_on = threading.Event()
    ran = []
    worker.submit(lambda: go_on.wait(LIMIT))
    worker.submit(lambda: ran.append("waiting"))
    worker.close()
    go_on.set()
    until(lambda: ran == ["waiting"], "what waited has run")
    until(lambda: not running(worker), "the worker has ended")
    worker.submit(lambda: ran.append("late"))
    until(lambda: ran == ["waiting", "late"], "the late one has run")
    until(lambda: not running(worker), "the worker has ended again")


def test_a_callback_is_not_held_once_it_has_run(worker):
    class Thing:
        def __call__(self):
            pass

    thing = Thing()
    gone = weakref.ref(thing)
    worker.submit(thing)
    del thing
    until(lambda: gone() is None, "the callback is gone")


def test_on_a_hub_of_the_caller_s_callbacks_run_in_its_thread_and_may_wait(in_gevent):
    def body():
        hub = Hub()
        hub.own_thread = False
        hub.start()
        worker = CallbackWorker(hub)
        ran = []

        def slow():
            gevent.sleep(0.001)
            ran.append(("slow", threading.get_ident()))

        def fail():
            raise SystemExit(1)

        for function in (slow, fail, lambda: ran.append(("next", threading.get_ident()))):
            worker.submit(function)
        until(lambda: len(ran) == 2, "the two have run", sleep=gevent.sleep)
        other = threading.Thread(target=lambda: worker.submit(lambda: ran.append(("sent", threading.get_ident()))))
        other.start()
        until(lambda: len(ran) == 3, "the third has run", sleep=gevent.sleep)
        other.join(LIMIT)
        hub.stop()
        until(lambda: hub.stopped, "the hub has ended", sleep=gevent.sleep)
        return ran, threading.get_ident()

    ran, thread = in_gevent(body)
    assert ran == [("slow", thread), ("next", thread), ("sent", thread)]
