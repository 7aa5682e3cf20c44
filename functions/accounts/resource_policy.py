"""Resource policies of users and of projects (groups). Since v7.20230615 (23.09).

==============================  ======================================  ===================
Function                        GraphQL                                 For
==============================  ======================================  ===================
UserResourcePolicy.list         ``user_resource_policies``              superadmins
UserResourcePolicy.detail       ``user_resource_policy``                everybody
UserResourcePolicy.create       ``create_user_resource_policy``         superadmins
UserResourcePolicy.update       ``modify_user_resource_policy``         superadmins
UserResourcePolicy.delete       ``delete_user_resource_policy``         superadmins
ProjectResourcePolicy.list      ``project_resource_policies``           superadmins
ProjectResourcePolicy.detail    ``project_resource_policy``             everybody
ProjectResourcePolicy.create    ``create_project_resource_policy``      superadmins
ProjectResourcePolicy.update    ``modify_project_resource_policy``      superadmins
ProjectResourcePolicy.delete    ``delete_project_resource_policy``      superadmins
==============================  ======================================  ===================

Manager 23.09.10 calls every limit optional and fails when a new policy lacks one, so that they have defaults here:
those of its own policy ``default``.
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions.accounts.replies import ResourcePolicyResult
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import (
    PROJECT_RESOURCE_POLICY,
    USER_RESOURCE_POLICY,
    Fields,
    FieldSet,
    chosen,
)
from ai.backend.client.functions.toolkit.generations import V7, Generation
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable, returning
from ai.backend.client.functions.toolkit.inputs import changes, given, int32, optional, text, whole
from ai.backend.client.functions.toolkit.replies import MutationResult

__all__ = ["ProjectResourcePolicy", "UserResourcePolicy"]

PROJECT_FIELDS: Final = ("id", "name", "created_at", "max_vfolder_count", "max_quota_scope_size")
USER_FIELDS: Final = (*PROJECT_FIELDS, "max_session_count_per_model_session")
CREATE_FIELDS: Final = ("name",)
NO_LIMIT: Final = -1
"""What the manager takes as "no limit" for the size of a quota scope."""
MODEL_SESSIONS: Final = 10
"""Sessions per model service in the manager's own user policy ``default``."""


class UserResourcePolicy(BaseFunction[M]):
    """Limits of what a user may have."""

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Rows]:
        """All policies of users.

        Args:
            fields: What to tell about each.

        Returns:
            One object per policy.

        Raises:
            InvalidArgument: A field is unknown.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``user_resource_policies``.
        """
        cls.server.generation.require("UserResourcePolicy.list", since=V7)
        selection = chosen(fields, USER_FIELDS)
        return (yield from graphql.select_list("user_resource_policies", selection, known=USER_RESOURCE_POLICY))

    @api_class_function
    def detail(cls, name: str | None = None, fields: Fields | None = None) -> Recipe[Row | None]:
        """One policy of users.

        Args:
            name: Its name; default: the caller's own policy.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``user_resource_policy``.
        """
        cls.server.generation.require("UserResourcePolicy.detail", since=V7)
        arguments = {"name": Variable("String", optional(text, "name", name))}
        selection = chosen(fields, USER_FIELDS)
        return (yield from graphql.select_object("user_resource_policy", selection, arguments, USER_RESOURCE_POLICY))

    @api_class_function
    def create(
        cls,
        name: str,
        *,
        max_quota_scope_size: int = NO_LIMIT,
        max_session_count_per_model_session: int = MODEL_SESSIONS,
        max_vfolder_count: int | None = None,
        fields: Fields | None = None,
    ) -> Recipe[ResourcePolicyResult]:
        """Make a policy of users.

        Args:
            name: Its name.
            max_quota_scope_size: Bytes in a user's folders together; -1: no limit.
            max_session_count_per_model_session: Sessions per model service.
            max_vfolder_count: Folders; 23.09.10 takes and ignores it.
            fields: What to tell about the new policy; default: its name.

        Returns:
            ``{"ok", "msg", "resource_policy"}``.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.
            BackendAPIError: 400 when the name is taken.

        Not idempotent. GraphQL ``create_user_resource_policy``.
        """
        props = given(
            max_quota_scope_size=_size(max_quota_scope_size),
            max_session_count_per_model_session=int32(
                "max_session_count_per_model_session", max_session_count_per_model_session
            ),
            max_vfolder_count=optional(int32, "max_vfolder_count", max_vfolder_count),
        )
        return (yield from _create(cls.server.generation, "user", name, props, fields, USER_RESOURCE_POLICY))

    @api_class_function
    def update(
        cls,
        name: str,
        *,
        max_quota_scope_size: int | None = None,
        max_session_count_per_model_session: int | None = None,
        max_vfolder_count: int | None = None,
    ) -> Recipe[MutationResult]:
        """Change a policy of users. What is not given stays as it is.

        Args:
            name: Its name.
            max_quota_scope_size: As in :meth:`create`.
            max_session_count_per_model_session: As in :meth:`create`.
            max_vfolder_count: As in :meth:`create`; alone it is an error on 23.09.10.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.
            BackendAPIVersionError: The server is older than v7.20230615.

        Repeatable, but not repeated by itself. GraphQL ``modify_user_resource_policy``.
        """
        props = changes(
            max_quota_scope_size=None if max_quota_scope_size is None else _size(max_quota_scope_size),
            max_session_count_per_model_session=optional(
                int32, "max_session_count_per_model_session", max_session_count_per_model_session
            ),
            max_vfolder_count=optional(int32, "max_vfolder_count", max_vfolder_count),
        )
        return (yield from _update(cls.server.generation, "user", name, props))

    @api_class_function
    def delete(cls, name: str) -> Recipe[MutationResult]:
        """Remove a policy that no user has.

        Args:
            name: Its name.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.
            BackendAPIVersionError: The server is older than v7.20230615.

        Not idempotent: a second call finds nothing (``ok: false``). GraphQL ``delete_user_resource_policy``.
        """
        return (yield from _delete(cls.server.generation, "user", name))


