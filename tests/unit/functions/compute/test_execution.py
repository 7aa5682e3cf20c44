"""The run loop: modes, run ids, options."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import BackendClientError, InvalidArgument, InvalidReply

RESULT = {
    "runId": "r1",
    "status": "finished",
    "exitCode": 0,
    "options": None,
    "files": [],
    "console": [["stdout", "2\n"]],
}


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({"code": "1+1"}, {"mode": "query", "code": "1+1", "runId": None}),
        ({"code": "1+1", "run_id": "r1"}, {"mode": "query", "code": "1+1", "runId": "r1"}),
        ({"code": ""}, {"mode": "query", "code": "", "runId": None}),
        ({"code": "1+1", "opts": {"exec": "x"}}, {"mode": "query", "code": "1+1", "runId": None}),
        ({"mode": "continue", "code": "", "run_id": "r1"}, {"mode": "continue", "code": "", "runId": "r1"}),
        ({"mode": "input", "code": "Bob", "run_id": "r1"}, {"mode": "input", "code": "Bob", "runId": "r1"}),
        (
            {"mode": "batch"},
            {
                "mode": "batch",
                "code": "",
                "runId": None,
                "options": {"clean": None, "build": None, "buildLog": False, "exec": None},
            },
        ),
        (
            {"mode": "batch", "opts": {"clean": "*", "build": "make", "buildLog": 1, "exec": "./main"}},
            {
                "mode": "batch",
                "code": "",
                "runId": None,
                "options": {"clean": "*", "build": "make", "buildLog": True, "exec": "./main"},
            },
        ),
    ],
)
def test_the_body_of_each_mode(arguments, body, kernel, play, reply) -> None:
    started = play(kernel().execute, **arguments)
    assert started.request == {"send": "POST /session/mine", "json": body, "idempotent": False}
    assert started.answer(reply({"result": RESULT})).value == RESULT


def test_mode_complete_asks_for_completions(kernel, play, reply) -> None:
    bound = kernel("v4.20190615")
    executed = play(bound.execute, code="imp", mode="complete", opts={"col": 3})
    assert executed.request == {
        "send": "POST /kernel/mine/complete",
        "json": {"code": "imp", "options": {"row": 0, "col": 3, "line": "", "post": ""}},
        "idempotent": True,
    }
    completed = play(bound.complete, "imp", {"col": 3})
    assert completed.request == executed.request
    answer = {"result": {"status": "finished", "completions": ["import"]}}
    assert executed.answer(reply(answer)).value == answer["result"]
    assert completed.answer(reply(answer)).value == answer


def test_the_arguments_by_position(kernel, play) -> None:
    assert play(kernel().execute, "r1", "x", "input", None).request["json"] == {
        "mode": "input",
        "code": "x",
        "runId": "r1",
    }


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("code", {}),
        ("code", {"code": b"1"}),
        ("code", {"mode": "continue", "run_id": "r1"}),
        ("code", {"mode": "complete"}),
        ("mode", {"code": "1", "mode": "continued"}),
        ("mode", {"code": "1", "mode": None}),
        ("mode", {"code": "1", "mode": ["query"]}),
        ("run_id", {"code": "", "mode": "continue"}),
        ("run_id", {"code": "x", "mode": "input"}),
        ("run_id", {"code": "x", "run_id": ""}),
        ("opts", {"mode": "batch", "opts": {"build_log": True}}),
        ("opts", {"mode": "batch", "opts": "make"}),
        ("opts", {"mode": "complete", "code": "x", "opts": {"column": 1}}),
    ],
)
def test_bad_input_is_refused_by_name(argument, arguments, kernel, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(kernel().execute, **arguments)
    assert caught.value.argument == argument


def test_an_unknown_mode_is_the_error_that_users_know(kernel, play) -> None:
    with pytest.raises(BackendClientError, match="Invalid execution mode: continued"):
        play(kernel().execute, code="1", mode="continued")


def test_the_callers_options_are_left_alone(kernel, play) -> None:
    opts = {"exec": "x"}
    play(kernel().execute, mode="batch", opts=opts)
    assert opts == {"exec": "x"}


def test_an_answer_without_a_result_is_an_invalid_reply(kernel, play, reply) -> None:
    with pytest.raises(InvalidReply, match="result"):
        play(kernel().execute, code="1").answer(reply({}))
