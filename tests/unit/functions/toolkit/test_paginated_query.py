"""The vendor's functions for paginated queries, and its class of inference sessions."""

from __future__ import annotations

import asyncio
import json

import pytest
import responses

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument
from ai.backend.client.functions.compute.inference_session import InferenceSession
from ai.backend.client.functions.toolkit.pages import PaginatedResult
from ai.backend.client.functions.toolkit.paginated_query import (
    execute_paginated_query,
    fetch_paginated_result,
    generate_paginated_results,
)
from ai.backend.client.session import AsyncSession, Session

URL = "http://manager.example"
CONFIG = {"endpoint": URL, "access_key": "AK", "secret_key": "SK"}
VARIABLES = {"status": ("ALIVE", "String"), "filter": (None, "String"), "order": ("-id", "String")}


@pytest.fixture
def manager():
    """A manager with three agents, which answers two per page at most."""

    def answer(request):
        variables = json.loads(request.body)["variables"]
        agents = [{"id": f"i-{number}"} for number in range(3)]
        start = variables["offset"]
        page = {"items": agents[start : start + min(2, variables["limit"])], "total_count": 3}
        return 200, {}, json.dumps({"agent_list": page, "data": variables})

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add(responses.GET, f"{URL}/", json={"version": "v7.20230615", "manager": "23.09.10"})
        mock.add_callback(responses.POST, f"{URL}/admin/graphql", callback=answer)
        yield mock


def sent(manager):
    return [json.loads(call.request.body) for call in manager.calls if call.request.method == "POST"]


def test_one_page_of_a_session(manager) -> None:
    with Session(config=APIConfig(**CONFIG)):
        page = execute_paginated_query("agent_list", VARIABLES, ["id"], limit=2, offset=1)
        assert page == PaginatedResult(3, [{"id": "i-1"}, {"id": "i-2"}], ("id",))
        assert fetch_paginated_result("agent_list", VARIABLES, ["id"], page_offset=1, page_size=2) == page
    assert sent(manager)[0] == sent(manager)[1]
    assert sent(manager)[0] == {
        "query": "query($limit: Int!, $offset: Int!, $order: String, $status: String) { agent_list(limit: $limit, "
        "offset: $offset, order: $order, status: $status) { items { id } total_count } }",
        "variables": {"limit": 2, "offset": 1, "order": "-id", "status": "ALIVE"},
    }


def test_one_page_in_asyncio(manager) -> None:
    async def main():
        async with AsyncSession(config=APIConfig(**CONFIG)):
            return await execute_paginated_query("agent_list", {}, ["id"], limit=2, offset=0)

    assert asyncio.run(main()).total_count == 3


def test_every_item(manager) -> None:
    with Session(config=APIConfig(**CONFIG)):
        items = generate_paginated_results("agent_list", VARIABLES, ["id"], page_size=2)
        assert [item["id"] for item in items] == ["i-0", "i-1", "i-2"]
    assert [body["variables"]["offset"] for body in sent(manager)] == [0, 1]  # the overlap shows what moved


def test_outside_of_a_session() -> None:
    with pytest.raises(RuntimeError, match="with Session"):
        execute_paginated_query("agent_list", {}, ["id"], limit=2, offset=0)


@pytest.mark.parametrize(("argument", "limit", "offset"), [("limit", 0, 0), ("limit", 101, 0), ("offset", 10, -1)])
def test_sizes_out_of_range_are_value_errors(argument, limit, offset) -> None:
    with pytest.raises(ValueError, match=argument):
        execute_paginated_query("agent_list", {}, ["id"], limit=limit, offset=offset)


@pytest.mark.parametrize("variables", [None, {"status": "ALIVE"}, {"status": ("ALIVE",)}, {"status": ("ALIVE", 5)}])
def test_variables_have_types(variables, manager) -> None:
    with Session(config=APIConfig(**CONFIG)), pytest.raises(InvalidArgument, match="variables"):
        execute_paginated_query("agent_list", variables, ["id"], limit=2, offset=0)


def test_filters_need_their_version(manager) -> None:
    with Session(config=APIConfig(**CONFIG, version="v6.20200815")):
        assert fetch_paginated_result("agent_list", {"filter": (None, "String")}, ["id"], page_offset=0, page_size=5)
        with pytest.raises(BackendAPIVersionError):
            fetch_paginated_result("agent_list", VARIABLES, ["id"], page_offset=0, page_size=5)


# Inference sessions


@pytest.mark.parametrize(
    ("given", "condition"),
    [(None, '(type == "INFERENCE")'), ('name == "a"', '(name == "a") & (type == "INFERENCE")')],
)
def test_a_page_of_inference_sessions(given, condition, proxy, play) -> None:
    kernel = proxy()["Kernel"]
    bound = type("InferenceSession", (InferenceSession,), {"session": kernel.session, "server": kernel.server})
    call = play(bound.paginated_list, "RUNNING", filter=given, fields=["name"])
    assert call.request["json"]["variables"]["filter"] == condition
    assert call.request["json"]["variables"]["status"] == "RUNNING"
    assert "compute_session_list" in call.request["json"]["query"]


def test_inference_sessions_need_filters(proxy, play) -> None:
    kernel = proxy("v6.20200815")["Kernel"]
    bound = type("InferenceSession", (InferenceSession,), {"session": kernel.session, "server": kernel.server})
    with pytest.raises(BackendAPIVersionError, match=r"v6\.20210815"):
        play(bound.paginated_list)
