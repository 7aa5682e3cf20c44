"""Every broken wire ends in the same bytes, or in a clear error."""

from __future__ import annotations

import os

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    ConnectionLost,
    InvalidReply,
    SourceChanged,
    TransferError,
)
from support.moving import CHUNK, KIB, MIB, content, in_session, leftovers
from support.servers.storage import folder

# -- broken wires: up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("after", [0, 1, CHUNK // 2, CHUNK - 1, CHUNK])
@in_session
def test_a_broken_upload_goes_on_where_the_server_is(upload, storage, local, after, reset):
    (local / "file").write_bytes(content(3 * CHUNK))
    storage.fault("PATCH", name="nothing")  # never fits
    storage.fault("PATCH", name="file", after=after, reset=reset)
    assert upload(["file"]) == ["file"]
    assert (storage.folder / "file").read_bytes() == content(3 * CHUNK)
    offsets = [int(patch["headers"]["upload-offset"]) for patch in storage.log("PATCH")]
    assert offsets[1] == storage.log("PATCH")[0]["received"]
    assert storage.log("HEAD")


@in_session
def test_a_lost_answer_to_the_last_chunk_is_no_loss(upload, storage, local):
    (local / "file").write_bytes(content(CHUNK))
    storage.fault("PATCH", lose=True)
    assert upload(["file"]) == ["file"]
    assert len(storage.log("PATCH")) == 1
    assert (storage.folder / "file").read_bytes() == content(CHUNK)


@in_session
def test_a_lost_answer_to_a_chunk_in_between_costs_nothing(upload, storage, local):
    (local / "file").write_bytes(content(2 * CHUNK))
    storage.fault("PATCH", lose=True)
    upload(["file"])
    assert sum(patch["received"] for patch in storage.log("PATCH")) == 2 * CHUNK
    assert (storage.folder / "file").read_bytes() == content(2 * CHUNK)


@in_session
def test_bytes_that_nobody_sent_start_the_file_over(upload, storage, local):
    """As when a request that was given up for lost still trickles in."""
    (local / "file").write_bytes(content(2 * CHUNK))
    storage.fault("PATCH", headers={"Upload-Offset": str(CHUNK + 1)})
    upload(["file"])
    assert len(storage.log("POST", "request-upload")) == 2
    assert (storage.folder / "file").read_bytes() == content(2 * CHUNK)


@in_session
def test_an_offset_that_never_fits_is_an_error(upload, storage, local):
    (local / "file").write_bytes(b"12")
    for _ in range(4):
        storage.fault("PATCH", headers={"Upload-Offset": "1"})
    with pytest.raises(TransferError, match="has 1 bytes after 2 were sent"):
        upload(["file"])


@in_session
def test_a_storage_proxy_that_stumbles_over_another_upload_is_asked_again(upload, download, storage, local):
    """23.09 does, and the manager answers 400."""
    (local / "file").write_bytes(b"x")
    for on in ("request-upload", "request-download"):
        for _ in range(3):
            storage.fault(on, status=400, kind="vfolder-operation-failed")
    upload(["file"])
    download(["file"], basedir="out")
    assert [len(storage.log("POST", f"request-{way}load")) for way in ("up", "down")] == [4, 4]


@in_session
def test_a_storage_proxy_that_always_fails_is_an_error(upload, storage, local):
    (local / "file").write_bytes(b"x")
    for _ in range(20):
        storage.fault("request-upload", status=400, kind="vfolder-operation-failed")
    with pytest.raises(BackendAPIError):
        upload(["file"])
    assert len(storage.log("POST", "request-upload")) < 20


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@in_session
def test_a_proxy_that_is_busy_is_asked_again(upload, storage, local, status):
    (local / "file").write_bytes(content(CHUNK))
    storage.fault("PATCH", status=status)
    upload(["file"])
    assert (storage.folder / "file").read_bytes() == content(CHUNK)


