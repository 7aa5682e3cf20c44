"""What is in a virtual folder. ``F`` is ``/folders/{name}``.

============  =======================  ================================  ===============
Function      Request                  Body (or query, for GET)          Since
============  =======================  ================================  ===============
mkdir         POST F/mkdir             ``path`` (v6: ``parents`` …)
list_files    GET F/files              ``path``
rename_file   POST F/rename_file       ``target_path``, ``new_name``
move_file     POST F/move-file         ``src``, ``dst``                  v6.20220315
delete_files  DELETE F/delete_files    ``files``, ``recursive``
============  =======================  ================================  ===============

``rename_file`` and ``delete_files`` are the spellings that every manager from 19.09 to 23.09 serves (20.09 added some
with a dash). Paths are relative to the folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import M, Recipe, api_function
from ai.backend.client.functions.folders.identity import FolderIdentity
from ai.backend.client.functions.folders.replies import FolderFiles
from ai.backend.client.functions.toolkit.generations import V6, V6_DEPENDENCIES
from ai.backend.client.functions.toolkit.inputs import flag, items, text
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.transfer.paths import PathLike, path_text
from ai.backend.client.request import Request


class FolderContent(FolderIdentity[M]):
    """The files of a folder, except for their transfer."""

    @api_function
    def mkdir(self, path: PathLike, parents: bool = False, exist_ok: bool = False) -> Recipe[str]:
        """Make a directory.

        Args:
            path: Where.
            parents: Make the directories above it too. Servers before 20.09 always do.
            exist_ok: Be content with one that exists. From v6.20200815 on.

        Returns:
            The answer's text, which is empty.

        Raises:
            InvalidArgument: It is no path, or a flag is no bool.
            BackendAPIVersionError: ``exist_ok`` on an older server.
            BackendAPIError: 400 or 500 when there is something of that name, 404 for an unknown folder.

        Idempotent with ``exist_ok``. ``POST F/mkdir``.
        """
        body: dict[str, Any] = {"path": path_text("path", path)}
        flags = {"parents": flag("parents", parents), "exist_ok": flag("exist_ok", exist_ok)}
        if self.server.generation.has(V6):
            body |= flags  # both, always: the server's own default is to make the directories above it
        elif exist_ok:
            self.server.generation.require("mkdir(exist_ok=True)", since=V6)
        response = yield Request("POST", self._path("/mkdir"), json=body, idempotent=exist_ok)
        answer: str = response.text()
        return answer

    @api_function
    def list_files(self, path: PathLike = ".") -> Recipe[FolderFiles]:
        """List a directory.

        Args:
            path: The directory; default: the folder itself.

        Returns:
            ``files``, which is *JSON text*, and from 20.09 on the same as values in ``items``.

        Raises:
            InvalidArgument: It is no path.
            BackendAPIError: 404 for an unknown folder or directory.

        Idempotent. ``GET F/files`` with query ``path``.
        """
        response = yield Request("GET", self._path("/files"), params={"path": path_text("path", path)})
        return expect_object(response, shape=FolderFiles)

    @api_function
    def rename_file(self, target_path: PathLike, new_name: str) -> Recipe[dict[str, Any]]:
        """Give a file or directory another name; it stays where it is.

        Args:
            target_path: The file.
            new_name: Its new name, without directories.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: It is no path, or no name.
            BackendAPIError: 404 for an unknown folder; 400 or 500 for an unknown file, or a name that is taken.

        Not idempotent. ``POST F/rename_file``.
        """
        name = text("new_name", new_name)
        if "/" in name or name in (".", ".."):
            raise InvalidArgument("new_name", new_name, "must be a name without directories")
        body = {"target_path": path_text("target_path", target_path), "new_name": name}
        response = yield Request("POST", self._path("/rename_file"), json=body)
        return expect_object(response)

    @api_function
    def move_file(self, src_path: PathLike, dst_path: PathLike) -> Recipe[dict[str, Any]]:
        """Move a file or directory within the folder.

        Args:
            src_path: The file.
            dst_path: Where it is to be, its name included.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: One is no path.
            BackendAPIVersionError: The server is older than v6.20220315.
            BackendAPIError: 404 for an unknown folder; 400 or 500 for an unknown file.

        Not idempotent. ``POST F/move-file``.
        """
        self.server.generation.require("move_file", since=V6_DEPENDENCIES)
        body = {"src": path_text("src_path", src_path), "dst": path_text("dst_path", dst_path)}
        response = yield Request("POST", self._path("/move-file"), json=body)
        return expect_object(response)

    @api_function
    def delete_files(self, files: Iterable[PathLike], recursive: bool = False) -> Recipe[str]:
        """Remove files and directories.

        Args:
            files: Their paths, at least one; any iterable.
            recursive: Remove what is in directories too.

        Returns:
            The answer's *text*, ``{}``.

        Raises:
            InvalidArgument: There is none, or one is no path.
            BackendAPIError: 404 for an unknown folder; 400 or 500 for an unknown file, or a directory without
                ``recursive``.

        Not idempotent. ``DELETE F/delete_files``.
        """
        paths = [path_text("files", file) for file in items("files", files)]
        if not paths:
            raise InvalidArgument("files", paths, "must name at least one file")
        body = {"files": paths, "recursive": flag("recursive", recursive)}
        response = yield Request("DELETE", self._path("/delete_files"), json=body)
        answer: str = response.text()
        return answer
