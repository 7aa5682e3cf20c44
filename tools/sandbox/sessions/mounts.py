"""Which virtual folders a compute session gets, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core.paths import is_clean
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found, not_implemented
from ai.backend.client.sandbox.core.web import Call
from ai.backend.client.sandbox.folders.access import READ, Access, accessible, folder_named

WORK: Final = "/home/work/"
PRIVATE: Final = "."
"""Folders whose name begins so are mounted into each of their owner's sessions."""


def mounts_of(
    call: Call, database: Database, names: Sequence[str], places: Mapping[str, str]
) -> list[dict[str, str]]:  # fmt: skip
    """The mounts that a request asks for, and the caller's private folders.

    Args:
        call: The request.
        database: Where the folders are.
        names: Names of folders.
        places: Name → path in the session, relative to ``/home/work`` or below it.

    Returns:
        ``{"id", "name", "host", "kernel_path", "mount_perm"}`` per folder.

    Raises:
        Problem: 400 for a place that a folder must not be at, 404 for an unknown folder, 501 for one in another.
    """
    wanted: dict[str, Access] = {}
    for name in names:
        if name.startswith(PRIVATE):
            raise invalid(f"{name} is mounted by itself")
        try:
            wanted[name] = folder_named(call, name, READ, database)
        except Problem:
            if call.sandbox.v9:
                raise not_found("virtual folder", data=[name]) from None
            raise not_found("virtual folder", f"VFolder {name} is not found or accessible.") from None
    for access in accessible(database, call.caller):
        if access.is_owner and access.folder.user and access.folder.name.startswith(PRIVATE):
            wanted[access.folder.name] = access
    at = {name: _place(name, places) for name in wanted}
    if len(set(at.values())) < len(at):
        raise invalid("Duplicate alias folder name exists.")
    if any(inner.startswith(outer + "/") for inner in at.values() for outer in at.values()):
        raise not_implemented("folders mounted inside others")
    return [
        {
            "id": access.folder.id.hex,
            "name": access.folder.name,
            "host": access.folder.host,
            "kernel_path": at[name],
            "mount_perm": access.permission,
        }
        for name, access in wanted.items()
    ]


def _place(name: str, places: Mapping[str, str]) -> str:
    relative = (places.get(name) or name).removeprefix(WORK)
    if not is_clean(relative):
        raise invalid(f"{relative} is reserved for internal path.")
    return WORK + str(PurePosixPath(relative))
