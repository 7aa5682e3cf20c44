"""Sharing virtual folders: invitations, and permissions that are given at once."""

from __future__ import annotations

import uuid
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.access import Identity
from ai.backend.client.sandbox.core.parameters import Field, choice, list_of, optional, text, uuid_value
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Role, Routes, answer, missing
from ai.backend.client.sandbox.folders.access import READ, accessible, named
from ai.backend.client.sandbox.folders.making import PERMISSIONS

EMAILS: Final = Field(list_of(text), names=("emails", "user_ids", "userIDs"))
PERMISSION: Final = Field(choice(*PERMISSIONS), "rw", ("perm", "permission"))


def routes(sandbox: Sandbox) -> Routes:
    """The routes of a generation."""
    table = Routes()
    table.add("POST /folders/{name}/invite", writes=True)(invite)
    table.add("GET /folders/invitations/list")(invitations)
    table.add("POST /folders/invitations/accept", writes=True)(accept)
    table.add("DELETE /folders/invitations/delete", writes=True)(refuse)
    if not sandbox.v4:
        table.add("GET /folders/invitations/list-sent", "GET /folders/invitations/list_sent")(sent)
        table.add("POST /folders/invitations/update/{inv_id}", writes=True)(update)
        table.add("POST /folders/{name}/share", role=Role.ADMIN, writes=True)(share)
        table.add("DELETE /folders/{name}/unshare", role=Role.ADMIN, writes=True)(unshare)
        table.add("POST /folders/{name}/leave", writes=True)(leave)
        if sandbox.v9:
            table.add("POST /folders/invitations/delete", writes=True)(refuse)
            table.add("POST /folders/{name}/unshare", role=Role.ADMIN, writes=True)(unshare)
        table.add("GET /folders/_/shared")(shared)
        table.add("POST /folders/_/shared", writes=True)(update_shared)
        table.add("POST /folders/_/change-ownership", role=Role.SUPERADMIN, writes=True)(
            missing("changing a folder's owner")
        )
    return table


def _own(call: Call, database: Database) -> model.VFolder:
    folder = database.query(model.VFolder).filter_by(user=call.caller.user_id, name=call.path("name")).one_or_none()
    if folder is None:
        raise not_found("virtual folder")
    return folder


async def invite(call: Call) -> web.Response:
    given = await call.parameters({"permission": PERMISSION, "emails": EMAILS})
    if call.path("name").startswith("."):
        raise Problem("generic-forbidden", "Cannot share private dot-prefixed vfolders.")
    invited = []
    with call.sandbox.write() as database:
        folder = _own(call, database)
        users = [
            user
            for email in dict.fromkeys(given["emails"])
            if email != call.caller.email
            and (user := database.query(model.User).filter_by(email=email, status="active").one_or_none())
        ]
        if not users and not call.sandbox.v9:
            raise not_found("vfolder invitation")
        if call.sandbox.v9:  # which invites whoever is named
            invited += [email for email in given["emails"] if email not in {user.email for user in users}]
        for user in users:
            if database.get(model.VFolderPermission, (folder.id, user.uuid)) is not None:
                raise Problem("vfolder-already-exists")
        for user in users:
            pending = {"vfolder": folder.id, "invitee": user.email, "state": "pending"}
            if database.query(model.VFolderInvitation).filter_by(**pending).count():
                continue
            database.add(model.VFolderInvitation(inviter=call.caller.email, permission=given["permission"], **pending))
            invited.append(user.email)
    return answer({"invited_ids": invited}, 201)


def _pending(database: Database, **which: Any) -> list[model.VFolderInvitation]:
    return database.query(model.VFolderInvitation).filter_by(state="pending", **which).all()


def _described(call: Call, database: Database, found: list[model.VFolderInvitation]) -> web.Response:
    items = []
    for invitation in found:
        item = {
            "id": str(invitation.id),
            "inviter": invitation.inviter,
            "invitee": invitation.invitee,
            "perm": invitation.permission,
            "state": invitation.state,
            "created_at": str(invitation.created_at),
            "vfolder_id": str(invitation.vfolder),
            "vfolder_name": database.get_one(model.VFolder, invitation.vfolder).name,
        }
        items.append(item if call.sandbox.v4 else {**item, "modified_at": str(invitation.modified_at)})
    return answer({"invitations": items})


async def invitations(call: Call) -> web.Response:
    with call.sandbox.read() as database:
        return _described(call, database, _pending(database, invitee=call.caller.email))


async def sent(call: Call) -> web.Response:
    with call.sandbox.read() as database:
        return _described(call, database, _pending(database, inviter=call.caller.email))


async def update(call: Call) -> web.Response:
    given = await call.parameters({"permission": Field(choice(*PERMISSIONS), names=("perm", "permission"))})
    number = call.path("inv_id")
    with call.sandbox.write() as database:
        for invitation in _pending(database, inviter=call.caller.email):
            if str(invitation.id) == number:
                invitation.permission = given["permission"]
                invitation.modified_at = model.now()
    return answer({"msg": f"vfolder invitation updated: {number}."})


def _invitation(call: Call, database: Database, number: str) -> model.VFolderInvitation:
    try:
        invitation = database.get(model.VFolderInvitation, uuid.UUID(number))
    except ValueError:
        invitation = None
    if invitation is None or invitation.state != "pending":
        raise Problem("vfolder-invitation-not-found") if call.sandbox.v9 else not_found("vfolder invitation")
    return invitation


