"""Users."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from ai.backend.client.auth import AuthToken, AuthTokenTypes
from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply
from ai.backend.client.functions.accounts.user import UserRole, UserStatus

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
UID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
READS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("list", (), {}, "query { users { email } }", {}),
    (
        "list", (False,), {},
        "query($is_active: Boolean) { users(is_active: $is_active) { email } }", {"is_active": False},
    ),
    (
        "list", (), {"status": UserStatus.DELETED, "group": UID, "domain_name": "d"},
        ("query($domain_name: String, $status: String) { users(domain_name: $domain_name, "
        f'group_id: "{UID}", status: $status) {{ email }} }}'),
        {"domain_name": "d", "status": "deleted"},
    ),
    (
        "paginated_list", ("active", uuid.UUID(UID)), {"page_size": 7},
        ("query($limit: Int!, $offset: Int!, $status: String) { user_list(limit: $limit, offset: $offset, "
        f'group_id: "{UID}", status: $status) {{ items {{ email }} total_count }} }}'),
        {"limit": 7, "offset": 0, "status": "active"},
    ),
    ("detail", (), {}, "query { user { email } }", {}),
    ("detail", ("me",), {}, "query($email: String) { user(email: $email) { email } }", {"email": "me"}),
    ("detail_by_uuid", (UID,), {}, f'query {{ user_from_uuid(user_id: "{UID}") {{ email }} }}', {}),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "options", "query", "variables"), READS)
def test_reading(function, args, options, query, variables, proxy, play) -> None:
    """Pitfall: ids are `String`, `ID` or `UUID` by release, so that they are written into the document."""
    started = play(getattr(proxy()["User"], function), *args, fields=["email"], **options)
    assert started.request["json"] == {"query": query, "variables": variables}
    assert started.request["idempotent"]


def test_the_caller_by_uuid(proxy, play, reply) -> None:
    """Pitfall: the vendor's client looks for `user_from_uuid` in the answer, and ends in a KeyError."""
    started = play(proxy()["User"].detail_by_uuid, fields=["email"])
    assert started.request["json"] == {"query": "query { user { email } }", "variables": {}}
    assert started.answer(reply({"user": {"email": "me"}})).value == {"email": "me"}


def test_states_of_v4_are_two(proxy, play) -> None:
    users = proxy("v4.20190615")["User"]
    started = play(users.list, status="inactive", fields=["email"])
    assert started.request["json"]["variables"] == {"is_active": False}
    with pytest.raises(BackendAPIVersionError, match="20191215"):
        play(users.list, status="before-verification")


CREATED = {
    "username": "me@x.example",
    "password": "pw",
    "role": "user",
    "need_password_change": False,
    "description": "",
    "domain_name": "d",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_user(version, proxy, play, reply) -> None:
    """Pitfalls: the name must not be missing or null, and nothing else may be null."""
    started = play(proxy(version)["User"].create, "d", "me@x.example", "pw")
    state = {"is_active": True} if version.startswith("v4") else {"status": "active"}
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {
            "query": "mutation($email: String!, $props: UserInput!) { create_user(email: $email, props: $props) "
            "{ ok msg user { domain_name email username } } }",
            "variables": {"email": "me@x.example", "props": {**CREATED, **state}},
        },
        "idempotent": False,
    }
    made = {"ok": True, "msg": "success", "user": {"email": "me@x.example"}}
    assert started.answer(reply({"create_user": made})).value == made


