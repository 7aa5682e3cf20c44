"""Making compute sessions: what a request may say, and what becomes of it."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.access import owner_of
from ai.backend.client.sandbox.core.parameters import (
    LEFT_OUT,
    REQUIRED,
    Field,
    Schema,
    anything,
    as_uuid,
    blank_text,
    checked_or_errors,
    choice,
    flag,
    list_of,
    mapping_of,
    optional,
    pattern,
    text,
    uuid_value,
    whole,
)
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found, not_implemented
from ai.backend.client.sandbox.core.slots import normalised, total
from ai.backend.client.sandbox.core.web import Call, answer
from ai.backend.client.sandbox.sessions.lookup import NAME, start_time
from ai.backend.client.sandbox.sessions.mounts import mounts_of

DEFAULT_SHMEM: Final = 64 * 2**20
DEFAULT_SLOTS: Final = {"cpu": "1", "mem": str(256 * 2**20)}

ROOT: Final[Schema] = {
    "name": Field(pattern(NAME), names=("name", "session_name", "clientSessionToken")),
    "image": Field(text, names=("image", "lang")),
    "architecture": Field(text, "x86_64", ("arch", "architecture")),
    "type": Field(choice("interactive", "batch", "inference", "system"), "interactive", ("type", "sessionType")),
    "group": Field(text, seed.GROUP, ("group", "groupName", "group_name")),
    "domain": Field(text, seed.DOMAIN, ("domain", "domainName", "domain_name")),
    "cluster_size": Field(whole(1), 1, ("cluster_size", "clusterSize")),
    "cluster_mode": Field(choice("single-node", "multi-node"), "single-node", ("cluster_mode", "clusterMode")),
    "config": Field(mapping_of(anything), {}),
    "tag": Field(optional(blank_text), None),
    "enqueue_only": Field(flag, False, ("enqueueOnly",)),
    "max_wait": Field(whole(0), 0, ("maxWaitSeconds",)),
    "starts_at": Field(optional(text), None, ("starts_at", "startsAt")),
    "reuse": Field(flag, True, ("reuseIfExists",)),
    "startup_command": Field(optional(blank_text), None, ("startupCommand",)),
    "bootstrap_script": Field(optional(text), None, ("bootstrap_script", "bootstrapScript")),
    "dependencies": Field(optional(list_of(text)), None),
    "callback_url": Field(optional(text), None, ("callback_url", "callbackUrl", "callbackURL")),
    "owner_access_key": Field(optional(text), None),
}
ROOT_V9: Final[Schema] = {**ROOT, "name": Field(text, names=ROOT["name"].names)}
CONFIG: Final[Schema] = {
    "mounts": Field(optional(list_of(text)), None),
    "environ": Field(optional(mapping_of(blank_text)), None),
    "scaling_group": Field(optional(text), None, ("scaling_group", "scalingGroup")),
    "resources": Field(optional(mapping_of(anything)), None),
    "resource_opts": Field(optional(mapping_of(anything)), None, ("resource_opts", "resourceOpts")),
}
CONFIG_V4: Final[Schema] = {**CONFIG, "cluster_size": Field(optional(whole(1)), None, ("cluster_size", "clusterSize"))}
CONFIG_V5: Final[Schema] = {
    **CONFIG_V4,
    "mount_map": Field(optional(mapping_of(text)), None, ("mount_map", "mountMap")),
    "preopen_ports": Field(optional(list_of(whole(1024, 65535))), None, ("preopen_ports", "preopenPorts")),
}
CONFIG_V6: Final[Schema] = {
    **{name: field for name, field in CONFIG_V5.items() if name != "cluster_size"},
    "agent_list": Field(optional(list_of(text)), None, ("agent_list", "agentList")),
}
"""Of the request's ``config``, by the version of its header."""

SERVICE_PORTS: Final[list[dict[str, Any]]] = []
"""The sandbox runs no services in sessions."""


async def create_session(call: Call) -> web.Response:
    """``POST /session``, ``POST /kernel/create``."""
    given = await call.parameters(ROOT_V9 if call.sandbox.v9 else ROOT)
    if call.sandbox.v9:  # which takes any name, and asks for the right to choose an agent where it schedules
        given["config"] = _config(call, given["config"])
        return await create(call, given)
    if given["name"] == "from-template":
        raise invalid("Requested session ID from-template is reserved word")
    given["config"] = _config(call, given["config"])
    agents = given["config"].get("agent_list")
    if agents and not call.caller.is_superadmin:
        raise Problem("insufficient-privilege", "You are not allowed to manually assign agents for your session.")
    if agents and len(agents) != 1:
        raise invalid(
            "For non-cluster sessions and single-node cluster sessions, "
            "you may specify only one manually assigned agent."
        )
    return await create(call, given)


