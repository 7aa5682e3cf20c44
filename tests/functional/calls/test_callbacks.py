"""Code of the user never runs on the runtime's own threads, and its errors stay its own."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from ai.backend.client.exceptions import BackendAPIError, DeadlineExceeded
from ai.backend.client.session import Session
from support.asking import ask, is_answer, submit
from support.recipes import Probe
from support.runtimes.calling import available
from support.servers.faults import reply
from support.waiting import LIMIT, NEVER, soon

OWN_HUB = pytest.mark.parametrize(
    "runtime", [name for name in available() if not name.startswith("patched")], indirect=True
)


class Seen:
    """A done-callback that remembers its thread."""

    def __init__(self):
        self.event = threading.Event()
        self.thread = None
        self.future = None

    def __call__(self, future):
        self.thread, self.future = threading.get_native_id(), future
        self.event.set()


@OWN_HUB
def test_callbacks_do_not_run_on_the_hub(runtime, echo, make_config, unique):
    seen = Seen()
    with runtime.session(make_config(echo)) as session:
        hub = runtime.value(partial(session.bind(Probe).look, unique(), threading.get_native_id))
        future = submit(session, unique("d50"))
        future.add_done_callback(seen)
        assert seen.event.wait(LIMIT)
    assert seen.future is future
    assert seen.thread != hub


def test_a_blocking_callback_delays_no_call(runtime, echo, make_config, unique):
    release, begun = threading.Event(), threading.Event()

    def block(_):
        begun.set()
        release.wait(NEVER)

    name = unique()
    with runtime.session(make_config(echo)) as session:
        submit(session, unique("d20")).add_done_callback(block)
        try:
            assert begun.wait(LIMIT)
            with soon():
                assert is_answer(name, runtime.value(partial(ask, session, name)))
        finally:
            release.set()


def test_an_error_in_a_callback_is_logged_and_goes_no_further(runtime, echo, make_config, unique, caplog):
    called = Seen()

    def fail(_):
        raise ZeroDivisionError("in a callback")

    name = unique("d50")
    with caplog.at_level(logging.ERROR), runtime.session(make_config(echo)) as session:
        future = submit(session, name)
        future.add_done_callback(fail)
        future.add_done_callback(called)
        assert is_answer(name, runtime.wait(future))
        assert called.event.wait(LIMIT)
        later = unique()
        assert is_answer(later, runtime.value(partial(ask, session, later)))
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_callback_cannot_end_the_worker(runtime, echo, make_config, unique, error):
    called = Seen()

    def fail(_):
        raise error

    with runtime.session(make_config(echo)) as session:
        submit(session, unique("d50")).add_done_callback(fail)
        future = submit(session, unique("d100"))
        future.add_done_callback(called)
        assert called.event.wait(LIMIT)


def test_callbacks_run_for_errors_and_cancellations(runtime, echo, make_config, unique):
    seen = [Seen() for _ in range(3)]
    with runtime.session(make_config(echo)) as session:
        futures = [
            submit(session, unique("d20-s404")),
            submit(session, unique("never")),
            submit(session.with_options(deadline=0.1), unique("never")),
        ]
        for future, one in zip(futures, seen, strict=True):
            future.add_done_callback(one)
        futures[1].cancel()
        assert all(one.event.wait(LIMIT) for one in seen)
    assert [one.future for one in seen] == futures
    assert isinstance(futures[0].exception(0), BackendAPIError)
    assert futures[1].cancelled()
    assert isinstance(futures[2].exception(0), DeadlineExceeded)


def test_a_callback_added_late_runs_at_once(runtime, echo, make_config, unique):
    seen = Seen()
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique())
        runtime.wait(future)
        future.add_done_callback(seen)
        assert seen.event.wait(LIMIT)


def test_callbacks_run_in_the_order_they_were_added(runtime, echo, make_config, unique):
    order, last = [], threading.Event()
    with runtime.session(make_config(echo)) as session:
        future = submit(session, unique("d50"))
        for number in range(10):
            future.add_done_callback(lambda _, number=number: order.append(number))
        future.add_done_callback(lambda _: last.set())
        assert last.wait(LIMIT)
    assert order == list(range(10))


def test_a_call_from_a_callback_does_not_deadlock(runtime, echo, make_config, unique):
    """It may answer or refuse, but it ends."""
    name = unique()
    found, done = [], threading.Event()

    def again(_):
        try:
            found.append(submit(session, name).result(LIMIT))
        except Exception as error:
            found.append(error)
        done.set()

    with runtime.session(make_config(echo)) as session:
        submit(session, unique("d20")).add_done_callback(again)
        assert done.wait(LIMIT)
    assert is_answer(name, found[0]) or isinstance(found[0], RuntimeError)


def test_callbacks_that_wait_for_each_other_s_calls_do_not_starve(runtime, echo, make_config, unique):
    """More blocking callbacks at once than a pool of workers would have."""
    done = threading.Semaphore(0)

    def chain(_):
        submit(session, unique("d10")).add_done_callback(lambda _: done.release())

    with runtime.session(make_config(echo)) as session:
        for _ in range(50):
            submit(session, unique("rand")).add_done_callback(chain)
        for _ in range(50):
            assert done.acquire(timeout=LIMIT)


def test_an_announcement_handler_runs_in_the_caller(make_config, server):
    server.script(reply({"enabled": True, "message": "maintenance at noon"}))
    heard = []
    config = make_config(server, announcement_handler=lambda text: heard.append((text, threading.get_ident())))
    with Session(config=config):
        pass
    assert heard == [("maintenance at noon", threading.get_ident())]
    assert server.received("/manager/announcement") == 1


def test_a_failing_announcement_does_not_stop_the_opening(make_config, server):
    server.script(reply({"title": "no"}, status=404), reply({"name": "kernel"}))
    heard = []
    with Session(config=make_config(server, announcement_handler=heard.append)) as session:
        assert session.Kernel("kernel").get_info() == {"name": "kernel"}
    assert heard == []
