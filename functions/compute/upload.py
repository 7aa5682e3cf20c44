"""Reading the files of an upload, within the manager's limits.

Runs in a worker thread (:class:`~ai.backend.client.functions.base.Offload`), since it touches the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ai.backend.client._checks import is_utf8, plain
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.transfer.paths import PathLike, local_path

MAX_FILES = 20
"""Files per call: the manager answers 400 "Too many files" beyond."""
MAX_FILE_BYTES = 1024 * 1024 - 1
"""Size of one file: the manager answers 400 "Too large file" for 1 MiB and more."""


def path_list(argument: str, files: object, limit: int) -> list[str]:
    """Check a list of paths without touching the disk.

    Args:
        argument: How the caller calls it.
        files: What was given.
        limit: How many the server takes in one call.

    Returns:
        The paths as text, a copy.

    Raises:
        InvalidArgument: Not a list, empty, too long, or with an item that is no path.
    """
    if isinstance(files, str | bytes | os.PathLike) or not isinstance(files, Sequence):
        raise InvalidArgument(argument, files, "must be a list of paths")
    if not 1 <= len(files) <= limit:
        raise InvalidArgument(argument, f"{len(files)} paths", f"must be 1 to {limit} paths in one call")
    return [local_path(argument, file) for file in files]


class SmallFile(NamedTuple):
    """A file that was read.

    Attributes:
        name: Its path below the base directory, with ``/`` as separator.
        content: All of it.
    """

    name: str
    content: bytes


def read_files(files: Sequence[str], basedir: PathLike | None) -> list[SmallFile]:
    """Read files into memory.

    Args:
        files: Paths, relative to the working directory unless absolute. Symbolic links are followed first.
        basedir: The directory that the files must be in and that their names are relative to; None for the working
            directory.

    Returns:
        The files, in the same order.

    Raises:
        InvalidArgument: A file is outside of ``basedir``, too large, not a regular file, or cannot be read.
    """
    base = Path(basedir if basedir is not None else ".").resolve()
    return [_small_file(base, file) for file in files]


def _small_file(base: Path, file: str) -> SmallFile:
    try:
        path = Path(plain(file)).resolve()
        name = path.relative_to(base).as_posix()
    except (ValueError, OSError, RuntimeError):  # RuntimeError: a loop of links, up to Python 3.12
        raise InvalidArgument("files", file, f'File "{file}" is outside of the base directory "{base}".') from None
    if not is_utf8(name):
        raise InvalidArgument("files", file, "must have a name that can be encoded as UTF-8")
    try:
        data = _read(path)
    except OSError as error:
        raise InvalidArgument("files", file, f"cannot be read: {error.strerror}") from error
    if data is None:
        raise InvalidArgument("files", file, "must be a regular file")
    if len(data) > MAX_FILE_BYTES:
        raise InvalidArgument("files", file, f"must be less than {MAX_FILE_BYTES + 1} bytes")
    return SmallFile(name, data)


def _read(path: Path) -> bytes | None:
    """A regular file's content, up to one byte more than allowed; None for anything else."""
    # No link is followed: the path is resolved. Non-blocking, so that opening a FIFO returns at once.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
