"""GraphQL mutations. A mutation that cannot be done answers ``ok: false`` and why, as the manager's do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox import lifecycle, model, seed
from ai.backend.client.sandbox.accounts import add_user
from ai.backend.client.sandbox.creation import find_image
from ai.backend.client.sandbox.folders import remove_folder
from ai.backend.client.sandbox.slots import size

if TYPE_CHECKING:
    from ai.backend.client.sandbox.querying import Context

Resolver = Callable[..., Any]
Outcome = dict[str, Any]

KEYPAIR_RATE_LIMIT: Final = 10000
ADMIN_ROLES: Final = ("superadmin", "admin")
GROUP_MUTATIONS: Final = ("create_group", "modify_group", "delete_group", "purge_group")
"""What domain administrators may do too."""


class RefusedError(Exception):
    """A change that is not made; its text is the outcome's ``msg``."""


def _done(**items: Any) -> Outcome:
    return {"ok": True, "msg": "success", **items}


def _mutation(work: Callable[..., Outcome], name: str, *, admins: bool = False) -> Resolver:
    """Run a change in a transaction of its own, if the caller may make it.

    Args:
        work: Gets the context, the database and the mutation's arguments.
        name: What refusals call it.
        admins: Domain administrators may make it too, in their domain.
    """

    def resolve(context: Context, **arguments: Any) -> Outcome:
        allowed = context.caller.is_superadmin or (admins and context.caller.role == "admin")
        if not allowed:
            return {"ok": False, "msg": f"no permission to execute {name}"}
        if context.sandbox.v4 and "props" in arguments:  # where null means "not given"
            arguments["props"] = {name: value for name, value in arguments["props"].items() if value is not None}
        try:
            with context.sandbox.write() as database:
                return work(context, database, **arguments)
        except IntegrityError as error:
            return {"ok": False, "msg": f"integrity error: {error.orig}"}
        except RefusedError as error:
            return {"ok": False, "msg": str(error)}

    return resolve


def _columns(props: Mapping[str, Any], *leave_out: str) -> dict[str, Any]:
    return {name: value for name, value in props.items() if name not in leave_out}


