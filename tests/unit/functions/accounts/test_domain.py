"""Domains."""

from __future__ import annotations

from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
FIELDS = (
    "name description is_active created_at total_resource_slots allowed_vfolder_hosts allowed_docker_registries "
    "integration_id"
)
READS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    ("list", (), {}, f"query {{ domains {{ {FIELDS} }} }}", {}),
    (
        "list", (), {"is_active": False, "fields": ["name"]},
        "query($is_active: Boolean) { domains(is_active: $is_active) { name } }",
        {"is_active": False},
    ),
    ("detail", ("d",), {}, f"query($name: String) {{ domain(name: $name) {{ {FIELDS} }} }}", {"name": "d"}),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "options", "query", "variables"), READS)
def test_reading(version, function, args, options, query, variables, proxy, play) -> None:
    started = play(getattr(proxy(version)["Domain"], function), *args, **options)
    assert started.request["json"] == {"query": query, "variables": variables}
    assert started.request["idempotent"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_domain_has_no_nulls(version, proxy, play, reply) -> None:
    """Pitfall: 23.09 fails on null slots."""
    started = play(proxy(version)["Domain"].create, "d")
    assert started.request["json"] == {
        "query": "mutation($name: String!, $props: DomainInput!) { create_domain(name: $name, props: $props) "
        "{ ok msg domain { name } } }",
        "variables": {"name": "d", "props": {"description": "", "is_active": True}},
    }
    made = {"ok": True, "msg": "success", "domain": {"name": "d"}}
    assert started.answer(reply({"create_domain": made})).value == made


def test_a_change_holds_only_what_was_given(proxy, play) -> None:
    """Pitfall: the vendor's client clears every column that was not given."""
    started = play(proxy()["Domain"].update, "d", new_name="e")
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {
            "query": "mutation($name: String!, $props: ModifyDomainInput!) { modify_domain(name: $name, props: $props) "
            "{ ok msg } }",
            "variables": {"name": "d", "props": {"name": "e"}},
        },
        "idempotent": False,
    }


def test_a_change_tells_the_fields_that_were_asked_for(proxy, play) -> None:
    """Pitfall: the vendor's client takes `fields` and ignores it."""
    started = play(proxy()["Domain"].update, "d", is_active=False, fields=["name", "is_active"])
    assert "{ ok msg domain { name is_active } }" in started.request["json"]["query"]
    assert started.request["json"]["variables"]["props"] == {"is_active": False}


def test_everything_that_can_be_set(proxy, play) -> None:
    options: dict[str, Any] = {
        "description": "text",
        "is_active": False,
        "total_resource_slots": {"cpu": 8, "mem": "64g"},
        "allowed_docker_registries": iter(["cr.example"]),
        "integration_id": "other",
    }
    started = play(proxy("v4.20190615")["Domain"].create, "d", allowed_vfolder_hosts=("h",), **options)
    assert started.request["json"]["variables"]["props"] == {
        "description": "text",
        "is_active": False,
        "total_resource_slots": '{"cpu": 8, "mem": "64g"}',
        "allowed_vfolder_hosts": ["h"],
        "allowed_docker_registries": ["cr.example"],
        "integration_id": "other",
    }


def test_none_is_not_given(proxy, play) -> None:
    started = play(proxy()["Domain"].create, "d", None, None, None, None, None, None)
    assert started.request["json"]["variables"]["props"] == {}


@pytest.mark.parametrize("function", ["delete", "purge"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_end_of_a_domain(version, function, proxy, play) -> None:
    started = play(getattr(proxy(version)["Domain"], function), "d")
    assert started.request["json"] == {
        "query": f"mutation($name: String!) {{ {function}_domain(name: $name) {{ ok msg }} }}",
        "variables": {"name": "d"},
    }
    assert not started.request["idempotent"]


def test_the_later_name_of_the_hosts(proxy, play) -> None:
    started = play(proxy("v4.20190615")["Domain"].create, "d", vfolder_host_perms=["h"])
    assert started.request["json"]["variables"]["props"]["allowed_vfolder_hosts"] == ["h"]


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("detail", ("",), {}, "name"),
    ("create", (None,), {}, "name"),
    ("create", ("d",), {"description": 5}, "description"),
    ("create", ("d",), {"is_active": "yes"}, "is_active"),
    ("create", ("d",), {"total_resource_slots": "cpu=1"}, "total_resource_slots"),
    ("create", ("d",), {"allowed_docker_registries": "cr.example"}, "allowed_docker_registries"),
    ("create", ("d",), {"fields": ["nonesuch"]}, "fields"),
    ("create", ("d",), {"allowed_vfolder_hosts": ["a"], "vfolder_host_perms": ["b"]}, "vfolder_host_perms"),
    ("update", ("d",), {"new_name": ""}, "new_name"),
    ("purge", ("",), {}, "name"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Domain"], function), *args, **options)
    assert caught.value.argument == argument


def test_a_change_of_nothing_is_refused(proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="one of them must be given") as caught:
        play(proxy()["Domain"].update, "d", fields=["name"])
    assert caught.value.argument.startswith("name, description, is_active, ")


def test_single_permissions_need_a_server_that_has_them(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="20230315"):
        play(proxy("v6.20200815")["Domain"].update, "d", vfolder_host_perms={"h": ["upload-file"]})


@pytest.mark.parametrize("answer", [{}, {"create_domain": None}, {"create_domain": []}])
def test_an_answer_without_the_outcome_is_an_invalid_reply(answer, proxy, play, reply) -> None:
    started = play(proxy()["Domain"].create, "d")
    with pytest.raises(InvalidReply, match="create_domain"):
        started.answer(reply(answer))


@pytest.mark.parametrize("answer", [{"domains": None}, {"domains": {}}, {"groups": []}])
def test_an_answer_without_the_list_is_an_invalid_reply(answer, proxy, play, reply) -> None:
    started = play(proxy()["Domain"].list)
    with pytest.raises(InvalidReply, match="domains"):
        started.answer(reply(answer))


@pytest.mark.parametrize("ok", [True, False])
def test_slots_of_a_new_domain_follow_from_25_on(proxy, play, reply, ok):
    said = {"ok": ok, "msg": "", "domain": {"name": "d"}}
    call = play(proxy("v9.20250722")["Domain"].create, "d", total_resource_slots={"cpu": 8}, description="x")
    first = call.request["json"]
    assert "create_domain" in first["query"]
    assert "total_resource_slots" not in first["variables"]["props"]
    call.answer(reply({"data": {"create_domain": said}, "errors": None}))
    if ok:
        second = call.request["json"]
        assert "modify_domain" in second["query"]
        assert second["variables"] == {"name": "d", "props": {"total_resource_slots": '{"cpu": 8}'}}
        call.answer(reply({"data": {"modify_domain": said}, "errors": None}))
    assert call.done
    assert call.value == said
