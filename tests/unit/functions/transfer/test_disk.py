"""The local side of transfers: which files go up, partial files and their notes, records, multipart answers."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from ai.backend.client.exceptions import InvalidArgument, InvalidReply, SourceChanged, TargetExists, TransferError
from ai.backend.client.functions.transfer import partial_file
from ai.backend.client.functions.transfer.download import ProxyDownload
from ai.backend.client.functions.transfer.form import FormSource, _Mixed, download_batch
from ai.backend.client.functions.transfer.partial_file import Mismatch, Part
from ai.backend.client.functions.transfer.plan import Plan
from ai.backend.client.functions.transfer.progress import Meter
from ai.backend.client.functions.transfer.saved import Record, SavedUploads
from ai.backend.client.functions.transfer.sources import BytesSource, FileSource, LocalFile, find_files
from ai.backend.client.request import Response
from ai.backend.client.transfer import Head
from support.runtimes.inside import descriptors

MIB = 1 << 20


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a tree in it and a secret outside."""
    folder = tmp_path / "work"
    (folder / "tree" / "sub").mkdir(parents=True)
    (folder / "tree" / "hollow").mkdir()
    (folder / "tree" / "a").write_bytes(b"A")
    (folder / "tree" / "sub" / "b").write_bytes(b"BB")
    (folder / "single").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"S")
    monkeypatch.chdir(folder)
    return folder


def names(found) -> list[str]:
    return sorted(file.name for file in found.files)


# -- what goes up -----------------------------------------------------------------------------------------------------


def test_files_are_found_with_their_names_and_sizes(work):
    found = find_files(["single", "tree/sub/b"], None, False)
    assert [(file.name, file.size, file.path) for file in found.files] == [
        ("single", 0, str(work / "single")),
        ("tree/sub/b", 2, str(work / "tree" / "sub" / "b")),
    ]
    assert found.directories == []


def test_directories_are_walked_and_empty_ones_are_told(work):
    found = find_files(["tree"], None, True)
    assert names(found) == ["tree/a", "tree/sub/b"]
    assert found.directories == ["tree/hollow"]


def test_the_base_directory_itself_may_be_uploaded(work):
    assert names(find_files(["."], None, True)) == ["single", "tree/a", "tree/sub/b"]
    assert names(find_files([str(work / "tree")], str(work / "tree"), True)) == ["a", "sub/b"]


def test_sources_are_looked_for_in_basedir_first_then_in_the_working_directory(work):
    assert names(find_files(["sub/b"], "tree", False)) == ["sub/b"]
    assert names(find_files(["tree/sub/b"], "tree", False)) == ["sub/b"]
    (work / "tree" / "single").write_bytes(b"the other")
    [found] = find_files(["single"], "tree", False).files
    assert found.path == str(work / "tree" / "single")


def test_a_file_that_is_named_twice_goes_up_once(work):
    assert names(find_files(["tree", "tree/a", "tree/../tree/a"], None, True)) == ["tree/a", "tree/sub/b"]


@pytest.mark.parametrize(
    ("source", "basedir", "reason"),
    [
        ("../secret", None, "outside of the base directory"),
        ("single", "tree/sub", "outside of the base directory"),
        ("tree", None, "is a directory"),
        ("nothing", None, "No such file"),
        ("single/x", None, "Not a directory"),
    ],
)
def test_what_cannot_go_up_is_refused(work, source, basedir, reason):
    with pytest.raises(InvalidArgument, match=reason) as caught:
        find_files([source], basedir, False)
    assert caught.value.argument == "sources"


def test_a_basedir_that_is_not_there_is_refused(work):
    with pytest.raises(InvalidArgument) as caught:
        find_files(["single"], "nothing", False)
    assert caught.value.argument == "basedir"


def test_links_among_the_sources_are_resolved_first(work):
    (work / "link").symlink_to("tree/a")
    (work / "out").symlink_to("../secret")
    (work / "loop").symlink_to("loop")
    assert names(find_files(["link"], None, False)) == ["tree/a"]
    for source in ("out", "loop"):
        with pytest.raises(InvalidArgument):
            find_files([source], None, False)


