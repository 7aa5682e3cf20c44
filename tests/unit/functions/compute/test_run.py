"""`run`: the whole run loop, driven by hand."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendClientError,
    BackendError,
    DeadlineExceeded,
    InvalidArgument,
    InvalidReply,
)
from ai.backend.client.functions.base import Offload, Pause
from ai.backend.client.functions.compute import run as kernel_run
from ai.backend.client.functions.compute import run_callbacks
from ai.backend.client.functions.compute.run import Control, RunResult

INTERRUPT = {"send": "POST /session/mine/interrupt", "idempotent": False}


def located(error, method):
    """The error as the transport raises it."""
    error.method = method
    return error


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


@pytest.fixture
def asked(kernel):
    """`asked(run)`: the recipes that a run gathers when its code waits for input: to ask, and to watch meanwhile."""
    submit = kernel().session._submit
    return lambda run: [submit(recipe) for recipe in run.step.recipes]


@pytest.fixture
def ask(asked):
    """`ask(run)`: the caller's code is asked for input, and answers or fails."""

    def play(run):
        asking, watching = asked(run)
        try:
            assert asking.off_load().done  # not on the hub
        except BackendError as error:
            return run.fail(error)
        assert isinstance(watching.step, Pause)
        assert watching.answer(None).done
        return run.answer([None, None])

    return play


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


@pytest.mark.parametrize("status", ["error", "server-restarting"])
def test_a_run_that_the_server_gave_up_raises(start, reply, status):
    """As the results of an execute socket do: it says nothing about the code."""
    run = start("code")
    with pytest.raises(BackendClientError, match="because"):
        run.answer(reply({"result": {"status": status, "msg": "because"}}))


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


def test_input_from_a_list(start, reply, ask):
    run = start("code", inputs=["one", "two"])
    for line in ("one", "two"):
        run.answer(reply(step("waiting-input")))
        ask(run)
        assert body(run) == {"mode": "input", "code": line}
    assert run.answer(reply(step("finished"))).done


def test_input_from_a_function_that_sees_the_prompt(start, reply, ask):
    prompts = []

    def answer(prompt):
        prompts.append(prompt)
        return "answer"

    run = start("code", inputs=answer).answer(reply(step("waiting-input", [["stdout", "first line\nname? "]])))
    ask(run)
    assert prompts == ["name? "]
    assert body(run) == {"mode": "input", "code": "answer"}


@pytest.mark.parametrize(("inputs", "kind"), [(None, "none left"), ([], "none left"), (iter(()), "none left")])
def test_no_input_left_interrupts_the_run_and_hears_it_out(start, reply, ask, inputs, kind):
    run = start("code", inputs=inputs).answer(reply(step("waiting-input")))
    ask(run)
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    assert body(run) == {"mode": "input", "code": ""}  # the server itself waits for it
    run.answer(reply(step("continued", [["stderr", "KeyboardInterrupt"]])))
    assert body(run) == CONTINUE
    with pytest.raises(BackendClientError, match=kind):
        run.answer(reply(step("finished")))


@pytest.mark.parametrize("inputs", [lambda prompt: 5, [5], lambda prompt: 1 / 0])
def test_input_that_fails_interrupts_the_run(start, reply, ask, inputs):
    run = start("code", inputs=inputs).answer(reply(step("waiting-input")))
    ask(run)
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


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "too late"])
def test_a_caller_that_does_not_answer_is_not_waited_for(start, reply, asked, monkeypatch, stopped):
    """Neither when nobody waits for the run any more, nor beyond its time limit."""
    clock = itertools.count(0, 10)
    for module in (kernel_run, run_callbacks):
        monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    control = Control()
    run = start("code", inputs=input, timeout=None if stopped else 15, _control=control)
    run.answer(reply(step("waiting-input")))
    _, watching = asked(run)
    if stopped:
        control.stop()
    with pytest.raises(BackendError) as nobody:
        watching.answer(None)
    run.fail(nobody.value)
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    assert body(run) == {"mode": "input", "code": ""}
    if stopped:
        assert run.answer(reply(step("finished"))).done
    else:
        with pytest.raises(DeadlineExceeded, match="15 s"):
            run.answer(reply(step("finished")))


def test_a_failing_listener_interrupts_the_run(start, reply):
    run = start("code", on_output=lambda kind, data: 1 / 0).answer(reply(step(console=[["stdout", "a"]])))
    run.off_load()
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    assert body(run) == CONTINUE
    with pytest.raises(BackendClientError, match="on_output failed: ZeroDivisionError") as caught:
        run.answer(reply(step("finished")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    "failure",
    [located(BackendAPIError(500, "No", {}), "GET"), SystemExit(1), asyncio.CancelledError(), StopIteration()],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_a_listener_fails_with(start, reply, failure):
    """A call of its own that failed, for one, is no failure of the run's exchange: the code is interrupted."""
    run = start("code", on_output=print).answer(reply(step(console=[["stdout", "a"]])))
    run.fail(failure)
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    with pytest.raises(BackendClientError, match=f"on_output failed: {type(failure).__name__}") as caught:
        run.answer(reply(step("finished")))
    assert caught.value.__cause__ is failure


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
    error = located(BackendAPIError(404, "Not Found", {}), "POST")
    with pytest.raises(BackendAPIError):
        start("code").fail(error)


@pytest.mark.parametrize(
    ("result", "wrong"),
    [
        ({"console": []}, "status"),
        ({"status": None}, "status"),
        ({"status": ["finished"]}, "status"),
        ({"status": "continued", "console": "text"}, "console"),
        ({"status": "continued", "console": [["stdout"]]}, "console"),
        ({"status": "continued", "console": [["stdout", 5]]}, "console"),
        ({"status": "continued", "console": [["media", "image/png"]]}, "console"),
        ({"status": "continued", "console": ["ab"]}, "console"),
        ({"status": "continued", "files": {"a": 1}}, "files"),
    ],
    ids=str,
)
def test_a_reply_that_is_no_result(start, reply, result, wrong):
    run = start("code").answer(reply({"result": result}))
    assert run.request == INTERRUPT
    run.answer(reply(status=204))
    with pytest.raises(InvalidReply, match=wrong):
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


def test_a_run_stopped_while_its_listener_is_told_is_interrupted(start, reply):
    control = Control()
    run = start("code", on_output=lambda kind, data: control.stop(), _control=control)
    run.answer(reply(step(console=[["stdout", "x"]]))).off_load()
    assert run.request == INTERRUPT
    assert run.answer(reply(status=204)).answer(reply(step("finished"))).done


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
