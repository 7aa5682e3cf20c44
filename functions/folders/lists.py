"""Lists of virtual folders.

======================  ================================  =====
Function                Request                           Since
======================  ================================  =====
list                    GET /folders (GraphQL ``user`` and ``vfolder_list`` for ``list_all`` from v6.20220315 on)
paginated_list          GraphQL ``vfolder_list``          v5
paginated_own_list      GraphQL ``vfolder_own_list``      v7
paginated_invited_list  GraphQL ``vfolder_invited_list``  v7
paginated_project_list  GraphQL ``vfolder_project_list``  v7
======================  ================================  =====
"""

from __future__ import annotations

import builtins
import uuid
from http import HTTPStatus
from typing import Any, Final

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.functions.base import M, Recipe, api_class_function
from ai.backend.client.functions.folders.identity import FolderIdentity
from ai.backend.client.functions.folders.replies import FolderItem
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import VFOLDER, Fields
from ai.backend.client.functions.toolkit.generations import V5, V6_DEPENDENCIES, V6_LOWER_CASE, V7, Generation
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import flag, optional, text, uuid_text
from ai.backend.client.functions.toolkit.pages import MAX_PAGE_SIZE, PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.reading import expect_list, field
from ai.backend.client.request import Request

LIST_FIELDS: Final = ("host", "name", "created_at", "creator", "group", "permission", "ownership_type", "status")
EVERYBODYS_FIELDS: Final = (
    "name", "id", "host", "created_at", "permission", "user", "group", "creator", "user_email", "group_name",
    "usage_mode", "ownership_type", "cloneable", "max_files", "max_size", "cur_size", "quota_scope_id", "status",
)  # fmt: skip
FIELDS_SINCE: Final = {"quota_scope_id": V6_LOWER_CASE, "status": V6_LOWER_CASE}
"""Fields of the tables above that not every server has which is asked for them."""


class FolderLists(FolderIdentity[M]):
    """The lists that folders are in."""

    @api_class_function
    def list(cls, list_all: bool = False) -> Recipe[builtins.list[FolderItem]]:
        """Folders that the caller can use.

        Args:
            list_all: Everybody's folders, for superadmins; others get those that they may see. Managers from 22.03 on
                refuse that here; it is asked of GraphQL then, page by page, and answered in the same shape (times in
                ISO 8601).

        Returns:
            One object per folder: ``name``, ``id``, ``host``, ``permission``, ``is_owner``, ``type`` and more by
            release.

        Raises:
            InvalidArgument: ``list_all`` is no bool.

        Idempotent. ``GET /folders``, with query ``all`` up to v6.20210815; GraphQL ``user`` and ``vfolder_list`` from
        v6.20220315 on.
        """
        if not flag("list_all", list_all):
            response = yield Request("GET", "/folders")
            return expect_list(response, item=FolderItem)
        generation = cls.server.generation
        if not generation.has(V6_DEPENDENCIES):
            try:
                response = yield Request("GET", "/folders", params={"all": "true"})
                return expect_list(response, item=FolderItem)
            except BackendAPIError as error:
                if error.status != HTTPStatus.BAD_REQUEST:  # a newer manager, used with an older version
                    raise
        return (yield from _everybodys(generation))

    @api_page_function
    def paginated_list(
        cls,
        group: str | uuid.UUID | None = None,
        access_key: str | None = None,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the folders that the caller may see; superadmins see everybody's.

        Args:
            group: UUID of a group whose folders to list.
            access_key: A keypair whose user's folders to list. Managers of 23.09 offer it and answer 400 to it.
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language; needs v6.20210815.
            order: For example ``-created_at``; needs v6.20210815.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: The server is older than v5.20191215, or than what ``filter`` and ``order`` need.

        Idempotent. GraphQL ``vfolder_list``.
        """
        cls.server.generation.require("paginated_list of folders", since=V5)
        arguments = {
            "group_id": Variable(None, optional(uuid_text, "group", group)),
            "access_key": Variable("String", optional(text, "access_key", access_key)),
        }
        paging = {"page_offset": page_offset, "page_size": page_size, "filter": filter, "order": order}
        return (yield from _page(cls, "vfolder_list", fields, arguments, **paging))

    @api_page_function
    def paginated_own_list(
        cls,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the folders that the caller owns.

        Args:
            fields: As for :meth:`paginated_list`, and so are the others.
            page_offset: See there.
            page_size: See there.
            filter: See there.
            order: See there.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``vfolder_own_list``.
        """
        cls.server.generation.require("paginated_own_list", since=V7)
        paging = {"page_offset": page_offset, "page_size": page_size, "filter": filter, "order": order}
        return (yield from _page(cls, "vfolder_own_list", fields, {}, **paging))

    @api_page_function
    def paginated_invited_list(
        cls,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the folders of others that the caller was invited to.

        Args:
            fields: As for :meth:`paginated_list`, and so are the others.
            page_offset: See there.
            page_size: See there.
            filter: See there.
            order: See there.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``vfolder_invited_list``.
        """
        cls.server.generation.require("paginated_invited_list", since=V7)
        paging = {"page_offset": page_offset, "page_size": page_size, "filter": filter, "order": order}
        return (yield from _page(cls, "vfolder_invited_list", fields, {}, **paging))

    @api_page_function
    def paginated_project_list(
        cls,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the folders of the caller's groups (projects).

        Args:
            fields: As for :meth:`paginated_list`, and so are the others.
            page_offset: See there.
            page_size: See there.
            filter: See there.
            order: See there.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: The server is older than v7.20230615.

        Idempotent. GraphQL ``vfolder_project_list``.
        """
        cls.server.generation.require("paginated_project_list", since=V7)
        paging = {"page_offset": page_offset, "page_size": page_size, "filter": filter, "order": order}
        return (yield from _page(cls, "vfolder_project_list", fields, {}, **paging))


def known_to(generation: Generation, names: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a folder among these that servers of a version have."""
    return tuple(name for name in names if generation.has(FIELDS_SINCE.get(name, V5)))


def _page(
    folder: Any, root: str, fields: Fields | None, arguments: dict[str, Variable], **paging: Any
) -> Recipe[PaginatedResult]:
    generation = folder.server.generation
    chosen = known_to(generation, LIST_FIELDS) if fields is None else fields
    return (yield from graphql.select_page(generation, root, chosen, arguments, known=VFOLDER, **paging))


def _everybodys(generation: Generation) -> Recipe[builtins.list[FolderItem]]:
    """Everybody's folders, in the shape of ``GET /folders``."""
    caller = yield from graphql.select("user", ["uuid"])
    own_id = field(caller, "uuid")
    names = known_to(generation, EVERYBODYS_FIELDS)
    found: list[Any] = []
    while True:
        page = yield from graphql.select_page(
            generation, "vfolder_list", names, {}, page_offset=len(found), page_size=MAX_PAGE_SIZE, known=VFOLDER
        )
        found += page.items
        if not page.items or len(found) >= page.total_count:
            return [_as_listed(row, own_id) for row in found]


def _as_listed(row: dict[str, Any], own_id: str) -> Any:
    return {
        **row,
        "id": field(row, "id").replace("-", ""),
        "is_owner": row.get("user") == own_id,
        "type": row.get("ownership_type"),
    }
