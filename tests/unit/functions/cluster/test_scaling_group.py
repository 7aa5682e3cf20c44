"""Scaling groups."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
GID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
MUTATIONS: list[tuple[str, tuple[Any, ...], str, dict[str, Any]]] = [
    (
        "associate_domain", ("s", "d"),
        ("mutation($scaling_group: String!, $domain: String!) { associate_scaling_group_with_domain(scaling_group: "
        "$scaling_group, domain: $domain) { ok msg } }"),
        {"scaling_group": "s", "domain": "d"},
    ),
    (
        "dissociate_domain", ("s", "d"),
        ("mutation($scaling_group: String!, $domain: String!) { disassociate_scaling_group_with_domain(scaling_group: "
        "$scaling_group, domain: $domain) { ok msg } }"),
        {"scaling_group": "s", "domain": "d"},
    ),
    (
        "dissociate_all_domain", ("d",),
        "mutation($domain: String!) { disassociate_all_scaling_groups_with_domain(domain: $domain) { ok msg } }",
        {"domain": "d"},
    ),
    (
        "associate_group", ("s", GID),
        ("mutation($scaling_group: String!) { associate_scaling_group_with_user_group(scaling_group: $scaling_group, "
        f'user_group: "{GID}") {{ ok msg }} }}'),
        {"scaling_group": "s"},
    ),
    (
        "dissociate_group", ("s", uuid.UUID(GID)),
        ("mutation($scaling_group: String!) { disassociate_scaling_group_with_user_group(scaling_group: "
        f'$scaling_group, user_group: "{GID}") {{ ok msg }} }}'),
        {"scaling_group": "s"},
    ),
    (
        "dissociate_all_group", (GID,),
        f'mutation {{ disassociate_all_scaling_groups_with_group(user_group: "{GID}") {{ ok msg }} }}', {},
    ),
    (
        "associate_keypair", ("s", "AK"),
        ("mutation($scaling_group: String!, $access_key: String!) { associate_scaling_group_with_keypair("
        "scaling_group: $scaling_group, access_key: $access_key) { ok msg } }"),
        {"scaling_group": "s", "access_key": "AK"},
    ),
    (
        "dissociate_keypair", ("s", "AK"),
        ("mutation($scaling_group: String!, $access_key: String!) { disassociate_scaling_group_with_keypair("
        "scaling_group: $scaling_group, access_key: $access_key) { ok msg } }"),
        {"scaling_group": "s", "access_key": "AK"},
    ),
    ("delete", ("s",), "mutation($name: String!) { delete_scaling_group(name: $name) { ok msg } }", {"name": "s"}),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "query", "variables"), MUTATIONS)
def test_one_document_for_every_server(version, function, args, query, variables, proxy, play) -> None:
    """Pitfall: ids of groups are `String!` or `UUID!` by release; the vendor's 23.09 client declares a wrong one."""
    started = play(getattr(proxy(version)["ScalingGroup"], function), *args)
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {"query": query, "variables": variables},
        "idempotent": False,
    }


READS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("list", (), {}, "query { scaling_groups { name } }", {}),
    (
        "list", (), {"is_active": True},
        "query($is_active: Boolean) { scaling_groups(is_active: $is_active) { name } }", {"is_active": True},
    ),
    ("detail", ("s",), {}, "query($name: String) { scaling_group(name: $name) { name } }", {"name": "s"}),
    (
        "list_for_domain", ("d", False), {},
        ("query($domain: String!, $is_active: Boolean) { scaling_groups_for_domain(domain: $domain, is_active: "
        "$is_active) { name } }"),
        {"domain": "d", "is_active": False},
    ),
    ("list_for_group", (GID,), {}, f'query {{ scaling_groups_for_user_group(user_group: "{GID}") {{ name }} }}', {}),
    (
        "list_for_keypair", ("AK",), {},
        "query($access_key: String!) { scaling_groups_for_keypair(access_key: $access_key) { name } }",
        {"access_key": "AK"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "options", "query", "variables"), READS)
def test_reading(function, args, options, query, variables, proxy, play) -> None:
    started = play(getattr(proxy()["ScalingGroup"], function), *args, fields=["name"], **options)
    assert started.request["json"] == {"query": query, "variables": variables}
    assert started.request["idempotent"]


