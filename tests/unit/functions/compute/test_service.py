"""Model services."""

from __future__ import annotations

import re
import uuid

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

SERVICE_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
ROUTE_ID = "bc7e7242-4767-4b92-ab12-1e6660d69832"
VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
PATH = f"/services/{SERVICE_ID}"
LEAST = {
    "name": "served",
    "desired_session_count": 2,
    "image": "python",
    "group": "default",
    "domain": "default",
    "cluster_size": 1,
    "cluster_mode": "single-node",
    "open_to_public": False,
    "arch": "x86_64",
    "config": {"model": "llm"},
}
CASES = [
    ("list", (), {}, {"send": "GET /services", "idempotent": True}),
    ("list", ("served",), {}, {"send": "GET /services", "params": {"name": "served"}, "idempotent": True}),
    (
        "create",
        ("python", "llm", 2),
        {"service_name": "served"},
        {"send": "POST /services", "json": LEAST, "idempotent": False},
    ),
    (
        "create",
        ("python", uuid.UUID(SERVICE_ID), 0),
        {
            "service_name": "served",
            "model_version": "3",
            "model_mount_destination": "/m",
            "envs": {"A": "1"},
            "startup_command": "run",
            "resources": {"cpu": 1},
            "resource_opts": {"shmem": "1g"},
            "cluster_size": 2,
            "cluster_mode": "multi-node",
            "domain_name": "d",
            "group_name": "g",
            "bootstrap_script": "ZWNobw==",
            "tag": "t",
            "architecture": "aarch64",
            "scaling_group": "gpu",
            "owner_access_key": "AK",
            "expose_to_public": True,
        },
        {
            "send": "POST /services",
            "json": {
                "name": "served",
                "desired_session_count": 0,
                "image": "python",
                "group": "g",
                "domain": "d",
                "cluster_size": 2,
                "cluster_mode": "multi-node",
                "open_to_public": True,
                "arch": "aarch64",
                "tag": "t",
                "startup_command": "run",
                "bootstrap_script": "ZWNobw==",
                "owner_access_key": "AK",
                "config": {
                    "model": SERVICE_ID,
                    "model_version": "3",
                    "model_mount_destination": "/m",
                    "environ": {"A": "1"},
                    "scaling_group": "gpu",
                    "resources": {"cpu": 1},
                    "resource_opts": {"shmem": "1g"},
                },
            },
            "idempotent": False,
        },
    ),
    ("info", (), {}, {"send": f"GET {PATH}", "idempotent": True}),
    ("delete", (), {}, {"send": f"DELETE {PATH}", "idempotent": False}),
    ("sync", (), {}, {"send": f"POST {PATH}/sync", "idempotent": True}),
    ("scale", (0,), {}, {"send": f"POST {PATH}/scale", "json": {"to": 0}, "idempotent": True}),
    (
        "generate_api_token",
        ("1h",),
        {},
        {"send": f"POST {PATH}/token", "json": {"duration": "1h"}, "idempotent": False},
    ),
    (
        "update_traffic_ratio",
        (ROUTE_ID, 2),
        {},
        {"send": f"PUT {PATH}/routings/{ROUTE_ID}", "json": {"traffic_ratio": 2.0}, "idempotent": True},
    ),
    (
        "downscale_single_route",
        (uuid.UUID(ROUTE_ID),),
        {},
        {"send": f"DELETE {PATH}/routings/{ROUTE_ID}", "idempotent": False},
    ),
    ("list_errors", (), {}, {"send": f"GET {PATH}/errors", "idempotent": True}),
    ("clear_errors", (), {}, {"send": f"POST {PATH}/errors/clear", "idempotent": True}),
]


def started(proxy, play, version, function, args, options):
    owner = proxy(version)["Service"]
    member = getattr(owner, function)
    return play(member if hasattr(member, "submit") else getattr(owner(SERVICE_ID), function), *args, **options)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "options", "request_"), CASES)
def test_what_each_version_sends(version, function, args, options, request_, proxy, play) -> None:
    if version < "v6.20230315":
        with pytest.raises(BackendAPIVersionError, match=r"v6\.20230315"):
            started(proxy, play, version, function, args, options)
    else:
        assert started(proxy, play, version, function, args, options).request == request_


def test_a_token_with_an_end_of_its_own_needs_the_later_server(proxy, play) -> None:
    token = play(proxy()["Service"](SERVICE_ID).generate_api_token, valid_until=1795517681)
    assert token.request == {
        "send": f"POST {PATH}/token",
        "json": {"valid_until": 1795517681},
        "idempotent": False,
    }
    with pytest.raises(BackendAPIVersionError, match=r"v7\.20230615"):
        play(proxy("v6.20230315")["Service"](SERVICE_ID).generate_api_token, valid_until=1795517681)


def test_a_new_service_is_told_with_what_was_asked_for(proxy, play, reply) -> None:
    call = play(proxy()["Service"].create, "python", "llm", 2, expose_to_public=True)
    name = call.request["json"]["name"]
    assert re.fullmatch(r"service-[0-9a-f]{12}", name)
    assert call.answer(reply({"endpoint_id": SERVICE_ID})).value == {
        "endpoint_id": SERVICE_ID,
        "name": name,
        "desired_session_count": 2,
        "active_route_count": 0,
        "service_endpoint": None,
        "is_public": True,
    }


