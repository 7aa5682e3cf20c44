"""The vendor's own command, unmodified, works on the sandbox. It needs the cluster's environment, not the cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ai.backend.client.sandbox import Sandbox

HOME = Path(os.environ.get("CLUSTER_HOME") or Path.home() / ".cache" / "backendai-clusters")
PYTHON = HOME / "23.09" / "venv" / "bin" / "python"
COMMAND_SECONDS = 60
LISTS = ("user", "domain", "group", "keypair", "image", "scaling-group", "agent", "keypair-resource-policy")

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the cluster's environment, which has the vendor's client"),
]


class Vendor(Protocol):
    """Runs the vendor's command; its output."""

    def __call__(self, *arguments: str, stdin: str = "") -> str: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vendor")


@pytest.fixture(scope="module")
def vendor(folder: Path) -> Iterator[Vendor]:
    with Sandbox("v7.20230615") as sandbox:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("BACKEND_", "PYTHON"))},
            **sandbox.environment,
            "HOME": str(folder),
        }

        def run(*arguments: str, stdin: str = "") -> str:
            done = subprocess.run(
                [str(PYTHON), "-m", "ai.backend.cli", *arguments],
                cwd=folder,
                env=environment,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        yield run


def test_run_asks_answers_and_shows(vendor):
    code = "print(40 + 2)\nname = input('name? ')\nprint('hi', name)"
    shown = vendor("run", "--rm", "-c", code, "python", stdin="bob\n")
    assert "42\n" in shown
    assert "hi bob" in shown
    assert "Execution finished. (exit code = 0)" in shown


def test_run_uploads_a_file_and_runs_it(vendor, folder):
    (folder / "main.py").write_text("print('from a file')")
    assert "from a file" in vendor("run", "--rm", "--exec", "python main.py", "python", "main.py")


def test_ps_shows_a_session(vendor):
    vendor("session", "create", "--name", "vendor-1", "python")
    shown = vendor("ps")
    assert "vendor-1" in shown
    assert "RUNNING" in shown
    assert "Done" in vendor("session", "destroy", "vendor-1") or "vendor-1" not in vendor("session", "list")


def test_vfolders(vendor, folder):
    vendor("vfolder", "create", "vf1", "local:volume1")
    assert "vf1" in vendor("vfolder", "list")
    (folder / "a.txt").write_text("hello\n")
    vendor("vfolder", "upload", "vf1", "a.txt")
    assert "a.txt" in vendor("vfolder", "ls", "vf1")
    (folder / "a.txt").unlink()
    vendor("vfolder", "download", "vf1", "a.txt")
    assert (folder / "a.txt").read_text() == "hello\n"
    vendor("vfolder", "delete", "vf1")


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_administrators(vendor, kind):
    shown = vendor("admin", kind, "list")
    assert "default" in shown or "stable/python" in shown
