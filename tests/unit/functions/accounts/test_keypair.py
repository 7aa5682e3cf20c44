"""Key pairs."""

from __future__ import annotations

from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
READS: list[tuple[tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ((), {}, "query { keypairs { access_key secret_key is_active is_admin } }", {}),
    (
        ("me", True), {"fields": ["user_info"], "domain_name": "d"},
        ("query($domain_name: String, $email: String, $is_active: Boolean) { keypairs(domain_name: $domain_name, "
        "email: $email, is_active: $is_active) { user_info { email full_name } } }"),
        {"domain_name": "d", "email": "me", "is_active": True},
    ),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("args", "options", "query", "variables"), READS)
def test_the_list(version, args, options, query, variables, proxy, play) -> None:
    started = play(proxy(version)["KeyPair"].list, *args, **options)
    assert started.request["json"] == {"query": query, "variables": variables}


def test_one_page(proxy, play) -> None:
    started = play(proxy()["KeyPair"].paginated_list, False, "d", user_id="me", fields=["access_key"], page_size=5)
    assert started.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!, $domain_name: String, $email: String, $is_active: Boolean) "
        "{ keypair_list(limit: $limit, offset: $offset, domain_name: $domain_name, email: $email, is_active: "
        "$is_active) { items { access_key } total_count } }",
        "variables": {"limit": 5, "offset": 0, "domain_name": "d", "email": "me", "is_active": False},
    }


def test_info_is_about_the_objects_own_key(proxy, play, reply) -> None:
    """Pitfall: the vendor's client asks for the key that signs."""
    started = play(proxy()["KeyPair"]("AKOTHER").info)
    assert started.request["json"] == {
        "query": "query($access_key: String) { keypair(access_key: $access_key) { access_key secret_key is_active "
        "is_admin } }",
        "variables": {"access_key": "AKOTHER"},
    }
    assert started.answer(reply({"keypair": None})).value is None


@pytest.mark.parametrize(("user_id", "sent"), [("me@x.example", "me@x.example"), (7, "7")])
def test_users_are_always_text(user_id, sent, proxy, play) -> None:
    """Pitfall: the vendor's client declares `Int!` for numbers, which no server takes."""
    keypair = proxy()["KeyPair"]
    started = play(keypair.create, user_id, resource_policy="p", rate_limit=100)
    assert started.request["json"] == {
        "query": "mutation($user_id: String!, $props: KeyPairInput!) { create_keypair(user_id: $user_id, props: "
        "$props) { ok msg keypair { access_key secret_key } } }",
        "variables": {
            "user_id": sent,
            "props": {"is_active": True, "is_admin": False, "resource_policy": "p", "rate_limit": 100},
        },
    }
    assert play(keypair.list, user_id).request["json"]["variables"] == {"email": sent}


@pytest.mark.parametrize(("function", "active"), [("activate", True), ("deactivate", False)])
def test_only_the_state_is_sent(function, active, proxy, play) -> None:
    """Pitfall: the vendor's client sends nulls for the rest, which 23.09 stores or refuses."""
    assert play(getattr(proxy()["KeyPair"], function), "AK").request["json"] == {
        "query": "mutation($access_key: String!, $props: ModifyKeyPairInput!) { modify_keypair(access_key: "
        "$access_key, props: $props) { ok msg } }",
        "variables": {"access_key": "AK", "props": {"is_active": active}},
    }


def test_a_change_holds_only_what_was_given(proxy, play) -> None:
    started = play(proxy()["KeyPair"].update, "AK", rate_limit=0)
    assert started.request["json"]["variables"] == {"access_key": "AK", "props": {"rate_limit": 0}}


def test_deleting(proxy, play, reply) -> None:
    started = play(proxy()["KeyPair"].delete, "AK")
    assert started.request["json"] == {
        "query": "mutation($access_key: String!) { delete_keypair(access_key: $access_key) { ok msg } }",
        "variables": {"access_key": "AK"},
    }
    refusal = {"ok": False, "msg": "the keypair is used as main access key by any user"}
    assert started.answer(reply({"delete_keypair": refusal})).value == refusal


def test_pages_need_v5(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="20191215"):
        play(proxy("v4.20190615")["KeyPair"].paginated_list)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("create", ("me",), {"rate_limit": 1}, "resource_policy"),
    ("create", ("me",), {"resource_policy": "p"}, "rate_limit"),
    ("create", ("me",), {"resource_policy": "p", "rate_limit": 2**31}, "rate_limit"),
    ("create", (True,), {"resource_policy": "p", "rate_limit": 1}, "user_id"),
    ("list", ("",), {}, "user_id"),
    ("update", ("AK",), {}, "is_active, is_admin, resource_policy, rate_limit"),
    ("update", ("",), {"is_active": True}, "access_key"),
    ("activate", (None,), {}, "access_key"),
    ("list", (), {"fields": ["password"]}, "fields"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    """Pitfall: policy and limit are optional in the vendor's client, and required by every server."""
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["KeyPair"], function), *args, **options)
    assert caught.value.argument == argument


@pytest.mark.parametrize("access_key", ["", None, 5])
def test_an_object_needs_its_key(access_key, proxy) -> None:
    with pytest.raises(InvalidArgument, match="access_key"):
        proxy()["KeyPair"](access_key)
