"""Permissions on folder hosts. Since v6.20230315 (23.03).

========  ============================
Function  GraphQL
========  ============================
list      ``vfolder_host_permissions``
========  ============================
"""

from __future__ import annotations

from typing import Final

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import PERMISSION, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V6_LOWER_CASE
from ai.backend.client.functions.toolkit.graphql import Row

__all__ = ["Permission"]

FIELDS: Final = ("vfolder_host_permission_list",)


class Permission(BaseFunction[M]):
    """What may be allowed of a folder host."""

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Row]:
        """All permissions that there are, for everybody to see.

        Args:
            fields: What to tell.

        Returns:
            ``{"vfolder_host_permission_list": [text, ...]}``.

        Raises:
            InvalidArgument: A field is unknown.
            BackendAPIVersionError: The server is older than v6.20230315.

        Idempotent. GraphQL ``vfolder_host_permissions``.
        """
        cls.server.generation.require("Permission.list", since=V6_LOWER_CASE)
        row = yield from graphql.select_object("vfolder_host_permissions", chosen(fields, FIELDS), known=PERMISSION)
        if row is None:
            raise InvalidReply("the answer has no permissions")
        return row
