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
FEWEST_CALLS = 200


def table_of(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the page, without its head."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


CLUSTERS = {V7: "BACKEND_", V9: "CLUSTER_26_9_BACKEND_"}
"""API version → how the names of the variables begin that name the cluster."""
TABLES = {V7: "Answers that differ: 23.09", V9: "Answers that differ: 26.9"}


def cluster(api: str, account: str) -> APIConfig:
    prefix = CLUSTERS[api]
    if f"{prefix}USER_ACCESS_KEY" not in os.environ:
        pytest.skip("needs a cluster of that release")
    return APIConfig(
        endpoint=os.environ[f"{prefix}ENDPOINT"],
        access_key=os.environ[f"{prefix}{account}ACCESS_KEY"],
        secret_key=os.environ[f"{prefix}{account}SECRET_KEY"],
        version=api,
    )


@pytest.mark.live
@pytest.mark.parametrize("api", [V7, V9])
@pytest.mark.timeout(300)
def test_the_same_calls_get_the_same_answers(api):
    name = "par" + secrets.token_hex(4)
    emails = ("admin@cluster.example", "user@cluster.example")
    real = parity.Caller(cluster(api, ""), cluster(api, "USER_"), name, emails)
    parity.everything(real)
    with Sandbox(api) as sandbox:
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
    known = {tuple(row[:4]) for row in table_of(TABLES[api])}
    assert found - known == set(), "new differences"
    assert known - found == set(), "listed, but the same by now"


def missing_things(api: str) -> set[str]:
    """What the handlers say that the sandbox does not do."""

    class Asked:
        def __init__(self) -> None:
            self.v4, self.v9 = api == V4, api == V9

    found = set()
    for rule in server.rules_of(Asked()):  # type: ignore[arg-type]  # the generation is all that is asked for
        what = getattr(rule.handler, "missing", None)
        if what:
            found.add(what)
    return found


def test_what_is_missing_is_listed():
    listed = {row[0] for row in table_of("What is missing")}
    assert missing_things(V9) | missing_things(V7) | missing_things(V4) <= listed
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
