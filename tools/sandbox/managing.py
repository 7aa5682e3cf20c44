"""``/`` and ``/manager``: versions, state, announcement, scheduler."""

from __future__ import annotations

import socket
from typing import Final

from aiohttp import web

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.parameters import Field, anything, blank_text, choice, flag, optional, text
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found, not_implemented
from ai.backend.client.sandbox.core.state import RELEASES
from ai.backend.client.sandbox.core.web import Call, Role, Routes, answer, nothing

ANNOUNCEMENT: Final = "manager/announcement"
HEARTBEAT_TIMEOUT: Final = 40.0
STATUSES: Final = ("running", "frozen")

routes = Routes()


@routes.add("GET /", role=Role.ANYBODY)
async def hello(call: Call) -> web.Response:
    api = call.sandbox.settings.api
    return answer({"version": api, "manager": RELEASES[api]})


@routes.add("GET /manager/status", role=Role.ANYBODY)
async def status(call: Call) -> web.Response:
    sandbox = call.sandbox
    active = sandbox.kernels.active
    node = {
        "id": "i-" + socket.gethostname(),
        "num_proc": 1,
        "service_addr": sandbox.endpoint.removeprefix("http://"),
        "heartbeat_timeout": HEARTBEAT_TIMEOUT,
        "ssl_enabled": False,
        "active_sessions": active,
        "status": sandbox.status,
        "version": RELEASES[sandbox.settings.api],
        "api_version": list(call.version),
    }
    return answer({"nodes": [node], "status": sandbox.status, "active_sessions": active})


@routes.add("PUT /manager/status", role=Role.SUPERADMIN)
async def change_status(call: Call) -> web.Response:
    # Managers up to 22.09 want the name of the state.
    words = tuple(word.upper() for word in STATUSES) if call.sandbox.v4 else STATUSES
    given = await call.parameters(
        {"status": Field(text if call.sandbox.v9 else choice(*words)), "force_kill": Field(flag, False)}
    )
    if given["status"] not in words:
        raise Problem("internal-server-error")  # 26.9 does not look at it before it uses it
    call.sandbox.status = given["status"].lower()
    if given["force_kill"]:
        await call.sandbox.kernels.end_all()
    return nothing()


@routes.add("GET /manager/announcement", role=Role.ANYBODY)
async def announcement(call: Call) -> web.Response:
    with call.sandbox.read() as database:
        entry = database.get(model.ConfigEntry, ANNOUNCEMENT)
    return answer({"enabled": entry is not None, "message": entry.value if entry else ""})


@routes.add("POST /manager/announcement", role=Role.SUPERADMIN)
async def announce(call: Call) -> web.Response:
    given = await call.parameters({"enabled": Field(flag, False), "message": Field(optional(blank_text), None)})
    if given["enabled"] and not given["message"]:
        raise invalid("Empty message not allowed to enable announcement")
    with call.sandbox.write() as database:
        if given["enabled"]:
            database.merge(model.ConfigEntry(key=ANNOUNCEMENT, value=given["message"]))
        else:
            database.query(model.ConfigEntry).filter_by(key=ANNOUNCEMENT).delete()
    return nothing()


@routes.add("POST /manager/scheduler/operation", role=Role.SUPERADMIN)
async def scheduler_operation(call: Call) -> web.Response:
    given = await call.parameters(
        {"op": Field(choice("include-agents", "exclude-agents")), "args": Field(anything)}
    )  # fmt: skip
    agents = given["args"]
    if not isinstance(agents, list):
        raise invalid(f"Input validation failed for args with {given['op']}", "value is not a list")
    if set(agents) - {seed.AGENT}:
        raise not_found("agent" if call.sandbox.v9 else "agent instance")
    call.sandbox.kernels.schedulable = given["op"] == "include-agents"
    return nothing()


@routes.add("POST /manager/scheduler/trigger", role=Role.SUPERADMIN)
async def scheduler_trigger(call: Call) -> web.Response:
    if call.sandbox.v9:
        raise invalid("Legacy scheduler trigger API is no longer supported")
    await call.parameters({"event": Field(choice("schedule", "prepare", "scale_services"))})
    return nothing()  # the sandbox's scheduler never waits: nothing is left to start


@routes.add("GET /manager/scheduler/status", role=Role.SUPERADMIN)
async def scheduler_status(call: Call) -> web.Response:
    if call.sandbox.v9:
        raise invalid("Legacy scheduler healthcheck API is no longer supported")
    raise not_implemented("the scheduler's own records")


scheduler_status.missing = "the scheduler's own records"  # type: ignore[attr-defined]  # as `missing` marks it
