"""Models: folders of usage mode ``model`` with a directory ``versions``. ``F`` is ``/folders/{name}``.

==============  ============================================  =======================================
Function        Request                                       Body (or query, for GET)
==============  ============================================  =======================================
list            GET /folders
paginated_list  GraphQL ``vfolder_list``
info            GET F, then GET F/files                       ``path``
create          POST /folders, then POST F/mkdir              as ``VFolder.create``; ``path``
delete          DELETE F
==============  ============================================  =======================================

Since v6.20200815, which brought the directory listings that versions are read from.
"""

from __future__ import annotations

import builtins
import uuid
from typing import Any, Final

from ai.backend.client._checks import plain
from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function
from ai.backend.client.functions.folders.identity import folder_body, new_folder
from ai.backend.client.functions.folders.lists import known_to
from ai.backend.client.functions.folders.replies import FolderItem, ModelInfo, NewFolder
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import VFOLDER, Fields
from ai.backend.client.functions.toolkit.generations import V6, V6_FILTER
from ai.backend.client.functions.toolkit.inputs import optional, text
from ai.backend.client.functions.toolkit.pages import PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.reading import expect_list, expect_object, field
from ai.backend.client.request import Request, segment

__all__ = ["Model"]

LIST_FIELDS: Final = ("id", "name", "created_at", "status")
USAGE_MODE: Final = "model"
VERSIONS: Final = "versions"


class Model(BaseFunction[M]):
    """A model that services can serve.

    Args:
        model_name: Its folder's name.

    Attributes:
        model_name: As given, as text.

    Raises:
        InvalidArgument: It is no name.
    """

    model_name: str

    def __init__(self, model_name: str | uuid.UUID) -> None:
        name = str(model_name) if isinstance(model_name, uuid.UUID) else model_name
        segment(name, "model_name")
        self.model_name = plain(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model_name!r}>"

    @api_class_function
    def list(cls) -> Recipe[builtins.list[FolderItem]]:
        """Models that the caller can use. The vendor's function of this name does nothing.

        Returns:
            One object per folder, as :meth:`VFolder.list <ai.backend.client.functions.folders.lists.FolderLists.list>`.

        Raises:
            BackendAPIVersionError: The server is older than v6.20200815.

        Idempotent. ``GET /folders``.
        """
        cls.server.generation.require("models", since=V6)
        response = yield Request("GET", "/folders")
        return [folder for folder in expect_list(response, item=FolderItem) if folder.get("usage_mode") == USAGE_MODE]

    @api_page_function
    def paginated_list(
        cls,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the models that the caller may see; superadmins see everybody's.

        Args:
            fields: What to tell about each, of a folder's fields.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Further condition in the manager's filter language.
            order: For example ``-created_at``.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: The server is older than v6.20210815.

        Idempotent. GraphQL ``vfolder_list`` with filter ``usage_mode == "MODEL"``.
        """
        generation = cls.server.generation
        generation.require("paginated_list of models", since=V6_FILTER)
        condition = '(usage_mode == "MODEL")'
        if optional(text, "filter", filter) is not None:
            condition = f"({filter}) & {condition}"
        return (
            yield from graphql.select_page(
                generation,
                "vfolder_list",
                known_to(generation, LIST_FIELDS) if fields is None else fields,
                {},
                page_offset=page_offset,
                page_size=page_size,
                filter=condition,
                order=order,
                known=VFOLDER,
            )
        )

    @api_function
    def info(self) -> Recipe[ModelInfo]:
        """The model's folder, and the versions in it.

        Returns:
            The folder's properties, and ``versions``: the names of the directories in ``versions``, descending.

        Raises:
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: 404 for an unknown folder; 404 or 500 for one without ``versions``.

        Idempotent. ``GET F``, then ``GET F/files``.
        """
        self.server.generation.require("models", since=V6)
        path = f"/folders/{segment(self.model_name)}"
        folder = expect_object((yield Request("GET", path)))
        response = yield Request("GET", f"{path}/files", params={"path": VERSIONS})
        files = expect_list(response, "items", item=dict)
        found = [field(file, "name", response) for file in files if file.get("type") == "DIRECTORY"]
        if not all(isinstance(name, str) for name in found):
            raise InvalidReply("a directory's 'name' is no text", response.status, response.content)
        info: Any = {**folder, "versions": sorted(found, reverse=True)}
        return info  # type: ignore[no-any-return]  # the server's keys, and ours

    @api_class_function
    def create(
        cls,
        name: str,
        host: str | None = None,
        unmanaged_path: str | None = None,
        group: str | uuid.UUID | None = None,
        permission: str = "rw",
        quota: str = "0",
        cloneable: bool = False,
    ) -> Recipe[NewFolder]:
        """Make a model's folder, with an empty directory ``versions``.

        Args:
            name: As for :meth:`VFolder.create <ai.backend.client.functions.folders.vfolder.VFolder.create>`, and so are
                the others.
            host: See there.
            unmanaged_path: See there.
            group: See there.
            permission: See there.
            quota: See there.
            cloneable: See there.

        Returns:
            The folder's properties.

        Raises:
            InvalidArgument: A value that no server takes.
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: As ``VFolder.create``. When the second request fails, the folder is there nevertheless.

        Not idempotent. As ``VFolder.create``, then ``POST F/mkdir``.
        """
        cls.server.generation.require("models", since=V6)
        body = folder_body(
            cls.server.generation,
            name=name,
            host=host,
            unmanaged_path=unmanaged_path,
            group=group,
            usage_mode=USAGE_MODE,
            permission=permission,
            quota=quota,
            cloneable=cloneable,
        )
        made = yield from new_folder(cls.server, body)
        directory = {"path": VERSIONS, "parents": True, "exist_ok": True}
        yield Request("POST", f"/folders/{segment(name)}/mkdir", json=directory, idempotent=True)
        return made

    @api_function
    def delete(self) -> Recipe[dict[str, Any]]:
        """Remove the model's folder and everything in it.

        Returns:
            ``{}``.

        Raises:
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: 404 for an unknown folder, 400 for one in use.

        Not idempotent. ``DELETE F``.
        """
        self.server.generation.require("models", since=V6)
        yield Request("DELETE", f"/folders/{segment(self.model_name)}")
        return {}
