"""What the tests on real clusters share. `tools/test --live` starts them and sets the variables.

A test runs on the cluster of 23.09 unless it asks for others: `@pytest.mark.parametrize("release", ["26.9"],
indirect=True)`. What `live_config()` gives, and so all that is made from it, follows.
"""

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
from support import cluster
from support.golden import recording

HERE = Path(__file__).parent
DEFAULT = "23.09"


def release_of(item: pytest.Item) -> str:
    """The release whose cluster a test runs on."""
    release: str = item.callspec.params.get("release", DEFAULT) if hasattr(item, "callspec") else DEFAULT
    return release


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder is live, and skipped where its cluster is not."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            release = release_of(item)
            if missing := cluster.missing(release):
                item.add_marker(pytest.mark.skip(reason=f"needs a cluster of {release}: {', '.join(missing)} not set"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """See which API functions a test runs on 23.09, which `docs/api-coverage.md` is about."""
    with recording.RECORDER.test() if release_of(item) == DEFAULT else contextlib.nullcontext():
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


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> str:
    """The release whose cluster the test runs on; set by `parametrize(..., indirect=True)`."""
    chosen: str = getattr(request, "param", DEFAULT)
    return chosen


@pytest.fixture(scope="session")
def live_config(release: str) -> Callable[..., Any]:
    """Configurations for the superadmin of the cluster: `live_config(**options)`."""

    def make(**options: Any) -> Any:
        return APIConfig(**{**cluster.connection(release), **options})

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
