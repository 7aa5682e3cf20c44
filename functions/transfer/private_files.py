"""Small files that only this user can have written: notes of downloads, records of uploads. Runs in native threads."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

LARGEST = 65536


def read_private(path: Path) -> bytes | None:
    """What such a file holds, :data:`LARGEST` bytes at most; None when there is none, or anybody else can change it."""
    try:
        # Non-blocking, so that opening a FIFO in its place returns at once.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        is_private = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        return os.read(descriptor, LARGEST) if stat.S_ISREG(about.st_mode) and is_private else None
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write such a file, in one step.

    Raises:
        OSError: It cannot be written.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
