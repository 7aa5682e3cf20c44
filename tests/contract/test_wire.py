"""What every function sends, on every protocol generation, equals what is written down in `tests/data/wire`.

To add a call, add `{"call": "Proxy.function(...)"}` to the proxy's file and run this with `--update-golden`; then read
what was recorded, and hold it against the documentation of the API, before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ai.backend.client.functions import PROXIES
from support.disguise import disguised, member
from support.golden.data import GENERATIONS, NAMED, Golden, generations, spread
from support.golden.signatures import offered
from support.golden.wire import Wiretap, functions_called

DATA = Path(__file__).parents[1] / "data" / "wire"
FILES = {path.stem: Golden(path) for path in sorted(DATA.glob("*.json"))}
CALLS = [(name, index) for name, golden in FILES.items() for index in range(len(golden.entries))]

ONE_OF = {("VFolder", "upload"): {"sources"}, ("VFolder", "download"): {"relative_paths"}}
"""Arguments with two spellings, of which one must be given."""
NOTHING_SENT = {("Kernel", "get_session_identity_params")}
FUNCTIONS = {
    (name, function): definition.signature
    for name, proxy in PROXIES.items()
    if name != "ComputeSession"  # another name of Kernel
    for function, definition in offered(proxy).items()
    if (name, function) not in NOTHING_SENT
}


@pytest.fixture(scope="module")
def wiretap() -> Iterator[Wiretap]:
    """The wiretap that all calls share."""
    with Wiretap() as wiretap:
        yield wiretap


@pytest.mark.parametrize(
    ("name", "index"), CALLS, ids=[f"{name}-{FILES[name].entries[index]['call'][:60]}" for name, index in CALLS]
)
def test_a_call_sends_what_is_written_down(name, index, wiretap, update_golden):
    golden = FILES[name]
    entry = golden.entries[index]
    recorded = wiretap.record(entry["call"], entry.get("replies", []))
    if update_golden:
        golden.rewrite(index, recorded)
    assert golden.expected(golden.entries[index]) == recorded


@pytest.mark.parametrize("disguise", [disguised, member], ids=["subclasses", "enum members"])
@pytest.mark.parametrize("name", FILES)
def test_a_call_sends_values_and_not_the_names_of_enum_members(name, wiretap, disguise):
    """On one generation of those that send the same."""
    for entry in FILES[name].entries:
        expected = {}
        for generation, requests in FILES[name].expected(entry).items():
            if requests not in expected.values():
                expected[generation] = requests
        recorded = wiretap.record(entry["call"], entry.get("replies", []), disguise, expected)
        assert recorded == expected, entry["call"]


@pytest.mark.parametrize(("proxy", "function"), FUNCTIONS, ids=lambda text: text)
def test_every_function_has_a_call_with_only_what_it_needs_and_every_argument_is_used(proxy, function):
    signature = FUNCTIONS[proxy, function]
    optional = {
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    given = [
        set(signature.bind(*node.args, **{str(keyword.arg): keyword for keyword in node.keywords}).arguments)
        for golden in FILES.values()
        for entry in golden.entries
        for owner, name, node in functions_called(entry["call"])
        if (owner, name) == (proxy, function)
    ]
    needed = ONE_OF.get((proxy, function), set())
    assert any(not names & (optional - needed) for names in given), "no call with required arguments only"
    assert optional - set().union(*given) == set(), "arguments that no call gives"


@pytest.mark.parametrize("name", FILES)
def test_every_generation_of_every_call_is_written_down_once(name):
    calls = [json.dumps([entry["call"], entry.get("replies")]) for entry in FILES[name].entries]
    assert len(calls) == len(set(calls))
    for entry in FILES[name].entries:
        written = [generation for key in entry for generation in generations(key)]
        assert len(written) == len(set(written)), entry["call"]
        assert set(NAMED) <= set(written), entry["call"]
        holds = spread(entry)
        for before, generation in pairwise(GENERATIONS):
            if generation not in NAMED and generation in written:
                assert holds[generation] != holds[before], f"{generation} again: {entry['call']}"
        for key, steps in entry.items():
            if generations(key):
                replies = entry.get("replies", [])
                sent = sum("send" in step for step in steps)
                if isinstance(replies, dict):
                    replies = spread(replies).get(generations(key)[0], [])
                assert sent == 0 or len(replies) <= sent, f"replies that are never asked for: {entry['call']}"
