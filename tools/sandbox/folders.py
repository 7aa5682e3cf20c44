"""``/folders``: virtual folders themselves. Their files: folder_files.py; sharing: folder_sharing.py."""

from __future__ import annotations

import asyncio
import re
import shutil
import uuid
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox import lifecycle, model, seed
from ai.backend.client.sandbox.access import Identity
from ai.backend.client.sandbox.folder_access import OWN, READ, Access, accessible, content_of, named
from ai.backend.client.sandbox.parameters import Field, anything, choice, flag, optional, text, uuid_value
from ai.backend.client.sandbox.problems import Problem, invalid, not_found, not_implemented
from ai.backend.client.sandbox.slots import size
from ai.backend.client.sandbox.state import Sandbox
from ai.backend.client.sandbox.web import Call, Role, Routes, answer, missing, nothing

RESERVED: Final = re.compile(r"\.(terminfo|jupyter|tmux\.conf|ssh|[a-z0-9]+rc|[a-z0-9]+_profile)")
"""Names that a folder must not have."""

USAGE_MODES: Final = ("general", "model", "data")
PERMISSIONS: Final = ("ro", "rw", "wd")
TYPES: Final = ["user", "group"]
SLUG: Final = re.compile(r"[\w-](?:[\w.-]*[\w-])?|\.[\w.-]*[\w-]", re.ASCII)
MEBIBYTE: Final = 2**20


def slug(value: Any) -> str:
    """A folder's name.

    Raises:
        ValueError: It cannot be one.
    """
    if not isinstance(value, str) or not SLUG.fullmatch(value):
        raise ValueError("value must be a valid slug")
    return value


def _size(value: Any) -> int:
    return size(value)


def _group(value: Any) -> Any:
    return value if value is None else text(value)


CREATE: Final = {
    "name": Field(slug),
    "host": Field(optional(text), None),
    "usage_mode": Field(optional(choice(*USAGE_MODES)), "general"),
    "permission": Field(optional(choice(*PERMISSIONS)), "rw"),
    "unmanaged_path": Field(optional(text), None, ("unmanaged_path", "unmanagedPath")),
    "group": Field(_group, None, ("group", "groupId", "group_id")),
    "quota": Field(optional(_size), None),
    "cloneable": Field(flag, False),
}


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
    if not sandbox.v4:
        for path in ("quota", "perf-metric"):
            table.add(f"GET /folders/_/{path}")(missing("quotas and metrics of folders"))
        table.add("GET /folders/_/usage", role=Role.SUPERADMIN)(show_usage)
        table.add("GET /folders/_/used-bytes", role=Role.SUPERADMIN)(show_used_bytes)
        table.add("POST /folders/_/quota")(missing("quotas and metrics of folders"))
        table.add("POST /folders/{name}/update-options", writes=True)(update_options)
        table.add("POST /folders/{name}/clone", writes=True)(clone)
    return table


async def create(call: Call) -> web.Response:
    given = await call.parameters(CREATE)
    caller, sandbox = call.caller, call.sandbox
    if given["unmanaged_path"]:
        raise not_implemented("unmanaged folders")
    name, host = given["name"], given["host"] or seed.VFOLDER_HOST
    if host != seed.VFOLDER_HOST:
        raise invalid(f"`VFolderHostPermission.CREATE` Not allowed in vfolder host(`{host}`)")
    if RESERVED.fullmatch(name):
        raise invalid(f"{name} is reserved for internal operations.")
    if name.startswith(".") and name != ".local" and given["group"] is not None:
        raise invalid("dot-prefixed vfolders cannot be a group folder.")
    with sandbox.write() as database:
        group = _owning_group(call, database, given["group"])
        policy = database.get_one(
            model.KeyPairResourcePolicy, database.get_one(model.KeyPair, caller.access_key).resource_policy
        )
        own = database.query(model.VFolder).filter_by(user=caller.user_id).count()
        if policy.max_vfolder_count and own >= policy.max_vfolder_count and group is None:
            raise invalid("You cannot create more vfolders.")
        if any(access.folder.name == name for access in accessible(database, caller)):
            raise Problem("vfolder-already-exists", data=name)
        folder = model.VFolder(
            id=uuid.uuid4(),
            host=host,
            quota_scope_id=f"project:{group.id}" if group else f"user:{caller.user_id}",
            name=name,
            user=None if group else caller.user_id,
            group=group.id if group else None,
            creator=caller.email,
            domain_name=caller.domain,
            usage_mode=given["usage_mode"] or "general",
            permission=given["permission"] or "rw",
            ownership_type="group" if group else "user",
            cloneable=given["cloneable"],
            status="ready",
        )
        database.add(folder)
    content_of(sandbox, folder).mkdir()
    body: dict[str, Any] = {
        "id": folder.id.hex,
        "name": name,
        "host": host,
        "creator": folder.creator,
        "user": str(folder.user) if folder.user else None,
        "group": str(folder.group) if folder.group else None,
    }
    if not sandbox.v4:
        body |= {
            "quota_scope_id": folder.quota_scope_id,
            "usage_mode": folder.usage_mode,
            "permission": folder.permission,
            "max_size": given["quota"] // MEBIBYTE if given["quota"] else None,
            "ownership_type": folder.ownership_type,
            "cloneable": folder.cloneable,
            "status": folder.status,
        }
    return answer(body, 201)


