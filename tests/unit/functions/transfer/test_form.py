"""Uploads as forms, and multipart answers: taken apart however they are cut."""

from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from ai.backend.client.exceptions import InvalidReply, TargetExists, TransferError
from ai.backend.client.functions.transfer import partial_file
from ai.backend.client.functions.transfer.form import FormSource, _Mixed
from ai.backend.client.functions.transfer.partial_file import PartialFile
from ai.backend.client.functions.transfer.sources import BytesSource, FileSource
from ai.backend.client.transfer import Head
from support.local_files import hidden, local


def part(work, origin="m folder file", resumable=True) -> PartialFile:
    made = PartialFile(str(work / "target"), origin, resumable)
    made.prepare(overwrite=False)
    return made


def test_a_form_has_the_length_that_it_announces_and_names_that_the_server_reads(work):
    (work / "tree" / "a").write_bytes(b"content")
    contents = [FileSource(local(work / "tree" / "a"), 0, 7), BytesSource(b"")]
    form = FormSource(list(zip(('q"ü/\r\n%41', "empty"), contents, strict=True)))
    body = b"".join(form.pieces(3))
    assert len(body) == form.length
    assert b"filename*=utf-8''q%22%C3%BC%2F%0D%0A%2541\r\n" in body
    assert [body[start : start + size] for start, size in form.places] == [b"content", b""]


def mixed(work, body: bytes, count=2, size=7, content_type='multipart/mixed; boundary="b"'):
    parts = [(f"d/f{n}", PartialFile(str(work / f"f{n}"), "o", False)) for n in range(count)]
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
    parts = [(f"f{n}", PartialFile(str(work / f"f{n}"), "o", False)) for n in range(3)]
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
        with pytest.raises(TransferError, match="another call"):
            _Mixed([("target", part(work, resumable=False))], True).receive(
                Head(200, CaseInsensitiveDict({"Content-Type": "multipart/mixed; boundary=b"})),
                iter([b"--b\r\n\r\nsecond\r\n--b--"]),
            )

    one.store(pieces())
    one.finish(overwrite=False)
    assert (work / "target").read_bytes() == b"first"