def _config(call: Call, config: Mapping[str, Any]) -> dict[str, Any]:
    if call.sandbox.v4:
        schema = CONFIG_V4
    elif call.version[0] >= 6:
        schema = CONFIG_V6
    else:
        # As manager 23.09: only version 6 and later know the agent list that its handler then reads.
        raise Problem("internal-server-error")
    errors: dict[str, str] = {}
    checked = checked_or_errors(config, schema, errors, extra=call.sandbox.v9)
    if errors:
        raise Problem("internal-server-error")  # so it does not catch this error either
    return checked


async def create(call: Call, given: dict[str, Any]) -> web.Response:
    """Make a session, or find the one of that name, and wait for it as the request says."""
    config = given["config"]
    if given["cluster_size"] > 1 or (config.get("cluster_size") or 1) > 1:
        raise not_implemented("sessions of several containers")
    if given["dependencies"]:
        raise not_implemented("sessions that depend on others")
    with call.sandbox.write() as database:
        owner = owner_of(database, call.caller, given["owner_access_key"])
        keypair = database.get_one(model.KeyPair, owner)
        group = _group(call, database, keypair.user, given["domain"], given["group"])
        slots, image = _checked_slots(call, database, given)
        mounts = functools.partial(mounts_of, call, database, config["mounts"] or [], config.get("mount_map") or {})
        if call.sandbox.v9:
            mounts()  # looked at before a session of that name is
        found = _existing(database, given, owner, image)
        if found is not None:
            return answer(
                _body(call, found, created=False), 200 if call.sandbox.v4 else 201
            )  # fmt: skip
        if given["type"] == "inference" or given["type"] == "system":
            raise not_implemented(f"sessions of type {given['type']}")
        if given["type"] == "batch" and not given["startup_command"]:
            raise invalid("Batch sessions must have a non-empty startup command.")
        if given["type"] != "batch" and given["starts_at"]:
            raise invalid("Parameter starts_at should be used only for batch sessions")
        session = model.Session(
            id=uuid.uuid4(),
            kernel_id=uuid.uuid4(),
            name=given["name"],
            type=given["type"],
            access_key=owner,
            user_id=keypair.user,
            domain_name=given["domain"],
            group_id=group.id,
            image=image.reference,
            architecture=image.architecture,
            registry_name=image.registry_name,
            tag=given["tag"],
            scaling_group=_scaling_group(database, config["scaling_group"]),
            starts_at=start_time(given["starts_at"]) if given["starts_at"] else None,
            startup_command=given["startup_command"],
            bootstrap_script=given["bootstrap_script"] or None,
            callback_url=given["callback_url"],
            environ=config["environ"] or {},
            resource_opts={"main1": {"shmem": DEFAULT_SHMEM}},
            requested_slots=slots,
            vfolder_mounts=mounts(),
            preopen_ports=config.get("preopen_ports") or [],
            status_history={"PENDING": model.now().isoformat()},
            created_at=model.now(),
        )
        database.add(session)
    call.sandbox.kernels.enqueue(session)
    status = "PENDING"
    if not given["enqueue_only"]:
        status = await call.sandbox.kernels.wait_started(session.id, given["max_wait"])
    return answer(_body(call, session, created=True, status=status), 201)


FROM_TEMPLATE: Final[Schema] = {
    "template_id": Field(uuid_value, names=("template_id", "templateId")),
    **{
        name: Field(field.check, LEFT_OUT, field.names)
        for name, field in ROOT.items()
        if name not in ("cluster_size", "cluster_mode", "config", "enqueue_only", "max_wait", "reuse")
    },
    **{name: ROOT[name] for name in ("cluster_size", "cluster_mode", "config", "enqueue_only", "max_wait", "reuse")},
}


