"""The examples of the README and of the sandbox's own page run on a sandbox, as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def examples(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)


EXAMPLES = [*examples("README.md"), examples("docs/sandbox.md")[0]]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[-1].strip()[:40])
def test_an_example_runs(sandbox, example, tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-c", example],
        cwd=tmp_path,
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_of_a_test_runs(tmp_path):
    """Each of its files, by the name in its first line, in a project of its own."""
    files = [text for text in examples("docs/sandbox.md") if text.startswith("# ")]
    for text in files:
        (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text, "utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"conftest.py", "test_mine.py"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("document", ["README.md", "docs/sandbox.md"])
def test_waiting_for_a_sandbox_that_cannot_start_ends(document, tmp_path):
    (found,) = re.findall(r"(tools/sandbox/serve > sandbox.env &\n.*?; done)", (ROOT / document).read_text("utf-8"))
    script = found.replace("tools/sandbox/serve", "false")
    subprocess.run(["/bin/sh", "-c", script], cwd=tmp_path, timeout=60, check=True)
