"""Uploads and downloads through the manager, up to v5: multipart, several files per request, nothing to be continued.

==========  ==============================================================================
Upload      ``POST F/upload``, ``multipart/form-data``, one part ``src`` per file
Download    ``GET F/download`` with ``{"files": [...]}``, answered with ``multipart/mixed``
==========  ==============================================================================
"""

from __future__ import annotations

import secrets
import urllib.parse
from collections.abc import Generator, Iterator, Sequence
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import PurePosixPath
from typing import Final

from ai.backend.client._upload import file_disposition
from ai.backend.client.exceptions import BackendError, InvalidReply, TransferError
from ai.backend.client.functions.base import Offload, Recipe
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.listing import list_directory
from ai.backend.client.functions.transfer.partial_file import PartialFile
from ai.backend.client.functions.transfer.patience import Patience
from ai.backend.client.functions.transfer.progress import FileProgress, RunCallback
from ai.backend.client.functions.transfer.sources import FileSource, LocalFile
from ai.backend.client.transfer import Head, OnBytes, Source, Transfer

MAX_FILES: Final = 10
"""Files per request: the manager answers 400 "Too many files!" beyond."""

MAX_HEAD = 65536
"""Bytes of the headers of one part."""


class FormSource:
    """Files as a form.

    Args:
        files: The files' names for the server, and their contents.

    Attributes:
        places: Where the content of each begins, and how long it is.
    """

    def __init__(self, files: Sequence[tuple[str, Source]]) -> None:
        self._boundary = secrets.token_hex(16)
        self._parts = [(self._head(name), content) for name, content in files]
        self._end = f"\r\n--{self._boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={self._boundary}"
        self.length = 0
        self.places: list[tuple[int, int]] = []
        for head, content in self._parts:
            self.places.append((self.length + len(head), content.length))
            self.length += len(head) + content.length
        self.length += len(self._end)

    def _head(self, name: str) -> bytes:
        return (
            f"\r\n--{self._boundary}\r\n"
            f"Content-Disposition: {file_disposition(name)}\r\n"
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()

    def pieces(self, size: int) -> Generator[bytes, None, None]:
        """The form, in pieces. Raises as the contents' own do."""
        for head, content in self._parts:
            yield head
            yield from content.pieces(size)
        yield self._end

    def spread(self, progress: Sequence[FileProgress]) -> OnBytes:
        """What to call with the bytes of the form that have moved, so that each of its files counts its own."""
        reports = [one.at(0) for one in progress]
        done = [-1] * len(self.places)

        def moved(count: int, run: RunCallback) -> None:
            for index, (start, size) in enumerate(self.places):
                now = min(max(count - start, 0), size)
                if now != done[index] and count >= start:
                    done[index] = now
                    reports[index](now, run)

        return moved


def upload_batch(context: TransferContext, files: Sequence[tuple[str, LocalFile]]) -> Recipe[list[str]]:
    """Upload at most :data:`MAX_FILES` files with one request; the value is their paths in the folder."""
    patience = Patience(context.max_retries)
    progress = [context.meter.file(name, file.size) for name, file in files]
    while True:
        form = FormSource([(name, FileSource(file, 0, file.size)) for name, file in files])
        try:
            yield Transfer(
                "POST",
                f"{context.base}/upload",
                source=form,
                content_type=form.content_type,
                piece=context.piece,
                on_bytes=form.spread(progress),
                idempotent=True,  # it replaces files by the same
            )
            return [name for name, _ in files]
        except BackendError as error:
            yield patience.after(error)


def check_sizes(context: TransferContext, files: Sequence[tuple[str, LocalFile]]) -> Recipe[None]:
    """See whether all files are there, with their sizes. One listing per directory.

    Raises:
        TransferError: One is not.
    """
    sizes: dict[str, dict[str, int]] = {}
    for name, file in files:
        path = PurePosixPath(name)
        directory = str(path.parent)
        if directory not in sizes:
            entries = yield from list_directory(context, directory)
            sizes[directory] = {entry.name: entry.size for entry in entries}
        if sizes[directory].get(path.name) != file.size:
            raise TransferError(name, f"does not have {file.size} bytes in the folder")


def download_batch(
    context: TransferContext, parts: Sequence[tuple[str, PartialFile]], overwrite: bool
) -> Recipe[list[str]]:
    """Download at most :data:`MAX_FILES` files with one request; the value is where they are."""
    patience = Patience(context.max_retries)
    paths = [path for path, _ in parts]
    targets = [part for _, part in parts]
    arrivals = _Arrivals([(context.meter.file(path, None), part) for path, part in parts])
    while True:
        yield Offload(_prepare, targets, overwrite)
        try:
            yield Transfer(
                "GET",
                f"{context.base}/download",
                json={"files": paths},
                sink=_Mixed(parts, overwrite).receive,
                piece=context.piece,
                on_bytes=arrivals.moved,
            )
        except BackendError as error:
            yield patience.after(error)
        else:
            arrivals.report()
            return [part.target for part in targets]


def _prepare(parts: Sequence[PartialFile], overwrite: bool) -> None:
    for part in parts:
        part.prepare(overwrite)


class _Arrivals:
    """Reports files that come together, each when it is there: its length is not known before."""

    def __init__(self, files: list[tuple[FileProgress, PartialFile]]) -> None:
        self._waiting = files
        self._run: RunCallback | None = None

    def moved(self, _: int, run: RunCallback) -> None:
        """Something came."""
        self._run = run
        self.report()

    def report(self) -> None:
        """Report what is there."""
        while self._run is not None and self._waiting and self._waiting[0][1].total is not None:
            progress, part = self._waiting.pop(0)
            progress.expect(part.total)
            progress.at(0)(part.offset, self._run)


class _Mixed:
    """A ``multipart/mixed`` answer (RFC 2046, section 5.1.1) on its way to disk.

    Args:
        parts: What was asked for, in that order.
        overwrite: Whether the files may replace what is there.
    """

    def __init__(self, parts: Sequence[tuple[str, PartialFile]], overwrite: bool) -> None:
        self._parts = parts
        self._overwrite = overwrite
        self._stored: list[PartialFile] = []  # and without their names still
        self._pieces: Iterator[bytes] = iter(())
        self._buffer = b"\r\n"  # the first boundary is at a line's beginning, too
        self._delimiter = b""

    def receive(self, head: Head, pieces: Iterator[bytes]) -> None:
        """Take the answer. A sink.

        Raises:
            InvalidReply: It is not what was asked for, or is damaged. Nothing of it stays.
        """
        try:
            self._receive(head, pieces)
            while self._stored:
                self._stored[0].finish(self._overwrite)
                del self._stored[0]
        except BaseException as error:
            for part in self._stored:
                part.discard()
            if isinstance(error, ValueError):  # the standard library's, on odd parameters of a header
                raise InvalidReply("a header of the multipart answer is damaged", head.status) from None
            raise

    def _receive(self, head: Head, pieces: Iterator[bytes]) -> None:
        about = Message()
        about["Content-Type"] = head.headers.get("Content-Type", "")
        boundary = about.get_boundary()
        if about.get_content_maintype() != "multipart" or not boundary:
            raise InvalidReply(f"files were asked for, {about.get_content_type()} came", head.status)
        self._pieces = pieces
        self._delimiter = f"\r\n--{boundary}".encode("latin-1", "replace")
        for _ in self._until_delimiter():
            pass  # what stands in front of the first part means nothing
        for path, part in self._parts:
            if self._is_last():
                raise InvalidReply("there are fewer files than were asked for", head.status)
            self._check_head(path, self._head())
            part.store(self._until_delimiter())
            self._stored.append(part)
        if not self._is_last():
            raise InvalidReply("there are more files than were asked for", head.status)
        for _ in pieces:
            pass  # nor does what stands behind the last

    def _more(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            raise InvalidReply("the multipart answer is cut short")
        self._buffer += piece

    def _is_last(self) -> bool:
        """Whether the delimiter that was taken is the last one."""
        while len(self._buffer) < 2:
            self._more()
        return self._buffer.startswith(b"--")

    def _until_delimiter(self) -> Iterator[bytes]:
        """What comes before the next delimiter, which is taken too."""
        keep = len(self._delimiter) - 1
        while (end := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > keep:
                content, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
                yield content
            self._more()
        content, self._buffer = self._buffer[:end], self._buffer[end + len(self._delimiter) :]
        if content:
            yield content

    def _head(self) -> Message:
        """Headers of a part, from behind the delimiter."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                raise InvalidReply("a part of the multipart answer has no end of its headers")
            self._more()
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        padding, _, fields = head.partition(b"\r\n")
        if padding.strip(b" \t"):
            raise InvalidReply("a delimiter of the multipart answer is damaged")
        return BytesHeaderParser().parsebytes(fields)

    @staticmethod
    def _check_head(path: str, head: Message) -> None:
        # The encoding is not looked at: servers before 19.09.4 named one without applying it.
        given, name = head.get_filename(), PurePosixPath(path).name
        if given is not None and PurePosixPath(urllib.parse.unquote(given)).name not in (
            name,
            urllib.parse.unquote(name),
        ):
            raise InvalidReply(f"{path!r} was asked for, {given!r:.80} came")
