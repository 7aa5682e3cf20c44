"""What calls send, kept as data: one JSON file per proxy, made for reading and for reading differences.

A file is a list of entries::

    {"call": "Manager.freeze()",
     "v4.20190615 v5.20191215": [{"send": "PUT /manager/status", "json": {"status": "FROZEN", ...}}],
     "v7.20230615": [...],
     "26.3": [...]}

Generations up to v7 that send the same share a key; ``all`` stands for every one of them. A later generation, named by
its release, has a key only where it sends something else than the one before it. An entry may have ``why``, and
``replies`` for the call's requests (see :meth:`support.golden.wire.Wiretap.record`). Long texts are lists of lines,
split at spaces.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

NAMED = ("v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615")
"""Generations of which each is written down."""
SERVERS = {
    "v4.20190615": ("v4.20190615", "19.09.27"),
    "v5.20191215": ("v5.20191215", "20.03.27"),
    "v6.20200815": ("v6.20200815", "20.09.25"),
    "v6.20230315": ("v6.20230315", "23.03.12"),
    "v7.20230615": ("v7.20230615", "23.09.10"),
    "24.03": ("v8.20240315", "24.03.11"),
    "24.09": ("v8.20240915", "24.09.14"),
    "25.6": ("v8.20240915", "25.6.17"),
    "25.15": ("v9.20250722", "25.15.12"),
    "26.3": ("v9.20250722", "26.3.3"),
    "26.9": ("v9.20250722", "26.9.6"),
}
"""Generation → what a manager of it says of itself: API version and release. Oldest first."""
GENERATIONS = tuple(SERVERS)
EVERY = "all"
WIDTH = 118
"""Columns."""
LINED = frozenset({"call", "graphql", "refused", "why"})
"""Keys of texts that are lists of lines when they are long."""

T = TypeVar("T")
Literal = dict[str, Any]
Requests = list[Literal]


def generations(key: str) -> list[str]:
    """The generations that a key of an entry names; none, if the key is for something else."""
    return list(NAMED) if key == EVERY else [name for name in key.split() if name in SERVERS]


def spread(entry: Mapping[str, T]) -> dict[str, T]:
    """Generation → what holds for it: its own or, from 24.03 on, that of the one before it."""
    found = {generation: value for key, value in entry.items() for generation in generations(key)}
    for before, generation in pairwise(GENERATIONS):
        if generation not in NAMED and before in found:
            found.setdefault(generation, found[before])
    return found


class Golden:
    """The entries of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = [_joined(entry) for entry in json.loads(path.read_text("utf-8"))]

    def expected(self, entry: Mapping[str, Any]) -> dict[str, Requests]:
        """Generation → what it sends, of an entry. Those that were never recorded are not there."""
        return spread(entry)

    def rewrite(self, index: int, recorded: Mapping[str, Requests]) -> None:
        """Replace what an entry's call sends, and save the file."""
        entry = self.entries[index]
        kept = {key: value for key, value in entry.items() if not generations(key)}
        groups: list[tuple[list[str], Requests]] = []
        for generation in NAMED:
            requests = recorded[generation]
            same = next((group for group, known in groups if known == requests), None)
            if same is None:
                groups.append(([generation], requests))
            else:
                same.append(generation)
        for group, requests in groups:
            kept[EVERY if len(group) == len(NAMED) else " ".join(group)] = requests
        for before, generation in pairwise(GENERATIONS):
            if generation not in NAMED and recorded[generation] != recorded[before]:
                kept[generation] = recorded[generation]
        self.entries[index] = kept
        self.path.write_text(_pretty([_split(entry) for entry in self.entries]) + "\n", "utf-8")


def _pretty(value: Any, indent: int = 0, key: str = "") -> str:
    """JSON in which everything that fits into a line is one."""
    head = " " * indent + (f"{json.dumps(key)}: " if key else "")
    flat = json.dumps(value, ensure_ascii=False)
    top = indent <= 2 and not key
    if (len(head) + len(flat) < WIDTH and not top) or not isinstance(value, list | dict) or not value:
        return head + flat
    if isinstance(value, dict):
        lines = [_pretty(item, indent + 2, name) for name, item in value.items()]
        return f"{head}{{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    lines = [_pretty(item, indent + 2) for item in value]
    return f"{head}[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"


def _split(value: Any) -> Any:
    """Long calls and documents as lists of lines, split at single spaces."""
    if isinstance(value, dict):
        return {
            key: _lines(item) if key in LINED and isinstance(item, str) else _split(item) for key, item in value.items()
        }
    return [_split(item) for item in value] if isinstance(value, list) else value


def _lines(text: str) -> str | list[str]:
    if len(text) < 90:
        return text
    lines = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
    return lines if " ".join(lines) == text else text


def _joined(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: " ".join(item) if key in LINED and isinstance(item, list) else _joined(item)
            for key, item in value.items()
        }
    return [_joined(item) for item in value] if isinstance(value, list) else value
