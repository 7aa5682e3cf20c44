"""Every GraphQL document that a client of any configured version sends to manager 23.09, or 26.9, is valid there.

The documents are those of `tests/data/wire`, the schemas are those of real managers (see `support.golden.schema`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLError, OperationDefinitionNode, parse, validate
from graphql.execution.values import get_variable_values

from support.golden.data import GENERATIONS, Golden, generations
from support.golden.schema import MANAGERS, saved_schema

DATA = Path(__file__).parents[1] / "data" / "wire"

HOSTS = "v6.20230315"
"""From here on folder hosts are JSON text with permissions; before, they are lists of names."""
NULLS = {"mutation($email: String!, $props: ModifyUserInput!)": {"is_active": None}}
"""Start of a document → the nulls that it needs: manager 23.09 takes the absence of `is_active` for False."""


def not_for_newer(document: str, variables: dict[str, Any], spoken: tuple[str, ...]) -> str | None:
    """Why managers from 23.09 on cannot take what older generations send by nature; None: they must."""
    hosts = variables.get("props", {}).get("allowed_vfolder_hosts")
    if isinstance(hosts, list) and GENERATIONS.index(spoken[-1]) < GENERATIONS.index(HOSTS):
        return "names of folder hosts, where managers from 23.03 on want permissions"
    if "sess_id" in document and spoken == ("v4.20190615",):
        return "fields of sessions as managers of 19.09 call them"
    return None


def sent() -> dict[tuple[str, str], set[str]]:
    """Document and variables (as JSON) → the generations that send them."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in sorted(DATA.glob("*.json")):
        for entry in Golden(path).entries:
            for key in entry:
                for spoken in generations(key):
                    for request in entry[key]:
                        if "graphql" in request and "Admin.query" not in entry["call"]:
                            pair = request["graphql"], json.dumps(request["variables"])
                            found.setdefault(pair, set()).add(spoken)
    return found


def errors_of(document: str, variables: dict[str, Any], manager: str = MANAGERS[0]) -> list[GraphQLError]:
    """What a manager would find wrong with a document and the values of its variables."""
    schema, parsed = saved_schema(manager), parse(document)
    found = validate(schema, parsed)
    (operation,) = parsed.definitions
    assert isinstance(operation, OperationDefinitionNode)
    values = get_variable_values(schema, operation.variable_definitions or (), variables)
    return [*found, *(values if isinstance(values, list) else ())]


SENT = [
    (document, variables, tuple(sorted(spoken, key=GENERATIONS.index)))
    for (document, variables), spoken in sent().items()
]
IDS = [f"{index}-{document[:60]}" for index, (document, _, _) in enumerate(SENT)]


@pytest.mark.parametrize(
    ("document", "variables", "spoken"), SENT, ids=lambda value: value[:60] if isinstance(value, str) else value[0]
)
@pytest.mark.parametrize("manager", MANAGERS)
def test_a_document_is_valid(manager, document, variables, spoken):
    values = json.loads(variables)
    complaints = [error.message for error in errors_of(document, values, manager)]
    reason = not_for_newer(document, values, spoken)
    if reason is None:
        assert complaints == []
    else:
        assert complaints, f"valid after all: {reason}"


@pytest.mark.parametrize(
    ("document", "variables", "spoken"), SENT, ids=lambda value: value[:60] if isinstance(value, str) else value[0]
)
def test_a_document_declares_what_it_uses_and_has_no_nulls(document, variables, spoken):
    (operation,) = parse(document).definitions
    declared = {definition.variable.name.value for definition in operation.variable_definitions or ()}
    values = json.loads(variables)
    assert declared == values.keys()
    nulls = {name: value for name, value in {**values, **values.get("props", {})}.items() if value is None}
    allowed = next((nulls for start, nulls in NULLS.items() if document.startswith(start)), {})
    assert nulls.items() <= allowed.items()


POLICY = 'mutation($p: CreateUserResourcePolicyInput!) { create_user_resource_policy(name: "p", props: $p) { ok } }'


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("query { no_such_root { x } }", {}),
        ("query($name: Int) { domain(name: $name) { name } }", {"name": 1}),
        ("query($name: String) { domain(name: $name) { name } }", {"name": 1}),
        ("query($id: String!) { group(id: $id) { id } }", {"id": "x"}),
        (POLICY, {"p": {"no_such": 1}}),
        (POLICY, {"p": {"max_vfolder_count": "many"}}),
        ('query { group(id: "no-uuid") { id } }', {}),
        (
            'mutation($p: DomainInput!) { create_domain(name: "d", props: $p) { ok } }',
            {"p": {"allowed_vfolder_hosts": ["a"]}},
        ),
    ],
)
@pytest.mark.parametrize("manager", MANAGERS)
def test_what_a_manager_refuses_is_seen(manager, document, variables):
    assert errors_of(document, variables, manager) != []
