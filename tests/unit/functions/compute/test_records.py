"""Lists of compute sessions and of their containers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument

SESSION = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("v4.20190615", "id sess_id sess_type status status_info created_at terminated_at"),
        ("v5.20191215", "id name type status status_info created_at terminated_at"),
        ("v7.20230615", "id name type status status_info created_at terminated_at"),
    ],
)
def test_the_names_of_the_generation_are_asked_for(version, fields, proxy, play) -> None:
    started = play(proxy(version)["Kernel"].paginated_list)
    assert started.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!) { compute_session_list(limit: $limit, offset: $offset) "
        f"{{ items {{ {fields} }} total_count }} }}",
        "variables": {"limit": 20, "offset": 0},
    }


def test_everything_that_sessions_can_be_chosen_by(proxy, play) -> None:
    started = play(
        proxy()["Kernel"].paginated_list,
        "RUNNING, PENDING",
        "AK",
        domain_name="d",
        group_id=uuid.UUID(SESSION),
        fields=["dependencies"],
    )
    assert started.request["json"]["variables"] == {
        "limit": 20,
        "offset": 0,
        "domain_name": "d",
        "group_id": SESSION,
        "status": "RUNNING,PENDING",
        "access_key": "AK",
    }
    assert "items { dependencies { id name } }" in started.request["json"]["query"]


def test_containers_of_a_session(proxy, play, reply) -> None:
    started = play(
        proxy("v5.20191215")["Kernel"].paginated_containers, uuid.UUID(SESSION), "main", fields=["kernel_id"]
    )
    assert started.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!, $session_id: ID!, $role: String) { compute_container_list(limit: "
        "$limit, offset: $offset, session_id: $session_id, role: $role) { items { id } total_count } }",
        "variables": {"limit": 20, "offset": 0, "session_id": SESSION, "role": "main"},
    }
    page = started.answer(reply({"compute_container_list": {"items": [{"id": "c"}], "total_count": 1}})).value
    assert page.items == [{"id": "c"}]


def test_containers_need_v5(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="20191215"):
        play(proxy("v4.20190615")["Kernel"].paginated_containers, SESSION)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("paginated_list", ("running",), {}, "status"),
    ("paginated_list", ("RUNNING,",), {}, "status"),
    ("paginated_list", (None, ""), {}, "access_key"),
    ("paginated_list", (), {"group_id": "default"}, "group_id"),
    ("paginated_list", (), {"fields": ["nonesuch"]}, "fields"),
    ("paginated_containers", ("mine",), {}, "session_id"),
    ("paginated_containers", (SESSION, ""), {}, "role"),
    ("paginated_containers", (SESSION,), {"fields": ["name"]}, "fields"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Kernel"], function), *args, **options)
    assert caught.value.argument == argument
