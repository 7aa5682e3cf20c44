"""Events, WebSockets and terminals of the sandbox."""

from __future__ import annotations

import base64
import json

import pytest

from ai.backend.client.exceptions import BackendAPIError
from support.sandboxes import IMAGE, run

LIFE = {
    "v7.20230615": [
        "session_enqueued",
        "session_scheduled",
        "kernel_preparing",
        "kernel_creating",
        "kernel_started",
        "session_started",
        "session_terminating",
        "kernel_terminating",
        "kernel_terminated",
        "session_terminated",
    ],
    "v4.20190615": [
        "kernel_enqueued",
        "kernel_preparing",
        "kernel_creating",
        "kernel_started",
        "kernel_terminating",
        "kernel_terminated",
    ],
}


def test_every_step_of_a_sessions_life_is_an_event(any_sandbox, any_session, name):
    expected = LIFE[any_sandbox.api]
    with any_session.Kernel(name).listen_events() as events:
        any_session.Kernel.get_or_create(IMAGE, name=name)
        any_session.Kernel(name).destroy()
        seen = []
        for event in events:
            seen.append(event.event)
            data = json.loads(event.data)
            assert data["ownerAccessKey"] == any_session.config.access_key
            if event.event == expected[-1]:
                break
    assert seen == expected


def test_events_of_others_are_not_heard(session, user, name):
    with user.Kernel("*").listen_events() as events:
        session.Kernel.get_or_create(IMAGE, name=name).destroy()
        user.Kernel.get_or_create(IMAGE, name=name + "-own").destroy()
        first = json.loads(next(iter(events)).data)
    assert first["sessionName"] == name + "-own"


def test_code_runs_over_a_websocket(kernel):
    code = "print('a')\nname = input('who? ')\nprint('hi', name)"
    text = ""
    with kernel.stream_execute(code) as stream:
        for result in stream.results():
            text += "".join(data for kind, data in result["console"] or [] if kind == "stdout")
            if result["status"] == "waiting-input":
                stream.send_str("bob")
    assert text == "a\nwho? hi bob\n"


def test_a_terminal_is_a_real_one(kernel):
    with kernel.stream_pty() as pty:
        pty.resize(33, 99)
        typed = base64.b64encode(b"stty size; echo $((40+2)) ready\n").decode()
        pty.send_str(json.dumps({"type": "stdin", "chars": typed}))
        seen = ""
        for message in pty:
            seen += base64.b64decode(json.loads(message.data)["data"]).decode("utf-8", "replace")
            if "42 ready" in seen:
                break
    assert "33 99" in seen


def test_a_stream_of_an_unknown_session_is_refused(any_session):
    with pytest.raises(BackendAPIError) as caught, any_session.Kernel("no-such-session").stream_execute("1"):
        pass
    assert caught.value.status == 404


def test_there_is_no_log_of_a_task_that_never_was(session):
    with pytest.raises(BackendAPIError) as caught:
        for _ in session.Kernel.get_task_logs("00000000-0000-4000-8000-000000000000"):
            pass
    assert caught.value.status == 404


def test_closing_a_run_early_interrupts_it_and_frees_the_session(kernel):
    stream = kernel.stream_execute("import time\nprint('started')\nwhile True: time.sleep(0.01)")
    with stream:
        assert next(iter(stream.results()))["status"] == "continued"
    assert run(kernel, "'free'")[0] == "'free'"
