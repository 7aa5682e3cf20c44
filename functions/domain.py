"""Domains.

========  =======================
Function  GraphQL
========  =======================
list      ``domains``
detail    ``domain(name)``
========  =======================
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable

__all__ = ["Domain"]

FIELDS: Final = (
    "name", "description", "is_active", "created_at", "total_resource_slots", "allowed_vfolder_hosts",
    "allowed_docker_registries", "integration_id",
)  # fmt: skip


class Domain(BaseFunction[M]):
    """The largest unit that users belong to."""

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Rows]:
        """All domains; for superadmins.

        Args:
            fields: What to tell about each.

        Returns:
            One object per domain.

        Idempotent. GraphQL ``domains``.
        """
        rows: Rows = yield from graphql.select("domains", fields or FIELDS)
        return rows

    @api_class_function
    def detail(cls, name: str, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One domain; users may see their own.

        Args:
            name: Its name.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Idempotent. GraphQL ``domain``.
        """
        row: dict[str, Any] | None = yield from graphql.select(
            "domain", fields or FIELDS, {"name": Variable("String", name)}
        )
        return row
