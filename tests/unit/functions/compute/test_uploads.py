"""Uploads: which files, under which names, within which limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import Offload

MIB = 1024 * 1024


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files in it, and one file outside."""
    folder = tmp_path / "work"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"A")
    (folder / "sub" / "b.txt").write_bytes(b"B")
    (tmp_path / "secret").write_bytes(b"S")
    monkeypatch.chdir(folder)
    return folder


def test_files_are_read_in_a_worker_and_sent_as_a_form(work, kernel, play, reply) -> None:
    started = play(kernel("v6.20200815").upload, ["a.txt", Path("sub") / "b.txt"])
    assert isinstance(started.step, Offload)
    assert started.off_load().request == {
        "send": "POST /session/mine/upload",
        "files": [
            ("a.txt", b"A", "application/octet-stream"),
            ("sub/b.txt", b"B", "application/octet-stream"),
        ],
        "idempotent": False,
    }
    answer = reply(status=204)
    assert started.answer(answer).value is answer


def test_v4_has_its_path(work, kernel, play) -> None:
    started = play(kernel("v4.20190615", "mine", "AKOWNER").upload, ["a.txt"]).off_load()
    assert started.request["send"] == "POST /kernel/mine/upload"
    assert started.request["params"] == {"owner_access_key": "AKOWNER"}


@pytest.mark.parametrize("as_path", [str, Path])
def test_names_are_relative_to_basedir(as_path, work, kernel, play) -> None:
    started = play(kernel().upload, [as_path(work / "sub" / "b.txt")], basedir=as_path(work / "sub")).off_load()
    assert [file.filename for file in started.step.files] == ["b.txt"]


def test_links_are_resolved_first(work, kernel, play) -> None:
    (work / "link").symlink_to("sub/b.txt")
    started = play(kernel().upload, ["link"]).off_load()
    assert started.step.files[0][:2] == ("sub/b.txt", b"B")


def test_a_basedir_that_is_a_link_is_the_directory_behind_it(work, kernel, play) -> None:
    (work.parent / "alias").symlink_to(work)
    started = play(kernel().upload, [work / "a.txt"], basedir=work.parent / "alias").off_load()
    assert started.step.files[0].filename == "a.txt"


@pytest.mark.parametrize("size", [0, MIB - 1])
def test_sizes_that_the_server_takes(size, work, kernel, play) -> None:
    (work / "big").write_bytes(bytes(size))
    assert len(play(kernel().upload, ["big"]).off_load().step.files[0].stream) == size


def _link_outside(work: Path) -> None:
    (work / "bad").symlink_to("../secret")


def _loop(work: Path) -> None:
    (work / "bad").symlink_to("bad")


def _too_big(work: Path) -> None:
    (work / "bad").write_bytes(bytes(MIB))


def _directory(work: Path) -> None:
    (work / "bad").mkdir()


def _fifo(work: Path) -> None:
    os.mkfifo(work / "bad")


def _undecodable(work: Path) -> None:
    odd = work / os.fsdecode(b"bad\xff")
    odd.touch()
    (work / "bad").symlink_to(odd)


def _missing(work: Path) -> None:
    pass


@pytest.mark.parametrize("make", [_link_outside, _loop, _too_big, _directory, _fifo, _undecodable, _missing])
def test_a_file_that_cannot_be_sent_is_refused_by_name(make, work, kernel, play) -> None:
    make(work)
    started = play(kernel().upload, ["a.txt", "bad"])
    with pytest.raises(InvalidArgument, match="bad") as caught:
        started.off_load()
    assert caught.value.argument == "files"


@pytest.mark.parametrize("file", ["../secret", "sub/../../secret", "/etc/passwd"])
def test_a_file_outside_of_basedir_is_refused(file, work, kernel, play) -> None:
    started = play(kernel().upload, [file])
    with pytest.raises(ValueError, match="is outside of the base directory"):
        started.off_load()


@pytest.mark.parametrize(
    "files", [[], ["a.txt"] * 21, "a.txt", b"a.txt", Path("a.txt"), None, [5], [""], ["a\0b"], [b"a"]]
)
def test_a_list_that_cannot_be_sent_is_refused_before_the_disk_is_touched(files, work, kernel, play) -> None:
    with pytest.raises(InvalidArgument, match="files"):
        play(kernel().upload, files)


def test_twenty_files_are_not_too_many(work, kernel, play) -> None:
    assert len(play(kernel().upload, ["a.txt"] * 20).off_load().step.files) == 20


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_no_file_stays_open(work, kernel, play) -> None:
    (work / "bad").write_bytes(bytes(MIB))
    (work / "folder").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    play(kernel().upload, ["a.txt", "sub/b.txt"]).off_load()
    for bad in ("bad", "folder"):
        started = play(kernel().upload, ["a.txt", bad])
        with pytest.raises(InvalidArgument):
            started.off_load()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
