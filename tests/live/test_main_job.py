"""The main job on a real manager, agent and kernel runner, from every kind of caller."""

from __future__ import annotations

import concurrent.futures
import secrets
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import Session
from support.runtimes import Runtime, is_patched

HERE = Path(__file__).parent
IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
RESOURCES = {"cpu": 1, "mem": "256m"}
LIMIT = 30.0
NEXT_MODE = {
    "continued": "continue",
    "clean-finished": "continue",
    "build-finished": "continue",
    "waiting-input": "input",
}
PYTEST = "from gevent import monkey; monkey.patch_all(); import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


class Job:
    """One compute session, driven by the callers of one runtime."""

    def __init__(self, runtime: Runtime, kernel: Any) -> None:
        self.runtime = runtime
        self.kernel = kernel

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.runtime.value(partial(getattr(self.kernel, name), *args, **kwargs))

    def run(self, code: str, *, inputs: tuple[str, ...] = (), interrupt: bool = False, **first: Any) -> dict[str, Any]:
        """Run to the end: its console as text by stream, and the last result."""
        run_id, lines = secrets.token_hex(8), list(inputs)
        texts: dict[str, str] = {}
        result = self.call("execute", run_id, code, **first)
        deadline = time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < deadline, (texts, result)
            for stream, text in result["console"] or ():
                texts[stream] = texts.get(stream, "") + str(text)
            if result["status"] in ("finished", "exec-timeout"):
                return {**texts, "result": result}
            if interrupt and result["status"] == "continued":
                self.call("interrupt")
                interrupt = False
            mode = NEXT_MODE[result["status"]]
            code = lines.pop(0) if mode == "input" else ""
            result = self.call("execute", result["runId"], code, mode=mode)


def until_gone(runtime: Runtime, kernel: Any) -> None:
    """The manager forgets a destroyed session a little later."""
    deadline = time.monotonic() + LIMIT
    while isinstance(outcome := runtime.outcome(kernel.get_info), dict):
        assert time.monotonic() < deadline, outcome
    assert isinstance(outcome, BackendAPIError)
    assert outcome.status == 404


def create(session: Any, token: str, **options: Any) -> Any:
    return session.Kernel.get_or_create(IMAGE, client_token=token, resources=RESOURCES, **options)


@pytest.mark.timeout(180)
def test_the_main_job(runtime, live_config, tokens, tmp_path):
    """Create, reuse, execute in all modes, move files, read logs, restart, destroy."""
    token = tokens()
    source, dest = tmp_path / "source", tmp_path / "dest"
    (source / "pkg").mkdir(parents=True)
    dest.mkdir()
    (source / "main.py").write_text("import sys\nprint('batch', sys.argv[1:])\n")
    (source / "pkg" / "data.bin").write_bytes(bytes(range(256)))

    with runtime.session(live_config()) as session:
        kernel = runtime.value(partial(create, session, token))
        assert (kernel.kernel_id, kernel.status, kernel.created) == (token, "RUNNING", True)
        again = runtime.value(partial(create, session, token))
        assert (again.kernel_id, again.created) == (token, False)
        job = Job(runtime, kernel)

        assert job.run("print('hello'); 6 * 7")["stdout"].startswith("hello\n")
        assert "ZeroDivisionError" in job.run("1 / 0")["stderr"]
        assert job.run("import time\nfor i in range(3):\n    print(i); time.sleep(1.2)")["stdout"] == "0\n1\n2\n"
        assert "you said blue" in job.run("print('you said', input('colour? '))", inputs=("blue",))["stdout"]
        assert "KeyboardInterrupt" in str(job.run("import time; time.sleep(600)", interrupt=True))

        job.call("upload", [source / "main.py", source / "pkg" / "data.bin"], basedir=source)
        batch = job.run("", mode="batch", opts={"exec": "python main.py one two"})
        assert "batch ['one', 'two']" in batch["stdout"]
        assert batch["result"]["exitCode"] == 0
        assert "main.py" in str(job.call("list_files"))
        assert "data.bin" in str(job.call("list_files", "pkg"))
        found = job.call("download", ["main.py", "pkg/data.bin"], dest=dest)
        assert any(name.endswith("main.py") for name in found["file_names"])
        [data] = dest.rglob("data.bin")
        assert data.read_bytes() == bytes(range(256))

        assert job.call("get_info")["status"] == "RUNNING"
        assert isinstance(job.call("get_logs")["result"]["logs"], str)

        job.run("kept = 1")
        job.call("restart")
        assert "NameError" in job.run("print(kept)")["stderr"]
        job.call("destroy")
        until_gone(runtime, kernel)


