"""The main job on the sandbox, of both generations, from every kind of caller: what `tests/live` does on a cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support import job
from support.runtimes.calling import is_patched
from support.runtimes.driver import driving
from support.runtimes.patched import run_patched

LIMIT = 100
VERSIONS = {"v7.20230615": ((7, "20230615"), "23."), "v4.20190615": ((4, "20190615"), "19.")}
LIFE = {
    "v7.20230615": [
        "session_enqueued",
        "session_scheduled",
        "kernel_preparing",
        "kernel_creating",
        "kernel_started",
        "session_started",
        "session_terminating",
        "kernel_terminating",
        "kernel_terminated",
        "session_terminated",
    ],
    "v4.20190615": [
        "kernel_enqueued",
        "kernel_preparing",
        "kernel_creating",
        "kernel_started",
        "kernel_terminating",
        "kernel_terminated",
    ],
}


@pytest.fixture
def config(any_sandbox):
    """A plain user's configuration, in each generation."""
    return any_sandbox.config("user")


def test_the_main_job(runtime, config, name, tmp_path):
    job.main_job(runtime, config, name, tmp_path)


def test_many_compute_sessions_at_once(runtime, config, name):
    job.many_sessions(runtime, config, [f"{name}-{number}" for number in range(4)])


def test_futures_and_batches(runtime, config, name):
    job.futures_and_batches(runtime, config, [f"{name}-{number}" for number in range(3)])


def test_the_manager_answers(runtime, any_sandbox, config):
    job.server_answers(runtime, config, *VERSIONS[any_sandbox.api])


def test_errors_of_the_manager_are_typed(runtime, any_sandbox, config):
    job.typed_errors(runtime, config, any_sandbox.config("user", secret_key="wrong-secret-key"))


def test_events_runs_and_a_terminal(runtime, any_sandbox, config, name):
    """A compute session's whole life on streams."""
    life = LIFE[any_sandbox.api]
    with driving(runtime, config) as session, session.Kernel(name).listen_events() as events:
        kernel = job.start(session, name)
        text, statuses = "", []
        with kernel.stream_execute("a = input('first? ')\nprint('sum', int(a) + 2)") as stream:
            for result in stream.items(stream.results()):
                text += "".join(data for kind, data in result["console"] or () if kind == "stdout")
                statuses.append(result["status"])
                if result["status"] == "waiting-input":
                    stream.send_input("40")
        assert (text, statuses[-1]) == ("first? sum 42\n", "finished")

        with kernel.stream_pty() as terminal:
            terminal.resize(33, 99)
            terminal.write("stty size; echo $((40+2)) ready\n")
            shown = ""
            while "42 ready" not in shown:
                shown += terminal.read().decode("utf-8", "replace")
        assert "33 99" in shown

        done = kernel.run("print(input('name? '))", inputs=["bob"])
        assert (done.stdout, done.status) == ("name? bob\n", "finished")

        kernel.destroy()
        seen = []
        for event in events:
            seen.append(event.event)
            assert json.loads(event.data)["ownerAccessKey"] == config.access_key
            if event.event == life[-1]:
                break
        assert seen == life


def test_files_of_folders_go_up_and_come_down(runtime, config, name, tmp_path):
    files = {"big.bin": os.urandom(1_500_000), "in/empty": b""}
    for path, content in files.items():
        (tmp_path / "up" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / path).write_bytes(content)
    (tmp_path / "down").mkdir()
    with driving(runtime, config) as session:
        session.VFolder.create(name)
        folder = session.VFolder(name)
        folder.upload(list(files), basedir=tmp_path / "up")
        folder.download(list(files), basedir=tmp_path / "down")
        assert {path: (tmp_path / "down" / path).read_bytes() for path in files} == files
        assert {item["filename"] for item in json.loads(folder.list_files()["files"])} == {"big.bin", "in"}
        folder.delete()


@pytest.mark.skipif(is_patched(), reason="this is the patched process")
def test_in_a_patched_process():
    """All of this once more, after `patch_all()`."""
    run_patched(Path(__file__), LIMIT)
