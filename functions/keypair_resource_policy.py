"""Resource policies of key pairs.

========  ==========================================
Function  GraphQL
========  ==========================================
list      ``keypair_resource_policies``
info      ``keypair_resource_policy(name)``
========  ==========================================
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable

__all__ = ["KeypairResourcePolicy"]

FIELDS: Final = (
    "name", "created_at", "total_resource_slots", "max_concurrent_sessions", "max_vfolder_count", "max_vfolder_size",
    "idle_timeout",
)  # fmt: skip


class KeypairResourcePolicy(BaseFunction[M]):
    """Limits of what the holder of a key pair may use.

    Args:
        access_key: An access key. No function uses it: it is the vendor's signature.
    """

    access_key: str

    def __init__(self, access_key: str) -> None:
        self.access_key = access_key

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Rows]:
        """All policies that the caller may see.

        Args:
            fields: What to tell about each.

        Returns:
            One object per policy.

        Idempotent. GraphQL ``keypair_resource_policies``.
        """
        rows: Rows = yield from graphql.select("keypair_resource_policies", fields or FIELDS)
        return rows

    @api_function
    def info(self, name: str, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One policy.

        Args:
            name: Its name.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Idempotent. GraphQL ``keypair_resource_policy``.
        """
        arguments = {"name": Variable("String", name)}
        row: dict[str, Any] | None = yield from graphql.select("keypair_resource_policy", fields or FIELDS, arguments)
        return row
