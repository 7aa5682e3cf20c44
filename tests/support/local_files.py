"""Files on this machine that transfers read and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai.backend.client.functions.transfer.sources import LocalFile


def local(path: Path, **changes: Any) -> LocalFile:
    about = path.stat()
    return LocalFile(str(path), path.name, about.st_size, about.st_mtime_ns)._replace(**changes)


def hidden(folder: Path) -> list[str]:
    """Suffixes of what unfinished downloads left in a folder."""
    return sorted(path.suffix for path in folder.glob(".backendai-*"))
