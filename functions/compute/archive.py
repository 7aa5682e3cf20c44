"""Unpacking what a session sends: ``multipart/mixed`` with one tar archive per part, from a machine not to be trusted.

Runs in a worker thread (:class:`~ai.backend.client.functions.base.Offload`), since it touches the disk.

An archive is accepted whole or not at all. Its members are checked one by one, before the first is unpacked, into a
directory of their own *inside* the destination; only when all of them are there, they are moved to their places. A
refused archive so leaves nothing behind, and a download that is cancelled moves nothing more.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from ai.backend.client.actors.offload import check_wanted, commit
from ai.backend.client.exceptions import BackendClientError, InvalidReply

MAX_MEMBERS = 65_536
"""Entries over all archives of a reply. 23.09 sends at most five archives of 1 MiB, which hold 10,240 headers; older
servers send more."""
MAX_BYTES = 1024**3
"""Unpacked size over all archives of a reply: room for what older servers send, and a limit to what fills a disk."""
STAGING_PREFIX = ".backendai-download-"

_data_filter = getattr(tarfile, "data_filter", None)
"""The standard library's own check, a second opinion; Python 3.11 has it from 3.11.4 on."""

_NAME_ERRORS = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
"""What the disk answers to names that collide or cannot be: the archive's fault."""

_NEW_LINE = b"\r\n"


class _Refused(Exception):
    """Why an archive was not accepted."""


class _Budget:
    """What may still be unpacked of one reply."""

    def __init__(self) -> None:
        self.members = MAX_MEMBERS
        self.bytes = MAX_BYTES

    def spend(self, member: tarfile.TarInfo) -> None:
        if member.size < 0:
            raise _Refused(f"member {member.name!r} has a negative size")
        self.members -= 1
        self.bytes -= member.size
        if self.members < 0:
            raise _Refused(f"more than {MAX_MEMBERS} members")
        if self.bytes < 0:
            raise _Refused(f"more than {MAX_BYTES} bytes when unpacked")


class _Entry(NamedTuple):
    """One thing to move into place."""

    path: PurePath
    is_directory: bool


def unpack_reply(content_type: str, body: bytes, count: int, dest: str, status: int | None = None) -> list[str]:
    """Unpack all archives of a reply.

    Args:
        content_type: The reply's ``Content-Type`` header, with its boundary.
        body: The reply's body.
        count: How many archives were asked for.
        dest: Directory to unpack into; made when missing. Files that are there already are replaced.
        status: The reply's HTTP status, for errors.

    Returns:
        The names of all members, as the archives spell them.

    Raises:
        InvalidReply: The reply is not multipart, or a part is no tar archive, or an archive holds something that does
            not belong there: an absolute name, ``..``, a link, a device, a FIFO, two files of one name, more than
            :data:`MAX_MEMBERS` or :data:`MAX_BYTES`, or a name that is taken by something of another kind. Nothing was
            written.
        BackendClientError: The destination cannot be written.
    """
    try:
        archives = split_parts(content_type, body)
        if len(archives) != count:
            raise _Refused(f"{len(archives)} archives came, {count} were asked for")
        budget = _Budget()
        with _refusing_damage():
            tars = [_checked(archive, budget) for archive in archives]
        with _made(Path(dest)) as root, _staging(root) as staging:
            with _refusing_damage():
                names = [_unpack_member(tar, member, staging) for tar in tars for member in tar.getmembers()]
            _move_into_place(staging, root)
    except _Refused as refusal:
        raise InvalidReply(f"the download was refused: {refusal}", status, body) from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links in the destination
        raise BackendClientError(f"cannot unpack into {dest!r}: {error}") from error
    return names


