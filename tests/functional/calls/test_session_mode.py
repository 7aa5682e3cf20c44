"""Session mode against a scripted web server; the real one is in tests/live."""

from __future__ import annotations

import pickle
from functools import partial

import pytest

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.session import Session
from support.asking import ask
from support.servers.faults import FaultServer, reply

LOGIN = {"authenticated": True, "data": {"access_key": "AK", "role": "user", "status": "active"}}


def log_in(cookie):
    return reply(LOGIN, headers={"Set-Cookie": f"AIOHTTP_SESSION={cookie}; HttpOnly; Path=/"})


@pytest.fixture
def config(make_config, server):
    return make_config(server, endpoint_type="session")


def test_calls_carry_the_cookie_and_no_signature(runtime, config, server):
    server.script(log_in("abc"), reply({"name": "kernel"}))
    with runtime.session(config) as session:
        answer = runtime.value(partial(session.Auth.login, "user", "password"))
        assert answer["authenticated"] is True
        assert answer["config"] == {"username": "user"}
        runtime.value(partial(ask, session, "kernel"))
        runtime.value(session.Auth.logout)
    login, call, logout = server.requests
    assert [request.target for request in server.requests] == [
        "/server/login",
        "/func/session/kernel",
        "/server/logout",
    ]
    assert "cookie" not in login.headers
    assert call.headers["cookie"] == logout.headers["cookie"] == "AIOHTTP_SESSION=abc"
    assert all("authorization" not in request.headers for request in server.requests)


def test_every_session_has_its_own_cookie(runtime, config, server):
    server.script(log_in("first"), log_in("second"), reply({"name": "kernel"}))
    with runtime.session(config) as first, runtime.session(config) as second:
        for session in (first, second):
            runtime.value(partial(session.Auth.login, "user", "password"))
        for session in (first, second, first):
            runtime.value(partial(ask, session, "kernel"))
    sent = [request.headers["cookie"] for request in server.requests[2:]]
    assert sent == ["AIOHTTP_SESSION=first", "AIOHTTP_SESSION=second", "AIOHTTP_SESSION=first"]


def test_the_cookie_file_is_read_and_written(make_config, server, tmp_path):
    path = tmp_path / "cookies"
    config = make_config(server, endpoint_type="session", cookie_file=path)
    server.script(log_in("kept"), reply({"name": "kernel"}))
    with Session(config=config) as session:
        session.Auth.login("user", "password")
    assert path.stat().st_mode & 0o077 == 0
    with Session(config=config) as session:
        ask(session, "kernel")
    assert server.requests[-1].headers["cookie"] == "AIOHTTP_SESSION=kept"


class Bomb:
    """A pickle that does something when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickled_cookie_file_is_never_loaded(make_config, server, tmp_path):
    """The vendor's command line keeps one under a similar name; loading it would run what it says."""
    exploded, path = tmp_path / "exploded", tmp_path / "cookie.dat"
    path.write_bytes(pickle.dumps(Bomb(str(exploded))))
    with (
        pytest.raises(InvalidArgument),
        Session(config=make_config(server, endpoint_type="session", cookie_file=path)) as session,
    ):
        ask(session, "kernel")
    assert not exploded.exists()


def test_cookies_stay_with_their_host(make_config, server, tmp_path):
    path = tmp_path / "cookies"
    server.script(log_in("secret"), reply({"name": "kernel"}))
    with Session(config=make_config(server, endpoint_type="session", cookie_file=path)) as session:
        session.Auth.login("user", "password")
    with FaultServer() as other:
        url = other.url.replace("127.0.0.1", "localhost")
        with Session(config=make_config(url, endpoint_type="session", cookie_file=path)) as session:
            ask(session, "kernel")
        assert "cookie" not in other.requests[-1].headers


def test_api_mode_keeps_no_cookie(make_config, server):
    server.script(log_in("tracking"), reply({"name": "kernel"}))
    with Session(config=make_config(server)) as session:
        ask(session, "kernel")
        ask(session, "kernel")
    assert all("cookie" not in request.headers for request in server.requests)