def test_no_link_leads_out_of_a_directory(work, caplog):
    tree = work / "tree"
    (tree / "inside").symlink_to("sub/b")
    (tree / "outside").symlink_to(work.parent / "secret")
    (tree / "sibling").symlink_to("../single")
    (tree / "up").symlink_to("..")
    (tree / "down").symlink_to("sub")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "loop").symlink_to("loop")
    found = find_files(["tree"], None, True)
    assert names(found) == ["tree/a", "tree/inside", "tree/sub/b"]
    assert next(file for file in found.files if file.name == "tree/inside").path == str(tree / "sub" / "b")
    for name in ("outside", "sibling", "up", "down", "dangling", "loop"):
        assert f"{tree}/{name}'" in caplog.text


def test_special_files_are_skipped_in_directories_and_refused_among_the_sources(work, caplog):
    os.mkfifo(work / "tree" / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("tree/socket")
        assert names(find_files(["tree"], None, True)) == ["tree/a", "tree/sub/b"]
    assert "fifo" in caplog.text
    with pytest.raises(InvalidArgument, match="regular file"):
        find_files(["tree/fifo"], None, False)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_a_name_that_cannot_be_sent_is_refused(work, make):
    make(work / "tree" / os.fsdecode(b"\xff"))
    with pytest.raises(InvalidArgument, match="UTF-8"):
        find_files(["tree"], None, True)


# -- reading ----------------------------------------------------------------------------------------------------------


def local(path: Path, **changes: Any) -> LocalFile:
    about = path.stat()
    return LocalFile(str(path), path.name, about.st_size, about.st_mtime_ns)._replace(**changes)


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (3, 4), (9, 1), (0, 0), (10, 0)])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_part_is_read_in_pieces(work, offset, length, size):
    (work / "file").write_bytes(b"0123456789")
    pieces = list(FileSource(local(work / "file"), offset, length).pieces(size))
    assert b"".join(pieces) == b"0123456789"[offset : offset + length]
    assert all(0 < len(piece) <= size for piece in pieces)


def test_a_part_beyond_four_gigabytes_is_read(work):
    start = (5 << 30) + 7
    with (work / "huge").open("wb") as stream:
        stream.seek(start)
        stream.write(b"tail")
    assert b"".join(FileSource(local(work / "huge"), start, 4).pieces(100)) == b"tail"


@pytest.mark.parametrize("changes", [{"size": 9}, {"size": 11}, {"modified": 5}])
def test_a_file_that_is_not_what_it_was_is_not_begun(work, changes):
    (work / "file").write_bytes(b"0123456789")
    with pytest.raises(SourceChanged):
        next(FileSource(local(work / "file", **changes), 0, 10).pieces(10))


@pytest.mark.parametrize("change", ["grow", "shrink", "touch"])
def test_the_last_piece_of_a_file_that_changed_is_never_handed_out(work, change):
    path = work / "file"
    path.write_bytes(b"0123456789")
    pieces = FileSource(local(path), 0, 10).pieces(4)
    got = [next(pieces), next(pieces)]
    if change == "touch":
        os.utime(path, ns=(1, 1))
    else:
        os.truncate(path, 20 if change == "grow" else 8)
    with pytest.raises(SourceChanged):
        got.extend(pieces)
    assert b"".join(got) == b"01234567"


def test_a_link_or_a_pipe_in_a_file_s_place_is_not_followed(work):
    path = work / "file"
    path.write_bytes(b"x")
    file = local(path)
    path.unlink()
    path.symlink_to(work.parent / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        list(FileSource(file, 0, 1).pieces(1))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceChanged):
        list(FileSource(file, 0, 1).pieces(1))


def test_a_directory_in_a_file_s_place_is_not_read_and_not_left_open(work):
    (work / "file").write_bytes(b"x")
    file = local(work / "file")
    (work / "file").unlink()
    (work / "file").mkdir()
    before = descriptors()
    with pytest.raises(SourceChanged):
        list(FileSource(file, 0, 1).pieces(1))
    assert descriptors() == before


