"""Sandboxes for tests: one for all that do not change its settings, and ways to call it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.sandbox import Sandbox
from ai.backend.client.session import Session
from support.cluster import IMAGE
from support.sandboxes import emptied

APIS = ("v7.20230615", "v4.20190615")


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[Callable[[str], Sandbox]]:
    """One sandbox per generation, started when it is first asked for."""
    started: dict[str, Sandbox] = {}

    def get(api: str) -> Sandbox:
        if api not in started:
            started[api] = Sandbox(api).start()
        return started[api]

    yield get
    for sandbox in started.values():
        sandbox.stop()


@pytest.fixture
def sandbox(sandboxes: Callable[[str], Sandbox]) -> Iterator[Sandbox]:
    """A sandbox of the newest generation."""
    with emptied(sandboxes(APIS[0])) as sandbox:
        yield sandbox


@pytest.fixture(params=APIS)
def any_sandbox(request: pytest.FixtureRequest, sandboxes: Callable[[str], Sandbox]) -> Iterator[Sandbox]:
    """Each generation in turn."""
    with emptied(sandboxes(request.param)) as sandbox:
        yield sandbox


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    """A superadmin's session."""
    with Session(config=sandbox.config()) as session:
        yield session


@pytest.fixture
def user(sandbox: Sandbox) -> Iterator[Session]:
    """A plain user's session."""
    with Session(config=sandbox.config("user")) as session:
        yield session


@pytest.fixture
def user2(sandbox: Sandbox) -> Iterator[Session]:
    """Another plain user's session."""
    with Session(config=sandbox.config("user2")) as session:
        yield session


@pytest.fixture
def any_session(any_sandbox: Sandbox) -> Iterator[Session]:
    """A superadmin's session in each generation."""
    with Session(config=any_sandbox.config()) as session:
        yield session


@pytest.fixture
def name() -> str:
    """A name that nothing else has."""
    return f"box-{secrets.token_hex(4)}"


@pytest.fixture
def kernel(any_session: Session, name: str) -> Iterator[Any]:
    """A compute session in each generation."""
    kernel = any_session.Kernel.get_or_create(IMAGE, name=name)
    yield kernel
    with contextlib.suppress(BackendAPIError):  # it may have ended by itself
        any_session.Kernel(name).destroy(forced=True)
