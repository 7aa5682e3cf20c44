"""What the tests on a real cluster share. `tools/test --live` starts it and sets the variables."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import Session

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