@in_session
def test_a_token_that_expires_is_replaced(upload, storage, local):
    """A new token begins a new upload: the server offers nothing else."""
    (local / "file").write_bytes(content(3 * CHUNK))
    storage.fault("PATCH", name="nothing")
    storage.fault("PATCH", name="file", after=CHUNK + CHUNK // 2)
    storage.fault("HEAD", status=400)
    upload(["file"])
    assert len(storage.log("POST", "request-upload")) == 2
    assert (storage.folder / "file").read_bytes() == content(3 * CHUNK)


@pytest.mark.parametrize("status", [400, 401, 403])
@in_session
def test_a_fresh_token_that_is_refused_is_an_error(upload, storage, local, status):
    (local / "file").write_bytes(b"x")
    storage.fault("PATCH", status=status)
    with pytest.raises(BackendAPIError) as caught:
        upload(["file"])
    assert caught.value.status == status
    assert len(storage.log("POST", "request-upload")) == 1


@in_session
def test_breaks_without_progress_are_counted(upload, storage, local):
    (local / "file").write_bytes(content(CHUNK))
    for _ in range(3):
        storage.fault("PATCH", after=0)
    with pytest.raises(ConnectionLost) as caught:
        upload(["file"], max_retries=2)
    assert caught.value.__notes__ == ["while 'file' was uploaded; 0 files had arrived"]
    assert caught.value.path == "/upload"


@in_session
def test_breaks_with_progress_are_not(upload, storage, local):
    (local / "file").write_bytes(content(CHUNK))
    for _ in range(5):
        storage.fault("PATCH", after=CHUNK // 8)
    upload(["file"], max_retries=1)
    assert (storage.folder / "file").read_bytes() == content(CHUNK)


@pytest.mark.parametrize("header", ["", "x", "-1"])
@in_session
def test_an_answer_without_an_offset_is_no_tus(upload, storage, local, header):
    (local / "file").write_bytes(b"x")
    storage.fault("PATCH", headers={"Upload-Offset": header})
    with pytest.raises(InvalidReply):
        upload(["file"])


@in_session
def test_a_refusal_in_the_middle_of_a_chunk_is_heard(upload, storage, local):
    """The server answers and closes while the client still sends."""
    (local / "file").write_bytes(content(64 * MIB))
    storage.fault("PATCH", status=403)
    with pytest.raises(BackendAPIError) as caught:
        upload(["file"], chunk_size=64 * MIB)
    assert caught.value.status == 403


# -- changing sources -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [b"longer" * 100_000, b"short"])
@in_session
def test_a_file_that_changes_is_an_error(runtime, session, storage, local, change):
    path = local / "file"
    path.write_bytes(content(2 * CHUNK))
    storage.fault("PATCH", slow=0.1)
    call = folder(session).upload.submit(["file"], chunk_size=CHUNK)
    storage.until_seen("PATCH")
    path.write_bytes(change)
    with pytest.raises(SourceChanged):
        runtime.wait(call)
    assert not (storage.folder / "file").exists()


@in_session
def test_a_file_that_vanishes_is_the_system_s_error(runtime, session, storage, local):
    (local / "file").write_bytes(content(2 * CHUNK))
    storage.fault("PATCH", slow=0.1)
    call = folder(session).upload.submit(["file"], chunk_size=CHUNK)
    storage.until_seen("PATCH")
    (local / "file").unlink()
    with pytest.raises(FileNotFoundError):
        runtime.wait(call)


# -- broken wires: down -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("after", [0, 1, MIB, 3 * MIB - 1])
@in_session
def test_a_broken_download_goes_on_by_range(download, storage, local, after, reset):
    (storage.folder / "file").write_bytes(content(3 * MIB))
    storage.fault("GET", name="file", after=after, reset=reset)
    assert download(["file"]) == [str(local / "file")]
    assert (local / "file").read_bytes() == content(3 * MIB)
    assert leftovers(local) == []
    first, second = storage.log("GET", "/download")
    assert "range" not in first["headers"]
    if not reset and after:  # a reset may take received bytes with it
        assert second["headers"]["range"] == f"bytes={after}-"
        assert "if-range" in second["headers"]


@pytest.mark.parametrize("name", ["a\nb", "d/a\rb"])
@in_session
def test_a_file_that_its_server_cannot_send_for_its_name_is_a_clear_error(download, storage, name):
    (storage.folder / "d").mkdir()
    (storage.folder / name).write_bytes(b"data")
    for _ in range(3):  # with those that a session sends by itself
        storage.fault("GET", name=name, dead=True)
    with pytest.raises(TransferError, match="has a line break in its name"):
        download([name])


@in_session
def test_a_small_file_is_simply_fetched_again(download, storage, local):
    (storage.folder / "file").write_bytes(content(KIB))
    storage.fault("GET", name="file", after=100)
    download(["file"])
    assert (local / "file").read_bytes() == content(KIB)
    assert all("range" not in entry["headers"] for entry in storage.log("GET", "/download"))


@in_session
def test_a_file_that_changed_meanwhile_is_fetched_anew(download, storage, local):
    (storage.folder / "file").write_bytes(content(3 * MIB))
    storage.fault("GET", name="file", after=2 * MIB, hang=0.5)
    (local / "watch").mkdir()
    other = content(3 * MIB + 1)[1:]
    call_seen = []

    def change(path, done, total):
        if not call_seen:
            call_seen.append(done)
            (storage.folder / "file").write_bytes(other)

    download(["file"], on_progress=change)
    assert (local / "file").read_bytes() == other


@in_session
def test_a_file_of_the_same_size_and_second_that_changed_is_noticed(download, storage, local):
    """If-Range has a resolution of a second; the entity tag is finer."""
    path = storage.folder / "file"
    path.write_bytes(content(2 * MIB))
    os.utime(path, ns=(10**18, 10**18))
    storage.fault("GET", name="file", after=MIB)
    with pytest.raises(ConnectionLost):
        download(["file"], max_retries=0)
    assert len(leftovers(local)) == 2
    other = content(2 * MIB + 1)[1:]
    path.write_bytes(other)
    os.utime(path, ns=(10**18, 10**18 - 5))  # the date that is told is rounded up
    download(["file"])
    assert [entry["status"] for entry in storage.log("GET", "/download")] == [200, 206, 200]
    assert (local / "file").read_bytes() == other
    assert leftovers(local) == []


@in_session
def test_another_call_goes_on_where_one_ended(download, storage, local):
    (storage.folder / "file").write_bytes(content(4 * MIB))
    storage.fault("GET", name="file", after=3 * MIB)
    with pytest.raises(ConnectionLost):
        download(["file"], max_retries=0)
    assert not (local / "file").exists()
    storage.forget()
    download(["file"])
    [entry] = storage.log("GET", "/download")
    assert (entry["headers"]["range"], entry["sent"]) == (f"bytes={3 * MIB}-", MIB)
    assert (local / "file").read_bytes() == content(4 * MIB)


@in_session
def test_a_complete_partial_file_is_proven_with_its_last_byte(download, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=2 * MIB - 1)
    with pytest.raises(ConnectionLost):
        download(["file"], max_retries=0)
    [part] = [path for path in local.iterdir() if path.suffix == ".part"]
    with part.open("ab") as stream:
        stream.write(content(2 * MIB)[-1:])
    storage.forget()
    download(["file"])
    [entry] = storage.log("GET", "/download")
    assert entry["headers"]["range"] == f"bytes={2 * MIB - 1}-"
    assert (local / "file").read_bytes() == content(2 * MIB)


@in_session
def test_without_resume_nothing_is_left_and_nothing_is_taken_up(download, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=MIB)
    with pytest.raises(ConnectionLost):
        download(["file"], max_retries=0, resume=False)
    assert list(local.iterdir()) == []


@in_session
def test_a_proxy_that_ignores_ranges_sends_everything(download, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=MIB)
    storage.fault("GET", name="file", whole=True)
    download(["file"])
    assert [entry["status"] for entry in storage.log("GET", "/download")] == [200, 200]
    assert (local / "file").read_bytes() == content(2 * MIB)


@in_session
def test_a_range_that_is_refused_starts_over(download, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=MIB)
    storage.fault("GET", name="file", status=416)
    download(["file"])
    assert [entry["status"] for entry in storage.log("GET", "/download")] == [200, 416, 200]
    assert (local / "file").read_bytes() == content(2 * MIB)


@pytest.mark.parametrize(
    "told", ["bytes 0-2097151/2097152", "bytes 1048576-2097150/2097152", "bytes */5", "items 1-2/3"]
)
@in_session
def test_a_part_of_another_place_is_not_taken(download, storage, local, told):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=MIB)
    storage.fault("GET", name="file", headers={"Content-Range": told})
    try:
        download(["file"])
    except InvalidReply:
        assert not (local / "file").exists()
    else:
        assert (local / "file").read_bytes() == content(2 * MIB)


@in_session
def test_an_encoded_file_is_refused(download, storage, local):
    (storage.folder / "file").write_bytes(b"x")
    storage.fault("GET", name="file", headers={"Content-Encoding": "gzip"})
    with pytest.raises(InvalidReply, match="gzip"):
        download(["file"])
    assert list(local.iterdir()) == []


@in_session
def test_a_body_that_is_shorter_than_its_length_is_a_break(download, storage, local):
    (storage.folder / "file").write_bytes(content(MIB))
    storage.fault("GET", name="file", headers={"Content-Length": str(MIB + 10), "Connection": "close"}, after=MIB)
    download(["file"])
    assert (local / "file").read_bytes() == content(MIB)


@in_session
def test_a_token_that_expires_is_asked_for_again(download, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=MIB)
    storage.fault("GET", name="file", status=400)
    download(["file"])
    assert len(storage.log("POST", "request-download")) == 2
    assert [entry["status"] for entry in storage.log("GET", "/download")] == [200, 400, 206]
    assert (local / "file").read_bytes() == content(2 * MIB)


@in_session
def test_a_missing_file_is_an_error_at_once(download, storage, local):
    with pytest.raises(BackendAPIError) as caught:
        download(["nothing"])
    assert caught.value.status == 404
    assert caught.value.type.endswith("file-not-found")
    assert list(local.iterdir()) == []


@in_session
def test_an_unknown_folder_is_the_manager_s_error(runtime, session, storage, local):
    (local / "file").touch()
    with pytest.raises(BackendAPIError) as caught:
        runtime.value(lambda: folder(session, "other").upload(["file"]))
    assert caught.value.status == 404
