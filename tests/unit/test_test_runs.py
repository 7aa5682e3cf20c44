"""A test run ends with a report, whatever a test does to its process, and wherever it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
LIMIT = 280.0
pytestmark = pytest.mark.timeout(300)  # whole test runs, beside all others
BYSTANDERS = 12
DEADLY = {
    "exits": "os._exit(1)",
    "hangs": "time.sleep(1000)",  # pytest-timeout ends the process: nothing else can end a thread
}


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder in two processes, shared as the tests of this repository are."""
    (folder / "conftest.py").write_text("from support.scheduling import pytest_xdist_make_scheduler\n")
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 5\ntimeout_method = thread\n")
    command = [sys.executable, "-P", "-m", "pytest", "-n", "2", "--dist", "loadscope", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(TESTS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize(("how", "place"), [("exits", 0), ("hangs", BYSTANDERS // 2), ("exits", BYSTANDERS)])
def test_a_test_that_ends_its_process_fails_and_the_others_are_run(tmp_path, how, place):
    bodies = ["pass"] * BYSTANDERS
    bodies.insert(place, DEADLY[how])
    tests = (f"def test_{number}():\n    {body}\n" for number, body in enumerate(bodies))
    (tmp_path / "test_planted.py").write_text("import os, time\n" + "".join(tests))
    done = run_pytest(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"crashed while running 'test_planted.py::test_{place}'" in done.stdout
    assert f"1 failed, {BYSTANDERS} passed" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_ctrl_c_is_tested_in_the_background_of_a_script_too(processes):
    """There a shell has its commands ignore SIGINT, and what they start inherits that."""
    wanted = "tests/functional/life/test_interrupt.py::test_ctrl_c_without_a_handler_ends_the_script"
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", processes, wanted]
    ignoring = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    done = subprocess.run(ignoring, cwd=TESTS.parent, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
