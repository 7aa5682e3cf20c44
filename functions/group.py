"""Groups, also called projects.

========  ============================
Function  GraphQL
========  ============================
list      ``groups(domain_name)``
detail    ``group(id)``
========  ============================
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable

__all__ = ["Group"]

FIELDS: Final = (
    "id", "name", "description", "is_active", "created_at", "domain_name", "total_resource_slots",
    "allowed_vfolder_hosts", "integration_id",
)  # fmt: skip


class Group(BaseFunction[M]):
    """Users of a domain who share resources and folders."""

    @api_class_function
    def list(cls, domain_name: str, fields: Fields | None = None) -> Recipe[Rows]:
        """Groups of a domain, as far as the caller may see them.

        Args:
            domain_name: The domain.
            fields: What to tell about each.

        Returns:
            One object per group.

        Idempotent. GraphQL ``groups``.
        """
        rows: Rows = yield from graphql.select(
            "groups", fields or FIELDS, {"domain_name": Variable("String", domain_name)}
        )
        return rows

    @api_class_function
    def detail(cls, gid: str | uuid.UUID, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One group.

        Args:
            gid: Its UUID.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Idempotent. GraphQL ``group``. The id is written into the document: its type differs between servers.
        """
        row: dict[str, Any] | None = yield from graphql.select("group", fields or FIELDS, {"id": Variable(None, gid)})
        return row
