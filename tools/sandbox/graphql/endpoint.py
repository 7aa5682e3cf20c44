"""GraphQL by graphql-core, with the types of the manager that the sandbox stands for."""

from __future__ import annotations

import datetime
import functools
import json
import uuid
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final

from aiohttp import web
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    execute_sync,
    parse,
    validate,
)
from graphql.language import FieldNode, IntValueNode, StringValueNode

from ai.backend.client.sandbox.core.parameters import Field, anything, mapping_of, optional, text
from ai.backend.client.sandbox.core.problems import V9_CODE, Problem, not_implemented
from ai.backend.client.sandbox.core.state import V4, V7, V9, Sandbox
from ai.backend.client.sandbox.core.web import Call, answer
from ai.backend.client.sandbox.graphql import fields, mutations, queries
from ai.backend.client.sandbox.graphql.context import Context
from ai.backend.client.sandbox.graphql.limits import MAX_LENGTH, too_large

SCHEMAS: Final = {V4: "schema-19.09.graphql", V7: "schema-23.09.graphql", V9: "schema-26.9.graphql"}
FROZEN: Final = "The server is frozen due to maintenance. Please try again later."
MAX_DOCUMENTS: Final = 256
QUERY: Final = {
    "query": Field(text),
    "variables": Field(optional(mapping_of(anything)), None),
    "operation_name": Field(optional(text), None, ("operation_name", "operationName")),
}


async def plain(call: Call) -> web.Response:
    """The data, since 26.3 in an envelope; or a 400."""
    result = await _executed(call)
    if result.errors:
        raise Problem("graphql-error", data=_errors(call.sandbox, result))
    return answer({"data": result.data, "errors": None} if call.sandbox.v9 else result.data)


async def wrapped(call: Call) -> web.Response:
    """Data and errors, always with a 200."""
    result = await _executed(call)
    if not call.sandbox.v9:
        return answer(result.formatted)
    return answer({"data": result.data, "errors": _errors(call.sandbox, result)})


def _errors(sandbox: Sandbox, result: ExecutionResult) -> list[dict[str, Any]] | None:
    """The errors of a result as they are sent: 26.9 says a code for those that its resolvers raise."""
    if result.errors is None:
        return None
    errors: list[dict[str, Any]] = [dict(error.formatted) for error in result.errors]
    if sandbox.v9:
        for error in errors:
            if "path" in error:
                error["extensions"] = {"code": V9_CODE}
    return errors


async def _executed(call: Call) -> ExecutionResult:
    given = await call.parameters(QUERY)
    api = call.sandbox.settings.api
    schema = schema_of(api)
    document = _document(api, given["query"])
    if isinstance(document, list):
        return ExecutionResult(None, document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    for operation in operations:
        refused = _refused(call.sandbox, operation)
        if refused is not None:
            return ExecutionResult(None, [refused])
    with call.sandbox.read() as database:
        result = execute_sync(
            schema,
            document,
            context_value=Context(call.sandbox, call.caller, database),
            variable_values=given["variables"],
            operation_name=given["operation_name"],
        )
    if any(operation.operation is OperationType.MUTATION for operation in operations):
        call.sandbox.kernels.schedule()  # there may be room now
    return result


@functools.lru_cache(MAX_DOCUMENTS)
def _document(api: str, query: str) -> DocumentNode | list[GraphQLError]:
    """A query that can be run, or what is wrong with it. Programs send the same few, and reading one is slow."""
    if len(query) > MAX_LENGTH:
        return [GraphQLError(f"the query is longer than {MAX_LENGTH} characters")]
    try:
        document = parse(query)
    except GraphQLError as error:
        return [error]
    return too_large(document) or validate(schema_of(api), document) or document


def _refused(sandbox: Sandbox, operation: OperationDefinitionNode) -> GraphQLError | None:
    """What keeps an operation from being run."""
    is_mutation = operation.operation is OperationType.MUTATION
    known = mutations.WRITES if is_mutation else queries.READS
    for selection in operation.selection_set.selections:
        if isinstance(selection, FieldNode):
            name = selection.name.value
            if name.startswith("__"):
                if sandbox.v9:
                    continue
                return GraphQLError("introspection is not allowed", selection)
            if name not in known:
                raise not_implemented(f"GraphQL {name}")
    return GraphQLError(FROZEN) if is_mutation and sandbox.status != "running" else None


@functools.cache
def schema_of(api: str) -> GraphQLSchema:
    """The schema of a generation, ready to run."""
    schema = build_schema(resources.files(__package__).joinpath(SCHEMAS[api]).read_text("utf-8"))
    for name, (serialise, parse_value) in SCALARS.items():
        scalar = schema.type_map.get(name)
        if isinstance(scalar, GraphQLScalarType):
            # Under the names of graphql-core 3.2, and those of 3.3.
            for attribute, function in (
                ("serialize", serialise),
                ("parse_value", parse_value),
                ("parse_literal", _literal(parse_value)),
                ("coerce_output_value", serialise),
                ("coerce_input_value", parse_value),
                ("coerce_input_literal", _literal(parse_value)),
            ):
                setattr(scalar, attribute, function)
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            _attach(kind, api)
    return schema


def _attach(kind: GraphQLObjectType, api: str) -> None:
    roots: Mapping[str, Mapping[str, Callable[..., Any]]] = {
        "Queries": queries.READS,
        "Query": queries.READS,
        "Mutations": mutations.WRITES,
        "Mutation": mutations.WRITES,
    }
    for name, field in kind.fields.items():
        resolver = roots.get(kind.name, {}).get(name)
        if resolver is not None:
            field.resolve = _root(resolver, _added(kind, name, field) if api == V9 else frozenset())
        elif kind.name not in roots:
            field.resolve = functools.partial(_member, kind.name, name)
    if kind.interfaces:
        kind.is_type_of = None


def _added(kind: GraphQLObjectType, name: str, field: GraphQLField) -> frozenset[str]:
    """Arguments of a root field that 26.9 has and 23.09 has not. The resolvers do without."""
    older = schema_of(V7)
    root = older.mutation_type if kind.name == "Mutation" else older.query_type
    return frozenset(field.args) - frozenset(root.fields[name].args) if root is not None else frozenset()


def _root(resolver: Callable[..., Any], ignored: frozenset[str]) -> Callable[..., Any]:
    def resolve(_source: Any, info: Any, **arguments: Any) -> Any:
        for name in ignored & arguments.keys():
            del arguments[name]
        try:
            return resolver(info.context, **arguments)
        except Problem as problem:
            raise GraphQLError(problem.title + (f" ({problem.message})" if problem.message else "")) from None
        except ValueError as error:
            raise GraphQLError(str(error)) from None

    return resolve


def _member(kind: str, name: str, source: Any, info: Any, **arguments: Any) -> Any:
    return fields.value(info.context, kind, name, source, arguments)


def _json_out(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value)


def _json_in(value: Any) -> Any:
    return json.loads(value)


def _time_out(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _time_in(value: Any) -> Any:
    return datetime.datetime.fromisoformat(value)


def _uuid_in(value: Any) -> Any:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def _literal(parse_value: Callable[[Any], Any]) -> Callable[..., Any]:
    def parse_literal(node: Any, _variables: Any = None) -> Any:
        if not isinstance(node, (StringValueNode, IntValueNode)):
            raise GraphQLError("not a valid literal", node)
        return parse_value(node.value)

    return parse_literal


SCALARS: Final[Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "JSONString": (_json_out, _json_in),
    "DateTime": (_time_out, _time_in),
    "UUID": (str, _uuid_in),
    "BigInt": (int, int),
}
