"""Images.

========  ============================
Function  GraphQL
========  ============================
list      ``images(is_operation)``
========  ============================
"""

from __future__ import annotations

from typing import Final

from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable

__all__ = ["Image"]

FIELDS: Final = ("name", "tag", "hash")


class Image(BaseFunction[M]):
    """What sessions run."""

    @api_class_function
    def list(cls, operation: bool = False, fields: Fields | None = None) -> Recipe[Rows]:
        """All images that the manager knows.

        Args:
            operation: Also those made for the system's own work.
            fields: What to tell about each.

        Returns:
            One object per image.

        Idempotent. GraphQL ``images``.
        """
        rows: Rows = yield from graphql.select(
            "images", fields or FIELDS, {"is_operation": Variable("Boolean", operation)}
        )
        return rows
