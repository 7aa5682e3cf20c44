"""``/session`` (``/kernel`` in 19.09): create, look up, run, end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.parameters import Field, blank_text, checked, flag, optional, pattern, text, whole
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.core.slots import shown
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Routes, answer, missing, nothing
from ai.backend.client.sandbox.sessions.creation import create_from_template, create_session
from ai.backend.client.sandbox.sessions.kernels import Kernel
from ai.backend.client.sandbox.sessions.lookup import NAME, find, session_named

MODES: Final = ("query", "batch", "complete", "continue", "input")
PLACE: Final = {
    "row": Field(optional(whole(0)), None),
    "col": Field(optional(whole(0)), None),
    "line": Field(optional(blank_text), None),
}
"""Where a line is to be completed."""

OWNER: Final = {"owner_access_key": Field(optional(text), None)}


def routes(sandbox: Sandbox) -> Routes:
    """The routes under the name that the generation has for sessions."""
    table = Routes()
    base = "/kernel" if sandbox.v4 else "/session"
    one = base + "/{name}"
    create = (f"POST {base}", f"POST {base}/create" if sandbox.v4 else f"POST {base}/_/create")
    table.add(*create, writes=True)(create_session)
    table.add(f"GET {one}")(info)
    table.add(f"PATCH {one}", reads_query=True)(restart)
    table.add(f"DELETE {one}", reads_query=True)(destroy)
    table.add(f"POST {one}")(execute)
    table.add(f"POST {one}/interrupt")(interrupt)
    table.add(f"POST {one}/complete")(complete)
    table.add(f"GET {one}/logs")(logs)
    if not sandbox.v4:
        table.add(f"GET {base}/_/match")(match)
        table.add(f"POST {base}/_/create-from-template", writes=True)(create_from_template)
        table.add(f"POST {base}/_/create-cluster", writes=True)(missing("sessions of several containers"))
        table.add(f"POST {one}/rename", writes=True)(rename)
        table.add(f"GET {one}/direct-access-info")(direct_access_info)
        table.add(f"GET {one}/abusing-report")(abusing_report)
        table.add(f"GET {one}/dependency-graph")(dependency_graph)
        table.add(f"GET {one}/commit")(commit_status)
        table.add(f"POST {one}/commit", writes=True)(missing("commit"))
        table.add(f"POST {one}/start-service", f"POST {one}/shutdown-service")(missing("services in sessions"))
    if sandbox.v9:
        table.add(f"GET {one}/status-history")(status_history)
    return table


def running(call: Call) -> Kernel:
    """The process of the caller's session of the name in the path.

    Raises:
        Problem: 404, or 400 when it does not run.
    """
    kernels = call.sandbox.kernels
    session = session_named(call)
    kernel = kernels.get(session.id)
    if kernel is None:
        raise Problem("generic-bad-request", f"The session is {session.status}, not RUNNING.")
    kernels.queries[session.id] += 1
    return kernel


async def info(call: Call) -> web.Response:
    session = session_named(call)
    queries = call.sandbox.kernels.queries
    queries[session.id] += 1
    slots = shown(session.requested_slots)
    data: dict[str, Any] = {
        "domainName": session.domain_name,
        "groupId": str(session.group_id),
        "userId": str(session.user_id),
        "lang": session.image,
        "image": session.image,
        "registry": session.registry_name,
        "tag": session.tag,
        "containerId": session.kernel_id.hex * 2,
        "occupiedSlots": slots,
        "occupiedShares": "{}",
        "environ": str(session.environ),
        "status": session.status,
        "statusInfo": str(session.status_info),
        "age": int((model.now() - session.created_at).total_seconds() * 1000),
        "creationTime": str(session.created_at),
        "terminationTime": str(session.terminated_at) if session.terminated_at else None,
        "numQueriesExecuted": queries[session.id],
        "lastStat": None,
    }
    if not call.sandbox.v4:
        data |= {
            "architecture": session.architecture,
            "occupyingSlots": slots,
            "requestedSlots": slots,
            "resourceOpts": str(session.resource_opts),
            "statusData": session.status_data,
            "idleChecks": {
                "session_lifetime": {"remaining": None, "remaining_time_type": "expire_after", "extra": None}
            },
        }
    if call.sandbox.v9:
        data |= {"tag": session.tag or "", "statusData": session.status_data or None}
    return answer(data)


async def restart(call: Call) -> web.Response:
    if call.sandbox.v9:
        raise Problem(
            "not-implemented",
            "Session restart is no longer supported. Terminate the session and enqueue a new one instead.",
            title="This API is not implemented.",
        )
    given = await call.parameters(OWNER)
    session = session_named(call, given["owner_access_key"])
    call.sandbox.kernels.queries[session.id] += 1
    if call.sandbox.kernels.get(session.id) is None:
        raise Problem("generic-bad-request", f"The session is {session.status}, not RUNNING.")
    await call.sandbox.kernels.restart(session.id)
    return nothing()


async def destroy(call: Call) -> web.Response:
    schema = {"forced": Field(flag, False), **OWNER}
    if not call.sandbox.v4:
        schema["recursive"] = Field(flag, False)
    given = await call.parameters(schema)
    if given["owner_access_key"] not in (None, call.caller.access_key) and given["forced"] and not call.caller.is_admin:
        raise Problem("insufficient-privilege", "You are not allowed to force-terminate others's sessions")
    session = session_named(call, given["owner_access_key"])
    status = await call.sandbox.kernels.destroy(
        session.id, "force-terminated" if given["forced"] else "user-requested"
    )  # fmt: skip
    stats = {"status": status.lower()}
    # Sessions that depend on others are not implemented, so there is never more than one.
    return answer([stats] if given.get("recursive") else {"stats": stats})


async def execute(call: Call) -> web.Response:
    given = await call.json()
    kernel = running(call)
    if call.sandbox.v9:
        given["runId"] = given.get("run_id")
    for condition, message in (
        ("runId" in given, "runId is missing!"),
        (bool(given.get("mode")), "mode is missing or empty!"),
        (given.get("mode") in MODES, "mode has an invalid value."),
        (
            given.get("mode") not in ("continue", "input") or given["runId"] is not None,
            "continuation requires explicit run ID",
        ),
    ):
        if not condition:
            raise Problem("invalid-session-data", message) if call.sandbox.v9 else invalid(message)
    mode, run_id, (code, options) = given["mode"], given["runId"], code_and_options(given)
    if mode == "complete":
        return answer({"result": await _completions(kernel, code, options)})
    if run_id is not None and not isinstance(run_id, str):
        raise invalid("runId is not a text")
    return answer({"result": await kernel.execute(mode, run_id, code, options)})


def code_and_options(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a request says to run.

    Raises:
        Problem: 400.
    """
    code, options = given.get("code") or "", given.get("options") or {}
    if not isinstance(code, str):
        raise invalid("code is not a text")
    if not isinstance(options, dict):
        raise invalid("options is not an object")
    return code, options


