"""One writer per field: which module may assign which attribute of a call, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ai.backend.client.actors.call import Call, GatheredCall

ROOT = Path(__file__).resolve().parents[2]
WRITERS = {
    "OF_THE_MAKER": {
        "actors/channel.py",  # what stands for a call where a stream is waited for
        "sessions/gathering.py",
        "sessions/probe.py",
        "sessions/runtime.py",
    },
    "OF_THE_SUPERVISOR": {"sessions/supervisor.py", "actors/deadlines.py"},
    "OF_THE_FUNCTION_ACTOR": {"actors/function.py"},
    "OF_THE_TRANSPORT": {"sessions/wire/transport.py", "actors/lanes.py"},
}
OTHERS = {"self", "lane", "error", "twin"}
"""Names that stand for something else than a call, with attributes of the same names. (Only in its own class is a call
`self`, and there each attribute just gets its first value.)"""

OWNER_OF = {attribute: owner for owner in WRITERS for attribute in getattr(Call, owner)}


def assignments(path: Path) -> Iterator[tuple[str, int]]:
    """The attributes of calls that a module writes, in whatever way."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        writes = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
        if writes and node.attr in OWNER_OF and ast.unparse(node.value) not in OTHERS:
            yield node.attr, node.lineno


MODULES = sorted(path for folder in ("actors", "sessions") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_writes_only_its_own_attributes_of_a_call(path):
    module = str(path.relative_to(ROOT))
    for attribute, line in assignments(path):
        assert module in WRITERS[OWNER_OF[attribute]], f"{module}:{line} writes {attribute}, {OWNER_OF[attribute]}"


def test_every_attribute_has_one_owner():
    owned = [attribute for owner in WRITERS for attribute in getattr(Call, owner)]
    assert sorted(owned) == sorted(Call.__slots__)
    assert len(set(owned)) == len(owned)
    assert GatheredCall.__slots__ == ("parent",)


def test_every_writer_writes():
    """Otherwise this test reads the source in vain."""
    for owner, modules in WRITERS.items():
        for module in modules:
            written = {attribute for attribute, _ in assignments(ROOT / module)}
            assert written & set(getattr(Call, owner)), f"{module} writes nothing {owner}"
