"""GraphQL mutations, all of them. One that cannot be done answers ``ok: false`` and why, as the manager's do."""

# ruff: noqa: A002  # arguments are called what the schema calls them
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.graphql.changes import (
    Outcome,
    RefusedError,
    Resolver,
    create,
    delete,
    done,
    modify,
    mutation,
)
from ai.backend.client.sandbox.graphql.people_mutations import PEOPLE
from ai.backend.client.sandbox.sessions.creation import find_image

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context

ARCHITECTURE: Final = "x86_64"
GROUP_MUTATIONS: Final = ("create_group", "modify_group", "delete_group", "purge_group")
"""What domain administrators may do too."""


def _associate(kind: str, argument: str) -> Callable[..., Outcome]:
    def associate(_context: Context, database: Database, scaling_group: str, **arguments: Any) -> Outcome:
        if database.get(model.ScalingGroup, scaling_group) is None:
            raise RefusedError(f"integrity error: the scaling group {scaling_group} does not exist")
        use = {"scaling_group": scaling_group, "kind": kind, "target": str(arguments[argument])}
        if database.query(model.ScalingGroupUse).filter_by(**use).count():
            raise RefusedError("integrity error: the association exists already")
        database.add(model.ScalingGroupUse(**use))
        return done()

    return associate


def _disassociate(kind: str, argument: str, label: str) -> Callable[..., Outcome]:
    def disassociate(
        _context: Context, database: Database, scaling_group: str | None = None, **arguments: Any
    ) -> Outcome:
        query = database.query(model.ScalingGroupUse).filter_by(kind=kind, target=str(arguments[argument]))
        if scaling_group is not None:
            query = query.filter_by(scaling_group=scaling_group)
        if not query.delete():
            raise RefusedError(f"no matching {label}")
        return done()

    return disassociate


def _alias_image(
    _context: Context, database: Database, alias: str, target: str, architecture: str | None = None
) -> Outcome:
    image = find_image(database, target, architecture or ARCHITECTURE)
    database.add(model.ImageAlias(alias=alias, image=image.id))
    database.flush()
    return {"ok": True, "msg": ""}


def _dealias_image(_context: Context, database: Database, alias: str) -> Outcome:
    if not database.query(model.ImageAlias).filter_by(alias=alias).delete():
        raise RefusedError("No such image alias.")
    return {"ok": True, "msg": ""}


def _forget_image(_context: Context, database: Database, reference: str, architecture: str | None = None) -> Outcome:
    image = find_image(database, reference, architecture or ARCHITECTURE)
    database.query(model.ImageAlias).filter_by(image=image.id).delete()
    database.delete(image)
    return {"ok": True, "msg": ""}


def _modify_agent(context: Context, _database: Database, id: str, props: Mapping[str, Any]) -> Outcome:
    if id != seed.AGENT:
        raise RefusedError("no matching modifyagent")
    if props.get("schedulable") is not None:
        context.sandbox.kernels.schedulable = props["schedulable"]
    return done()


def _rescan_images(context: Context, _database: Database, registry: str | None = None) -> Outcome:
    async def rescan() -> str:
        return f"the images of {registry or 'all registries'} are as they were"

    return {"ok": True, "msg": "", "task_id": context.sandbox.tasks.start(rescan)}


_KEYPAIR_POLICY = model.KeyPairResourcePolicy

_WORK: Final[Mapping[str, Callable[..., Outcome]]] = {
    **PEOPLE,
    "modify_agent": _modify_agent,
    "create_keypair_resource_policy": create(_KEYPAIR_POLICY, "resource_policy"),
    "modify_keypair_resource_policy": modify(_KEYPAIR_POLICY, "modifykeypairresourcepolicy"),
    "delete_keypair_resource_policy": delete(_KEYPAIR_POLICY, "deletekeypairresourcepolicy"),
    "create_user_resource_policy": create(model.UserResourcePolicy, "resource_policy"),
    "modify_user_resource_policy": modify(model.UserResourcePolicy, "modifyuserresourcepolicy"),
    "delete_user_resource_policy": delete(model.UserResourcePolicy, "deleteuserresourcepolicy"),
    "create_project_resource_policy": create(model.ProjectResourcePolicy, "resource_policy"),
    "modify_project_resource_policy": modify(model.ProjectResourcePolicy, "modifyprojectresourcepolicy"),
    "delete_project_resource_policy": delete(model.ProjectResourcePolicy, "deleteprojectresourcepolicy"),
    "create_resource_preset": create(model.ResourcePreset, "resource_preset"),
    "modify_resource_preset": modify(model.ResourcePreset, "modifyresourcepreset"),
    "delete_resource_preset": delete(model.ResourcePreset, "deleteresourcepreset"),
    "create_scaling_group": create(model.ScalingGroup, "scaling_group"),
    "modify_scaling_group": modify(model.ScalingGroup, "modifyscalinggroup"),
    "delete_scaling_group": delete(model.ScalingGroup, "deletescalinggroup"),
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
    name: mutation(work, name, admins=name in GROUP_MUTATIONS) for name, work in _WORK.items()
}
"""Mutation → resolver. What is not here is not implemented."""
