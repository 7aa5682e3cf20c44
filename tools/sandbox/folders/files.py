"""Files in virtual folders: make, list, rename, move, remove; and the transfers of managers up to 20.03."""

from __future__ import annotations

import asyncio
import datetime
import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import MultipartWriter, web

from ai.backend.client.sandbox.core.parameters import Field, blank_text, flag, list_of, text
from ai.backend.client.sandbox.core.paths import inside, prepared
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Routes, answer, nothing
from ai.backend.client.sandbox.folders.access import READ, WRITE, content_of, named

MAX_FILES: Final = 10
"""Files per request that managers up to 20.03 take."""


def routes(sandbox: Sandbox) -> Routes:
    """The routes of a generation."""
    table = Routes()
    one = "/folders/{name}"
    table.add(f"POST {one}/mkdir")(make_directory)
    table.add(f"GET {one}/files")(list_files)
    table.add(f"DELETE {one}/delete_files")(delete_files)
    table.add(f"POST {one}/rename_file")(rename_file)
    if sandbox.v4:
        table.add(f"POST {one}/upload")(upload)
        table.add(f"GET {one}/download")(download)
        table.add(f"GET {one}/download_single")(download_single)
    else:
        table.add(f"DELETE {one}/delete-files")(delete_files)
        table.add(f"POST {one}/rename-file")(rename_file)
        table.add(f"POST {one}/move-file")(move_file)
    if sandbox.v9:
        table.add(f"POST {one}/delete-files")(delete_files)
        table.add(f"POST {one}/delete-files-async")(delete_files_later)
    return table


def root_of(call: Call, permissions: tuple[str, ...]) -> Path:
    """Where the files of the folder in the path are, if the caller may."""
    return content_of(call.sandbox, named(call, permissions).folder)


def located(root: Path, path: str) -> Path:
    """A file of a folder.

    Raises:
        Problem: 400 for a path that leads out of it.
    """
    try:
        return inside(root, path)
    except ValueError:
        raise refused("Invalid relative path") from None


def below(root: Path, path: str) -> Path:
    """As :func:`located`, but not the folder itself."""
    target = located(root, path)
    if target == root:
        raise refused("Invalid relative path")
    return target


def system_error(call: Call, number: int, path: str) -> Problem:
    """What the manager makes of an error of its storage proxy's operating system."""
    if call.sandbox.v9:
        return Problem("storage-bad-request", "Bad request to storage proxy")
    return invalid(os.strerror(number), {"errno": number, "paths": [path]})


def refused(message: str) -> Problem:
    """What the manager makes of a refusal of its storage proxy."""
    return Problem("vfolder-operation-failed", message)


async def make_directory(call: Call) -> web.Response:
    schema = {"path": Field(text)}
    if not call.sandbox.v4:
        schema |= {"parents": Field(flag, True), "exist_ok": Field(flag, False)}
    given = await call.parameters(schema)
    target = located(root_of(call, WRITE), given["path"])
    try:
        target.mkdir(parents=given.get("parents", True), exist_ok=given.get("exist_ok", False))
    except OSError as error:
        if call.sandbox.v9:
            raise refused("Unexpected error 422 from storage proxy") from None
        raise system_error(call, error.errno or 0, given["path"]) from None
    if call.sandbox.v9:
        return answer({"results": {"success": [{"msg": None, "item": given["path"]}], "failed": []}})
    return nothing(201)


async def list_files(call: Call) -> web.Response:
    given = await call.parameters({"path": Field(blank_text, "")})
    target = located(root_of(call, READ), given["path"])
    if not target.is_dir():
        raise system_error(call, errno.ENOTDIR if target.exists() else errno.ENOENT, given["path"])
    entries = await asyncio.to_thread(_entries, target)
    if call.sandbox.v9:
        return answer({"items": [{**_item(entry), "mode": entry["bits"]} for entry in entries]})
    files = [
        {
            "filename": entry["name"],
            "size": entry["size"],
            "mode": stat.filemode(entry["bits"]),
            "ctime": entry["created"].timestamp(),
            "atime": 0,
            "mtime": entry["modified"].timestamp(),
        }
        for entry in entries
    ]
    body: dict[str, Any] = {"files": json.dumps(files)}
    if not call.sandbox.v4:
        body["items"] = [_item(entry) for entry in entries]
    return answer(body)


def _item(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": entry["name"],
        "type": entry["type"],
        "size": entry["size"],
        "mode": oct(entry["bits"])[2:][-3:],
        "created": entry["created"].isoformat(),
        "modified": entry["modified"].isoformat(),
    }


