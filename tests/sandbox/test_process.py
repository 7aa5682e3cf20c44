"""The sandbox's own process: how it starts, where it listens, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai.backend.client.sandbox import Sandbox, SandboxError
from ai.backend.client.sandbox.sessions import janitor
from ai.backend.client.sandbox.sessions.janitor import MARK_VARIABLE
from ai.backend.client.session import Session
from support.cluster import IMAGE
from support.job import run
from support.runtimes.scripts import run_script
from support.waiting import LIMIT, until

COMMAND = [sys.executable, "-P", "-m", "ai.backend.client.sandbox"]


@pytest.fixture
def folders(monkeypatch) -> Iterator[Callable[[], set[Path]]]:
    """What sandboxes of this test made in the temporary directory, which is the test's own."""
    with tempfile.TemporaryDirectory() as own:
        monkeypatch.setenv("TMPDIR", own)
        yield lambda: set(Path(own).glob("backendai-sandbox-*"))


def processes(folder: Path) -> set[int]:
    """Every process of every compute session of a sandbox."""
    mark = f"{MARK_VARIABLE}={folder.name.rpartition('-')[2]}".encode()

    def marked(pid: int) -> bool:
        try:
            return mark in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and marked(int(path.name))}


def running(fits: Callable[[list[str]], bool]) -> list[int]:
    """The processes whose command line fits."""

    def command_line(pid: int) -> list[str]:
        try:
            return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")[:-1]
        except OSError:
            return []

    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if fits(command_line(pid))]


def eventually(condition: Callable[[], bool]) -> bool:
    until(condition, "it is so")
    return True


def test_it_starts_answers_and_leaves_nothing_behind(folders):
    with Sandbox() as sandbox:
        (folder,) = folders()
        assert folder.stat().st_mode & 0o077 == 0  # its user's own
        with Session(config=sandbox.config()) as session:
            assert session.Manager.status()["status"] == "running"
            session.Kernel.get_or_create(IMAGE, name="left-behind")
            assert any(folder.rglob("state.sqlite"))
    assert folder not in folders()


@pytest.mark.parametrize("how", ["killed", "ended", "interrupted", "starter gone"])
def test_a_sandbox_that_is_ended_leaves_no_process_and_no_folder(folders, how):
    """In the middle of a run whose output nobody reads."""
    sandbox = Sandbox().start()
    process = sandbox._process
    try:
        (folder,) = folders()
        with Session(config=sandbox.config(retries=0)) as session:
            kernel = session.Kernel.get_or_create(IMAGE, name="to-be-killed")
            code = "import subprocess\nfor i in range(3): subprocess.Popen(['sleep', '1000'], start_new_session=True)"
            run(kernel, code)
            assert len(processes(folder)) >= 4
            kernel.stream_pty().open()
            kernel.stream_execute("while True: print('x' * 10000)").open()
            if how == "starter gone":
                sandbox._lifeline.close()
            else:
                number = {"killed": signal.SIGKILL, "ended": signal.SIGTERM, "interrupted": signal.SIGINT}[how]
                process.send_signal(number)
            assert process.wait(LIMIT) == (-signal.SIGKILL if how == "killed" else 0)
            assert eventually(lambda: not folder.exists())
            assert eventually(lambda: not processes(folder))
            assert "Traceback" not in sandbox._printed()
    finally:
        sandbox.stop()


def test_it_ends_at_once_in_patched_processes(folders):
    """There `os.close` is gevent's, and waits for another turn of its loop."""
    done = run_script(
        """
        from ai.backend.client.sandbox import Sandbox
        sandboxes = [Sandbox().start(), Sandbox().start()]
        processes = [sandbox._process for sandbox in sandboxes]
        for sandbox in sandboxes:
            sandbox.stop()
        mark("statuses", [process.returncode for process in processes])
        """,
        patched=True,
        env={"TMPDIR": os.environ["TMPDIR"]},
    )
    done.assert_clean()
    assert done.value("statuses") == "[0, 0]"  # and were not killed after a while
    assert not folders()


def test_a_janitor_that_is_killed_is_replaced(folders):
    with Sandbox() as sandbox:
        (folder,) = folders()

        def janitors() -> list[int]:
            return running(lambda arguments: janitor.__file__ in arguments and str(folder) in arguments)

        (first,) = janitors()
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: janitors() not in ([], [first]))
        os.kill(sandbox.pid, signal.SIGKILL)
        assert eventually(lambda: not folder.exists())


def test_keys_are_new_each_time():
    with Sandbox() as one, Sandbox() as other:
        assert one.keys() != other.keys()
        assert one.keys("user") != other.keys("user")
        assert one.endpoint in repr(one)
        assert one.keys()[1] not in repr(one)
        with pytest.raises(ValueError, match="domain_admin"):
            one.config("root")
    with pytest.raises(RuntimeError, match="not started"):
        Sandbox().config()


def test_only_loopback_without_an_explicit_flag():
    refused = subprocess.run(
        [*COMMAND, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stderr


def test_help_warns_that_code_runs_as_you():
    shown = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    assert "runs the code that it is sent, as you" in shown


def test_a_fault_that_cannot_be_read_is_an_error_that_says_so():
    with pytest.raises(SandboxError, match="not a kind of fault"):
        Sandbox(faults=["gremlins"]).start()


def test_the_fixtures_serve_other_peoples_tests(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["ai.backend.client.sandbox.fixtures"]\n')
    (tmp_path / "test_theirs.py").write_text(
        "from ai.backend.client import Session\n\n"
        "def test_theirs(backendai_environment):\n"
        "    with Session() as session:\n"
        '        kernel = session.Kernel.get_or_create("python", name="theirs")\n'
        '        assert kernel.execute(code="6 * 7")["console"] == [["stdout", "42"]]\n'
    )
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(folders):
    process = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    assert eventually(lambda: "aiohttp" in maps.read_text())  # in the middle of its imports
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert errors == ""
    assert not folders()


def test_without_the_extra_it_says_what_is_missing(tmp_path):
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text("import sys\nsys.modules['aiohttp'] = None\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*COMMAND, "--port", "0"], env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "[sandbox] ERROR: there is no aiohttp: install the client with its extra `sandbox`\n"
