"""Partial files and their notes."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict

from ai.backend.client.exceptions import InvalidReply, TargetExists, TransferError
from ai.backend.client.functions.transfer import partial_file
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.form import download_batch
from ai.backend.client.functions.transfer.partial_file import Mismatch, PartialFile
from ai.backend.client.functions.transfer.progress import Meter
from ai.backend.client.functions.transfer.proxy_download import ProxyDownload
from ai.backend.client.request import Response
from ai.backend.client.transfer import Head
from support.local_files import hidden
from support.waiting import LIMIT

MIB = 1 << 20
MODIFIED = "Tue, 24 Nov 2026 10:31:43 GMT"


def head(status=200, length=None, **headers) -> Head:
    fields = {"Last-Modified": MODIFIED, "ETag": '"1"', **{k.replace("_", "-"): v for k, v in headers.items()}}
    if length is not None:
        fields["Content-Length"] = str(length)
    return Head(status, CaseInsensitiveDict({name: text for name, text in fields.items() if text is not None}))


def rest(start, total, **headers) -> Head:
    return head(206, total - start, Content_Range=f"bytes {start}-{total - 1}/{total}", **headers)


def part(work, origin="m folder file", resumable=True) -> PartialFile:
    made = PartialFile(str(work / "target"), origin, resumable)
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


def test_a_file_that_came_whole_gets_its_name(work):
    one = part(work)
    assert one.headers() == {}
    one.receive(head(length=4), iter([b"ab", b"cd"]))
    assert not (work / "target").exists()
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"abcd"
    assert hidden(work) == []


def test_directories_above_the_target_are_made(work):
    one = PartialFile(str(work / "x" / "y" / "target"), "o", True)
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
    one = PartialFile(str(work / "target"), "o", True)
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
        PartialFile(str(work / "target"), "o", True).prepare(overwrite=True)


def test_a_part_that_somebody_else_writes_is_left_alone(work, monkeypatch):
    monkeypatch.setattr(partial_file, "LOCK_PATIENCE", 0.05)
    first, second = part(work), part(work)

    def pieces():
        yield b"first"
        with pytest.raises(TransferError, match="another call"):
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
    waiter.join(LIMIT)
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
    context = TransferContext("/folders/f", "f", "identity", proxied, {}, MIB, 1, 0, Meter(None, None))
    one = PartialFile(str(work / "target"), "o", False)
    recipe = (
        ProxyDownload(context, "target", one, overwrite=False, archive=False).run()
        if proxied
        else download_batch(context, [("target", one)], overwrite=False)
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
    one = PartialFile(str(work / ("n" * 255)), "o", True)
    one.prepare(overwrite=False)
    one.receive(head(length=1), iter([b"x"]))
    one.finish(overwrite=False)
    assert (work / ("n" * 255)).read_bytes() == b"x"
