"""Sessions on the fault server, and the proof that an error says where it happened."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from ai.backend.client.session import Session
from support.waiting import LIMIT


@pytest.fixture
def session(make_config, server):
    """An open session without retries."""
    with closing(Session(config=make_config(server, retries=0))) as session:
        session.open()
        yield session


@contextlib.contextmanager
def closing(session: Any) -> Any:
    """Close without waiting for calls that a test left open."""
    try:
        yield session
    finally:
        session.close(timeout=0)


@pytest.fixture
def failure(server):
    """Make a call that must fail, at once and in detail: `failure(call, *types)` returns its error."""

    def fail(call: Any, *types: type[BaseException], limit: float = LIMIT) -> Any:
        start = time.monotonic()
        with pytest.raises(types) as caught:
            call()
        elapsed = time.monotonic() - start
        assert elapsed < limit
        error = caught.value
        assert error.method in ("GET", "POST")
        assert error.path is not None
        assert error.path.startswith("/")
        assert error.endpoint == server.url
        assert error.attempts >= 1
        assert 0 <= error.elapsed <= elapsed
        assert type(error).__name__ not in str(error)
        for part in (error.method, error.path, error.endpoint):
            assert part in str(error)
        return error

    return fail
