"""Root fields of GraphQL queries: domains, groups, users, keypairs and their policies."""

# ruff: noqa: A002  # arguments are called what the schema calls them
from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.graphql.scope import Resolver, page, scoped, superadmins

if TYPE_CHECKING:
    from sqlalchemy.orm import Query

    from ai.backend.client.sandbox.graphql.context import Context


LIST_LIMIT: Final = 100
"""What managers cut the lists of users and keypairs at."""


INACTIVE: Final = ("inactive", "deleted")


def domain(context: Context, name: str | None = None) -> model.Domain | None:
    name = name or context.caller.domain
    if not context.caller.is_superadmin and name != context.caller.domain:
        raise Problem("object-not-found", title="No such domain.")
    return context.database.get(model.Domain, name)


@superadmins
def domains(context: Context, is_active: bool | None = None) -> list[model.Domain]:
    query = context.database.query(model.Domain).order_by(model.Domain.name)
    return query.all() if is_active is None else query.filter_by(is_active=is_active).all()


def _visible_groups(context: Context, domain_name: str | None) -> Query[model.Group]:
    query = context.database.query(model.Group).order_by(model.Group.name)
    caller = context.caller
    if not caller.is_superadmin:
        if domain_name not in (None, caller.domain):
            raise Problem("insufficient-privilege")
        domain_name = caller.domain
    if caller.role == "user":
        own = context.database.query(model.Membership.group_id).filter_by(user_id=caller.user_id)
        query = query.filter(model.Group.id.in_(own))
    return query.filter_by(domain_name=domain_name) if domain_name else query


def group(context: Context, id: Any, domain_name: str | None = None) -> model.Group | None:
    number = uuid.UUID(str(id))
    found = _visible_groups(context, domain_name).filter_by(id=number).one_or_none()
    if found is None and context.caller.role == "user":
        raise Problem("insufficient-privilege")
    return found


def groups(context: Context, domain_name: str | None = None, is_active: bool | None = None) -> list[model.Group]:
    query = _visible_groups(context, domain_name)
    return query.all() if is_active is None else query.filter_by(is_active=is_active).all()


def groups_by_name(context: Context, name: str, domain_name: str | None = None) -> list[model.Group]:
    return _visible_groups(context, domain_name).filter_by(name=name).all()


@scoped("email", autofill=True)
def user(context: Context, email: str, domain_name: str | None = None) -> model.User | None:
    return _users(context, domain_name).filter_by(email=email).one_or_none()


@scoped("user_id", autofill=True)
def user_from_uuid(context: Context, user_id: Any, domain_name: str | None = None) -> model.User | None:
    return _users(context, domain_name).filter_by(uuid=uuid.UUID(str(user_id))).one_or_none()


def _users(context: Context, domain_name: str | None) -> Query[model.User]:
    query = context.database.query(model.User).order_by(model.User.created_at)
    return query.filter_by(domain_name=domain_name) if domain_name else query


def _chosen_users(
    context: Context,
    domain_name: str | None = None,
    group_id: Any = None,
    is_active: bool | None = None,
    status: str | None = None,
) -> list[model.User]:
    caller = context.caller
    if caller.role not in ("superadmin", "admin"):
        raise Problem("insufficient-privilege")
    if not caller.is_superadmin:
        if domain_name not in (None, caller.domain):
            raise Problem("insufficient-privilege")
        domain_name = caller.domain
    query = _users(context, domain_name)
    if group_id is not None:
        members = context.database.query(model.Membership.user_id).filter_by(group_id=uuid.UUID(str(group_id)))
        query = query.filter(model.User.uuid.in_(members))
    if status is not None:
        query = query.filter_by(status=status)
    elif is_active is not None:
        query = query.filter_by(status="active") if is_active else query.filter(model.User.status.in_(INACTIVE))
    return query.all()


def users(context: Context, **arguments: Any) -> list[model.User]:
    return _chosen_users(context, **arguments)[:LIST_LIMIT]


def user_list(
    context: Context, limit: int, offset: int, filter: str | None = None, order: str | None = None,
    **arguments: Any,
) -> dict[str, Any]:  # fmt: skip
    return page(context, "User", _chosen_users(context, **arguments), limit, offset, filter, order)


@scoped("access_key", autofill=True)
def keypair(context: Context, access_key: str, domain_name: str | None = None) -> model.KeyPair | None:
    return _keypairs(context, domain_name).filter_by(access_key=access_key).one_or_none()


def _keypairs(context: Context, domain_name: str | None) -> Query[model.KeyPair]:
    query = context.database.query(model.KeyPair).order_by(model.KeyPair.created_at)
    if domain_name:
        query = query.join(model.User, model.User.uuid == model.KeyPair.user).filter(
            model.User.domain_name == domain_name
        )
    return query


@scoped("email")
def keypairs(
    context: Context, email: str | None = None, domain_name: str | None = None, is_active: bool | None = None
) -> list[model.KeyPair]:
    query = _keypairs(context, domain_name)
    if email is not None:
        query = query.filter(model.KeyPair.user_id == email)
    if is_active is not None:
        query = query.filter(model.KeyPair.is_active == is_active)
    return query.limit(LIST_LIMIT).all()


def keypair_list(
    context: Context, limit: int, offset: int, filter: str | None = None, order: str | None = None,
    **arguments: Any,
) -> dict[str, Any]:  # fmt: skip
    return page(context, "KeyPair", keypairs(context, **arguments), limit, offset, filter, order)


def _policies(
    table: Any, own: Callable[[Context], str], *, for_users: bool = True
) -> tuple[Resolver, Resolver]:  # fmt: skip
    """The root fields for one policy and for all."""

    def one(context: Context, name: str | None = None) -> Any:
        return context.database.get(table, name or own(context))

    def every(context: Context) -> list[Any]:
        query = context.database.query(table).order_by(table.name)
        if context.caller.role == "user" and not for_users:
            raise invalid("Unknown client role")  # the manager's own words
        if context.caller.role == "user":
            query = query.filter(table.name == own(context))
        return list(query.all())

    return one, every


def _own_keypair_policy(context: Context) -> str:
    return context.database.get_one(model.KeyPair, context.caller.access_key).resource_policy


def _own_user_policy(context: Context) -> str:
    return context.database.get_one(model.User, context.caller.user_id).resource_policy


keypair_resource_policy, keypair_resource_policies = _policies(model.KeyPairResourcePolicy, _own_keypair_policy)


user_resource_policy, user_resource_policies = _policies(model.UserResourcePolicy, _own_user_policy)


project_resource_policy, project_resource_policies = _policies(
    model.ProjectResourcePolicy, lambda _context: "default", for_users=False
)


READS: Final[Mapping[str, Resolver]] = {
    "domain": domain,
    "domains": domains,
    "group": group,
    "groups": groups,
    "groups_by_name": groups_by_name,
    "user": user,
    "user_from_uuid": user_from_uuid,
    "users": users,
    "user_list": user_list,
    "keypair": keypair,
    "keypairs": keypairs,
    "keypair_list": keypair_list,
    "keypair_resource_policy": keypair_resource_policy,
    "keypair_resource_policies": keypair_resource_policies,
    "user_resource_policy": user_resource_policy,
    "user_resource_policies": user_resource_policies,
    "project_resource_policy": project_resource_policy,
    "project_resource_policies": project_resource_policies,
}
"""Root field → resolver."""
