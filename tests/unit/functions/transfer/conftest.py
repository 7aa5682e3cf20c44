"""A place to upload from and download to."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a tree in it and a secret outside."""
    folder = tmp_path / "work"
    (folder / "tree" / "sub").mkdir(parents=True)
    (folder / "tree" / "hollow").mkdir()
    (folder / "tree" / "a").write_bytes(b"A")
    (folder / "tree" / "sub" / "b").write_bytes(b"BB")
    (folder / "single").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"S")
    monkeypatch.chdir(folder)
    return folder
