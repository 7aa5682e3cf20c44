"""`run`: the whole run loop, driven by hand."""

from __future__ import annotations

import itertools

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendClientError,
    DeadlineExceeded,
    InvalidArgument,
    InvalidReply,
)
from ai.backend.client.functions import kernel_run
from ai.backend.client.functions.base import Offload
from ai.backend.client.functions.kernel_run import Control, RunResult

INTERRUPT = {"send": "POST /session/mine/interrupt", "idempotent": False}


@pytest.fixture
def start(kernel):
    """`start(code, ...)`: the recipe, waiting for its first answer."""
    return lambda *args, **options: kernel().session._submit(kernel_run.run(kernel(), *args, **options))


def body(started):
    request = started.request
    assert request["send"] == "POST /session/mine"
    assert request["hold"] == kernel_run.STEP_HOLD
    return {key: value for key, value in request["json"].items() if key != "runId"}


def step(status="continued", console=(), **more):
    return {"result": {"runId": "r", "status": status, "console": console, "exitCode": None, **more}}


CONTINUE = {"mode": "continue", "code": ""}


def test_a_query_goes_on_to_its_end(start, reply):
    run = start("code")
    assert body(run) == {"mode": "query", "code": "code"}
    run_id = run.request["json"]["runId"]
    assert len(run_id) == 16
    run.answer(reply(step(console=[["stdout", "a"], ["stdout", "b"], ["stderr", "!"]])))
    assert body(run) == CONTINUE
    assert run.request["json"]["runId"] == run_id
    run.answer(reply(step(console=[["stderr", "?"], ["media", ["image/png", "data:..."]], ["html", "<b>"]])))
    run.answer(reply(step(console=None)))
    run.answer(reply(step("finished", [["stdout", "c"], ["log", "l"]], exitCode=0, files=["f"])))
    assert run.done
    result = run.value
    assert isinstance(result, RunResult)
    assert result.console == [
        ("stdout", "ab"),
        ("stderr", "!?"),
        ("media", ("image/png", "data:...")),
        ("html", "<b>"),
        ("stdout", "c"),
        ("log", "l"),
    ]
    assert (result.stdout, result.stderr, result.html) == ("abc", "!?", ["<b>"])
    assert result.media == [("image/png", "data:...")]
    assert (result.status, result.exit_code, result.run_id, result.files) == ("finished", 0, run_id, ["f"])


def test_a_run_that_takes_too_long_for_the_server(start, reply):
    run = start("code").answer(reply(step("exec-timeout")))
    assert (run.value.status, run.value.exit_code) == ("exec-timeout", None)


def test_a_batch_reports_its_steps(start, reply):
    run = start(mode="batch", clean="*", build="make", build_log=True, exec="./main")
    options = {"clean": "*", "build": "make", "buildLog": True, "exec": "./main"}
    assert body(run) == {"mode": "batch", "code": "", "options": options}
    run.answer(reply(step("clean-finished", exitCode=0)))
    assert body(run) == CONTINUE
    run.answer(reply(step("build-finished", exitCode=2)))
    assert body(run) == CONTINUE
    run.answer(reply(step("finished", exitCode=1)))
    assert run.value.exit_codes == {"clean": 0, "build": 2}
    assert run.value.exit_code == 1


def test_steps_of_a_batch_that_are_not_given_are_skipped(start):
    assert body(start(mode="batch", exec="ls"))["options"] == {
        "clean": None,
        "build": None,
        "buildLog": False,
        "exec": "ls",
    }


def test_input_from_a_list(start, reply):
    run = start("code", inputs=["one", "two"])
    for line in ("one", "two"):
        run.answer(reply(step("waiting-input")))
        run.off_load()
        assert body(run) == {"mode": "input", "code": line}
    assert run.answer(reply(step("finished"))).done


def test_input_from_a_function_that_sees_the_prompt(start, reply):
    prompts = []

    def ask(prompt):
        prompts.append(prompt)
        return "answer"

    run = start("code", inputs=ask).answer(reply(step("waiting-input", [["stdout", "first line\nname? "]])))
    run.off_load()
    assert prompts == ["name? "]
    assert body(run) == {"mode": "input", "code": "answer"}


@pytest.mark.parametrize(("inputs", "kind"), [(None, "none left"), ([], "none left"), (iter(()), "none left")])
def test_no_input_left_interrupts_the_run_and_hears_it_out(start, reply, inputs, kind):
    run = start("code", inputs=inputs).answer(reply(step("waiting-input")))
    run.off_load()
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    assert body(run) == {"mode": "input", "code": ""}  # the server itself waits for it
    run.answer(reply(step("continued", [["stderr", "KeyboardInterrupt"]])))
    assert body(run) == CONTINUE
    with pytest.raises(BackendClientError, match=kind):
        run.answer(reply(step("finished")))


