"""Who hears which events, and streams that are refused or left; the rest is in test_main_job.py."""

from __future__ import annotations

import json

import pytest

from ai.backend.client.exceptions import BackendAPIError
from support.cluster import IMAGE
from support.job import run


def test_events_of_others_are_not_heard(session, user, name):
    with user.Kernel("*").listen_events() as events:
        session.Kernel.get_or_create(IMAGE, name=name).destroy()
        user.Kernel.get_or_create(IMAGE, name=name + "-own").destroy()
        first = json.loads(next(iter(events)).data)
    assert first["sessionName"] == name + "-own"


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