def test_random_names_differ(proxy, play) -> None:
    create = proxy()["Service"].create
    names = {play(create, "python", "llm", 1).request["json"]["name"] for _ in range(20)}
    assert len(names) == 20


def test_domain_and_group_are_those_of_the_configuration(proxy, play) -> None:
    """Null, which the vendor's client sends, is refused by the server."""
    body = play(proxy(domain="d", group="g")["Service"].create, "python", "llm", 1).request["json"]
    assert (body["domain"], body["group"]) == ("d", "g")


def test_the_architecture_can_be_left_to_the_server(proxy, play) -> None:
    assert "arch" not in play(proxy()["Service"].create, "python", "llm", 1, architecture=None).request["json"]


def test_pitfall_dependencies_are_not_taken_and_ignored(proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="dependencies"):
        play(proxy()["Service"].create, "python", "llm", 1, dependencies=[])


def test_an_answer_without_id_is_an_invalid_reply(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply, match="endpoint_id"):
        play(proxy()["Service"].create, "python", "llm", 1).answer(reply({}))


def test_graphql(proxy, play, reply) -> None:
    service = proxy()["Service"]
    call = play(
        service.paginated_list, page_size=5, page_offset=10, filter='name == "a"', order="-name", fields=["name"]
    )
    assert call.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!, $filter: String, $order: String) { endpoint_list(limit: $limit, "
        "offset: $offset, filter: $filter, order: $order) { items { name } total_count } }",
        "variables": {"limit": 5, "offset": 10, "filter": 'name == "a"', "order": "-name"},
    }
    assert call.answer(reply({"endpoint_list": {"items": [], "total_count": 0}})).value.total_count == 0
    call = play(service.detail, SERVICE_ID)
    assert call.request["json"] == {
        "query": "query($endpoint_id: UUID!) { endpoint(endpoint_id: $endpoint_id) { endpoint_id name image "
        "desired_session_count routings { routing_id session status traffic_ratio } session_owner open_to_public } }",
        "variables": {"endpoint_id": SERVICE_ID},
    }
    assert call.answer(reply({"endpoint": {"name": "a"}})).value == {"name": "a"}
    for function, args in [("paginated_list", ()), ("detail", (SERVICE_ID,))]:
        with pytest.raises(BackendAPIVersionError, match=r"v6\.20230315"):
            play(getattr(proxy("v6.20220615")["Service"], function), *args)


@pytest.mark.parametrize(
    ("argument", "function", "args", "options"),
    [
        ("name", "list", ("",), {}),
        ("image", "create", ("", "llm", 1), {}),
        ("model_id_or_name", "create", ("python", None, 1), {}),
        ("initial_session_count", "create", ("python", "llm", -1), {}),
        ("service_name", "create", ("python", "llm", 1), {"service_name": "abc"}),
        ("service_name", "create", ("python", "llm", 1), {"service_name": "a" * 25}),
        ("service_name", "create", ("python", "llm", 1), {"service_name": "-abcd"}),
        ("cluster_size", "create", ("python", "llm", 1), {"cluster_size": 0}),
        ("cluster_mode", "create", ("python", "llm", 1), {"cluster_mode": "many"}),
        ("envs", "create", ("python", "llm", 1), {"envs": {"A": 1}}),
        ("resources", "create", ("python", "llm", 1), {"resources": "cpu"}),
        ("bootstrap_script", "create", ("python", "llm", 1), {"bootstrap_script": ""}),
        ("expose_to_public", "create", ("python", "llm", 1), {"expose_to_public": 1}),
        ("service_id", "detail", ("x",), {}),
        ("fields", "detail", (SERVICE_ID, ["nme"]), {}),
        ("page_size", "paginated_list", (), {"page_size": 0}),
        ("to", "scale", (-1,), {}),
        ("to", "scale", ("2",), {}),
        ("duration", "generate_api_token", (), {}),
        ("duration", "generate_api_token", ("1h",), {"valid_until": 5}),
        ("duration", "generate_api_token", ("",), {}),
        ("valid_until", "generate_api_token", (), {"valid_until": -5}),
        ("target_route_id", "update_traffic_ratio", ("x", 1), {}),
        ("new_ratio", "update_traffic_ratio", (ROUTE_ID, -1), {}),
        ("new_ratio", "update_traffic_ratio", (ROUTE_ID, float("inf")), {}),
        ("new_ratio", "update_traffic_ratio", (ROUTE_ID, float("nan")), {}),
        ("new_ratio", "update_traffic_ratio", (ROUTE_ID, True), {}),
        ("target_route_id", "downscale_single_route", ("../x",), {}),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, function, args, options, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        started(proxy, play, "v7.20230615", function, args, options)
    assert caught.value.argument == argument


@pytest.mark.parametrize("id_", ["x", "", None])
def test_objects_need_a_uuid(id_, proxy) -> None:
    with pytest.raises(InvalidArgument, match="id"):
        proxy()["Service"](id_)
