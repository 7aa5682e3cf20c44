"""Finding and reading the files of an upload. Everything here blocks: it runs in native threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple

from ai.backend.client import log
from ai.backend.client._checks import is_utf8
from ai.backend.client.exceptions import InvalidArgument, SourceChanged

_log = log.plain_logger("functions.transfer")


class LocalFile(NamedTuple):
    """A file to be uploaded.

    Attributes:
        path: Where it is: absolute, without links.
        name: Its path in the folder.
        size: Its bytes when it was found.
        modified: When it was changed last, in nanoseconds.
    """

    path: str
    name: str
    size: int
    modified: int


class Found(NamedTuple):
    """What an upload consists of.

    Attributes:
        files: The files, each name once.
        directories: Paths in the folder of the directories that are empty.
    """

    files: list[LocalFile]
    directories: list[str]


def find_files(sources: Iterable[str], basedir: str | None, recursive: bool) -> Found:
    """Look at every file of an upload.

    Symbolic links among the sources themselves are resolved first. In directories a link is uploaded as what it leads
    to if that is a regular file in the same directory tree; other links, and whatever is neither file nor directory,
    are skipped and logged as warnings.

    Args:
        sources: Paths, looked for in ``basedir`` first, then in the working directory.
        basedir: What names are relative to; None: the working directory.
        recursive: Whether directories may be among the sources.

    Raises:
        InvalidArgument: A source is outside of ``basedir``, cannot be read, is a directory without ``recursive``, is
            something else than a file or directory, or has a name that cannot be sent.
    """
    try:
        base = Path(basedir if basedir is not None else ".").resolve(strict=True)
    except OSError as error:
        raise InvalidArgument("basedir", basedir, f"cannot be used: {error.strerror}") from None
    tree = _Tree()
    for source in sources:
        try:
            path = _find(source, base, basedir is not None)
            name = path.relative_to(base).as_posix()
        except ValueError:
            reason = f'File "{source}" is outside of the base directory "{base}".'
            raise InvalidArgument("sources", source, reason) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, up to Python 3.12
            reason = getattr(error, "strerror", None) or "it is a loop of links"
            raise InvalidArgument("sources", source, f"cannot be read: {reason}") from None
        if path.is_dir():
            if not recursive:
                raise InvalidArgument("sources", source, "is a directory: upload it with recursive=True")
            tree.add_directory(path, name)
        else:
            tree.add_file(source, path, name)
    return Found(list(tree.files.values()), tree.directories)


def _find(source: str, base: Path, has_basedir: bool) -> Path:
    # The vendor's 19.09 looked in the working directory, later releases look in basedir.
    inside = (base / source).resolve()
    if has_basedir and not inside.exists():
        return Path(source).resolve(strict=True)
    return inside.resolve(strict=True)


class _Tree:
    """Collects what was found."""

    def __init__(self) -> None:
        self.files: dict[str, LocalFile] = {}
        self.directories: list[str] = []

    def add_file(self, source: str, path: Path, name: str) -> None:
        """A file, or what a caller takes for one."""
        _check_name(source, name)
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise InvalidArgument("sources", source, "must be a regular file")
        if not os.access(path, os.R_OK):
            raise InvalidArgument("sources", source, "cannot be read: Permission denied")
        self.files[name] = LocalFile(str(path), name, about.st_size, about.st_mtime_ns)

    def add_directory(self, root: Path, name: str) -> None:
        """A directory and all that is below it."""
        stack = [(root, "" if name == "." else name)]
        while stack:
            directory, prefix = stack.pop()
            try:
                entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
            except OSError as error:
                raise InvalidArgument("sources", str(directory), f"cannot be read: {error.strerror}") from None
            kept = False
            for entry in entries:
                below = f"{prefix}/{entry.name}" if prefix else entry.name
                if entry.is_dir(follow_symlinks=False):
                    kept = True
                    stack.append((Path(entry.path), below))
                else:
                    kept = self._add_entry(root, entry, below) or kept
            if not kept and prefix:
                _check_name(str(directory), prefix)
                self.directories.append(prefix)

    def _add_entry(self, root: Path, entry: os.DirEntry[str], name: str) -> bool:
        path = Path(entry.path)
        if entry.is_symlink():
            try:
                path = path.resolve(strict=True)
            except (OSError, RuntimeError):
                path = root.parent  # dangling, or a loop
            if not path.is_relative_to(root) or not path.is_file():
                _log.warning("skipped %r: it is a link to something else than a file of its tree", entry.path)
                return False
        elif not entry.is_file(follow_symlinks=False):
            _log.warning("skipped %r: it is neither a file nor a directory", entry.path)
            return False
        self.add_file(entry.path, path, name)
        return True


def _check_name(source: str, name: str) -> None:
    if not is_utf8(name):
        raise InvalidArgument("sources", ascii(source), "must have a name that can be encoded as UTF-8")


class FileSource:
    """A part of a file as the body of a request.

    Args:
        file: The file, as it was found.
        offset: Where the part begins.
        length: How many bytes it has.
    """

    def __init__(self, file: LocalFile, offset: int, length: int) -> None:
        self._file = file
        self._offset = offset
        self.length = length

    def pieces(self, size: int) -> Generator[bytes, None, None]:
        """The part, in pieces.

        Raises:
            SourceChanged: The file is not what it was when it was found.
            OSError: It cannot be read.
        """
        # No link is followed: the path was resolved. Non-blocking, so that opening a FIFO in its place returns at once.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._file.path, flags)
        try:
            self._check(descriptor)
            os.lseek(descriptor, self._offset, os.SEEK_SET)
            left = self.length
            while left:
                piece = os.read(descriptor, min(left, size))
                if not piece:
                    raise SourceChanged(self._file.path, "became shorter while it was uploaded")
                left -= len(piece)
                if not left:
                    self._check(descriptor)  # before the server gets the last byte, and with it the file
                yield piece
                del piece
        finally:
            os.close(descriptor)

    def _check(self, descriptor: int) -> None:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise SourceChanged(self._file.path, "is not a regular file any more")
        if (about.st_size, about.st_mtime_ns) != (self._file.size, self._file.modified):
            raise SourceChanged(self._file.path, "changed while it was uploaded")


class BytesSource:
    """Bytes in memory as the body of a request.

    Args:
        content: The bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def pieces(self, size: int) -> Generator[bytes, None, None]:
        """The bytes, in pieces."""
        for start in range(0, self.length, size):
            yield self._content[start : start + size]