def test_a_form_has_the_length_that_it_announces_and_names_that_the_server_reads(work):
    (work / "tree" / "a").write_bytes(b"content")
    contents = [FileSource(local(work / "tree" / "a"), 0, 7), BytesSource(b"")]
    form = FormSource(list(zip(('q"ü/\r\n%41', "empty"), contents, strict=True)))
    body = b"".join(form.pieces(3))
    assert len(body) == form.length
    assert b"filename*=utf-8''q%22%C3%BC%2F%0D%0A%2541\r\n" in body
    assert [body[start : start + size] for start, size in form.places] == [b"content", b""]


# -- partial files ----------------------------------------------------------------------------------------------------

MODIFIED = "Tue, 24 Nov 2026 10:31:43 GMT"


def head(status=200, length=None, **headers) -> Head:
    fields = {"Last-Modified": MODIFIED, "ETag": '"1"', **{k.replace("_", "-"): v for k, v in headers.items()}}
    if length is not None:
        fields["Content-Length"] = str(length)
    return Head(status, CaseInsensitiveDict({name: text for name, text in fields.items() if text is not None}))


def rest(start, total, **headers) -> Head:
    return head(206, total - start, Content_Range=f"bytes {start}-{total - 1}/{total}", **headers)


def part(work, origin="m folder file", resumable=True) -> Part:
    made = Part(str(work / "target"), origin, resumable)
    made.prepare(overwrite=False)
    return made


def broken(*pieces):
    yield from pieces
    raise ConnectionError("broken")


BIG = os.urandom(2 * MIB)


@pytest.fixture
def half(work):
    """A partial file of half of `BIG`."""
    with pytest.raises(ConnectionError):
        part(work).receive(head(length=len(BIG)), broken(BIG[:MIB]))


def hidden(work):
    return sorted(path.suffix for path in work.glob(".backendai-*"))


def test_a_file_that_came_whole_gets_its_name(work):
    one = part(work)
    assert one.headers() == {}
    one.receive(head(length=4), iter([b"ab", b"cd"]))
    assert not (work / "target").exists()
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"abcd"
    assert hidden(work) == []


def test_directories_above_the_target_are_made(work):
    one = Part(str(work / "x" / "y" / "target"), "o", True)
    one.prepare(overwrite=False)
    one.receive(head(length=0), iter(()))
    one.finish(overwrite=False)
    assert (work / "x" / "y" / "target").read_bytes() == b""


def test_what_is_left_is_continued_by_another_object(work, half):
    assert hidden(work) == [".json", ".part"]
    one = part(work)
    assert (one.offset, one.total) == (MIB, 2 * MIB)
    assert one.headers() == {"Range": f"bytes={MIB}-", "If-Range": MODIFIED}
    one.receive(rest(MIB, 2 * MIB), iter([BIG[MIB:]]))
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == BIG
    assert hidden(work) == []


@pytest.mark.parametrize(
    "headers", [{"ETag": '"2"'}, {"Last_Modified": "Tue, 24 Nov 2026 10:31:44 GMT"}, {"ETag": None}]
)
def test_the_rest_of_another_file_is_no_continuation(work, half, headers):
    with pytest.raises(Mismatch):
        part(work).receive(rest(MIB, 2 * MIB, **headers), iter([BIG[MIB:]]))


@pytest.mark.parametrize(("start", "total"), [(MIB - 1, 2 * MIB), (MIB + 1, 2 * MIB), (MIB, 2 * MIB + 1), (0, 2 * MIB)])
def test_the_rest_from_another_place_is_no_continuation(work, half, start, total):
    with pytest.raises(Mismatch):
        part(work).receive(rest(start, total), iter([b"x"]))


@pytest.mark.parametrize(
    "told", [None, "", "bytes", "bytes */9", "bytes 5-4", f"bytes {MIB}-*/5", "lines 1-2/3", f"bytes {'9' * 5000}-1/2"]
)
def test_a_rest_that_tells_no_place_is_refused(work, half, told):
    with pytest.raises(InvalidReply):
        part(work).receive(head(206, Content_Range=told), iter([b"x"]))


