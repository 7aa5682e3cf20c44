"""Downloads: what is unpacked, and what is refused without a trace."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendClientError, InvalidReply
from ai.backend.client.functions.base import Offload
from ai.backend.client.functions.compute import archive as _archive

BOUNDARY = "35ac7a21a648485e9bdcfa14dcf3e05d"
CONTENT_TYPE = f"multipart/mixed; boundary={BOUNDARY}"
HEADERS = "Content-Type: application/octet-stream\r\nContent-Encoding: identity\r\nContent-Length: {}\r\n"


def multipart(*parts: bytes, headers: str = HEADERS) -> bytes:
    body = b"".join(f"--{BOUNDARY}\r\n{headers.format(len(part))}\r\n".encode() + part + b"\r\n" for part in parts)
    return body + f"--{BOUNDARY}--\r\n".encode()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **attributes: Any
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def archive(*members: tuple[tarfile.TarInfo, bytes], dialect: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def snapshot(folder: Path) -> dict[str, Any]:
    """Everything below a folder: path → content, link target, or None for a directory."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = str(path.readlink()) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return found


@pytest.fixture
def unpack(kernel: Any, play: Any, reply: Any, tmp_path: Path) -> Callable[..., Any]:
    """`unpack(part, ...)`: download into `tmp_path/outer/dest`; nothing else of `tmp_path` may change by it."""
    outer = tmp_path / "outer"
    (outer / "dest").mkdir(parents=True)
    (outer / "neighbour").write_bytes(b"untouched")

    def run(
        *parts: bytes, dest: Path | None = None, body: bytes | None = None, content_type: str = CONTENT_TYPE
    ) -> Any:
        files = [f"file{number}" for number in range(len(parts) or 1)]
        started = play(kernel().download, files, dest=dest or outer / "dest")
        started.answer(reply(multipart(*parts) if body is None else body, 200, {"Content-Type": content_type}))
        assert isinstance(started.step, Offload)
        return started.off_load().value

    return run


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "outer" / "dest"


def test_files_and_directories_arrive(unpack, dest) -> None:
    first = archive(member("a.txt", content=b"A\r\n--\r\n", mode=0o644))
    second = archive(member("sub", tarfile.DIRTYPE, mode=0o755), member("sub/b.txt", content=b"B"), member("sub/empty"))
    assert unpack(first, second) == {"file_names": ["a.txt", "sub", "sub/b.txt", "sub/empty"]}
    assert snapshot(dest) == {"a.txt": b"A\r\n--\r\n", "sub": None, "sub/b.txt": b"B", "sub/empty": b""}


def test_a_real_answer_of_a_manager_arrives(unpack, dest) -> None:
    content = os.urandom(100_000)
    assert unpack(archive(member("data", content=content), dialect=tarfile.PAX_FORMAT)) == {"file_names": ["data"]}
    assert (dest / "data").read_bytes() == content


def test_directories_may_come_without_an_entry(unpack, dest) -> None:
    unpack(archive(member("x/y/z.txt", content=b"Z")))
    assert snapshot(dest) == {"x": None, "x/y": None, "x/y/z.txt": b"Z"}


def test_a_directory_may_come_as_the_dot(unpack, dest) -> None:
    unpack(archive(member(".", tarfile.DIRTYPE), member("./a.txt", content=b"A")))
    assert snapshot(dest) == {"a.txt": b"A"}


def test_existing_files_are_replaced_and_others_kept(unpack, dest) -> None:
    (dest / "sub").mkdir()
    (dest / "sub" / "old").write_bytes(b"old")
    (dest / "sub" / "kept").write_bytes(b"kept")
    unpack(archive(member("sub", tarfile.DIRTYPE), member("sub/old", content=b"new")))
    assert snapshot(dest) == {"sub": None, "sub/old": b"new", "sub/kept": b"kept"}


def test_a_missing_destination_is_made(unpack, dest) -> None:
    unpack(archive(member("a.txt", content=b"A")), dest=dest / "new" / "er")
    assert snapshot(dest) == {"new": None, "new/er": None, "new/er/a.txt": b"A"}


def test_permissions_are_harmless(unpack, dest) -> None:
    umask = os.umask(0o022)
    try:
        unpack(
            archive(
                member("plain", mode=0o7666, uid=12345, gid=12345),
                member("program", mode=0o6711),
                member("hidden", mode=0o000),
                member("folder", tarfile.DIRTYPE, mode=0o7000),
            )
        )
    finally:
        os.umask(umask)
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in dest.iterdir()}
    assert modes == {"plain": "0o644", "program": "0o755", "hidden": "0o644", "folder": "0o755"}
    assert {path.stat().st_uid for path in dest.iterdir()} == {os.getuid()}


