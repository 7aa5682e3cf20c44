"""Raw GraphQL.

========  ====================  =======================================
Function  Request               Body
========  ====================  =======================================
query     POST /admin/graphql   ``query, variables``, ``operation_name``
========  ====================  =======================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.inputs import mapping, optional, text

__all__ = ["Admin"]


class Admin(BaseFunction[M]):
    """GraphQL as the caller writes it."""

    @api_class_function
    def query(
        cls, query: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None
    ) -> Recipe[dict[str, Any]]:
        """Send a GraphQL document.

        Args:
            query: Its text. Names and types are those of the server's release; nothing in it is replaced.
            variables: Values of the variables that it declares. An explicit None is a null, which the server stores.
            operation_name: Which of its operations to run, if it has several.

        Returns:
            The data object. Mutations that fail mostly say ``{"ok": False, "msg": ...}`` in it and raise nothing.

        Raises:
            InvalidArgument: The text or name is empty, or the variables are no mapping.
            BackendAPIError: 400 with a list of GraphQL errors in ``data["data"]``: for an unknown name, a value of
                another type, a role that may not, or a change while the manager is frozen.

        Idempotent if the text has no ``mutation``. ``POST /admin/graphql``.
        """
        if not isinstance(query, str) or not query.strip():
            raise InvalidArgument("query", query, "must be a GraphQL document")
        data: dict[str, Any] = yield from graphql.execute(
            query,
            optional(mapping, "variables", variables),
            idempotent="mutation" not in query,
            operation_name=optional(text, "operation_name", operation_name),
        )
        return data
