"""Which fields may be asked for, and how they are written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLObjectType, GraphQLSchema, parse, validate

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.toolkit import fields as api_fields
from ai.backend.client.functions.toolkit.fields import FieldSet, FieldSpec, chosen, field_texts
from support.golden.schema import saved_schema

KNOWN = FieldSet([FieldSpec("name"), FieldSpec("groups { id name }"), FieldSpec("id", alt_name="kernel_id")], "a thing")

TYPES = {
    "AGENT": "Agent",
    "AGENT_SUMMARY": "AgentSummary",
    "COMPUTE_SESSION": "ComputeSession",
    "CONTAINER": "ComputeContainer",
    "DOMAIN": "Domain",
    "ENDPOINT": "Endpoint",
    "GROUP": "Group",
    "IMAGE": "Image",
    "KEYPAIR": "KeyPair",
    "KEYPAIR_RESOURCE_POLICY": "KeyPairResourcePolicy",
    "PERMISSION": "PredefinedAtomicPermission",
    "PROJECT_RESOURCE_POLICY": "ProjectResourcePolicy",
    "QUOTA_SCOPE": "QuotaScope",
    "RESOURCE_PRESET": "ResourcePreset",
    "ROUTING": "Routing",
    "SCALING_GROUP": "ScalingGroup",
    "STORAGE": "StorageVolume",
    "USER": "User",
    "USER_RESOURCE_POLICY": "UserResourcePolicy",
    "VFOLDER": "VirtualFolder",
}
"""Field set → its type in the manager's schema."""


def test_every_field_set_has_a_type() -> None:
    sets = {name for name, value in vars(api_fields).items() if isinstance(value, FieldSet)}
    assert sets == TYPES.keys()


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_manager_23_09_is_known(name) -> None:
    known: FieldSet = getattr(api_fields, name)
    kind = saved_schema().type_map[TYPES[name]]
    assert isinstance(kind, GraphQLObjectType)
    assert [field for field in kind.fields if field not in known] == []


@pytest.mark.parametrize("name", TYPES)
def test_every_selection_is_one_that_the_schema_has(name) -> None:
    """Of the fields that 23.09 still has; others are of older releases."""
    kind = saved_schema().type_map[TYPES[name]]
    assert isinstance(kind, GraphQLObjectType)
    known: FieldSet = getattr(api_fields, name)
    selections = [spec.field_ref for spec in known.values() if spec.field_name in kind.fields]
    schema = GraphQLSchema(query=kind)
    assert validate(schema, parse(f"{{ {' '.join(selections)} }}")) == []


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (["name"], ("name",)),
        (iter(["name", "id"]), ("name", "id")),
        (["groups"], ("groups { id name }",)),
        (["groups { id }"], ("groups { id }",)),
        (["kernel_id"], ("id",)),
        (["name groups { id }"], ("name groups { id }",)),
        (["alias: name"], ("alias: name",)),
        (["__typename"], ("__typename",)),
        ([FieldSpec("name"), SimpleNamespace(field_ref="id")], ("name", "id")),
        (KNOWN.values(), ("name", "groups { id name }", "id")),
    ],
)
def test_what_may_be_asked_for(given, texts) -> None:
    assert field_texts(given, KNOWN) == texts


BAD: list[Any] = [
    "name", None, 5, [], [""], ["  "], [5], [SimpleNamespace()], ["nonesuch"], ["name nonesuch"], ["groups { id"],
    ["name }"], ["name) { x }"], ["{ name }"], ["name; id"], ["alias: nonesuch"],
]  # fmt: skip


@pytest.mark.parametrize("given", BAD, ids=repr)
def test_what_may_not_be_asked_for(given) -> None:
    with pytest.raises(InvalidArgument) as caught:
        field_texts(given, KNOWN)
    assert caught.value.argument == "fields"


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match=r"'nonesuch'.*a thing: name, groups, kernel_id"):
        field_texts(["name", "nonesuch"], KNOWN)


def test_nothing_is_checked_without_a_field_set() -> None:
    assert field_texts(["whatever { there } is"]) == ("whatever { there } is",)


def test_the_default_is_for_none_only() -> None:
    assert chosen(None, ("name",)) == ("name",)
    assert chosen([], ("name",)) == []


def test_a_specification_knows_its_names() -> None:
    spec = FieldSpec("groups { id name }")
    assert (spec.field_ref, spec.field_name, spec.alt_name, spec.humanized_name) == (
        "groups { id name }", "groups", "groups", "Groups",
    )  # fmt: skip
    assert FieldSpec("is_active").humanized_name == "Active?"
    assert FieldSpec("user_id").humanized_name == "User ID"
    assert FieldSpec("x", "Title", alt_name="y").humanized_name == "Title"


def test_nested_specifications_become_a_selection() -> None:
    spec = FieldSpec("groups", subfields=FieldSet([FieldSpec("id"), FieldSpec("name")]))
    assert spec.field_ref == "groups { id name }"


def test_a_field_set_finds_a_field_by_each_of_its_names() -> None:
    assert KNOWN["kernel_id"] is KNOWN["id"]
    assert KNOWN["groups"] is KNOWN["groups { id name }"]
    assert list(KNOWN) == ["name", "groups", "kernel_id"]
    assert len(KNOWN) == 3
    assert "nonesuch" not in KNOWN
    with pytest.raises(KeyError):
        KNOWN["nonesuch"]
