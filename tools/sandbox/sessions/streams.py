"""Streams: events by SSE, runs of code by WebSocket, logs of tasks. Terminals: terminals.py."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import WSMsgType, web

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.events import Event
from ai.backend.client.sandbox.core.parameters import Field, choice, optional, text, uuid_value
from ai.backend.client.sandbox.core.problems import Problem, not_found
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.tasks import STARTED
from ai.backend.client.sandbox.core.web import Call, Routes, answer, missing
from ai.backend.client.sandbox.folders.access import content_of
from ai.backend.client.sandbox.sessions.handlers import code_and_options, running
from ai.backend.client.sandbox.sessions.kernels import Kernel
from ai.backend.client.sandbox.sessions.lookup import find
from ai.backend.client.sandbox.sessions.terminals import terminal

EXECUTE_SECONDS: Final = 0.2
PING_SECONDS: Final = 10.0
EVENTS: Final = {
    "name": Field(text, "*", ("name", "sessionName")),
    "owner": Field(optional(text), None, ("ownerAccessKey",)),
    "session_id": Field(optional(uuid_value), None, ("sessionId",)),
    "group": Field(text, "*", ("group", "groupName")),
    "scope": Field(choice("*", "session", "kernel"), "*"),
}
EVENTS_V4: Final = {
    "name": Field(text, "*", ("sessionId",)),
    "owner": Field(optional(text), None, ("ownerAccessKey",)),
    "group": Field(text, "*", ("group", "groupName")),
}


def routes(sandbox: Sandbox) -> Routes:
    """The routes under the name that the generation has for sessions."""
    table = Routes()
    kind = "kernel" if sandbox.v4 else "session"
    table.add("GET /stream/kernel/_/events" if sandbox.v4 else "GET /events/session")(session_events)
    table.add(f"GET /{kind}/_/logs", f"HEAD /{kind}/_/logs")(task_logs)
    table.add(f"GET /stream/{kind}/{{name}}/pty")(terminal)
    table.add(f"GET /stream/{kind}/{{name}}/execute")(execute)
    for path in ("httpproxy", "tcpproxy"):
        table.add(f"GET /stream/{kind}/{{name}}/{path}")(missing("services in sessions"))
    if not sandbox.v4:
        table.add("GET /events/background-task")(background_task)
        table.add(f"GET /stream/{kind}/{{name}}/apps")(apps)
    return table


async def session_events(call: Call) -> web.StreamResponse:
    given = await call.parameters(EVENTS_V4 if call.sandbox.v4 else EVENTS)
    caller = call.caller
    owner = given["owner"] or caller.access_key
    if caller.role == "user" and owner != caller.access_key:
        raise Problem("generic-forbidden")
    if given["group"] != "*":
        with call.sandbox.read() as database:
            if database.query(model.Group).filter_by(name=given["group"]).first() is None:
                raise not_found("user group (or project)")

    if call.sandbox.v9 and given["name"] != "*":
        call.sandbox.recall(find, given["name"], owner, True)
    response = _event_stream()
    with call.sandbox.events.listen() as queue, contextlib.suppress(ConnectionError):
        await response.prepare(call.request)
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    event = await queue.get()
            except TimeoutError:
                await response.write(b": ping\r\n\r\n")
                continue
            if event is None:
                await response.write(_lines("server_close", {}))
                break
            if _is_wanted(event, call, given, owner):
                await response.write(_lines(event.name, event.data))
        await response.write_eof()
    return response


def _is_wanted(event: Event, call: Call, given: dict[str, Any], owner: str) -> bool:
    """Whether a listener may hear of an event, and asked for it."""
    caller, scope = call.caller, event.scope
    if "session" not in scope:
        return False
    if not caller.is_superadmin and scope["domain"] != caller.domain:
        return False
    if caller.role == "user" and scope["user"] != caller.user_id:
        return False
    if given["group"] not in ("*", scope["group"]):
        return False
    if given.get("scope", "*") != "*" and not event.name.startswith(given["scope"] + "_"):
        return False
    if given.get("session_id") is not None and not call.sandbox.v9:  # which reads it, and does not use it
        return bool(scope["session"] == given["session_id"])
    return given["name"] == "*" or (scope["name"], scope["access_key"]) == (given["name"], owner)


async def background_task(call: Call) -> web.StreamResponse:
    given = await call.parameters({"task_id": Field(uuid_value, names=("task_id", "taskId"))})
    task_id = given["task_id"]
    task = call.sandbox.tasks.get(task_id)
    if task is None:
        raise not_found("background task", data="No such background task.")
    response = _event_stream()
    with call.sandbox.events.listen() as queue, contextlib.suppress(ConnectionError):
        await response.prepare(call.request)
        if task.status != STARTED:
            await response.write(_lines(f"bgtask_{task.status}", task.described(task_id)))
        else:
            while True:
                event = await queue.get()
                if event is None:
                    break
                if event.scope.get("task") == task_id:
                    await response.write(_lines(event.name, event.data, "retry: 5\r\n"))
                    break
        await response.write(_lines("server_close", {}))
        await response.write_eof()
    return response


def _event_stream() -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    response.enable_chunked_encoding()
    return response


def _lines(name: str, data: Mapping[str, Any], further: str = "") -> bytes:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n{further}\r\n".encode()


async def apps(call: Call) -> web.Response:
    running(call)
    return answer([])


async def task_logs(call: Call) -> web.StreamResponse:
    names = ("kernel_id", "kernelId") if call.sandbox.v4 else ("session_name", "sessionName")
    given = await call.parameters({"kernel_id": Field(uuid_value, names=(*names, "task_id", "taskId"))})
    number = given["kernel_id"].hex
    with call.sandbox.read() as database:
        folder = database.query(model.VFolder).filter_by(user=call.caller.user_id, name=".logs").one_or_none()
    if folder is None:
        if call.sandbox.v9:
            raise not_found("virtual folder", data={"vfolder_name": ".logs"})
        raise not_found("vfolder", data={"vfolder_name": ".logs"})
    log = content_of(call.sandbox, folder) / "task" / number[:2] / number[2:4] / f"{number[4:]}.log"
    if not log.is_file():
        raise not_found("log file")
    return web.FileResponse(log, headers={"Content-Type": "text/plain"})


async def execute(call: Call) -> web.WebSocketResponse:
    """Runs code; everything that it writes comes by itself. A client that goes away interrupts it."""
    kernel = running(call)
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(call.request)
    inbox: asyncio.Queue[str | None] = asyncio.Queue()
    reading = asyncio.create_task(_read_texts(socket, inbox))
    try:
        request = json.loads(await inbox.get() or "{}")
        if request["mode"] not in ("query", "batch"):
            raise ValueError("mode has an invalid value.")
        await _follow(socket, kernel, inbox, (request["mode"], *code_and_options(request)))
    except (ValueError, KeyError, TypeError, RecursionError, Problem) as error:
        if not socket.closed:
            message = error.message if isinstance(error, Problem) else str(error)
            await socket.send_json({"status": "error", "msg": message})
    except ConnectionError:
        pass
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        if not socket.closed:
            await socket.close()
    return socket


async def _read_texts(socket: web.WebSocketResponse, inbox: asyncio.Queue[str | None]) -> None:
    """Read all the time: otherwise nobody would notice that the client has gone. None is the end."""
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            inbox.put_nowait(message.data)
    inbox.put_nowait(None)


async def _follow(
    socket: web.WebSocketResponse, kernel: Kernel, inbox: asyncio.Queue[str | None], start: tuple[str, str, Any]
) -> None:
    mode, code, options = start
    result = await kernel.execute(mode, None, code, options, EXECUTE_SECONDS)
    run_id = result["runId"]
    try:
        while not socket.closed:
            told = {name: result[name] for name in ("status", "console", "exitCode", "options", "files")}
            await socket.send_json(told)
            if result["status"] in ("finished", "exec-timeout"):
                return
            mode, text_ = "continue", ""
            if result["status"] == "waiting-input":
                answer_ = await inbox.get()
                if answer_ is None:
                    break
                mode, text_ = "input", answer_
            result = await kernel.execute(mode, run_id, text_, {}, EXECUTE_SECONDS)
    except ConnectionError:
        pass
    kernel.forget(run_id)
