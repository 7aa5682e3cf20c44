"""Resource presets, slots and usage."""

from __future__ import annotations

import json
import uuid

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
GROUP_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
DATES = {"start_date": "20240101", "end_date": "20240131"}

# function, arguments, keyword arguments, request, answer
CASES = [
    ("list", (), {}, {"send": "GET /resource/presets"}, {"presets": []}),
    ("check_presets", (), {}, {"send": "POST /resource/check-presets", "json": {"group": "default"}}, {"presets": []}),
    (
        "check_presets",
        (),
        {"group": "research", "scaling_group": "gpu"},
        {"send": "POST /resource/check-presets", "json": {"group": "research", "scaling_group": "gpu"}},
        {"presets": []},
    ),
    ("get_resource_slots", (), {}, {"send": "GET /config/resource-slots"}, {"cpu": "count"}),
    ("get_vfolder_types", (), {}, {"send": "GET /config/vfolder-types"}, ["user", "group"]),
    ("get_docker_registries", (), {}, {"send": "GET /config/docker-registries"}, {"r": "https://r"}),
    (
        "usage_per_month",
        ("202401", [GROUP_ID]),
        {},
        {"send": "GET /resource/usage/month", "json": {"month": "202401", "group_ids": [GROUP_ID]}},
        [{"g_id": GROUP_ID}],
    ),
    (
        "usage_per_period",
        (GROUP_ID, "20240101", "20240131"),
        {},
        {"send": "GET /resource/usage/period", "params": {"group_id": GROUP_ID, **DATES}},
        [],
    ),
    (
        "usage_per_period",
        (None, "20240101", "20240131"),
        {},
        {"send": "GET /resource/usage/period", "json": {"group_id": None, **DATES}},
        [],
    ),
    ("recalculate_usage", (), {}, {"send": "POST /resource/recalculate-usage"}, {}),
    ("user_monthly_stats", (), {}, {"send": "GET /resource/stats/user/month"}, [{"date": 1.5}]),
    ("admin_monthly_stats", (), {}, {"send": "GET /resource/stats/admin/month"}, []),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "options", "request_", "answer"), CASES)
def test_every_version_sends_the_same(version, function, args, options, request_, answer, proxy, play, reply) -> None:
    call = play(getattr(proxy(version)["Resource"], function), *args, **options)
    assert call.request == {**request_, "idempotent": True}
    assert call.answer(reply(answer)).value == answer


@pytest.mark.parametrize("group_ids", [None, [], ()])
def test_pitfall_all_groups_are_an_empty_list_and_no_null(group_ids, proxy, play) -> None:
    """23.09 fails with status 500 on null."""
    call = play(proxy()["Resource"].usage_per_month, "202401", group_ids)
    assert call.request["json"] == {"month": "202401", "group_ids": []}


def test_pitfall_presets_are_checked_in_the_callers_own_group(proxy, play) -> None:
    """The server's default is the group "default", and an error for who is not in it."""
    call = play(proxy(group="research")["Resource"].check_presets)
    assert call.request["json"] == {"group": "research"}


def test_groups_may_be_uuids_of_any_iterable(proxy, play) -> None:
    call = play(proxy()["Resource"].usage_per_month, "202401", iter([uuid.UUID(GROUP_ID), GROUP_ID.replace("-", "")]))
    assert call.request["json"]["group_ids"] == [GROUP_ID, GROUP_ID]


@pytest.mark.parametrize("version", VERSIONS)
def test_details_of_slots(version, proxy, play) -> None:
    details = proxy(version)["Resource"].get_slot_details
    if version < "v6.20230315":
        with pytest.raises(BackendAPIVersionError, match=r"v6\.20230315"):
            play(details)
        return
    assert play(details).request == {"send": "GET /config/resource-slots/details", "idempotent": True}
    assert play(details, "gpu").request["params"] == {"sgroup": "gpu"}


@pytest.mark.parametrize("version", VERSIONS)
def test_presets_are_made_changed_and_removed(version, proxy, play, reply) -> None:
    resource = proxy(version)["Resource"]
    call = play(resource.create_preset, "small", {"cpu": "1", "mem": "1g"})
    assert call.request == {
        "send": "POST /admin/graphql",
        "json": {
            "query": "mutation($name: String!, $props: CreateResourcePresetInput!) { create_resource_preset(name: "
            "$name, props: $props) { ok msg } }",
            "variables": {"name": "small", "props": {"resource_slots": '{"cpu": "1", "mem": "1g"}'}},
        },
        "idempotent": False,
    }
    refused = {"ok": False, "msg": "taken"}
    assert call.answer(reply({"create_resource_preset": refused})).value == refused
    call = play(resource.modify_preset, "small", '{"cpu": 2}')
    assert call.request["json"] == {
        "query": "mutation($name: String!, $props: ModifyResourcePresetInput!) { modify_resource_preset(name: $name, "
        "props: $props) { ok msg } }",
        "variables": {"name": "small", "props": {"resource_slots": '{"cpu": 2}'}},
    }
    call = play(resource.delete_preset, "small")
    assert call.request["json"] == {
        "query": "mutation($name: String!) { delete_resource_preset(name: $name) { ok msg } }",
        "variables": {"name": "small"},
    }


