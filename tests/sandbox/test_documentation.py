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
