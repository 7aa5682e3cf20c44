"""Users.

==============  ===============================
Function        GraphQL
==============  ===============================
list            ``users(is_active)``
detail          ``user(email)``
detail_by_uuid  ``user_from_uuid(user_id)``
==============  ===============================
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable

__all__ = ["User"]

FIELDS: Final = ("uuid", "username", "email", "need_password_change", "is_active", "created_at", "domain_name", "role")


class User(BaseFunction[M]):
    """People with accounts."""

    @api_class_function
    def list(cls, is_active: bool | None = None, fields: Fields | None = None) -> Recipe[Rows]:
        """Users that the caller may see.

        Args:
            is_active: Only active (True) or inactive (False) ones.
            fields: What to tell about each.

        Returns:
            One object per user.

        Idempotent. GraphQL ``users``.
        """
        rows: Rows = yield from graphql.select("users", fields or FIELDS, {"is_active": Variable("Boolean", is_active)})
        return rows

    @api_class_function
    def detail(cls, email: str | None = None, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One user.

        Args:
            email: Their e-mail address; default: the caller.
            fields: What to tell about them.

        Returns:
            Field → value, or None when they are unknown.

        Idempotent. GraphQL ``user``.
        """
        arguments = {"email": Variable("String", email)}
        row: dict[str, Any] | None = yield from graphql.select("user", fields or FIELDS, arguments)
        return row

    @api_class_function
    def detail_by_uuid(
        cls, user_uuid: str | uuid.UUID | None = None, fields: Fields | None = None
    ) -> Recipe[dict[str, Any] | None]:
        """One user, by UUID.

        Args:
            user_uuid: Their UUID; default: the caller.
            fields: What to tell about them.

        Returns:
            Field → value, or None when they are unknown.

        Idempotent. GraphQL ``user_from_uuid``, or ``user`` for the caller. The id is written into the document: its
        type differs between servers.
        """
        root = "user" if user_uuid is None else "user_from_uuid"
        arguments = {"user_id": Variable(None, user_uuid)}
        row: dict[str, Any] | None = yield from graphql.select(root, fields or FIELDS, arguments)
        return row