@pytest.mark.parametrize("group", [GID, uuid.UUID(GID)])
def test_what_is_available(group, proxy, play, reply, capsys) -> None:
    """Pitfall: the vendor's 23.09 client prints the answer."""
    started = play(proxy()["ScalingGroup"].list_available, group)
    assert started.request == {"send": "GET /scaling-groups", "params": {"group": GID}, "idempotent": True}
    answer = {"scaling_groups": [{"name": "s"}]}
    assert started.answer(reply(answer)).value == answer
    assert capsys.readouterr().out == ""


def test_the_app_proxys_version(proxy, play, reply) -> None:
    scaling_group = proxy()["ScalingGroup"]
    started = play(scaling_group.get_wsproxy_version, "a/b", "default")
    assert started.request == {
        "send": "GET /scaling-groups/a%2Fb/wsproxy-version",
        "params": {"group": "default"},
        "idempotent": True,
    }
    assert started.answer(reply({"wsproxy_version": "v2"})).value == {"wsproxy_version": "v2"}
    assert "params" not in play(scaling_group.get_wsproxy_version, "s").request
    with pytest.raises(BackendAPIVersionError, match="20210815"):
        play(proxy("v6.20200815")["ScalingGroup"].get_wsproxy_version, "s")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_input_object_of_a_new_group_needs_no_type(version, proxy, play) -> None:
    """Pitfall: it is called `ScalingGroupInput` or `CreateScalingGroupInput`, by release. And options are JSON text."""
    started = play(
        proxy(version)["ScalingGroup"].create, "s", driver="static", scheduler="fifo", scheduler_opts={"a": 1}
    )
    assert started.request["json"] == {
        "query": "mutation($name: String!, $description: String, $is_active: Boolean, $driver: String!, $scheduler: "
        "String!, $scheduler_opts: JSONString) { create_scaling_group(name: $name, props: { description: $description, "
        "is_active: $is_active, driver: $driver, scheduler: $scheduler, scheduler_opts: $scheduler_opts }) { ok msg "
        "scaling_group { name } } }",
        "variables": {
            "name": "s",
            "description": "",
            "is_active": True,
            "driver": "static",
            "scheduler": "fifo",
            "scheduler_opts": '{"a": 1}',
        },
    }


def test_a_change_holds_only_what_was_given(proxy, play) -> None:
    """Pitfall: the vendor's 19.09 client resets description and state, and sends nulls for the rest."""
    started = play(proxy()["ScalingGroup"].update, "s", wsproxy_addr="http://x.example", fields=["name"])
    assert started.request["json"] == {
        "query": "mutation($name: String!, $props: ModifyScalingGroupInput!) { modify_scaling_group(name: $name, "
        "props: $props) { ok msg } }",
        "variables": {"name": "s", "props": {"wsproxy_addr": "http://x.example"}},
    }


@pytest.mark.parametrize("function", ["create", "update"])
@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("v6.20200815", {"wsproxy_addr": "a"}),
        ("v6.20220315", {"is_public": False}),
        ("v6.20220315", {"use_host_network": True}),
        ("v6.20230315", {"wsproxy_api_token": "t"}),
    ],
)
def test_arguments_that_the_server_lacks_are_refused(version, function, options, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=next(iter(options))):
        play(getattr(proxy(version)["ScalingGroup"], function), "s", driver="d", scheduler="s", **options)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("create", ("s",), {"scheduler": "fifo"}, "driver"),
    ("create", ("s",), {"driver": "static"}, "scheduler"),
    ("create", ("s",), {"driver": "d", "scheduler": "s", "driver_opts": ["a"]}, "driver_opts"),
    ("update", ("s",), {"fields": ["name"]}, "description"),
    ("update", ("s",), {"is_active": True, "fields": ["nonesuch"]}, "fields"),
    ("update", ("",), {"is_active": True}, "name"),
    ("list_available", ("",), {}, "group"),
    ("get_wsproxy_version", ("",), {}, "name"),
    ("get_wsproxy_version", ("..",), {}, "name"),
    ("associate_group", ("s", "default"), {}, "group_id"),
    ("associate_domain", ("s", None), {}, "domain"),
    ("list_for_group", ("default",), {}, "group_id"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["ScalingGroup"], function), *args, **options)
    assert caught.value.argument.split(",")[0] == argument


def test_tokens_are_not_repeated(proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="wsproxy_api_token") as caught:
        play(proxy()["ScalingGroup"].update, "s", wsproxy_api_token="tok\0en")
    assert "tok" not in repr(caught.value).replace("token", "")


@pytest.mark.parametrize("name", ["", None])
def test_an_object_needs_its_name(name, proxy) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        proxy()["ScalingGroup"](name)
