"""The shortest useful job, on the clusters of both releases and from every kind of caller."""

from __future__ import annotations

import pytest

from support import cluster, job
from support.runtimes.calling import Runtime
from support.runtimes.driver import driving

pytestmark = [
    pytest.mark.parametrize("release", list(cluster.PREFIXES), indirect=True),
    # A manager may be newer than the newest version that this client speaks.
    pytest.mark.filterwarnings("ignore::ai.backend.client.exceptions.APIVersionWarning"),
]


def test_the_manager_tells_its_release(runtime: Runtime, release: str, live_config):
    with driving(runtime, live_config()) as session:
        assert session.Kernel.hello()["manager"].startswith(f"{release}.")


@pytest.mark.timeout(180)
def test_code_runs_in_a_compute_session(runtime: Runtime, live_config, tokens):
    with driving(runtime, live_config()) as session:
        kernel = job.start(session, tokens())
        assert (kernel.status, kernel.created) == ("RUNNING", True)
        assert job.run(kernel, "print(6 * 7)")[0] == "42\n"
        kernel.destroy()
        job.until_gone(kernel)
