"""``/config``, ``/resource``, ``/scaling-groups``, ``/acl``: settings of the cluster, and how much there is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.parameters import Field, anything, as_uuid, flag, optional, text
from ai.backend.client.sandbox.core.problems import invalid, not_found
from ai.backend.client.sandbox.core.slots import SHOWN, total
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Role, Routes, answer, missing
from ai.backend.client.sandbox.folders.handlers import TYPES

REGISTRIES: Final = "config/docker/registry/"
MAX_LEAVES: Final = 16
INFINITE: Final = Decimal("Infinity")

METADATA: Final = {
    "cpu": ("CPU", "CPU", "Core", False, 0, "cpu"),
    "mem": ("RAM", "Memory", "GiB", True, 2, "ram"),
}


def routes(sandbox: Sandbox) -> Routes:
    """The routes of a generation."""
    table = Routes()
    table.add("GET /config/resource-slots", role=Role.ANYBODY)(resource_slots)
    table.add("GET /config/vfolder-types", role=Role.ANYBODY)(vfolder_types)
    table.add("GET /config/docker-registries", role=Role.SUPERADMIN)(registries)
    table.add("POST /config/get", role=Role.SUPERADMIN)(get_config)
    table.add("POST /config/set", role=Role.SUPERADMIN)(set_config)
    table.add("POST /config/delete", role=Role.SUPERADMIN)(delete_config)
    table.add("GET /resource/presets")(presets)
    table.add("POST /resource/check-presets")(check_presets)
    table.add("POST /resource/recalculate-usage", role=Role.SUPERADMIN)(recalculate)
    for path in ("usage/month", "usage/period", "stats/user/month", "stats/admin/month"):
        table.add(f"GET /resource/{path}")(missing("usage statistics"))
    for route in (
        "GET /resource/watcher",
        "POST /resource/watcher/agent/start",
        "POST /resource/watcher/agent/stop",
        "POST /resource/watcher/agent/restart",
    ):
        table.add(route, role=Role.SUPERADMIN)(missing("the agent watcher"))
    table.add("GET /scaling-groups")(scaling_groups)
    if not sandbox.v4:
        table.add("GET /config/resource-slots/details", role=Role.ANYBODY)(slot_details)
        table.add("GET /scaling-groups/{name}/wsproxy-version")(wsproxy_version)
        table.add("GET /acl")(acl)
    return table


async def resource_slots(_call: Call) -> web.Response:
    return answer(dict(SHOWN))


async def slot_details(call: Call) -> web.Response:
    await call.parameters({"sgroup": Field(optional(text), None)})
    return answer(
        {
            slot: {
                "slot_name": slot,
                "description": description,
                "human_readable_name": name,
                "display_unit": unit,
                "number_format": {"binary": binary, "round_length": digits},
                "display_icon": icon,
            }
            for slot, (name, description, unit, binary, digits, icon) in METADATA.items()
        }
    )


async def vfolder_types(_call: Call) -> web.Response:
    return answer(TYPES)


async def registries(call: Call) -> web.Response:
    with call.sandbox.read() as database:
        found = database.query(model.ConfigEntry).filter(model.ConfigEntry.key.startswith(REGISTRIES)).all()
    project = "stable/" if call.sandbox.v9 else ""  # keys name the project, too, since registries are in the database
    return answer({project + entry.key.removeprefix(REGISTRIES): entry.value.rstrip("/") + "/" for entry in found})


def _below(database: Database, prefix: str) -> list[model.ConfigEntry]:
    """Keys that begin so: plain text, as in etcd, and not path by path."""
    return [entry for entry in database.query(model.ConfigEntry).order_by("key") if entry.key.startswith(prefix)]


async def get_config(call: Call) -> web.Response:
    given = await call.parameters({"key": Field(text), "prefix": Field(flag, False)})
    key = given["key"].strip("/")
    with call.sandbox.read() as database:
        if not given["prefix"]:
            entry = database.get(model.ConfigEntry, key)
            return answer({"result": entry.value if entry else None})
        tree: dict[str, Any] = {}
        for entry in _below(database, key):
            _put(tree, [part for part in entry.key.removeprefix(key).split("/") if part], entry.value)
    return answer({"result": tree})


def _put(tree: dict[str, Any], parts: list[str], value: str) -> None:
    """Put a value at its place; one with others below it is under the empty key."""
    if not parts:
        tree[""] = value
        return
    head, *rest = parts
    if not rest and head not in tree:
        tree[head] = value
        return
    inner = tree.get(head)
    if not isinstance(inner, dict):
        inner = tree[head] = {} if inner is None else {"": inner}
    _put(inner, rest, value)


async def set_config(call: Call) -> web.Response:
    given = await call.parameters({"key": Field(text), "value": Field(anything)})
    leaves = dict(_leaves(given["key"].strip("/"), given["value"]))
    if len(leaves) > MAX_LEAVES:
        raise invalid("Too large update! Split into smaller key-value pair sets.")
    with call.sandbox.write() as database:
        for key, value in leaves.items():
            database.merge(model.ConfigEntry(key=key, value=str(value)))
    return answer({"result": "ok"})


def _leaves(key: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(key, value)]
    return [
        leaf for name, inner in value.items() for leaf in _leaves(f"{key}/{name}" if name else key, inner)
    ]  # fmt: skip


async def delete_config(call: Call) -> web.Response:
    given = await call.parameters({"key": Field(text), "prefix": Field(flag, False)})
    key = given["key"].strip("/")
    with call.sandbox.write() as database:
        entry = database.get(model.ConfigEntry, key)
        for found in _below(database, key) if given["prefix"] else [entry]:
            if found is not None:
                database.delete(found)
    return answer({"result": "ok"})


def _preset(sandbox: Sandbox, preset: model.ResourcePreset) -> dict[str, Any]:
    number = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, preset.name))} if sandbox.v9 else {}
    return {
        **number,
        "name": preset.name,
        "shared_memory": str(preset.shared_memory) if preset.shared_memory else None,
        "resource_slots": preset.resource_slots,
    }


def _presets(database: Database) -> list[model.ResourcePreset]:
    return database.query(model.ResourcePreset).order_by(model.ResourcePreset.name).all()


async def presets(call: Call) -> web.Response:
    return answer({"presets": [_preset(call.sandbox, preset) for preset in call.sandbox.recall(_presets)]})


async def check_presets(call: Call) -> web.Response:
    given = await call.parameters({"scaling_group": Field(optional(text), None), "group": Field(text, seed.GROUP)})
    caller = call.caller
    with call.sandbox.read() as database:
        group = (
            database.query(model.Group)
            .join(model.Membership, model.Membership.group_id == model.Group.id)
            .filter(
                model.Membership.user_id == caller.user_id,
                model.Group.name == given["group"],
                model.Group.domain_name == caller.domain,
            )
            .one_or_none()
        )
        if group is None:
            raise invalid("Unknown user group")
        if given["scaling_group"] not in (None, seed.SCALING_GROUP):
            raise invalid("Unknown scaling group")
        keypair = database.get_one(model.KeyPair, caller.access_key)
        policy = database.get_one(model.KeyPairResourcePolicy, keypair.resource_policy)
        found = _presets(database)
        occupying = database.query(model.Session).filter(model.Session.status.in_(model.OCCUPYING)).all()
    unlimited = policy.default_for_unspecified == "UNLIMITED"
    limits = {slot: Decimal(policy.total_resource_slots.get(slot, "Infinity" if unlimited else "0")) for slot in SHOWN}
    group_limits = {slot: Decimal(group.total_resource_slots.get(slot, "Infinity")) for slot in SHOWN}
    own = _amounts(total(one.requested_slots for one in occupying if one.access_key == caller.access_key))
    in_group = _amounts(total(one.requested_slots for one in occupying if one.group_id == group.id))
    used = _amounts(total(one.requested_slots for one in occupying))
    group_remaining = {slot: group_limits[slot] - in_group[slot] for slot in SHOWN}
    remaining = {slot: min(limits[slot] - own[slot], group_remaining[slot]) for slot in SHOWN}
    agent = {"cpu": Decimal(seed.CPUS), "mem": Decimal(seed.MEMORY)}
    left = {slot: min(remaining[slot], agent.get(slot, Decimal()) - used[slot]) for slot in SHOWN}
    body: dict[str, Any] = {
        "keypair_limits": _text(limits),
        "keypair_using": _text(own),
        "keypair_remaining": _text(remaining),
        "scaling_group_remaining": _text(left),
        "scaling_groups": {seed.SCALING_GROUP: {"using": _text(own), "remaining": _text(left)}},
        "presets": [
            {
                **_preset(call.sandbox, preset),
                "allocatable": all(left[slot] >= Decimal(amount) for slot, amount in preset.resource_slots.items()),
            }
            for preset in found
        ],
    }
    if not call.sandbox.v4:
        body |= {
            "group_limits": _text(group_limits),
            "group_using": _text(in_group),
            "group_remaining": _text(group_remaining),
        }
    return answer(body)


def _amounts(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {slot: amounts.get(slot, Decimal()) for slot in SHOWN}


def _text(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {slot: "Infinity" if amount == INFINITE else f"{amount:f}" for slot, amount in amounts.items()}


async def recalculate(_call: Call) -> web.Response:
    return answer({})  # the sandbox computes usage when it is asked


async def scaling_groups(call: Call) -> web.Response:
    given = await call.parameters({"group": Field(text, names=("group", "group_id", "group_name"))})
    names = _scaling_groups_of(call, given["group"])
    return answer({"scaling_groups": [{"name": name} for name in names]})


def _scaling_groups_of(call: Call, group: str) -> list[str]:
    """Names of those that the caller may use in a group."""
    caller = call.caller
    number = as_uuid(group)
    with call.sandbox.read() as database:
        found = database.query(model.Group).filter_by(domain_name=caller.domain)
        found = found.filter_by(id=number) if number else found.filter_by(name=group)
        targets = [("domain", caller.domain), ("keypair", caller.access_key)]
        targets += [("group", str(one.id)) for one in found]
        names = {
            use.scaling_group
            for kind, target in targets
            for use in database.query(model.ScalingGroupUse).filter_by(kind=kind, target=target)
        }
        rows = database.query(model.ScalingGroup).order_by(model.ScalingGroup.name)
        return [
            row.name for row in rows if row.name in names and row.is_active and (row.is_public or caller.is_admin)
        ]  # fmt: skip


async def wsproxy_version(call: Call) -> web.Response:
    given = await call.parameters({"group": Field(optional(text), None, ("group", "group_id", "group_name"))})
    if call.path("name") not in _scaling_groups_of(call, given["group"] or ""):
        raise not_found("scaling group")
    return answer({"wsproxy_version": "v1"})


async def acl(_call: Call) -> web.Response:
    return answer({"vfolder_host_permission_list": list(seed.HOST_PERMISSIONS)})
