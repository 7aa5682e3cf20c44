"""Names of files on either side of a transfer. Nothing that a server or a caller says leads out of its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath

from ai.backend.client._checks import is_utf8, plain
from ai.backend.client.exceptions import InvalidArgument, InvalidReply

PathLike = str | os.PathLike[str]


def remote_path(argument: str, value: object, *, whole_folder: bool = False) -> str:
    """Check the path of a file in a folder.

    Args:
        argument: How the caller calls it.
        value: What was given.
        whole_folder: Whether it may be the folder itself.

    Returns:
        The path with single slashes; ``.`` for the folder itself.

    Raises:
        InvalidArgument: It is no path, is absolute, has ``..`` in it, or cannot be encoded as UTF-8.
    """
    text = path_text(argument, value)
    if isinstance(value, PurePath):
        text = value.as_posix()
    path = PurePosixPath(text)
    if path.is_absolute():
        raise InvalidArgument(argument, text, "must be relative to the folder")
    if ".." in path.parts:
        raise InvalidArgument(argument, text, "must not lead out of the folder")
    if not path.parts and not whole_folder:
        raise InvalidArgument(argument, text, "must name a file")
    return str(path)


def remote_paths(argument: str, values: object, *, whole_folder: bool = False) -> list[str]:
    """Check a list of such paths; each comes back once."""
    paths = [remote_path(argument, value, whole_folder=whole_folder) for value in path_items(argument, values)]
    return list(dict.fromkeys(paths))


def path_items(argument: str, values: object) -> list[object]:
    """A non-empty list, or any other iterable but a single path."""
    if isinstance(values, str | bytes | os.PathLike) or not isinstance(values, Iterable):
        raise InvalidArgument(argument, values, "must be a list of paths")
    items = list(map(plain, values))
    if not items:
        raise InvalidArgument(argument, items, "must have at least one path")
    return items


def local_path(argument: str, value: object) -> str:
    """A path on this machine as text, whatever encoding its disk has names in. The disk is not touched.

    Raises:
        InvalidArgument: It is no path, or is empty, or holds a NUL character.
    """
    text = plain(os.fspath(value)) if isinstance(value, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgument(argument, value, "must be a path")
    return text


def path_text(argument: str, value: object) -> str:
    """A path as text that can be sent, unchanged.

    Raises:
        InvalidArgument: As for :func:`local_path`, or it cannot be encoded as UTF-8.
    """
    text = local_path(argument, value)
    if not is_utf8(text):
        raise InvalidArgument(argument, ascii(text), "must be a name that can be encoded as UTF-8")
    return text


def below(directory: str, name: str) -> str:
    """A name in a directory of a folder, where ``.`` is the folder itself."""
    return str(PurePosixPath(directory) / name)


def entry_name(name: object) -> str:
    """Check the name of a directory entry that a server sent.

    Raises:
        InvalidReply: It is none that can be had in a directory.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name or PurePath(name).name != name:
        raise InvalidReply(f"the server lists a file under the impossible name {name!r:.80}")
    if not is_utf8(name):
        raise InvalidReply(f"the server lists a file under a name that cannot be sent back: {name!a:.80}")
    return name
