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

So an upload is in one of these states, each with one thing to do:

========  ==================================================  =====================================
State     What is known                                       What it does
========  ==================================================  =====================================
NEW       nothing is begun                                    asks for a ticket
FRESH     a ticket that no proxy has accepted yet             sends the first chunk
SENDING   an accepted ticket, and the offset                  sends the next chunk
RECALLED  a ticket of another process, and no offset          asks for the offset
LOOKING   a ticket, and no offset                             asks for the offset
LOST      a ticket that leads to 404                          after the last chunk: looks in the folder
CHECKING  all bytes were accepted                             after a break: looks in the folder
DONE      the file is in the folder                           ends
========  ==================================================  =====================================

and what comes of that moves it. Any other error (a changed file, a refusal that is none of the token, a manager that
fails) ends the upload.

========  ========  ========  =======
State     Event     Next      Action
========  ========  ========  =======
NEW       TICKET    FRESH     GO
FRESH     STORED    SENDING   GO
FRESH     COMPLETE  CHECKING  GO
FRESH     BROKEN    LOOKING   WAIT
FRESH     WRONG     NEW       RESTART
FRESH     GONE      FRESH     FAIL
FRESH     REFUSED   FRESH     FAIL
SENDING   STORED    SENDING   GO
SENDING   COMPLETE  CHECKING  GO
SENDING   BROKEN    LOOKING   WAIT
SENDING   GONE      LOOKING   WAIT
SENDING   WRONG     NEW       RESTART
SENDING   REFUSED   NEW       RESTART
RECALLED  MOVED     LOOKING   PAUSE
RECALLED  BROKEN    RECALLED  WAIT
RECALLED  GONE      NEW       RESTART
RECALLED  REFUSED   NEW       RESTART
LOOKING   MOVED     LOOKING   PAUSE
LOOKING   STANDS    SENDING   GO
LOOKING   BROKEN    LOOKING   WAIT
LOOKING   GONE      LOST      GO
LOOKING   WRONG     NEW       RESTART
LOOKING   REFUSED   NEW       RESTART
LOST      THERE     DONE      GO
LOST      MISSING   NEW       RESTART
LOST      BROKEN    LOST      WAIT
CHECKING  THERE     DONE      GO
CHECKING  MISSING   CHECKING  FAIL
========  ========  ========  =======
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

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
from ai.backend.client.functions.transfer.sources import FileSource, LocalFile
from ai.backend.client.functions.transfer.upload_records import Record, SavedUploads
from ai.backend.client.request import Response
from ai.backend.client.transfer import whole_number

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK_TYPE = "application/offset+octet-stream"

STAND_STILL = 0.1
"""Seconds between two looks at the offset after a break. What the server had received by then is stored in less."""

RESTARTS = 3
"""How often a file is started over, because its token expired or the server has other bytes than were sent."""

UNSEEN = -1
"""In place of an offset that was not asked for yet."""


class UploadState(enum.Enum):
    """Where an upload is; see the module."""

    NEW = enum.auto()
    FRESH = enum.auto()
    SENDING = enum.auto()
    RECALLED = enum.auto()
    LOOKING = enum.auto()
    LOST = enum.auto()
    CHECKING = enum.auto()
    DONE = enum.auto()


class Event(enum.Enum):
    """What came of a step."""

    TICKET = enum.auto()
    """The manager gave a ticket."""
    STORED = enum.auto()
    """The proxy has the chunk."""
    COMPLETE = enum.auto()
    """The proxy has the last chunk."""
    MOVED = enum.auto()
    """The offset is another than at the look before, or this was the first look."""
    STANDS = enum.auto()
    """The offset is that of the look before."""
    WRONG = enum.auto()
    """The proxy has something else than was sent."""
    BROKEN = enum.auto()
    """The request failed in a way that may pass."""
    GONE = enum.auto()
    """The proxy does not know the upload; or one that was recalled has a proxy that cannot be reached any more."""
    REFUSED = enum.auto()
    """The proxy refuses the token."""
    THERE = enum.auto()
    """The folder has the file, with its size."""
    MISSING = enum.auto()
    """The folder does not have it."""


class Action(enum.Enum):
    """What a move does."""

    GO = enum.auto()
    """Nothing else."""
    WAIT = enum.auto()
    """Count a break, and wait. Raises the error when there were too many in a row."""
    PAUSE = enum.auto()
    """Wait for :data:`STAND_STILL`."""
    RESTART = enum.auto()
    """Forget what was begun. Raises the latest error beyond :data:`RESTARTS`."""
    FAIL = enum.auto()
    """Raise the error."""


_S, _E, _A = UploadState, Event, Action

