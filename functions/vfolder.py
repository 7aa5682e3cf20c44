"""Virtual folders. ``F`` is ``/folders/{name}``.

========  ===================================
Function  Request
========  ===================================
list      GET /folders, body ``all``
info      GET F
========  ===================================
"""

from __future__ import annotations

from typing import Any

from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function, expect_object
from ai.backend.client.functions.graphql import Rows
from ai.backend.client.request import Request, segment

__all__ = ["VFolder"]


class VFolder(BaseFunction[M]):
    """A folder that sessions can mount.

    Args:
        name: Its name.

    Raises:
        InvalidArgument: It is no name.
    """

    name: str

    def __init__(self, name: str) -> None:
        segment(name)
        self.name = name

    @api_class_function
    def list(cls, list_all: bool = False) -> Recipe[Rows]:
        """Folders that the caller can use.

        Args:
            list_all: Everybody's folders (superadmins; managers of 23.09 refuse it with status 400).

        Returns:
            One object per folder: ``name``, ``id``, ``host``, ``permission``, ``is_owner``, ``type`` and more by
            release.

        Idempotent. ``GET /folders``.
        """
        response = yield Request("GET", "/folders", json={"all": True}) if list_all else Request("GET", "/folders")
        rows: Rows = response.json()
        return rows

    @api_function
    def info(self) -> Recipe[dict[str, Any]]:
        """This folder's properties.

        Returns:
            ``name``, ``id``, ``host``, ``numFiles``, ``created``, ``permission`` and more by release.

        Raises:
            BackendAPIError: 404 for an unknown folder, or for a name that several folders have.

        Idempotent. ``GET F``.
        """
        response = yield Request("GET", f"/folders/{segment(self.name)}")
        return expect_object(response)
