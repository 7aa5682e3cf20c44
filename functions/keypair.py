"""Key pairs.

========  ======================================
Function  GraphQL
========  ======================================
list      ``keypairs(email, is_active)``
info      ``keypair(access_key)``
========  ======================================
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable

__all__ = ["KeyPair"]

FIELDS: Final = ("access_key", "secret_key", "is_active", "is_admin")


class KeyPair(BaseFunction[M]):
    """A user's access key and secret key.

    Args:
        access_key: The access key.

    Raises:
        InvalidArgument: It is empty or no text.
    """

    access_key: str

    def __init__(self, access_key: str) -> None:
        if not isinstance(access_key, str) or not access_key:
            raise InvalidArgument("access_key", access_key, "must be a non-empty string")
        self.access_key = access_key

    @api_class_function
    def list(
        cls, user_id: str | None = None, is_active: bool | None = None, fields: Fields | None = None
    ) -> Recipe[Rows]:
        """Key pairs that the caller may see.

        Args:
            user_id: E-mail address of their owner; default: everybody's.
            is_active: Only active (True) or inactive (False) ones.
            fields: What to tell about each.

        Returns:
            One object per key pair, at most 100 on 23.09.

        Idempotent. GraphQL ``keypairs``.
        """
        arguments = {"email": Variable("String", user_id), "is_active": Variable("Boolean", is_active)}
        rows: Rows = yield from graphql.select("keypairs", fields or FIELDS, arguments)
        return rows

    @api_function
    def info(self, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """This key pair.

        Args:
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Idempotent. GraphQL ``keypair``.
        """
        arguments = {"access_key": Variable("String", self.access_key)}
        row: dict[str, Any] | None = yield from graphql.select("keypair", fields or FIELDS, arguments)
        return row
