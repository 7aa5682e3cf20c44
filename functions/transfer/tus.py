"""Uploading a file to a storage proxy with tus 1.0.0 (https://tus.io/protocols/resumable-upload).

::

    manager  POST F/request-upload {path, size}      a ticket: address and token
    proxy    PATCH <url>?token=…   Upload-Offset     one chunk; 204 with the new Upload-Offset. Until all is there
    proxy    HEAD  <url>?token=…                     after a break: Upload-Offset says where to go on

What the servers of 20.09 to 23.09 make of it, and is minded here:

* They append whatever comes, at whatever offset: two PATCHes at once spoil the file. So after a break the offset is
  asked until it stands still, and an answer with another offset than expected starts the file over.
* The file takes its name with the PATCH that completes it, an empty one too. Afterwards the token leads to 404.
* A token expires, and a new one begins a new upload.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendError,
    ConnectTimeout,
    InvalidReply,
    NeverSent,
    TransferError,
)
from ai.backend.client.functions.base import Offload, Pause, Recipe
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.listing import list_directory
from ai.backend.client.functions.transfer.patience import Patience, may_pass
from ai.backend.client.functions.transfer.proxy import (
    NOT_FOUND,
    TOKEN_REFUSED,
    ProxyTicket,
    proxy_transfer,
    request_ticket,
)
from ai.backend.client.functions.transfer.saved import Record, SavedUploads
from ai.backend.client.functions.transfer.sources import FileSource, LocalFile
from ai.backend.client.request import Response
from ai.backend.client.transfer import whole_number

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK_TYPE = "application/offset+octet-stream"

STAND_STILL = 0.1
"""Seconds between two looks at the offset after a break. What the server had received by then is stored in less."""

RESTARTS = 3
"""How often a file is started over, because its token expired or the server has other bytes than were sent."""


class _StartOver(Exception):
    """The upload that was begun is of no use any more.

    Args:
        reason: Why; raised when it was started over too often.
    """

    def __init__(self, reason: BackendError) -> None:
        super().__init__(reason)
        self.reason = reason


class TusUpload:
    """One file on its way up.

    Args:
        context: The call.
        file: The file.
        name: Its path in the folder.
        saved: Where to remember how far it is, for another process.
    """

    def __init__(self, context: TransferContext, file: LocalFile, name: str, saved: SavedUploads | None) -> None:
        self._context = context
        self._file = file
        self._name = name
        # A small file is sent with one request; to begin it again costs less than to remember it.
        self._saved = saved if saved is not None and file.size > context.chunk_size else None
        self._progress = context.meter.file(name, file.size)
        self._patience = Patience(context.max_retries)
        self._ticket: ProxyTicket | None = None
        self._offset = 0
        self._furthest = 0
        self._is_unsure = False  # of the offset
        self._is_proven = False  # the token has been accepted
        self._is_recalled = False  # another process has begun it
        self._is_complete = False
        self._was_broken = False
        self._sent_last = False  # the bytes that complete the file
        self._restarts = 0

    def run(self) -> Recipe[str]:
        """Upload it; the value is its path in the folder."""
        yield from self._recall()
        while not self._is_complete:
            try:
                if self._ticket is None:
                    yield from self._begin()
                elif self._is_unsure:
                    yield from self._look()
                else:
                    yield from self._send()
            except _StartOver as over:
                self._restarts += 1
                if self._restarts > RESTARTS:
                    raise over.reason from None
                self._ticket, self._offset, self._furthest = None, 0, 0
                self._is_unsure = self._is_proven = self._is_recalled = False
            except BackendError as error:
                if self._ticket is None or not may_pass(error):
                    raise
                self._is_unsure = self._was_broken = True
                yield self._patience.after(error)
        if self._was_broken and not (yield from self._is_there()):
            raise TransferError(self._name, f"does not have {self._file.size} bytes in the folder")
        if self._saved is not None:
            yield Offload(self._saved.forget, self._name)
        return self._name

    def _recall(self) -> Recipe[None]:
        """An upload that another process has begun."""
        if self._saved is not None:
            record: Record | None = yield Offload(self._saved.recall, self._name, self._file)
            if record is not None:
                self._ticket = ProxyTicket(record.url, record.token)
                self._is_recalled = self._is_unsure = self._was_broken = True

    def _begin(self) -> Recipe[None]:
        self._ticket = yield from request_ticket(
            self._context, "request-upload", {"path": self._name, "size": self._file.size}
        )
        if self._saved is not None:
            yield Offload(self._saved.remember, self._name, self._file, Record(*self._ticket))

    def _send(self) -> Recipe[None]:
        """Send a chunk."""
        expected = min(self._offset + self._context.chunk_size, self._file.size)
        self._sent_last = expected == self._file.size
        try:
            response = yield proxy_transfer(
                self._context,
                self._opened(),
                "PATCH",
                headers={**TUS, "Upload-Offset": str(self._offset)},
                content_type=CHUNK_TYPE,
                source=FileSource(self._file, self._offset, expected - self._offset),
                on_bytes=self._progress.at(self._offset),
            )
        except BackendAPIError as error:
            if error.status == NOT_FOUND and self._is_proven:
                self._is_unsure = self._was_broken = True
                yield self._patience.after(error, is_break=True)
                return
            raise self._refused(error) from None
        stored = _offset(response, 204)
        if stored != expected:
            raise _StartOver(TransferError(self._name, f"has {stored} bytes after {expected} were sent"))
        self._advance(stored)
        self._is_complete = self._sent_last

    def _look(self) -> Recipe[None]:
        """Ask how much has arrived, until that does not change any more."""
        previous = -1
        while True:
            try:
                response = yield proxy_transfer(self._context, self._opened(), "HEAD", headers=TUS)
            except BackendAPIError as error:
                if error.status == NOT_FOUND and self._sent_last and (yield from self._is_there()):
                    self._is_complete = True  # only the answer was lost
                    return
                if error.status == NOT_FOUND:
                    raise _StartOver(error) from None
                self._is_proven = True
                raise self._refused(error) from None
            except (NeverSent, ConnectTimeout) as error:
                if self._is_recalled:  # the storage proxy of that time may be gone for good
                    raise _StartOver(error) from None
                raise
            self._is_recalled = False
            stored = _offset(response, 200)
            if stored == previous:
                break
            if stored < previous:
                raise _StartOver(TransferError(self._name, f"has {stored} bytes after {previous} had arrived"))
            previous = stored
            yield Pause(STAND_STILL)
        if response.headers.get("Upload-Length") != str(self._file.size) or stored > self._file.size:
            raise _StartOver(TransferError(self._name, "is not what was begun to be uploaded"))
        self._advance(stored)
        self._is_unsure = False

    def _advance(self, stored: int) -> None:
        if stored > self._furthest:
            self._furthest = stored
            self._patience.renew()
        self._offset = stored
        self._is_proven = True

    def _refused(self, error: BackendAPIError) -> BackendError | _StartOver:
        """A token that was good once has expired; one that never was will not become so."""
        if self._is_proven and error.status in TOKEN_REFUSED:
            return _StartOver(error)
        return error

    def _opened(self) -> ProxyTicket:
        if self._ticket is None:
            raise RuntimeError("no upload was begun")
        return self._ticket

    def _is_there(self) -> Recipe[bool]:
        """Whether the folder has the file, by name and size."""
        path = PurePosixPath(self._name)
        entries = yield from list_directory(self._context, str(path.parent))
        return (path.name, self._file.size) in ((entry.name, entry.size) for entry in entries)


def _offset(response: Response, expected: int) -> int:
    stored = whole_number(response.headers.get("Upload-Offset", ""))
    if response.status != expected or stored is None:
        raise InvalidReply("the storage proxy does not say how much it has", response.status, response.content)
    return stored
