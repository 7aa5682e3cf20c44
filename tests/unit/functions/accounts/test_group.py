"""Groups."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
GID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
USER = "11111111-2222-4333-8444-555555555555"
READS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    (
        "list", ("d",), {},
        "query($domain_name: String) { groups(domain_name: $domain_name) { id } }", {"domain_name": "d"},
    ),
    (
        "list", (None,), {"is_active": True},
        "query($is_active: Boolean) { groups(is_active: $is_active) { id } }", {"is_active": True},
    ),
    ("detail", (GID,), {}, f'query {{ group(id: "{GID}") {{ id }} }}', {}),
    ("detail", (uuid.UUID(GID),), {}, f'query {{ group(id: "{GID}") {{ id }} }}', {}),
    (
        "detail", (GID,), {"domain_name": "d"},
        f'query($domain_name: String) {{ group(id: "{GID}", domain_name: $domain_name) {{ id }} }}',
        {"domain_name": "d"},
    ),
    (
        "from_name", ("n",), {"domain_name": "d"},
        "query($name: String!, $domain_name: String) { groups_by_name(name: $name, domain_name: $domain_name) { id } }",
        {"name": "n", "domain_name": "d"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "options", "query", "variables"), READS)
def test_reading(function, args, options, query, variables, proxy, play) -> None:
    started = play(getattr(proxy()["Group"], function), *args, fields=["id"], **options)
    assert started.request["json"] == {"query": query, "variables": variables}
    assert started.request["idempotent"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("function", ["delete", "purge"])
def test_ids_are_written_into_the_document_for_every_server(version, function, proxy, play) -> None:
    """Pitfall: their type is `String!` or `UUID!`, by release."""
    assert play(getattr(proxy(version)["Group"], function), GID).request["json"] == {
        "query": f'mutation {{ {function}_group(gid: "{GID}") {{ ok msg }} }}',
        "variables": {},
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_group_has_no_nulls(version, proxy, play) -> None:
    """Pitfall: 23.09 fails on null slots and hosts, which its own client sends."""
    assert play(proxy(version)["Group"].create, "d", "n").request["json"] == {
        "query": "mutation($name: String!, $props: GroupInput!) { create_group(name: $name, props: $props) "
        "{ ok msg group { id domain_name name } } }",
        "variables": {"name": "n", "props": {"description": "", "is_active": True, "domain_name": "d"}},
    }


def test_a_change_holds_only_what_was_given(proxy, play) -> None:
    """Pitfall: the vendor's client clears every column that was not given, and ignores `fields`."""
    started = play(proxy()["Group"].update, GID, description="", resource_policy="p", fields=["name"])
    assert started.request["json"] == {
        "query": f'mutation($props: ModifyGroupInput!) {{ modify_group(gid: "{GID}", props: $props) '
        "{ ok msg group { name } } }",
        "variables": {"props": {"description": "", "resource_policy": "p"}},
    }


@pytest.mark.parametrize(("function", "mode"), [("add_users", "add"), ("remove_users", "remove")])
@pytest.mark.parametrize("kind", [list, set, iter])
def test_members_come_in_any_iterable(function, mode, kind, proxy, play) -> None:
    """Pitfall: sets and generators cannot be written as JSON."""
    assert play(getattr(proxy()["Group"], function), GID, kind([USER])).request["json"] == {
        "query": f'mutation($props: ModifyGroupInput!) {{ modify_group(gid: "{GID}", props: $props) {{ ok msg }} }}',
        "variables": {"props": {"user_update_mode": mode, "user_uuids": [USER]}},
    }


REFUSED: list[tuple[str, str, tuple[Any, ...], dict[str, Any], str]] = [
    ("v6.20200815", "from_name", ("n",), {}, "v6.20210815"),
    ("v5.20191215", "detail", (GID,), {"domain_name": "d"}, "v6.20200815"),
    ("v6.20230315", "create", ("d", "n"), {"resource_policy": "p"}, "v7.20230615"),
    ("v6.20230315", "update", (GID,), {"resource_policy": "p"}, "v7.20230615"),
]


@pytest.mark.parametrize(("version", "function", "args", "options", "needed"), REFUSED)
def test_what_the_server_lacks_is_refused(version, function, args, options, needed, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=needed):
        play(getattr(proxy(version)["Group"], function), *args, **options)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("list", ("",), {}, "domain_name"),
    ("detail", ('") { id } #',), {}, "gid"),
    ("from_name", ("",), {}, "name"),
    ("create", ("", "n"), {}, "domain_name"),
    ("create", ("d", ""), {}, "name"),
    ("update", ("n",), {"name": "x"}, "gid"),
    ("add_users", (GID, USER), {}, "user_uuids"),
    ("add_users", (GID, []), {}, "user_uuids"),
    ("remove_users", (GID, ["me"]), {}, "user_uuids"),
    ("add_users", (GID, [USER]), {"fields": ["nonesuch"]}, "fields"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Group"], function), *args, **options)
    assert caught.value.argument == argument
