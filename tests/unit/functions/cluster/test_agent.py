"""Agents and their watchers."""

from __future__ import annotations

from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument

PAGE = "items { id status scaling_group available_slots occupied_slots } total_count"
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    (
        "paginated_list", ("LOST", "sg"), {"page_offset": 4, "page_size": 2, "filter": 'id like "a%"', "order": "+id"},
        ("query($limit: Int!, $offset: Int!, $filter: String, $order: String, $status: String, $scaling_group: String) "
        "{ agent_list(limit: $limit, offset: $offset, filter: $filter, order: $order, status: $status, "
        f"scaling_group: $scaling_group) {{ {PAGE} }} }}"),
        {
            "limit": 2, "offset": 4, "filter": 'id like "a%"', "order": "+id", "status": "LOST", "scaling_group": "sg",
        },
    ),
    (
        "paginated_summaries", (), {},
        ("query($limit: Int!, $offset: Int!, $status: String) { agent_summary_list(limit: $limit, offset: $offset, "
        f"status: $status) {{ {PAGE} }} }}"),
        {"limit": 20, "offset": 0, "status": "ALIVE"},
    ),
    (
        "list", (), {"fields": ["id"]},
        "query { agents { id } }",
        {},
    ),
    (
        "list", ("ALIVE", "sg"), {"fields": ["id"]},
        ("query($scaling_group: String, $status: String) { agents(scaling_group: $scaling_group, status: $status) "
        "{ id } }"),
        {"scaling_group": "sg", "status": "ALIVE"},
    ),
    (
        "detail", ("i",), {"fields": ["id"]},
        "query($agent_id: String!) { agent(agent_id: $agent_id) { id } }",
        {"agent_id": "i"},
    ),
    (
        "summary", ("i",), {"fields": ["id"]},
        "query($agent_id: String!) { agent_summary(agent_id: $agent_id) { id } }",
        {"agent_id": "i"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "options", "query", "variables"), CALLS)
def test_only_given_arguments_are_declared_and_sent(function, args, options, query, variables, proxy, play) -> None:
    started = play(getattr(proxy()["Agent"], function), *args, **options)
    assert started.request["json"] == {"query": query, "variables": variables}
    assert started.request["idempotent"]


def test_a_page_as_19_09_gives_it(proxy, play, reply) -> None:
    started = play(proxy("v4.20190615")["Agent"].list_with_limit, 10, 0, fields=["id"])
    assert started.request["json"]["variables"] == {"limit": 10, "offset": 0, "status": "ALIVE"}
    page = {"items": [{"id": "i"}], "total_count": 1}
    assert started.answer(reply({"agent_list": page})).value == page


@pytest.mark.parametrize("function", ["list_with_limit", "paginated_list", "list"])
def test_several_states_lose_their_blanks(function, proxy, play) -> None:
    """The manager looks for a state named " LOST" otherwise."""
    args = (1, 0) if function == "list_with_limit" else ()
    started = play(getattr(proxy()["Agent"], function), *args, status="ALIVE, LOST")
    assert started.request["json"]["variables"]["status"] == "ALIVE,LOST"


def test_a_change_holds_only_what_was_given(proxy, play, reply) -> None:
    started = play(proxy()["Agent"].update, "i", schedulable=False)
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {
            "query": "mutation($id: String!, $props: ModifyAgentInput!) { modify_agent(id: $id, props: $props) "
            "{ ok msg } }",
            "variables": {"id": "i", "props": {"schedulable": False}},
        },
        "idempotent": False,
    }
    assert started.answer(reply({"modify_agent": {"ok": True, "msg": ""}})).value == {"ok": True, "msg": ""}


REFUSED: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("v6.20200815", "update", ("i",), {"schedulable": True}),
    ("v6.20210815", "update", ("i",), {"scaling_group": "sg"}),
    ("v6.20220315", "summary", ("i",), {}),
    ("v6.20220315", "paginated_summaries", (), {}),
    ("v6.20200815", "paginated_list", (), {"filter": "x"}),
    ("v6.20200815", "paginated_list", (), {"order": "x"}),
]


@pytest.mark.parametrize(("version", "function", "args", "options"), REFUSED)
def test_what_the_server_lacks_is_refused(version, function, args, options, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="API version"):
        play(getattr(proxy(version)["Agent"], function), *args, **options)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("list_with_limit", ("10", 0), {}, "limit"),
    ("list_with_limit", (101, 0), {}, "limit"),
    ("list_with_limit", (1, -1), {}, "offset"),
    ("paginated_list", ("alive",), {}, "status"),
    ("paginated_list", ("ALIVE,",), {}, "status"),
    ("paginated_summaries", ("ALIVE,LOST",), {}, "status"),
    ("list", (), {"fields": ["nonesuch"]}, "fields"),
    ("list", (), {"fields": []}, "fields"),
    ("detail", ("",), {}, "agent_id"),
    ("update", ("i",), {}, "schedulable, scaling_group"),
    ("update", ("i",), {"schedulable": 1}, "schedulable"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Agent"], function), *args, **options)
    assert caught.value.argument == argument


def test_the_status_of_a_watcher_is_asked_without_a_body(proxy, play) -> None:
    """Pitfall: some proxies drop the body of a GET."""
    assert play(proxy()["AgentWatcher"].get_status, "i").request == {
        "send": "GET /resource/watcher",
        "params": {"agent_id": "i"},
        "idempotent": True,
    }


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_what_a_watcher_is_told(action, proxy, play) -> None:
    assert play(getattr(proxy()["AgentWatcher"], f"agent_{action}"), "i").request == {
        "send": f"POST /resource/watcher/agent/{action}",
        "json": {"agent_id": "i"},
        "idempotent": False,
    }


@pytest.mark.parametrize("function", ["get_status", "agent_start", "agent_stop", "agent_restart"])
def test_a_watchers_message_is_the_value(function, proxy, play, reply) -> None:
    ask = getattr(proxy()["AgentWatcher"], function)
    assert play(ask, "i").answer(reply({"message": "no systemd"})).value == "no systemd"
    assert play(ask, "i").answer(reply({"result": "ok"})).value == {"result": "ok"}
    with pytest.raises(InvalidArgument, match="agent_id"):
        play(ask, "")
