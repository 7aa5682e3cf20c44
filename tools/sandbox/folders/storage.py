"""The storage proxy: bytes to and from virtual folders, on tokens instead of signatures (uploads by tus 1.0.0)."""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import json
import re
import secrets
import time
import urllib.parse
import zipfile
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.parameters import Field, checked, flag, optional, text, whole
from ai.backend.client.sandbox.core.paths import inside, is_clean
from ai.backend.client.sandbox.core.problems import MEDIA_TYPE, Problem, invalid
from ai.backend.client.sandbox.core.state import RELEASES, Sandbox
from ai.backend.client.sandbox.core.web import PIECE, Call, Routes, answer
from ai.backend.client.sandbox.folders.access import READ, WRITE, named
from ai.backend.client.sandbox.folders.files import refused

BASE: Final = "/storage"
TOKEN_SECONDS: Final = 24 * 3600
MAX_UPLOAD: Final = 100 * 2**30
TUS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Content-Type",
    "Access-Control-Expose-Headers": "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Content-Type",
    "Access-Control-Allow-Methods": "*",
    "Tus-Resumable": "1.0.0",
}


def routes(sandbox: Sandbox) -> Routes:
    """The routes; managers before 20.09 have no storage proxy."""
    table = Routes()
    if sandbox.v4:
        return table
    table.add("POST /folders/{name}/request-upload")(request_upload)
    table.add("POST /folders/{name}/request-download")(request_download)
    table.add(f"GET {BASE}/", signed=False)(status)
    table.add(f"GET {BASE}/download", signed=False)(download)
    table.add(f"OPTIONS {BASE}/upload", signed=False)(options)
    table.add(f"HEAD {BASE}/upload", signed=False)(offset)
    table.add(f"PATCH {BASE}/upload", signed=False)(append)
    return table


async def request_upload(call: Call) -> web.Response:
    given = await call.parameters({"path": Field(text), "size": Field(whole(0))})
    folder = named(call, WRITE).folder
    if not is_clean(given["path"]):
        raise refused("Invalid relative path")
    upload = secrets.token_hex(16)
    _upload_file(call.sandbox, upload).touch()
    claims = {"op": "upload", "relpath": given["path"], "size": given["size"], "session": upload}
    return answer({"token": _token(call.sandbox, folder, claims), "url": call.sandbox.endpoint + f"{BASE}/upload"})


async def request_download(call: Call) -> web.Response:
    given = await call.parameters({"path": Field(text, names=("path", "file")), "archive": Field(flag, False)})
    folder = named(call, READ).folder
    claims = {"op": "download", "relpath": given["path"], "archive": given["archive"]}
    return answer({"token": _token(call.sandbox, folder, claims), "url": call.sandbox.endpoint + f"{BASE}/download"})


async def status(call: Call) -> web.Response:
    release = RELEASES[call.sandbox.settings.api]
    return answer({"status": "ok", "type": "client-facing", "storage-proxy": release})


def _token(sandbox: Sandbox, folder: model.VFolder, claims: dict[str, Any]) -> str:
    """A JSON web token (HS256)."""
    _, _, volume = seed.VFOLDER_HOST.partition(":")
    owner = folder.quota_scope_id
    body = {
        **claims,
        "volume": volume,
        "vfid": f"{owner}/{folder.id.hex}",
        "exp": int(time.time()) + TOKEN_SECONDS,
    }
    head = _encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_encoded(json.dumps(body).encode())}"
    return f"{signed}.{_encoded(hmac.digest(sandbox.token_key, signed.encode(), 'sha256'))}"


def bad_token(reason: str) -> Problem:
    """A 400 of the storage proxy, which has types of its own."""
    return Problem("storage/invalid-api-params", data={"token": reason})


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _claims(sandbox: Sandbox, token: str, operation: str) -> dict[str, Any]:
    signed, _, signature = token.rpartition(".")
    expected = _encoded(hmac.digest(sandbox.token_key, signed.encode(), "sha256"))
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise bad_token("cannot decode the given value as JSON web token")
    body = signed.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if claims["exp"] < time.time() or claims["op"] != operation:
        raise bad_token("the token has expired, or is for something else")
    return claims


