"""Paginated queries of any root field, for the session of the ``with`` block, as the vendor's client has them.

=============================  =================================================================
Function                       Gives
=============================  =================================================================
execute_paginated_query        one page
fetch_paginated_result         one page; takes ``filter`` and ``order`` among the variables
generate_paginated_results     every item, page after page
=============================  =================================================================

The paginated lists of the proxies (``session.Agent.paginated_list``) are the better way: they know their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai.backend.client.exceptions import InvalidArgument, type_of
from ai.backend.client.functions.base import BaseFunction, M, Recipe
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import Fields
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import text, whole
from ai.backend.client.functions.toolkit.pages import MAX_PAGE_SIZE, ItemIterator, PaginatedResult, api_page_function

__all__ = ["execute_paginated_query", "fetch_paginated_result", "generate_paginated_results"]

Variables = Mapping[str, tuple[Any, str]]
"""Argument of the root field → its value and GraphQL type; a value of None is left out."""


class PaginatedQuery(BaseFunction[M]):
    """A paginated root field, whichever it is."""

    @api_page_function
    def run(
        cls,
        root_field: str,
        variables: Variables,
        fields: Fields,
        *,
        page_offset: int = 0,
        page_size: int = 20,
    ) -> Recipe[PaginatedResult]:
        """One page.

        Args:
            root_field: Name of the root field.
            variables: Its arguments, ``filter`` and ``order`` among them.
            fields: What to select of each item.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: ``filter`` or ``order`` were given, and the version does not have them.

        Idempotent. GraphQL, ``root_field``.
        """
        arguments = _arguments(variables)
        paging = {name: arguments.pop(name, Variable(None, None)).value for name in ("filter", "order")}
        return (
            yield from graphql.select_page(
                cls.server.generation,
                text("root_field", root_field),
                fields,
                arguments,
                page_offset=page_offset,
                page_size=page_size,
                **paging,
            )
        )


_QUERY: Any = PaginatedQuery
"""Untyped: which kind of session it belongs to is known when it is used."""


def execute_paginated_query(root_field: str, variables: Variables, fields: Fields, *, limit: int, offset: int) -> Any:
    """One page of a root field.

    Args:
        root_field: Its name.
        variables: Its arguments: name → (value, GraphQL type). None is left out.
        fields: What to select of each item.
        limit: Items at most, 1 to 100.
        offset: Index of the first item, from 0.

    Returns:
        A :class:`~ai.backend.client.functions.toolkit.pages.PaginatedResult`; in the block of an ``AsyncSession`` its
        future.

    Raises:
        InvalidArgument: (a ``ValueError``) A value is unusable.
        RuntimeError: There is no ``with`` block of a session around the call.
    """
    size, start = whole("limit", limit, 1, MAX_PAGE_SIZE), whole("offset", offset)
    return _QUERY.run(root_field, variables, fields, page_offset=start, page_size=size)


def fetch_paginated_result(
    root_field: str, variables: Variables, fields: Fields, *, page_offset: int, page_size: int
) -> Any:
    """As :func:`execute_paginated_query`, with ``page_offset`` for ``offset`` and ``page_size`` for ``limit``.

    Raises:
        BackendAPIVersionError: ``filter`` or ``order`` are among the variables, and the version does not have them.
    """
    return _QUERY.run(root_field, variables, fields, page_offset=page_offset, page_size=page_size)


def generate_paginated_results(
    root_field: str, variables: Variables, fields: Fields, *, page_size: int = 20
) -> ItemIterator:
    """Every item of a root field; ``page_size`` (1 to 100) with one request.

    Returns:
        An iterator for ``for`` and ``async for``; its first step raises what is wrong with the arguments.

    Raises:
        RuntimeError: There is no ``with`` block of a session around the call.
    """
    items: ItemIterator = _QUERY.run.iterate(root_field, variables, fields, page_size=page_size)
    return items


def _arguments(variables: object) -> dict[str, Variable]:
    if not isinstance(variables, Mapping):
        raise InvalidArgument("variables", type_of(variables), "must map names to (value, type)")
    arguments = {}
    for name, pair in variables.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[1], str):
            raise InvalidArgument("variables", name, "must map names to (value, type)")
        arguments[name] = Variable(pair[1], pair[0])
    return arguments
