"""Uploads and downloads of virtual folders: what is refused before anything is sent, and the requests that are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ai.backend.client.exceptions import (
    BackendAPIVersionError,
    BackendClientError,
    InvalidArgument,
    InvalidReply,
)
from ai.backend.client.functions.base import Gather, Offload
from ai.backend.client.functions.transfer.calls import _relative
from ai.backend.client.functions.transfer.context import BUDGET
from ai.backend.client.functions.transfer.paths import entry_name, remote_path, remote_paths
from ai.backend.client.functions.transfer.proxy import ProxyTicket
from ai.backend.client.transfer import Transfer

V5, V6, V7 = "v5.20191215", "v6.20200815", "v7.20230615"


@pytest.fixture
def folder(proxy: Any) -> Any:
    """`folder(version)`: the folder "data"."""

    def make(version: str = V7, **config: Any) -> Any:
        values = {"storage_proxy_address_map": {}, **config}
        return proxy(version, **values)["VFolder"]("data")

    return make


# -- bad input --------------------------------------------------------------------------------------------------------

BAD_UPLOADS: list[tuple[str, dict[str, Any]]] = [
    ("sources", {"sources": None}),
    ("sources", {"sources": "file"}),
    ("sources", {"sources": Path("file")}),
    ("sources", {"sources": []}),
    ("sources", {"sources": [""]}),
    ("sources", {"sources": ["a\0b"]}),
    ("sources", {"sources": [b"file"]}),
    ("sources", {"sources": [5]}),
    ("sources", {"sources": ["\udcff"]}),
    ("sources", {"sources": ["file"], "files": ["file"]}),
    ("basedir", {"basedir": ""}),
    ("basedir", {"basedir": 5}),
    ("dst_dir", {"dst_dir": "/there"}),
    ("dst_dir", {"dst_dir": "../there"}),
    ("dst_dir", {"dst_dir": "there/../.."}),
    ("recursive", {"recursive": 1}),
    ("skip_existing", {"skip_existing": "yes"}),
    ("show_progress", {"show_progress": 1}),
    ("on_progress", {"on_progress": "print"}),
    ("resume_dir", {"resume_dir": ""}),
    ("chunk_size", {"chunk_size": 0}),
    ("chunk_size", {"chunk_size": -1}),
    ("chunk_size", {"chunk_size": 1.5}),
    ("concurrency", {"concurrency": 0}),
    ("concurrency", {"concurrency": 257}),
    ("concurrency", {"concurrency": True}),
    ("max_retries", {"max_retries": -1}),
    ("address_map", {"address_map": 5}),
    ("address_map", {"address_map": {"http://a": ""}}),
]


def named(value: object) -> str:
    """The same in each process of a test run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:60]


@pytest.mark.parametrize("version", [V5, V7])
@pytest.mark.parametrize(("argument", "options"), BAD_UPLOADS, ids=named)
def test_bad_arguments_of_uploads_are_named(folder, play, version, argument, options):
    with pytest.raises(InvalidArgument) as caught:
        play(folder(version).upload, **{"sources": ["file"], **options})
    assert caught.value.argument == argument


BAD_DOWNLOADS: list[tuple[str, dict[str, Any]]] = [
    ("relative_paths", {"relative_paths": None}),
    ("relative_paths", {"relative_paths": "file"}),
    ("relative_paths", {"relative_paths": []}),
    ("relative_paths", {"relative_paths": ["/etc/passwd"]}),
    ("relative_paths", {"relative_paths": ["../other"]}),
    ("relative_paths", {"relative_paths": ["a/../../b"]}),
    ("relative_paths", {"relative_paths": [".."]}),
    ("relative_paths", {"relative_paths": ["."]}),
    ("relative_paths", {"relative_paths": ["file"], "files": ["file"]}),
    ("dst_dir", {"dst_dir": "/there"}),
    ("basedir", {"basedir": "\0"}),
    ("overwrite", {"overwrite": 1}),
    ("resume", {"resume": None}),
    ("recursive", {"recursive": None}),
    ("archive", {"archive": "zip"}),
    ("archive", {"archive": True, "recursive": True}),
    ("max_retries", {"max_retries": None}),
    ("concurrency", {"concurrency": 1000}),
    ("on_progress", {"on_progress": 5}),
    ("on_progress", {"on_progress": asyncio.sleep}),
]