def test_a_rest_that_nobody_asked_for_is_refused(work):
    with pytest.raises(InvalidReply):
        part(work).receive(rest(MIB, 2 * MIB), iter([b"x"]))


def test_the_whole_file_in_place_of_the_rest_replaces_what_was_there(work, half):
    one = part(work)
    one.receive(head(length=3, ETag='"2"'), iter([b"new"]))
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"new"
    assert hidden(work) == []


def test_a_complete_part_is_asked_for_its_last_byte(work, half):
    [path] = work.glob("*.part")
    path.write_bytes(BIG)
    one = part(work)
    assert one.headers()["Range"] == f"bytes={2 * MIB - 1}-"
    one.receive(rest(2 * MIB - 1, 2 * MIB), iter([BIG[-1:]]))
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == BIG


def test_a_part_that_vanished_meanwhile_is_not_filled_with_nothing(work, half):
    one = part(work)
    [path] = work.glob("*.part")
    path.unlink()
    with pytest.raises(Mismatch):
        one.receive(rest(MIB, 2 * MIB), iter([BIG[MIB:]]))


@pytest.mark.parametrize(
    "note", ["", "{", "[]", "5", "{}", '{"size": "5", "validators": {}}', '{"size": 5, "validators": []}',
             '{"size": 5, "validators": {"modified": 5}}', '{"size": 5, "validators": {"modified": "x"}}',
             '{"size": 9999999, "validators": {"modified": "x\\r\\nEvil: 1"}}'],
)  # fmt: skip
def test_a_note_that_makes_no_sense_is_no_note(work, half, note):
    [path] = work.glob("*.json")
    path.write_text(note)
    one = part(work)
    assert (one.offset, one.headers()) == (0, {})


def test_a_part_is_of_its_origin_only(work, half):
    assert part(work, origin="m folder other").offset == 0


def test_without_resuming_nothing_is_noted_or_looked_for(work, half):
    one = part(work, resumable=False)
    assert one.headers() == {}
    with pytest.raises(ConnectionError):
        one.receive(head(length=len(BIG)), broken(BIG[:MIB]))
    assert hidden(work) == []


def test_a_small_file_that_broke_leaves_nothing(work):
    with pytest.raises(ConnectionError):
        part(work).receive(head(length=100), broken(b"x"))
    assert hidden(work) == []


def test_a_file_without_a_date_cannot_be_continued(work):
    with pytest.raises(ConnectionError):
        part(work).receive(head(length=len(BIG), Last_Modified=None), broken(BIG[:MIB]))
    assert part(work).headers() == {}


def test_fewer_bytes_than_were_told_are_not_taken(work):
    with pytest.raises(Mismatch):
        part(work).receive(head(length=5), iter([b"four"]))


def test_no_more_bytes_than_were_told_are_written(work, half):
    [path] = work.glob("*.part")
    with pytest.raises(Mismatch):
        part(work).receive(rest(MIB, 2 * MIB), iter([BIG[MIB:], b"more"]))
    assert path.read_bytes() == BIG


@pytest.mark.parametrize("planted", ["fifo", "link", "directory", "somebody's"])
def test_what_somebody_planted_in_the_note_s_place_is_not_read(work, half, planted):
    [path] = work.glob("*.json")
    aside = path.rename(work / "note")
    if planted == "fifo":
        os.mkfifo(path)
    elif planted == "link":
        path.symlink_to(aside)
    elif planted == "directory":
        path.mkdir()
    else:
        path.write_bytes(aside.read_bytes())
        path.chmod(0o666)
    assert part(work).headers() == {}


def test_a_note_is_not_written_through_a_link(work):
    one = part(work)
    (work / "single").write_bytes(b"precious")
    for suffix in (".json", ".new"):
        one._note.with_suffix(suffix).symlink_to(work / "single")
    with pytest.raises(ConnectionError):
        one.receive(head(length=len(BIG)), broken(b"x"))
    assert (work / "single").read_bytes() == b"precious"
    assert part(work).offset == 1