@pytest.mark.timeout(120)
def test_many_compute_sessions_at_once(runtime, live_config, tokens):
    """Each runs code that only it knows; every caller gets its own answer from the real thing, too."""
    names = [tokens() for _ in range(4)]
    with runtime.session(live_config()) as session:
        kernels = runtime.outcomes([partial(create, session, name) for name in names])
        assert [kernel.kernel_id for kernel in kernels] == names
        codes = [f"print('{name}')" for name in names]
        pairs = zip(kernels, codes, strict=True)
        results = runtime.outcomes([partial(kernel.execute, secrets.token_hex(8), code) for kernel, code in pairs])
        assert [result["console"][0][1] for result in results] == [f"{name}\n" for name in names]
        assert all(isinstance(outcome, dict) for outcome in runtime.outcomes([kernel.destroy for kernel in kernels]))


@pytest.mark.timeout(120)
def test_futures_and_batches_from_a_plain_thread(live_config, tokens):
    names = [tokens() for _ in range(3)]
    with Session(config=live_config()) as session:
        kernels = list(session.map(lambda name: create_later(session, name), names))
        assert [kernel.kernel_id for kernel in kernels] == names
        jobs = {
            kernel.execute.submit(secrets.token_hex(8), f"print({index} * 111)"): index
            for index, kernel in enumerate(kernels)
        }
        for future in concurrent.futures.as_completed(jobs, LIMIT):
            assert future.result(0)["console"][0] == ["stdout", f"{jobs[future] * 111}\n"]

        def execute(number: int) -> Any:
            return kernels[number % 3].get_info.submit()

        assert [info["status"] for info in session.map(execute, range(60), concurrency=16)] == ["RUNNING"] * 60
        for future in [kernel.destroy.submit() for kernel in kernels]:
            future.result(LIMIT)


def create_later(session: Any, token: str) -> Any:
    return session.Kernel.get_or_create.submit(IMAGE, client_token=token, resources=RESOURCES)


def test_the_manager_answers(runtime, live_config):
    with runtime.session(live_config()) as session:
        assert session.api_version == (7, "20230615")
        assert runtime.value(session.Manager.status)["status"] == "running"
        assert runtime.value(session.Kernel.hello)["manager"].startswith("23.")


def test_errors_of_the_manager_are_typed(runtime, live_config):
    with runtime.session(live_config()) as session:
        outcome = runtime.outcome(session.Kernel("no-such-session").get_info)
        assert isinstance(outcome, BackendAPIError)
        assert (outcome.status, outcome.attempts, outcome.path) == (404, 1, "/session/no-such-session")
        assert outcome.type.startswith("https://api.backend.ai/probs/")
    with runtime.session(live_config(secret_key="wrong-secret-key")) as session:
        outcome = runtime.outcome(session.Kernel("no-such-session").get_info)
        assert isinstance(outcome, BackendAPIError)
        assert outcome.status == 401
        assert "wrong-secret-key" not in str(outcome)


@pytest.mark.timeout(300)
@pytest.mark.skipif(is_patched(), reason="this is the patched process")
def test_in_a_patched_process():
    """The whole of this folder once more, after `patch_all()`."""
    command = [
        sys.executable,
        "-P",
        "-c",
        PYTEST,
        str(HERE),
        "-q",
        "-k",
        "patched and not in_a_patched",
        "-p",
        "no:cacheprovider",
    ]
    run = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    assert " passed" in run.stdout
