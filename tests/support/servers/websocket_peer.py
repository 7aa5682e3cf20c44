"""The server's side of a WebSocket on the fault server, byte by byte and without a library of its own opinion."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from support.servers.faults import Connection, RawRequest, Step
from support.waiting import LIMIT

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
READ_LIMIT = LIMIT


@dataclass(frozen=True)
class Frame:
    """A frame of the client's, unmasked."""

    opcode: int
    data: bytes
    fin: bool
    rsv1: bool
    masked: bool

    @property
    def code(self) -> int | None:
        """The code of a close frame, None when it has none."""
        return struct.unpack("!H", self.data[:2])[0] if len(self.data) >= 2 else None


def masked(data: bytes, mask: bytes) -> bytes:
    """Data masked, or unmasked (RFC 6455, section 5.3). As one number: byte by byte takes seconds for a megabyte."""
    stream = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def frame(
    opcode: int, data: bytes | str = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = None, size: int = 0
) -> bytes:
    """A frame. `rsv` are the three reserved bits (4, 2, 1); `size` is a form of the length: 16 or 64 bits."""
    payload = data.encode() if isinstance(data, str) else data
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = 0x80 if mask is not None else 0
    length = len(payload)
    if size == 64 or (not size and length > 0xFFFF):
        head = struct.pack("!BBQ", first, second | 127, length)
    elif size == 16 or (not size and length > 125):
        head = struct.pack("!BBH", first, second | 126, length)
    else:
        head = struct.pack("!BB", first, second | length)
    if mask is not None:
        payload = masked(payload, mask)
        head += mask
    return head + payload


def text(data: str | bytes, **options: int | bool) -> bytes:
    """A text frame."""
    return frame(TEXT, data, **options)  # type: ignore[arg-type]  # options pass as they are


def close(code: int | None = 1000, reason: str | bytes = b"") -> bytes:
    """A close frame; without a code, an empty one."""
    words = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + words)


class Deflater:
    """Compresses messages as permessage-deflate does, with one window for all of them."""

    def __init__(self, bits: int = 15) -> None:
        self._compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)

    def __call__(self, data: bytes | str) -> bytes:
        payload = data.encode() if isinstance(data, str) else data
        return (self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Peer:
    """The server's end of an upgraded connection."""

    def __init__(self, connection: Connection, request: RawRequest) -> None:
        self.connection = connection
        self.request = request
        self._buffer = connection._buffer
        connection.socket.settimeout(READ_LIMIT)

    def send(self, *blocks: bytes) -> None:
        """Send bytes."""
        self.connection.send(b"".join(blocks))

    def trickle(self, data: bytes) -> None:
        """Send bytes one at a time."""
        for index in range(len(data)):
            self.connection.send(data[index : index + 1])

    def read(self) -> Frame | None:
        """The client's next frame; None when it has closed."""
        head = self._take(2)
        if head is None:
            return None
        length = head[1] & 0x7F
        if length > 125:
            more = self._take(2 if length == 126 else 8)
            if more is None:
                return None
            length = int.from_bytes(more, "big")
        mask = self._take(4) if head[1] & 0x80 else b"\0\0\0\0"
        data = self._take(length)
        if mask is None or data is None:
            return None
        plain = masked(data, mask)
        return Frame(head[0] & 0xF, plain, bool(head[0] & 0x80), bool(head[0] & 0x40), bool(head[1] & 0x80))

    def read_all(self) -> list[Frame]:
        """Every frame until the client closes the connection."""
        frames = []
        try:
            while (received := self.read()) is not None:
                frames.append(received)
        except OSError:
            pass
        return frames

    def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            data = self.connection.socket.recv(65536)
            if not data:
                return None
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


def accept_of(request: RawRequest) -> str:
    """The right `Sec-WebSocket-Accept`."""
    key = request.headers["sec-websocket-key"].encode()
    return base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()


def upgrade(
    then: Callable[[Peer], object], headers: Mapping[str, str | None] | None = None, first: bytes = b""
) -> Step:
    """Switch protocols, and go on with `then`; the connection is closed when it returns.

    Args:
        then: What the server does.
        headers: Headers to send beside or, with None, without the right ones.
        first: Bytes sent in one write with the head.
    """

    def step(connection: Connection, request: RawRequest) -> None:
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_of(request)}
        fields.update(headers or {})  # type: ignore[arg-type]  # the values are text
        lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        connection.send("\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode() + first)
        then(Peer(connection, request))

    return step