def _owning_group(call: Call, database: Database, name: str | None) -> model.Group | None:
    if name is None:
        return None
    groups = database.query(model.Group).filter_by(domain_name=call.caller.domain)
    group = groups.filter_by(name=name).one_or_none()
    if group is None:
        try:
            group = groups.filter_by(id=uuid.UUID(name)).one_or_none()
        except ValueError:
            group = None
    if group is None:
        raise not_found("user group (or project)", data=name)
    if not call.caller.is_admin:
        raise Problem("generic-forbidden", "no permission")
    return group


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
        raise invalid("Deprecated use of 'all' option")
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
            "max_size": None,
            "cur_size": 0,
        }
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
    return answer({"file_count": count, "used_bytes": used})


async def show_used_bytes(call: Call) -> web.Response:
    _, used = await _asked_usage(call)
    return answer({"used_bytes": used})


async def clone(call: Call) -> web.Response:
    given = await call.parameters(
        {
            "target_name": Field(slug),
            "target_host": Field(optional(text), None),
            "usage_mode": Field(choice(*USAGE_MODES), "general"),
            "permission": Field(choice(*PERMISSIONS), "rw"),
            "cloneable": Field(flag, False),
        }
    )
    caller, sandbox = call.caller, call.sandbox
    with sandbox.write() as database:
        source = named(call, READ, database).folder
        if not source.cloneable:
            raise Problem("generic-forbidden", "The source vfolder is not permitted to be cloned.")
        if RESERVED.fullmatch(given["target_name"]):
            raise invalid(f"{given['target_name']} is reserved for internal operations.")
        if any(access.folder.name == given["target_name"] for access in accessible(database, caller)):
            raise Problem("vfolder-already-exists")
        target = model.VFolder(
            id=uuid.uuid4(),
            host=given["target_host"] or seed.VFOLDER_HOST,
            quota_scope_id=f"user:{caller.user_id}",
            name=given["target_name"],
            user=caller.user_id,
            creator=caller.email,
            domain_name=caller.domain,
            usage_mode=given["usage_mode"],
            permission=given["permission"],
            cloneable=given["cloneable"],
            status="cloning",
        )
        database.add(target)
    task_id = sandbox.tasks.start(lambda: _cloned(sandbox, source, target))
    return answer(
        {
            "id": target.id.hex,
            "name": target.name,
            "host": target.host,
            "usage_mode": target.usage_mode,
            "permission": target.permission,
            "creator": target.creator,
            "ownership_type": "user",
            "user": str(target.user),
            "group": None,
            "cloneable": target.cloneable,
            "bgtask_id": str(task_id),
        },
        201,
    )


async def _cloned(sandbox: Sandbox, source: model.VFolder, target: model.VFolder) -> str:
    place = content_of(sandbox, target)
    await asyncio.to_thread(shutil.copytree, content_of(sandbox, source), place, symlinks=True)
    with sandbox.write() as database:
        row = database.get(model.VFolder, target.id)
        if row is not None:
            row.status = "ready"
    return f"cloned {source.name} to {target.name}"


async def delete(call: Call) -> web.Response:
    with call.sandbox.write() as database:
        access = named(call, OWN, database)
        if not access.is_owner:
            raise invalid("Cannot delete the vfolder that is not owned by myself.")
        _delete(call.sandbox, database, access.folder)
    return nothing()


async def delete_by_id(call: Call) -> web.Response:
    given = await call.parameters({"id": Field(uuid_value)})
    with call.sandbox.write() as database:
        folder = database.get(model.VFolder, given["id"])
        if folder is None:
            raise not_found("virtual folder")
        _delete(call.sandbox, database, folder)
    return nothing()


def _delete(sandbox: Sandbox, database: Database, folder: model.VFolder) -> None:
    live = database.query(model.Session).filter(model.Session.status.in_(lifecycle.LIVE))
    if any(mount["id"] == folder.id.hex for session in live for mount in session.vfolder_mounts):
        raise Problem("vfolder-filter-status-failed")
    remove_folder(sandbox, database, folder)


def remove_folder(sandbox: Sandbox, database: Database, folder: model.VFolder) -> None:
    """Remove a folder, its files, and what others may do with it."""
    for table in (model.VFolderPermission, model.VFolderInvitation):
        database.query(table).filter_by(vfolder=folder.id).delete()
    database.delete(folder)
    shutil.rmtree(content_of(sandbox, folder), ignore_errors=True)


async def rename(call: Call) -> web.Response:
    given = await call.parameters({"new_name": Field(slug)})
    with call.sandbox.write() as database:
        access = named(call, OWN, database)
        if any(other.folder.name == given["new_name"] for other in accessible(database, call.caller)):
            raise invalid("One of your accessible vfolders already has the name you requested.")
        if not access.is_owner:
            raise invalid("Cannot change the name of a vfolder that is not owned by myself.")
        access.folder.name = given["new_name"]
    return nothing(201)


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
    return nothing(201)
