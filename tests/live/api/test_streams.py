"""Streams: every one of them opened on the real manager, from every kind of caller."""

from __future__ import annotations

import socket
import uuid

import pytest

from support.cluster import IMAGE, RESOURCES
from support.driver import refused
from support.team import remove_folders_of
from support.waiting import LIMIT


@pytest.mark.timeout(120)
def test_streams_of_a_session(driven, team, tokens):
    with driven(team.anna) as anna:
        name = tokens()
        kernel = anna.Kernel.get_or_create(IMAGE, client_token=name, resources=RESOURCES)

        with kernel.stream_execute("print(input('colour? '))") as run:
            output = ""
            for result in run.items(run.results()):
                output += "".join(str(data) for kind, data in result["console"] or [] if kind == "stdout")
                if result["status"] == "waiting-input":
                    run.send_input("blue")
        assert output.endswith("blue\n")

        task = anna.BackgroundTask(kernel.commit()["bgtask_id"])
        with task.listen_events() as events:
            assert [event.event for event in events] == ["bgtask_done", "server_close"]

        with kernel.stream_pty() as terminal:  # whose output the manager of 23.09 loses
            terminal.resize(24, 80)
            terminal.ping()
        with kernel.tunnel("sshd") as tunnel, socket.create_connection(tunnel.address, LIMIT) as connection:
            assert connection.recv(64).startswith(b"SSH-2.0-")

        with kernel.listen_events() as events, kernel.stream_events() as older:
            kernel.destroy()
            for stream in (events, older):
                seen = next(event for event in stream if event.event == "session_terminated")
                assert seen.json()["sessionName"] == name


def test_the_log_of_a_task(driven, team, tmp_path):
    kernel_id = uuid.uuid4().hex
    log = tmp_path / "task" / kernel_id[:2] / kernel_id[2:4] / f"{kernel_id[4:]}.log"
    log.parent.mkdir(parents=True)
    log.write_text("step one\nstep two\n")
    with driven(team.bob) as bob:
        with refused(404, "object-not-found"), bob.Kernel.get_task_logs(kernel_id):
            pass
        bob.VFolder.create(".logs")
        try:
            bob.VFolder(".logs").upload([log], basedir=tmp_path)
            with bob.Kernel.get_task_logs(kernel_id) as lines:
                assert b"".join(lines) == log.read_bytes()
        finally:
            remove_folders_of(team)
