"""Raw GraphQL, as the caller writes it."""

from __future__ import annotations

from typing import Any

import pytest

from ai.backend.client.exceptions import InvalidArgument


@pytest.mark.parametrize(("query", "idempotent"), [("query { user { uuid } }", True), ("mutation { x { ok } }", False)])
def test_a_document_goes_out_as_it_is(query, idempotent, proxy, play, reply) -> None:
    started = play(proxy()["Admin"].query, query, {"a": None})
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {"query": query, "variables": {"a": None}},
        "idempotent": idempotent,
    }
    assert started.answer(reply({"user": None})).value == {"user": None}


def test_nothing_in_a_document_is_replaced(proxy, play) -> None:
    """Pitfall: the vendor's client replaces `$fields` wherever it stands."""
    query = 'query($fields: String) { user(email: $fields) { uuid } domain(name: "$fields") { name } }'
    assert play(proxy()["Admin"].query, query).request["json"] == {"query": query, "variables": {}}


def test_one_of_several_operations(proxy, play) -> None:
    query = "query A { user { uuid } } query B { domains { name } }"
    started = play(proxy()["Admin"].query, query, operation_name="B")
    assert started.request["json"] == {"query": query, "variables": {}, "operation_name": "B"}


def test_a_failed_mutation_is_a_value(proxy, play, reply) -> None:
    """Pitfall: the server says `ok: false` with status 200."""
    answer = {"delete_domain": {"ok": False, "msg": "no matching deletedomain"}}
    started = play(proxy()["Admin"].query, 'mutation { delete_domain(name: "x") { ok msg } }')
    assert started.answer(reply(answer)).value == answer


BAD: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("",), {}, "query"),
    ((" \n",), {}, "query"),
    ((None,), {}, "query"),
    (("{ user { uuid } }", ["a"]), {}, "variables"),
    (("{ user { uuid } }",), {"operation_name": ""}, "operation_name"),
]


@pytest.mark.parametrize(("args", "options", "argument"), BAD)
def test_what_is_no_document_is_refused(args, options, argument, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(proxy()["Admin"].query, *args, **options)
    assert caught.value.argument == argument
