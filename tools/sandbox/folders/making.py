"""``/folders``: making virtual folders, copying them, and removing them."""

from __future__ import annotations

import asyncio
import re
import shutil
import uuid
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.parameters import Field, choice, flag, optional, text, uuid_value
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found, not_implemented
from ai.backend.client.sandbox.core.slots import size
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, answer, nothing
from ai.backend.client.sandbox.folders.access import OWN, READ, accessible, content_of, named

RESERVED: Final = re.compile(r"\.(terminfo|jupyter|tmux\.conf|ssh|[a-z0-9]+rc|[a-z0-9]+_profile)")
"""Names that a folder must not have."""

USAGE_MODES: Final = ("general", "model", "data")
PERMISSIONS: Final = ("ro", "rw", "wd")
SLUG: Final = re.compile(r"[\w-](?:[\w.-]*[\w-])?|\.[\w.-]*[\w-]", re.ASCII)
DEFAULT_POLICY: Final = "default"
MEBIBYTE: Final = 2**20
TRASH: Final = "delete-pending"
"""Status of a folder in the trash, which there is since 24.03."""


def slug(value: Any) -> str:
    """A folder's name.

    Raises:
        ValueError: It cannot be one.
    """
    if not isinstance(value, str) or not SLUG.fullmatch(value):
        raise ValueError("value must be a valid slug")
    return value


CREATE: Final = {
    "name": Field(slug),
    "host": Field(optional(text), None),
    "usage_mode": Field(optional(choice(*USAGE_MODES)), "general"),
    "permission": Field(optional(choice(*PERMISSIONS)), "rw"),
    "unmanaged_path": Field(optional(text), None, ("unmanaged_path", "unmanagedPath")),
    "group": Field(optional(text), None, ("group", "groupId", "group_id")),
    "quota": Field(optional(size), None),
    "cloneable": Field(flag, False),
}


async def create(call: Call) -> web.Response:
    schema = {**CREATE, "name": Field(text), "group": Field(optional(uuid_value), None)} if call.sandbox.v9 else CREATE
    given = await call.parameters(schema)
    caller, sandbox = call.caller, call.sandbox
    if given["unmanaged_path"]:
        raise not_implemented("unmanaged folders")
    name, host = given["name"], given["host"] or seed.VFOLDER_HOST
    if host != seed.VFOLDER_HOST and sandbox.v9:
        raise Problem("storage-permission-not-allowed", f"`create-vfolder` Not allowed in vfolder host(`{host}`)")
    if host != seed.VFOLDER_HOST:
        raise invalid(f"`VFolderHostPermission.CREATE` Not allowed in vfolder host(`{host}`)")
    if RESERVED.fullmatch(name):
        reserved = f"{name} is reserved for internal operations."
        raise Problem("invalid-schema", reserved) if sandbox.v9 else invalid(reserved)
    if name.startswith(".") and name != ".local" and given["group"] is not None:
        raise invalid("dot-prefixed vfolders cannot be a group folder.")
    with sandbox.write() as database:
        group = _owning_group(call, database, given["group"] and str(given["group"]))
        most = _most_folders(call, database)
        own = database.query(model.VFolder).filter_by(user=caller.user_id).count()
        if most and own >= most and group is None:
            raise invalid("You cannot create more vfolders.")
        if any(access.folder.name == name for access in accessible(database, caller)):
            if sandbox.v9:
                raise invalid(f"VFolder with the given name already exists. ({name})")
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
    if sandbox.v9:
        body |= {"created_at": "", "is_owner": True, "max_size": 0, "max_files": 0, "cur_size": 0}
        body |= {"user_email": "", "group_name": "", "type": ""}
    return answer(body, 201)


def _most_folders(call: Call, database: Database) -> int | None:
    """How many folders the caller may have; None: any number."""
    if call.sandbox.v9:
        return database.get_one(model.UserResourcePolicy, DEFAULT_POLICY).max_vfolder_count
    keypair = database.get_one(model.KeyPair, call.caller.access_key)
    return database.get_one(model.KeyPairResourcePolicy, keypair.resource_policy).max_vfolder_count


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
    return web.Response(status=204, content_type="application/json") if call.sandbox.v9 else nothing()


async def delete_by_id(call: Call) -> web.Response:
    given = await call.parameters({"id": Field(uuid_value, names=("id", "vfolderId"))})
    with call.sandbox.write() as database:
        folder = database.get(model.VFolder, given["id"])
        if folder is None:
            raise not_found("virtual folder")
        _delete(call.sandbox, database, folder)
    return nothing()


def _delete(sandbox: Sandbox, database: Database, folder: model.VFolder) -> None:
    live = database.query(model.Session).filter(model.Session.status.in_(model.LIVE))
    if any(mount["id"] == folder.id.hex for session in live for mount in session.vfolder_mounts):
        raise Problem("vfolder-deletion-not-allowed" if sandbox.v9 else "vfolder-filter-status-failed")
    if sandbox.v9:
        folder.status = TRASH
    else:
        remove_folder(sandbox, database, folder)


def remove_folder(sandbox: Sandbox, database: Database, folder: model.VFolder) -> None:
    """Remove a folder, its files, and what others may do with it."""
    for table in (model.VFolderPermission, model.VFolderInvitation):
        database.query(table).filter_by(vfolder=folder.id).delete()
    database.delete(folder)
    shutil.rmtree(content_of(sandbox, folder), ignore_errors=True)
