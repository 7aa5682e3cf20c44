"""Logging in and passwords."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20210815", "v6.20230315", "v7.20230615"]
GROUP_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"


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
        ("token_login", ("",)),
        ("token_login", (b"hunter2",)),
        ("signup", ("", "hunter2")),
        ("signup", ("a@x", b"hunter2")),
        ("signout", ("a@x", b"hunter2")),
        ("upload_ssh_keypair", ("", "hunter2")),
        ("upload_ssh_keypair", ("ssh-rsa AAAA", b"hunter2")),
        ("upload_ssh_keypair", ("ssh-rsa AAAA", " ")),
        ("echo", ("",)),
        ("get_role", ("research",)),
        ("update_full_name", ("a@x", "")),
    ],
)
def test_bad_input_is_refused_without_the_secret(function, args, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Auth"], function), *args)
    assert "hunter2" not in str(caught.value)


def test_an_answer_that_is_no_object_is_an_invalid_reply(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(proxy()["Auth"].login, "me", "pw").answer(reply(["no"]))


# function, arguments, keyword arguments, first version, request, answer
LATER = [
    (
        "echo",
        (),
        {},
        "v4",
        {"send": "GET /auth", "params": {"echo": "hello"}, "idempotent": True},
        {"authorized": "yes"},
    ),
    ("get_role", (), {}, "v4", {"send": "GET /auth/role", "idempotent": True}, {"global_role": "user"}),
    (
        "get_role",
        (GROUP_ID,),
        {},
        "v4",
        {"send": "GET /auth/role", "params": {"group": GROUP_ID}, "idempotent": True},
        {"group_role": "user"},
    ),
    (
        "login_check",
        (),
        {},
        "v4",
        {"send": "POST /server/login-check", "idempotent": True, "anonymous": True},
        {"authenticated": False},
    ),
    (
        "signup",
        ("a@x", "pw"),
        {},
        "v4",
        {
            "send": "POST /auth/signup",
            "json": {"domain": "default", "email": "a@x", "password": "pw"},
            "idempotent": False,
            "anonymous": True,
        },
        {"access_key": "AK", "secret_key": "SK"},
    ),
    (
        "signup",
        ("a@x", "pw"),
        {"domain": "d", "username": "a", "full_name": "", "description": "x", "extra_args": {"hook": 1}},
        "v4",
        {
            "send": "POST /auth/signup",
            "json": {
                "domain": "d",
                "email": "a@x",
                "password": "pw",
                "username": "a",
                "full_name": "",
                "description": "x",
                "hook": 1,
            },
            "idempotent": False,
            "anonymous": True,
        },
        {"access_key": "AK", "secret_key": "SK"},
    ),
    (
        "signout",
        ("a@x", "pw"),
        {},
        "v4",
        {"send": "POST /auth/signout", "json": {"email": "a@x", "password": "pw"}, "idempotent": False},
        {},
    ),
    (
        "update_full_name",
        ("a@x", "A"),
        {},
        "v6.20210815",
        {"send": "POST /auth/update-full-name", "json": {"email": "a@x", "full_name": "A"}, "idempotent": True},
        {},
    ),
    ("get_ssh_keypair", (), {}, "v4", {"send": "GET /auth/ssh-keypair", "idempotent": True}, {"ssh_public_key": None}),
    (
        "generate_ssh_keypair",
        (),
        {},
        "v4",
        {"send": "PATCH /auth/ssh-keypair", "idempotent": False},
        {"ssh_public_key": "a", "ssh_private_key": "b"},
    ),
    (
        "upload_ssh_keypair",
        ("a", "b"),
        {},
        "v6.20230315",
        {"send": "POST /auth/ssh-keypair", "json": {"pubkey": "a", "privkey": "b"}, "idempotent": True},
        {"ssh_public_key": "a", "ssh_private_key": "b"},
    ),
    (
        "update_password_no_auth",
        ("d", "me", "old", "new"),
        {},
        "v6.20230315",
        {
            "send": "POST /auth/update-password-no-auth",
            "json": {"domain": "d", "username": "me", "current_password": "old", "new_password": "new"},
            "idempotent": False,
            "anonymous": True,
        },
        {"password_changed_at": "2024-01-01T00:00:00+00:00"},
    ),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "options", "since", "request_", "answer"), LATER)
def test_what_each_version_sends(version, function, args, options, since, request_, answer, proxy, play, reply) -> None:
    member = getattr(proxy(version)["Auth"], function)
    if version < since:
        with pytest.raises(BackendAPIVersionError, match=since.replace(".", r"\.")):
            play(member, *args, **options)
        return
    call = play(member, *args, **options)
    assert call.request == request_
    assert call.answer(reply(answer)).value == answer


def test_tokens_have_the_name_that_the_web_server_gives_them(proxy, play, reply) -> None:
    call = play(proxy()["Auth"].token_login, "secret", token_name="ssoToken", extra_args={"from": "lms"})
    assert call.request == {
        "send": "POST /server/token-login",
        "json": {"from": "lms", "ssoToken": "secret"},
        "idempotent": False,
        "anonymous": True,
    }
    value = call.answer(reply({"authenticated": True, "data": {}})).value
    assert value == {"authenticated": True, "data": {}, "cookies": "jar", "config": {"username": ""}}
    assert play(proxy()["Auth"].token_login, "secret").request["json"] == {"sToken": "secret"}


def test_pitfall_the_refusal_of_a_password_change_may_have_no_type() -> None:
    """The body is `{"error_msg": ...}`; the error is one of the API nevertheless."""
    from ai.backend.client.exceptions import BackendAPIError

    error = BackendAPIError(400, "Bad Request", b'{"error_msg": "new password mismatch"}')
    assert (error.type, error.title, error.data) == ("", "", {"error_msg": "new password mismatch"})
