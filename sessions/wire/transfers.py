"""Both ends of a large body on a lane: read from its source while it is sent, written to its sink while it comes.

Functions of this module run on a lane.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import requests

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.pipes import ToThread
from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.sessions.wire.bodies import SourceFailed, TransferBody
from ai.backend.client.sessions.wire.failures import FAILURES, translate
from ai.backend.client.transfer import Head, Poured, Source, Transfer

Moved = Callable[[int], object]
"""Told after each piece how many bytes of the body have moved."""


class SinkFailed(Exception):
    """A body could not be written. Not an error of the exchange.

    Args:
        error: What its sink raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """Runs in a native thread. The error is a value, lest it be taken for one thrown into the lane."""
    try:
        return function(*args), None
    except BaseException as error:  # noqa: BLE001  # handed over
        return None, error


def outgoing(hub: Hub, request: Transfer, moved: Moved) -> tuple[Any, int | None]:
    """The body of a request, and its length.

    Raises:
        SourceFailed: A small one, which is read at once, could not be read.
    """
    source = request.source
    if source is None:
        return request.body, None if request.body is None else len(request.body)
    if source.length > request.piece:
        return TransferBody(hub, source, request.piece, moved), source.length
    data, error = hub.offload(outcome, _whole, (source,))
    if error is not None:
        raise SourceFailed(error)
    return data, len(data)


def _whole(source: Source) -> bytes:
    data = b"".join(source.pieces(max(source.length, 1)))
    if len(data) != source.length:
        raise ValueError(f"a body of {source.length} bytes has {len(data)}")
    return data


def stream_to_sink(hub: Hub, raw: requests.Response, request: Transfer, moved: Moved) -> Poured:
    """Let the body of an answer run into the sink.

    Raises:
        SinkFailed: The sink raised an error of its own.
        InvalidReply: The body is encoded, which was not asked for: to decode it would take memory without a limit.
        BackendError: The body ended early; the sink has been told, and has ended.
    """
    encoding = raw.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raw.close()
        raise InvalidReply(f"a file was sent with the encoding {encoding!r:.40}, unasked", raw.status_code)
    head = Head(raw.status_code, raw.headers)
    sink = functools.partial(request.sink or _discard, head)
    if head.length is not None and head.length <= request.piece:
        data = b"".join(raw.iter_content(request.piece))
        value, error = hub.offload(outcome, sink, (iter((data,) if data else ()),))
        moved(len(data))
    else:
        value, error = _stream_in_pieces(hub, raw, sink, request.piece, moved)
    if error is not None:
        raise SinkFailed(error)
    return Poured(raw.status_code, value, raw)


def _discard(_: Head, pieces: Iterator[bytes]) -> None:
    for _piece in pieces:
        pass


def _stream_in_pieces(
    hub: Hub, raw: requests.Response, sink: Callable[..., Any], piece: int, moved: Moved
) -> tuple[Any, BaseException | None]:
    pipe = ToThread(hub, piece)
    pipe.start(sink)
    count = 0
    try:
        try:
            for part in raw.iter_content(piece):
                if not pipe.put(part):
                    raw.close()
                    break
                count += len(part)
                moved(count)
                del part
        except FAILURES as failure:
            error = translate(failure)
            _, own = pipe.finish(error)
            if own is not None and own is not error:
                return None, own
            raise error from error.__cause__
        return pipe.finish()
    except BaseException:
        pipe.abandon()
        raise