async def complete(call: Call) -> web.Response:
    given = await call.json()
    return answer({"result": await _completions(running(call), *code_and_options(given))})


async def _completions(kernel: Kernel, code: str, options: dict[str, Any]) -> dict[str, Any]:
    lines = code.split("\n")
    place = checked(options, PLACE, extra=True)
    row, column = place["row"] or 0, place["col"]
    line = place["line"] or (lines[row] if row < len(lines) else "")
    if column and column <= len(line):
        line = line[:column]
    return {"status": "finished", "completions": await kernel.complete(line)}


async def interrupt(call: Call) -> web.Response:
    kernel = running(call)
    kernel.interrupt()
    return nothing()


async def logs(call: Call) -> web.Response:
    given = await call.parameters(OWNER)
    session = session_named(call, given["owner_access_key"], stale=True)
    kernel = call.sandbox.kernels.get(session.id)
    if kernel is not None:
        written = await asyncio.to_thread(kernel.logs)
    else:
        written = (session.container_log or b"").decode("utf-8", "replace")
    return answer({"result": {"logs": written}})


async def rename(call: Call) -> web.Response:
    given = await call.parameters({"name": Field(pattern(NAME), names=("name", "session_name", "clientSessionToken"))})
    with call.sandbox.write() as database:
        session = find(database, call.path("name"), call.caller.access_key)
        if session.status != "RUNNING":
            raise invalid("Can't change name of not running session")
        others = database.query(model.Session).filter_by(access_key=call.caller.access_key, name=given["name"])
        if others.filter(model.Session.status.in_(model.LIVE)).count():
            raise invalid("Duplicate session name. Session name should be unique.")
        session.name = given["name"]
    return nothing()


async def match(call: Call) -> web.Response:
    given = await call.parameters({"id": Field(text)})
    with call.sandbox.read() as database:
        own = database.query(model.Session).filter_by(access_key=call.caller.access_key)
        live = own.filter(model.Session.status.in_(model.LIVE)).all()
    # Whole names only: that is what managers match, too.
    same = [session for session in live if given["id"] in (session.name, str(session.id))]
    return answer(
        {"matches": [{"id": str(found.id), "name": found.name, "status": found.status} for found in same]}
    )  # fmt: skip


async def direct_access_info(call: Call) -> web.Response:
    session_named(call)
    return answer({})


async def abusing_report(call: Call) -> web.Response:
    session_named(call)
    return answer({})


async def status_history(call: Call) -> web.Response:
    session = session_named(call, (await call.parameters(OWNER))["owner_access_key"], stale=True)
    return answer(session.status_history)


async def dependency_graph(call: Call) -> web.Response:
    session = session_named(call, stale=True)
    return answer(
        {
            "session_name": session.name,
            "session_id": str(session.id),
            "status": session.status,
            "status_changed": str(session.status_changed),
            "depends_on": [],
        }
    )


async def commit_status(call: Call) -> web.Response:
    session = session_named(call)
    return answer({"status": "ready", "kernel": str(session.kernel_id)})
