"""Every function of every vendor release is there, on either kind of session, and takes every call of that release."""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.functions import PROXIES
from ai.backend.client.session import AsyncSession, Session
from support.golden.signatures import Offered, differences, offered, read_signature

DATA = Path(__file__).parents[1] / "data" / "api.toml"
TYPES = Path(__file__).parents[1] / "typing" / "results.py"
API: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(DATA.read_text("utf-8"))
FUNCTIONS = [(proxy, function) for proxy, functions in API.items() for function in functions]
NOT_SIGNATURES = {"kind", "since", "differs"}
SESSIONS = (Session, AsyncSession)


@pytest.fixture(scope="module", params=SESSIONS, ids=lambda kind: kind.__name__)
def session(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A session of either kind; nothing is ever sent."""
    session = request.param(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    yield session
    if isinstance(session, AsyncSession):
        session.close().result(10)
    else:
        session.close()


@pytest.mark.parametrize(("proxy", "function"), FUNCTIONS, ids=lambda text: text)
def test_takes_every_call_of_every_release(session, proxy, function):
    complaints = complain(session, proxy, function)
    if complaints:
        pytest.fail(f"{proxy}.{function}: {'; '.join(complaints)}", pytrace=False)  # one line each, to read as a list


def complain(session: Any, proxy: str, function: str) -> list[str]:
    """What is wrong with a function on a session."""
    entry, owner = API[proxy][function], getattr(session, proxy, None)
    functions = {} if owner is None else offered(owner) | {"__init__": Offered("constructor", inspect.signature(owner))}
    if function not in functions:
        return ["is missing"]
    kind, ours = functions[function]
    if kind != entry["kind"]:
        return [f"is of kind {kind!r}, not {entry['kind']!r}"]
    differing: dict[str, list[str]] = {}
    for release in releases(entry):
        for parameter, difference in differences(read_signature(entry[release]), ours).items():
            differing.setdefault(parameter, []).append(f"{release}: {parameter} {difference}")
    reasons = entry.get("differs", {})
    unexplained = [line for parameter, lines in differing.items() if parameter not in reasons for line in lines]
    stale = [f"no reason needed for {parameter}" for parameter in reasons if parameter not in differing]
    return unexplained + stale


def releases(entry: dict[str, Any]) -> list[str]:
    """The releases that an entry has signatures of."""
    return [key for key in entry if key not in NOT_SIGNATURES]


@pytest.mark.parametrize("proxy", sorted(PROXIES.keys() - {"ComputeSession"}))  # another name of Kernel
def test_nothing_is_offered_that_the_data_does_not_have(proxy):
    assert sorted(offered(PROXIES[proxy]).keys() - API.get(proxy, {}).keys()) == []


@pytest.mark.parametrize("variable", ["s", "a"])
def test_the_type_of_every_result_is_checked(variable):
    """By `tests/typing/results.py`, which names the sessions `s` and `a`."""
    shown: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(TYPES.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            owner = node.value.func if isinstance(node.value, ast.Call) else node.value  # of an object, or of the class
            if isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name) and owner.value.id == variable:
                shown.add((owner.attr, node.attr))
    assert {(proxy, function) for proxy in API for function in offered(PROXIES[proxy])} - shown == set()


@pytest.mark.parametrize(
    ("theirs", "ours", "found"),
    [
        ("(name, *, active=True)", "(name, active=True, more=None)", {}),
        ("(name, kind)", "(name, kind='x')", {}),
        ("(name, size=UNSET, fields=FIELDS)", "(name, size=None, fields=('id',))", {}),
        ("(**options)", "(first=None, **options)", {}),
        ("(name)", "()", {"name": "is missing"}),
        ("(name, kind=None)", "(name, *, kind=None)", {"kind": "is keyword-only"}),
        ("(name, kind=None)", "(name, more=None, kind=None)", {"kind": "is at place 2, not 1"}),
        ("(name, kind=None)", "(name, kind)", {"kind": "is required"}),
        ("(name, kind=None)", "(name, kind=None, *, more)", {"more": "is required, and not there in the release"}),
        ("(active=True)", "(active=1)", {"active": "is 1 by default, not True"}),
        ("(size=UNSET)", "(size='')", {"size": "is '' by default, not None"}),
        ("(**options)", "(first=None)", {"options": "arbitrary keywords are not taken"}),
    ],
)
def test_what_differs_is_seen(theirs, ours, found):
    assert differences(read_signature(theirs), read_signature(ours)) == found


def test_the_later_name_of_compute_sessions_is_the_same_class(session):
    assert session.ComputeSession is session.Kernel


def test_the_data_is_well_formed():
    for proxy, functions in API.items():
        for function, entry in functions.items():
            assert entry["kind"] in {"class", "instance", "constructor"}, (proxy, function)
            known = releases(entry)
            assert known == ["own"] or (known and "own" not in known), (proxy, function)
            for release in known:
                read_signature(entry[release])
