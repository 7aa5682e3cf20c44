"""Groups, also called projects.

============  ========================  ==============================================
Function      GraphQL                   For
============  ========================  ==============================================
list          ``groups``                everybody: as far as they may see
detail        ``group``                 everybody: as far as they may see
from_name     ``groups_by_name``        everybody: as far as they may see; since 21.09
create        ``create_group``          admins of the domain
update        ``modify_group``          admins of the domain
delete        ``delete_group``          admins of the domain
purge         ``purge_group``           admins of the domain
add_users     ``modify_group``          admins of the domain
remove_users  ``modify_group``          admins of the domain
============  ========================  ==============================================

The UUID of a group is written into the documents: its type differs between servers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.accounts.host_permissions import Hosts, host_permissions
from ai.backend.client.functions.accounts.replies import GroupResult
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import GROUP, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V6, V6_FILTER, V7
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable, returning
from ai.backend.client.functions.toolkit.inputs import (
    as_it_is,
    changes,
    checked,
    flag,
    free_text,
    json_object_text,
    optional,
    text,
    uuid_text,
    uuid_texts,
)
from ai.backend.client.functions.toolkit.replies import MutationResult

__all__ = ["Group"]

FIELDS: Final = (
    "id", "name", "description", "is_active", "created_at", "domain_name", "total_resource_slots",
    "allowed_vfolder_hosts", "integration_id",
)  # fmt: skip
CREATE_FIELDS: Final = ("id", "domain_name", "name")
SINCE: Final = {"resource_policy": V7}
CHECKS: Final = {
    "name": text,
    "domain_name": text,
    "description": free_text,
    "is_active": flag,
    "total_resource_slots": json_object_text,
    "allowed_vfolder_hosts": as_it_is,
    "integration_id": free_text,
    "resource_policy": text,
}
"""Key of the input objects → check."""


class Group(BaseFunction[M]):
    """Users of a domain who share resources and folders."""

    @api_class_function
    def list(
        cls, domain_name: str | None, fields: Fields | None = None, *, is_active: bool | None = None
    ) -> Recipe[Rows]:
        """Groups: for superadmins all, for admins those of their domain, for users their own.

        Args:
            domain_name: Only those of this domain; None: of any.
            fields: What to tell about each.
            is_active: Only active (True) or inactive (False) ones.

        Returns:
            One object per group.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``groups``.
        """
        arguments = {
            "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
            "is_active": Variable("Boolean", optional(flag, "is_active", is_active)),
        }
        return (yield from graphql.select_list("groups", chosen(fields, FIELDS), arguments, GROUP))

    @api_class_function
    def detail(
        cls, gid: str | uuid.UUID, fields: Fields | None = None, *, domain_name: str | None = None
    ) -> Recipe[Row | None]:
        """One group.

        Args:
            gid: Its UUID.
            fields: What to tell about it.
            domain_name: Look in this domain; needs v6.20200815.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: ``domain_name`` on an older server.

        Idempotent. GraphQL ``group``.
        """
        if domain_name is not None:
            cls.server.generation.require("the argument domain_name of Group.detail", since=V6)
        arguments = {
            "id": Variable(None, uuid_text("gid", gid)),
            "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
        }
        return (yield from graphql.select_object("group", chosen(fields, FIELDS), arguments, GROUP))

    @api_class_function
    def from_name(cls, name: str, *, fields: Fields | None = None, domain_name: str | None = None) -> Recipe[Rows]:
        """The groups of a name: at most one per domain.

        Args:
            name: The name.
            fields: What to tell about each.
            domain_name: Only in this domain.

        Returns:
            One object per group.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v6.20210815.

        Idempotent. GraphQL ``groups_by_name``.
        """
        cls.server.generation.require("Group.from_name", since=V6_FILTER)
        arguments = {
            "name": Variable("String!", text("name", name)),
            "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
        }
        return (yield from graphql.select_list("groups_by_name", chosen(fields, FIELDS), arguments, GROUP))

    @api_class_function
    def create(
        cls,
        domain_name: str,
        name: str,
        description: str = "",
        is_active: bool = True,
        total_resource_slots: Mapping[str, Any] | str | None = None,
        allowed_vfolder_hosts: Hosts | None = None,
        integration_id: str | None = None,
        fields: Fields | None = None,
        *,
        resource_policy: str | None = None,
    ) -> Recipe[GroupResult]:
        """Make a group.

        Args:
            domain_name: The domain that it belongs to.
            name: Its name: letters, digits, ``.``, ``_`` and ``-``.
            description: A text.
            is_active: Whether it may be used.
            total_resource_slots: What all its sessions together may use, such as ``{"cpu": 8, "mem": "64g"}``, or JSON
                text of it; default: nothing is limited.
            allowed_vfolder_hosts: Folder hosts that it may use: names (with all permissions), or host → permissions, or
                JSON text of that; default: none.
            integration_id: An id in another system.
            fields: What to tell about the new group; default: ``id``, ``domain_name`` and ``name``.
            resource_policy: Name of a project resource policy; needs v7.20230615. Default: ``default``.

        Returns:
            ``{"ok", "msg", "group"}``.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: An argument that the server is too old for.

        Not idempotent: a second call finds the name taken (``ok: false``). GraphQL ``create_group``.
        """
        props = checked(
            CHECKS,
            description=description,
            is_active=is_active,
            domain_name=text("domain_name", domain_name),
            total_resource_slots=total_resource_slots,
            allowed_vfolder_hosts=host_permissions(cls.server.generation, allowed_vfolder_hosts),
            integration_id=integration_id,
            resource_policy=resource_policy,
        )
        cls.server.generation.require_arguments("Group.create", props, SINCE)
        arguments = {"name": Variable("String!", text("name", name)), "props": Variable("GroupInput!", props)}
        result = returning("group", chosen(fields, CREATE_FIELDS), GROUP)
        return (yield from graphql.mutate("create_group", arguments, result, shape=GroupResult))

    @api_class_function
    def update(
        cls,
        gid: str | uuid.UUID,
        name: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
        total_resource_slots: Mapping[str, Any] | str | None = None,
        allowed_vfolder_hosts: Hosts | None = None,
        integration_id: str | None = None,
        fields: Fields | None = None,
        *,
        resource_policy: str | None = None,
    ) -> Recipe[GroupResult]:
        """Change a group. What is not given stays as it is.

        Args:
            gid: Its UUID.
            name: Its new name.
            description: As in :meth:`create`.
            is_active: As in :meth:`create`.
            total_resource_slots: As in :meth:`create`.
            allowed_vfolder_hosts: As in :meth:`create`; replaces what was allowed.
            integration_id: As in :meth:`create`.
            fields: What to tell about the changed group; default: nothing.
            resource_policy: As in :meth:`create`.

        Returns:
            ``{"ok", "msg"}``, and ``group`` if ``fields`` were given.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.
            BackendAPIVersionError: An argument that the server is too old for.

        Repeatable, but not repeated by itself. GraphQL ``modify_group``.
        """
        props = changes(
            name=name,
            description=description,
            is_active=is_active,
            total_resource_slots=total_resource_slots,
            allowed_vfolder_hosts=host_permissions(cls.server.generation, allowed_vfolder_hosts),
            integration_id=integration_id,
            resource_policy=resource_policy,
        )
        cls.server.generation.require_arguments("Group.update", props, SINCE)
        return (yield from _modify(gid, checked(CHECKS, **props), fields))

    @api_class_function
    def delete(cls, gid: str | uuid.UUID) -> Recipe[MutationResult]:
        """Deactivate a group; it stays, and :meth:`update` can activate it again.

        Args:
            gid: Its UUID.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: It is no UUID.

        Repeatable, but not repeated by itself. GraphQL ``delete_group``.
        """
        return (yield from graphql.mutate("delete_group", {"gid": Variable(None, uuid_text("gid", gid))}))

    @api_class_function
    def purge(cls, gid: str | uuid.UUID) -> Recipe[MutationResult]:
        """Remove a group for good, with its folders. No session of it may run, and none of its folders be mounted.

        Args:
            gid: Its UUID.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIError: 400 when it is in use, and from 19.09 servers before they had the function.

        Not idempotent. GraphQL ``purge_group``.
        """
        return (yield from graphql.mutate("purge_group", {"gid": Variable(None, uuid_text("gid", gid))}))

    @api_class_function
    def add_users(
        cls, gid: str | uuid.UUID, user_uuids: Iterable[str | uuid.UUID], fields: Fields | None = None
    ) -> Recipe[GroupResult]:
        """Put users into a group.

        Args:
            gid: The group's UUID.
            user_uuids: Their UUIDs, at least one, in any iterable.
            fields: What to tell about the group; default: nothing. The manager leaves the object empty here.

        Returns:
            ``{"ok", "msg"}``, and ``group`` if ``fields`` were given.

        Raises:
            InvalidArgument: An argument is unusable.

        Not idempotent: who is in the group already makes all of it fail (``ok: false``). GraphQL ``modify_group``.
        """
        return (yield from _modify(gid, _members("add", user_uuids), fields))

    @api_class_function
    def remove_users(
        cls, gid: str | uuid.UUID, user_uuids: Iterable[str | uuid.UUID], fields: Fields | None = None
    ) -> Recipe[GroupResult]:
        """Take users out of a group.

        Args:
            gid: The group's UUID.
            user_uuids: Their UUIDs, at least one, in any iterable.
            fields: What to tell about the group; default: nothing. The manager leaves the object empty here.

        Returns:
            ``{"ok", "msg"}``, and ``group`` if ``fields`` were given.

        Raises:
            InvalidArgument: An argument is unusable.

        Repeatable, but not repeated by itself. GraphQL ``modify_group``.
        """
        return (yield from _modify(gid, _members("remove", user_uuids), fields))


def _members(mode: str, user_uuids: Iterable[str | uuid.UUID]) -> dict[str, Any]:
    users = uuid_texts("user_uuids", user_uuids)
    if not users:
        raise InvalidArgument("user_uuids", users, "must name at least one user")
    return {"user_update_mode": mode, "user_uuids": users}


def _modify(gid: str | uuid.UUID, props: dict[str, Any], fields: Fields | None) -> Recipe[GroupResult]:
    arguments = {"gid": Variable(None, uuid_text("gid", gid)), "props": Variable("ModifyGroupInput!", props)}
    result = "" if fields is None else returning("group", fields, GROUP)
    return (yield from graphql.mutate("modify_group", arguments, result, shape=GroupResult))