def _entries(target: Path) -> list[dict[str, Any]]:
    entries = []
    for path in sorted(target.iterdir()):
        status = path.lstat()
        kind = "SYMLINK" if path.is_symlink() else "DIRECTORY" if path.is_dir() else "FILE"
        entries.append(
            {
                "name": path.name,
                "type": kind,
                "size": status.st_size,
                "bits": status.st_mode,
                "created": datetime.datetime.fromtimestamp(status.st_ctime, datetime.UTC),
                "modified": datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC),
            }
        )
    return entries


async def rename_file(call: Call) -> web.Response:
    given = await call.parameters(
        {"target_path": Field(text), "new_name": Field(text), "is_dir": Field(flag, False)}
    )  # fmt: skip
    root = root_of(call, WRITE)
    source = below(root, given["target_path"])
    return _moved(call, root, source, located(root, str(source.parent.relative_to(root) / given["new_name"])))


async def move_file(call: Call) -> web.Response:
    given = await call.parameters({"src": Field(text), "dst": Field(text)})
    root = root_of(call, WRITE)
    target = located(root, given["dst"])
    target.parent.mkdir(parents=True, exist_ok=True)
    return _moved(call, root, below(root, given["src"]), target)


def _moved(call: Call, root: Path, source: Path, target: Path) -> web.Response:
    if not source.exists():
        raise system_error(call, errno.ENOENT, str(source.relative_to(root)))
    if target.exists() and not target.is_dir():
        raise system_error(call, errno.EEXIST, str(target.relative_to(root)))
    shutil.move(source, target)
    return _empty(call)


def _empty(call: Call) -> web.Response:
    return answer({"msg": ""} if call.sandbox.v9 else {})


async def delete_files(call: Call) -> web.Response:
    given = await call.parameters({"files": Field(list_of(text)), "recursive": Field(flag, False)})
    root = root_of(call, WRITE)
    targets = [below(root, path) for path in given["files"]]
    for target in targets:
        if target.is_dir() and not target.is_symlink():
            if not given["recursive"] and call.sandbox.v9:
                continue  # it says nothing, and does nothing
            if not given["recursive"]:
                raise system_error(call, errno.EISDIR, str(target.relative_to(root)))
            await asyncio.to_thread(shutil.rmtree, target)
        elif not target.exists() and not target.is_symlink():
            if call.sandbox.v9:
                continue
            raise system_error(call, errno.ENOENT, str(target.relative_to(root)))
        else:
            target.unlink()
    return _empty(call)


async def delete_files_later(call: Call) -> web.Response:
    given = await call.parameters({"files": Field(list_of(text)), "recursive": Field(flag, False)})
    root = root_of(call, WRITE)
    targets = [below(root, path) for path in given["files"]]

    async def delete() -> str:
        for target in targets:
            if target.is_dir() and not target.is_symlink():
                await asyncio.to_thread(shutil.rmtree, target)
            else:
                target.unlink(missing_ok=True)
        return f"deleted {len(targets)} files"

    return answer({"bgtask_id": str(call.sandbox.tasks.start(delete))}, 202)


async def upload(call: Call) -> web.Response:
    root = root_of(call, WRITE)
    count = 0
    async for name, content in call.files():
        count += 1
        if count > MAX_FILES:
            raise invalid("Too many files!")
        with prepared(below(root, name)).open("wb") as file:
            async for piece in content:
                file.write(piece)
    return nothing(201)


async def download(call: Call) -> web.Response:
    given = await call.parameters({"files": Field(list_of(text))})
    root = root_of(call, READ)
    targets = [(path, located(root, path)) for path in given["files"]]
    for path, target in targets:
        if not target.is_file():
            raise invalid(f"You cannot download {path} because it is not a regular file.")
    with MultipartWriter("mixed") as writer:
        for path, target in targets:
            part = writer.append(target.open("rb"), {"Content-Encoding": "identity"})
            part.set_content_disposition("attachment", filename=path)
    headers = {"X-TOTAL-PAYLOADS-LENGTH": str(sum(target.stat().st_size for _, target in targets))}
    return web.Response(body=writer, headers=headers)


async def download_single(call: Call) -> web.StreamResponse:
    given = await call.parameters({"file": Field(text), "archive": Field(flag, False)})
    target = located(root_of(call, READ), given["file"])
    if not target.is_file():
        raise invalid("You cannot download the file, because it is not a regular file.")
    return web.FileResponse(target)