def test_shared_memory_needs_v5(proxy, play) -> None:
    for function, args in [("create_preset", ("small", {"cpu": 1})), ("modify_preset", ("small",))]:
        call = play(getattr(proxy("v5.20191215")["Resource"], function), *args, shared_memory="1g")
        assert call.request["json"]["variables"]["props"]["shared_memory"] == "1g"
        with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
            play(getattr(proxy("v4.20190615")["Resource"], function), *args, shared_memory="1g")


@pytest.mark.parametrize(
    ("version", "fields"),
    [("v4.20190615", "name resource_slots"), ("v5.20191215", "name resource_slots shared_memory")],
)
def test_one_preset(version, fields, proxy, play, reply) -> None:
    call = play(proxy(version)["Resource"].get_preset, "small")
    assert call.request["json"] == {
        "query": f"query($name: String) {{ resource_preset(name: $name) {{ {fields} }} }}",
        "variables": {"name": "small"},
    }
    assert call.answer(reply({"resource_preset": None})).value is None


def test_a_longest_period(proxy, play) -> None:
    call = play(proxy()["Resource"].usage_per_period, None, "20240101", "20240409")  # 100 days, both counted
    assert call.request["json"]["end_date"] == "20240409"
    with pytest.raises(InvalidArgument, match="end_date"):
        play(proxy()["Resource"].usage_per_period, None, "20240101", "20240410")


@pytest.mark.parametrize(
    ("argument", "function", "args", "options"),
    [
        ("group", "check_presets", (), {"group": ""}),
        ("scaling_group", "check_presets", (), {"scaling_group": 5}),
        ("name", "get_preset", ("",), {}),
        ("fields", "get_preset", ("small", ["nme"]), {}),
        ("name", "create_preset", (None, {"cpu": 1}), {}),
        ("resource_slots", "create_preset", ("small", None), {}),
        ("resource_slots", "create_preset", ("small", "{"), {}),
        ("resource_slots", "create_preset", ("small", "[1]"), {}),
        ("shared_memory", "create_preset", ("small", {}, 5), {}),
        ("resource_slots, shared_memory", "modify_preset", ("small",), {}),
        ("name", "delete_preset", (5,), {}),
        ("scaling_group", "get_slot_details", ("",), {}),
        ("month", "usage_per_month", ("202413", None), {}),
        ("month", "usage_per_month", (202401, None), {}),
        ("month", "usage_per_month", ("20240", None), {}),
        ("group_ids", "usage_per_month", ("202401", GROUP_ID), {}),
        ("group_ids", "usage_per_month", ("202401", ["research"]), {}),
        ("group_id", "usage_per_period", ("research", "20240101", "20240131"), {}),
        ("start_date", "usage_per_period", (None, "20240230", "20240301"), {}),
        ("start_date", "usage_per_period", (None, "2024-01-1", "20240301"), {}),
        ("end_date", "usage_per_period", (None, "20240101", None), {}),
        ("end_date", "usage_per_period", (None, "20240102", "20240101"), {}),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, function, args, options, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Resource"], function), *args, **options)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("function", "answer"), [("list", []), ("get_vfolder_types", {}), ("user_monthly_stats", None)]
)
def test_answers_of_another_kind_are_invalid_replies(function, answer, proxy, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(getattr(proxy()["Resource"], function)).answer(reply(answer))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("1g", str(2**30)),
        ("64m", str(64 * 2**20)),
        ("1.5K", "1536"),
        ("2GiB", str(2**31)),
        ("1gb", str(2**30)),
        ("1024", "1024"),
        ("0.5", "0.5"),
        ("Infinity", "Infinity"),
        (4, 4),
    ],
)
def test_a_changed_preset_has_no_units_from_25_on(proxy, play, given, sent):
    change = play(proxy("v9.20250722")["Resource"].modify_preset, "p", {"mem": given})
    assert json.loads(change.request["json"]["variables"]["props"]["resource_slots"]) == {"mem": sent}
    old = play(proxy("v7.20230615")["Resource"].modify_preset, "p", {"mem": given})
    assert json.loads(old.request["json"]["variables"]["props"]["resource_slots"]) == {"mem": given}
    new = play(proxy("v9.20250722")["Resource"].create_preset, "p", {"mem": given})
    assert json.loads(new.request["json"]["variables"]["props"]["resource_slots"]) == {"mem": given}
