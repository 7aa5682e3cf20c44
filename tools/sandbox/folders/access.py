"""Which virtual folders a user may use, and how."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Query
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.access import Identity
from ai.backend.client.sandbox.core.problems import Problem, not_found
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call

READ: Final = ("ro", "rw", "wd")
WRITE: Final = ("rw", "wd")
OWN: Final = ("wd",)


@dataclass(frozen=True)
class Access:
    """A folder that a user may use.

    Attributes:
        folder: The folder.
        is_owner: Whether it is the user's own.
        permission: ``ro``, ``rw`` or ``wd`` (also delete).
        owner_email: Of the user that owns it.
        group_name: Of the group that owns it.
    """

    folder: model.VFolder
    is_owner: bool
    permission: str
    owner_email: str | None = None
    group_name: str | None = None


def accessible(database: Database, identity: Identity) -> list[Access]:
    """The folders of a user: its own, those of its groups, those that others share with it."""
    found = [
        Access(folder, True, folder.permission, owner_email=identity.email)
        for folder in _all(database).filter_by(user=identity.user_id)
    ]
    permissions = {
        row.vfolder: row.permission
        for row in database.query(model.VFolderPermission).filter_by(user=identity.user_id)
    }  # fmt: skip
    groups = {group.id: group.name for group in _groups(database, identity)}
    for folder in _all(database).filter(model.VFolder.group.in_(groups)):
        permission = permissions.pop(folder.id, folder.permission)
        name = groups.get(folder.group) if folder.group else None
        found.append(Access(folder, identity.is_admin, permission, group_name=name))
    for folder_id, permission in permissions.items():
        shared = database.get(model.VFolder, folder_id)
        if shared is not None:
            owner = database.get(model.User, shared.user) if shared.user else None
            found.append(Access(shared, False, permission, owner_email=owner.email if owner else None))
    return found


def _all(database: Database) -> Query[model.VFolder]:
    return database.query(model.VFolder).order_by(model.VFolder.created_at)


def _groups(database: Database, identity: Identity) -> list[model.Group]:
    query = database.query(model.Group).filter_by(domain_name=identity.domain)
    if identity.role not in ("superadmin", "admin"):
        own = database.query(model.Membership.group_id).filter_by(user_id=identity.user_id)
        query = query.filter(model.Group.id.in_(own))
    return query.all()


def named(call: Call, permissions: tuple[str, ...], database: Database | None = None) -> Access:
    """The caller's folder of the name (or id) in the path.

    Args:
        call: The request.
        permissions: Those that are enough; an own folder's owner may do everything.
        database: Where to change it; None to look at it only.

    Raises:
        Problem: 404 when there is none of the name with such a permission, or several.
    """
    return folder_named(call, call.path("name"), permissions, database)


def folder_named(call: Call, name: str, permissions: tuple[str, ...], database: Database | None = None) -> Access:
    """As :func:`named`, for a name."""
    caller = call.caller
    folders = call.sandbox.recall(accessible, caller) if database is None else accessible(database, caller)
    try:
        number: uuid.UUID | None = uuid.UUID(name)
    except ValueError:
        number = None
    found = [access for access in folders if access.folder.name == name or access.folder.id == number]
    allowed = [access for access in found if access.is_owner or access.permission in permissions]
    if not allowed:
        raise not_found("virtual folder", data=name)
    if len(allowed) > 1:
        raise Problem("too-many-vfolders")
    return allowed[0]


def content_of(sandbox: Sandbox, folder: model.VFolder) -> Path:
    """Where a folder's files are."""
    return sandbox.folders / folder.id.hex