def _parameters(call: Call, operation: str, **schema: Field) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Claims of the token, other parameters, and the folder's place."""
    given = checked(dict(call.request.query), {"token": Field(text), "dst_dir": Field(optional(text), None), **schema})
    claims = _claims(call.sandbox, given["token"], operation)
    return claims, given, call.sandbox.folders / claims["vfid"].rpartition("/")[2]


def _target(root: Path, claims: dict[str, Any], given: dict[str, Any]) -> Path:
    path = claims["relpath"]
    return inside(root, f"{given['dst_dir']}/{path}" if given["dst_dir"] else path)


def _missing(name: str, title: str) -> web.Response:
    body = {"type": f"https://api.backend.ai/probs/storage/{name}", "title": title}
    return web.Response(text=json.dumps(body), status=404, content_type=MEDIA_TYPE, charset="utf-8")


def _disposition(name: str) -> str:
    # Without control characters, unlike real ones: there a name with a line break breaks the answer.
    ascii_name = re.sub(r"[\x00-\x1f\x7f]", "_", name.encode("ascii", "ignore").decode()).replace('"', r"\"")
    return f"attachment;filename=\"{ascii_name}\"; filename*=UTF-8''{urllib.parse.quote(name)}"


async def download(call: Call) -> web.StreamResponse:
    claims, given, root = _parameters(call, "download", archive=Field(flag, False), no_cache=Field(flag, False))
    try:
        target = _target(root, claims, given)
        if not target.exists():
            raise ValueError("there is no such file")
    except ValueError:
        return _missing("file-not-found", "File not found")
    if target.is_dir():
        if not given["archive"]:
            raise invalid("The file is not a regular file.")
        headers = {"Content-Disposition": _disposition(target.name + ".zip"), "Content-Type": "application/zip"}
        return web.Response(body=await asyncio.to_thread(_zipped, target), headers=headers)
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": _disposition(target.name)}
    if given["no_cache"]:
        headers["Cache-Control"] = "no-store"
    return web.FileResponse(target, chunk_size=PIECE, headers=headers)


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():  # it may lead out of the folder
                continue
            if path.is_file() or (path.is_dir() and not any(path.iterdir())):
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _upload_file(sandbox: Sandbox, upload: str) -> Path:
    return sandbox.settings.folder / "uploads" / upload


async def options(call: Call) -> web.Response:
    headers = {"Tus-Version": "1.0.0", "Tus-Max-Size": str(MAX_UPLOAD), "X-Content-Type-Options": "nosniff"}
    return web.Response(headers={**TUS, **headers, **_media_type(call)})


def _media_type(call: Call) -> dict[str, str]:
    """Of answers without a body: up to 23.09 they have one."""
    return {"Content-Type": "" if call.sandbox.v9 else "application/octet-stream"}


def _progress(claims: dict[str, Any], stored: int) -> dict[str, str]:
    return {**TUS, "Cache-Control": "no-store", "Upload-Offset": str(stored), "Upload-Length": str(claims["size"])}


async def offset(call: Call) -> web.Response:
    claims, _, _ = _parameters(call, "upload")
    upload = _upload_file(call.sandbox, claims["session"])
    if not upload.exists():
        return _missing("no-such-upload-session", "No such upload session")
    headers = _progress(claims, upload.stat().st_size)
    return web.Response(headers={**headers, **_media_type(call)})


async def append(call: Call) -> web.Response:
    claims, given, root = _parameters(call, "upload")
    upload = _upload_file(call.sandbox, claims["session"])
    if not upload.exists():
        return _missing("no-such-upload-session", "No such upload session")
    try:
        target = _target(root, claims, given)
    except ValueError:
        raise Problem("generic-bad-request", "Invalid relative path") from None
    # As the real one: what comes is appended, whatever the request says about its offset.
    with upload.open("ab") as file:
        async for piece in call.request.content.iter_chunked(PIECE):
            file.write(piece)
    stored = upload.stat().st_size
    if stored >= claims["size"] and root.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        upload.replace(target)
    return web.Response(status=204, headers=_progress(claims, stored))