@pytest.mark.parametrize(("argument", "options"), BAD_DOWNLOADS, ids=named)
def test_bad_arguments_of_downloads_are_named(folder, play, argument, options):
    with pytest.raises(InvalidArgument) as caught:
        play(folder().download, **{"relative_paths": ["file"], **options})
    assert caught.value.argument == argument


@pytest.mark.parametrize("filename", ["", "/x", "../x", ".", None, 5])
def test_bad_arguments_of_request_download_are_named(folder, play, filename):
    with pytest.raises(InvalidArgument) as caught:
        play(folder().request_download, filename)
    assert caught.value.argument == "filename"


def test_archives_need_a_storage_proxy(folder, play):
    with pytest.raises(BackendAPIVersionError, match=r"v6\.20200815"):
        play(folder(V5).download, ["set"], archive=True)


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a", "a"),
        ("a/b", "a/b"),
        ("a//b/./c/", "a/b/c"),
        (PurePosixPath("a/b"), "a/b"),
        (Path("a") / "b", "a/b"),
        ("...", "..."),
        ("..a/b..", "..a/b.."),
        ("a\\..\\b", "a\\..\\b"),
        ("%2e%2e/x", "%2e%2e/x"),
        ("ü ~", "ü ~"),
    ],
)
def test_paths_in_the_folder_are_plain(given, found):
    assert remote_path("path", given) == found


def test_each_path_is_moved_once():
    assert remote_paths("paths", ["a", "./a", "b", "a/"]) == ["a", "b"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", "a/", "../a", None, 5, b"a"])
def test_names_that_a_server_lists_are_checked(name):
    with pytest.raises(InvalidReply):
        entry_name(name)


# -- requests ---------------------------------------------------------------------------------------------------------


def begun(play, function, *args, **options):
    """A call up to its gather, and its first recipe up to its first request."""
    call = play(function, *args, **options)
    while isinstance(call.step, Offload):
        call.off_load()
    assert isinstance(call.step, Gather), call.step
    first = type(call)(next(call.step.recipes))
    while isinstance(first.step, Offload):
        first.off_load()
    return call, first


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file of five bytes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"12345")
    return tmp_path


TICKET = {"token": "t0k", "url": "http://proxy/upload"}


