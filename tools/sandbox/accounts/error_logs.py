"""Errors that users report: `/logs/error`."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.parameters import Field, as_uuid, choice, flag, optional, text, whole
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Routes, answer

LOG: Final = {
    "severity": Field(choice("critical", "error", "warning", "info", "debug")),
    "source": Field(text),
    "message": Field(text),
    "context_lang": Field(text),
    "context_env": Field(text),
    "request_url": Field(optional(text), None),
    "request_status": Field(optional(whole()), None),
    "traceback": Field(optional(text), None),
}


def routes(sandbox: Sandbox) -> Routes:
    """The routes; 19.09 has none of them."""
    table = Routes()
    if sandbox.v4:
        return table
    table.add("POST /logs/error")(append_log)
    table.add("GET /logs/error")(list_logs)
    table.add("POST /logs/error/{id}/clear")(clear_log)
    return table


async def append_log(call: Call) -> web.Response:
    given = await call.parameters(LOG)
    try:
        environment = json.loads(given["context_env"])
    except ValueError:
        raise invalid("Input validation error", {"context_env": "value is not a valid JSON string"}) from None
    with call.sandbox.write() as database:
        database.add(model.ErrorLog(**{**given, "context_env": environment, "user": call.caller.user_id}))
    return answer({"success": True})


def _logs(call: Call, database: Database) -> Any:
    """Those that the caller may see."""
    query = database.query(model.ErrorLog).order_by(model.ErrorLog.created_at.desc())
    if call.caller.is_superadmin:
        return query
    if call.caller.role == "admin":
        users = database.query(model.User.uuid).filter_by(domain_name=call.caller.domain)
        return query.filter(model.ErrorLog.user.in_(users))
    return query.filter_by(user=call.caller.user_id, is_cleared=False)


async def list_logs(call: Call) -> web.Response:
    given = await call.parameters(
        {"mark_read": Field(flag, False), "page_size": Field(whole(None, 100), 20), "page_no": Field(whole(), 1)}
    )
    items = []
    with call.sandbox.write() as database:
        query = _logs(call, database)
        count = query.count()
        for row in query.offset(max(0, given["page_no"] - 1) * given["page_size"]).limit(given["page_size"]):
            item = {
                "log_id": str(row.id),
                "created_at": row.created_at.timestamp(),
                "severity": row.severity,
                "source": row.source,
                "user": str(row.user) if row.user else None,
                "is_read": row.is_read,
                "message": row.message,
                "context_lang": row.context_lang,
                "context_env": row.context_env,
                "request_url": row.request_url,
                "request_status": row.request_status,
                "traceback": row.traceback,
            }
            if call.caller.is_admin:
                item["is_cleared"] = row.is_cleared
            elif call.sandbox.v9:
                item["is_cleared"] = None
            items.append(item)
            row.is_read = row.is_read or given["mark_read"]
    return answer({"logs": items, "count": count})


async def clear_log(call: Call) -> web.Response:
    number = as_uuid(call.path("id"))
    with call.sandbox.write() as database:
        row = _logs(call, database).filter(model.ErrorLog.id == number).one_or_none()
        if row is None:
            raise Problem("internal-server-error")  # where the manager's own assertion fails
        row.is_cleared = True
    return answer({"success": True})
