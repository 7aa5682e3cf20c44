"""What the files of one upload or download have in common: folder, limits, progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ai.backend.client.functions.transfer.progress import Meter

CONCURRENCY = 8
"""Files that one call moves at once, by default. With 10,000 small files more of them gained nothing on a machine with
two cores (``tools/bench/transfer``)."""

MAX_CONCURRENCY = 256

BUDGET = 16 << 20
"""Bytes that one call holds in memory, whatever the number and size of its files: 16 MiB."""

SMALLEST_PIECE, LARGEST_PIECE = 16 << 10, 1 << 20


@dataclass
class TransferContext:
    """One call of upload or download.

    Attributes:
        base: Path of the folder in the API.
        name: The folder's name.
        identity: What distinguishes the folder from every other one.
        is_proxied: Whether there is a storage proxy: from v6.20200815 on.
        address_map: The storage proxy's address as the manager names it → the one to use.
        chunk_size: Bytes of one request of an upload.
        concurrency: Files at once.
        max_retries: Breaks in a row, without a byte between them, that are survived.
        meter: What counts the bytes and shows them.
        arrived: How many files are complete.
    """

    base: str
    name: str
    identity: str
    is_proxied: bool
    address_map: Mapping[str, str]
    chunk_size: int
    concurrency: int
    max_retries: int
    meter: Meter
    arrived: int = 0

    @property
    def piece(self) -> int:
        """Bytes of a file that are handled at a time; up to four such pieces of each are in memory."""
        share = min(max(BUDGET // (4 * self.concurrency), SMALLEST_PIECE), LARGEST_PIECE)
        return min(share, self.chunk_size)
