"""Bodies without a known end, read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from ai.backend.client.functions.base import M
from ai.backend.client.functions.streams.stream import Stream, StreamSpec

__all__ = ["ByteStream", "BytesSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesSpec(StreamSpec):
    """A body.

    Attributes:
        chunk_size: Bytes that a piece has at most.
    """

    chunk_size: int


class ByteStream(Stream[M, bytes]):
    """A body as it comes: yields pieces of ``bytes``, none of them empty.

    Ends with the body; an incomplete one raises :class:`ConnectionLost`.
    """
