"""GraphQL operations with one root field, from tables.

:func:`select` writes the document and sends it to ``POST /admin/graphql``, which every manager from 19.09 on serves: it
answers the bare data object, and errors with status 400. (``/admin/gql``, from v6.20210815 on, answers errors with
status 200 and does no more.)

Arguments that were not given are neither declared nor sent: to the manager an explicit null is a value, which it
stores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions._generations import V6_FILTER, require_version
from ai.backend.client.functions.base import Recipe, field
from ai.backend.client.request import Request
from ai.backend.client.versioning import ApiVersion

PATH: Final = "/admin/graphql"
MAX_PAGE_SIZE: Final = 100
"""Items per page that the manager gives at most."""

Rows = list[dict[str, Any]]


class HasFieldRef(Protocol):
    """A field specification, as the vendor's releases since 21.09 take it."""

    @property
    def field_ref(self) -> str:
        """The text to put into the query."""


Fields = Iterable[str | HasFieldRef]
"""What to select: texts such as ``"name"`` or ``"groups { id name }"``, or objects with a ``field_ref``."""


class Variable(NamedTuple):
    """An argument of the root field.

    Attributes:
        type: Its GraphQL type, for example ``Int!``; None writes the value into the document as a string literal, for
            arguments whose type changed between servers: ``String``, ``ID`` and ``UUID`` all take one.
        value: None means not given.
    """

    type: str | None
    value: Any


class PaginatedResult(NamedTuple):
    """One page.

    Attributes:
        total_count: How many items there are in all.
        items: Those of this page.
        fields: What was selected, as text.
    """

    total_count: int
    items: Rows
    fields: tuple[str, ...]


def execute(document: str, variables: Mapping[str, Any] | None = None, *, idempotent: bool = False) -> Recipe[Any]:
    """Send a document.

    Args:
        document: The GraphQL text.
        variables: Values of the variables that it declares.
        idempotent: It changes nothing, and may be sent again.

    Returns:
        The data object.

    Raises:
        BackendAPIError: 400 with a list of GraphQL errors in ``data["data"]``.
    """
    body = {"query": document, "variables": dict(variables or {})}
    response = yield Request("POST", PATH, json=body, idempotent=idempotent)
    return response.json()


def select(root: str, fields: Fields, arguments: Mapping[str, Variable] | None = None) -> Recipe[Any]:
    """Query one root field.

    Args:
        root: Its name.
        fields: What to select below it.
        arguments: Its arguments.

    Returns:
        What the server found: an object, a list, or None.
    """
    response = yield _request(root, " ".join(field_texts(fields)), arguments or {})
    return field(response.json(), root, response)


def select_page(
    version: ApiVersion,
    root: str,
    fields: Fields,
    arguments: Mapping[str, Variable],
    *,
    page_offset: int,
    page_size: int,
    filter: str | None = None,
    order: str | None = None,
) -> Recipe[PaginatedResult]:
    """Query one page of a paginated root field.

    Args:
        version: The negotiated version.
        root: The field's name.
        fields: What to select of each item.
        arguments: Its arguments.
        page_offset: Index of the first item, from 0.
        page_size: Items at most, 1 to :data:`MAX_PAGE_SIZE`.
        filter: Condition in the manager's filter language, for example ``name ilike "a%"``.
        order: For example ``+name,-created_at``.

    Returns:
        The page.

    Raises:
        InvalidArgument: Offset or size are out of range.
        BackendAPIVersionError: ``filter`` or ``order`` were given, and the version does not have them.
    """
    if not isinstance(page_size, int) or not 1 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgument("page_size", page_size, f"must be 1 to {MAX_PAGE_SIZE}")
    if not isinstance(page_offset, int) or page_offset < 0:
        raise InvalidArgument("page_offset", page_offset, "must not be negative")
    if filter is not None or order is not None:
        require_version(version, V6_FILTER, f"filter and order of {root}")
    names = field_texts(fields)
    paging = {
        "limit": Variable("Int!", page_size),
        "offset": Variable("Int!", page_offset),
        "filter": Variable("String", filter),
        "order": Variable("String", order),
    }
    response = yield _request(root, f"items {{ {' '.join(names)} }} total_count", {**paging, **arguments})
    page = field(response.json(), root, response)
    return PaginatedResult(field(page, "total_count", response), field(page, "items", response), names)


def field_texts(fields: Fields) -> tuple[str, ...]:
    """The text of each field.

    Raises:
        InvalidArgument: There is none, or one is neither text nor has a ``field_ref``.
    """
    if isinstance(fields, str):
        raise InvalidArgument("fields", fields, "must be a list of fields")
    texts = tuple(item if isinstance(item, str) else getattr(item, "field_ref", None) for item in fields)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise InvalidArgument("fields", text, "must hold field names or objects with a field_ref")
    if not texts:
        raise InvalidArgument("fields", texts, "must name at least one field")
    return texts  # type: ignore[return-value]  # checked above


def _request(root: str, selection: str, arguments: Mapping[str, Variable]) -> Request:
    given = {name: argument for name, argument in arguments.items() if argument.value is not None}
    declared = {name: argument for name, argument in given.items() if argument.type is not None}
    head = ", ".join(f"${name}: {argument.type}" for name, argument in declared.items())
    passed = ", ".join(
        f"{name}: ${name}" if name in declared else f"{name}: {json.dumps(str(argument.value))}"
        for name, argument in given.items()
    )
    document = f"query{_parenthesised(head)} {{ {root}{_parenthesised(passed)} {{ {selection} }} }}"
    variables = {name: argument.value for name, argument in declared.items()}
    return Request("POST", PATH, json={"query": document, "variables": variables}, idempotent=True)


def _parenthesised(text: str) -> str:
    return f"({text})" if text else ""