@pytest.mark.parametrize("status", [201, 203, 204, 226])
def test_another_success_is_no_file(work, status):
    with pytest.raises(InvalidReply):
        part(work).receive(head(status, 1), iter([b"x"]))


def test_nothing_is_replaced_unless_asked_for(work):
    (work / "target").write_bytes(b"mine")
    one = Part(str(work / "target"), "o", True)
    with pytest.raises(TargetExists):
        one.prepare(overwrite=False)
    one.prepare(overwrite=True)
    one.receive(head(length=1), iter([b"x"]))
    one.finish(overwrite=True)
    assert (work / "target").read_bytes() == b"x"


def test_a_target_that_appears_at_the_last_moment_is_not_replaced(work, monkeypatch):
    one = part(work)
    one.receive(head(length=1), iter([b"x"]))
    monkeypatch.setattr(one, "check_target", lambda overwrite: (work / "target").write_bytes(b"mine"))
    with pytest.raises(TargetExists):
        one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"mine"
    assert hidden(work) == []


def test_a_file_system_without_links_works_too(work, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    one = part(work)
    one.receive(head(length=1), iter([b"x"]))
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"x"
    assert hidden(work) == []


def test_a_directory_is_never_replaced(work):
    (work / "target").mkdir()
    with pytest.raises(TargetExists):
        Part(str(work / "target"), "o", True).prepare(overwrite=True)


def test_a_part_that_somebody_else_writes_is_left_alone(work, monkeypatch):
    monkeypatch.setattr(partial_file, "LOCK_PATIENCE", 0.05)
    first, second = part(work), part(work)

    def pieces():
        yield b"first"
        with pytest.raises(TransferError, match="somebody else"):
            second.receive(head(length=6), iter([b"second"]))

    first.receive(head(length=5), pieces())
    first.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"first"


def test_what_somebody_else_has_completed_meanwhile_is_not_written_to(work):
    """Whoever waits for the partial file has opened it before it became the target."""
    first, second = part(work), part(work)
    ended: list[BaseException] = []

    def also() -> None:
        try:
            second.receive(head(length=5), broken(b"2"))
        except ConnectionError as error:
            ended.append(error)

    waiter = threading.Thread(target=also)

    def pieces():
        yield b"first"
        waiter.start()
        waiter.join(0.2)

    first.receive(head(length=5), pieces())
    first.finish(overwrite=False)
    waiter.join(10)
    assert len(ended) == 1
    assert (work / "target").read_bytes() == b"first"
    assert hidden(work) == []


@pytest.mark.parametrize("change", ["nothing", "cut", "gone"])
def test_a_part_that_somebody_else_changed_after_it_was_complete_gets_no_name(work, change):
    one = part(work)
    one.receive(head(length=3), iter([b"abc"]))
    [path] = work.glob("*.part")
    if change == "cut":
        os.truncate(path, 1)
    elif change == "gone":
        path.unlink()
    if change == "nothing":
        one.finish(overwrite=False)
    else:
        with pytest.raises(TransferError, match="instead of 3"):
            one.finish(overwrite=False)
    assert (work / "target").exists() is (change == "nothing")
    assert hidden(work) == []


def test_a_part_that_cannot_have_its_name_leaves_nothing(work, monkeypatch):
    one = part(work)
    one.receive(head(length=1), iter([b"x"]))

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(PermissionError):
        one.finish(overwrite=True)
    assert hidden(work) == []


@pytest.mark.parametrize("proxied", [True, False])
def test_a_call_that_is_cancelled_behind_the_last_byte_leaves_nothing(work, proxied):
    plan = Plan("/folders/f", "f", "identity", proxied, {}, MIB, 1, 0, Meter(None, None))
    one = Part(str(work / "target"), "o", False)
    recipe = (
        ProxyDownload(plan, "target", one, overwrite=False, archive=False).run()
        if proxied
        else download_batch(plan, [("target", one)], overwrite=False)
    )
    prepare = next(recipe)
    step = recipe.send(prepare.function(*prepare.args))
    if proxied:
        step = recipe.send(Response(200, b'{"token": "t", "url": "http://proxy.example/x"}', None))
        step.sink(head(length=1), iter([b"x"]))
    else:
        form = CaseInsensitiveDict({"Content-Type": "multipart/mixed; boundary=b"})
        step.sink(Head(200, form), iter([b"--b\r\n\r\nx\r\n--b--"]))
    recipe.close()
    assert (work / "target").read_bytes() == b"x"
    assert hidden(work) == []


@pytest.mark.parametrize("planted", ["link", "hard link", "fifo"])
def test_what_somebody_planted_in_the_part_s_place_is_not_written_through(work, planted):
    one = part(work)
    path = work / f"{one._path.name}"
    victim = work / "single"
    victim.write_bytes(b"precious")
    if planted == "link":
        path.symlink_to(victim)
    elif planted == "hard link":
        os.link(victim, path)
    else:
        os.mkfifo(path)
    one.receive(head(length=1), iter([b"x"]))
    one.finish(overwrite=False)
    assert victim.read_bytes() == b"precious"
    assert (work / "target").read_bytes() == b"x"
    assert stat.S_ISREG((work / "target").lstat().st_mode)


def test_names_of_any_length_have_room_for_a_part(work):
    one = Part(str(work / ("n" * 255)), "o", True)
    one.prepare(overwrite=False)
    one.receive(head(length=1), iter([b"x"]))
    one.finish(overwrite=False)
    assert (work / ("n" * 255)).read_bytes() == b"x"


# -- records ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(work):
    return local(work / "tree" / "a")


RECORD = Record("http://proxy/upload", "t0k")


def test_a_record_is_found_again_by_the_same_file_only(work, file):
    saved = SavedUploads(str(work / "records"), "folder")
    assert saved.recall("name", file) is None
    saved.remember("name", file, RECORD)
    assert saved.recall("name", file) == RECORD
    assert saved.recall("other", file) is None
    assert SavedUploads(str(work / "records"), "other").recall("name", file) is None
    for changes in ({"path": "/other"}, {"size": 5}, {"modified": 5}):
        assert saved.recall("name", file._replace(**changes)) is None
    saved.forget("name")
    saved.forget("name")
    assert saved.recall("name", file) is None
    assert list((work / "records").iterdir()) == []


def test_records_are_for_their_owner_only(work, file):
    saved = SavedUploads(str(work / "records"), "folder")
    old = os.umask(0)
    try:
        saved.remember("name", file, RECORD)
    finally:
        os.umask(old)
    [path] = (work / "records").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((work / "records").stat().st_mode) == 0o700
    assert "t0k" not in repr(RECORD)
    path.chmod(0o640)
    assert saved.recall("name", file) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"file": 5}', "x" * 100_000])
