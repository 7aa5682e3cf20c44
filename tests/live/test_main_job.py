"""The main job on a real manager, agent and kernel runner, from every kind of caller."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import job
from support.runtimes.calling import is_patched
from support.runtimes.patched import run_patched

HERE = Path(__file__).parent


@pytest.mark.timeout(180)
def test_the_main_job(runtime, live_config, tokens, tmp_path):
    job.main_job(runtime, live_config(), tokens(), tmp_path)


@pytest.mark.timeout(120)
def test_many_compute_sessions_at_once(runtime, live_config, tokens):
    job.many_sessions(runtime, live_config(), [tokens() for _ in range(4)])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("runtime", ["thread"], indirect=True)
def test_futures_and_batches_from_a_plain_thread(runtime, live_config, tokens):
    job.futures_and_batches(runtime, live_config(), [tokens() for _ in range(3)])


def test_the_manager_answers(runtime, live_config):
    job.server_answers(runtime, live_config(), (7, "20230615"), "23.")


def test_errors_of_the_manager_are_typed(runtime, live_config):
    job.typed_errors(runtime, live_config(), live_config(secret_key="wrong-secret-key"))


@pytest.mark.timeout(300)
@pytest.mark.skipif(is_patched(), reason="this is the patched process")
def test_in_a_patched_process():
    """The whole of this folder once more, after `patch_all()`."""
    run_patched(HERE, 280, "patched and not in_a_patched")
