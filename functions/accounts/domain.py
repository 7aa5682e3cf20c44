"""Domains, the largest units that users belong to.

========  ========================  ===================================
Function  GraphQL                   For
========  ========================  ===================================
list      ``domains``               superadmins
detail    ``domain``                users: their own
create    ``create_domain``         superadmins
update    ``modify_domain``         superadmins
delete    ``delete_domain``         superadmins
purge     ``purge_domain``          superadmins
========  ========================  ===================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ai.backend.client.functions.accounts.host_permissions import Hosts, host_permissions
from ai.backend.client.functions.accounts.replies import DomainResult
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import DOMAIN, Fields, chosen
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
    texts,
)
from ai.backend.client.functions.toolkit.replies import MutationResult

__all__ = ["Domain"]

FIELDS: Final = (
    "name", "description", "is_active", "created_at", "total_resource_slots", "allowed_vfolder_hosts",
    "allowed_docker_registries", "integration_id",
)  # fmt: skip
CREATE_FIELDS: Final = ("name",)
CHECKS: Final = {
    "name": text,
    "description": free_text,
    "is_active": flag,
    "total_resource_slots": json_object_text,
    "allowed_vfolder_hosts": as_it_is,
    "allowed_docker_registries": texts,
    "integration_id": free_text,
}
"""Key of the input objects → check."""


class Domain(BaseFunction[M]):
    """Domains.

    ``total_resource_slots`` reads back as JSON text; so does ``allowed_vfolder_hosts`` from 23.03 on, before it is a
    list of names.
    """

    @api_class_function
    def list(cls, fields: Fields | None = None, *, is_active: bool | None = None) -> Recipe[Rows]:
        """All domains.

        Args:
            fields: What to tell about each.
            is_active: Only active (True) or inactive (False) ones.

        Returns:
            One object per domain.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``domains``.
        """
        arguments = {"is_active": Variable("Boolean", optional(flag, "is_active", is_active))}
        return (yield from graphql.select_list("domains", chosen(fields, FIELDS), arguments, DOMAIN))

    @api_class_function
    def detail(cls, name: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """One domain.

        Args:
            name: Its name.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``domain``.
        """
        arguments = {"name": Variable("String", text("name", name))}
        return (yield from graphql.select_object("domain", chosen(fields, FIELDS), arguments, DOMAIN))

    @api_class_function
    def create(
        cls,
        name: str,
        description: str = "",
        is_active: bool = True,
        total_resource_slots: Mapping[str, Any] | str | None = None,
        allowed_vfolder_hosts: Hosts | None = None,
        allowed_docker_registries: Iterable[str] | None = None,
        integration_id: str | None = None,
        fields: Fields | None = None,
        *,
        vfolder_host_perms: Hosts | None = None,
    ) -> Recipe[DomainResult]:
        """Make a domain.

        Args:
            name: Its name: letters, digits, ``.``, ``_`` and ``-``.
            description: A text.
            is_active: Whether it may be used.
            total_resource_slots: What all its sessions together may use, such as ``{"cpu": 8, "mem": "64g"}``, or JSON
                text of it; default: nothing is limited.
            allowed_vfolder_hosts: Folder hosts that its users may use: names (with all permissions), or host →
                permissions, or JSON text of that; default: none.
            allowed_docker_registries: Registries whose images may be used.
            integration_id: An id in another system.
            fields: What to tell about the new domain; default: its name.
            vfolder_host_perms: ``allowed_vfolder_hosts`` under its later name.

        Returns:
            ``{"ok", "msg", "domain"}``.

        Raises:
            InvalidArgument: An argument is unusable, or both names of the hosts were given and differ.
            BackendAPIVersionError: Single permissions on a server older than v6.20230315.

        Not idempotent: a second call finds the name taken (``ok: false``). GraphQL ``create_domain``; from manager 25.6
        on, which fails at ``total_resource_slots``, these follow with ``modify_domain``.
        """
        props = checked(
            CHECKS,
            description=description,
            is_active=is_active,
            total_resource_slots=total_resource_slots,
            allowed_vfolder_hosts=host_permissions(cls.server.generation, allowed_vfolder_hosts, vfolder_host_perms),
            allowed_docker_registries=allowed_docker_registries,
            integration_id=integration_id,
        )
        arguments = {
            "name": Variable("String!", text("name", name)),
            "props": Variable("DomainInput!", props),
        }
        result = returning("domain", chosen(fields, CREATE_FIELDS), DOMAIN)
        later = {}
        if cls.server.generation.refuses_slots_of_new_domains and "total_resource_slots" in props:
            later = {"total_resource_slots": props.pop("total_resource_slots")}
        made = yield from graphql.mutate("create_domain", arguments, result, shape=DomainResult)
        if not later or not made.get("ok"):
            return made
        arguments["props"] = Variable("ModifyDomainInput!", later)
        return (yield from graphql.mutate("modify_domain", arguments, result, shape=DomainResult))

    @api_class_function
    def update(
        cls,
        name: str,
        new_name: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
        total_resource_slots: Mapping[str, Any] | str | None = None,
        allowed_vfolder_hosts: Hosts | None = None,
        allowed_docker_registries: Iterable[str] | None = None,
        integration_id: str | None = None,
        fields: Fields | None = None,
        *,
        vfolder_host_perms: Hosts | None = None,
    ) -> Recipe[DomainResult]:
        """Change a domain. What is not given stays as it is.

        Args:
            name: Its name.
            new_name: Its new name.
            description: As in :meth:`create`.
            is_active: As in :meth:`create`.
            total_resource_slots: As in :meth:`create`.
            allowed_vfolder_hosts: As in :meth:`create`; replaces what was allowed.
            allowed_docker_registries: As in :meth:`create`; replaces what was allowed.
            integration_id: As in :meth:`create`.
            fields: What to tell about the changed domain; default: nothing.
            vfolder_host_perms: ``allowed_vfolder_hosts`` under its later name.

        Returns:
            ``{"ok", "msg"}``, and ``domain`` if ``fields`` were given.

        Raises:
            InvalidArgument: An argument is unusable, there is nothing to change, or both names of the hosts were given
                and differ.
            BackendAPIVersionError: Single permissions on a server older than v6.20230315.

        Repeatable, but not repeated by itself. GraphQL ``modify_domain``.
        """
        props = changes(
            name=optional(text, "new_name", new_name),
            description=description,
            is_active=is_active,
            total_resource_slots=total_resource_slots,
            allowed_vfolder_hosts=host_permissions(cls.server.generation, allowed_vfolder_hosts, vfolder_host_perms),
            allowed_docker_registries=allowed_docker_registries,
            integration_id=integration_id,
        )
        arguments = {
            "name": Variable("String!", text("name", name)),
            "props": Variable("ModifyDomainInput!", checked(CHECKS, **props)),
        }
        result = "" if fields is None else returning("domain", fields, DOMAIN)
        return (yield from graphql.mutate("modify_domain", arguments, result, shape=DomainResult))

    @api_class_function
    def delete(cls, name: str) -> Recipe[MutationResult]:
        """Deactivate a domain; it stays, and :meth:`update` can activate it again.

        Args:
            name: Its name.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.

        Repeatable, but not repeated by itself. GraphQL ``delete_domain``.
        """
        return (yield from graphql.mutate("delete_domain", {"name": Variable("String!", text("name", name))}))

    @api_class_function
    def purge(cls, name: str) -> Recipe[MutationResult]:
        """Remove a domain for good. It must have no users, groups or running sessions.

        Args:
            name: Its name.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.
            BackendAPIError: 400 when something is left in it, and from 19.09 servers before they had the function.

        Not idempotent. GraphQL ``purge_domain``.
        """
        return (yield from graphql.mutate("purge_domain", {"name": Variable("String!", text("name", name))}))
