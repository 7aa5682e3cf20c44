"""Paths that come from outside, kept inside a folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def is_clean(path: str) -> bool:
    """Whether a relative path cannot lead out of where it starts."""
    pure = PurePosixPath(path)
    return bool(path) and "\0" not in path and not pure.is_absolute() and ".." not in pure.parts


def inside(root: Path, path: str) -> Path:
    """A path below a folder.

    Args:
        root: The folder.
        path: Relative path; symbolic links in it must not lead out either.

    Raises:
        ValueError: It leads out.
    """
    if "\0" in path:
        raise ValueError("the path contains a null byte")
    base = root.resolve()
    target = (base / path).resolve()
    if target != base and base not in target.parents:
        raise ValueError(f"the path leads out of the folder: {path}")
    return base / path
