"""A file that moves a bar while it is read, as the vendor's client has it since 20.03 (before, in ``cli.pretty``)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ProgressReportingReader"]


class ProgressReportingReader(io.BufferedReader):
    """A binary file that moves a bar by what is read from it.

    Args:
        file_path: The file.
        tqdm_instance: The bar to move: anything with ``update(n)``. Default: a tqdm bar of its own, which is closed
            with the file.

    Attributes:
        tqdm: The bar.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, file_path: str | os.PathLike[str], *, tqdm_instance: Any = None) -> None:
        super().__init__(io.FileIO(Path(file_path)))
        self._owns_bar = tqdm_instance is None
        self.tqdm: Any = _bar(os.fstat(self.fileno()).st_size) if tqdm_instance is None else tqdm_instance

    def close(self) -> None:
        """Close the file, and the bar if it is its own."""
        super().close()
        if self.__dict__.get("_owns_bar"):  # not yet, when the constructor failed
            self.tqdm.close()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next ``size`` bytes, all that are left when negative."""
        return self._counted(super().read(size))

    def read1(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, with one read of the file at most."""
        return self._counted(super().read1(size))

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer; how many bytes went into it."""
        count = super().readinto(buffer)
        self.tqdm.update(count)
        return count

    def readinto1(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer with one read of the file at most; how many bytes went into it."""
        count = super().readinto1(buffer)
        self.tqdm.update(count)
        return count

    def _counted(self, chunk: bytes) -> bytes:
        self.tqdm.update(len(chunk))
        return chunk


def _bar(total: int) -> Any:
    from tqdm import tqdm  # only who asks for a bar pays for its import

    return tqdm(unit="bytes", unit_scale=True, total=total)
