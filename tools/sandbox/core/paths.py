"""Paths that come from outside, kept inside a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath


def is_clean(path: str) -> bool:
    """Whether a relative path leads below where it starts, and not out of it."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and "\0" not in path and not pure.is_absolute() and ".." not in pure.parts


def inside(root: Path, path: str) -> Path:
    """A path below a folder, or the folder itself.

    Args:
        root: The folder, without symbolic links.
        path: Relative path; symbolic links in it must not lead out either.

    Returns:
        The path, without ``..``.

    Raises:
        ValueError: It leads out.
    """
    if "\0" in path:
        raise ValueError("the path contains a null byte")
    target = Path(os.path.normpath(root / path))
    for place in (target, target.resolve()):
        if place != root and root not in place.parents:
            raise ValueError(f"the path leads out of the folder: {path}")
    return target


def prepared(target: Path) -> Path:
    """A file to write: the folders above it are made.

    Raises:
        OSError: Something is there that is no file. Opening a named pipe would wait for whoever reads it.
    """
    if target.exists() and not target.is_file():
        raise OSError(errno.EEXIST, "not a regular file", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