async def create_from_template(call: Call) -> web.Response:
    """``POST /session/_/create-from-template``: what the request does not say, the template does."""
    given = await call.parameters(FROM_TEMPLATE)
    with call.sandbox.read() as database:
        row = database.get(model.SessionTemplate, given.pop("template_id"))
        group = database.get(model.Group, row.group_id) if row is not None and row.is_active else None
    if row is None or group is None:
        raise not_found("task template")
    spec = row.template["spec"]
    kernel, run = spec["kernel"], spec["kernel"].get("run") or {}
    if kernel.get("git"):
        raise not_implemented("templates that clone a repository")
    config = {
        "mounts": list(spec.get("mounts") or ()),
        "mount_map": {name: place for name, place in (spec.get("mounts") or {}).items() if place},
        "environ": kernel.get("environ"),
        "resources": spec.get("resources"),
        "scaling_group": spec.get("scaling_group"),
        **given.pop("config"),
    }
    from_template = {
        "image": kernel["image"],
        "architecture": kernel.get("architecture") or "x86_64",
        "type": spec["session_type"],
        "domain": row.domain_name,
        "group": group.name,
        "tag": row.template["metadata"].get("tag"),
        "startup_command": run.get("startup_command"),
        "bootstrap_script": run.get("bootstrap"),
    }
    defaults = {
        name: None if field.default is REQUIRED else field.default for name, field in ROOT.items() if name != "config"
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if "name" not in chosen:
        raise invalid("Error while validating template")
    return await create(call, {**defaults, **from_template, **chosen, "config": _config(call, config)})


def _body(call: Call, session: model.Session, *, created: bool, status: str = "") -> dict[str, Any]:
    if call.sandbox.v4:
        body: dict[str, Any] = {"kernelId": session.name}
    else:
        body = {"sessionId": str(session.id), "sessionName": session.name}
    # The managers themselves name the list differently for a session that was there already.
    names = ["servicePorts" if created else "service_ports"]
    if call.sandbox.v9 and not created:
        names.append("servicePorts")
    ports = {name: list(session.service_ports or ()) for name in names}
    return {**body, "status": status or session.status, **ports, "created": created}


def find_image(database: Database, reference: str, architecture: str) -> model.Image:
    """An image by its full name or an alias.

    Raises:
        Problem: 404.
    """
    alias = database.get(model.ImageAlias, reference)
    if alias is not None:
        return database.get_one(model.Image, alias.image)
    for image in database.query(model.Image).filter_by(architecture=architecture):
        if image.reference == reference:
            return image
    raise not_found("environment image", "unknown alias or disallowed registry")


def _group(call: Call, database: Database, user: uuid.UUID, domain: str, name: str) -> model.Group:
    group = database.query(model.Group).filter_by(domain_name=domain, name=name, is_active=True).first()
    if group is None and (number := as_uuid(name)):
        group = database.get(model.Group, number)
    if group is not None and not call.caller.is_superadmin and database.get(model.Membership, (group.id, user)) is None:
        group = None
    if group is None:
        raise Problem("entity-not-found", "No such project") if call.sandbox.v9 else invalid("Invalid group")
    return group


def _scaling_group(database: Database, name: str | None) -> str:
    if name is None:
        return seed.SCALING_GROUP
    if database.get(model.ScalingGroup, name) is None:
        raise invalid(f"The given scaling group does not exist. ({name})")
    return name


def _checked_slots(call: Call, database: Database, given: Mapping[str, Any]) -> tuple[dict[str, str], model.Image]:
    try:
        asked = normalised(given["config"]["resources"] or {})
    except ValueError as error:
        if call.sandbox.v9:
            raise Problem("unknown-resource-slot-type", str(error)) from None
        raise invalid(f"Invalid resource allocation: {error}") from None
    image = find_image(database, given["image"], given["architecture"])
    slots = {**DEFAULT_SLOTS, **asked}
    lowest = total([normalised({slot: limits["min"] for slot, limits in image.limits.items()})])
    amounts = total([slots])
    if call.sandbox.v9:  # which starts what the image says is too small
        return slots, image
    if any(amounts[slot] < amount for slot, amount in lowest.items()):
        needed = ", ".join(f"{slot}={amount}" for slot, amount in lowest.items())
        raise invalid(f"Your resource request is smaller than the minimum required by the image. ({needed})")
    return slots, image


def _existing(
    database: Database, given: Mapping[str, Any], owner: str, image: model.Image
) -> model.Session | None:  # fmt: skip
    found = (
        database.query(model.Session)
        .filter_by(access_key=owner, name=given["name"])
        .filter(model.Session.status.in_(model.LIVE))
        .first()
    )
    if found is not None and (found.image != image.reference or not given["reuse"]):
        raise Problem("session-already-exists", data={"existingSessionId": str(found.id)})
    return found
