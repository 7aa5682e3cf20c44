"""Which process runs which test."""

from __future__ import annotations

from typing import Any

import pytest

TOGETHER = {
    "tests/live/": "cluster",
    "tests/sandbox/test_parity.py": "cluster",
    "tests/sandbox/test_vendor.py": "vendor",
    "tests/unit/test_packaging.py": "wheel",
}
"""Tests that one process runs, in turn: they share what does not bear two at once, or takes long to make."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test goes to any process, but what is in :data:`TOGETHER` to one. (xdist's own groups need pytest < 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not there for mypy
        """Survives the end of a process, as pytest-timeout ends the one of a test that hangs; xdist's own does not."""

        def _split_scope(self, nodeid: str) -> str:
            return next((group for path, group in TOGETHER.items() if nodeid.startswith(path)), nodeid)

        def remove_node(self, node: Any) -> str | None:
            """A process is gone: the test that it ran has failed, the rest of its work is left to others."""
            units = self.assigned_work[node]
            crashed = next((test for unit in units.values() for test, done in unit.items() if not done), None)
            for unit in units.values():
                if crashed in unit:
                    unit[crashed] = True  # else it would be run again, and end the next process
            self.assigned_work[node] = {scope: unit for scope, unit in units.items() if not all(unit.values())}
            super().remove_node(node)
            return crashed

        def _reschedule(self, node: Any) -> None:
            if node in self.registered_collections:  # not, while a new process still collects the tests
                super()._reschedule(node)
                if self._pending_of(self.assigned_work[node]) == 1:  # a test begins when the next is known, or the end
                    super()._reschedule(node)

    return Scheduling(config, log) if config.getoption("dist") == "loadscope" else None