@pytest.mark.parametrize("version", [V6, V7])
def test_an_upload_asks_the_manager_and_sends_to_the_proxy(folder, play, reply, local, version):
    _, file = begun(play, folder(version).upload, ["file"], dst_dir="there")
    assert file.request == {
        "send": "POST /folders/data/request-upload",
        "json": {"path": "there/file", "size": 5},
        "idempotent": True,
    }
    patch = file.answer(reply(TICKET)).step
    assert isinstance(patch, Transfer)
    assert (patch.method, patch.url, patch.params) == ("PATCH", "http://proxy/upload", {"token": "t0k"})
    assert dict(patch.headers) == {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    assert patch.content_type == "application/offset+octet-stream"
    assert not patch.idempotent
    assert b"".join(patch.source.pieces(2)) == b"12345"
    file.answer(reply(status=204, headers={"Upload-Offset": "5"}))
    assert (file.done, file.value) == (True, "there/file")


@pytest.mark.parametrize("version", [V6, V7])
def test_a_download_asks_the_manager_and_fetches_from_the_proxy(folder, play, reply, local, version):
    _, file = begun(play, folder(version).download, ["x/y"], dst_dir="there", basedir="out")
    assert file.request == {
        "send": "POST /folders/data/request-download",
        "json": {"path": "there/x/y"},
        "idempotent": True,
    }
    get = file.answer(reply({**TICKET, "url": "http://proxy/download"})).step
    assert isinstance(get, Transfer)
    assert (get.method, get.url, get.params) == ("GET", "http://proxy/download", {"token": "t0k"})
    assert dict(get.headers) == {}
    assert get.idempotent


def test_an_archive_is_asked_for_on_both_ways(folder, play, reply, local):
    _, file = begun(play, folder().download, ["set"], archive=True)
    assert file.request["json"] == {"path": "set", "archive": True}
    assert file.answer(reply(TICKET)).step.params == {"token": "t0k", "archive": "true"}


def test_an_upload_up_to_v5_is_a_form(folder, play, reply, local):
    for number in range(12):
        (local / f"{number}").write_bytes(b"x")
    call, batch = begun(play, folder(V5).upload, [f"{number}" for number in range(12)])
    post = batch.step
    assert isinstance(post, Transfer)
    assert (post.method, post.path, post.url) == ("POST", "folders/data/upload", None)
    body = b"".join(post.source.pieces(7))
    assert len(body) == post.source.length
    assert body.count(b'name="src"') == 10
    boundary = post.content_type.partition("boundary=")[2].encode()
    assert body.endswith(b"--" + boundary + b"--\r\n")
    assert len(list(call.step.recipes)) == 1


def test_a_download_up_to_v5_asks_for_ten_files_at_once(folder, play, reply, local):
    call, batch = begun(play, folder(V5).download, [f"n{number}" for number in range(12)])
    get = batch.step
    assert isinstance(get, Transfer)
    assert (get.method, get.path) == ("GET", "folders/data/download")
    assert get.body == b'{"files": [' + b", ".join(b'"n%d"' % number for number in range(10)) + b"]}"
    assert len(list(call.step.recipes)) == 1


@pytest.mark.parametrize(
    ("version", "send", "key"), [(V5, "request_download", "file"), (V7, "request-download", "path")]
)
def test_request_download(folder, play, reply, version, send, key):
    call = play(folder(version).request_download, "a/b")
    assert (call.request["send"], call.request["json"]) == (f"POST /folders/data/{send}", {key: "a/b"})
    assert call.answer(reply({"token": "t0k"})).value == {"token": "t0k"}


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"token": "t"}, {"url": "http://p/upload"}, {**TICKET, "token": 5}, {**TICKET, "token": ""},
     {**TICKET, "url": 5}, {**TICKET, "url": "ftp://p/upload"}, {**TICKET, "url": "upload"}, {**TICKET, "url": ""},
     b"<html>"],
    ids=repr,
)  # fmt: skip
def test_a_ticket_that_cannot_be_used_is_an_invalid_reply(folder, play, reply, local, answer):
    _, file = begun(play, folder().upload, ["file"])
    with pytest.raises(InvalidReply) as caught:
        file.answer(reply(answer))
    assert "t0k" not in repr(caught.value)


@pytest.mark.parametrize(
    ("told", "use", "found"),
    [
        ("http://proxy/upload", "https://other/x", "https://other/x"),
        ("http://proxy", "https://other", "https://other/upload"),
        ("http://proxy/", "https://other/below/", "https://other/below/upload"),
        ("http://prox", "https://other", None),
        ("http://proxy/up", "https://other", None),
        ("http://proxy:80", "https://other", None),
    ],
)
def test_the_address_map(folder, play, reply, local, told, use, found):
    for options, config in (({"address_map": {told: use}}, {}), ({}, {"storage_proxy_address_map": {told: use}})):
        _, file = begun(play, folder(**config).upload, ["file"], **options)
        if found is None:
            with pytest.raises(BackendClientError, match="not in the address map"):
                file.answer(reply(TICKET))
        else:
            assert file.answer(reply(TICKET)).step.url == found


def test_an_empty_map_of_the_call_overrides_the_configuration_s(folder, play, reply, local):
    config = {"storage_proxy_address_map": {"http://unrelated": "http://other"}}
    _, file = begun(play, folder(**config).upload, ["file"], address_map={})
    assert file.answer(reply(TICKET)).step.url == TICKET["url"]


# -- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [1, 2, 8, 100, 256])
def test_a_call_keeps_to_its_budget_whatever_the_number_of_files(folder, play, reply, local, files):
    names = [f"f{number}" for number in range(files)]
    for name in names:
        (local / name).write_bytes(b"x")
    call, file = begun(play, folder().upload, names, concurrency=256)
    patch = file.answer(reply(TICKET)).step
    assert 4 * patch.piece * call.step.concurrency <= BUDGET


def test_a_ticket_s_representation_hides_the_token():
    assert "t0k" not in repr(ProxyTicket("http://p/upload", "t0k"))
    assert "t0k" not in repr(Transfer("PATCH", url="http://p/upload", params={"token": "t0k"}))


def test_paths_in_the_folder_have_nothing_to_do_with_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert _relative("set/a/b", "set") == "a/b"
    assert _relative("a/b", ".") == "a/b"
    assert _relative("set", "set") == "."
