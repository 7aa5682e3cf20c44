"""The trash of virtual folders, which there is since 24.03: out of it again, or gone for ever."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.parameters import Field, as_uuid, uuid_value
from ai.backend.client.sandbox.core.problems import Problem, not_found
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, nothing
from ai.backend.client.sandbox.folders.access import accessible
from ai.backend.client.sandbox.folders.making import TRASH, remove_folder

ID = {"id": Field(uuid_value, names=("id", "vfolder_id", "vfolderId"))}
Change = Callable[[Sandbox, Database, model.VFolder], None]


async def delete_for_ever(call: Call) -> web.Response:
    return _changed(call, (await call.parameters(ID))["id"], remove_folder)


async def purge(call: Call) -> web.Response:
    return _changed(call, (await call.parameters(ID))["id"], remove_folder)


async def restore(call: Call) -> web.Response:
    return _changed(call, (await call.parameters(ID))["id"], _restored)


async def force(call: Call) -> web.Response:
    return _changed(call, as_uuid(call.path("id")), remove_folder, in_trash=False)


def _restored(_sandbox: Sandbox, _database: Database, folder: model.VFolder) -> None:
    folder.status = "ready"


def _changed(call: Call, number: uuid.UUID | None, change: Change, *, in_trash: bool = True) -> web.Response:
    with call.sandbox.write() as database:
        own = (access for access in accessible(database, call.caller) if access.is_owner)
        folder = next((access.folder for access in own if access.folder.id == number), None)
        if folder is None and call.caller.is_superadmin:
            folder = database.get(model.VFolder, number)
        if folder is None:
            raise not_found("virtual folder")
        if in_trash and folder.status != TRASH:
            raise Problem("vfolder-filter-status-failed")
        change(call.sandbox, database, folder)
    return nothing()