MOVES: Final[Mapping[tuple[UploadState, Event], tuple[UploadState, Action]]] = {
    (_S.NEW, _E.TICKET): (_S.FRESH, _A.GO),
    (_S.FRESH, _E.STORED): (_S.SENDING, _A.GO),
    (_S.FRESH, _E.COMPLETE): (_S.CHECKING, _A.GO),
    (_S.FRESH, _E.BROKEN): (_S.LOOKING, _A.WAIT),
    (_S.FRESH, _E.WRONG): (_S.NEW, _A.RESTART),
    (_S.FRESH, _E.GONE): (_S.FRESH, _A.FAIL),
    (_S.FRESH, _E.REFUSED): (_S.FRESH, _A.FAIL),  # what never was good does not become so
    (_S.SENDING, _E.STORED): (_S.SENDING, _A.GO),
    (_S.SENDING, _E.COMPLETE): (_S.CHECKING, _A.GO),
    (_S.SENDING, _E.BROKEN): (_S.LOOKING, _A.WAIT),
    (_S.SENDING, _E.GONE): (_S.LOOKING, _A.WAIT),
    (_S.SENDING, _E.WRONG): (_S.NEW, _A.RESTART),
    (_S.SENDING, _E.REFUSED): (_S.NEW, _A.RESTART),  # it was good, and has expired
    (_S.RECALLED, _E.MOVED): (_S.LOOKING, _A.PAUSE),
    (_S.RECALLED, _E.BROKEN): (_S.RECALLED, _A.WAIT),
    (_S.RECALLED, _E.GONE): (_S.NEW, _A.RESTART),
    (_S.RECALLED, _E.REFUSED): (_S.NEW, _A.RESTART),
    (_S.LOOKING, _E.MOVED): (_S.LOOKING, _A.PAUSE),
    (_S.LOOKING, _E.STANDS): (_S.SENDING, _A.GO),
    (_S.LOOKING, _E.BROKEN): (_S.LOOKING, _A.WAIT),
    (_S.LOOKING, _E.GONE): (_S.LOST, _A.GO),
    (_S.LOOKING, _E.WRONG): (_S.NEW, _A.RESTART),
    (_S.LOOKING, _E.REFUSED): (_S.NEW, _A.RESTART),
    (_S.LOST, _E.THERE): (_S.DONE, _A.GO),  # only the answer was lost
    (_S.LOST, _E.MISSING): (_S.NEW, _A.RESTART),
    (_S.LOST, _E.BROKEN): (_S.LOST, _A.WAIT),
    (_S.CHECKING, _E.THERE): (_S.DONE, _A.GO),
    (_S.CHECKING, _E.MISSING): (_S.CHECKING, _A.FAIL),
}
"""The table of the module."""


