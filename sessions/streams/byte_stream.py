"""Bodies read piece by piece."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

from urllib3.exceptions import ProtocolError

from ai.backend.client.actors.call import Options
from ai.backend.client.functions.streams.byte_stream import BytesSpec
from ai.backend.client.sessions.streams.driver import StreamDriver
from ai.backend.client.sessions.wire.pool import MalformedAnswer


class BytesDriver(StreamDriver[bytes]):
    """A body that is being read."""

    def __init__(self, streams: Any, spec: BytesSpec, options: Options) -> None:
        super().__init__(streams, spec, options)
        self._chunk_size = spec.chunk_size

    @staticmethod
    def size_of(item: bytes) -> int:
        """Bytes that a piece takes."""
        return len(item)

    def serve(self) -> BaseException | None:
        """Read to the end."""
        set_silence(self._raw, self._options.timeout)
        try:
            for piece in self._raw.iter_content(self._chunk_size):
                if piece and not self._channel.put(piece):
                    return None
        except ValueError as error:  # http.client's arithmetic on odd framing
            raise MalformedAnswer("its framing is broken") from error
        return None


def set_silence(raw: Any, seconds: float | None) -> None:
    """Set how long the server may be silent in the middle of an answer; None: no limit."""
    sock = getattr(getattr(raw.raw, "connection", None), "sock", None)
    if sock is not None:  # otherwise the body has been read already, or is that of a mocking library
        sock.settimeout(seconds)


def body_reader(raw: Any) -> Callable[[int], bytes]:
    """The way to read an answer's body as it comes: a function that returns at most as many bytes as asked for.

    http.client undoes the framing; what urllib3 puts above it would wait for whole blocks.
    """
    answer = getattr(raw.raw, "_original_response", None)
    if answer is None:  # see set_silence
        whole: Callable[[int], bytes] = raw.raw.read
        return whole

    def read(size: int) -> bytes:
        try:
            data: bytes = answer.read1(size)
        except http.client.IncompleteRead:
            raise EOFError("the connection ended in the middle of the answer") from None
        except http.client.HTTPException as error:
            raise ProtocolError("Connection broken", error) from error
        return data

    return read
