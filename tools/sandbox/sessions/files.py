"""Files of compute sessions: up, down, list."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

from aiohttp import MultipartWriter, web

from ai.backend.client.sandbox.core.parameters import Field, list_of, text
from ai.backend.client.sandbox.core.paths import inside, prepared
from ai.backend.client.sandbox.core.problems import Problem, agent_failure, invalid
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Routes, answer, nothing
from ai.backend.client.sandbox.sessions.handlers import running
from ai.backend.client.sandbox.sessions.kernels import Kernel
from ai.backend.client.sandbox.sessions.mounts import WORK

MAX_UPLOADS: Final = 20
MAX_BYTES: Final = 2**20
MAX_DOWNLOADS: Final = 5
FILES: Final = ("files", "files[]")
OUTSIDE: Final = "PermissionError('You cannot access files outside /home/work')"


def routes(sandbox: Sandbox) -> Routes:
    """The routes under the name that the generation has for sessions."""
    table = Routes()
    one = "/kernel/{name}" if sandbox.v4 else "/session/{name}"
    table.add(f"POST {one}/upload")(upload)
    method = "POST" if sandbox.v9 else "GET"
    table.add(f"{method} {one}/download", reads_query=True)(download)
    table.add(f"{method} {one}/download_single", reads_query=True)(download_single)
    table.add(f"GET {one}/files")(list_files)
    return table


def located(kernel: Kernel, path: str) -> Path:
    """A file of a session.

    Args:
        kernel: The session.
        path: Relative to ``/home/work``, or absolute below it. Folders that are mounted there belong to it.

    Raises:
        Problem: 500 for a path that leads elsewhere, as agents answer.
    """
    relative = path.removeprefix(WORK.rstrip("/")).lstrip("/") if path.startswith(WORK.rstrip("/")) else path
    parts = PurePosixPath(relative).parts
    if ".." in parts or PurePosixPath(relative).is_absolute():
        raise agent_failure(OUTSIDE)
    for depth in range(len(parts)):
        place = kernel.work.joinpath(*parts[: depth + 1])
        if place.is_symlink() and place in kernel.mounts:
            return _checked(kernel.mounts[place], "/".join(parts[depth + 1 :]))
    return _checked(kernel.work, relative)


def _checked(root: Path, path: str) -> Path:
    try:
        return inside(root, path)
    except ValueError:
        raise agent_failure(OUTSIDE) from None


async def upload(call: Call) -> web.Response:
    kernel = running(call)
    count = 0
    async for name, content in call.files():
        count += 1
        if count > MAX_UPLOADS:
            raise invalid("Too many files")
        data = b"".join([piece async for piece in content])
        if len(data) >= MAX_BYTES:
            raise invalid("Too large file")
        await asyncio.to_thread(lambda target, data: prepared(target).write_bytes(data), located(kernel, name), data)
    return nothing()


async def download(call: Call) -> web.Response:
    given = await call.parameters({"files": Field(_listed if call.sandbox.v9 else list_of(text), names=FILES)})
    kernel = running(call)
    if len(given["files"]) > MAX_DOWNLOADS:
        raise Problem("internal-server-error")
    with MultipartWriter("mixed") as writer:
        for path in given["files"]:
            archive = await asyncio.to_thread(_archive, located(kernel, path), path)
            writer.append(archive, {"Content-Encoding": "identity"})
    return web.Response(body=writer)


def _listed(value: Any) -> list[str]:
    """Texts, or the one of a query string that names a single one."""
    found: list[str] = list_of(text)([value] if isinstance(value, str) else value)
    return found


def _archive(target: Path, path: str) -> bytes:
    buffer = io.BytesIO()
    if not target.exists():
        raise agent_failure(f"FileNotFoundError('Could not found the file: {path}')")
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(target, target.name)
    if buffer.tell() > MAX_BYTES + 2 * tarfile.RECORDSIZE:
        raise agent_failure("ValueError('Too large archive file exceeding 1 MiB')")
    return buffer.getvalue()


async def download_single(call: Call) -> web.Response:
    given = await call.parameters({"file": Field(text)})
    kernel = running(call)
    target = located(kernel, given["file"])
    if not target.is_file():
        raise agent_failure(f"FileNotFoundError('Could not found the file: {given['file']}')")
    if call.sandbox.v4:  # which sent an archive here too
        return web.Response(body=await asyncio.to_thread(_archive, target, given["file"]))
    data = await asyncio.to_thread(target.read_bytes)
    if len(data) > MAX_BYTES:
        raise agent_failure("ValueError('Too large file exceeding 1 MiB')")
    return web.Response(body=data)


async def list_files(call: Call) -> web.Response:
    given = await (call.parameters({"path": Field(text, ".")}) if call.sandbox.v9 else call.json())
    path = given.get("path", ".")
    if not isinstance(path, str):
        raise invalid("path is not a text")
    kernel = running(call)
    target = located(kernel, path)
    try:
        files, errors = await asyncio.to_thread(_listing, target), ""
    except OSError as error:
        files, errors = [], f"{type(error).__name__}: {error.strerror}: {path!r}\n"
    return answer({"files": json.dumps(files) + "\n", "errors": errors, "abspath": path})


def _listing(target: Path) -> list[dict[str, Any]]:
    files = []
    for entry in sorted(target.iterdir()):
        try:
            status = entry.stat()
        except FileNotFoundError:  # a symbolic link to nowhere
            status = entry.lstat()
        files.append(
            {
                "mode": stat.filemode(status.st_mode),
                "size": status.st_size,
                "ctime": status.st_ctime,
                "mtime": status.st_mtime,
                "atime": status.st_atime,
                "filename": entry.name,
            }
        )
    return files
