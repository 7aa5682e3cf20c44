"""Files through managers of 19.09 and 20.03: multipart in both directions, nothing to be continued."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendAPIVersionError,
    InvalidReply,
    SourceChanged,
    TargetExists,
    TransferError,
)
from support.moving import MIB, content, in_session, leftovers, told_progress
from support.servers.storage import StorageServer, folder


@pytest.fixture(scope="session")
def _old_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    with StorageServer(tmp_path_factory.mktemp("old-cluster"), "--version", "v5.20191215") as server:
        yield server


@pytest.fixture
def storage(_old_process: StorageServer) -> StorageServer:
    """In place of the one with a storage proxy."""
    _old_process.reset()
    return _old_process


@in_session
def test_files_come_back_the_same(upload, download, storage, local):
    files = {f'sub/{number} "ü" %20': content(number * 1000) for number in range(23)} | {"large": content(3 * MIB)}
    (local / "sub").mkdir()
    for name, data in files.items():
        (local / name).write_bytes(data)
    assert upload(list(files)) == list(files)
    assert {name: (storage.folder / name).read_bytes() for name in files} == files
    assert len(storage.log("POST", "/upload")) == 3, "ten files a request"
    assert download(list(files), basedir="out") == [str(local / "out" / name) for name in files]
    assert {name: (local / "out" / name).read_bytes() for name in files} == files
    assert len(storage.log("GET", "/download")) == 3
    assert leftovers(local) == []


@in_session
def test_requests_are_signed_and_told_their_length(upload, storage, local):
    (local / "file").write_bytes(content(MIB))
    upload(["file"])
    [post] = storage.log("POST", "/upload")
    assert "authorization" in post["headers"]
    assert post["headers"]["x-backendai-version"] == "v5.20191215"
    assert post["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert int(post["headers"]["content-length"]) == post["received"] > MIB


@in_session
def test_directories_of_both_sides(upload, download, storage, local):
    (local / "tree" / "hollow").mkdir(parents=True)
    (local / "tree" / "file").write_bytes(b"x")
    for _ in range(2):  # the second time the directory is there, which these servers refuse
        assert upload(["tree"], recursive=True, dst_dir="there") == ["there/tree/file"]
    assert (storage.folder / "there" / "tree" / "hollow").is_dir()
    assert download(["tree"], recursive=True, dst_dir="there", basedir="out") == [str(local / "out" / "tree" / "file")]
    assert (local / "out" / "tree" / "hollow").is_dir()


@in_session
def test_a_size_that_does_not_fit_is_an_error(upload, storage, local):
    """Somebody else writes the same file, for example."""
    (local / "file").write_bytes(b"12345")
    storage.fault("files", stall=0)
    storage.fault("POST", status=201)
    with pytest.raises(TransferError, match="does not have 5 bytes"):
        upload(["file"])


@pytest.mark.parametrize(
    "fault", [{"after": 1000}, {"after": 0, "reset": True}, {"lose": True}, {"status": 502}], ids=str
)
@in_session
def test_a_broken_upload_is_sent_again(upload, storage, local, fault):
    (local / "file").write_bytes(content(2 * MIB))
    storage.fault("POST", **fault)
    assert upload(["file"]) == ["file"]
    assert (storage.folder / "file").read_bytes() == content(2 * MIB)


@pytest.mark.parametrize("fault", [{"after": 1000}, {"after": 1_500_000}, {"after": 0, "reset": True}], ids=str)
@in_session
def test_a_broken_download_is_asked_for_again(download, storage, local, fault):
    for name in ("one", "two"):
        (storage.folder / name).write_bytes(content(MIB))
    storage.fault("GET", name="one", **fault)
    assert len(download(["one", "two"])) == 2
    assert all((local / name).read_bytes() == content(MIB) for name in ("one", "two"))
    assert leftovers(local) == []


@in_session
def test_a_file_that_changes_is_an_error(upload, storage, local):
    (local / "file").write_bytes(content(8 * MIB))

    def change(path, done, total):
        (local / "file").write_bytes(b"other")

    with pytest.raises(SourceChanged):
        upload(["file"], on_progress=change)


@in_session
def test_another_file_than_was_asked_for_is_refused(download, storage, local):
    (storage.folder / "file").write_bytes(b"x")
    storage.fault("GET", name="file", rename="../../evil")
    with pytest.raises(InvalidReply, match="evil"):
        download(["file"])
    assert list(local.iterdir()) == []


@in_session
def test_existing_files_are_left_alone(download, storage, local):
    (storage.folder / "file").write_bytes(b"theirs")
    (local / "file").write_bytes(b"mine")
    with pytest.raises(TargetExists):
        download(["file"])
    assert storage.log("GET", "/download") == []
    download(["file"], overwrite=True)
    assert (local / "file").read_bytes() == b"theirs"


@in_session
def test_errors_of_the_manager_are_told(download, storage, local):
    with pytest.raises(BackendAPIError) as caught:
        download(["nothing"])
    assert caught.value.status == 400


@in_session
def test_progress_is_told_for_every_file(upload, download, storage, local):
    sizes = {"large": 3 * MIB, "small": 10, "empty": 0}
    for name, size in sizes.items():
        (local / name).write_bytes(content(size))
    for move, options in ((upload, {}), (download, {"basedir": "out"})):
        told_progress(move, sizes, **options)


@in_session
def test_archives_need_a_later_server(download, storage, local):
    with pytest.raises(BackendAPIVersionError, match=r"v6\.20200815"):
        download(["set"], archive=True)
    assert storage.log("GET", "/download") == []


def test_the_token_of_a_download_is_asked_for_by_its_old_name(runtime, storage, make_config):
    with runtime.session(make_config(storage)) as session:
        reply = runtime.value(lambda: folder(session).request_download("file"))
    assert list(reply) == ["token"]
    assert len(storage.log("POST", "request_download")) == 1
