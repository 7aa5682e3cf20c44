"""Fixtures for tests of code that talks to a manager.

They need pytest, which is not part of the extra ``sandbox``. Ask for them in a ``conftest.py``::

    pytest_plugins = ["ai.backend.client.sandbox.fixtures"]
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ai.backend.client.sandbox.launcher import Sandbox


@pytest.fixture(scope="session")
def backendai_sandbox() -> Iterator[Sandbox]:
    """A sandbox for the whole test run."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def backendai_environment(backendai_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The same, with the ``BACKEND_*`` variables set for this test, so that ``Session()`` finds it."""
    for name, value in backendai_sandbox.environment.items():
        monkeypatch.setenv(name, value)
    return backendai_sandbox
