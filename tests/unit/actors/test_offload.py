"""Native threads: what runs for a call that has ended meanwhile ends itself, and puts nothing into place."""

from __future__ import annotations

import threading

import greenlet
import pytest

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.offload import Abandoned, check_wanted, commit
from ai.backend.client.actors.pipes import ToThread

LIMIT = 10


@pytest.fixture
def errand(hub, on_hub, start_lane):
    """An errand that is under way: it waits until it may go on, and notes how it ends."""

    class Errand:
        def __init__(self):
            self.started, self.may_go_on, self.over = (threading.Event() for _ in range(3))
            self.placed = False
            self.ended_by = None
            self._lane = None

        def send(self, how):
            run = {"job": lambda: hub.offload(self._work), "pipe": self._run_pipe}[how]
            self._outcome = start_lane(self._on_lane, run)
            assert self.started.wait(LIMIT)

        def _on_lane(self, run):
            self._lane = greenlet.getcurrent()
            run()

        def _run_pipe(self):
            pipe = ToThread(hub, 1)
            try:
                pipe.start(lambda _pieces: self._work())
                pipe.finish()
            finally:
                pipe.abandon()

        def _work(self):
            try:
                check_wanted()
                self.started.set()
                assert self.may_go_on.wait(LIMIT)
                self.work()
            except BaseException as error:
                self.ended_by = type(error)
                raise
            finally:
                self.over.set()

        def work(self):
            with commit():
                self.placed = True

        def abandon(self):
            on_hub(lambda: self._lane.throw(Abandoned))
            assert self._outcome.exception(LIMIT).__class__ is Abandoned

        def go_on(self):
            self.may_go_on.set()
            assert self.over.wait(LIMIT)

    return Errand()


@pytest.mark.parametrize("how", ["job", "pipe"])
def test_what_is_wanted_is_put_into_place(errand, how):
    errand.send(how)
    errand.go_on()
    assert errand.placed
    assert errand.ended_by is None


@pytest.mark.parametrize("how", ["job", "pipe"])
def test_what_nobody_waits_for_is_not(errand, how):
    errand.send(how)
    errand.abandon()
    errand.go_on()
    assert not errand.placed
    assert errand.ended_by is Abandoned


@pytest.mark.parametrize("how", ["job", "pipe"])
def test_what_nobody_waits_for_ends_where_it_asks(errand, how):
    errand.work = check_wanted
    errand.send(how)
    errand.abandon()
    errand.go_on()
    assert errand.ended_by is Abandoned


def test_other_threads_may_always():
    check_wanted()
    with commit():
        pass


def test_the_next_job_of_a_thread_is_not_ended_with_the_one_before(errand, in_lane, hub):
    errand.send("job")
    errand.abandon()
    errand.go_on()
    in_lane(hub.offload, check_wanted)


def test_the_end_of_a_hub_waits_for_what_is_being_put_into_place():
    hub = Hub()
    hub.start()
    begun, waited_for, placed = (threading.Event() for _ in range(3))
    let_commit = hub.native.let_commit
    seen = []

    def work():
        with commit():
            begun.set()
            assert waited_for.wait(LIMIT)
            placed.set()

    def wait():
        waited_for.set()
        let_commit()
        seen.append(placed.is_set())

    hub.native.let_commit = wait
    hub.call(lambda: hub.greenlet(lambda: hub.offload(work)).switch())
    assert begun.wait(LIMIT)
    hub.stop()
    assert hub.join(LIMIT)
    assert seen == [True]


def test_a_disk_that_does_not_answer_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("ai.backend.client.actors.offload.COMMIT_LIMIT", 0.05)
    hub = Hub()
    hub.start()
    begun, disk_answers = threading.Event(), threading.Event()

    def work():
        with commit():
            begun.set()
            disk_answers.wait(LIMIT)

    hub.call(lambda: hub.greenlet(lambda: hub.offload(work)).switch())
    assert begun.wait(LIMIT)
    hub.stop()
    assert hub.join(LIMIT)
    disk_answers.set()