def test_a_record_that_makes_no_sense_is_none(work, file, content):
    saved = SavedUploads(str(work / "records"), "folder")
    saved.remember("name", file, RECORD)
    [path] = (work / "records").iterdir()
    path.write_text(content)
    assert saved.recall("name", file) is None


def test_a_record_with_an_impossible_address_is_none(work, file):
    saved = SavedUploads(str(work / "records"), "folder")
    saved.remember("name", file, Record("ftp://proxy", "t"))
    assert saved.recall("name", file) is None


def test_a_link_in_a_record_s_place_is_not_read(work, file):
    saved = SavedUploads(str(work / "records"), "folder")
    saved.remember("name", file, RECORD)
    [path] = (work / "records").iterdir()
    path.rename(work / "elsewhere")
    path.symlink_to(work / "elsewhere")
    assert saved.recall("name", file) is None


def test_a_directory_in_a_record_s_place_is_none(work, file):
    saved = SavedUploads(str(work / "records"), "folder")
    saved.remember("name", file, RECORD)
    [path] = (work / "records").iterdir()
    path.unlink()
    path.mkdir(mode=0o700)
    before = descriptors()
    assert saved.recall("name", file) is None
    assert descriptors() == before


# -- multipart answers ------------------------------------------------------------------------------------------------


