"""Session mode: the same calls through the real web server, which signs for the user who is logged in."""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIError

IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
RESOURCES = {"cpu": 1, "mem": "256m"}
NEEDED = ("BACKEND_SESSION_ENDPOINT", "BACKEND_SESSION_USER", "BACKEND_SESSION_PASSWORD")

pytestmark = pytest.mark.skipif(not all(map(os.environ.get, NEEDED)), reason="no web server: BACKEND_SESSION_* not set")


@pytest.fixture
def config(live_config, tmp_path):
    def make(**options: Any) -> Any:
        return live_config(endpoint=os.environ["BACKEND_SESSION_ENDPOINT"], endpoint_type="session", **options)

    return make


@pytest.fixture
def login():
    def log_in(runtime: Any, session: Any) -> None:
        user, password = os.environ["BACKEND_SESSION_USER"], os.environ["BACKEND_SESSION_PASSWORD"]
        answer = runtime.value(partial(session.Auth.login, user, password))
        assert answer["authenticated"] is True
        assert answer["config"] == {"username": user}

    return log_in


def destroy(runtime: Any, kernel: Any) -> None:
    """Destroy, although the web server of 23.09 passes requests without a body on in chunks.

    When the closing chunk reaches the manager late, that takes the request for one with a body and refuses it: 400,
    "Malformed body". Seen in 1 of some 20 runs; the request had no effect.
    """
    for _ in range(3):
        outcome = runtime.outcome(kernel.destroy)
        if not (isinstance(outcome, BackendAPIError) and outcome.msg == "Malformed body"):
            break
    assert isinstance(outcome, dict), outcome


@pytest.mark.timeout(120)
def test_the_main_job_through_the_web_server(runtime, config, login, tokens):
    token = tokens()
    with runtime.session(config()) as session:
        login(runtime, session)
        create = partial(session.Kernel.get_or_create, IMAGE, client_token=token, resources=RESOURCES)
        kernel = runtime.value(create)
        assert (kernel.kernel_id, kernel.created) == (token, True)
        result = runtime.value(partial(kernel.execute, secrets.token_hex(8), "print('through the web')"))
        assert result["console"] == [["stdout", "through the web\n"]]
        infos = runtime.outcomes([kernel.get_info] * 20)
        assert [info["status"] for info in infos] == ["RUNNING"] * 20
        destroy(runtime, kernel)
        runtime.value(session.Auth.logout)
        outcome = runtime.outcome(kernel.get_info)
        assert isinstance(outcome, BackendAPIError)
        assert outcome.status == 401


def test_without_a_login_every_call_is_refused(runtime, config):
    with runtime.session(config()) as session:
        outcome = runtime.outcome(session.Kernel("kernel").get_info)
    assert isinstance(outcome, BackendAPIError)
    assert outcome.status == 401


def test_a_wrong_password_is_told_by_the_answer(runtime, config):
    with runtime.session(config()) as session:
        answer = runtime.value(
            partial(session.Auth.login, os.environ["BACKEND_SESSION_USER"], "wrong-" + secrets.token_hex(4))
        )
    assert answer["authenticated"] is False


def test_the_cookie_file_keeps_the_login(runtime, config, login, tmp_path):
    path = tmp_path / "cookies.txt"
    with runtime.session(config(cookie_file=path)) as session:
        login(runtime, session)
    assert path.stat().st_mode & 0o077 == 0
    with runtime.session(config(cookie_file=path)) as session:
        outcome = runtime.outcome(session.Kernel("no-such-session").get_info)
        assert isinstance(outcome, BackendAPIError)
        assert outcome.status == 404  # not 401: logged in
        runtime.value(session.Auth.logout)
