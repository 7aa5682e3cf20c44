"""The proxies that have their first functions: what they send, and the GraphQL helper behind them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ai.backend.client.exceptions import InvalidArgument, InvalidReply
from ai.backend.client.functions import PROXIES

GROUP_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
ONE: dict[str, Any] = {"fields": ["name"]}

GRAPHQL = [
    (
        "Agent",
        "detail",
        ("i",),
        ONE,
        "query($agent_id: String!) { agent(agent_id: $agent_id) { name } }",
        {"agent_id": "i"},
    ),
    ("Domain", "list", (), ONE, "query { domains { name } }", {}),
    ("Domain", "detail", ("d",), ONE, "query($name: String) { domain(name: $name) { name } }", {"name": "d"}),
    (
        "Group",
        "list",
        ("d",),
        ONE,
        "query($domain_name: String) { groups(domain_name: $domain_name) { name } }",
        {"domain_name": "d"},
    ),
    ("Group", "detail", (GROUP_ID,), ONE, f'query {{ group(id: "{GROUP_ID}") {{ name }} }}', {}),
    (
        "Image",
        "list",
        (),
        ONE,
        "query($is_operation: Boolean) { images(is_operation: $is_operation) { name } }",
        {"is_operation": False},
    ),
    ("KeyPair", "list", (), ONE, "query { keypairs { name } }", {}),
    ("KeyPair", "list", ("me",), ONE, "query($email: String) { keypairs(email: $email) { name } }", {"email": "me"}),
    (
        "KeyPair",
        "info",
        (),
        ONE,
        "query($access_key: String) { keypair(access_key: $access_key) { name } }",
        {"access_key": "mine"},
    ),
    ("KeypairResourcePolicy", "list", (), ONE, "query { keypair_resource_policies { name } }", {}),
    (
        "KeypairResourcePolicy",
        "info",
        ("p",),
        ONE,
        "query($name: String) { keypair_resource_policy(name: $name) { name } }",
        {"name": "p"},
    ),
    ("ScalingGroup", "list", (), ONE, "query { scaling_groups { name } }", {}),
    (
        "ScalingGroup",
        "detail",
        ("s",),
        ONE,
        "query($name: String) { scaling_group(name: $name) { name } }",
        {"name": "s"},
    ),
    (
        "User",
        "list",
        (True,),
        ONE,
        "query($is_active: Boolean) { users(is_active: $is_active) { name } }",
        {"is_active": True},
    ),
    ("User", "detail", (), ONE, "query { user { name } }", {}),
    ("User", "detail", ("me",), ONE, "query($email: String) { user(email: $email) { name } }", {"email": "me"}),
    ("User", "detail_by_uuid", (), ONE, "query { user { name } }", {}),
    ("User", "detail_by_uuid", (GROUP_ID,), ONE, f'query {{ user_from_uuid(user_id: "{GROUP_ID}") {{ name }} }}', {}),
]

HTTP = [
    ("AgentWatcher", "get_status", ("i",), {"send": "GET /resource/watcher", "params": {"agent_id": "i"}}, {"a": 1}),
    ("Resource", "list", (), {"send": "GET /resource/presets"}, {"presets": []}),
    ("Resource", "get_resource_slots", (), {"send": "GET /config/resource-slots"}, {"cpu": "count"}),
    (
        "ScalingGroup",
        "list_available",
        ("g",),
        {"send": "GET /scaling-groups", "params": {"group": "g"}},
        {"scaling_groups": []},
    ),
    ("VFolder", "list", (), {"send": "GET /folders"}, [{"name": "a"}]),
    ("VFolder", "list", (True,), {"send": "GET /folders", "json": {"all": True}}, []),
    ("VFolder", "info", (), {"send": "GET /folders/mine"}, {"name": "mine"}),
]


def bound(proxy: Any, name: str, function: str) -> Any:
    """The function of a proxy, of an object called "mine" where it is one of objects."""
    owner = proxy()[name]
    member = getattr(owner, function)
    return member if hasattr(member, "submit") else getattr(owner("mine"), function)


@pytest.mark.parametrize(("name", "function", "args", "options", "query", "variables"), GRAPHQL)
def test_only_given_arguments_are_declared_and_sent(
    name, function, args, options, query, variables, proxy, play, reply
) -> None:
    started = play(bound(proxy, name, function), *args, **options)
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {"query": query, "variables": variables},
        "idempotent": True,
    }
    root = query.split("{")[1].split("(")[0].strip()
    assert started.answer(reply({root: [{"name": "x"}]})).value == [{"name": "x"}]


@pytest.mark.parametrize(("name", "function", "args", "request_", "answer"), HTTP)
def test_plain_requests(name, function, args, request_, answer, proxy, play, reply) -> None:
    started = play(bound(proxy, name, function), *args)
    assert started.request == {**request_, "idempotent": True}
    assert started.answer(reply(answer)).value == answer


def test_a_page_of_agents(proxy, play, reply) -> None:
    started = play(proxy()["Agent"].list_with_limit, 10, 0, fields=["id"])
    assert started.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!, $status: String) { agent_list(limit: $limit, offset: $offset, "
        "status: $status) { items { id } total_count } }",
        "variables": {"limit": 10, "offset": 0, "status": "ALIVE"},
    }
    page = {"items": [{"id": "i"}], "total_count": 1}
    assert started.answer(reply({"agent_list": page})).value == page


def test_a_watchers_message_is_the_value(proxy, play, reply) -> None:
    assert play(proxy()["AgentWatcher"].get_status, "i").answer(reply({"message": "no systemd"})).value == "no systemd"


@pytest.mark.parametrize(("query", "idempotent"), [("query { user { uuid } }", True), ("mutation { x { ok } }", False)])
def test_raw_graphql(query, idempotent, proxy, play, reply) -> None:
    started = play(proxy()["Admin"].query, query, {"a": None})
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {"query": query, "variables": {"a": None}},
        "idempotent": idempotent,
    }
    assert started.answer(reply({"user": None})).value == {"user": None}


def test_fields_may_be_specifications(proxy, play) -> None:
    started = play(proxy()["Domain"].list, fields=["name", SimpleNamespace(field_ref="groups { id }")])
    assert started.request["json"]["query"] == "query { domains { name groups { id } } }"


@pytest.mark.parametrize("fields", ["name", [5], [""], [SimpleNamespace()]])
def test_fields_must_be_fields(fields, proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="fields"):
        play(proxy()["Domain"].list, fields=fields)


def test_literals_cannot_leave_their_string(proxy, play) -> None:
    started = play(proxy()["Group"].detail, '") { id } domains { name } #\n', fields=["id"])
    assert started.request["json"]["query"] == r'query { group(id: "\") { id } domains { name } #\n") { id } }'


def test_an_answer_without_the_operation_is_an_invalid_reply(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply, match="domains"):
        play(proxy()["Domain"].list).answer(reply({}))


@pytest.mark.parametrize(
    ("name", "args"), [("KeyPair", ("",)), ("ScalingGroup", (None,)), ("VFolder", ("",)), ("VFolder", ("..",))]
)
def test_objects_need_their_names(name, args, proxy) -> None:
    with pytest.raises(InvalidArgument):
        proxy()[name](*args)


def test_all_proxies_are_there() -> None:
    assert sorted(PROXIES) == [
        "Admin", "Agent", "AgentWatcher", "Auth", "ComputeSession", "Domain", "Group", "Image", "Kernel", "KeyPair",
        "KeypairResourcePolicy", "Manager", "Resource", "ScalingGroup", "User", "VFolder",
    ]  # fmt: skip
    assert PROXIES["ComputeSession"] is PROXIES["Kernel"]
