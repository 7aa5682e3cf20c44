"""Uploads that were begun, remembered on disk so that another process can go on with them.

A record holds the upload's token, which lets anybody write the file: records are readable for their owner only, and a
record that anybody else could have written is not believed. Everything here but the constructor blocks: it runs in
native threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from ai.backend.client.functions.transfer.private_files import read_private, write_private
from ai.backend.client.functions.transfer.sources import LocalFile
from ai.backend.client.transfer import path_of_url


class Record(NamedTuple):
    """What opens an upload: the storage proxy's address, and the token."""

    url: str
    token: str

    def __repr__(self) -> str:
        return "<Record>"


class SavedUploads:
    """The records of one folder.

    Args:
        directory: Where they are; made when missing, for the owner only.
        identity: What distinguishes the folder from every other one.
    """

    def __init__(self, directory: str, identity: str) -> None:
        self._directory = Path(directory)
        self._identity = identity

    def recall(self, name: str, file: LocalFile) -> Record | None:
        """The record of an upload that was begun with the very same file; None when there is none."""
        data = read_private(self._path(name))
        if data is None:
            return None
        try:
            found = json.loads(data)
            same = (found["file"], found["size"], found["modified"]) == (file.path, file.size, file.modified)
            record = Record(str(found["url"]), str(found["token"]))
            path_of_url(record.url)  # raises ValueError
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        return record if same else None

    def remember(self, name: str, file: LocalFile, record: Record) -> None:
        """Write a record, in one step.

        Raises:
            OSError: It cannot be written.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {"file": file.path, "size": file.size, "modified": file.modified, **record._asdict()}
        write_private(self._path(name), json.dumps(content))

    def forget(self, name: str) -> None:
        """Remove a record."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        key = hashlib.sha256(f"{self._identity}\0{name}".encode()).hexdigest()[:32]
        return self._directory / f"upload-{key}.json"
