"""Fixtures of the tests that move files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.servers.storage import StorageServer


@pytest.fixture(scope="session")
def _storage_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    with StorageServer(tmp_path_factory.mktemp("cluster")) as server:
        yield server


@pytest.fixture
def storage(_storage_process: StorageServer) -> StorageServer:
    """The storage server, its folder empty."""
    _storage_process.reset()
    return _storage_process


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    path = tmp_path / "local"
    path.mkdir()
    monkeypatch.chdir(path)
    return path
