"""Storage volumes, quota scopes, and permissions on folder hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply
from ai.backend.client.functions.accounts.host_permissions import HOST_PERMISSIONS, host_permissions
from ai.backend.client.functions.toolkit.generations import Generation

HOST = "local:volume1"
SCOPE = "user:0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
DETAILS = "quota_scope_id storage_host_name details { hard_limit_bytes usage_bytes usage_count }"
OLD, NEW = Generation.of((6, "20220615")), Generation.of((6, "20230315"))


def test_a_page_of_volumes(proxy, play, reply) -> None:
    """Pitfall: `status` is the vendor's signature; no server knows it."""
    started = play(proxy("v6.20200815")["Storage"].paginated_list, "LOST", page_offset=1)
    assert started.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!) { storage_volume_list(limit: $limit, offset: $offset) "
        "{ items { id backend capabilities } total_count } }",
        "variables": {"limit": 20, "offset": 1},
    }
    page = started.answer(reply({"storage_volume_list": {"items": [{"id": HOST}], "total_count": 2}})).value
    assert (page.total_count, page.items) == (2, [{"id": HOST}])


def test_one_volume(proxy, play) -> None:
    started = play(proxy()["Storage"].detail, HOST, fields=["usage"])
    assert started.request["json"] == {
        "query": "query($id: String) { storage_volume(id: $id) { usage } }",
        "variables": {"id": HOST},
    }


@pytest.mark.parametrize(
    ("function", "args", "root", "props"),
    [
        ("set", (2**40,), "set_quota_scope", {"hard_limit_bytes": 2**40}),
        ("unset", (), "unset_quota_scope", None),
    ],
)
def test_changes_of_a_quota_answer_with_the_scope(function, args, root, props, proxy, play, reply) -> None:
    """They have neither `ok` nor `msg`."""
    started = play(getattr(proxy()["QuotaScope"], function), HOST, SCOPE, *args)
    body = started.request["json"]
    given = {} if props is None else {"props": props}
    assert body["variables"] == {"storage_host_name": HOST, "quota_scope_id": SCOPE, **given}
    assert body["query"].endswith(f"{{ quota_scope {{ {DETAILS} }} }} }}")
    assert not started.request["idempotent"]
    assert started.answer(reply({root: {"quota_scope": {"quota_scope_id": SCOPE}}})).value == {"quota_scope_id": SCOPE}


def test_an_answer_without_the_scope_is_an_invalid_reply(proxy, play, reply) -> None:
    started = play(proxy()["QuotaScope"].unset, HOST, SCOPE)
    with pytest.raises(InvalidReply, match="unset_quota_scope"):
        started.answer(reply({"unset_quota_scope": {"quota_scope": None}}))


def test_a_quota_scope(proxy, play) -> None:
    assert play(proxy()["QuotaScope"].detail, HOST, SCOPE).request["json"] == {
        "query": "query($storage_host_name: String!, $quota_scope_id: String!) { quota_scope(storage_host_name: "
        f"$storage_host_name, quota_scope_id: $quota_scope_id) {{ {DETAILS} }} }}",
        "variables": {"storage_host_name": HOST, "quota_scope_id": SCOPE},
    }


def test_the_permissions(proxy, play, reply) -> None:
    started = play(proxy("v6.20230315")["Permission"].list)
    assert started.request["json"] == {
        "query": "query { vfolder_host_permissions { vfolder_host_permission_list } }",
        "variables": {},
    }
    answer = {"vfolder_host_permission_list": ["create-vfolder"]}
    assert started.answer(reply({"vfolder_host_permissions": answer})).value == answer


REFUSED: list[tuple[str, str, str, tuple[Any, ...]]] = [
    ("v5.20191215", "Storage", "paginated_list", ()),
    ("v5.20191215", "Storage", "detail", (HOST,)),
    ("v6.20230315", "QuotaScope", "detail", (HOST, SCOPE)),
    ("v6.20230315", "QuotaScope", "set", (HOST, SCOPE, 1)),
    ("v6.20230315", "QuotaScope", "unset", (HOST, SCOPE)),
    ("v6.20220615", "Permission", "list", ()),
]


@pytest.mark.parametrize(("version", "name", "function", "args"), REFUSED)
def test_what_the_server_lacks_is_refused(version, name, function, args, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=f"{name}.{function}"):
        play(getattr(proxy(version)[name], function), *args)


BAD: list[tuple[str, str, tuple[Any, ...], str]] = [
    ("Storage", "detail", ("",), "vfolder_host"),
    ("QuotaScope", "detail", (HOST, "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"), "quota_scope_id"),
    ("QuotaScope", "detail", ("", SCOPE), "storage_host_name"),
    ("QuotaScope", "set", (HOST, SCOPE, -1), "hard_limit_bytes"),
    ("QuotaScope", "set", (HOST, SCOPE, None), "hard_limit_bytes"),
    ("Permission", "list", (["nonesuch"],), "fields"),
]


@pytest.mark.parametrize(("name", "function", "args", "argument"), BAD)
def test_unusable_arguments_are_refused(name, function, args, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()[name], function), *args)
    assert caught.value.argument == argument


# What domains, groups and policies allow of folder hosts, in the words of either generation.


@pytest.mark.parametrize(
    "given",
    [
        ["a", "b"],
        ("a", "b"),
        {"a": HOST_PERMISSIONS, "b": reversed(HOST_PERMISSIONS)},
        json.dumps({"a": HOST_PERMISSIONS, "b": HOST_PERMISSIONS}),
    ],
    ids=["list", "tuple", "mapping", "text"],
)
def test_whole_hosts_can_be_said_to_every_server(given) -> None:
    assert host_permissions(OLD, given) == ["a", "b"]


def test_names_mean_every_permission() -> None:
    assert json.loads(str(host_permissions(NEW, ["a"]))) == {"a": list(HOST_PERMISSIONS)}


def test_single_permissions_are_kept_where_the_server_has_them() -> None:
    given = {"a": ("upload-file",), "b": []}
    assert json.loads(str(host_permissions(NEW, None, given))) == {"a": ["upload-file"], "b": []}
    assert host_permissions(NEW, json.dumps({"a": ["upload-file"]})) == '{"a": ["upload-file"]}'
    with pytest.raises(BackendAPIVersionError, match="vfolder_host_perms"):
        host_permissions(OLD, None, given)


def test_no_host_at_all_is_something_to_say() -> None:
    assert host_permissions(OLD, []) == []
    assert host_permissions(NEW, {}) == "{}"
    assert host_permissions(NEW, None) is None


@pytest.mark.parametrize("given", ["local:volume1", 5, [""], [None], {"a": "upload-file"}, {"a": ["fly"]}, {"": []}])
def test_what_allows_no_host_is_refused(given) -> None:
    with pytest.raises(InvalidArgument, match="allowed_vfolder_hosts"):
        host_permissions(NEW, given)


def test_two_names_must_not_contradict() -> None:
    assert host_permissions(OLD, ["a"], ["a"]) == ["a"]
    with pytest.raises(InvalidArgument, match="contradicts"):
        host_permissions(OLD, ["a"], ["b"])
