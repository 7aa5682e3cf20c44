"""Scaling groups, also called resource groups.

==============  ================================================
Function        Request
==============  ================================================
list_available  GET /scaling-groups, query ``group``
list            GraphQL ``scaling_groups``
detail          GraphQL ``scaling_group(name)``
==============  ================================================
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, expect_object
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Rows, Variable
from ai.backend.client.request import Request

__all__ = ["ScalingGroup"]

FIELDS: Final = (
    "name", "description", "is_active", "created_at", "driver", "driver_opts", "scheduler", "scheduler_opts",
)  # fmt: skip


class ScalingGroup(BaseFunction[M]):
    """Agents that are scheduled together.

    Args:
        name: The group's name.

    Raises:
        InvalidArgument: It is empty or no text.
    """

    name: str

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidArgument("name", name, "must be a non-empty string")
        self.name = name

    @api_class_function
    def list_available(cls, group: str) -> Recipe[dict[str, Any]]:
        """Scaling groups that a group of users may run sessions in.

        Args:
            group: Name or UUID of the group.

        Returns:
            ``{"scaling_groups": [{"name"}]}``.

        Raises:
            InvalidArgument: The group is empty or no text.

        Idempotent. ``GET /scaling-groups``.
        """
        if not isinstance(group, str) or not group:
            raise InvalidArgument("group", group, "must be the name or UUID of a group")
        response = yield Request("GET", "/scaling-groups", params={"group": group})
        return expect_object(response)

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Rows]:
        """All scaling groups; for superadmins.

        Args:
            fields: What to tell about each.

        Returns:
            One object per scaling group.

        Idempotent. GraphQL ``scaling_groups``.
        """
        rows: Rows = yield from graphql.select("scaling_groups", fields or FIELDS)
        return rows

    @api_class_function
    def detail(cls, name: str, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One scaling group; for superadmins.

        Args:
            name: Its name.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Idempotent. GraphQL ``scaling_group``.
        """
        row: dict[str, Any] | None = yield from graphql.select(
            "scaling_group", fields or FIELDS, {"name": Variable("String", name)}
        )
        return row
