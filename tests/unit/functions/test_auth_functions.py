"""Logging in and passwords."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import InvalidArgument, InvalidReply


def test_login_is_not_signed_and_returns_the_cookies(proxy, play, reply) -> None:
    started = play(proxy()["Auth"].login, "me@example.com", "pw")
    assert started.request == {
        "send": "POST /server/login",
        "json": {"username": "me@example.com", "password": "pw"},
        "idempotent": False,
        "anonymous": True,
    }
    answer = {"authenticated": True, "data": {"access_key": "AK", "role": "user", "status": "active"}}
    assert started.answer(reply(answer)).value == {**answer, "cookies": "jar", "config": {"username": "me@example.com"}}


def test_a_wrong_password_is_an_answer(proxy, play, reply) -> None:
    answer = {"authenticated": False, "data": {"type": "t", "title": "no", "details": "d"}}
    value = play(proxy()["Auth"].login, "me", "pw").answer(reply(answer)).value
    assert value["authenticated"] is False


def test_a_one_time_password_is_sent_when_given(proxy, play) -> None:
    body = play(proxy()["Auth"].login, "me", "pw", otp="123456").request["json"]
    assert body == {"username": "me", "password": "pw", "otp": "123456"}


def test_logout(proxy, play, reply) -> None:
    started = play(proxy()["Auth"].logout)
    assert started.request == {"send": "POST /server/logout", "idempotent": False}
    assert started.answer(reply(status=201)).value is None


def test_passwords(proxy, play, reply) -> None:
    auth = proxy()["Auth"]
    started = play(auth.update_password, "old", "new", "new")
    assert started.request == {
        "send": "POST /auth/update-password",
        "json": {"old_password": "old", "new_password": "new", "new_password2": "new"},
        "idempotent": False,
    }
    assert started.answer(reply({})).value == {}
    assert play(auth.update_password_no_auth, "default", "me", "old", "new").request == {
        "send": "POST /auth/update-password-no-auth",
        "json": {"domain": "default", "username": "me", "current_password": "old", "new_password": "new"},
        "idempotent": False,
        "anonymous": True,
    }
    assert play(auth.update_password_no_auth_in_session, "me", "old", "new").request == {
        "send": "POST /server/update-password-no-auth",
        "json": {"username": "me", "current_password": "old", "new_password": "new"},
        "idempotent": False,
        "anonymous": True,
    }


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("login", ("", "pw")),
        ("login", ("me", "")),
        ("login", ("me", b"hunter2")),
        ("update_password", ("old", None, "new")),
        ("update_password", ("old", b"hunter2", "new")),
        ("update_password_no_auth", ("", "me", "old", "new")),
        ("update_password_no_auth_in_session", ("me", b"hunter2", "new")),
    ],
)
def test_bad_input_is_refused_without_the_secret(function, args, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Auth"], function), *args)
    assert "hunter2" not in str(caught.value)


def test_an_answer_that_is_no_object_is_an_invalid_reply(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(proxy()["Auth"].login, "me", "pw").answer(reply(["no"]))
