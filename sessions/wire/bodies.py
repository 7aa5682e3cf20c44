"""How large bodies travel: the fast path of :mod:`~ai.backend.client.sessions.wire.pool`, piece by piece.

Connections of this kind have pools of their own, so that the simple request pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from urllib3.exceptions import IncompleteRead, ProtocolError, ReadTimeoutError

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.net import sockets
from ai.backend.client.actors.pipes import FromThread
from ai.backend.client.sessions.wire.endpoints import Endpoint
from ai.backend.client.sessions.wire.pool import (
    ERRORS,
    HEAD_LIMIT,
    RECV,
    FastPath,
    HubPool,
    MalformedAnswer,
    NothingSent,
    PlainReply,
    TLSHubPool,
    read_head,
    request_block,
    without_interim,
)
from ai.backend.client.transfer import Source


class Origin(Endpoint):
    """A server of large bodies: a storage proxy, or a manager once more, with connections of its own."""

    __slots__ = ()


class SourceFailed(Exception):
    """A body could not be read. Not an error of the exchange, so it must pass the HTTP libraries untouched.

    Args:
        error: What its source raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


INTERIM = b"HTTP/1.1 1"
"""How answers begin that announce others. Nobody asks for them, but proxies may send them."""


class TransferBody:
    """A request's body. Iterating sends it; iterating again sends it again.

    Args:
        hub: Where the lane lives that sends it.
        source: Where it comes from.
        piece: Bytes to handle at a time.
        moved: Called after each piece with the bytes sent so far.
    """

    def __init__(self, hub: Hub, source: Source, piece: int, moved: Any) -> None:
        self._hub = hub
        self._source = source
        self._piece = piece
        self._moved = moved
        self.length = source.length

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        pipe = FromThread(self._hub, self._piece, self._source.pieces(self._piece))
        try:
            for piece in pipe:
                sent += len(piece)
                if sent > self.length:
                    break
                yield piece
                self._moved(sent)
            if sent != self.length:
                raise ValueError(f"a body of {self.length} bytes had {sent}")
        except Exception as error:  # noqa: BLE001  # whatever its source raises
            raise SourceFailed(error) from None
        finally:
            pipe.abandon()


class BodyReply(PlainReply):
    """An answer whose body is still on the wire. It has to be read to its end, or closed."""

    __slots__ = ("_connection", "_left", "_pool")

    def __init__(
        self, pool: _TransferPath, connection: Any, status: int, reason: str, head: bytes, start: bytes, length: int
    ) -> None:
        super().__init__(status, reason, head, start)
        self._pool = pool
        self._connection = connection
        self._left = length - len(start)

    def read(self, *_: Any, **__: Any) -> bytes:
        """What is left of the body."""
        return b"".join(self.stream())

    def stream(self, size: int = RECV, **_: Any) -> Iterator[bytes]:
        """The body in pieces of at most ``size``."""
        if self._connection is None:
            return
        sock: sockets.HubSocket = self._connection.sock
        start, self.data = self.data, b""
        try:
            if start:
                yield start
            while self._left:
                part = sock.recv(min(self._left, size))
                if not part:
                    raise ProtocolError("Connection broken", IncompleteRead(len(start), self._left))
                self._left -= len(part)
                yield part
                del part  # the next one needs room
        except TimeoutError as error:
            raise ReadTimeoutError(self._pool, "", "Read timed out.") from error  # type: ignore[arg-type]  # it is a pool
        finally:
            self.close()

    def close(self) -> None:
        """Give up what is left, if anything is."""
        connection, self._connection = self._connection, None
        if connection is not None and self._left:
            connection.close()
        elif connection is not None:
            self._pool._give_back(connection)


class _TransferPath(FastPath):
    """The simple request with bodies in pieces, in both directions."""

    streams = True

    def _ask(self, connection: Any, method: str, url: str, headers: Any, body: Any, reused: bool) -> bytes:
        if not isinstance(body, TransferBody):
            return super()._ask(connection, method, url, headers, body, reused)
        sock: sockets.HubSocket = connection.sock
        connection.is_half_sent = True
        try:
            sock.sendall(request_block(method, url, headers, None))
        except OSError as error:
            raise NothingSent("the connection was dead", error) from error
        data = b""
        try:
            is_whole, data = self._send(sock, body)
            connection.is_half_sent = not is_whole
        except ConnectionError:
            pass  # the server may have told why before it closed
        data = data or sock.recv(RECV)
        if not data:
            raise EOFError("the server closed the connection without an answer")
        return data

    @staticmethod
    def _send(sock: sockets.HubSocket, body: TransferBody) -> tuple[bool, bytes]:
        """Send the body, unless the server answers before it is complete: then it has refused.

        Returns:
            Whether it was sent whole, and what the server has said meanwhile.
        """
        heard = b""
        # What comes over TLS may also be a key or a ticket.
        listens = sock.__class__ is sockets.HubSocket
        for piece in body:
            if listens and sock.stale:
                part = sock.recv(RECV)
                heard = without_interim(heard + part)
                if not part or not INTERIM.startswith(heard[: len(INTERIM)]) or len(heard) > HEAD_LIMIT:
                    return False, heard
            sock.sendall(piece)
        return True, heard

    def _hear(
        self, connection: Any, method: str, url: str, data: bytes, options: dict[str, Any]
    ) -> tuple[Any, bool | None]:
        if method == "HEAD":  # its Content-Length announces nothing
            data, _ = read_head(connection.sock, data)
            return self._urllib3_path(connection, method, url, data, options), None
        reply, keep = super()._hear(connection, method, url, data, options)
        if getattr(connection, "is_half_sent", False) and reply.status < ERRORS:
            connection.close()
            raise MalformedAnswer("it came before the request was sent")
        return reply, keep

    def _rest_to_come(self, connection: Any, status: int, reason: bytes, head: bytes, start: bytes, length: int) -> Any:
        return BodyReply(self, connection, status, reason.decode("latin-1"), head, start, length)

    def _give_back(self, connection: Any) -> None:
        if getattr(connection, "is_half_sent", False):
            connection.close()
        else:
            super()._give_back(connection)


class TransferPool(_TransferPath, HubPool):  # type: ignore[misc]  # see HubPool
    """Connections to an http server of large bodies."""


class TLSTransferPool(_TransferPath, TLSHubPool):  # type: ignore[misc]  # see HubPool
    """Connections to an https server of large bodies."""
