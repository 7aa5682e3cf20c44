"""Files of a virtual folder: to the cluster and back, whatever their size and number. ``F`` is ``/folders/{name}``.

================  ==========================================  ==========================================
Function          Up to v5: through the manager               From v6.20200815: through a storage proxy
================  ==========================================  ==========================================
upload            POST F/upload, multipart, 10 files each     POST F/request-upload, then tus
download          GET F/download, multipart, 10 files each    POST F/request-download, then GET
request_download  POST F/request_download                     POST F/request-download
================  ==========================================  ==========================================

Several files move at once, over the session's connections, and one call holds at most 16 MiB of them in memory. The
session's default deadline counts anew whenever bytes arrive; one given with ``with_options`` holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ai.backend.client._checks import check_address_map
from ai.backend.client.config import DEFAULT_CHUNK_SIZE, APIConfig
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import M, Recipe, api_function
from ai.backend.client.functions.folders.identity import FolderIdentity
from ai.backend.client.functions.folders.replies import DownloadTicket
from ai.backend.client.functions.toolkit.generations import V6
from ai.backend.client.functions.toolkit.inputs import flag, whole
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.transfer.calls import Download, Upload, download, upload
from ai.backend.client.functions.transfer.context import CONCURRENCY, MAX_CONCURRENCY, TransferContext
from ai.backend.client.functions.transfer.paths import PathLike, path_items, path_text, remote_path, remote_paths
from ai.backend.client.functions.transfer.progress import Meter, ProgressHook, progress_hook, with_meter
from ai.backend.client.request import Request

MAX_RETRIES = 20
"""Breaks in a row that a file survives: the vendor's default in 23.09."""