def mixed(work, body: bytes, count=2, size=7, content_type='multipart/mixed; boundary="b"'):
    parts = [(f"d/f{n}", Part(str(work / f"f{n}"), "o", False)) for n in range(count)]
    for _, one in parts:
        one.prepare(overwrite=True)
    pieces = iter([body[start : start + size] for start in range(0, len(body), size)])
    _Mixed(parts, True).receive(Head(200, CaseInsensitiveDict({"Content-Type": content_type})), pieces)
    return [(work / f"f{n}").read_bytes() for n in range(count)]


TWO = b'--b\r\nContent-Disposition: attachment; filename="f0"\r\n\r\nfirst\r\n--b\r\n\r\nsec\r\nond--b\r\n--b--\r\n'


@pytest.mark.parametrize("size", range(1, len(TWO) + 1))
def test_an_answer_is_taken_apart_wherever_it_is_cut(work, size):
    assert mixed(work, TWO, size=size) == [b"first", b"sec\r\nond--b"]


@pytest.mark.parametrize(
    ("body", "contents"),
    [
        (b"preamble\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--epilogue", [b"1", b"2"]),
        (b"--b  \r\n\r\n1\r\n--b\t\r\nX: y\r\n\r\n2\r\n--b--", [b"1", b"2"]),
        (b"--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--", [b"", b""]),
        (b"--b\r\n\r\n\r\n-\r\n--\r\n--b\r\n\r\n--b\r\n--b--", [b"\r\n-\r\n--", b"--b"]),
        (b"--b\r\nContent-Encoding: gzip\r\n\r\nraw\r\n--b\r\n\r\n2\r\n--b--", [b"raw", b"2"]),
    ],
)
def test_odd_answers_that_are_right(work, body, contents):
    for size in (1, 3, 100):
        assert mixed(work, body, size=size) == contents


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--",
        b"--b\r\n\r\n1\r\n--b--",
        b"--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--",
        b"--b\r\n\r\n1\r\n--b\r\n\r\n2",
        b"--b\r\n\r\n1\r\n--b\r\nX: y",
        b"--bx\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--",
        b'--b\r\nContent-Disposition: attachment; filename="other"\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--',
        b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--",
        b"--b\r\nContent-Disposition: x; filename*" + b"9" * 5000 + b"=x\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_damaged_answers_are_refused_and_leave_nothing(work, body):
    with pytest.raises(InvalidReply):
        mixed(work, body)
    assert list(work.glob("f*")) == hidden(work) == []


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "multipart/mixed", "", "application/octet-stream", f"multipart/mixed; boundary*{'9' * 5000}=b"],
    ids=lambda text: text[:40],
)
def test_what_is_no_multipart_is_refused(work, content_type):
    with pytest.raises(InvalidReply):
        mixed(work, TWO, content_type=content_type)


def test_the_first_of_several_files_that_cannot_have_its_name_takes_all_behind_it_along(work):
    parts = [(f"f{n}", Part(str(work / f"f{n}"), "o", False)) for n in range(3)]
    answer = b"".join(b"--b\r\n\r\n%d\r\n" % n for n in range(3)) + b"--b--"
    (work / "f1").write_bytes(b"mine")
    with pytest.raises(TargetExists):
        _Mixed(parts, False).receive(
            Head(200, CaseInsensitiveDict({"Content-Type": "multipart/mixed; boundary=b"})), iter([answer])
        )
    assert [(work / f"f{n}").exists() for n in range(3)] == [True, True, False]
    assert hidden(work) == []


def test_a_part_that_is_in_other_hands_is_not_removed(work, monkeypatch):
    monkeypatch.setattr(partial_file, "LOCK_PATIENCE", 0.05)
    one = part(work, resumable=False)

    def pieces():
        yield b"first"
        with pytest.raises(TransferError, match="somebody else"):
            _Mixed([("target", part(work, resumable=False))], True).receive(
                Head(200, CaseInsensitiveDict({"Content-Type": "multipart/mixed; boundary=b"})),
                iter([b"--b\r\n\r\nsecond\r\n--b--"]),
            )

    one.store(pieces())
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"first"
