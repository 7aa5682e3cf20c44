"""What the live tests are said to have shown is what they have shown: the recorder of their calls."""

from __future__ import annotations

from functools import partial

import pytest

from support.golden.recording import Recorder, read, write
from support.servers.faults import reply

CALLER = {"thread": "sync", "asyncio": "asyncio"}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def call(runtime, session, name):
    return runtime.outcome(session.Kernel(name).get_info)


def test_a_value_in_a_passed_test_counts_for_the_caller_that_it_really_was(
    runtime, recorder, echo, make_config, unique
):
    with runtime.session(make_config(echo)) as session, recorder.test():
        call(runtime, session, unique())
    assert recorder.marks == {"Kernel.get_info": {CALLER.get(runtime.name, "gevent"): "value"}}


def test_nothing_counts_in_a_failed_test(runtime, recorder, echo, make_config, unique):
    def failing() -> None:
        with recorder.test():
            call(runtime, session, unique())
            raise ZeroDivisionError

    with runtime.session(make_config(echo)) as session, pytest.raises(ZeroDivisionError):
        failing()
    assert recorder.marks == {}


def test_an_error_counts_only_if_it_was_asserted(runtime, recorder, echo, make_config, unique):
    with runtime.session(make_config(echo, retries=0)) as session:
        with recorder.test():
            call(runtime, session, unique("s503"))
        assert recorder.marks == {}
        with recorder.test():
            recorder.asserted(call(runtime, session, unique("s503")))
    assert [*recorder.marks["Kernel.get_info"].values()] == ["error"]


def test_an_answer_that_says_no_counts_only_if_it_was_asserted(runtime, recorder, server, make_config):
    def refuse() -> object:
        return runtime.value(partial(session.Admin.query, "mutation { refuse { ok } }"))

    server.script(reply({"ok": False, "msg": "not today"}))
    with runtime.session(make_config(server)) as session:
        with recorder.test():
            refuse()
        assert recorder.marks == {}
        with recorder.test():
            recorder.asserted(refuse())
    assert [*recorder.marks["Admin.query"].values()] == ["error"]


def test_a_value_beats_an_error_and_processes_add_up(tmp_path):
    write({"Kernel.rename": {"sync": "error"}, "Kernel.match": {"gevent": "value"}}, tmp_path)
    (tmp_path / "another.json").write_text('{"Kernel.rename": {"sync": "value", "asyncio": "error"}}')
    assert read(tmp_path) == {
        "Kernel.match": {"gevent": "value"},
        "Kernel.rename": {"sync": "value", "asyncio": "error"},
    }
