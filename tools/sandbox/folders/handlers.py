"""``/folders``: virtual folders, listed and changed. Further parts: folder_making.py, _files.py and _sharing.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.access import Identity
from ai.backend.client.sandbox.core.parameters import Field, anything, choice, flag, optional, text, uuid_value
from ai.backend.client.sandbox.core.problems import invalid, not_found, not_implemented
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Role, Routes, answer, done, missing
from ai.backend.client.sandbox.folders import trash
from ai.backend.client.sandbox.folders.access import OWN, READ, Access, accessible, content_of, folder_named, named
from ai.backend.client.sandbox.folders.making import PERMISSIONS, clone, create, delete, delete_by_id, slug

TYPES: Final = ["user", "group"]


def routes(sandbox: Sandbox) -> Routes:
    """The routes of a generation."""
    table = Routes()
    table.add("POST /folders", writes=True)(create)
    table.add("GET /folders")(list_folders)
    table.add("DELETE /folders", role=Role.SUPERADMIN, writes=True)(delete_by_id)
    table.add("GET /folders/_/hosts")(hosts)
    table.add("GET /folders/_/all-hosts", "GET /folders/_/all_hosts", role=Role.SUPERADMIN)(all_hosts)
    table.add("GET /folders/_/allowed-types", "GET /folders/_/allowed_types")(allowed_types)
    table.add("GET /folders/_/fstab", role=Role.SUPERADMIN)(missing("fstab"))
    for method in ("GET", "POST", "DELETE"):
        table.add(f"{method} /folders/_/mounts", role=Role.SUPERADMIN)(missing("mounting of file systems"))
    table.add("GET /folders/{name}")(info)
    table.add("DELETE /folders/{name}", writes=True)(delete)
    table.add("POST /folders/{name}/rename", writes=True)(rename)
    if sandbox.v9:
        table.add("GET /folders/_/id", reads_query=False)(show_id)
        table.add("POST /folders/delete-from-trash-bin", writes=True)(trash.delete_for_ever)
        table.add("POST /folders/restore-from-trash-bin", writes=True)(trash.restore)
        table.add("POST /folders/purge", role=Role.ADMIN, writes=True)(trash.purge)
        table.add("DELETE /folders/{id}/force", writes=True)(trash.force)
    if not sandbox.v4:
        for path in ("quota", "perf-metric"):
            table.add(f"GET /folders/_/{path}")(missing("quotas and metrics of folders"))
        table.add("GET /folders/_/usage", role=Role.SUPERADMIN)(show_usage)
        table.add("GET /folders/_/used-bytes", role=Role.SUPERADMIN)(show_used_bytes)
        table.add("POST /folders/_/quota")(missing("quotas and metrics of folders"))
        table.add("POST /folders/{name}/update-options", writes=True)(update_options)
        table.add("POST /folders/{name}/clone", writes=True)(clone)
    return table


def _everybodys(database: Database, caller: Identity) -> list[Access]:
    return [
        Access(folder, folder.user == caller.user_id, folder.permission) for folder in database.query(model.VFolder)
    ]


async def list_folders(call: Call) -> web.Response:
    given = await call.parameters(
        {
            "all": Field(flag, False),
            "group_id": Field(optional(anything), None, ("group_id", "groupId")),
            "owner": Field(optional(text), None, ("owner_user_email", "ownerUserEmail")),
        }
    )
    if given["owner"] is not None:
        raise not_implemented("listing another user's folders")
    if not given["all"]:
        found = call.sandbox.recall(accessible, call.caller)
    elif call.sandbox.v4 and call.caller.is_superadmin:
        found = call.sandbox.recall(_everybodys, call.caller)
    else:
        if not call.sandbox.v9:
            raise invalid("Deprecated use of 'all' option")
        found = call.sandbox.recall(accessible, call.caller)
    if given["group_id"] is not None:
        found = [item for item in found if item.folder.user or str(item.folder.group) == str(given["group_id"])]
    return answer([_listed(call.sandbox, access) for access in found])


def _listed(sandbox: Sandbox, access: Access) -> dict[str, Any]:
    folder, none = access.folder, "None" if sandbox.v4 else None
    item: dict[str, Any] = {
        "name": folder.name,
        "id": folder.id.hex,
        "host": folder.host,
        "created_at": str(folder.created_at),
        "is_owner": access.is_owner,
        "permission": access.permission,
        "user": str(folder.user) if folder.user else none,
        "group": str(folder.group) if folder.group else none,
        "creator": folder.creator,
        "user_email": access.owner_email,
        "group_name": access.group_name,
        "type": folder.ownership_type,
    }
    if not sandbox.v4:
        item |= {
            "quota_scope_id": folder.quota_scope_id,
            "status": folder.status,
            "usage_mode": folder.usage_mode,
            "ownership_type": folder.ownership_type,
            "cloneable": folder.cloneable,
            "max_files": 0,
            "max_size": 0 if sandbox.v9 else None,
            "cur_size": 0,
        }
    if sandbox.v9:
        item |= dict.fromkeys(("user_email", "group_name", "type"), "")  # which it leaves empty
    return item


async def hosts(call: Call) -> web.Response:
    await call.parameters({"group_id": Field(optional(anything), None, ("group_id", "groupId"))})
    body: dict[str, Any] = {"default": seed.VFOLDER_HOST, "allowed": [seed.VFOLDER_HOST]}
    if not call.sandbox.v4:
        volume = {
            "backend": "vfs",
            "capabilities": ["vfolder"],
            "usage": {"percentage": 0},
            "sftp_scaling_groups": [],
        }
        body["volume_info"] = {seed.VFOLDER_HOST: volume}
    return answer(body)


async def all_hosts(_call: Call) -> web.Response:
    return answer({"default": seed.VFOLDER_HOST, "allowed": [seed.VFOLDER_HOST]})


async def allowed_types(_call: Call) -> web.Response:
    return answer(TYPES)


async def info(call: Call) -> web.Response:
    access = named(call, READ)
    folder = access.folder
    count, used = await asyncio.to_thread(usage, content_of(call.sandbox, folder))
    body: dict[str, Any] = {
        "name": folder.name,
        "id": folder.id.hex,
        "host": folder.host,
        "numFiles": count,
        "num_files": count,
        "created": str(folder.created_at),
        "created_at": str(folder.created_at),
        "last_used": str(folder.created_at),
        "user": str(folder.user),
        "group": str(folder.group),
        "type": folder.ownership_type,
        "is_owner": access.is_owner,
        "permission": access.permission,
    }
    if not call.sandbox.v4:
        body |= {
            "quota_scope_id": folder.quota_scope_id,
            "status": folder.status,
            "used_bytes": used,
            "usage_mode": folder.usage_mode,
            "cloneable": folder.cloneable,
            "max_size": None,
            "cur_size": 0,
        }
    if call.sandbox.v9:
        for name in ("created", "num_files", "max_size", "cur_size"):
            del body[name]
    return answer(body)


def usage(root: Path) -> tuple[int, int]:
    """How many files a folder has, and bytes in them."""
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return len(sizes), sum(sizes)


async def _asked_usage(call: Call) -> tuple[int, int]:
    given = await call.parameters({"folder_host": Field(text), "id": Field(uuid_value)})
    with call.sandbox.read() as database:
        folder = database.get(model.VFolder, given["id"])
    if folder is None:
        raise not_found("virtual folder", data=str(given["id"]))
    return await asyncio.to_thread(usage, content_of(call.sandbox, folder))


async def show_usage(call: Call) -> web.Response:
    count, used = await _asked_usage(call)
    return _usage_answer(call, {"file_count": count, "used_bytes": used})


async def show_used_bytes(call: Call) -> web.Response:
    _, used = await _asked_usage(call)
    return _usage_answer(call, {"used_bytes": used})


def _usage_answer(call: Call, found: dict[str, int]) -> web.Response:
    return answer({"data": found} if call.sandbox.v9 else found)


async def show_id(call: Call) -> web.Response:
    given = await call.parameters({"vfolder_name": Field(text)})
    folder = folder_named(call, given["vfolder_name"], READ).folder
    return answer({"id": str(folder.id), "name": folder.name})


async def rename(call: Call) -> web.Response:
    given = await call.parameters({"new_name": Field(slug)})
    with call.sandbox.write() as database:
        access = named(call, OWN, database)
        if any(other.folder.name == given["new_name"] for other in accessible(database, call.caller)):
            raise invalid("One of your accessible vfolders already has the name you requested.")
        if not access.is_owner:
            raise invalid("Cannot change the name of a vfolder that is not owned by myself.")
        access.folder.name = given["new_name"]
    return done(call, 201)


async def update_options(call: Call) -> web.Response:
    given = await call.parameters(
        {
            "cloneable": Field(optional(flag), None),
            "permission": Field(optional(choice(*PERMISSIONS)), None),
        }
    )
    with call.sandbox.write() as database:
        access = named(call, OWN, database)
        if not access.is_owner:
            raise invalid("Cannot change the options of a vfolder that is not owned by myself.")
        for option, value in given.items():
            if value is not None:
                setattr(access.folder, option, value)
    return done(call, 201)
