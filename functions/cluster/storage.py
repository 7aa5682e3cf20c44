"""Storage volumes (folder hosts), and the quotas on them.

======================  ============================  ===================================
Function                GraphQL                       For
======================  ============================  ===================================
Storage.paginated_list  ``storage_volume_list``       superadmins; since 20.09
Storage.detail          ``storage_volume``            superadmins; since 20.09
QuotaScope.detail       ``quota_scope``               everybody: their own; since 23.09
QuotaScope.set          ``set_quota_scope``           admins: their domain's; since 23.09
QuotaScope.unset        ``unset_quota_scope``         admins: their domain's; since 23.09
======================  ============================  ===================================
"""

from __future__ import annotations

import re
from typing import Final

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import QuotaScopeResult
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import QUOTA_SCOPE, STORAGE, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V6, V7
from ai.backend.client.functions.toolkit.graphql import Row, Variable, returning
from ai.backend.client.functions.toolkit.inputs import matching, text, whole
from ai.backend.client.functions.toolkit.pages import PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.reading import field

__all__ = ["QuotaScope", "Storage"]

PAGE_FIELDS: Final = ("id", "backend", "capabilities")
DETAIL_FIELDS: Final = ("id", "backend", "path", "fsprefix", "capabilities", "hardware_metadata")
QUOTA_FIELDS: Final = ("quota_scope_id", "storage_host_name", "details")
SCOPE_PATTERN: Final = re.compile(r"(user|project):[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class Storage(BaseFunction[M]):
    """Volumes that folders are on."""

    @api_page_function
    def paginated_list(
        cls,
        status: str = "ALIVE",
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the volumes.

        Args:
            status: Of no use: it is the vendor's signature, and volumes have no state.
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language; needs v6.20210815.
            order: For example ``+id``; needs v6.20210815.

        Returns:
            The page; ``.iterate(...)`` gives the items of all pages.

        Raises:
            InvalidArgument: Offset, size or fields are unusable.
            BackendAPIVersionError: The server is older than v6.20200815, or than what ``filter`` and ``order`` need.

        Idempotent. GraphQL ``storage_volume_list``.
        """
        generation = cls.server.generation
        generation.require("Storage.paginated_list", since=V6)
        text("status", status)
        return (
            yield from graphql.select_page(
                generation,
                "storage_volume_list",
                chosen(fields, PAGE_FIELDS),
                {},
                page_offset=page_offset,
                page_size=page_size,
                filter=filter,
                order=order,
                known=STORAGE,
            )
        )

    @api_class_function
    def detail(cls, vfolder_host: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """One volume.

        Args:
            vfolder_host: Its name as a folder host, such as ``local:volume1``.
            fields: What to tell about it.

        Returns:
            Field → value.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: 400 when it is unknown.

        Idempotent. GraphQL ``storage_volume``.
        """
        cls.server.generation.require("Storage.detail", since=V6)
        arguments = {"id": Variable("String", text("vfolder_host", vfolder_host))}
        return (yield from graphql.select_object("storage_volume", chosen(fields, DETAIL_FIELDS), arguments, STORAGE))


class QuotaScope(BaseFunction[M]):
    """What a user or project has on one volume, and may have.

    Scopes are named ``user:UUID`` or ``project:UUID``. Volumes without support of quotas (``vfs``) keep none.
    """

    @api_class_function
    def detail(cls, storage_host_name: str, quota_scope_id: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """Use and limit of one scope on one volume.

        Args:
            storage_host_name: The volume, such as ``local:volume1``.
            quota_scope_id: The scope.
            fields: What to tell about it; default: all, with ``details`` (``hard_limit_bytes``, ``usage_bytes``,
                ``usage_count``).

        Returns:
            Field → value.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.
            BackendAPIError: 400 when volume or scope are unknown or somebody else's.

        Idempotent. GraphQL ``quota_scope``.
        """
        cls.server.generation.require("QuotaScope.detail", since=V7)
        arguments = _scope(storage_host_name, quota_scope_id)
        return (yield from graphql.select_object("quota_scope", chosen(fields, QUOTA_FIELDS), arguments, QUOTA_SCOPE))

    @api_class_function
    def set(
        cls, storage_host_name: str, quota_scope_id: str, hard_limit_bytes: int, fields: Fields | None = None
    ) -> Recipe[Row]:
        """Limit a scope on one volume.

        Args:
            storage_host_name: The volume.
            quota_scope_id: The scope.
            hard_limit_bytes: The limit in bytes.
            fields: As in :meth:`detail`.

        Returns:
            The scope as it is now.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.
            BackendAPIError: 400 when volume or scope are unknown, somebody else's, or without quotas.

        Repeatable, but not repeated by itself. GraphQL ``set_quota_scope``.
        """
        cls.server.generation.require("QuotaScope.set", since=V7)
        limit = {"hard_limit_bytes": whole("hard_limit_bytes", hard_limit_bytes)}
        arguments = {
            **_scope(storage_host_name, quota_scope_id),
            "props": Variable("QuotaScopeInput!", limit),
        }
        return (yield from _change("set_quota_scope", arguments, fields))

    @api_class_function
    def unset(cls, storage_host_name: str, quota_scope_id: str, fields: Fields | None = None) -> Recipe[Row]:
        """Remove the limit of a scope on one volume.

        Args:
            storage_host_name: The volume.
            quota_scope_id: The scope.
            fields: As in :meth:`detail`.

        Returns:
            The scope as it is now.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.
            BackendAPIError: 400 as for :meth:`set`.

        Repeatable, but not repeated by itself. GraphQL ``unset_quota_scope``.
        """
        cls.server.generation.require("QuotaScope.unset", since=V7)
        return (yield from _change("unset_quota_scope", _scope(storage_host_name, quota_scope_id), fields))


def _scope(storage_host_name: str, quota_scope_id: str) -> dict[str, Variable]:
    return {
        "storage_host_name": Variable("String!", text("storage_host_name", storage_host_name)),
        "quota_scope_id": Variable(
            "String!",
            matching("quota_scope_id", quota_scope_id, SCOPE_PATTERN, "must be user: or project: and a UUID"),
        ),
    }


def _change(root: str, arguments: dict[str, Variable], fields: Fields | None) -> Recipe[Row]:
    result = returning("quota_scope", chosen(fields, QUOTA_FIELDS), QUOTA_SCOPE)
    reply = yield from graphql.mutate(root, arguments, result, shape=QuotaScopeResult, verdict=False)
    scope = field(reply, "quota_scope")
    if not isinstance(scope, dict):
        raise InvalidReply(f"the answer's {root!r} has no quota scope")
    return scope
