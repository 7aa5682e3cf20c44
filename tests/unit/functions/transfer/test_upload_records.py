"""Records of uploads that were begun."""

from __future__ import annotations

import os
import stat

import pytest

from ai.backend.client.functions.transfer.upload_records import Record, SavedUploads
from support.local_files import local
from support.runtimes.inside import descriptors


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