def _update(row: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _create(table: Any, item: str, key: str = "name") -> Resolver:
    def create(_context: Context, database: Database, props: Mapping[str, Any], **arguments: Any) -> Outcome:
        row = table(**{key: arguments[key], **_prepared(table, props)})
        database.add(row)
        database.flush()
        return _done(**{item: row})

    return create


def _modify(table: Any, label: str, item: str = "") -> Resolver:
    def modify(_context: Context, database: Database, name: str, props: Mapping[str, Any]) -> Outcome:
        row = database.get(table, name)
        if row is None:
            raise RefusedError(f"no matching {label}")
        _update(row, _prepared(table, props))
        database.flush()
        return _done(**{item: row} if item else {})

    return modify


def _delete(table: Any, label: str) -> Resolver:
    def delete(_context: Context, database: Database, name: str) -> Outcome:
        row = database.get(table, name)
        if row is None:
            raise RefusedError(f"no matching {label}")
        database.delete(row)
        return _done()

    return delete


def _prepared(table: Any, props: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that an input has values for. A null for one that must have a value is an integrity error."""
    values = {name: value for name, value in props.items() if hasattr(table, name)}
    hosts = values.get("allowed_vfolder_hosts")
    if isinstance(hosts, list):  # in 19.09
        values["allowed_vfolder_hosts"] = {host: list(seed.HOST_PERMISSIONS) for host in hosts}
    for name, value in values.items():
        if isinstance(value, str) and isinstance(getattr(table, name).type, JSON):
            values[name] = json.loads(value)  # a default of the schema, which is text
    if isinstance(values.get("shared_memory"), str):
        values["shared_memory"] = size(values["shared_memory"])
    return values


def _deactivate_domain(_context: Context, database: Database, name: str) -> Outcome:
    row = database.get(model.Domain, name)
    if row is None:
        raise RefusedError("no matching deletedomain")
    row.is_active = False
    return _done()


def _purge_domain(_context: Context, database: Database, name: str) -> Outcome:
    if database.query(model.User).filter_by(domain_name=name).count():
        raise RefusedError("There are users bound to the domain. Remove users first.")
    if database.query(model.Group).filter_by(domain_name=name).count():
        raise RefusedError("There are groups bound to the domain. Remove groups first.")
    return _delete(model.Domain, "purgedomain")(_context, database, name)  # type: ignore[no-any-return]


def _create_domain(context: Context, database: Database, name: str, props: Mapping[str, Any]) -> Outcome:
    outcome: Outcome = _create(model.Domain, "domain")(context, database, name=name, props=props)
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
    row = model.Group(id=uuid.uuid4(), name=name, **_prepared(model.Group, props))
    database.add(row)
    database.flush()
    return _done(group=row)


def _modify_group(context: Context, database: Database, gid: Any, props: Mapping[str, Any]) -> Outcome:
    row = _group_row(context, database, gid)
    _update(row, _prepared(model.Group, _columns(props, "user_update_mode", "user_uuids")))
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
    return _done(group=row)


def _deactivate_group(context: Context, database: Database, gid: Any) -> Outcome:
    row = _group_row(context, database, gid)
    row.is_active = False
    row.integration_id = None
    return _done()


def _purge_group(context: Context, database: Database, gid: Any) -> Outcome:
    row = _group_row(context, database, gid)
    live = database.query(model.Session).filter(model.Session.status.in_(lifecycle.LIVE))
    if live.filter_by(group_id=row.id).count():
        raise RefusedError("error: Group has some active kernels. Terminate those kernels first.")
    for folder in database.query(model.VFolder).filter_by(group=row.id).all():
        remove_folder(context.sandbox, database, folder)
    database.query(model.Membership).filter_by(group_id=row.id).delete()
    database.delete(row)
    return _done()


def _status(props: Mapping[str, Any]) -> str | None:
    status = props.get("status")
    if status is None and props.get("is_active") is not None:
        return "active" if props["is_active"] else "inactive"
    return status


def _create_user(_context: Context, database: Database, email: str, props: Mapping[str, Any]) -> Outcome:
    values = _prepared(model.User, _columns(props, "is_active", "group_ids"))
    values |= {"email": email, "username": props.get("username") or email, "status": _status(props) or "active"}
    if database.get(model.Domain, values["domain_name"]) is None:
        raise RefusedError(f"integrity error: the domain {values['domain_name']} does not exist")
    keypair = add_user(database, values, KEYPAIR_RATE_LIMIT)
    _set_groups(database, keypair.user, values["domain_name"], props.get("group_ids") or ())
    return _done(user=database.get_one(model.User, keypair.user))


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


def _modify_user(_context: Context, database: Database, email: str, props: Mapping[str, Any]) -> Outcome:
    values = _prepared(model.User, _columns(props, "is_active", "group_ids", "password", "status"))
    if props.get("password") is not None:
        values["password"] = seed.hashed(props["password"])
    if _status(props) is not None:
        values["status"] = _status(props)
    if not values and not props.get("group_ids"):
        raise RefusedError("nothing to update")
    row = _user_row(database, email, "modifyuser")
    key = values.get("main_access_key")
    keypair = database.get(model.KeyPair, key) if key else None
    if key and (keypair is None or keypair.user != row.uuid):
        raise RefusedError("Cannot set another user's access key as the main access key.")
    _update(row, values)
    if "role" in values:
        is_admin = values["role"] in ADMIN_ROLES
        database.query(model.KeyPair).filter_by(user=row.uuid).update({"is_admin": is_admin})
    if "status" in values:
        is_active = values["status"] == "active"
        database.query(model.KeyPair).filter_by(user=row.uuid).update({"is_active": is_active})
    if props.get("group_ids") is not None:
        _set_groups(database, row.uuid, row.domain_name, props["group_ids"])
    database.flush()
    return _done(user=row)


def _delete_user(_context: Context, database: Database, email: str) -> Outcome:
    row = _user_row(database, email, "deleteuser")
    row.status, row.status_info = "deleted", "admin-requested"
    database.query(model.KeyPair).filter_by(user=row.uuid).update({"is_active": False})
    return _done()


def _purge_user(context: Context, database: Database, email: str, props: Mapping[str, Any]) -> Outcome:
    row = _user_row(database, email, "purgeuser")
    live = database.query(model.Session).filter(model.Session.status.in_(lifecycle.LIVE))
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
    return _done()


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
        **_prepared(model.KeyPair, props),
    )
    database.add(row)
    database.flush()
    return _done(keypair=row)


def _modify_keypair(_context: Context, database: Database, access_key: str, props: Mapping[str, Any]) -> Outcome:
    row = database.get(model.KeyPair, access_key)
    if row is None:
        raise RefusedError("no matching modifykeypair")
    _update(row, _prepared(model.KeyPair, props))
    database.flush()
    return _done()


def _delete_keypair(_context: Context, database: Database, access_key: str) -> Outcome:
    if database.query(model.User).filter_by(main_access_key=access_key).count():
        raise RefusedError("unexpected error: Cannot delete main access key of a user")
    row = database.get(model.KeyPair, access_key)
    if row is None:
        raise RefusedError("no matching deletekeypair")
    database.delete(row)
    return _done()


def _associate(kind: str, argument: str) -> Resolver:
    def associate(_context: Context, database: Database, scaling_group: str, **arguments: Any) -> Outcome:
        if database.get(model.ScalingGroup, scaling_group) is None:
            raise RefusedError(f"integrity error: the scaling group {scaling_group} does not exist")
        use = {"scaling_group": scaling_group, "kind": kind, "target": str(arguments[argument])}
        if database.query(model.ScalingGroupUse).filter_by(**use).count():
            raise RefusedError("integrity error: the association exists already")
        database.add(model.ScalingGroupUse(**use))
        return _done()

    return associate


def _disassociate(kind: str, argument: str, label: str) -> Resolver:
    def disassociate(
        _context: Context, database: Database, scaling_group: str | None = None, **arguments: Any
    ) -> Outcome:
        query = database.query(model.ScalingGroupUse).filter_by(kind=kind, target=str(arguments[argument]))
        if scaling_group is not None:
            query = query.filter_by(scaling_group=scaling_group)
        if not query.delete():
            raise RefusedError(f"no matching {label}")
        return _done()

    return disassociate


def _alias_image(
    _context: Context, database: Database, alias: str, target: str, architecture: str = "x86_64"
) -> Outcome:
    image = find_image(database, target, architecture)
    database.add(model.ImageAlias(alias=alias, image=image.id))
    database.flush()
    return {"ok": True, "msg": ""}


def _dealias_image(_context: Context, database: Database, alias: str) -> Outcome:
    if not database.query(model.ImageAlias).filter_by(alias=alias).delete():
        raise RefusedError("No such image alias.")
    return {"ok": True, "msg": ""}


def _forget_image(_context: Context, database: Database, reference: str, architecture: str = "x86_64") -> Outcome:
    image = find_image(database, reference, architecture)
    database.query(model.ImageAlias).filter_by(image=image.id).delete()
    database.delete(image)
    return {"ok": True, "msg": ""}


def _modify_agent(context: Context, _database: Database, id: str, props: Mapping[str, Any]) -> Outcome:  # noqa: A002
    if id != seed.AGENT:
        raise RefusedError("no matching modifyagent")
    if props.get("schedulable") is not None:
        context.sandbox.kernels.schedulable = props["schedulable"]
    return _done()


def _rescan_images(context: Context, _database: Database, registry: str | None = None) -> Outcome:
    async def rescan() -> str:
        return f"the images of {registry or 'all registries'} are as they were"

    return {"ok": True, "msg": "", "task_id": context.sandbox.tasks.start(rescan)}


_KEYPAIR_POLICY = model.KeyPairResourcePolicy

_WORK: Final[Mapping[str, Resolver]] = {
    "modify_agent": _modify_agent,
    "create_domain": _create_domain,
    "modify_domain": _modify(model.Domain, "modifydomain", "domain"),
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
    "create_keypair_resource_policy": _create(_KEYPAIR_POLICY, "resource_policy"),
    "modify_keypair_resource_policy": _modify(_KEYPAIR_POLICY, "modifykeypairresourcepolicy"),
    "delete_keypair_resource_policy": _delete(_KEYPAIR_POLICY, "deletekeypairresourcepolicy"),
    "create_user_resource_policy": _create(model.UserResourcePolicy, "resource_policy"),
    "modify_user_resource_policy": _modify(model.UserResourcePolicy, "modifyuserresourcepolicy"),
    "delete_user_resource_policy": _delete(model.UserResourcePolicy, "deleteuserresourcepolicy"),
    "create_project_resource_policy": _create(model.ProjectResourcePolicy, "resource_policy"),
    "modify_project_resource_policy": _modify(model.ProjectResourcePolicy, "modifyprojectresourcepolicy"),
    "delete_project_resource_policy": _delete(model.ProjectResourcePolicy, "deleteprojectresourcepolicy"),
    "create_resource_preset": _create(model.ResourcePreset, "resource_preset"),
    "modify_resource_preset": _modify(model.ResourcePreset, "modifyresourcepreset"),
    "delete_resource_preset": _delete(model.ResourcePreset, "deleteresourcepreset"),
    "create_scaling_group": _create(model.ScalingGroup, "scaling_group"),
    "modify_scaling_group": _modify(model.ScalingGroup, "modifyscalinggroup"),
    "delete_scaling_group": _delete(model.ScalingGroup, "deletescalinggroup"),
    "associate_scaling_group_with_domain": _associate("domain", "domain"),
    "associate_scaling_group_with_user_group": _associate("group", "user_group"),
    "associate_scaling_group_with_keypair": _associate("keypair", "access_key"),
    "disassociate_scaling_group_with_domain": _disassociate("domain", "domain", "disassociatescalinggroupwithdomain"),
    "disassociate_scaling_group_with_user_group": _disassociate(
        "group", "user_group", "disassociatescalinggroupwithusergroup"
    ),
    "disassociate_scaling_group_with_keypair": _disassociate(
        "keypair", "access_key", "disassociatescalinggroupwithkeypair"
    ),
    "disassociate_all_scaling_groups_with_domain": _disassociate(
        "domain", "domain", "disassociateallscalinggroupswithdomain"
    ),
    "disassociate_all_scaling_groups_with_group": _disassociate(
        "group", "user_group", "disassociateallscalinggroupswithgroup"
    ),
    "rescan_images": _rescan_images,
    "alias_image": _alias_image,
    "dealias_image": _dealias_image,
    "forget_image": _forget_image,
}
WRITES: Final[Mapping[str, Resolver]] = {
    name: _mutation(work, name, admins=name in GROUP_MUTATIONS) for name, work in _WORK.items()
}
"""Mutation → resolver. What is not here is not implemented."""
