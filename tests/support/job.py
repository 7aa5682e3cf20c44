"""The main job of a user, for every kind of caller: on the real cluster (`tests/live`) and on the sandbox.

What is checked here holds on both; what a test adds is the configuration, and what only one of the servers does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ai.backend.client.exceptions import BackendAPIError
from support.cluster import IMAGE, RESOURCES
from support.runtimes.calling import Runtime
from support.runtimes.driver import DrivenStream, driving, refused
from support.waiting import LIMIT

ENDS = ("finished", "exec-timeout")


def start(session: Any, name: str) -> Any:
    """Make a compute session, or find it again."""
    return session.Kernel.get_or_create(IMAGE, client_token=name, resources=RESOURCES)


def run(kernel: Any, code: str, inputs: Iterable[str] = (), **first: Any) -> tuple[str, str, dict[str, Any]]:
    """Run code to its end: what it wrote to stdout and stderr, and the last result.

    Args:
        kernel: A compute session whose functions wait: of a `Session`, or driven.
        code: The code.
        inputs: What it gets when it asks for input.
        first: Further arguments of the first `execute`.
    """
    return finish(kernel, kernel.execute(secrets.token_hex(8), code, **first), inputs)


def finish(kernel: Any, result: dict[str, Any], inputs: Iterable[str] = ()) -> tuple[str, str, dict[str, Any]]:
    """Follow a run to its end from one of its results on, as :func:`run`."""
    waiting = iter(inputs)
    texts = {"stdout": "", "stderr": ""}
    deadline = time.monotonic() + LIMIT
    while True:
        for kind, data in result["console"] or ():
            if kind in texts:
                texts[kind] += data
        if result["status"] in ENDS:
            return texts["stdout"], texts["stderr"], result
        assert time.monotonic() < deadline, (texts, result)
        asked = result["status"] == "waiting-input"
        result = kernel.execute(result["runId"], next(waiting) if asked else "", mode="input" if asked else "continue")


def until_gone(kernel: Any) -> None:
    """Wait until the manager has forgotten a destroyed session: a real one does so a little later."""
    deadline, error = time.monotonic() + LIMIT, None
    while error is None:
        assert time.monotonic() < deadline
        try:
            kernel.get_info()
        except BackendAPIError as refusal:
            error = refusal
    assert error.status == 404


def main_job(runtime: Runtime, config: Any, name: str, folder: Path) -> None:
    """Create, reuse, execute in all modes, move files, read logs, restart, destroy."""
    source, dest = folder / "source", folder / "dest"
    (source / "pkg").mkdir(parents=True)
    dest.mkdir()
    (source / "main.py").write_text("import sys\nprint('batch', sys.argv[1:])\n")
    (source / "pkg" / "data.bin").write_bytes(bytes(range(256)))

    with driving(runtime, config) as session:
        kernel = start(session, name)
        assert (kernel.kernel_id, kernel.status, kernel.created) == (name, "RUNNING", True)
        again = start(session, name)
        assert (again.kernel_id, again.created) == (name, False)

        assert run(kernel, "print('hello'); 6 * 7")[0].startswith("hello\n")
        assert "ZeroDivisionError" in run(kernel, "1 / 0")[1]
        assert "you said blue" in run(kernel, "print('you said', input('colour? '))", ["blue"])[0]
        endless = "import itertools, time\nfor i in itertools.count():\n    print(i, flush=True); time.sleep(0.8)"
        result = kernel.execute(secrets.token_hex(8), endless)
        assert result["status"] == "continued"
        kernel.interrupt()
        stdout, stderr, _ = finish(kernel, result)
        assert stdout.startswith("0\n1\n")
        assert "KeyboardInterrupt" in stdout + stderr

        kernel.upload([source / "main.py", source / "pkg" / "data.bin"], basedir=source)
        stdout, _, result = run(kernel, "", mode="batch", opts={"build": "true", "exec": "python main.py one two"})
        assert "batch ['one', 'two']" in stdout
        assert result["exitCode"] == 0
        assert "main.py" in str(kernel.list_files())
        assert "data.bin" in str(kernel.list_files("pkg"))
        found = kernel.download(["main.py", "pkg/data.bin"], dest=dest)
        assert any(name.endswith("main.py") for name in found["file_names"])
        [data] = dest.rglob("data.bin")
        assert data.read_bytes() == bytes(range(256))

        assert kernel.get_info()["status"] == "RUNNING"
        assert isinstance(kernel.get_logs()["result"]["logs"], str)

        run(kernel, "kept = 1")
        kernel.restart()
        assert "NameError" in run(kernel, "print(kept)")[1]
        kernel.destroy()
        until_gone(kernel)


def many_sessions(runtime: Runtime, config: Any, names: Sequence[str]) -> None:
    """Each compute session runs code that only it knows; every caller gets its own answer."""
    with runtime.session(config) as session:
        kernels = runtime.outcomes([partial(start, session, name) for name in names])
        assert [kernel.kernel_id for kernel in kernels] == list(names)
        codes = [f"print('{name}')" for name in names]
        pairs = zip(kernels, codes, strict=True)
        results = runtime.outcomes([partial(kernel.run, code) for kernel, code in pairs])
        assert [result.stdout for result in results] == [f"{name}\n" for name in names]
        assert all(isinstance(outcome, dict) for outcome in runtime.outcomes([kernel.destroy for kernel in kernels]))


def futures_and_batches(runtime: Runtime, config: Any, names: Sequence[str]) -> None:
    """Calls that are started now and waited for later, and many of them from one caller by `session.map`."""
    with runtime.session(config) as session:

        def create(name: str) -> Any:
            return session.Kernel.get_or_create.submit(IMAGE, client_token=name, resources=RESOURCES)

        def mapped(function: Any, items: Iterable[Any], **options: Any) -> list[Any]:
            return list(DrivenStream(runtime, session.map(function, items, **options)))

        kernels = mapped(create, names)
        assert [kernel.kernel_id for kernel in kernels] == list(names)

        def square(number: int) -> Any:
            return kernels[number % len(kernels)].execute.submit(secrets.token_hex(8), f"print({number} ** 2)")

        futures = [square(number) for number in range(9)]
        results = [runtime.wait(future, LIMIT) for future in futures]
        assert [result["console"][0] for result in results] == [["stdout", f"{number**2}\n"] for number in range(9)]

        def look(number: int) -> Any:
            return kernels[number % len(kernels)].get_info.submit()

        assert [info["status"] for info in mapped(look, range(60), concurrency=16)] == ["RUNNING"] * 60
        for future in [kernel.destroy.submit() for kernel in kernels]:
            runtime.wait(future, LIMIT)


def server_answers(runtime: Runtime, config: Any, api_version: tuple[int, str], release: str) -> None:
    """The versions that were negotiated, and that the server runs.

    Args:
        runtime: How the callers run.
        config: A configuration.
        api_version: The version that both sides speak.
        release: How the manager's version begins.
    """
    with driving(runtime, config) as session:
        assert session.api_version == api_version
        assert session.Manager.status()["status"] == "running"
        assert session.Kernel.hello()["manager"].startswith(release)


def typed_errors(runtime: Runtime, config: Any, stranger: Any) -> None:
    """What the server refuses is an error that says what, of a type of its own.

    Args:
        runtime: How the callers run.
        config: A configuration.
        stranger: The same with a wrong secret key.
    """
    with driving(runtime, config) as session:
        path, problem = (
            ("/kernel/nobody", "kernel-not-found")
            if session.api_version[0] < 5
            else ("/session/nobody", "object-not-found")
        )
        with refused(404, problem) as caught:
            session.Kernel("nobody").get_info()
        assert (caught.value.attempts, caught.value.path) == (1, path)
    with driving(runtime, stranger) as session, refused(401, "auth-failed") as caught:
        session.Kernel("nobody").get_info()
    assert stranger.secret_key not in str(caught.value)
