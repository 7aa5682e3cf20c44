"""The scripts of `tools` on machines that lack something: each says so in one line, and none waits for ever."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60  # of what ends at once; a script that waits for ever fails here
SHELL_NEEDS = (
    "bash", "cat", "cut", "dirname", "env", "find", "grep", "id", "mktemp", "rm", "sha256sum", "sleep", "sort", "tail",
    "touch",
)  # fmt: skip


@pytest.fixture
def machine(tmp_path):
    """A machine with what a shell has, and the programs that a test puts there."""

    class Machine:
        home = tmp_path / "home"
        programs = tmp_path / "bin"
        calls = tmp_path / "calls"

        def put(self, name: str, script: str) -> Path:
            """A program of that name, which notes its arguments first."""
            program = self.programs / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
            program.chmod(0o755)
            return program

        def python(self, name: str, version: tuple[int, int]) -> Path:
            """An interpreter of that version, as far as the scripts ask."""
            return self.put(
                name,
                f"""exec {sys.executable} - "$@" <<'END'
import sys
arguments = sys.argv[1:]
sys.version_info = {version!r} + (0, "final", 0)
if arguments[:1] == ["-c"]:
    exec(arguments[1])
elif arguments[:1] in (["-V"], ["-VV"]):
    print("Python {version[0]}.{version[1]}.0")
else:
    sys.exit(3)
END""",
            )

        def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
            """A script that has sourced what the entry points share."""
            return subprocess.run(
                ["bash", "-c", f"set -euo pipefail; . {ROOT}/tools/lib.sh; {script}"],
                env={"HOME": str(self.home), "PATH": str(self.programs), **variables},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )

    made = Machine()
    made.home.mkdir()
    made.programs.mkdir()
    for name in SHELL_NEEDS:
        (made.programs / name).symlink_to(shutil.which(name))
    return made


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.splitlines()[-1]


def test_the_first_python_that_is_new_enough_is_taken(machine):
    machine.python("python3.11", (3, 10))
    machine.python("python3", (3, 13))
    machine.python("python3.12", (3, 12))
    done = machine.run('find_python; echo "$INTERPRETER"')
    assert done.stdout == "python3\n", done.stderr


def test_a_python_that_is_named_and_too_old_is_refused(machine):
    old = machine.python("python3.10", (3, 10))
    machine.python("python3", (3, 13))
    done = machine.run("find_python", PYTHON=str(old))
    assert done.returncode == 1
    assert last_line(done) == f"[tools] ERROR: PYTHON is '{old}', which is no Python 3.11 or later"


def test_only_old_pythons(machine):
    machine.python("python3", (3, 9))
    done = machine.run("find_python")
    assert done.returncode == 1
    assert (
        last_line(done) == "[tools] ERROR: missing: Python 3.11 or later (name it in PYTHON if it is not on the PATH)"
    )


@pytest.mark.parametrize("user", ["0", "1000"], ids=["root", "user"])
def test_no_python_at_all(machine, user):
    """Root has it installed, where there is a way; a user is told what to ask for."""
    (machine.programs / "id").unlink()
    machine.put("id", f"echo {user}")
    machine.put("apt-get", "exit 0")  # it says that it has installed, and has not
    done = machine.run("find_python")
    assert done.returncode == 1
    ran = [line for line in machine.calls.read_text().splitlines() if line.startswith("apt-get")]
    if user == "0":
        assert ran == ["apt-get update", "apt-get install -y --no-install-recommends python3 python3-venv"]
        assert "missing: Python 3.11 or later" in last_line(done)
    else:
        assert ran == []
        assert "install the Debian packages python3 python3-venv as root" in last_line(done)


def test_the_package_of_the_interpreter_that_was_found_is_installed(machine):
    """Debian 13 has 3.13, and no package of 3.11."""
    (machine.programs / "id").unlink()
    machine.put("id", "echo 0")
    machine.put("apt-get", "exit 0")
    machine.put("python3", '[ "$*" = "-c import ensurepip" ] && exit 1; [ "$1" = -c ] && echo 3.13; exit 0')
    done = machine.run(f"find_python; new_venv {machine.home}/venv")
    assert done.returncode == 0, done.stderr
    assert "apt-get install -y --no-install-recommends python3.13-venv" in machine.calls.read_text()


def test_what_takes_long_gives_a_sign_of_life_and_what_fails_its_last_lines(machine):
    done = machine.run(
        f"""cd {machine.home}
        say() {{ printf '%s\\n' "$*" >&2; touch told; }}
        logged bash -c 'echo unpacking; until [ -e told ]; do sleep 0.05; done; echo broken; exit 7'""",
        SIGN_OF_LIFE="0.1",
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert re.fullmatch(r" *\d+ s: unpacking", lines[0])
    assert "broken" in lines
    assert lines[-1].startswith("[tools] ERROR: failed: bash -c")


@pytest.mark.parametrize("page", ["README.md", "docs/sandbox.md"])
def test_the_loop_that_waits_for_the_sandbox_ends_when_it_cannot_start(machine, page):
    loop = next(line for line in (ROOT / page).read_text().splitlines() if line.startswith("while kill -0 $!"))
    done = machine.run(
        f"cd {machine.home}; set +e; (echo 'no port is free'; exit 1) > sandbox.env &\n{loop}\necho ended"
    )
    assert done.stdout == "ended\n", done.stderr