def _has_name(database: Database, identity: Identity, name: str) -> bool:
    return any(access.folder.name == name for access in accessible(database, identity))


async def accept(call: Call) -> web.Response:
    given = await call.parameters({"inv_id": Field(text)})
    with call.sandbox.write() as database:
        invitation = _invitation(call, database, given["inv_id"])
        folder = database.get_one(model.VFolder, invitation.vfolder)
        if _has_name(database, call.caller, folder.name):
            raise Problem("vfolder-already-exists")
        database.add(
            model.VFolderPermission(vfolder=folder.id, user=call.caller.user_id, permission=invitation.permission)
        )
        invitation.state = "accepted"
    return answer({"msg": ""} if call.sandbox.v9 else {})


async def refuse(call: Call) -> web.Response:
    given = await call.parameters({"inv_id": Field(text)})
    with call.sandbox.write() as database:
        invitation = _invitation(call, database, given["inv_id"])
        if call.caller.email == invitation.inviter:
            invitation.state = "canceled"
        elif call.caller.email == invitation.invitee:
            invitation.state = "rejected"
        else:
            # Managers turn their own refusal into this.
            raise Problem("internal-server-error", "unexpected error: Cannot change other user's invitation")
    return answer({})


async def share(call: Call) -> web.Response:
    given = await call.parameters({"permission": Field(choice(*PERMISSIONS), "rw"), "emails": Field(list_of(text))})
    with call.sandbox.write() as database:
        folder = _of_group(call, database)
        users = _members(database, folder, given["emails"])
        if len(users) < len(given["emails"]):
            unknown = set(given["emails"]) - {user.email for user in users}
            raise not_found("user", f"Some users do not belong to folder's group: {','.join(sorted(unknown))}")
        for user in users:
            database.merge(model.VFolderPermission(vfolder=folder.id, user=user.uuid, permission=given["permission"]))
    return answer({"shared_emails": [user.email for user in users]}, 201)


async def unshare(call: Call) -> web.Response:
    given = await call.parameters({"emails": Field(list_of(text))})
    with call.sandbox.write() as database:
        folder = _of_group(call, database)
        users = database.query(model.User).filter(model.User.email.in_(given["emails"])).all()
        if not users:
            raise not_found("user(s).")
        for user in users:
            database.query(model.VFolderPermission).filter_by(vfolder=folder.id, user=user.uuid).delete()
    return answer({"unshared_emails": given["emails"]})


def _of_group(call: Call, database: Database) -> model.VFolder:
    folder = named(call, READ, database).folder
    if folder.ownership_type != "group":
        raise not_found("virtual folder", "Only project folders are directly sharable.")
    return folder


def _members(database: Database, folder: model.VFolder, emails: list[str]) -> list[model.User]:
    members = database.query(model.Membership.user_id).filter_by(group_id=folder.group)
    return (
        database.query(model.User)
        .filter(model.User.email.in_(emails), model.User.uuid.in_(members), model.User.status == "active")
        .all()
    )


async def leave(call: Call) -> web.Response:
    given = await call.parameters({"user": Field(optional(uuid_value), None, ("shared_user_uuid", "sharedUserUuid"))})
    with call.sandbox.write() as database:
        access = named(call, READ, database)
        if access.folder.ownership_type == "group":
            raise invalid("Cannot leave a group vfolder.")
        user = given["user"] if given["user"] and call.caller.is_superadmin else call.caller.user_id
        if access.folder.user == user:
            raise invalid("Cannot leave a vfolder owned by the requesting user.")
        database.query(model.VFolderPermission).filter_by(vfolder=access.folder.id, user=user).delete()
    return answer({"msg": f"left the shared vfolder: {access.folder.name}"})


async def shared(call: Call) -> web.Response:
    given = await call.parameters({"vfolder_id": Field(optional(uuid_value), None, ("vfolder_id", "vfolderId"))})
    items = []
    with call.sandbox.read() as database:
        for row in database.query(model.VFolderPermission):
            folder = database.get_one(model.VFolder, row.vfolder)
            if given["vfolder_id"] not in (None, folder.id) or not (
                folder.user == call.caller.user_id or call.caller.is_superadmin
            ):
                continue
            user = database.get_one(model.User, row.user)
            items.append(
                {
                    "vfolder_id": str(folder.id),
                    "vfolder_name": folder.name,
                    "status": folder.status,
                    "owner": folder.creator,
                    "type": folder.ownership_type,
                    "shared_to": {"uuid": str(user.uuid), "email": user.email},
                    "perm": row.permission,
                }
            )
    return answer({"shared": items})


async def update_shared(call: Call) -> web.Response:
    given = await call.parameters(
        {
            "vfolder": Field(uuid_value),
            "user": Field(uuid_value),
            "permission": Field(optional(choice(*PERMISSIONS)), None, ("perm", "permission")),
        }
    )
    with call.sandbox.write() as database:
        folder = database.get(model.VFolder, given["vfolder"])
        if folder is None or not (folder.user == call.caller.user_id or call.caller.is_superadmin):
            raise not_found("virtual folder")
        which = database.query(model.VFolderPermission).filter_by(vfolder=folder.id, user=given["user"])
        if given["permission"] is None:
            which.delete()
        else:
            which.update({"permission": given["permission"]})
    return answer({"msg": "shared vfolder permission updated"})
