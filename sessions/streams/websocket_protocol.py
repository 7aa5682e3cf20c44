"""What is set up of the ``websockets`` library: the client's protocol, its handshake and its compression."""

from __future__ import annotations

import logging
from typing import Any

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidUpgrade, ProtocolError, WebSocketException
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from ai.backend.client.exceptions import InvalidReply

__all__ = ["ClientProtocol", "handshake", "new_protocol"]

HTTP_1_1 = 11
"""How http.client writes the version; there is no upgrade in older ones."""

WORTH_COMPRESSING = range(256, 1 << 16)
"""Bytes of a message that compression is worth its time for. Beyond, it would keep the hub from its work: 64 KiB take
about 2 ms."""

_NOWHERE = parse_uri("ws://localhost/")
"""The library's protocol wants an address; ours is the transport's business."""

# The library logs frames and headers at level DEBUG: users' code, their data, and cookies.
_silent = logging.Logger("websockets", logging.CRITICAL)  # noqa: LOG001  # on purpose not one of the application's
_silent.disabled = True


class SparingDeflate(Extension):
    """permessage-deflate that compresses what is worth it.

    A message may always be sent as it is (RFC 7692, section 6).

    Args:
        inner: The extension as it was negotiated.
    """

    def __init__(self, inner: Extension) -> None:
        self._inner = inner
        self.name = inner.name

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """As negotiated, and as strictly with every version of the library."""
        if frame.opcode is Opcode.CONT and frame.rsv1:  # 14.0 to 16.0 let it pass
            raise ProtocolError("reserved bits must be 0")
        return self._inner.decode(frame, max_size=max_size)

    def encode(self, frame: Frame) -> Frame:
        """As negotiated, or not at all."""
        return self._inner.encode(frame) if len(frame.data) in WORTH_COMPRESSING else frame


def new_protocol(max_message: int, compress: bool) -> ClientProtocol:
    """A protocol for one connection.

    Args:
        max_message: Bytes that a message may have, decompressed.
        compress: Whether to offer compression.
    """
    # Without context takeover on this side, since a compressor would cost 256 KiB for each stream all its life.
    deflate = ClientPerMessageDeflateFactory(client_no_context_takeover=True, compress_settings={"memLevel": 5})
    return ClientProtocol(_NOWHERE, extensions=[deflate] if compress else None, max_size=max_message, logger=_silent)


def handshake(protocol: ClientProtocol, raw: Any) -> None:
    """Give the protocol the server's half of the handshake.

    Args:
        protocol: The protocol whose headers were sent.
        raw: The answer, with status 101.

    Raises:
        InvalidReply: It does not fit.
    """
    relevant = [
        (name, value)
        for name, value in raw.raw.headers.items()
        if name.lower() in ("connection", "upgrade") or name.lower().startswith("sec-websocket-")
    ]
    error: Exception | None
    try:
        if raw.raw.version != HTTP_1_1:
            raise InvalidUpgrade("Upgrade", "in an older version of HTTP")
        answer = Response(raw.status_code, "Switching Protocols", Headers(relevant))
    except WebSocketException as refusal:  # some versions of the library check a header's characters at once
        error = refusal
    else:
        protocol.receive_data(answer.serialize())
        error = protocol.handshake_exc
    if error is not None:
        cause = error.__cause__ or error
        raise InvalidReply(f"the WebSocket handshake is wrong: {str(cause)[:200]}", raw.status_code)
    protocol.extensions = [SparingDeflate(extension) for extension in protocol.extensions]
