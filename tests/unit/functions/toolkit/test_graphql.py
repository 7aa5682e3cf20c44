"""How documents are written and answers are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import parse

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import DOMAIN
from ai.backend.client.functions.toolkit.generations import Generation
from ai.backend.client.functions.toolkit.graphql import Variable

OLD, NEW = Generation.of((6, "20200815")), Generation.of((6, "20210815"))


def document(recipe: Any) -> dict[str, Any]:
    """The body of the request that a recipe starts with."""
    request = next(recipe)
    assert (request.method, request.path) == ("POST", "admin/graphql")
    body: dict[str, Any] = json.loads(request.body)
    parse(body["query"])
    return body


def answered(recipe: Any, response: Any) -> Any:
    """What a recipe returns for an answer."""
    next(recipe)
    with pytest.raises(StopIteration) as caught:
        recipe.send(response)
    return caught.value.value


def test_what_was_not_given_is_neither_declared_nor_passed() -> None:
    arguments = {"a": Variable("Int!", None), "b": Variable("Int", 0), "c": Variable(None, None)}
    assert document(graphql.select("root", ["x"], arguments)) == {
        "query": "query($b: Int) { root(b: $b) { x } }",
        "variables": {"b": 0},
    }


def test_queries_may_be_sent_again_and_mutations_not() -> None:
    assert next(graphql.select("root", ["x"])).idempotent
    assert not next(graphql.mutate("root", {})).idempotent


@pytest.mark.parametrize("value", ['") { x } #', "back\\slash", "line\nbreak", "tab\t\x01", "한글", "\N{PILE OF POO}"])
def test_a_literal_cannot_leave_its_string(value) -> None:
    body = document(graphql.select("root", ["x"], {"id": Variable(None, value)}))
    field = parse(body["query"]).definitions[0].selection_set.selections[0]  # type: ignore[union-attr]  # it has them
    assert field.arguments[0].value.value == value


def test_objects_are_written_inline_where_their_type_has_no_name() -> None:
    props = {"b": Variable("String", "2"), "c": Variable("String", None), "d": Variable(None, "3")}
    assert document(graphql.mutate("root", {"a": Variable("Int", 1), "props": props})) == {
        "query": 'mutation($a: Int, $b: String) { root(a: $a, props: { b: $b, d: "3" }) { ok msg } }',
        "variables": {"a": 1, "b": "2"},
    }


def test_dollar_signs_in_fields_are_left_alone() -> None:
    """Pitfall: the vendor's client replaces `$fields` in the finished document."""
    body = document(graphql.select("root", ['x(a: "$fields")', "y"]))
    assert body["query"] == 'query { root { x(a: "$fields") y } }'


def test_an_answer_may_come_in_an_envelope(reply) -> None:
    """From 26.3 on."""
    said = reply({"data": {"root": {"ok": True, "msg": "", "x": 1}}, "errors": None})
    assert answered(graphql.select("root", ["x"]), said) == {"ok": True, "msg": "", "x": 1}
    assert answered(graphql.mutate("root", {}), said) == {"ok": True, "msg": "", "x": 1}
    assert answered(graphql.execute("{ root { x } }"), said) == {"root": {"ok": True, "msg": "", "x": 1}}
    page = reply({"data": {"root": {"total_count": 1, "items": [{"x": 1}]}}, "errors": None})
    assert answered(graphql.select_page(NEW, "root", ["x"], {}, page_offset=0, page_size=1), page).items == [{"x": 1}]


def test_data_that_is_called_data_is_no_envelope(reply) -> None:
    assert answered(graphql.execute("{ data: root { x } }"), reply({"data": {"x": 1}})) == {"data": {"x": 1}}


@pytest.mark.parametrize("value", [{"x": 1}, [{"x": 1}], None])
def test_select_returns_whatever_is_there(value, reply) -> None:
    assert answered(graphql.select("root", ["x"]), reply({"root": value})) == value


@pytest.mark.parametrize("answer", [{}, [], {"other": 1}, None, "text"])
def test_an_answer_without_the_root_is_an_invalid_reply(answer, reply) -> None:
    for recipe in (graphql.select("root", ["x"]), graphql.mutate("root", {})):
        next(recipe)
        with pytest.raises(InvalidReply, match="root"):
            recipe.send(reply(answer))


@pytest.mark.parametrize("value", [[], "text", 5])
def test_an_object_must_be_one(value, reply) -> None:
    recipe = graphql.select_object("root", ["x"])
    next(recipe)
    with pytest.raises(InvalidReply, match="root"):
        recipe.send(reply({"root": value}))


@pytest.mark.parametrize("value", [None, {}, "text"])
def test_a_list_must_be_one(value, reply) -> None:
    recipe = graphql.select_list("root", ["x"])
    next(recipe)
    with pytest.raises(InvalidReply, match="root"):
        recipe.send(reply({"root": value}))


def test_a_page(reply) -> None:
    recipe = graphql.select_page(
        NEW, "root", ["x"], {"a": Variable("Int", 1)}, page_offset=3, page_size=100, filter="f", order="o"
    )
    assert document(recipe) == {
        "query": "query($limit: Int!, $offset: Int!, $filter: String, $order: String, $a: Int) { root(limit: $limit, "
        "offset: $offset, filter: $filter, order: $order, a: $a) { items { x } total_count } }",
        "variables": {"limit": 100, "offset": 3, "filter": "f", "order": "o", "a": 1},
    }
    with pytest.raises(StopIteration) as caught:
        recipe.send(reply({"root": {"items": [{"x": 1}], "total_count": 9}}))
    assert caught.value.value == (9, [{"x": 1}], ("x",))


@pytest.mark.parametrize(
    "page", [None, {}, {"items": []}, {"items": None, "total_count": 1}, {"items": [], "total_count": "1"}]
)
def test_a_page_must_be_one(page, reply) -> None:
    recipe = graphql.select_page(NEW, "root", ["x"], {}, page_offset=0, page_size=1)
    next(recipe)
    with pytest.raises(InvalidReply):
        recipe.send(reply({"root": page}))


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 101}, "page_size"),
        ({"page_size": True}, "page_size"),
        ({"page_size": "20"}, "page_size"),
        ({"page_offset": -1}, "page_offset"),
        ({"page_offset": 1.5}, "page_offset"),
        ({"filter": ""}, "filter"),
        ({"order": 5}, "order"),
    ],
)
def test_pages_have_limits(options, argument) -> None:
    with pytest.raises(InvalidArgument) as caught:
        next(graphql.select_page(NEW, "root", ["x"], {}, **{"page_offset": 0, "page_size": 20, **options}))
    assert caught.value.argument == argument


@pytest.mark.parametrize("option", ["filter", "order"])
def test_filter_and_order_need_their_version(option) -> None:
    with pytest.raises(BackendAPIVersionError, match="root"):
        next(graphql.select_page(OLD, "root", ["x"], {}, page_offset=0, page_size=20, **{option: "x"}))


def test_the_outcome_of_a_mutation(reply) -> None:
    result = graphql.returning("domain", ["name"], DOMAIN)
    recipe = graphql.mutate("create_domain", {}, result)
    assert document(recipe)["query"] == "mutation { create_domain { ok msg domain { name } } }"
    refusal = {"ok": False, "msg": "taken", "domain": None}
    assert answered(graphql.mutate("create_domain", {}, result), reply({"create_domain": refusal})) == refusal


def test_a_mutation_without_a_verdict() -> None:
    recipe = graphql.mutate("root", {}, "scope { id }", verdict=False)
    assert document(recipe)["query"] == "mutation { root { scope { id } } }"
