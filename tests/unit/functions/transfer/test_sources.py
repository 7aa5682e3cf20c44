"""Which files go up, and how they are read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ai.backend.client.exceptions import InvalidArgument, SourceChanged
from ai.backend.client.functions.transfer.sources import FileSource, find_files
from support.local_files import local
from support.runtimes.inside import descriptors

MIB = 1 << 20


def names(found) -> list[str]:
    return sorted(file.name for file in found.files)


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
