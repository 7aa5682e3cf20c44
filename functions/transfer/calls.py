"""Calls of :mod:`~ai.backend.client.functions.folders.transfers` as a whole: which files, and all of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ai.backend.client.actors.offload import commit
from ai.backend.client.exceptions import BackendAPIError, BackendError
from ai.backend.client.functions.base import Gather, Offload, Recipe
from ai.backend.client.functions.transfer import form
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.listing import is_directory, list_directory, list_tree
from ai.backend.client.functions.transfer.partial_file import PartialFile
from ai.backend.client.functions.transfer.paths import below
from ai.backend.client.functions.transfer.proxy_download import ProxyDownload
from ai.backend.client.functions.transfer.sources import LocalFile, find_files
from ai.backend.client.functions.transfer.tus import TusUpload
from ai.backend.client.functions.transfer.upload_records import SavedUploads
from ai.backend.client.request import Request

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """What goes up; as the arguments of ``upload``."""

    sources: list[str]
    basedir: str | None
    target: str
    recursive: bool
    skip_existing: bool
    records: str | None


@dataclass(frozen=True)
class Download:
    """What comes down; as the arguments of ``download``."""

    paths: list[str]
    basedir: Path
    source: str
    overwrite: bool
    skip_existing: bool
    resume: bool
    recursive: bool
    archive: bool


# -- up ---------------------------------------------------------------------------------------------------------------


def upload(context: TransferContext, what: Upload) -> Recipe[list[str]]:
    """Upload everything; the value is the files' paths in the folder."""
    todo: list[tuple[str, LocalFile]]
    todo, directories = yield Offload(_found, what)
    if what.skip_existing:
        todo = yield from _missing(context, todo)
    context.meter.fix_total(sum(file.size for _, file in todo))
    context = _for_so_many(context, len(todo))
    if context.is_proxied:
        saved = None if what.records is None else SavedUploads(what.records, context.identity)
        uploads = (
            note_file(context, TusUpload(context, file, name, saved).run(), "uploaded", name) for name, file in todo
        )
        arrived: list[str] = yield Gather(uploads, context.concurrency)
    else:
        batches = _batches(context, todo, lambda batch: form.upload_batch(context, batch), "uploaded")
        arrived = _joined((yield Gather(batches, context.concurrency)))
        yield from form.check_sizes(context, todo)
    for directory in directories:
        yield from _make_directory(context, directory)
    return arrived


def _found(what: Upload) -> tuple[list[tuple[str, LocalFile]], list[str]]:
    """In a native thread: the files with their paths in the folder, and the directories that are empty."""
    found = find_files(what.sources, what.basedir, what.recursive)
    return (
        [(below(what.target, file.name), file) for file in found.files],
        [below(what.target, directory) for directory in found.directories],
    )


def _missing(context: TransferContext, files: list[tuple[str, LocalFile]]) -> Recipe[list[tuple[str, LocalFile]]]:
    """Those files that the folder does not have with the same size."""
    sizes: dict[str, dict[str, int]] = {}
    missing = []
    for name, file in files:
        directory, _, last = name.rpartition("/")
        if directory not in sizes:
            try:
                entries = yield from list_directory(context, directory or ".")
            except BackendAPIError:
                entries = []  # not there: 404 or, by release, 400
            sizes[directory] = {entry.name: entry.size for entry in entries}
        if sizes[directory].get(last) != file.size:
            missing.append((name, file))
    return missing


def _make_directory(context: TransferContext, path: str) -> Recipe[None]:
    body: dict[str, Any] = {"path": path}
    if context.is_proxied:
        body |= {"parents": True, "exist_ok": True}
    try:
        yield Request("POST", f"{context.base}/mkdir", json=body, idempotent=True)
    except BackendAPIError:
        if not (yield from is_directory(context, path)):  # servers before 20.09 refuse one that exists
            raise


# -- down -------------------------------------------------------------------------------------------------------------


def download(context: TransferContext, what: Download) -> Recipe[list[str]]:
    """Download everything; the value is where the files are."""
    paths, hollow = what.paths, list[str]()
    if what.recursive:
        paths, hollow = yield from _expanded(context, what.source, paths)
    parts: list[tuple[str, PartialFile]] = yield Offload(_parts, context, what, paths)
    context = _for_so_many(context, len(parts))
    if context.is_proxied:
        downloads = (
            note_file(
                context, ProxyDownload(context, path, part, what.overwrite, what.archive).run(), "downloaded", path
            )
            for path, part in parts
        )
        arrived: list[str] = yield Gather(downloads, context.concurrency)
    else:
        batches = _batches(
            context, parts, lambda batch: form.download_batch(context, batch, what.overwrite), "downloaded"
        )
        arrived = _joined((yield Gather(batches, context.concurrency)))
    if hollow:
        yield Offload(_make_directories, [what.basedir / path for path in hollow])
    return arrived


def _expanded(context: TransferContext, source: str, paths: list[str]) -> Recipe[tuple[list[str], list[str]]]:
    """Paths with directories replaced by the files in them, and the directories that are empty."""
    files: dict[str, None] = {}
    hollow: list[str] = []
    for path in paths:
        if not (yield from is_directory(context, below(source, path))):
            files[path] = None
            continue
        found, empty = yield from list_tree(context, below(source, path))
        files.update(dict.fromkeys(_relative(name, source) for name in found))
        hollow += [_relative(name, source) for name in empty]
    return list(files), hollow


def _relative(path: str, directory: str) -> str:
    return str(PurePosixPath(path).relative_to(directory))


def _parts(context: TransferContext, what: Download, paths: list[str]) -> list[tuple[str, PartialFile]]:
    """In a native thread: the files with where they go, provided that they may."""
    parts = [(below(what.source, path), _part(context, what, path)) for path in paths]
    if what.skip_existing:
        return [(path, part) for path, part in parts if not os.path.lexists(part.target)]
    for _, part in parts:
        part.check_target(what.overwrite)
    return parts


def _part(context: TransferContext, what: Download, path: str) -> PartialFile:
    name = context.name if path == "." else path
    target = what.basedir / (f"{name}.zip" if what.archive else name)
    resumable = what.resume and context.is_proxied and not what.archive
    return PartialFile(str(target), f"{context.identity}\0{below(what.source, path)}", resumable)


def _make_directories(paths: list[Path]) -> None:
    for path in paths:
        with commit():
            path.mkdir(parents=True, exist_ok=True)


# -- both -------------------------------------------------------------------------------------------------------------


def note_file(context: TransferContext, recipe: Recipe[T], verb: str, name: str, files: int = 1) -> Recipe[T]:
    """The recipe of one file or several, with a note on its errors that says which they are."""
    try:
        value = yield from recipe
    except (BackendError, OSError) as error:
        error.add_note(f"while {name!r} was {verb}; {context.arrived} files had arrived")
        raise
    context.arrived += files
    return value


def _for_so_many(context: TransferContext, files: int) -> TransferContext:
    """A few files share the memory that many would."""
    return replace(context, concurrency=max(min(context.concurrency, files), 1))


def _batches(
    context: TransferContext, items: list[Any], recipe: Callable[[list[Any]], Recipe[list[str]]], verb: str
) -> Generator[Recipe[list[str]], None, None]:
    for start in range(0, len(items), form.MAX_FILES):
        batch = items[start : start + form.MAX_FILES]
        yield note_file(context, recipe(batch), verb, ", ".join(name for name, _ in batch), len(batch))


def _joined(lists: Iterable[list[str]]) -> list[str]:
    return [item for one in lists for item in one]
