"""Uploads that were begun, remembered on disk so that another process can go on with them.

A record holds the upload's token, which lets anybody write the file: records are readable for their owner only, and a
record that anybody else could have written is not believed. Everything here but the constructor blocks: it runs in
native threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

from ai.backend.client.auth import host_header
from ai.backend.client.functions._transfer_sources import LocalFile

LARGEST_RECORD = 65536


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
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as stream:
            about = os.fstat(descriptor)
            is_private = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            if not stat.S_ISREG(about.st_mode) or not is_private:
                return None
            data = stream.read(LARGEST_RECORD)
        try:
            found = json.loads(data)
            same = (found["file"], found["size"], found["modified"]) == (file.path, file.size, file.modified)
            record = Record(str(found["url"]), str(found["token"]))
            host_header(record.url)  # raises ValueError
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        return record if same else None

    def remember(self, name: str, file: LocalFile, record: Record) -> None:
        """Write a record, in one step.

        Raises:
            OSError: It cannot be written.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(name)
        content = {"file": file.path, "size": file.size, "modified": file.modified, **record._asdict()}
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(content, stream)
            fresh.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise

    def forget(self, name: str) -> None:
        """Remove a record."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        key = hashlib.sha256(f"{self._identity}\0{name}".encode()).hexdigest()[:32]
        return self._directory / f"upload-{key}.json"
