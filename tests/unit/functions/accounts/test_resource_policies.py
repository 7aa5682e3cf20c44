"""Resource policies of key pairs, users and projects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument
from ai.backend.client.functions.accounts import keypair_resource_policy, resource_policy

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20220315", "v6.20230315", "v7.20230615"]
IN_19_09 = ("p", "LIMITED", '{"cpu": 8}', 5, 3, 10, 2**40, 600, ["h"])
NAMES = {"keypair": "KeypairResourcePolicy", "user": "UserResourcePolicy", "project": "ProjectResourcePolicy"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_19_09_call_works_on_every_server(version, proxy, play) -> None:
    started = play(proxy(version)["KeypairResourcePolicy"].create, *IN_19_09)
    body = started.request["json"]
    assert body["query"] == (
        "mutation($name: String!, $props: CreateKeyPairResourcePolicyInput!) { create_keypair_resource_policy(name: "
        "$name, props: $props) { ok msg resource_policy { name } } }"
    )
    props = body["variables"]["props"]
    hosts = props.pop("allowed_vfolder_hosts")
    assert (hosts if isinstance(hosts, list) else list(json.loads(hosts))) == ["h"]
    assert props.pop("max_session_lifetime", 0) == 0
    assert props == {
        "default_for_unspecified": "LIMITED",
        "total_resource_slots": '{"cpu": 8}',
        "max_concurrent_sessions": 5,
        "max_containers_per_session": 3,
        "max_vfolder_count": 10,
        "max_vfolder_size": 2**40,
        "idle_timeout": 600,
    }


@pytest.mark.parametrize(("version", "lifetime"), [("v6.20210815", None), ("v6.20220315", 0), ("v7.20230615", 0)])
def test_servers_from_22_03_on_get_a_lifetime(version, lifetime, proxy, play) -> None:
    started = play(proxy(version)["KeypairResourcePolicy"].create, *IN_19_09)
    assert started.request["json"]["variables"]["props"].get("max_session_lifetime") == lifetime


def test_what_23_09_fails_without_is_filled_in(proxy, play) -> None:
    """Pitfall: its client sends a marker there that cannot be written as JSON, or nothing, and the server fails."""
    started = play(proxy()["KeypairResourcePolicy"].create, "p", "UNLIMITED", {}, 5, 3, idle_timeout=0)
    assert started.request["json"]["variables"]["props"] == {
        "allowed_vfolder_hosts": "{}",
        "max_session_lifetime": 0,
        "max_vfolder_count": 0,
        "max_vfolder_size": 0,
        "default_for_unspecified": "UNLIMITED",
        "total_resource_slots": "{}",
        "max_concurrent_sessions": 5,
        "max_containers_per_session": 3,
        "idle_timeout": 0,
    }


def test_a_change_holds_only_what_was_given(proxy, play) -> None:
    started = play(proxy()["KeypairResourcePolicy"].update, "p", max_session_lifetime=60, vfolder_host_perms=())
    assert started.request["json"] == {
        "query": "mutation($name: String!, $props: ModifyKeyPairResourcePolicyInput!) "
        "{ modify_keypair_resource_policy(name: $name, props: $props) { ok msg } }",
        "variables": {"name": "p", "props": {"allowed_vfolder_hosts": "{}", "max_session_lifetime": 60}},
    }


def test_reading_policies_of_key_pairs(proxy, play) -> None:
    policy = proxy("v4.20190615")["KeypairResourcePolicy"]
    fields = (
        "name created_at total_resource_slots max_concurrent_sessions max_vfolder_count max_vfolder_size idle_timeout"
    )
    assert play(policy.list).request["json"]["query"] == f"query {{ keypair_resource_policies {{ {fields} }} }}"
    assert play(policy("AK").info, "p", fields=["name"]).request["json"] == {
        "query": "query($name: String) { keypair_resource_policy(name: $name) { name } }",
        "variables": {"name": "p"},
    }


@pytest.mark.parametrize("kind", NAMES)
def test_deleting(kind, proxy, play) -> None:
    assert play(proxy()[NAMES[kind]].delete, "p").request["json"] == {
        "query": f"mutation($name: String!) {{ delete_{kind}_resource_policy(name: $name) {{ ok msg }} }}",
        "variables": {"name": "p"},
    }


CREATED = {
    "user": {"max_quota_scope_size": -1, "max_session_count_per_model_session": 10},
    "project": {"max_quota_scope_size": -1},
}


@pytest.mark.parametrize("kind", CREATED)
def test_new_policies_have_the_limits_that_23_09_fails_without(kind, proxy, play) -> None:
    kind_of_input = f"Create{kind.capitalize()}ResourcePolicyInput!"
    assert play(proxy()[NAMES[kind]].create, "p").request["json"] == {
        "query": f"mutation($name: String!, $props: {kind_of_input}) {{ create_{kind}_resource_policy(name: $name, "
        "props: $props) { ok msg resource_policy { name } } }",
        "variables": {"name": "p", "props": CREATED[kind]},
    }


@pytest.mark.parametrize("kind", CREATED)
def test_changing_and_reading_policies_of_users_and_projects(kind, proxy, play) -> None:
    policy = proxy()[NAMES[kind]]
    started = play(policy.update, "p", max_quota_scope_size=2**40)
    assert started.request["json"]["variables"] == {"name": "p", "props": {"max_quota_scope_size": 2**40}}
    assert f"modify_{kind}_resource_policy(" in started.request["json"]["query"]
    assert play(policy.list, fields=["name"]).request["json"]["query"] == (
        f"query {{ {kind}_resource_policies {{ name }} }}"
    )
    assert play(policy.detail, "p", fields=["name"]).request["json"]["variables"] == {"name": "p"}


def test_the_callers_own_policy(proxy, play) -> None:
    started = play(proxy()["UserResourcePolicy"].detail, fields=["name"])
    assert started.request["json"] == {"query": "query { user_resource_policy { name } }", "variables": {}}


@pytest.mark.parametrize("kind", CREATED)
@pytest.mark.parametrize(
    ("function", "args", "options"),
    [
        ("list", (), {}),
        ("detail", ("p",), {}),
        ("create", ("p",), {}),
        ("update", ("p",), {"max_quota_scope_size": 1}),
        ("delete", ("p",), {}),
    ],
)
def test_policies_of_users_and_projects_need_v7(kind, function, args, options, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="v7"):
        play(getattr(proxy("v6.20230315")[NAMES[kind]], function), *args, **options)


BAD: list[tuple[str, str, str, tuple[Any, ...], dict[str, Any], str]] = [
    ("v7.20230615", "keypair", "create", ("p", "limited", {}, 1, 1), {"idle_timeout": 1}, "default_for_unspecified"),
    ("v7.20230615", "keypair", "create", ("p", "LIMITED", {}, 1, 1), {}, "idle_timeout"),
    ("v7.20230615", "keypair", "create", ("p", "LIMITED", None, 1, 1), {"idle_timeout": 1}, "total_resource_slots"),
    ("v6.20230315", "keypair", "create", ("p", "LIMITED", {}, 1, 1), {"idle_timeout": 1}, "max_vfolder_count"),
    ("v7.20230615", "keypair", "create", ("", "LIMITED", {}, 1, 1), {"idle_timeout": 1}, "name"),
    ("v7.20230615", "keypair", "update", ("p",), {"max_concurrent_sessions": 2**31}, "max_concurrent_sessions"),
    ("v7.20230615", "keypair", "update", ("p",), {"max_vfolder_size": "1g"}, "max_vfolder_size"),
    ("v7.20230615", "user", "create", ("p",), {"max_quota_scope_size": -2}, "max_quota_scope_size"),
    ("v7.20230615", "project", "create", ("p",), {"max_quota_scope_size": None}, "max_quota_scope_size"),
    ("v7.20230615", "project", "update", ("p",), {}, "max_quota_scope_size, max_vfolder_count"),
    ("v7.20230615", "project", "detail", (None,), {}, "name"),
]


@pytest.mark.parametrize(("version", "kind", "function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(version, kind, function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy(version)[NAMES[kind]], function), *args, **options)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("v6.20210815", {"max_session_lifetime": 1}),
        ("v6.20230315", {"max_concurrent_sftp_sessions": 1}),
        ("v6.20230315", {"max_quota_scope_size": 1}),
        ("v6.20200815", {"vfolder_host_perms": {"h": []}}),
    ],
)
def test_arguments_that_the_server_lacks_are_refused(version, options, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=next(iter(options))):
        play(proxy(version)["KeypairResourcePolicy"].update, "p", **options)


def test_star_imports_work() -> None:
    """Pitfall: the vendor's `__all__` is a bare string there, so that a star import fails."""
    for module in (keypair_resource_policy, resource_policy):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