class TusUpload:
    """One file on its way up.

    Args:
        context: The call.
        file: The file.
        name: Its path in the folder.
        saved: Where to remember how far it is, for another process.

    Attributes:
        state: Where it is.
    """

    def __init__(self, context: TransferContext, file: LocalFile, name: str, saved: SavedUploads | None) -> None:
        self._context = context
        self._file = file
        self._name = name
        # A small file is sent with one request; to begin it again costs less than to remember it.
        self._saved = saved if saved is not None and file.size > context.chunk_size else None
        self._progress = context.meter.file(name, file.size)
        self._patience = Patience(context.max_retries)
        self._ticket = ProxyTicket("", "")
        self._offset = 0
        self._seen = UNSEEN  # the offset at the latest look
        self._furthest = 0
        self._was_broken = False
        self._restarts = 0
        self._error: BackendError | None = None  # the latest
        self.state = UploadState.NEW

    def run(self) -> Recipe[str]:
        """Upload it; the value is its path in the folder."""
        yield from self._recall()
        while self.state is not UploadState.DONE:
            event = yield from self._step()
            yield from self.move(event)
        if self._saved is not None:
            yield Offload(self._saved.forget, self._name)
        return self._name

    def move(self, event: Event) -> Recipe[None]:
        """One move of the table.

        Raises:
            BackendError: The upload ends here.
            RuntimeError: The table has no such move: a defect.
        """
        try:
            self.state, action = MOVES[self.state, event]
        except KeyError:
            raise RuntimeError(f"an upload that is {self.state.name} cannot meet {event.name}") from None
        match action:
            case Action.WAIT:
                self._was_broken, self._seen = True, UNSEEN
                yield self._patience.after(self._reason(), is_break=True)
            case Action.PAUSE:
                yield Pause(STAND_STILL)
            case Action.RESTART:
                self._restarts += 1
                if self._restarts > RESTARTS:
                    raise self._reason() from None
                self._offset, self._furthest, self._seen = 0, 0, UNSEEN
            case Action.FAIL:
                raise self._reason() from None

    def _reason(self) -> BackendError:
        if self._error is None:
            raise RuntimeError("nothing has failed")
        return self._error

    def _recall(self) -> Recipe[None]:
        """An upload that another process has begun."""
        if self._saved is not None:
            record: Record | None = yield Offload(self._saved.recall, self._name, self._file)
            if record is not None:
                self._ticket = ProxyTicket(record.url, record.token)
                self.state, self._was_broken = UploadState.RECALLED, True

    # -- what each state does -----------------------------------------------------------------------------------------

    def _step(self) -> Recipe[Event]:
        """What the state has to do.

        Raises:
            BackendError: An error that is no event: the upload ends.
        """
        try:
            match self.state:
                case UploadState.NEW:
                    return (yield from self._begin())
                case UploadState.FRESH | UploadState.SENDING:
                    return (yield from self._send())
                case UploadState.RECALLED | UploadState.LOOKING:
                    return (yield from self._look())
                case _:
                    return (yield from self._find())
        except BackendError as error:
            event = self._event_of(error)
            if event is None:
                raise
            self._error = error
            return event

    def _begin(self) -> Recipe[Event]:
        body = {"path": self._name, "size": self._file.size}
        self._ticket = yield from request_ticket(self._context, "request-upload", body)
        if self._saved is not None:
            yield Offload(self._saved.remember, self._name, self._file, Record(*self._ticket))
        return Event.TICKET

    def _send(self) -> Recipe[Event]:
        """Send a chunk."""
        end = self._chunk_end
        response = yield proxy_transfer(
            self._context,
            self._ticket,
            "PATCH",
            headers={**TUS, "Upload-Offset": str(self._offset)},
            content_type=CHUNK_TYPE,
            source=FileSource(self._file, self._offset, end - self._offset),
            on_bytes=self._progress.at(self._offset),
        )
        stored = _offset(response, 204)
        if stored != end:
            return self._wrong(f"has {stored} bytes after {end} were sent")
        self._advance(stored)
        return Event.COMPLETE if stored == self._file.size else Event.STORED

    @property
    def _chunk_end(self) -> int:
        return min(self._offset + self._context.chunk_size, self._file.size)

    def _look(self) -> Recipe[Event]:
        """Ask how much has arrived."""
        response = yield proxy_transfer(self._context, self._ticket, "HEAD", headers=TUS)
        stored = _offset(response, 200)
        if stored < self._seen:
            return self._wrong(f"has {stored} bytes after {self._seen} had arrived")
        if stored != self._seen:
            self._seen = stored
            return Event.MOVED
        if response.headers.get("Upload-Length") != str(self._file.size) or stored > self._file.size:
            return self._wrong("is not what was begun to be uploaded")
        self._advance(stored)
        return Event.STANDS

    def _find(self) -> Recipe[Event]:
        """Look whether the folder has the file, by name and size, where that is in doubt."""
        if self.state is UploadState.LOST:
            if self._chunk_end < self._file.size:
                return Event.MISSING  # what was sent last did not complete it
        elif not self._was_broken:
            return Event.THERE
        path = PurePosixPath(self._name)
        entries = yield from list_directory(self._context, str(path.parent))
        if (path.name, self._file.size) in ((entry.name, entry.size) for entry in entries):
            return Event.THERE
        if self.state is UploadState.CHECKING:
            self._error = TransferError(self._name, f"does not have {self._file.size} bytes in the folder")
        return Event.MISSING

    def _event_of(self, error: BackendError) -> Event | None:
        """The event that an error of a step is; None: none."""
        if self.state is UploadState.LOST:
            return Event.BROKEN if may_pass(error) else None
        if self.state in (UploadState.NEW, UploadState.CHECKING):
            return None
        if isinstance(error, BackendAPIError) and error.status == NOT_FOUND:
            return Event.GONE
        if isinstance(error, BackendAPIError) and error.status in TOKEN_REFUSED:
            return Event.REFUSED
        if self.state is UploadState.RECALLED and isinstance(error, NeverSent | ConnectTimeout):
            return Event.GONE  # the storage proxy of that time may be gone for good
        return Event.BROKEN if may_pass(error) else None

    def _wrong(self, what: str) -> Event:
        self._error = TransferError(self._name, what)
        return Event.WRONG

    def _advance(self, stored: int) -> None:
        if stored > self._furthest:
            self._furthest = stored
            self._patience.renew()
        self._offset = stored


def _offset(response: Response, expected: int) -> int:
    stored = whole_number(response.headers.get("Upload-Offset", ""))
    if response.status != expected or stored is None:
        raise InvalidReply("the storage proxy does not say how much it has", response.status, response.content)
    return stored