class FolderTransfers(FolderIdentity[M]):
    """Uploads and downloads."""

    @api_function
    def upload(
        self,
        sources: Iterable[PathLike] | None = None,
        basedir: PathLike | None = None,
        show_progress: bool = False,
        *,
        files: Iterable[PathLike] | None = None,
        recursive: bool = False,
        dst_dir: PathLike | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        address_map: Mapping[str, str] | None = None,
        concurrency: int = CONCURRENCY,
        max_retries: int = MAX_RETRIES,
        skip_existing: bool = False,
        resume_dir: PathLike | None = None,
        on_progress: ProgressHook | None = None,
    ) -> Recipe[list[str]]:
        """Copy local files into the folder, below the same relative paths, over existing ones.

        Directories in the folder are made as needed. Symbolic links among ``sources`` are resolved first. A link that
        is found in a directory is uploaded as the file that it leads to, if that is in the same directory tree; all
        other links, and whatever is neither file nor directory, are skipped, with a warning in the log.

        Args:
            sources: Paths, of directories too with ``recursive``. With ``basedir`` they are looked for there first,
                then in the working directory.
            basedir: Directory that everything must be in and that names in the folder are relative to; default: the
                working directory.
            show_progress: Show a bar on standard error.
            files: ``sources`` by its name in older releases.
            recursive: Upload directories, with all that is in them, empty directories too.
            dst_dir: Directory in the folder to put everything in; default: the folder itself.
            chunk_size: Bytes of one request to the storage proxy. A chunk is not held in memory.
            address_map: Address of the storage proxy as the manager tells it → the one to use; whole URLs or their
                beginnings. Default: the configuration's ``storage_proxy_address_map``.
            concurrency: Files (up to v5: requests) at once, 1 to 256.
            max_retries: How often in a row a file's transfer may break without a byte getting through.
            skip_existing: Leave out files that the folder has already with the same size.
            resume_dir: Directory to keep a record in of every upload that takes more than one chunk, so that
                another call with the same file goes on where this one ended. Records hold tokens; they are
                readable for their owner only, and removed when the upload is complete. Not before v6. Default: none.
            on_progress: Called with a file's path in the folder, its bytes that were sent and its size, on the
                session's callback worker. If it is slow, it is called less often.

        Returns:
            Paths in the folder of the files that were uploaded, in the order in which they were found.

        Raises:
            InvalidArgument: A path is outside of ``basedir``, cannot be read, or is neither a file nor (with
                ``recursive``) a directory; or another argument is not usable. Nothing was sent.
            SourceChanged: A file changed meanwhile. The folder keeps what it had under that name.
            TransferError: The folder has another size of a file in the end.
            BackendClientError: The storage proxy is not in the address map.
            BackendAPIError: 404 for an unknown folder, 403 without permission to write.
            OSError: A file cannot be read any more.

        Files that were complete before an error stay in the folder; the error's notes name its file. Idempotent. See
        the module for the requests.
        """
        names = [path_text("sources", item) for item in path_items("sources", _either("sources", sources, files))]
        what = Upload(
            sources=names,
            basedir=None if basedir is None else path_text("basedir", basedir),
            target="." if dst_dir is None else remote_path("dst_dir", dst_dir, whole_folder=True),
            recursive=flag("recursive", recursive),
            skip_existing=flag("skip_existing", skip_existing),
            records=None if resume_dir is None else str(Path(path_text("resume_dir", resume_dir)).absolute()),
        )
        context = self._context(chunk_size, address_map, concurrency, max_retries)
        show, hook = flag("show_progress", show_progress), progress_hook(on_progress)
        return (
            yield from with_meter(show, hook, "Uploading", lambda meter: upload(replace(context, meter=meter), what))
        )

    @api_function
    def download(
        self,
        relative_paths: Iterable[PathLike] | None = None,
        show_progress: bool = False,
        *,
        files: Iterable[PathLike] | None = None,
        basedir: PathLike | None = None,
        dst_dir: PathLike | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        address_map: Mapping[str, str] | None = None,
        max_retries: int = MAX_RETRIES,
        concurrency: int = CONCURRENCY,
        overwrite: bool = False,
        skip_existing: bool = False,
        resume: bool = True,
        recursive: bool = False,
        archive: bool = False,
        on_progress: ProgressHook | None = None,
    ) -> Recipe[list[str]]:
        """Copy files out of the folder, below the same relative paths.

        A file takes its name when it is complete. Until then it is a hidden file beside it, which a later call
        continues if it is worth it (from 1 MiB on) and the folder's file is still the same.

        Args:
            relative_paths: Paths in the folder, of directories too with ``recursive`` or ``archive``.
            show_progress: Show a bar on standard error.
            files: ``relative_paths`` by its name in older releases.
            basedir: Local directory to put everything in, made when missing; default: the working directory.
            dst_dir: Directory in the folder that ``relative_paths`` are relative to; default: the folder itself.
            chunk_size: Upper bound of the bytes that are read at a time.
            address_map: As for :meth:`upload`.
            max_retries: As for :meth:`upload`.
            concurrency: Files (up to v5: requests) at once, 1 to 256.
            overwrite: Replace local files that exist.
            skip_existing: Leave out files whose local file exists, whatever is in it.
            resume: Continue what an earlier call has left, and leave for a later one what this one cannot complete.
                Not before v6.
            recursive: Download directories, with all that is in them but links.
            archive: Download each path, which must be a directory, as one zip file, named as the directory with
                ``.zip`` behind. From v6.20200815 on.
            on_progress: As for :meth:`upload`; the size is None where it is not known yet.

        Returns:
            Absolute local paths of the files that were downloaded, in order.

        Raises:
            InvalidArgument: A path is absolute or leads out of the folder, or another argument is not usable.
            TargetExists: (a :class:`FileExistsError`) A local file is there already. Nothing was downloaded, unless
                it appeared meanwhile.
            TransferError: A file kept changing, is downloaded by another process too, or ``archive`` names no
                directory.
            InvalidReply: The server sends something else than was asked for.
            BackendClientError: The storage proxy is not in the address map.
            BackendAPIVersionError: ``archive`` on an older server.
            BackendAPIError: 404 for an unknown folder or file, 400 for a directory, 403 without permission.
            OSError: A local file cannot be written, for example because the disk is full.

        Files that were complete before an error stay; the error's notes name its file. Idempotent with ``overwrite``.
        See the module for the requests.
        """
        given = _either("relative_paths", relative_paths, files)
        whole_folder = flag("recursive", recursive) or flag("archive", archive)
        what = Download(
            paths=remote_paths("relative_paths", given, whole_folder=whole_folder),
            basedir=Path("." if basedir is None else path_text("basedir", basedir)).absolute(),
            source="." if dst_dir is None else remote_path("dst_dir", dst_dir, whole_folder=True),
            overwrite=flag("overwrite", overwrite),
            skip_existing=flag("skip_existing", skip_existing),
            resume=flag("resume", resume),
            recursive=recursive,
            archive=archive,
        )
        if archive and recursive:
            raise InvalidArgument("archive", archive, "must not be combined with recursive")
        if archive:
            self.server.generation.require("download(archive=True)", since=V6)
        context = self._context(chunk_size, address_map, concurrency, max_retries)
        show, hook = flag("show_progress", show_progress), progress_hook(on_progress)
        return (
            yield from with_meter(
                show, hook, "Downloading", lambda meter: download(replace(context, meter=meter), what)
            )
        )

    @api_function
    def request_download(self, filename: PathLike) -> Recipe[DownloadTicket]:
        """Get a token with which anybody may download a file.

        Args:
            filename: Its path in the folder.

        Returns:
            ``token``: what belongs into the query as ``token``; a secret. From v6.20200815 on also ``url``: where;
            before that it is ``/folders/_/download_with_token`` of the manager.

        Raises:
            InvalidArgument: It is no path of a file in the folder.
            BackendAPIError: 404 for an unknown folder.

        Idempotent. ``POST F/request-download`` with ``path``; up to v5 ``POST F/request_download`` with ``file``.
        """
        path = remote_path("filename", filename)
        if self.server.generation.has(V6):
            response = yield Request("POST", self._path("/request-download"), json={"path": path})
        else:
            response = yield Request("POST", self._path("/request_download"), json={"file": path})
        return expect_object(response, shape=DownloadTicket)

    def _context(
        self, chunk_size: int, address_map: Mapping[str, str] | None, concurrency: int, max_retries: int
    ) -> TransferContext:
        config: APIConfig = self.server.config
        given = config.storage_proxy_address_map if address_map is None else address_map
        return TransferContext(
            base=self._path(),
            name=self.name,
            identity="\0".join((*sorted(config.endpoints), config.domain, config.access_key, self.name)),
            is_proxied=self.server.generation.has(V6),
            address_map=check_address_map("address_map", given),
            chunk_size=whole("chunk_size", chunk_size, 1),
            concurrency=whole("concurrency", concurrency, 1, MAX_CONCURRENCY),
            max_retries=whole("max_retries", max_retries),
            meter=Meter(None, None),
        )


def _either(argument: str, value: object, older: object) -> object:
    if (value is None) == (older is None):
        raise InvalidArgument(argument, value, "must be given, once")
    return older if value is None else value
