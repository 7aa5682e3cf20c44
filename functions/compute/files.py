"""Files of a compute session: upload, download, download_single, list_files.

=================  ==============================  ======================
Function           Request                         Body
=================  ==============================  ======================
upload             POST P/upload                   multipart
download           GET P/download                  ``{"files": [...]}``
download_single    GET P/download_single           ``{"file": path}``
list_files         GET P/files                     ``{"path": path}``
=================  ==============================  ======================

``P`` is ``/kernel/{name}`` up to v4 and ``/session/{name}`` from v5 on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from ai.backend.client.exceptions import InvalidArgument, InvalidReply
from ai.backend.client.functions.base import Offload, Recipe
from ai.backend.client.functions.compute.archive import MAX_BYTES, unpack_reply
from ai.backend.client.functions.compute.identity import SessionIdentity, request_about
from ai.backend.client.functions.compute.replies import FileNames, SessionFiles
from ai.backend.client.functions.compute.upload import MAX_FILES, SmallFile, path_list, read_files
from ai.backend.client.functions.toolkit.generations import in_query
from ai.backend.client.functions.toolkit.inputs import flag
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.transfer.form import FormSource
from ai.backend.client.functions.transfer.paths import PathLike, local_path, path_text
from ai.backend.client.functions.transfer.progress import Meter, ProgressHook, RunCallback, progress_hook, with_meter
from ai.backend.client.functions.transfer.sources import BytesSource
from ai.backend.client.request import AttachedFile, Request, Response
from ai.backend.client.transfer import Head, Poured, Transfer

MAX_DOWNLOADS: Final = 5
"""Paths per download call: the manager answers 500 beyond."""

PIECE: Final = 65_536
"""Bytes between two steps of a progress bar: no file here is larger than 1 MiB."""


def upload(
    kernel: SessionIdentity[Any],
    files: Sequence[PathLike],
    basedir: PathLike | None = None,
    show_progress: bool = False,
    *,
    on_progress: ProgressHook | None = None,
) -> Recipe[Response]:
    """Copy local files into the session's ``/home/work``, below the same relative paths, over existing ones.

    Args:
        kernel: The session; bound by the proxy class.
        files: 1 to 20 paths of regular files, each under 1 MiB. Symbolic links are resolved first.
        basedir: Directory that the files must be in and that their names in the session are relative to; default:
            the working directory.
        show_progress: Show a bar on standard error.
        on_progress: Called with a file's name in the session, its bytes that were sent and its size, on the session's
            callback worker. If it is slow, it is called less often.

    Returns:
        The answer (204, no body).

    Raises:
        InvalidArgument: Too many files, or one that is outside of ``basedir``, too large, not regular or not
            readable; or another argument is not usable. Nothing was sent.
        BackendAPIError: 404 for an unknown session.

    Not idempotent. ``POST P/upload``, multipart form, field ``src``. From v6 on the server ignores
    ``owner_access_key`` here.
    """
    paths = path_list("files", files, MAX_FILES)
    base = None if basedir is None else local_path("basedir", basedir)
    show, hook = flag("show_progress", show_progress), progress_hook(on_progress)
    contents: list[SmallFile] = yield Offload(read_files, paths, base)
    if show or hook is not None:
        return (yield from with_meter(show, hook, "Uploading", partial(_upload_metered, kernel, contents)))
    request = request_about(kernel, "POST", "/upload")
    request.attach_files(AttachedFile(file.name, file.content) for file in contents)
    response: Response = yield request
    return response


def _upload_metered(kernel: SessionIdentity[Any], files: Sequence[SmallFile], meter: Meter) -> Recipe[Response]:
    form = FormSource([(file.name, BytesSource(file.content)) for file in files])
    response: Response = yield request_about(
        kernel,
        "POST",
        "/upload",
        kind=Transfer,
        source=form,
        content_type=form.content_type,
        piece=PIECE,
        on_bytes=form.spread([meter.file(file.name, len(file.content)) for file in files]),
    )
    return response


def download(
    kernel: SessionIdentity[Any],
    files: Sequence[PathLike],
    dest: PathLike = ".",
    show_progress: bool = False,
    *,
    on_progress: ProgressHook | None = None,
) -> Recipe[FileNames]:
    """Copy files or directories out of the session.

    Args:
        kernel: The session; bound by the proxy class.
        files: 1 to 5 paths in the session, relative to ``/home/work``; each up to 1 MiB (23.09). They must have
            different last parts, which become their names in ``dest``.
        dest: Local directory to put them in; made when missing. Files of the same names are replaced.
        show_progress: Show a bar on standard error.
        on_progress: Called with ``files`` joined by ``", "`` (they come together), the bytes of the answer that came
            and how many it has (None if it does not say), on the session's callback worker. If it is slow, it is
            called less often.

    Returns:
        ``{"file_names": [...]}``: the names of everything unpacked, directories included.

    Raises:
        InvalidArgument: Too many paths, or two with the same last part; or another argument is not usable. Nothing
            was sent.
        InvalidReply: The archive holds a link, a device, an absolute path, ``..``, or more than fits; nothing was
            written then.
        BackendClientError: ``dest`` cannot be written.
        BackendAPIError: 404 for an unknown session, 400 or 500 for an unknown file.

    Idempotent. ``GET P/download`` with body ``{"files": [...]}``, from manager 24.03 on ``POST``, from 26.3 on with
    query ``files``; the server ignores ``owner_access_key`` here.
    """
    paths = [path_text("files", path) for path in path_list("files", files, MAX_DOWNLOADS)]
    names = [PurePosixPath(path).name for path in paths]
    for name, path in zip(names, paths, strict=True):
        if names.count(name) > 1:
            raise InvalidArgument("files", path, "must not share its last part with another path of the call")
    target = local_path("dest", dest)
    show, hook = flag("show_progress", show_progress), progress_hook(on_progress)
    if show or hook is not None:
        archive = yield from with_meter(show, hook, "Downloading", partial(_download_metered, kernel, paths))
    else:
        response = yield _downloading(kernel, "/download", {"files": paths})
        archive = Archive(response.status, response.headers.get("Content-Type", ""), response.content)
    unpacked = yield Offload(unpack_reply, archive.content_type, archive.body, len(paths), target, archive.status)
    return {"file_names": unpacked}


def _downloading(kernel: SessionIdentity[Any], suffix: str, what: Mapping[str, Any], **options: Any) -> Request:
    """The request for files: ``GET``, from 24.03 on ``POST``."""
    generation = kernel.server.generation
    method = "POST" if generation.downloads_by_post else "GET"
    return request_about(kernel, method, suffix, idempotent=True, **in_query(generation, what), **options)


class Archive(NamedTuple):
    """The answer to a download."""

    status: int
    content_type: str
    body: bytes


def _download_metered(kernel: SessionIdentity[Any], paths: Sequence[str], meter: Meter) -> Recipe[Archive]:
    progress = meter.file(", ".join(paths), None)
    tell = progress.at(0)
    length: int | None = None

    def collect(head: Head, pieces: Iterator[bytes]) -> Archive:
        nonlocal length
        length, body = head.length, bytearray()
        for piece in pieces:
            body += piece
            if len(body) > MAX_BYTES:
                raise InvalidReply(f"the answer is longer than {MAX_BYTES} bytes", head.status)
        return Archive(head.status, head.headers.get("Content-Type", ""), bytes(body))

    def moved(count: int, run: RunCallback) -> None:
        progress.expect(length)
        tell(count, run)

    poured: Poured = yield _downloading(
        kernel, "/download", {"files": paths}, kind=Transfer, sink=collect, piece=PIECE, on_bytes=moved
    )
    archive: Archive = poured.value
    return archive


def download_single(kernel: SessionIdentity[Any], file: PathLike) -> Recipe[bytes]:
    """Read one small file out of the session.

    Args:
        kernel: The session; bound by the proxy class.
        file: Its path in the session, relative to ``/home/work``; up to 1 MiB (23.09).

    Returns:
        The file's content. Managers of 19.09 answer a tar archive with the file instead.

    Raises:
        InvalidArgument: It is no path.
        BackendAPIError: 404 for an unknown session, 400 or 500 for an unknown file.

    Idempotent. ``GET P/download_single`` with body ``{"file": path}``, from manager 24.03 on ``POST``, from 26.3 on
    with query ``file``; the server ignores ``owner_access_key`` here.
    """
    response = yield _downloading(kernel, "/download_single", {"file": path_text("file", file)})
    content: bytes = response.content
    return content


def list_files(kernel: SessionIdentity[Any], path: PathLike = ".") -> Recipe[SessionFiles]:
    """List a directory of the session.

    Args:
        kernel: The session; bound by the proxy class.
        path: The directory, relative to ``/home/work``; default: that one itself.

    Returns:
        ``{"files": text, "errors": text, "abspath": text}``. ``files`` is *JSON text*: a list of objects with
        ``mode``, ``size`` (bytes), ``ctime``, ``mtime``, ``atime`` (seconds) and ``filename``.

    Raises:
        InvalidArgument: It is no path.
        BackendAPIError: 404 for an unknown session.

    Idempotent. ``GET P/files`` with body ``{"path": path}``, from manager 26.3 on with query ``path``. From v6 on the
    server ignores ``owner_access_key`` here.
    """
    place = in_query(kernel.server.generation, {"path": path_text("path", path)})
    response = yield request_about(kernel, "GET", "/files", **place)
    return expect_object(response, shape=SessionFiles)
