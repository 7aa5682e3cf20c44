"""From frames to messages: the parts of a WebSocket message, until it is complete. No I/O."""

from __future__ import annotations

import codecs
from typing import Any

from websockets.frames import Frame, Opcode

from ai.backend.client.functions.streams.websocket import WSMessage, WSMsgType

MANY_PARTS = 1024
"""Fragments of a message that are joined before it is complete: tiny ones take many times the room of their bytes."""

_utf8 = codecs.getincrementaldecoder("utf-8")


class MessageAssembler:
    """Takes data frames in the order in which they come."""

    def __init__(self) -> None:
        self._kind = WSMsgType.BINARY
        self._decoder: codecs.IncrementalDecoder | None = None
        self._parts: list[Any] = []
        self._blocks: list[Any] = []  # what came before them

    @property
    def is_empty(self) -> bool:
        """Whether no message has begun."""
        return not self._parts and not self._blocks

    def feed(self, frame: Frame) -> WSMessage | None:
        """Take a frame: the first of a message, or one that continues it.

        Returns:
            The message that it completes, if any.

        Raises:
            UnicodeDecodeError: A text message is not UTF-8.
        """
        if frame.opcode is not Opcode.CONT:
            is_text = frame.opcode is Opcode.TEXT
            self._kind = WSMsgType.TEXT if is_text else WSMsgType.BINARY
            self._decoder = _utf8() if is_text else None
            self._parts = []
        part: Any = bytes(frame.data) if self._decoder is None else self._decoder.decode(frame.data, frame.fin)
        if part:  # an endless message of empty fragments takes no room
            self._parts.append(part)
            if len(self._parts) >= MANY_PARTS:
                self._blocks.append(self._joined(self._parts))
                self._parts = []
        if not frame.fin:
            return None
        parts = [*self._blocks, *self._parts]
        self._parts, self._blocks = [], []
        return WSMessage(self._kind, parts[0] if len(parts) == 1 else self._joined(parts))

    def _joined(self, parts: list[Any]) -> Any:
        return "".join(parts) if self._kind is WSMsgType.TEXT else b"".join(parts)