class ProjectResourcePolicy(BaseFunction[M]):
    """Limits of what a project (group) may have."""

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Rows]:
        """All policies of projects.

        Args:
            fields: What to tell about each.

        Returns:
            One object per policy.

        Raises:
            InvalidArgument: A field is unknown.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``project_resource_policies``.
        """
        cls.server.generation.require("ProjectResourcePolicy.list", since=V7)
        selection = chosen(fields, PROJECT_FIELDS)
        return (yield from graphql.select_list("project_resource_policies", selection, known=PROJECT_RESOURCE_POLICY))

    @api_class_function
    def detail(cls, name: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """One policy of projects.

        Args:
            name: Its name.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``project_resource_policy``.
        """
        cls.server.generation.require("ProjectResourcePolicy.detail", since=V7)
        arguments = {"name": Variable("String!", text("name", name))}
        selection = chosen(fields, PROJECT_FIELDS)
        return (
            yield from graphql.select_object("project_resource_policy", selection, arguments, PROJECT_RESOURCE_POLICY)
        )

    @api_class_function
    def create(
        cls,
        name: str,
        *,
        max_quota_scope_size: int = NO_LIMIT,
        max_vfolder_count: int | None = None,
        fields: Fields | None = None,
    ) -> Recipe[ResourcePolicyResult]:
        """Make a policy of projects.

        Args:
            name: Its name.
            max_quota_scope_size: Bytes in a project's folders together; -1: no limit.
            max_vfolder_count: Folders; 23.09.10 takes and ignores it.
            fields: What to tell about the new policy; default: its name.

        Returns:
            ``{"ok", "msg", "resource_policy"}``.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.
            BackendAPIError: 400 when the name is taken.

        Not idempotent. GraphQL ``create_project_resource_policy``.
        """
        props = given(
            max_quota_scope_size=_size(max_quota_scope_size),
            max_vfolder_count=optional(int32, "max_vfolder_count", max_vfolder_count),
        )
        return (yield from _create(cls.server.generation, "project", name, props, fields, PROJECT_RESOURCE_POLICY))

    @api_class_function
    def update(
        cls, name: str, *, max_quota_scope_size: int | None = None, max_vfolder_count: int | None = None
    ) -> Recipe[MutationResult]:
        """Change a policy of projects. What is not given stays as it is.

        Args:
            name: Its name.
            max_quota_scope_size: As in :meth:`create`.
            max_vfolder_count: As in :meth:`create`; alone it is an error on 23.09.10.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.
            BackendAPIVersionError: The server is older than v7.20230615.

        Repeatable, but not repeated by itself. GraphQL ``modify_project_resource_policy``.
        """
        props = changes(
            max_quota_scope_size=None if max_quota_scope_size is None else _size(max_quota_scope_size),
            max_vfolder_count=optional(int32, "max_vfolder_count", max_vfolder_count),
        )
        return (yield from _update(cls.server.generation, "project", name, props))

    @api_class_function
    def delete(cls, name: str) -> Recipe[MutationResult]:
        """Remove a policy that no project has.

        Args:
            name: Its name.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.
            BackendAPIVersionError: The server is older than v7.20230615.

        Not idempotent: a second call finds nothing (``ok: false``). GraphQL ``delete_project_resource_policy``.
        """
        return (yield from _delete(cls.server.generation, "project", name))


def _size(value: object) -> int:
    return whole("max_quota_scope_size", value, NO_LIMIT)


def _create(
    generation: Generation, kind: str, name: str, props: dict[str, Any], fields: Fields | None, known: FieldSet
) -> Recipe[ResourcePolicyResult]:
    generation.require(f"creating a {kind} resource policy", since=V7)
    arguments = {
        "name": Variable("String!", text("name", name)),
        "props": Variable(f"Create{kind.capitalize()}ResourcePolicyInput!", props),
    }
    result = returning("resource_policy", chosen(fields, CREATE_FIELDS), known)
    return (yield from graphql.mutate(f"create_{kind}_resource_policy", arguments, result, shape=ResourcePolicyResult))


def _update(generation: Generation, kind: str, name: str, props: dict[str, Any]) -> Recipe[MutationResult]:
    generation.require(f"updating a {kind} resource policy", since=V7)
    arguments = {
        "name": Variable("String!", text("name", name)),
        "props": Variable(f"Modify{kind.capitalize()}ResourcePolicyInput!", props),
    }
    return (yield from graphql.mutate(f"modify_{kind}_resource_policy", arguments))


def _delete(generation: Generation, kind: str, name: str) -> Recipe[MutationResult]:
    generation.require(f"deleting a {kind} resource policy", since=V7)
    arguments = {"name": Variable("String!", text("name", name))}
    return (yield from graphql.mutate(f"delete_{kind}_resource_policy", arguments))
