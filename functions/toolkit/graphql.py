"""GraphQL operations with one root field, from tables.

:func:`select` and :func:`mutate` write the document and send it to ``POST /admin/graphql``, which every manager from
19.09 on serves: it answers the data object, from 26.3 on in ``{"data": ..., "errors": null}``, and errors with status
400. (``/admin/gql``, from v6.20210815 on, answers errors with status 200 and does no more.)

Arguments that were not given are neither declared nor sent: to the manager an explicit null is a value, which it
stores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar, overload

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.functions.base import Recipe
from ai.backend.client.functions.toolkit.fields import Fields, FieldSet, field_texts
from ai.backend.client.functions.toolkit.generations import V6_FILTER, Generation
from ai.backend.client.functions.toolkit.inputs import optional, text, whole
from ai.backend.client.functions.toolkit.pages import MAX_PAGE_SIZE, PaginatedResult
from ai.backend.client.functions.toolkit.reading import field
from ai.backend.client.functions.toolkit.replies import MutationResult
from ai.backend.client.request import Request, Response

PATH: Final = "/admin/graphql"
ENVELOPE: Final = {"data", "errors"}
"""The keys of what the data object comes in, from 26.3 on."""
Row = dict[str, Any]
Rows = list[Row]
S = TypeVar("S")


class Variable(NamedTuple):
    """An argument of the root field.

    Attributes:
        type: Its GraphQL type, for example ``Int!``; None writes the value into the document as a string literal, for
            arguments whose type changed between servers: ``String``, ``ID`` and ``UUID`` all take one.
        value: None means not given.
    """

    type: str | None
    value: Any


Arguments = Mapping[str, "Variable | Mapping[str, Variable]"]
"""Arguments of a root field by name. A mapping in place of a variable is an input object that is written into the
document, for objects whose type has other names on other servers; what is inside is named apart from the arguments."""


def execute(
    document: str,
    variables: Mapping[str, Any] | None = None,
    *,
    idempotent: bool = False,
    operation_name: str | None = None,
) -> Recipe[Any]:
    """Send a document.

    Args:
        document: The GraphQL text.
        variables: Values of the variables that it declares.
        idempotent: It changes nothing, and may be sent again.
        operation_name: Which of its operations to run, if it has several.

    Returns:
        The data object.

    Raises:
        BackendAPIError: 400 with a list of GraphQL errors in ``data["data"]``.
    """
    body: dict[str, Any] = {"query": document, "variables": dict(variables or {})}
    if operation_name is not None:
        body["operation_name"] = operation_name
    response = yield Request("POST", PATH, json=body, idempotent=idempotent)
    return _data(response)


def select(root: str, fields: Fields, arguments: Arguments | None = None, known: FieldSet | None = None) -> Recipe[Any]:
    """Query one root field.

    Args:
        root: Its name.
        fields: What to select below it.
        arguments: Its arguments.
        known: The fields that its object has, to check ``fields`` with.

    Returns:
        What the server found: an object, a list, or None.

    Raises:
        InvalidArgument: ``fields`` are no selection of the object.
    """
    response = yield _request("query", root, " ".join(field_texts(fields, known)), arguments or {})
    return field(_data(response), root, response)


def select_object(
    root: str, fields: Fields, arguments: Arguments | None = None, known: FieldSet | None = None
) -> Recipe[Row | None]:
    """:func:`select` for a root field that is one object.

    Returns:
        Field → value, or None when there is no such object.

    Raises:
        InvalidArgument: ``fields`` are no selection of the object.
        InvalidReply: The answer has something else there.
    """
    row = yield from select(root, fields, arguments, known)
    if row is not None and not isinstance(row, dict):
        raise InvalidReply(f"the answer's {root!r} is no object")
    return row


def select_list(
    root: str, fields: Fields, arguments: Arguments | None = None, known: FieldSet | None = None
) -> Recipe[Rows]:
    """:func:`select` for a root field that is a list of objects.

    Raises:
        InvalidReply: It is none.
    """
    rows: Rows = yield from select(root, fields, arguments, known)
    if not isinstance(rows, list):
        raise InvalidReply(f"the answer's {root!r} is no list")
    return rows


def select_page(
    generation: Generation,
    root: str,
    fields: Fields,
    arguments: Arguments,
    *,
    page_offset: int,
    page_size: int,
    filter: str | None = None,
    order: str | None = None,
    known: FieldSet | None = None,
) -> Recipe[PaginatedResult]:
    """Query one page of a paginated root field.

    Args:
        generation: How the server is spoken to.
        root: The field's name.
        fields: What to select of each item.
        arguments: Its arguments.
        page_offset: Index of the first item, from 0.
        page_size: Items at most, 1 to :data:`~ai.backend.client.functions.toolkit.pages.MAX_PAGE_SIZE`.
        filter: Condition in the manager's filter language, for example ``name ilike "a%"``.
        order: For example ``+name,-created_at``.
        known: The fields that an item has, to check ``fields`` with.

    Returns:
        The page.

    Raises:
        InvalidArgument: Offset, size or fields are unusable.
        BackendAPIVersionError: ``filter`` or ``order`` were given, and the version does not have them.
    """
    whole("page_size", page_size, 1, MAX_PAGE_SIZE)
    whole("page_offset", page_offset)
    if filter is not None or order is not None:
        generation.require(f"filter and order of {root}", since=V6_FILTER)
    names = field_texts(fields, known)
    paging = {
        "limit": Variable("Int!", page_size),
        "offset": Variable("Int!", page_offset),
        "filter": Variable("String", optional(text, "filter", filter)),
        "order": Variable("String", optional(text, "order", order)),
    }
    response = yield _request("query", root, f"items {{ {' '.join(names)} }} total_count", {**paging, **arguments})
    page = field(_data(response), root, response)
    total, rows = field(page, "total_count", response), field(page, "items", response)
    if not isinstance(total, int) or not isinstance(rows, list):
        raise InvalidReply(f"the answer's {root!r} is no page", response.status, response.content)
    return PaginatedResult(total, rows, names)


@overload
def mutate(root: str, arguments: Arguments, result: str = "") -> Recipe[MutationResult]: ...


@overload
def mutate(root: str, arguments: Arguments, result: str = "", *, shape: type[S], verdict: bool = True) -> Recipe[S]: ...


def mutate(
    root: str,
    arguments: Arguments,
    result: str = "",
    *,
    shape: Any = MutationResult,  # noqa: ARG001  # for type checkers
    verdict: bool = True,
) -> Recipe[Any]:
    """Change something by one root field.

    Args:
        root: Its name.
        arguments: Its arguments. Input objects hold only what was given.
        result: What to select beside ``ok`` and ``msg``; see :func:`returning`.
        shape: Type of the answer, for type checkers: one of a ``replies`` module.
        verdict: The answer has ``ok`` and ``msg``.

    Returns:
        ``{"ok": bool, "msg": text}`` and what ``result`` names. The manager reports most refusals as ``ok: false``
        with status 200: nothing is raised for it.

    Raises:
        BackendAPIError: 400 with a list of GraphQL errors in ``data["data"]``, for example for a role that may not.

    Never sent twice by itself.
    """
    selection = f"ok msg {result}".rstrip() if verdict else result
    response = yield _request("mutation", root, selection, arguments)
    value = field(_data(response), root, response)
    if not isinstance(value, dict):
        raise InvalidReply(f"the answer's {root!r} is not a JSON object", response.status, response.content)
    return value


def returning(name: str, fields: Fields, known: FieldSet | None = None) -> str:
    """What :func:`mutate` selects of the object that it made.

    Args:
        name: The result's field, for example ``domain``.
        fields: What to return of it.
        known: The fields that it has, to check ``fields`` with.

    Raises:
        InvalidArgument: ``fields`` are no selection of the object.
    """
    return f"{name} {{ {' '.join(field_texts(fields, known))} }}"


def _data(response: Response) -> Any:
    """The data object of an answer, in an envelope or not: no document of ours has roots of both these names."""
    body = response.json()
    return body["data"] if isinstance(body, dict) and body.keys() == ENVELOPE else body


def _request(operation: str, root: str, selection: str, arguments: Arguments) -> Request:
    declared: dict[str, Variable] = {}
    passed = _written(arguments, declared)
    head = ", ".join(f"${name}: {argument.type}" for name, argument in declared.items())
    document = f"{operation}{_parenthesised(head)} {{ {root}{_parenthesised(passed)} {{ {selection} }} }}"
    variables = {name: argument.value for name, argument in declared.items()}
    return Request("POST", PATH, json={"query": document, "variables": variables}, idempotent=operation == "query")


def _written(arguments: Arguments, declared: dict[str, Variable]) -> str:
    """What was given, as it stands between the parentheses; collects the variables that the document must declare."""
    written = []
    for name, argument in arguments.items():
        if not isinstance(argument, Variable):
            written.append(f"{name}: {{ {_written(argument, declared)} }}")
        elif argument.value is None:
            continue
        elif argument.type is None:
            written.append(f"{name}: {json.dumps(str(argument.value))}")
        else:
            declared[name] = argument
            written.append(f"{name}: ${name}")
    return ", ".join(written)


def _parenthesised(text: str) -> str:
    return f"({text})" if text else ""
