"""GraphQL schemas of real managers, saved as data: `tools/refresh-schema` writes one, a live test compares it."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_introspection_query,
    lexicographic_sort_schema,
    print_schema,
    value_from_ast_untyped,
)

MANAGERS = ("23.09.10", "26.9.6")
DATA = Path(__file__).parents[2] / "data"


def _json_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise TypeError("must be JSON text")
    return json.loads(value)


INPUTS: dict[str, Callable[[Any], Any]] = {"BigInt": int, "JSONString": _json_text, "UUID": uuid.UUID}
"""Scalar → what the manager does with a value that it is given; a schema as text does not say that."""


def path_of(manager: str) -> Path:
    """Where the schema of a manager is saved."""
    return DATA / f"schema-{manager}.graphql"


@functools.cache
def saved_schema(manager: str = MANAGERS[0]) -> GraphQLSchema:
    """The schema of a manager in the data folder, with scalars that refuse what the manager's refuse."""
    schema = build_schema(path_of(manager).read_text("utf-8"))
    for name, read in INPUTS.items():
        scalar: Any = schema.type_map[name]
        scalar.coerce_input_value = read
        scalar.coerce_input_literal = lambda node, read=read: read(value_from_ast_untyped(node))
    return schema


def fetch_schema(session: Any) -> str:
    """What the manager of a session tells about itself, as text in a stable order.

    Args:
        session: An open `Session`; the manager must allow introspection, as the one of `tools/cluster` does.
    """
    answer = session.Admin.query(get_introspection_query(descriptions=False, input_value_deprecation=True))
    return print_schema(lexicographic_sort_schema(build_client_schema(answer))) + "\n"
