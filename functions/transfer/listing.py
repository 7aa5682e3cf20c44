"""What is in the directories of a folder. ``GET F/files``."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import NamedTuple

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.functions.base import Recipe
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.paths import below, entry_name
from ai.backend.client.request import Request

MAX_DEPTH = 256
"""Directories within each other that are followed; a link to a directory above may look like endlessly many."""


UNFINISHED = ".upload"
"""Where servers keep, in the folder itself, what is being uploaded."""


class Entry(NamedTuple):
    """One thing in a directory.

    Attributes:
        name: Its name, safe to be used below a directory.
        size: Bytes.
        kind: First letter of its mode as ``ls`` shows it: ``-`` for a file, ``d`` for a directory, ``l`` for a link.
    """

    name: str
    size: int
    kind: str


def list_directory(context: TransferContext, directory: str) -> Recipe[list[Entry]]:
    """List a directory.

    Args:
        context: The call.
        directory: Its path in the folder; ``.`` for the folder itself.

    Raises:
        InvalidReply: The answer is no listing, or has a name that cannot be.
        BackendAPIError: There is no such directory.
    """
    response = yield Request("GET", f"{context.base}/files", params={"path": directory})
    # All releases have this text; 22.03 and later add the same as JSON.
    try:
        items = json.loads(field(expect_object(response), "files", response))
        return [Entry(entry_name(item["filename"]), int(item["size"]), str(item["mode"])[:1]) for item in items]
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise InvalidReply("the answer is no listing of files", response.status, response.content) from None


def is_directory(context: TransferContext, path: str) -> Recipe[bool]:
    """Whether there is a directory of that path in the folder."""
    if path == ".":
        return True
    place = PurePosixPath(path)
    entries = yield from list_directory(context, str(place.parent))
    return any(entry.name == place.name and entry.kind == "d" for entry in entries)


def list_tree(context: TransferContext, root: str) -> Recipe[tuple[list[str], list[str]]]:
    """List a directory and all below it. Links and special files are left out.

    Returns:
        Paths of the files, and of the directories that are empty.
    """
    files: list[str] = []
    empty: list[str] = []
    stack = [(root, 0)]
    while stack:
        directory, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InvalidReply(f"directories are nested more than {MAX_DEPTH} times")
        entries = yield from list_directory(context, directory)
        files += [below(directory, entry.name) for entry in entries if entry.kind == "-"]
        below_it = [below(directory, entry.name) for entry in entries if entry.kind == "d"]
        stack += [(path, depth + 1) for path in below_it if path != UNFINISHED]
        if not entries:
            empty.append(directory)
    return files, empty
