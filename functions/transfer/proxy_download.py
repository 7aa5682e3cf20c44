"""Downloading a file from a storage proxy.

::

    manager  POST F/request-download {path, archive}       a ticket: address and token
    proxy    GET <url>?token=…                             200 with the file
    proxy    GET <url>?token=…  Range, If-Range            after a break: 206 with the rest, or 200 if it has changed

A directory comes as a zip file that is made on the way: without length, and never continued.
"""

from __future__ import annotations

from collections.abc import Iterator

from ai.backend.client.exceptions import BackendAPIError, BackendError, ConnectionLost, TransferError
from ai.backend.client.functions.base import Offload, Recipe
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.partial_file import Mismatch, PartialFile
from ai.backend.client.functions.transfer.patience import Patience
from ai.backend.client.functions.transfer.progress import RunCallback
from ai.backend.client.functions.transfer.proxy import TOKEN_REFUSED, ProxyTicket, proxy_transfer, request_ticket
from ai.backend.client.transfer import Head

RANGE_REFUSED = 416

LINE_BREAK = "has a line break in its name: the storage proxy takes such files, but cannot send them; rename it"
"""As storage proxies up to 26.9 at least: they write the name into a header, and give up when they see it."""

RESTARTS = 3
"""How often a file is fetched from its start again because it changed meanwhile, or what came did not fit."""


class ProxyDownload:
    """One file on its way down.

    Args:
        context: The call.
        path: Its path in the folder.
        part: Where it goes.
        overwrite: Whether it may replace what is there.
        archive: Whether it is a directory to be fetched as a zip file.
    """

    def __init__(self, context: TransferContext, path: str, part: PartialFile, overwrite: bool, archive: bool) -> None:
        self._context = context
        self._path = path
        self._part = part
        self._overwrite = overwrite
        self._archive = archive
        self._progress = context.meter.file(path, None)
        self._patience = Patience(context.max_retries)
        self._ticket: ProxyTicket | None = None
        self._report = self._progress.at(0)
        self._restarts = 0
        self._furthest = 0

    def run(self) -> Recipe[str]:
        """Download it; the value is where it is."""
        while not (yield from self._attempt()):
            pass
        return self._part.target

    def _attempt(self) -> Recipe[bool]:
        """One request; returns whether the file is complete."""
        yield Offload(self._part.prepare, self._overwrite)
        if self._part.offset > self._furthest:
            self._furthest = self._part.offset
            self._patience.renew()
        if self._ticket is None:
            body = {"path": self._path, "archive": True} if self._archive else {"path": self._path}
            self._ticket = yield from request_ticket(self._context, "request-download", body)
        self._report = self._progress.at(self._part.resume_from)
        try:
            yield proxy_transfer(
                self._context,
                self._ticket,
                "GET",
                params={"archive": "true"} if self._archive else {},
                headers=self._part.headers(),
                sink=self._receive,
                on_bytes=self._moved,
            )
        except Mismatch as mismatch:
            yield from self._start_over(TransferError(self._path, str(mismatch)))
            return False
        except BackendAPIError as error:
            if error.status == RANGE_REFUSED and self._part.resume_from:
                yield from self._start_over(error)
            elif error.status in TOKEN_REFUSED and self._part.is_answered:
                self._ticket, self._part.is_answered = None, False  # its token was good, and has expired
            else:
                yield self._patience.after(error)
            return False
        except BackendError as error:
            if isinstance(error, ConnectionLost) and not self._part.is_answered and _has_line_break(self._path):
                raise TransferError(self._path, LINE_BREAK) from error
            yield self._patience.after(error)
            return False
        return True

    def _start_over(self, reason: BackendError) -> Recipe[None]:
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise reason from None
        yield Offload(self._part.discard)

    def _receive(self, head: Head, pieces: Iterator[bytes]) -> None:
        if self._archive and "zip" not in head.headers.get("Content-Type", ""):
            raise TransferError(self._path, "is not a directory, so it is not sent as an archive")
        self._part.receive(head, pieces)
        self._part.finish(self._overwrite)  # at once: who is cancelled from here on leaves nothing behind

    def _moved(self, count: int, run: RunCallback) -> None:
        self._progress.expect(self._part.total)
        self._report(count, run)


def _has_line_break(path: str) -> bool:
    return not {"\r", "\n"}.isdisjoint(path.rpartition("/")[2])
