"""GraphQL mutations of domains, groups, users and keypairs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.accounts.handlers import add_user
from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.folders.making import remove_folder
from ai.backend.client.sandbox.graphql.changes import (
    Outcome,
    RefusedError,
    create,
    delete,
    done,
    modify,
    prepared,
    update,
)

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context

KEYPAIR_RATE_LIMIT: Final = 10000
ADMIN_ROLES: Final = ("superadmin", "admin")


def _columns(props: Mapping[str, Any], *leave_out: str) -> dict[str, Any]:
    return {name: value for name, value in props.items() if name not in leave_out}


def _deactivate_domain(_context: Context, database: Database, name: str) -> Outcome:
    row = database.get(model.Domain, name)
    if row is None:
        raise RefusedError("no matching deletedomain")
    row.is_active = False
    return done()


def _purge_domain(_context: Context, database: Database, name: str) -> Outcome:
    if database.query(model.User).filter_by(domain_name=name).count():
        raise RefusedError("There are users bound to the domain. Remove users first.")
    if database.query(model.Group).filter_by(domain_name=name).count():
        raise RefusedError("There are groups bound to the domain. Remove groups first.")
    return delete(model.Domain, "purgedomain")(_context, database, name)


def _create_domain(context: Context, database: Database, name: str, props: Mapping[str, Any]) -> Outcome:
    if context.sandbox.v9 and props.get("total_resource_slots"):
        raise ValueError("(builtins.AttributeError) 'dict' object has no attribute 'to_json'")  # the manager's fault
    outcome: Outcome = create(model.Domain, "domain")(context, database, name=name, props=props)
    if context.sandbox.v9:
        database.add(model.Group(name="model-store", domain_name=name, type="model-store"))
    database.add(model.ScalingGroupUse(scaling_group=seed.SCALING_GROUP, kind="domain", target=name))
    return outcome


def _group_row(context: Context, database: Database, gid: Any) -> model.Group:
    row = database.get(model.Group, uuid.UUID(str(gid)))
    if row is None or (not context.caller.is_superadmin and row.domain_name != context.caller.domain):
        raise RefusedError("no matching group")
    return row


def _create_group(context: Context, database: Database, name: str, props: Mapping[str, Any]) -> Outcome:
    domain = props["domain_name"]
    if not context.caller.is_superadmin and domain != context.caller.domain:
        raise RefusedError("no permission to execute create_group")
    if database.get(model.Domain, domain) is None:
        raise RefusedError(f"integrity error: the domain {domain} does not exist")
    if database.query(model.Group).filter_by(name=name, domain_name=domain).count():
        raise RefusedError(f"integrity error: the group {name} exists in the domain {domain}")
    row = model.Group(id=uuid.uuid4(), name=name, **prepared(model.Group, props))
    database.add(row)
    database.flush()
    return done(group=row)


def _modify_group(context: Context, database: Database, gid: Any, props: Mapping[str, Any]) -> Outcome:
    row = _group_row(context, database, gid)
    update(row, prepared(model.Group, _columns(props, "user_update_mode", "user_uuids")))
    mode = props.get("user_update_mode")
    if mode not in (None, "add", "remove"):
        raise RefusedError("invalid user_update_mode")
    for user_id in props.get("user_uuids") or ():
        number = uuid.UUID(user_id)
        if database.get(model.User, number) is None:
            raise RefusedError(f"integrity error: the user {number} does not exist")
        if mode == "add":
            database.merge(model.Membership(group_id=row.id, user_id=number))
        elif mode == "remove":
            database.query(model.Membership).filter_by(group_id=row.id, user_id=number).delete()
    database.flush()
    return done(group=row)


def _deactivate_group(context: Context, database: Database, gid: Any) -> Outcome:
    row = _group_row(context, database, gid)
    row.is_active = False
    row.integration_id = None
    return done()


def _purge_group(context: Context, database: Database, gid: Any) -> Outcome:
    row = _group_row(context, database, gid)
    live = database.query(model.Session).filter(model.Session.status.in_(model.LIVE))
    if live.filter_by(group_id=row.id).count():
        raise RefusedError("error: Group has some active kernels. Terminate those kernels first.")
    for folder in database.query(model.VFolder).filter_by(group=row.id).all():
        remove_folder(context.sandbox, database, folder)
    database.query(model.Membership).filter_by(group_id=row.id).delete()
    database.delete(row)
    return done()


def _status(props: Mapping[str, Any]) -> str | None:
    status = props.get("status")
    if status is None and props.get("is_active") is not None:
        return "active" if props["is_active"] else "inactive"
    return status


def _create_user(_context: Context, database: Database, email: str, props: Mapping[str, Any]) -> Outcome:
    values = prepared(model.User, _columns(props, "is_active", "group_ids"))
    values |= {"email": email, "username": props.get("username") or email, "status": _status(props) or "active"}
    if database.get(model.Domain, values["domain_name"]) is None:
        raise RefusedError(f"integrity error: the domain {values['domain_name']} does not exist")
    keypair = add_user(database, values, KEYPAIR_RATE_LIMIT)
    _set_groups(database, keypair.user, values["domain_name"], props.get("group_ids") or ())
    return done(user=database.get_one(model.User, keypair.user))


def _set_groups(database: Database, user: uuid.UUID, domain: str, group_ids: Iterable[str]) -> None:
    database.query(model.Membership).filter_by(user_id=user).delete()
    for group_id in group_ids:
        group = database.get(model.Group, uuid.UUID(group_id))
        if group is not None and group.domain_name == domain:  # others are left out without a word
            database.add(model.Membership(group_id=group.id, user_id=user))
    database.flush()


def _user_row(database: Database, email: str, label: str) -> model.User:
    row = database.query(model.User).filter_by(email=email).one_or_none()
    if row is None:
        raise RefusedError(f"no matching {label}")
    return row


def _modify_user(context: Context, database: Database, email: str, props: Mapping[str, Any]) -> Outcome:
    values = prepared(model.User, _columns(props, "is_active", "group_ids", "password", "status"))
    if props.get("password") is not None:
        values["password"] = seed.hashed(props["password"])
    if _status(props) is not None:
        values["status"] = _status(props)
    if not values and not props.get("group_ids") and not context.sandbox.v9:
        raise RefusedError("nothing to update")
    row = _user_row(database, email, "modifyuser")
    key = values.get("main_access_key")
    keypair = database.get(model.KeyPair, key) if key else None
    if key and (keypair is None or keypair.user != row.uuid):
        raise RefusedError("Cannot set another user's access key as the main access key.")
    update(row, values)
    if "role" in values:
        is_admin = values["role"] in ADMIN_ROLES
        database.query(model.KeyPair).filter_by(user=row.uuid).update({"is_admin": is_admin})
    if "status" in values:
        is_active = values["status"] == "active"
        database.query(model.KeyPair).filter_by(user=row.uuid).update({"is_active": is_active})
    if props.get("group_ids") is not None:
        _set_groups(database, row.uuid, row.domain_name, props["group_ids"])
    database.flush()
    return done(user=row)


def _delete_user(_context: Context, database: Database, email: str) -> Outcome:
    row = _user_row(database, email, "deleteuser")
    row.status, row.status_info = "deleted", "admin-requested"
    database.query(model.KeyPair).filter_by(user=row.uuid).update({"is_active": False})
    return done()


def _purge_user(context: Context, database: Database, email: str, props: Mapping[str, Any]) -> Outcome:
    row = _user_row(database, email, "purgeuser")
    live = database.query(model.Session).filter(model.Session.status.in_(model.LIVE))
    if live.filter_by(user_id=row.uuid).count():
        raise RefusedError("unexpected error: User has some active kernels. Terminate them first.")
    for folder in database.query(model.VFolder).filter_by(user=row.uuid).all():
        shared = database.query(model.VFolderPermission).filter_by(vfolder=folder.id).count()
        if shared and not props.get("purge_shared_vfolders"):
            folder.user, folder.creator = context.caller.user_id, context.caller.email
        else:
            remove_folder(context.sandbox, database, folder)
    for table in (model.KeyPair, model.VFolderPermission, model.ErrorLog):
        database.query(table).filter_by(user=row.uuid).delete()
    database.query(model.Membership).filter_by(user_id=row.uuid).delete()
    database.delete(row)
    return done()


def _create_keypair(_context: Context, database: Database, user_id: str, props: Mapping[str, Any]) -> Outcome:
    owner = database.query(model.User).filter_by(email=user_id).one_or_none()
    if owner is None:
        raise RefusedError(f"integrity error: the user {user_id} does not exist")
    access_key, secret_key = seed.new_keys()
    row = model.KeyPair(
        access_key=access_key,
        secret_key=secret_key,
        user_id=user_id,
        user=owner.uuid,
        **prepared(model.KeyPair, props),
    )
    database.add(row)
    database.flush()
    return done(keypair=row)


def _modify_keypair(_context: Context, database: Database, access_key: str, props: Mapping[str, Any]) -> Outcome:
    row = database.get(model.KeyPair, access_key)
    if row is None:
        raise RefusedError("no matching modifykeypair")
    update(row, prepared(model.KeyPair, props))
    database.flush()
    return done()


def _delete_keypair(_context: Context, database: Database, access_key: str) -> Outcome:
    if database.query(model.User).filter_by(main_access_key=access_key).count():
        raise RefusedError("unexpected error: Cannot delete main access key of a user")
    row = database.get(model.KeyPair, access_key)
    if row is None:
        raise RefusedError("no matching deletekeypair")
    database.delete(row)
    return done()


PEOPLE: Final[Mapping[str, Callable[..., Outcome]]] = {
    "create_domain": _create_domain,
    "modify_domain": modify(model.Domain, "modifydomain", "domain"),
    "delete_domain": _deactivate_domain,
    "purge_domain": _purge_domain,
    "create_group": _create_group,
    "modify_group": _modify_group,
    "delete_group": _deactivate_group,
    "purge_group": _purge_group,
    "create_user": _create_user,
    "modify_user": _modify_user,
    "delete_user": _delete_user,
    "purge_user": _purge_user,
    "create_keypair": _create_keypair,
    "modify_keypair": _modify_keypair,
    "delete_keypair": _delete_keypair,
}
