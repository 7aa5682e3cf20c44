"""The HTTP server: from a request to a handler, through faults, versions, signatures, limits and roles."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from ai.backend.client.sandbox import admin, configuration, gaps, managing
from ai.backend.client.sandbox.accounts import dotfiles, error_logs
from ai.backend.client.sandbox.accounts import handlers as accounts
from ai.backend.client.sandbox.core import faults, visitors
from ai.backend.client.sandbox.core.access import Gate
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.core.state import ACCEPTED, Sandbox
from ai.backend.client.sandbox.core.web import MAX_BODY, MAX_UNSIGNED_BODY, Call, Handler, Role, Routes, Rule
from ai.backend.client.sandbox.folders import files as folder_files
from ai.backend.client.sandbox.folders import handlers as folders
from ai.backend.client.sandbox.folders import sharing, storage
from ai.backend.client.sandbox.sessions import files as session_files
from ai.backend.client.sandbox.sessions import handlers as sessions
from ai.backend.client.sandbox.sessions import streams, templates

METHOD_OVERRIDE: Final = "X-Method-Override"
MODULES: Final = (
    accounts,
    admin,
    managing,
    configuration,
    templates,
    dotfiles,
    error_logs,
    streams,
    sessions,
    session_files,
    folders,
    folder_files,
    sharing,
    storage,
    gaps,
)  # fmt: skip
DEFAULT_VERSION: Final = (5, "20191215")
"""What the manager assumes where no header says it."""

log = logging.getLogger("ai.backend.client.sandbox")

HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(sandbox: Sandbox) -> web.Application:
    """The web application of a sandbox."""
    gate = Gate(sandbox)
    sandbox.queries_of = gate.queries_of
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_guard(sandbox)])
    app.on_response_prepare.append(_sign_off)
    for rule in rules_of(sandbox):
        app.router.add_route(rule.method, rule.path, _handler(rule, sandbox, gate))
    return app


def rules_of(sandbox: Sandbox) -> list[Rule]:
    """Every route that this generation has."""
    rules: list[Rule] = []
    for module in MODULES:
        found: Any = module.routes
        table: Routes = found(sandbox) if callable(found) else found
        rules += table.rules
    return rules


def _guard(sandbox: Sandbox) -> Any:
    """What surrounds every request, whether there is a route for it or not."""

    @web.middleware
    async def guard(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        hits: list[faults.Fault] = []
        try:
            visitors.check(request, by_any_name=sandbox.settings.is_public)
            if sandbox.settings.faults or faults.HEADER in request.headers:
                hits = faults.chosen(sandbox.settings.faults, request)
                early = await faults.before(hits, request)
                if early is not None:
                    return early
            if METHOD_OVERRIDE in request.headers:
                request, handler = await _overridden(request)
            response = await _answered(request, handler)
        except Problem as problem:
            response = problem.response(v4=sandbox.v4, v9=sandbox.v9)
        return await faults.after(hits, request, response) if hits else response

    return guard


async def _overridden(request: web.Request) -> tuple[web.Request, HttpHandler]:
    clone = request.clone(method=request.headers[METHOD_OVERRIDE].upper())
    match = await request.app.router.resolve(clone)
    match.add_app(request.app)
    clone._match_info = match
    return clone, match.handler


async def _answered(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        if error.status == web.HTTPNotFound.status_code:
            raise Problem("url-not-found", data=request.path) from None
        raise Problem("method-not-allowed") from None
    except web.HTTPException:
        raise Problem("generic-bad-request") from None
    except (Problem, ConnectionError):
        raise
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON may hold and nothing else does
        raise invalid("a text that is not Unicode") from None
    except RecursionError:
        raise invalid("nested too deeply") from None
    except OSError as error:  # of a file that the request names: too long a name, a directory in place of a file
        log.warning("%s %s: %s", request.method, request.path, error)
        raise Problem("internal-server-error", error.strerror) from None
    except Exception:
        log.exception("%s %s", request.method, request.path)
        raise Problem("internal-server-error") from None


def _handler(rule: Rule, sandbox: Sandbox, gate: Gate) -> HttpHandler:
    """A route's handler behind everything that comes before it."""
    accepted = ACCEPTED[sandbox.settings.api]
    run: Handler = rule.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        if rule.role is Role.ANYBODY:
            request._client_max_size = MAX_UNSIGNED_BODY  # aiohttp has it for the whole application only
        if not rule.signed:
            return await run(Call(sandbox, request, DEFAULT_VERSION))
        version = request.headers.get("X-BackendAI-Version") or request.headers.get("X-Sorna-Version")
        if version is not None and version not in accepted:
            raise Problem("generic-bad-request", "Unsupported API version.")
        identity = None if rule.role is Role.ANYBODY else await gate.identify(request)
        headers = gate.count(identity)
        if rule.writes and sandbox.status != "running":
            raise Problem("server-frozen")
        if rule.role is not Role.ANYBODY and (
            identity is None
            or (rule.role is Role.ADMIN and not identity.is_admin)
            or (rule.role is Role.SUPERADMIN and not identity.is_superadmin)
        ):
            if identity is not None and sandbox.v9:
                raise Problem("generic-forbidden", "Insufficient privileges")
            raise Problem("auth-failed", "Unauthorized access")
        response = await run(Call(sandbox, request, _version(version), identity, rule.reads_query))
        if not response.prepared:
            response.headers.update(headers)
        return response

    return handle


def _version(text: str | None) -> tuple[int, str]:
    if text is None:
        return DEFAULT_VERSION
    major, _, date = text.partition(".")
    return int(major[1:]), date


async def _sign_off(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "BackendAI"
