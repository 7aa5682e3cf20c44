"""A download on disk: a partial file next to its target, which takes the target's name when it is complete.

Everything here but the constructor blocks: it runs in native threads.

Beside a partial file that is worth to be continued lies a note of what it is a part of: size and validators of the
server's file. Both names follow from target and origin, so another process finds them. A partial file is locked while
it is written, and one that is not wholly ours is never touched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from ai.backend.client.actors.offload import commit
from ai.backend.client.actors.originals import monotonic, thread_sleep
from ai.backend.client.exceptions import InvalidReply, TargetExists, TransferError
from ai.backend.client.functions.transfer.private_files import read_private, write_private
from ai.backend.client.transfer import MAX_DIGITS, Head

WORTH_NOTING = 1 << 20
"""Bytes from which on a file is continued instead of fetched again: 1 MiB. A note costs about as much as fetching that
much over a fast network."""

LOCK_PATIENCE = 1.0
"""Seconds that a writer is waited for: one that was cancelled a moment ago has let go by then."""

_NUMBER = rf"([0-9]{{1,{MAX_DIGITS}}})"
_RANGE = re.compile(f"bytes {_NUMBER}-{_NUMBER}/{_NUMBER}").fullmatch


class Mismatch(Exception):
    """What the server sends does not continue what is there: start over."""


class PartialFile:
    """One file on its way to disk.

    Args:
        target: Where it goes.
        origin: What distinguishes its source from every other that could go there.
        resumable: Whether what is left of an earlier attempt may be continued.

    Attributes:
        offset: Bytes that are there already, and belong to the server's file if that has not changed.
        total: Bytes that there will be, None while that is not known.
        is_answered: Whether the server has begun to send the file.
    """

    def __init__(self, target: str, origin: str, resumable: bool) -> None:
        self.target = target
        self.offset = 0
        self.total: int | None = None
        self.is_answered = False
        self._resumable = resumable
        self._is_noted = False
        self._validators: dict[str, str] = {}
        place = Path(target)
        key = hashlib.sha256(f"{origin}\0{place.name}".encode()).hexdigest()[:24]
        self._path = place.with_name(f".backendai-{key}.part")
        self._note = place.with_name(f".backendai-{key}.json")

    # -- before a request ---------------------------------------------------------------------------------------------

    def prepare(self, overwrite: bool) -> None:
        """See whether the target may be written, make its directory, and find what is there of an earlier attempt.

        Raises:
            TargetExists: There is something of that name.
            OSError: The directory cannot be made.
        """
        self.check_target(overwrite)
        Path(self.target).parent.mkdir(parents=True, exist_ok=True)
        self._reset()
        if self._resumable:
            self._read_note()

    def check_target(self, overwrite: bool) -> None:
        """See whether the target may be written."""
        try:
            about = os.lstat(self.target)
        except FileNotFoundError:
            return
        if not overwrite:
            raise TargetExists(self.target)
        if stat.S_ISDIR(about.st_mode):
            raise TargetExists(self.target, "is a directory")

    def headers(self) -> dict[str, str]:
        """What to ask for: the rest, provided that the server's file is the same."""
        start = self.resume_from
        modified = self._validators.get("modified")
        if not start or modified is None:
            return {}
        # By date: servers of 23.09 take any other If-Range for none at all. The entity tag is compared in receive().
        return {"Range": f"bytes={start}-", "If-Range": modified}

    @property
    def resume_from(self) -> int:
        """Where to go on. The last byte is always asked for, since only an answer shows that nothing has changed."""
        if "modified" not in self._validators or self.total is None:
            return 0
        return max(min(self.offset, self.total - 1), 0)

    def _read_note(self) -> None:
        data = read_private(self._note)
        if data is None:
            return
        try:
            note = json.loads(data)
            have = self._path.lstat().st_size
            total, validators = note["size"], note["validators"]
            usable = (
                isinstance(total, int)
                and isinstance(validators, dict)
                and all(isinstance(text, str) and text.isascii() and text.isprintable() for text in validators.values())
                and have <= total
            )
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return
        if usable:
            self.offset, self.total, self._validators, self._is_noted = have, total, validators, True

    # -- an answer ----------------------------------------------------------------------------------------------------

    def receive(self, head: Head, pieces: Iterator[bytes]) -> None:
        """Take an answer. A sink.

        Raises:
            Mismatch: It is no continuation of what is there.
            InvalidReply: It is no answer to what was asked.
            TransferError: Another process writes the same partial file.
            OSError: The disk is full, for example.

        Whatever ends it early: what was written so far stays if it is noted, and is removed if not.
        """
        self.is_answered = True
        start = 0
        if head.status == 206:
            start = self._check_continuation(head.headers)
        elif head.status == 200:
            self.total = head.length
            self._validators = _validators(head.headers)
        else:
            raise InvalidReply("a file was asked for", head.status)
        with self._opened() as stream:
            if start == 0:
                self._forget_note()
            elif os.fstat(stream.fileno()).st_size < start:
                raise Mismatch("what was there has gone")
            stream.truncate(start)
            if start == 0:
                self._write_note()
            stream.seek(start)
            self.offset = _write(stream, pieces, self.total)
        if self.total is None:
            self.total = self.offset
        if self.offset != self.total:
            raise Mismatch(f"{self.offset} bytes came instead of {self.total}")

    def store(self, pieces: Iterator[bytes]) -> int:
        """Take a file that comes in one piece with others.

        Returns:
            Its size.
        """
        with self._opened() as stream:
            stream.truncate(0)
            self.offset = self.total = _write(stream, pieces)
        return self.offset

    def _check_continuation(self, headers: Mapping[str, str]) -> int:
        found = _RANGE(headers.get("Content-Range", "").strip())
        if found is None or not self._validators:
            raise InvalidReply("a part of a file came without its place in it, or unasked", 206)
        start, last, total = map(int, found.groups())
        if (start, last, total) != (self.resume_from, total - 1, self.total):
            raise Mismatch(f"bytes {start}-{last} of {total} came instead of {self.resume_from}- of {self.total}")
        if _validators(headers) != self._validators:
            raise Mismatch("the file has changed")
        return start

    def _write_note(self) -> None:
        if not self._resumable or self.total is None or self.total < WORTH_NOTING or "modified" not in self._validators:
            return
        write_private(self._note, json.dumps({"size": self.total, "validators": self._validators}))
        self._is_noted = True

    def _forget_note(self) -> None:
        self._note.unlink(missing_ok=True)
        self._is_noted = False

    @contextlib.contextmanager
    def _opened(self) -> Iterator[FileIO]:
        with self._open_locked() as stream:
            try:
                yield stream
            except BaseException:
                if not self._is_noted:
                    self._path.unlink(missing_ok=True)
                raise
            finally:
                with contextlib.suppress(OSError):  # else a child forked meanwhile would keep it
                    fcntl.flock(stream.fileno(), fcntl.LOCK_UN)

    def _open_locked(self) -> FileIO:
        end = monotonic() + LOCK_PATIENCE
        while True:
            stream = FileIO(self._open(), "r+")
            try:
                if self._is_ours(stream.fileno()):
                    return stream
            except BaseException:
                stream.close()
                raise
            stream.close()
            if monotonic() > end:
                raise TransferError(self.target, "is being downloaded by another call or process")
            thread_sleep(LOCK_PATIENCE / 20)

    def _is_ours(self, descriptor: int) -> bool:
        """Lock what was opened, and see whether it is still the partial file: who had it may have finished it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # the file system knows no locks
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, 0o666)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EACCES, errno.EISDIR, errno.ENXIO):
                raise
            return self._open_new()
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and about.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        return self._open_new()

    def _open_new(self) -> int:
        """Somebody else put something there."""
        self._path.unlink()
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self, overwrite: bool) -> None:
        """Give the complete file its name.

        Raises:
            TransferError: It has another size than was announced.
            TargetExists: Meanwhile there is something of that name.
            OSError: It cannot be given the name.

        What is not noted is removed then.
        """
        with self._opened() as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != self.total:
                raise TransferError(self.target, f"has {size} bytes instead of {self.total}")
            self.check_target(overwrite)
            with commit():
                if overwrite or not self._link():
                    self._path.replace(self.target)
            self._forget_note()

    def _link(self) -> bool:
        """A new name instead of a changed one, since that replaces nothing. Not every file system has it."""
        try:
            os.link(self._path, self.target)
        except FileExistsError:
            raise TargetExists(self.target) from None
        except OSError:
            return False
        self._path.unlink(missing_ok=True)
        return True

    def discard(self) -> None:
        """Remove what came so far."""
        self._reset()
        self._forget_note()
        self._path.unlink(missing_ok=True)

    def _reset(self) -> None:
        self.offset, self.total, self._validators, self._is_noted = 0, None, {}, False


def _write(stream: FileIO, pieces: Iterator[bytes], end: int | None = None) -> int:
    """Write everything, up to a known end; returns where the file ends then."""
    for piece in pieces:
        if end is not None and stream.tell() + len(piece) > end:
            raise Mismatch(f"more than {end} bytes came")
        written = stream.write(piece)
        while written < len(piece):
            written += stream.write(memoryview(piece)[written:])
    return stream.tell()


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, Any] = {"modified": headers.get("Last-Modified"), "tag": headers.get("ETag")}
    return {name: value for name, value in found.items() if value}
