"""Images."""

from __future__ import annotations

from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, dict[str, Any]]] = [
    (
        "list", (), {},
        "query($is_operation: Boolean) { images(is_operation: $is_operation) { name tag hash } }",
        {"is_operation": False},
    ),
    (
        "list", (True,), {"is_installed": True, "fields": ["labels"]},
        ("query($is_installed: Boolean, $is_operation: Boolean) { images(is_installed: $is_installed, is_operation: "
        "$is_operation) { labels { key value } } }"),
        {"is_installed": True, "is_operation": True},
    ),
    (
        "detail", ("r",), {"fields": ["name"]},
        "query($reference: String!) { image(reference: $reference) { name } }", {"reference": "r"},
    ),
    (
        "dealias_image", ("a",), {},
        "mutation($alias: String!) { dealias_image(alias: $alias) { ok msg } }", {"alias": "a"},
    ),
    (
        "forget_image", ("r", "aarch64"), {},
        ("mutation($reference: String!, $architecture: String) { forget_image(reference: $reference, architecture: "
        "$architecture) { ok msg } }"),
        {"reference": "r", "architecture": "aarch64"},
    ),
    (
        "clear_images", ("cr.example",), {},
        "mutation($registry: String) { clear_images(registry: $registry) { ok msg } }", {"registry": "cr.example"},
    ),
    (
        "unload_image", (iter(["r"]), ("a",)), {},
        ("mutation($references: [String]!, $target_agents: [String]!) { unload_image(references: $references, "
        "target_agents: $target_agents) { ok msg task_id } }"),
        {"references": ["r"], "target_agents": ["a"]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "options", "query", "variables"), CALLS)
def test_only_given_arguments_are_declared_and_sent(function, args, options, query, variables, proxy, play) -> None:
    started = play(getattr(proxy()["Image"], function), *args, **options)
    assert started.request["json"] == {"query": query, "variables": variables}
    assert started.request["idempotent"] == query.startswith("query")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_task_of_a_scan_is_known_from_v5_on(version, proxy, play, reply) -> None:
    started = play(proxy(version)["Image"].rescan_images)
    selection = "ok msg" if version.startswith("v4") else "ok msg task_id"
    query = f"mutation {{ rescan_images {{ {selection} }} }}"
    assert started.request["json"] == {"query": query, "variables": {}}
    outcome = {"ok": True, "msg": "", "task_id": "t"}
    assert started.answer(reply({"rescan_images": outcome})).value == outcome


def test_the_architecture_of_an_alias_is_part_of_the_document(proxy, play) -> None:
    """Pitfall: the vendor's client has it among the variables only."""
    started = play(proxy()["Image"].alias_image, "a", "t", arch="aarch64")
    assert started.request["json"] == {
        "query": "mutation($alias: String!, $target: String!, $architecture: String) { alias_image(alias: $alias, "
        "target: $target, architecture: $architecture) { ok msg } }",
        "variables": {"alias": "a", "target": "t", "architecture": "aarch64"},
    }


def test_a_change_without_limits_says_so(proxy, play) -> None:
    """23.09 fails where the limits are missing; a null changes nothing."""
    started = play(proxy()["Image"].modify_image, "t", size_bytes=1)
    assert started.request["json"] == {
        "query": "mutation($target: String!, $props: ModifyImageInput!) { modify_image(target: $target, props: $props) "
        "{ ok msg } }",
        "variables": {"target": "t", "props": {"resource_limits": None, "size_bytes": 1}},
    }


def test_limits_and_labels_become_lists(proxy, play) -> None:
    """A bound that is not given is empty: 23.09 fails where it is missing."""
    started = play(
        proxy()["Image"].modify_image,
        "t",
        labels={"a": "b"},
        resource_limits={"cpu": {"min": 1}, "mem": {"min": "64m", "max": "1g"}},
    )
    assert started.request["json"]["variables"]["props"] == {
        "labels": [{"key": "a", "value": "b"}],
        "resource_limits": [{"key": "cpu", "min": "1", "max": ""}, {"key": "mem", "min": "64m", "max": "1g"}],
    }


def test_importing_an_image(proxy, play, reply) -> None:
    image = proxy()["Image"]
    assert play(image.get_image_import_form).request == {"send": "GET /image/import", "idempotent": True}
    started = play(image.build, src="python:3", target="stable/python:3", minCPU=1)
    assert started.request == {
        "send": "POST /image/import",
        "json": {"src": "python:3", "target": "stable/python:3", "minCPU": 1},
        "idempotent": False,
    }
    task = {"importTask": {"sessionId": "s", "taskId": "t"}}
    assert started.answer(reply(task)).value == task


REFUSED: list[tuple[str, str, tuple[Any, ...], dict[str, Any], str]] = [
    ("v6.20210815", "detail", ("r", "x"), {}, "20220315"),
    ("v6.20210815", "alias_image", ("a", "t", "x"), {}, "20220315"),
    ("v6.20210815", "forget_image", ("r", "x"), {}, "20220315"),
    ("v6.20210815", "clear_images", ("r",), {}, "20220315"),
    ("v6.20210815", "modify_image", ("t",), {"tag": "x"}, "20220315"),
    ("v6.20220615", "modify_image", ("t",), {"is_local": True}, "20230315"),
    ("v4.20190615", "preload_image", (["r"], ["a"]), {}, "20191215"),
]


@pytest.mark.parametrize(("version", "function", "args", "options", "needed"), REFUSED)
def test_what_the_server_lacks_is_refused(version, function, args, options, needed, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=needed):
        play(getattr(proxy(version)["Image"], function), *args, **options)


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("list", (None,), {}, "operation"),
    ("list", (), {"is_installed": "yes"}, "is_installed"),
    ("detail", ("",), {}, "reference"),
    ("rescan_images", ("",), {}, "registry"),
    ("clear_images", (None,), {}, "registry"),
    ("alias_image", ("a", ""), {}, "target"),
    ("preload_image", ("r", ["a"]), {}, "references"),
    ("modify_image", ("t",), {"size_bytes": 2**31}, "size_bytes"),
    ("modify_image", ("t",), {"resource_limits": {"cpu": {"least": "1"}}}, "resource_limits"),
    ("build", (), {"src": "a", "target": "b", "nonesuch": 1}, "nonesuch"),
    ("build", (), {"src": "a"}, "target"),
]


@pytest.mark.parametrize(("function", "args", "options", "argument"), BAD)
def test_unusable_arguments_are_refused(function, args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Image"], function), *args, **options)
    assert caught.value.argument == argument
