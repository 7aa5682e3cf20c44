"""The behaviour tests once more, in a process that ran gevent's `patch_all()` before anything else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.runtimes.calling import is_patched
from support.runtimes.patched import run_patched

HERE = Path(__file__).parent
USES_RUNTIME = re.compile(r"^def (?:test_\w+|session)\(.*\bruntime\b", re.MULTILINE)
MODULES = sorted(
    str(path.relative_to(HERE)) for path in HERE.rglob("test_*.py") if USES_RUNTIME.search(path.read_text("utf-8"))
)
LONGEST = 290  # below what pytest lets a test take


@pytest.mark.skipif(is_patched(), reason="this is the patched process")
@pytest.mark.parametrize("module", MODULES)
def test_in_a_patched_process(module):
    run_patched(HERE / module, LONGEST)
