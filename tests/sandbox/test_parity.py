"""The sandbox answers as a real manager does; docs/sandbox.md lists where it does not, and nothing else differs."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.sandbox import Sandbox, gaps, server
from ai.backend.client.sandbox.core.state import V4, V7, V9
from ai.backend.client.sandbox.graphql.endpoint import schema_of
from ai.backend.client.sandbox.graphql.mutations import WRITES
from ai.backend.client.sandbox.graphql.queries import READS
from support.golden import parity

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
API = "v7.20230615"
FEWEST_CALLS = 200


def table_of(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the page, without its head."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


def cluster(prefix: str) -> APIConfig:
    return APIConfig(
        endpoint=os.environ["BACKEND_ENDPOINT"],
        access_key=os.environ[f"BACKEND_{prefix}ACCESS_KEY"],
        secret_key=os.environ[f"BACKEND_{prefix}SECRET_KEY"],
        version=API,
    )


@pytest.mark.live
@pytest.mark.skipif("BACKEND_USER_ACCESS_KEY" not in os.environ, reason="needs a cluster")
@pytest.mark.timeout(300)
def test_the_same_calls_get_the_same_answers():
    name = "par" + secrets.token_hex(4)
    real = parity.Caller(cluster(""), cluster("USER_"), name, ("admin@cluster.example", "user@cluster.example"))
    parity.everything(real)
    with Sandbox(API) as sandbox:
        emails = ("admin@sandbox.example", "user@sandbox.example")
        box = parity.Caller(sandbox.config(), sandbox.config("user"), name, emails)
        parity.everything(box)
    assert real.seen.keys() == box.seen.keys()
    assert len(real.seen) >= FEWEST_CALLS
    found = {
        (label, place, there, here)
        for label, answer in real.seen.items()
        for place, there, here in parity.differences(answer, box.seen[label])
    }
    known = {tuple(row[:4]) for row in table_of("Answers that differ")}
    assert found - known == set(), "new differences"
    assert known - found == set(), "listed, but the same by now"


def missing_things(v4: bool) -> set[str]:
    """What the handlers say that the sandbox does not do."""

    class Asked:
        def __init__(self) -> None:
            self.v4 = v4

    found = set()
    for rule in server.rules_of(Asked()):  # type: ignore[arg-type]  # the generation is all that is asked for
        what = getattr(rule.handler, "missing", None)
        if what:
            found.add(what)
    return found


def test_what_is_missing_is_listed():
    listed = {row[0] for row in table_of("What is missing")}
    assert missing_things(v4=False) | missing_things(v4=True) <= listed
    assert set(gaps.GAPS) <= listed


@pytest.mark.parametrize("api", [V9, V7, V4])
def test_graphql_that_is_missing_is_listed(api):
    schema = schema_of(api)
    text = PAGE.read_text("utf-8").partition("## What is missing in GraphQL")[2]
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    absent = [name for name in schema.query_type.fields if name not in READS]
    absent += [name for name in schema.mutation_type.fields if name not in WRITES]
    words = set(re.findall(r"`(\w+)`", text))
    assert set(absent) <= words
    assert not words & (READS.keys() | WRITES.keys())
