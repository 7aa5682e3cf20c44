"""The table of coverage: what it is made of, and what the check finds in it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "tools" / "api_coverage_main.py"
EVERYWHERE = {"sync": "value", "asyncio": "value", "gevent": "value"}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("api_coverage_main", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_function_has_a_row_whatever_opens_it(tool):
    names = tool.function_names()
    assert {"Kernel.execute", "Kernel.stream_pty", "Kernel.get_task_logs", "Domain.purge"} <= set(names)
    assert not {"Kernel.from_session_id", "ComputeSession.execute"} & set(names)
    assert len(names) == len(set(names))


def test_golden_data_counts_for_the_functions_that_it_calls(tool):
    assert {"Kernel.execute", "Domain.create"} <= tool.pinned(tool.GOLDEN)


def test_a_lost_mark_and_a_missing_row_are_found(tool):
    names = ["Kernel.match", "Kernel.rename"]
    written = tool.page(tool.rows(names, set(names), dict.fromkeys(names, EVERYWHERE), {}))
    assert tool.lost(written, written) == []
    lost = tool.page(tool.rows(names, set(names), {"Kernel.match": EVERYWHERE, "Kernel.rename": {"sync": "value"}}, {}))
    assert "-| `rename` | yes | yes | yes | yes |  |" in tool.lost(written, lost)
    assert "+| `rename` | yes | yes |  |  |  |" in tool.lost(written, lost)
    more = [*names, "Kernel.restart"]
    grown = tool.page(tool.rows(more, set(more), dict.fromkeys(more, EVERYWHERE), {}))
    assert "+| `restart` | yes | yes | yes | yes |  |" in tool.lost(written, grown)


def test_what_is_not_shown_needs_a_note(tool):
    refused = {"Kernel.complete": dict.fromkeys(EVERYWHERE, "error")}
    golden = {"Kernel.complete"}

    def complaints(notes: dict[str, str]) -> list[str]:
        return list(tool.complaints(tool.rows(["Kernel.complete"], golden, refused, notes), notes, refused))

    assert [line.split()[0] for line in complaints({})] == ["Kernel.complete"]
    assert complaints({"Kernel.complete": "500: the runner never answers"}) == []
    assert [line.split()[0] for line in complaints({"Kernel.complete": "500", "Kernel.gone": "x"})] == ["Kernel.gone"]