def test_times_are_kept_where_they_can_be(unpack, dest) -> None:
    unpack(archive(member("old", mtime=1_500_000_000), member("odd", mtime=-(2**60))))
    assert (dest / "old").stat().st_mtime == 1_500_000_000


def _negative_size() -> bytes:
    raw = bytearray(archive(member("a.txt", content=b"A")))
    raw[124:136] = b"\xff" * 11 + b"\x00"  # base-256: a negative number
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw[:512]):06o}\0 ".encode()
    return bytes(raw)


def _sparse(size: int) -> bytes:
    """An old GNU sparse member that claims a size without having it."""
    info, _ = member("holes", tarfile.GNUTYPE_SPARSE, b"")
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[483:495] = f"{size:011o}\0".encode()
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw[:512]):06o}\0 ".encode()
    return bytes(raw) + bytes(1024)


GOOD = member("good.txt", content=b"G")
HOSTILE: dict[str, bytes] = {
    "absolute name": archive(GOOD, member("/tmp/absolute.txt", content=b"X")),
    "absolute directory": archive(GOOD, member("/tmp/absolute", tarfile.DIRTYPE)),
    "absolute name after dots": archive(GOOD, member("//tmp/absolute.txt", content=b"X")),
    "climbs": archive(GOOD, member("../climbed.txt", content=b"X")),
    "climbs from below": archive(GOOD, member("a/../../climbed.txt", content=b"X")),
    "dots within": archive(GOOD, member("a/../b.txt", content=b"X")),
    "dots as a name": archive(GOOD, member("..", tarfile.DIRTYPE)),
    "climbs by pax": archive(
        GOOD, member("x", content=b"X", pax_headers={"path": "../climbed.txt"}), dialect=tarfile.PAX_FORMAT
    ),
    "symbolic link out": archive(GOOD, member("link", tarfile.SYMTYPE, linkname="../neighbour")),
    "symbolic link within": archive(GOOD, member("link", tarfile.SYMTYPE, linkname="good.txt")),
    "through a link": archive(member("link", tarfile.SYMTYPE, linkname=".."), member("link/neighbour", content=b"X")),
    "hard link out": archive(GOOD, member("link", tarfile.LNKTYPE, linkname="../neighbour")),
    "hard link within": archive(GOOD, member("link", tarfile.LNKTYPE, linkname="good.txt")),
    "character device": archive(GOOD, member("null", tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "block device": archive(GOOD, member("disk", tarfile.BLKTYPE, devmajor=8)),
    "fifo": archive(GOOD, member("pipe", tarfile.FIFOTYPE)),
    "unknown kind": archive(GOOD, member("what", b"Z")),
    "the same name twice": archive(GOOD, member("good.txt", content=b"other")),
    "the same name spelt otherwise": archive(GOOD, member("./good.txt", content=b"other")),
    "a file, then a directory": archive(GOOD, member("good.txt", tarfile.DIRTYPE)),
    "a directory, then a file": archive(member("d", tarfile.DIRTYPE), member("d", content=b"X")),
    "a file, then something below it": archive(GOOD, member("good.txt/below", content=b"X")),
    "no name": archive(GOOD, member(".", content=b"X")),
    "a name too long": archive(GOOD, member("x" * 300, content=b"X")),
    "huge declared size": archive(GOOD, member("huge"))[:-10240]
    + member("huge", size=2**40)[0].tobuf(tarfile.GNU_FORMAT),
    "huge sparse file": _sparse(2**33 - 1),
    "negative size": _negative_size(),
    "cut short": archive(GOOD, member("big", content=bytes(5000)))[:3000],
    "not a tar": b"<html>" * 200,
    "a compressed tar": __import__("gzip").compress(archive(GOOD)),
}


@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_and_leaves_nothing_behind(part, unpack, tmp_path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(InvalidReply, match="refused") as caught:
        unpack(archive(member("fine.txt", content=b"F")), part)
    assert caught.value.status == 200
    assert snapshot(tmp_path) == before
    assert not Path("/tmp/absolute.txt").exists()


def test_a_refused_archive_leaves_no_new_destination(unpack, dest, tmp_path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(InvalidReply):
        unpack(HOSTILE["climbs"], dest=dest / "new" / "er")
    assert snapshot(tmp_path) == before


def test_two_archives_with_one_name_are_refused(unpack, dest) -> None:
    with pytest.raises(InvalidReply, match="cannot have that name"):
        unpack(archive(GOOD), archive(GOOD))
    assert snapshot(dest) == {}


def test_too_many_members_are_refused(unpack, dest, monkeypatch) -> None:
    monkeypatch.setattr(_archive, "MAX_MEMBERS", 3)
    few = archive(*(member(f"d{number}", tarfile.DIRTYPE) for number in range(2)))
    with pytest.raises(InvalidReply, match="more than 3 members"):
        unpack(few, few)
    assert snapshot(dest) == {}


def test_too_many_bytes_are_refused(unpack, dest, monkeypatch) -> None:
    monkeypatch.setattr(_archive, "MAX_BYTES", 100)
    with pytest.raises(InvalidReply, match="more than 100 bytes"):
        unpack(archive(member("a", content=bytes(60))), archive(member("b", content=bytes(60))))
    assert snapshot(dest) == {}


@pytest.mark.parametrize(
    "parts", [[archive(member("taken", content=b"X"))], [archive(member("link/below", content=b"X"))]]
)
def test_what_is_in_the_way_is_left_alone(parts, unpack, dest, tmp_path) -> None:
    (dest / "taken").mkdir()
    (dest / "link").symlink_to(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(InvalidReply, match="the destination has"):
        unpack(archive(GOOD), *parts)
    assert snapshot(tmp_path) == before


def test_a_link_in_the_way_of_a_file_is_replaced_not_followed(unpack, dest, tmp_path) -> None:
    (dest / "good.txt").symlink_to(tmp_path / "outer" / "neighbour")
    unpack(archive(GOOD))
    assert (tmp_path / "outer" / "neighbour").read_bytes() == b"untouched"
    assert not (dest / "good.txt").is_symlink()


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b""), lambda path: path.symlink_to(path)])
def test_an_unusable_destination_is_an_error_of_its_own(make, unpack, dest) -> None:
    make(dest / "odd")
    with pytest.raises(BackendClientError, match="cannot unpack into"):
        unpack(archive(GOOD), dest=dest / "odd")


ONE = multipart(archive(GOOD))
BROKEN: dict[str, tuple[str, bytes]] = {
    "not multipart": ("application/json", b"{}"),
    "no content type": ("", ONE),
    "no boundary": ("multipart/mixed", ONE),
    "another boundary": ("multipart/mixed; boundary=other", ONE),
    "a boundary past counting": (f"multipart/mixed; boundary*{'9' * 5000}=b", ONE),
    "empty": (CONTENT_TYPE, b""),
    "no end": (CONTENT_TYPE, ONE[: -len(BOUNDARY) - 6]),
    "cut in the middle": (CONTENT_TYPE, ONE[:5000]),
    "no parts": (CONTENT_TYPE, f"--{BOUNDARY}--\r\n".encode()),
    "a part too many": (CONTENT_TYPE, multipart(archive(GOOD), archive())),
    "gzip": (CONTENT_TYPE, multipart(archive(GOOD), headers="Content-Encoding: gzip\r\n")),
    "base64": (CONTENT_TYPE, multipart(archive(GOOD), headers="Content-Transfer-Encoding: base64\r\n")),
    "another length": (CONTENT_TYPE, multipart(archive(GOOD), headers="Content-Length: 5\r\n")),
    "a longer boundary": (CONTENT_TYPE, ONE.replace(BOUNDARY.encode() + b"\r\n", BOUNDARY.encode() + b"x\r\n")),
}


@pytest.mark.parametrize(("content_type", "body"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_reply_is_refused(content_type, body, unpack, dest) -> None:
    with pytest.raises(InvalidReply, match="refused") as caught:
        unpack(body=body, content_type=content_type)
    assert caught.value.body == body[:256]
    assert snapshot(dest) == {}


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"\r\n\r\n--", b"--" + BOUNDARY[:-1].encode(), bytes(range(256)) * 3, b"\n" * 9]
)
def test_parts_come_out_byte_for_byte(content) -> None:
    body = b"preamble\r\n" + multipart(content, b"x", headers="") + b"epilogue --" + BOUNDARY.encode()
    assert _archive.split_parts(CONTENT_TYPE, body) == [content, b"x"]
    assert _archive.split_parts(f'multipart/mixed; boundary="{BOUNDARY}"', multipart(content)) == [content]


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python has only our own checks anyway")
def test_our_own_checks_hold_without_the_standard_librarys(unpack, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_archive, "_data_filter", None)
    before = snapshot(tmp_path)
    for part in HOSTILE.values():
        with pytest.raises(InvalidReply):
            unpack(part)
    assert snapshot(tmp_path) == before


def test_single_files_come_as_they_are(kernel, play, reply) -> None:
    assert play(kernel().download_single, "a.txt").answer(reply(b"\x00raw")).value == b"\x00raw"