def test_everything_that_can_be_set(proxy, play) -> None:
    """Pitfall: groups and addresses come in any iterable, and JSON takes lists only."""
    started = play(
        proxy()["User"].create,
        "d",
        "me@x.example",
        "pw",
        username="me",
        full_name="M E",
        role=UserRole.ADMIN,
        need_password_change=True,
        description="text",
        group_ids={uuid.UUID(UID)},
        status="inactive",
        allowed_client_ip=iter(["10.0.0.0/8"]),
        totp_activated=True,
        sudo_session_enabled=True,
        resource_policy="p",
    )
    assert started.request["json"]["variables"]["props"] == {
        "username": "me",
        "password": "pw",
        "full_name": "M E",
        "role": "admin",
        "need_password_change": True,
        "description": "text",
        "domain_name": "d",
        "group_ids": [UID],
        "allowed_client_ip": ["10.0.0.0/8"],
        "totp_activated": True,
        "sudo_session_enabled": True,
        "resource_policy": "p",
        "status": "inactive",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_change_holds_only_what_was_given_and_keeps_the_state(version, proxy, play) -> None:
    """Pitfalls: nulls clear columns on 23.09, and a missing state makes the user inactive there; its null does not."""
    started = play(proxy(version)["User"].update, "me", full_name="M E")
    assert started.request["json"] == {
        "query": "mutation($email: String!, $props: ModifyUserInput!) { modify_user(email: $email, props: $props) "
        "{ ok msg } }",
        "variables": {"email": "me", "props": {"full_name": "M E", "is_active": None}},
    }


@pytest.mark.parametrize(
    ("version", "options", "state"),
    [
        ("v4.20190615", {"is_active": False}, {"is_active": False}),
        ("v4.20190615", {"status": "active"}, {"is_active": True}),
        ("v5.20191215", {"is_active": True}, {"status": "active"}),
        ("v7.20230615", {"is_active": False}, {"status": "inactive"}),
        ("v7.20230615", {"is_active": False, "status": "deleted"}, {"status": "deleted"}),
        ("v7.20230615", {"status": UserStatus.BEFORE_VERIFICATION}, {"status": "before-verification"}),
    ],
)
def test_the_state_has_two_names(version, options, state, proxy, play) -> None:
    started = play(proxy(version)["User"].update, "me", fields=["status"], **options)
    assert started.request["json"]["variables"]["props"] == state
    assert "{ ok msg user { status } }" in started.request["json"]["query"]


def test_a_role_and_a_state_are_never_made_up(proxy, play) -> None:
    """Pitfall: the vendor's 20.09 client demotes and activates everybody it changes."""
    started = play(proxy()["User"].update, "me", password="pw")
    assert started.request["json"]["variables"]["props"] == {"password": "pw", "is_active": None}


def test_the_end_of_a_user(proxy, play) -> None:
    users = proxy("v4.20190615")["User"]
    assert play(users.delete, "me").request["json"] == {
        "query": "mutation($email: String!) { delete_user(email: $email) { ok msg } }",
        "variables": {"email": "me"},
    }
    assert play(users.purge, "me", purge_shared_vfolders=True).request["json"] == {
        "query": "mutation($email: String!, $props: PurgeUserInput!) { purge_user(email: $email, props: $props) "
        "{ ok msg } }",
        "variables": {"email": "me", "props": {"purge_shared_vfolders": True}},
    }


def test_a_password_becomes_a_token(proxy, play, reply) -> None:
    started = play(proxy(domain="mine")["User"].authorize, "me", "pw", extra_args={"otp": "123456"})
    assert started.request == {
        "send": "POST /auth/authorize",
        "json": {"type": "keypair", "domain": "mine", "username": "me", "password": "pw", "otp": "123456"},
        "idempotent": False,
    }
    keys = {"access_key": "AK", "secret_key": "SK", "role": "user"}
    token = started.answer(reply({"data": keys})).value
    assert token == AuthToken(AuthTokenTypes.KEYPAIR, keys)
    assert "SK" not in repr(token)


@pytest.mark.parametrize("token_type", [AuthTokenTypes.JWT, "jwt"])
def test_the_kind_of_a_token(token_type, proxy, play, reply) -> None:
    started = play(proxy()["User"].authorize, "me", "pw", token_type=token_type)
    assert started.request["json"]["type"] == "jwt"
    with pytest.raises(InvalidReply, match="data"):
        started.answer(reply({}))


REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("v4.20190615", "create", {"status": "deleted"}),
    ("v6.20220315", "create", {"allowed_client_ip": ["127.0.0.1"]}),
    ("v6.20220315", "create", {"totp_activated": True}),
    ("v6.20230315", "create", {"sudo_session_enabled": True}),
    ("v6.20230315", "create", {"resource_policy": "p"}),
    ("v6.20220315", "update", {"totp_activated": False}),
    ("v6.20230315", "update", {"main_access_key": "AK"}),
]


@pytest.mark.parametrize(("version", "function", "options"), REFUSED)
def test_arguments_that_the_server_lacks_are_refused(version, function, options, proxy, play) -> None:
    args = ("d", "me", "pw") if function == "create" else ("me",)
    with pytest.raises(BackendAPIVersionError, match=next(iter(options))):
        play(getattr(proxy(version)["User"], function), *args, **options)


def test_pages_need_v5(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="20191215"):
        play(proxy("v4.20190615")["User"].paginated_list)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("list", ("active",), {}, "is_active"),
    ("list", (True,), {"status": "inactive"}, "status"),
    ("list", (False,), {"status": "active"}, "status"),
    ("list", (), {"status": "gone"}, "status"),
    ("list", (), {"group": "default"}, "group"),
    ("paginated_list", (), {"page_size": 0}, "page_size"),
    ("detail", ("",), {}, "email"),
    ("detail", (), {"fields": ["nonesuch"]}, "fields"),
    ("detail_by_uuid", ("me",), {}, "user_uuid"),
    ("create", ("d", "", "pw"), {}, "email"),
    ("create", ("", "me", "pw"), {}, "domain_name"),
    ("create", ("d", "me", "pw"), {"role": "root"}, "role"),
    ("create", ("d", "me", "pw"), {"is_active": False, "status": "active"}, "status"),
    ("create", ("d", "me", "pw"), {"is_active": 1}, "is_active"),
    ("create", ("d", "me", "pw"), {"group_ids": UID}, "group_ids"),
    ("update", ("me",), {"role": "root"}, "role"),
    ("update", ("me",), {"is_active": True, "status": UserStatus.DELETED}, "status"),
    ("update", ("me",), {}, "username"),
    ("purge", ("me", None), {}, "purge_shared_vfolders"),
    ("authorize", ("", "pw"), {}, "username"),
    ("authorize", ("me", "pw"), {"token_type": "cookie"}, "token_type"),
    ("authorize", ("me", "pw"), {"extra_args": ["otp"]}, "extra_args"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["User"], function), *args, **options)
    assert caught.value.argument.split(",")[0] == argument


@pytest.mark.parametrize(
    ("function", "args"),
    [("create", ("d", "me", "hush\0")), ("update", ("me", "hush\0")), ("authorize", ("me", "hush\0"))],
)
def test_passwords_are_not_repeated(function, args, proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="password") as caught:
        play(getattr(proxy()["User"], function), *args)
    assert "hush" not in repr(caught.value)


def test_a_state_that_is_not_given_is_left_out_from_25_on(proxy, play):
    """Managers from 25.6 on refuse the null that 23.09 needs."""
    change = play(proxy("v9.20250722")["User"].update, "me@example.com", full_name="M E")
    assert change.request["json"]["variables"]["props"] == {"full_name": "M E"}
