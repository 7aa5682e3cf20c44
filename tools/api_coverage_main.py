"""The table of API functions and what shows that each works; see `tools/api-coverage`.

Notes, on functions that the server gets wrong or does not serve, are in `api_coverage_notes.toml` beside this file.
Needs the tests' helpers (`tests/support`) on the import path.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ai.backend.client.functions import PROXIES
from ai.backend.client.functions.base import ApiFunction
from support.golden.data import Golden, generations
from support.golden.recording import CALLERS, Marks, read
from support.golden.wire import functions_called

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api-coverage.md"
NOTES = Path(__file__).with_name("api_coverage_notes.toml")
GOLDEN = ROOT / "tests" / "data" / "wire"
LOCAL = {
    "Kernel.from_session_id": "makes an object, and sends nothing",
    "Kernel.get_session_identity_params": "tells how requests address the session, and sends nothing",
}
"""What is no API function, and why."""
CALLS = ROOT / ".pytest_cache" / "d" / "live-calls"
"""Where `pytest` leaves what the live tests of its latest run have called."""

HEAD = """# API coverage

Written by `tools/api-coverage` from a run of `tools/test --live`; `.ci/run` fails when the two differ. Do not edit.

* *golden*: the requests for every protocol generation are written down in `tests/data/wire`.
* *sync*, *asyncio*, *gevent*: what a passed test did on Backend.AI 23.09.10 with a `Session` from a plain thread, with
  an `AsyncSession` from a task, and from a greenlet. `yes`: the call had its effect and returned its value. `error`: it
  ended in the server's own error, which the test expects exactly; the note says which.

"""


@dataclass(frozen=True)
class Row:
    """One function.

    Attributes:
        name: `Proxy.function`.
        marks: Column → `yes`, `error` or nothing.
        note: What the server does instead, and why.
    """

    name: str
    marks: tuple[str, ...]
    note: str

    @property
    def complete(self) -> bool:
        """Whether nothing has to be explained."""
        return set(self.marks) == {"yes"}

    def line(self) -> str:
        """The row in Markdown."""
        cells = (f"`{self.name.partition('.')[2]}`", *self.marks, self.note)
        return f"| {' | '.join(cells)} |"


def function_names() -> list[str]:
    """`Proxy.function` for every API function of every proxy, under the name that the proxy's class has."""
    return [
        f"{proxy}.{name}"
        for proxy, kind in PROXIES.items()
        if kind.__name__ == proxy  # others are a second name of the same class
        for name in sorted(dir(kind))
        if not name.startswith("_")
        and f"{proxy}.{name}" not in LOCAL
        and _is_function(inspect.getattr_static(kind, name))
    ]


def pinned(folder: Path) -> set[str]:
    """Functions with a request in the golden data."""
    return {
        f"{PROXIES[proxy].__name__}.{function}"
        for path in folder.glob("*.json")
        for entry in Golden(path).entries
        if any("send" in step for key in entry if generations(key) for step in entry[key])
        for proxy, function, _ in functions_called(entry["call"])
    }


def rows(names: list[str], golden: set[str], live: Marks, notes: Mapping[str, str]) -> list[Row]:
    """The table."""
    words = {"value": "yes", "error": "error", "": ""}
    return [
        Row(
            name,
            ("yes" if name in golden else "", *(words[live.get(name, {}).get(caller, "")] for caller in CALLERS)),
            notes.get(name, ""),
        )
        for name in names
    ]


def page(table: list[Row]) -> str:
    """The page's text."""
    return HEAD + "\n".join(_sections(table))


def complaints(table: list[Row], notes: Mapping[str, str], live: Marks) -> Iterator[str]:
    """What is wrong with the data, whatever the page says."""
    names = {row.name for row in table}
    for row in table:
        if not row.complete and not row.note:
            yield f"{row.name} needs a note, or a test: {dict(zip(('golden', *CALLERS), row.marks, strict=True))}"
    for name in sorted((notes.keys() | live.keys()) - names):
        yield f"{name} is no function of a proxy"


def lost(written: str, current: str) -> list[str]:
    """How a page differs from what is true now."""
    return list(
        difflib.unified_diff(written.splitlines(), current.splitlines(), str(PAGE.relative_to(ROOT)), "this run", n=0)
    )


def main() -> int:
    """Write or check the page; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the page instead of writing it")
    parser.add_argument("--calls", type=Path, default=CALLS, help="folder that the live tests wrote (%(default)s)")
    options = parser.parse_args()
    live = read(options.calls)
    if not live:
        print(f"no calls in {options.calls}: run tools/test --live first", file=sys.stderr)
        return 1
    notes = tomllib.loads(NOTES.read_text("utf-8"))
    golden = pinned(GOLDEN)
    table = rows(function_names(), golden, live, notes)
    problems = list(complaints(table, notes, live))
    if options.check:
        problems += lost(PAGE.read_text("utf-8"), page(table))
    elif not problems:
        PAGE.write_text(page(table), "utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    complete = sum(row.complete for row in table)
    print(f"{len(table)} functions, {complete} with every mark, {len(table) - complete} with a note or problem")
    return 1 if problems else 0


def _is_function(member: object) -> bool:
    """Whether a class's attribute is an API function: a recipe, or what opens a stream."""
    return isinstance(member, ApiFunction | classmethod) or inspect.isfunction(member)


def _sections(table: list[Row]) -> Iterator[str]:
    columns = ("function", "golden", *CALLERS, "note")
    for index, row in enumerate(table):
        proxy = row.name.partition(".")[0]
        if index == 0 or table[index - 1].name.partition(".")[0] != proxy:
            yield f"## {proxy}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"
        yield row.line()
        if index + 1 == len(table) or table[index + 1].name.partition(".")[0] != proxy:
            yield ""


if __name__ == "__main__":
    sys.exit(main())
