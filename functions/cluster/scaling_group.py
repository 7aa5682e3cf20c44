"""Scaling groups, also called resource groups.

===================  ============================================  =====================
Function             Request                                       For
===================  ============================================  =====================
list_available       GET /scaling-groups, query ``group``          everybody
get_wsproxy_version  GET /scaling-groups/{name}/wsproxy-version    everybody; since 21.09
list                 GraphQL ``scaling_groups``                    superadmins
detail               GraphQL ``scaling_group``                     superadmins
create               GraphQL ``create_scaling_group``              superadmins
update               GraphQL ``modify_scaling_group``              superadmins
delete               GraphQL ``delete_scaling_group``              superadmins
===================  ============================================  =====================

Who may use them is in :mod:`~ai.backend.client.functions.cluster.scaling_group_links`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster import scaling_group_links
from ai.backend.client.functions.cluster.replies import AvailableScalingGroups, ScalingGroupResult, WSProxyVersion
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import SCALING_GROUP, Fields, chosen, field_texts
from ai.backend.client.functions.toolkit.generations import V6_FILTER, V6_SUMMARIES, V7
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable, returning
from ai.backend.client.functions.toolkit.inputs import (
    changes,
    checked,
    flag,
    free_text,
    json_object_text,
    optional,
    secret,
    text,
)
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.toolkit.replies import MutationResult
from ai.backend.client.request import Request, segment

__all__ = ["ScalingGroup"]

FIELDS: Final = (
    "name", "description", "is_active", "created_at", "driver", "driver_opts", "scheduler", "scheduler_opts",
)  # fmt: skip
CREATE_FIELDS: Final = ("name",)
SINCE: Final = {
    "wsproxy_addr": V6_FILTER,
    "is_public": V6_SUMMARIES,
    "use_host_network": V6_SUMMARIES,
    "wsproxy_api_token": V7,
}
CHECKS: Final = {
    "description": free_text,
    "is_active": flag,
    "driver": text,
    "driver_opts": json_object_text,
    "scheduler": text,
    "scheduler_opts": json_object_text,
    "is_public": flag,
    "use_host_network": flag,
    "wsproxy_addr": text,
    "wsproxy_api_token": secret,
}
"""Key of the input objects → check."""
TYPES: Final = {
    "description": "String",
    "is_active": "Boolean",
    "driver": "String!",
    "driver_opts": "JSONString",
    "scheduler": "String!",
    "scheduler_opts": "JSONString",
    "is_public": "Boolean",
    "use_host_network": "Boolean",
    "wsproxy_addr": "String",
    "wsproxy_api_token": "String",
}
"""Key of a new group's input object → type. The object is written into the document: its own type has two names (up to
20.03 ``ScalingGroupInput``), the types of its keys are the same on every server that has them."""


class ScalingGroup(BaseFunction[M]):
    """Agents that are scheduled together.

    Args:
        name: The group's name.

    Raises:
        InvalidArgument: It is empty or no text.
    """

    name: str

    def __init__(self, name: str) -> None:
        self.name = text("name", name)

    @api_class_function
    def list_available(cls, group: str | uuid.UUID) -> Recipe[AvailableScalingGroups]:
        """Scaling groups that a group of users may run sessions in; for users only public ones.

        Args:
            group: Name or UUID of the group.

        Returns:
            ``{"scaling_groups": [{"name"}]}``.

        Raises:
            InvalidArgument: The group is empty or no text.

        Idempotent. ``GET /scaling-groups``.
        """
        response = yield Request("GET", "/scaling-groups", params={"group": _group("group", group)})
        return expect_object(response, shape=AvailableScalingGroups)

    @api_class_function
    def get_wsproxy_version(cls, name: str, group: str | uuid.UUID | None = None) -> Recipe[WSProxyVersion]:
        """Version of the app proxy of a scaling group.

        Args:
            name: The scaling group's name.
            group: Name or UUID of a group of users that may run sessions in it; default: what the caller's domain and
                key pair may.

        Returns:
            ``{"wsproxy_version": text}``.

        Raises:
            InvalidArgument: An argument is empty or no text.
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 404 when the scaling group is not available.

        Idempotent. ``GET /scaling-groups/{name}/wsproxy-version``.
        """
        cls.server.generation.require("ScalingGroup.get_wsproxy_version", since=V6_FILTER)
        params = {} if group is None else {"group": _group("group", group)}
        response = yield Request("GET", f"/scaling-groups/{segment(name, 'name')}/wsproxy-version", params=params)
        return expect_object(response, shape=WSProxyVersion)

    @api_class_function
    def list(cls, fields: Fields | None = None, *, is_active: bool | None = None) -> Recipe[Rows]:
        """All scaling groups.

        Args:
            fields: What to tell about each. Options come as JSON text.
            is_active: Only active (True) or inactive (False) ones.

        Returns:
            One object per scaling group.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``scaling_groups``.
        """
        arguments = {"is_active": Variable("Boolean", optional(flag, "is_active", is_active))}
        return (yield from graphql.select_list("scaling_groups", chosen(fields, FIELDS), arguments, SCALING_GROUP))

    @api_class_function
    def detail(cls, name: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """One scaling group.

        Args:
            name: Its name.
            fields: What to tell about it. Options come as JSON text.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``scaling_group``.
        """
        arguments = {"name": Variable("String", text("name", name))}
        return (yield from graphql.select_object("scaling_group", chosen(fields, FIELDS), arguments, SCALING_GROUP))

    @api_class_function
    def create(
        cls,
        name: str,
        description: str = "",
        is_active: bool = True,
        driver: str | None = None,
        driver_opts: Mapping[str, Any] | str | None = None,
        scheduler: str | None = None,
        scheduler_opts: Mapping[str, Any] | str | None = None,
        fields: Fields | None = None,
        *,
        is_public: bool | None = None,
        use_host_network: bool | None = None,
        wsproxy_addr: str | None = None,
        wsproxy_api_token: str | None = None,
    ) -> Recipe[ScalingGroupResult]:
        """Make a scaling group.

        Args:
            name: Its name.
            description: A text.
            is_active: Whether sessions may be run in it.
            driver: How agents join it, for example ``static``. Must be given: managers have no default.
            driver_opts: Options of the driver, as a mapping or JSON text.
            scheduler: ``fifo``, ``lifo`` or ``drf``. Must be given, too.
            scheduler_opts: Options of the scheduler, as a mapping or JSON text.
            fields: What to tell about the new group; default: its name.
            is_public: Users see it, not only admins; needs v6.20220615. Default: True.
            use_host_network: Containers use their machine's network; needs v6.20220615. Default: False.
            wsproxy_addr: URL of its app proxy; needs v6.20210815.
            wsproxy_api_token: The app proxy's token, which no message repeats; needs v7.20230615.

        Returns:
            ``{"ok", "msg", "scaling_group"}``.

        Raises:
            InvalidArgument: An argument is unusable or missing.
            BackendAPIVersionError: An argument that the server is too old for.

        Not idempotent: a second call finds the name taken (``ok: false``). GraphQL ``create_scaling_group``.
        """
        props = checked(
            CHECKS,
            description=description,
            is_active=is_active,
            driver=text("driver", driver),
            driver_opts=driver_opts,
            scheduler=text("scheduler", scheduler),
            scheduler_opts=scheduler_opts,
            is_public=is_public,
            use_host_network=use_host_network,
            wsproxy_addr=wsproxy_addr,
            wsproxy_api_token=wsproxy_api_token,
        )
        cls.server.generation.require_arguments("ScalingGroup.create", props, SINCE)
        checked_name = Variable("String!", text("name", name))
        result = returning("scaling_group", chosen(fields, CREATE_FIELDS), SCALING_GROUP)
        return (
            yield from graphql.mutate(
                "create_scaling_group",
                {"name": checked_name, "props": {key: Variable(TYPES[key], value) for key, value in props.items()}},
                result,
                shape=ScalingGroupResult,
            )
        )

    @api_class_function
    def update(
        cls,
        name: str,
        description: str | None = None,
        is_active: bool | None = None,
        driver: str | None = None,
        driver_opts: Mapping[str, Any] | str | None = None,
        scheduler: str | None = None,
        scheduler_opts: Mapping[str, Any] | str | None = None,
        fields: Fields | None = None,
        *,
        is_public: bool | None = None,
        use_host_network: bool | None = None,
        wsproxy_addr: str | None = None,
        wsproxy_api_token: str | None = None,
    ) -> Recipe[MutationResult]:
        """Change a scaling group. What is not given stays as it is.

        Args:
            name: Its name.
            description: As in :meth:`create`.
            is_active: As in :meth:`create`.
            driver: As in :meth:`create`.
            driver_opts: As in :meth:`create`; replaces the options.
            scheduler: As in :meth:`create`.
            scheduler_opts: As in :meth:`create`; replaces the options.
            fields: Checked, and of no use: the mutation tells nothing about the group.
            is_public: As in :meth:`create`.
            use_host_network: As in :meth:`create`.
            wsproxy_addr: As in :meth:`create`.
            wsproxy_api_token: As in :meth:`create`.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.
            BackendAPIVersionError: An argument that the server is too old for.

        Repeatable, but not repeated by itself. GraphQL ``modify_scaling_group``.
        """
        if fields is not None:
            field_texts(fields, SCALING_GROUP)
        props = changes(
            description=description,
            is_active=is_active,
            driver=driver,
            driver_opts=driver_opts,
            scheduler=scheduler,
            scheduler_opts=scheduler_opts,
            is_public=is_public,
            use_host_network=use_host_network,
            wsproxy_addr=wsproxy_addr,
            wsproxy_api_token=wsproxy_api_token,
        )
        cls.server.generation.require_arguments("ScalingGroup.update", props, SINCE)
        arguments = {
            "name": Variable("String!", text("name", name)),
            "props": Variable("ModifyScalingGroupInput!", checked(CHECKS, **props)),
        }
        return (yield from graphql.mutate("modify_scaling_group", arguments))

    @api_class_function
    def delete(cls, name: str) -> Recipe[MutationResult]:
        """Remove a scaling group that no agent and no session is in.

        Args:
            name: Its name.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.

        Not idempotent: a second call finds nothing (``ok: false``). GraphQL ``delete_scaling_group``.
        """
        return (yield from graphql.mutate("delete_scaling_group", {"name": Variable("String!", text("name", name))}))

    # Who may run sessions in it
    list_for_domain = api_class_function(scaling_group_links.list_for_domain)
    list_for_group = api_class_function(scaling_group_links.list_for_group)
    list_for_keypair = api_class_function(scaling_group_links.list_for_keypair)
    associate_domain = api_class_function(scaling_group_links.associate_domain)
    dissociate_domain = api_class_function(scaling_group_links.dissociate_domain)
    dissociate_all_domain = api_class_function(scaling_group_links.dissociate_all_domain)
    associate_group = api_class_function(scaling_group_links.associate_group)
    dissociate_group = api_class_function(scaling_group_links.dissociate_group)
    dissociate_all_group = api_class_function(scaling_group_links.dissociate_all_group)
    associate_keypair = api_class_function(scaling_group_links.associate_keypair)
    dissociate_keypair = api_class_function(scaling_group_links.dissociate_keypair)


def _group(argument: str, value: object) -> str:
    """Name or UUID of a group of users."""
    return text(argument, str(value) if isinstance(value, uuid.UUID) else value)