@pytest.mark.parametrize("inputs", [lambda prompt: 5, [5], lambda prompt: 1 / 0])
def test_input_that_fails_interrupts_the_run(start, reply, inputs):
    run = start("code", inputs=inputs).answer(reply(step("waiting-input")))
    run.off_load()
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    with pytest.raises(BackendClientError):
        run.answer(reply(step("finished")))


def test_output_is_told_as_it_comes(start, reply):
    told = []
    run = start("code", on_output=lambda kind, data: told.append((kind, data)))
    run.answer(reply(step(console=[["stdout", "a"], ["stdout", "b"], ["media", ["m", "d"]]])))
    assert isinstance(run.step, Offload)  # not on the hub
    run.off_load()
    assert told == [("stdout", "a"), ("stdout", "b"), ("media", ("m", "d"))]
    run.answer(reply(step()))
    assert body(run) == CONTINUE  # nothing to tell
    run.answer(reply(step("finished", [["stdout", "c"]])))
    run.off_load()
    assert run.done
    assert told[-1] == ("stdout", "c")


def test_a_failing_listener_interrupts_the_run(start, reply):
    run = start("code", on_output=lambda kind, data: 1 / 0).answer(reply(step(console=[["stdout", "a"]])))
    run.off_load()
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    assert body(run) == CONTINUE
    with pytest.raises(BackendClientError, match="on_output failed: ZeroDivisionError") as caught:
        run.answer(reply(step("finished")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_listener_that_fails_at_the_end_leaves_nothing_to_interrupt(start, reply):
    run = start("code", on_output=lambda kind, data: 1 / 0).answer(reply(step("finished", [["stdout", "a"]])))
    with pytest.raises(BackendClientError, match="on_output"):
        run.off_load()


def test_the_time_limit(start, reply, monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(kernel_run, "monotonic", lambda: next(clock))
    run = start("code", timeout=15).answer(reply(step()))
    assert body(run) == CONTINUE
    run.answer(reply(step()))
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    with pytest.raises(DeadlineExceeded, match="15 s"):
        run.answer(reply(step("finished")))


def test_code_that_ignores_an_interrupt_is_left_in_the_end(start, reply, monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(kernel_run, "monotonic", lambda: next(clock))
    run = start("code", timeout=5).answer(reply(step())).answer(reply(status=204))
    for _ in range(kernel_run.LAST_STEPS - 1):
        run.answer(reply(step()))
    with pytest.raises(DeadlineExceeded):
        run.answer(reply(step()))


def test_a_failed_exchange_is_not_followed_by_another(start):
    error = BackendAPIError(404, "Not Found", {})
    error.method = "POST"  # as the transport says it
    with pytest.raises(BackendAPIError):
        start("code").fail(error)


def test_a_reply_without_a_status(start, reply):
    run = start("code").answer(reply({"result": {"console": []}}))
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    with pytest.raises(InvalidReply, match="status"):
        run.answer(reply(step("finished")))


def test_a_stopped_run_is_heard_out(start, reply):
    control = Control()
    run = start("code", on_output=print, inputs=["x"], _control=control)
    control.stop()
    run.answer(reply(step("waiting-input", [["stdout", "x"]])))
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    assert body(run) == {"mode": "input", "code": ""}
    assert run.answer(reply(step("finished"))).done


def test_a_run_stopped_before_it_began_sends_nothing_that_runs(start, reply):
    control = Control()
    control.stop()
    assert start("code", _control=control).done


def test_a_run_that_is_over_when_it_is_stopped_is_not_interrupted(start, reply):
    control = Control()
    run = start("code", _control=control)
    control.stop()
    assert run.answer(reply(step("finished"))).done


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"mode": "continue"}, "mode"),
        ({"mode": None}, "mode"),
        ({"code": None}, "code"),
        ({"code": "x", "exec": "ls"}, "mode"),
        ({"code": "x", "build_log": True}, "mode"),
        ({"mode": "batch", "code": "x"}, "code"),
        ({"mode": "batch", "build_log": "yes"}, "build_log"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"inputs": "text"}, "inputs"),
        ({"inputs": 5}, "inputs"),
    ],
)
def test_bad_arguments(start, arguments, name):
    with pytest.raises(InvalidArgument) as caught:
        start(**arguments)
    assert caught.value.argument == name
