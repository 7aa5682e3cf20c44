"""The behaviour tests once more, in a process that ran gevent's `patch_all()` before anything else."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from support.runtimes import is_patched

HERE = Path(__file__).parent
USES_RUNTIME = re.compile(r"^def (?:test_\w+|session)\(.*\bruntime\b", re.MULTILINE)
MODULES = sorted(path.name for path in HERE.glob("test_*.py") if USES_RUNTIME.search(path.read_text("utf-8")))
PYTEST = "from gevent import monkey; monkey.patch_all(); import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
LIMIT = 110


@pytest.mark.skipif(is_patched(), reason="this is the patched process")
@pytest.mark.parametrize("module", MODULES)
def test_in_a_patched_process(module, tmp_path):
    report = tmp_path / "report.xml"
    command = [
        sys.executable,
        "-P",
        "-c",
        PYTEST,
        str(HERE / module),
        "-q",
        "-k",
        "patched",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    run = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    [suite] = ElementTree.parse(report).getroot().iter("testsuite")
    assert int(suite.get("tests", "0")) > 0
