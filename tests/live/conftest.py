"""What the tests on a real cluster share. `tools/test --live` starts it and sets the variables."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import Session
from support.golden import recording

HERE = Path(__file__).parent
NEEDED = ("BACKEND_ENDPOINT", "BACKEND_ACCESS_KEY", "BACKEND_SECRET_KEY")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder is live, and skipped where there is no cluster."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs a cluster: {', '.join(missing)} not set"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """See which API functions a test runs."""
    with recording.RECORDER.test():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _record_of_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves what was seen in `LIVE_CALLS`, by default below pytest's cache (then without what earlier runs left)."""
    folder = os.environ.get(recording.FOLDER)
    if folder is None and request.config.pluginmanager.hasplugin("cacheprovider"):
        folder = os.environ[recording.FOLDER] = str(request.config.cache.mkdir("live-calls"))
        shutil.rmtree(folder)
    yield
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        recording.write(recording.RECORDER.marks, Path(folder))


@pytest.fixture
def live_config() -> Callable[..., Any]:
    """Configurations for the cluster: `live_config(**options)`."""

    def make(**options: Any) -> Any:
        return APIConfig(**options)

    return make


@pytest.fixture
def tokens(live_config: Callable[..., Any]) -> Iterator[Callable[[], str]]:
    """Names for compute sessions, which are destroyed at the end whatever happened."""
    made: list[str] = []

    def make() -> str:
        made.append(f"live-{secrets.token_hex(6)}")
        return made[-1]

    yield make
    with Session(config=live_config()) as session:
        for token in made:
            with contextlib.suppress(BackendAPIError):  # most are gone already
                session.Kernel(token).destroy(forced=True)