def split_parts(content_type: str, body: bytes) -> list[bytes]:
    """The contents of the parts of a ``multipart/mixed`` body (RFC 2046, section 5.1.1).

    The standard library's parser reads headers here, but not the body: it goes line by line, which for 5 MiB takes up
    to 2.4 s of the interpreter lock against 5 ms.
    """
    header = Message()
    header["Content-Type"] = content_type
    try:
        boundary = header.get_boundary()
    except ValueError:  # the standard library's, on a parameter with a number of too many digits
        raise _Refused("the reply's type is damaged") from None
    if header.get_content_maintype() != "multipart" or not boundary:
        raise _Refused(f"the reply is {header.get_content_type()}, not multipart with a boundary")
    _, *sections = (_NEW_LINE + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    contents: list[bytes] = []
    for section in sections:
        if section.startswith(b"--"):
            return contents
        line, found, rest = section.partition(_NEW_LINE)
        if line.strip(b" \t") or not found:
            break
        contents.append(_part_content(rest))
    raise _Refused("the multipart reply is damaged or cut short")


def _part_content(part: bytes) -> bytes:
    if part.startswith(_NEW_LINE):  # no headers
        return part[len(_NEW_LINE) :]
    head, found, content = part.partition(_NEW_LINE * 2)
    headers = BytesHeaderParser().parsebytes(head)
    for name, allowed in (
        ("Content-Encoding", ("identity",)),
        ("Content-Transfer-Encoding", ("binary", "8bit", "7bit")),
    ):
        value = str(headers.get(name, allowed[0])).strip().lower()
        if value not in allowed:
            raise _Refused(f"a part has the {name} {value!r}")
    length = str(headers.get("Content-Length", len(content))).strip()
    if not found or length != str(len(content)):
        raise _Refused(f"a part of {length} bytes has {len(content)}")
    return content


@contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise _Refused(f"not a usable tar archive: {error}") from None


def _checked(archive: bytes, budget: _Budget) -> tarfile.TarFile:
    # "r:" takes plain tar only: a compressed one could grow without limit while its headers are looked for.
    tar = tarfile.open(fileobj=io.BytesIO(archive), mode="r:")  # noqa: SIM115  # it holds nothing but memory
    # One by one, so that the checks (a negative size leads to an endless loop) come before the next header is read.
    while (member := tar.next()) is not None:
        check_wanted()
        budget.spend(member)
        _safe_path(member)
    return tar


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, staging: Path) -> str:
    check_wanted()
    target = staging / _safe_path(member)
    if _data_filter is not None:
        _data_filter(member, str(staging))
    try:
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(tar, member, target)
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            raise _Refused(f"member {member.name!r} cannot have that name: {error.strerror}") from None
        raise
    return member.name


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise _Refused(f"member {member.name!r} has no content")
    # Only whether it is executable is taken over; exclusive, so that no name comes twice, however the disk folds names.
    mode = 0o777 if member.mode & stat.S_IXUSR else 0o666
    with source, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        shutil.copyfileobj(source, stream)
    with suppress(OSError, OverflowError, ValueError):
        os.utime(target, (member.mtime, member.mtime))


def _safe_path(member: tarfile.TarInfo) -> PurePath:
    name = member.name
    if not (member.isreg() or member.isdir()):
        raise _Refused(f"member {name!r} is neither a file nor a directory")
    posix, native = PurePosixPath(name), PurePath(name)
    if posix.is_absolute() or native.is_absolute() or native.drive or native.root:
        raise _Refused(f"member {name!r} has an absolute name")
    if ".." in posix.parts or ".." in native.parts:
        raise _Refused(f"member {name!r} climbs out of the archive")
    if "\0" in name or (not native.parts and not member.isdir()):
        raise _Refused(f"member {name!r} has no usable name")
    return native


@contextmanager
def _made(directory: Path) -> Iterator[Path]:
    """The directory, resolved; what had to be made for it is removed again when the block fails."""
    root = directory.resolve()
    missing = [path for path in (root, *root.parents) if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        yield root
    except BaseException:
        for path in missing:
            with suppress(OSError):  # not empty: somebody else uses it now
                path.rmdir()
        raise


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=root))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_into_place(staging: Path, root: Path) -> None:
    entries = list(_entries(staging))
    for entry in entries:  # refuse before the first change
        check_wanted()
        target = root / entry.path
        if not os.path.lexists(target):
            continue
        if entry.is_directory and not _is_directory(target):
            raise _Refused(f"{str(entry.path)!r} is a directory, but the destination has something else of that name")
        if not entry.is_directory and _is_directory(target):
            raise _Refused(f"{str(entry.path)!r} is a file, but the destination has a directory of that name")
    for entry in entries:
        target = root / entry.path
        with commit():
            if not entry.is_directory:
                (staging / entry.path).replace(target)
            elif not os.path.lexists(target):
                target.mkdir()


def _entries(staging: Path) -> Iterator[_Entry]:
    for folder, directories, files in os.walk(staging):
        below = Path(folder).relative_to(staging)
        yield from (_Entry(below / name, True) for name in directories)
        yield from (_Entry(below / name, False) for name in files)


def _is_directory(path: Path) -> bool:
    """Whether it is a directory, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
