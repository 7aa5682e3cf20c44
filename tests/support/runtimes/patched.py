"""Tests once more, in a process that ran gevent's `patch_all()` before anything else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PYTEST = "from gevent import monkey; monkey.patch_all(); import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


def run_patched(target: Path, limit: float, select: str = "patched") -> None:
    """Run the tests of a module or folder whose names fit, and see that there are some and that all pass.

    Args:
        target: The module or folder.
        limit: Seconds that they may take.
        select: What pytest's `-k` gets; the patched runtimes have `patched` in their names.
    """
    command = [sys.executable, "-P", "-c", PYTEST, str(target), "-q", "-k", select, "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    assert " passed" in run.stdout
