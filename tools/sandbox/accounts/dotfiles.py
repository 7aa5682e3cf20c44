"""Dotfiles of users, groups and domains; bootstrap scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.access import owner_of
from ai.backend.client.sandbox.core.parameters import Field, as_uuid, blank_text, optional, pattern, text
from ai.backend.client.sandbox.core.problems import Problem, not_found
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Role, Routes, answer

MAX_DOTFILES: Final = 100
MAX_DOTFILE_BYTES: Final = 64 * 1024
MODE: Final = r"^[0-7]{3}$"
OWNER: Final = Field(optional(text), None)
SCOPES: Final = {"user": Role.USER, "group": Role.ADMIN, "domain": Role.ADMIN}
"""Whose dotfiles → who may change them."""


def routes(sandbox: Sandbox) -> Routes:
    """The routes; 19.09 has none of them."""
    table = Routes()
    if sandbox.v4:
        return table
    for scope, role in SCOPES.items():
        path = f"/{scope}-config/dotfiles"
        table.add(f"POST {path}", role=role)(_dotfiles(scope, create_dotfile))
        table.add(f"GET {path}")(_dotfiles(scope, read_dotfiles))
        table.add(f"PATCH {path}", role=role)(_dotfiles(scope, update_dotfile))
        table.add(f"DELETE {path}", role=role, reads_query=True)(_dotfiles(scope, delete_dotfile))
    table.add("GET /user-config/bootstrap-script")(get_script)
    table.add("POST /user-config/bootstrap-script")(set_script)
    return table


def _dotfiles(scope: str, work: Any) -> Any:
    """A handler for the dotfiles of a user, a group or a domain."""

    async def handle(call: Call) -> web.Response:
        schema: dict[str, Field] = {"owner_access_key": OWNER}
        if scope == "group":
            schema = {"group": Field(text), "domain": Field(optional(text), None)}
        elif scope == "domain":
            schema = {"domain": Field(text)}
        response: web.Response = await work(call, scope, schema)
        return response

    return handle


def _dotfile_owner(call: Call, database: Database, scope: str, given: Mapping[str, Any]) -> Any:
    if scope == "user":
        return database.get_one(model.KeyPair, owner_of(database, call.caller, given["owner_access_key"]))
    domain = given.get("domain") or call.caller.domain
    if not call.caller.is_superadmin and domain != call.caller.domain:
        raise Problem("generic-forbidden", "Not your domain")
    if scope == "domain":
        row: Any = database.get(model.Domain, domain)
        if row is None:
            raise not_found("domain")
        return row
    groups = database.query(model.Group)
    number = as_uuid(given["group"])
    row = (
        database.get(model.Group, number)
        if number
        else groups.filter_by(domain_name=domain, name=given["group"]).first()
    )
    if row is None:
        raise not_found("user group (or project)")
    if call.caller.role == "user" and database.get(model.Membership, (row.id, call.caller.user_id)) is None:
        raise Problem("generic-forbidden", "Users cannot access group dotfiles of other groups")
    return row


def _content(schema: Mapping[str, Field]) -> dict[str, Field]:
    return {"data": Field(text), "path": Field(text), "permission": Field(pattern(MODE)), **schema}


def _store(owner: Any, dotfiles: list[Any], given: Mapping[str, Any]) -> None:
    dotfiles = [*dotfiles, {"path": given["path"], "perm": given["permission"], "data": given["data"]}]
    if len(json.dumps(dotfiles)) > MAX_DOTFILE_BYTES:
        raise Problem(
            "generic-bad-request", "No leftover space for dotfile storage", title="Dotfile creation has failed."
        )
    owner.dotfiles = dotfiles


async def create_dotfile(call: Call, scope: str, schema: Mapping[str, Field]) -> web.Response:
    given = await call.parameters(_content(schema))
    with call.sandbox.write() as database:
        owner = _dotfile_owner(call, database, scope, given)
        if len(owner.dotfiles) >= MAX_DOTFILES:
            raise Problem("generic-bad-request", "Dotfile creation limit reached", title="Dotfile creation has failed.")
        if any(dotfile["path"] == given["path"] for dotfile in owner.dotfiles):
            raise Problem("generic-bad-request", title="Dotfile already exists.")
        _store(owner, owner.dotfiles, given)
    return answer({})


async def read_dotfiles(call: Call, scope: str, schema: Mapping[str, Field]) -> web.Response:
    given = await call.parameters({"path": Field(optional(text), None), **schema})
    with call.sandbox.read() as database:
        dotfiles = _dotfile_owner(call, database, scope, given).dotfiles
    if given["path"] is None:
        return answer(
            [{"path": item["path"], "permission": item["perm"], "data": item["data"]} for item in dotfiles]
        )  # fmt: skip
    for item in dotfiles:
        if item["path"] == given["path"]:
            return answer(item)
    raise not_found("dotfile")


def _without(owner: Any, path: str) -> list[Any]:
    rest = [dotfile for dotfile in owner.dotfiles if dotfile["path"] != path]
    if len(rest) == len(owner.dotfiles):
        raise not_found("dotfile")
    return rest


async def update_dotfile(call: Call, scope: str, schema: Mapping[str, Field]) -> web.Response:
    given = await call.parameters(_content(schema))
    with call.sandbox.write() as database:
        owner = _dotfile_owner(call, database, scope, given)
        _store(owner, _without(owner, given["path"]), given)
    return answer({})


async def delete_dotfile(call: Call, scope: str, schema: Mapping[str, Field]) -> web.Response:
    given = await call.parameters({"path": Field(text), **schema})
    with call.sandbox.write() as database:
        owner = _dotfile_owner(call, database, scope, given)
        owner.dotfiles = _without(owner, given["path"])
    return answer({"success": True})


async def get_script(call: Call) -> web.Response:
    with call.sandbox.read() as database:
        return answer(database.get_one(model.KeyPair, call.caller.access_key).bootstrap_script)


async def set_script(call: Call) -> web.Response:
    given = await call.parameters({"script": Field(blank_text)})
    with call.sandbox.write() as database:
        database.get_one(model.KeyPair, call.caller.access_key).bootstrap_script = given["script"].strip()
    return answer({})
