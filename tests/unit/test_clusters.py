"""The scripts of `tools/cluster`: which releases there are, and with which Python their servers run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support import cluster

CLUSTERS = Path(__file__).resolve().parents[2] / "tools" / "cluster"


@pytest.fixture
def interpreters(tmp_path):
    """`add("path/3.13", prints="3.13")` puts a program there that says so of itself, and `found(**variables)` asks the
    scripts for the interpreter of 26.9 (None: there is none)."""

    def add(place: str, prints: str | None) -> Path:
        program = tmp_path / place
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\nexit 127\n" if prints is None else f"#!/bin/sh\necho {prints}\n")
        program.chmod(0o755)
        return program

    def found(**variables: str) -> Path | None:
        script = f". {CLUSTERS}/lib.sh; use_release 26.9; server_python"
        environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin", **variables}
        run = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert run.stderr == ""
        return Path(run.stdout.strip()) if run.returncode == 0 else None

    # Whatever the machine has: nothing of it is found.
    add("bin/python3.13", None)
    return add, found


def test_the_tests_know_every_release():
    assert {script.parent.name for script in CLUSTERS.glob("*/release.sh")} == set(cluster.PREFIXES)


def test_no_interpreter_fits(interpreters):
    add, found = interpreters
    add(".pyenv/versions/3.12.1/bin/python", "3.12")
    assert found() is None


def test_a_shim_on_the_path_does_not_hide_the_interpreter_of_pyenv(interpreters):
    add, found = interpreters
    assert found() is None
    fitting = add(".pyenv/versions/3.13.0/bin/python", "3.13")
    assert found() == fitting
    assert found(PYENV_ROOT="/nowhere") is None


def test_a_free_threaded_interpreter_does_not_fit(interpreters):
    add, found = interpreters
    add("bin/python3.13", "3.13t")
    add(".pyenv/versions/3.13.0t/bin/python", "3.13t")
    assert found() is None


def test_the_named_interpreter_comes_first_and_is_not_replaced(interpreters):
    add, found = interpreters
    add("bin/python3.13", "3.13")
    assert found(PYTHON313=str(named := add("own/python", "3.13"))) == named
    assert found(PYTHON313=str(add("old/python", "3.12"))) is None
