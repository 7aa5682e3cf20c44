"""Logs of tasks; the other streams are in `test_real_streams.py`."""

from __future__ import annotations

import uuid

from support.runtimes.driver import refused
from support.team import remove_folders_of


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
