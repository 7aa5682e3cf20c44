"""Files of virtual folders, up and down through a storage proxy, in every runtime."""

from __future__ import annotations

import os
import zipfile

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendClientError,
    TargetExists,
    TransferError,
)
from support.moving import CHUNK, MIB, content, in_session, leftovers, told_progress
from support.runtimes.scripts import run_script
from support.servers.storage import folder

# -- what arrives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * MIB + 7])
@in_session
def test_a_file_of_any_size_comes_back_the_same(upload, download, storage, local, size):
    (local / "file").write_bytes(content(size))
    assert upload(["file"]) == ["file"]
    assert (storage.folder / "file").read_bytes() == content(size)
    (local / "file").unlink()
    assert download(["file"]) == [str(local / "file")]
    assert (local / "file").read_bytes() == content(size)
    assert leftovers(local) == []


@in_session
def test_a_file_goes_up_in_chunks_that_follow_each_other(upload, storage, local):
    (local / "file").write_bytes(content(2 * CHUNK + 5))
    upload(["file"])
    patches = storage.log("PATCH")
    assert [int(patch["headers"]["upload-offset"]) for patch in patches] == [0, CHUNK, 2 * CHUNK]
    assert [patch["received"] for patch in patches] == [CHUNK, CHUNK, 5]
    assert all(patch["headers"]["content-type"] == "application/offset+octet-stream" for patch in patches)


@in_session
def test_an_empty_file_takes_one_empty_request(upload, storage, local):
    (local / "empty").touch()
    upload(["empty"])
    [patch] = storage.log("PATCH")
    assert patch["headers"]["content-length"] == "0"
    assert (storage.folder / "empty").read_bytes() == b""


@in_session
def test_the_storage_proxy_gets_nothing_that_is_the_manager_s(upload, download, storage, local):
    """No signature, no header of the API, no cookie; and its host is its own."""
    (local / "file").write_bytes(b"x")
    upload(["file"])
    download(["file"], basedir="out")
    host = storage.proxy.removeprefix("http://")
    for entry in [*storage.log("PATCH"), *storage.log("GET", "/download")]:
        assert entry["headers"]["host"] == host
        assert not entry["headers"].keys() & {"authorization", "x-backendai-version", "cookie"}
    assert all("authorization" in entry["headers"] for entry in storage.log("POST"))


@pytest.mark.parametrize("name", ["ü/ñ %20 %2F", "quotes \" ' `", "new\nline", "a+b&c=d#e?f", "#", "-", "...", "a\\b"])
@in_session
def test_names_survive(upload, download, storage, local, name):
    path = local / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"named")
    assert upload([name]) == [name]
    assert (storage.folder / name).read_bytes() == b"named"
    assert download([name], basedir=local / "out") == [str(local / "out" / name)]
    assert (local / "out" / name).read_bytes() == b"named"


@in_session
def test_a_tree_goes_up_and_comes_down(upload, download, storage, local):
    tree = local / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "hollow" / "inner").mkdir(parents=True)
    files = {"top": b"1", "a/one": b"2", "a/b/two": content(MIB), "a/b/.hidden": b""}
    for name, data in files.items():
        (tree / name).write_bytes(data)
    assert sorted(upload(["tree"], recursive=True)) == sorted(f"tree/{name}" for name in files)
    assert (storage.folder / "tree" / "hollow" / "inner").is_dir()
    found = download(["tree"], basedir="out", recursive=True)
    assert sorted(found) == sorted(str(local / "out" / "tree" / name) for name in files)
    assert {name: (local / "out" / "tree" / name).read_bytes() for name in files} == files
    assert (local / "out" / "tree" / "hollow" / "inner").is_dir()


@in_session
def test_the_whole_folder_comes_down_without_what_is_being_uploaded(download, storage, local):
    (storage.folder / ".upload").mkdir()
    (storage.folder / ".upload" / "session").write_bytes(b"half")
    (storage.folder / "sub").mkdir()
    (storage.folder / "sub" / "file").write_bytes(b"x")
    assert download(["."], recursive=True) == [str(local / "sub" / "file")]


@in_session
def test_a_directory_comes_as_an_archive(download, storage, local):
    (storage.folder / "set" / "sub").mkdir(parents=True)
    (storage.folder / "set" / "sub" / "file").write_bytes(content(2 * MIB))
    assert download(["set"], archive=True) == [str(local / "set.zip")]
    with zipfile.ZipFile(local / "set.zip") as archive:
        assert archive.read("sub/file") == content(2 * MIB)


@in_session
def test_a_file_is_no_archive(download, storage, local):
    (storage.folder / "file").write_bytes(b"x")
    with pytest.raises(TransferError, match="not a directory"):
        download(["file"], archive=True)
    assert list(local.iterdir()) == []


@in_session
def test_both_sides_have_directories_of_their_own(upload, download, storage, local):
    (local / "in").mkdir()
    (local / "in" / "file").write_bytes(b"x")
    assert upload(["file"], basedir="in", dst_dir="there/below") == ["there/below/file"]
    assert (storage.folder / "there" / "below" / "file").read_bytes() == b"x"
    assert download(["file"], basedir="out", dst_dir="there/below") == [str(local / "out" / "file")]


@in_session
def test_the_spelling_of_older_releases_works(upload, download, storage, local):
    (local / "in").mkdir()
    (local / "in" / "file").write_bytes(b"x")
    assert upload(files=["in/file"], basedir="in") == ["file"]
    (local / "file").write_bytes(b"old")
    assert download(files=["file"], show_progress=False, overwrite=True) == [str(local / "file")]
    assert (local / "file").read_bytes() == b"x"


# -- several at once --------------------------------------------------------------------------------------------------


@in_session
def test_files_move_at_once_but_no_more_than_asked_for(upload, download, storage, local):
    names = [f"{number:03}" for number in range(60)]
    for name in names:
        (local / name).write_bytes(name.encode() * 100)
    assert upload(names, concurrency=5) == names
    assert 2 <= storage.peak <= 5 * 2 + 2  # connections to the manager and to the proxy, which are kept
    assert download(names, basedir="out", concurrency=5) == [str(local / "out" / name) for name in names]
    assert all((local / "out" / name).read_bytes() == name.encode() * 100 for name in names)


def test_one_slot_is_enough(runtime, storage, local, make_config):
    """The files of a call take none of their own, so they cannot wait for the one that the call holds."""
    names = [f"{number}" for number in range(20)]
    for name in names:
        (local / name).write_bytes(b"x")
    with runtime.session(make_config(storage, in_flight=1, lanes=2)) as session:
        assert runtime.value(lambda: folder(session).upload(names)) == names


@in_session
def test_the_first_error_ends_the_other_files(upload, storage, local):
    for name in ("slow", "wrong"):
        (local / name).write_bytes(content(CHUNK))
    storage.fault("PATCH", name="slow", slow=5)
    storage.fault("request-upload", name="wrong", status=403)
    with pytest.raises(BackendAPIError) as caught:
        upload(["slow", "wrong"])
    assert caught.value.status == 403
    assert "'wrong'" in caught.value.__notes__[0]
    assert not (storage.folder / "slow").exists()


# -- the local side ---------------------------------------------------------------------------------------------------


@in_session
def test_existing_files_are_left_alone(download, storage, local):
    for name in ("one", "two"):
        (storage.folder / name).write_bytes(b"theirs")
    (local / "two").write_bytes(b"mine")
    with pytest.raises(TargetExists) as caught:
        download(["one", "two"])
    assert caught.value.file == str(local / "two")
    assert isinstance(caught.value, FileExistsError)
    assert sorted(path.name for path in local.iterdir()) == ["two"]
    assert storage.log("GET", "/download") == []
    assert download(["one", "two"], skip_existing=True) == [str(local / "one")]
    assert (local / "two").read_bytes() == b"mine"
    assert download(["two"], overwrite=True) == [str(local / "two")]
    assert (local / "two").read_bytes() == b"theirs"


@in_session
def test_a_file_that_appears_meanwhile_is_left_alone(runtime, session, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", slow=0.02)
    call = folder(session).download.submit(["file"])
    storage.until_moved("GET", 1)
    (local / "file").write_bytes(b"mine")
    with pytest.raises(TargetExists):
        runtime.wait(call)
    assert (local / "file").read_bytes() == b"mine"


@in_session
def test_a_dangling_link_is_not_written_through(download, storage, local, tmp_path):
    (storage.folder / "file").write_bytes(b"x")
    (local / "file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetExists):
        download(["file"])
    download(["file"], overwrite=True)
    assert not (local / "file").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


@in_session
def test_uploads_leave_out_what_is_there(upload, storage, local):
    for name in ("same", "other", "new"):
        (local / name).write_bytes(b"12345")
    (storage.folder / "same").write_bytes(b"54321")
    (storage.folder / "other").write_bytes(b"1")
    assert upload(["same", "other", "new"], skip_existing=True) == ["other", "new"]
    assert (storage.folder / "same").read_bytes() == b"54321"


@in_session
def test_a_target_below_a_file_is_the_system_s_error(download, storage, local):
    (storage.folder / "file").write_bytes(b"x")
    (local / "out").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        download(["file"], basedir="out")
    assert storage.log("GET", "/download") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
@in_session
def test_a_directory_that_cannot_be_written_is_the_system_s_error(download, storage, local):
    (storage.folder / "file").write_bytes(b"x")
    (local / "out").mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        download(["file"], basedir="out")


def test_a_full_disk_is_the_system_s_error(storage, local):
    (storage.folder / "file").write_bytes(content(MIB))
    result = run_script(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512 << 10, 512 << 10))
        with session() as s:
            try: s.VFolder("data").download(["file"], basedir=sys.argv[2])
            except OSError as error: mark("error", error.strerror)
        """,
        storage.url,
        local,
    )
    result.assert_clean()
    assert result.value("error") == "File too large"
    assert not (local / "file").exists()


@in_session
def test_two_calls_do_not_write_the_same_file(runtime, session, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", slow=0.05)
    first = folder(session).download.submit(["file"])
    storage.until_moved("GET", 1)
    with pytest.raises(TransferError, match="another call"):
        runtime.wait(folder(session).download.submit(["file"]))
    assert runtime.wait(first) == [str(local / "file")]
    assert (local / "file").read_bytes() == content(2 * MIB)


# -- what is told -----------------------------------------------------------------------------------------------------


@in_session
def test_progress_is_told_for_every_file(upload, download, storage, local):
    sizes = {"large": 3 * MIB, "small": 10, "empty": 0}
    for name, size in sizes.items():
        (local / name).write_bytes(content(size))
    for move, options in ((upload, {}), (download, {"basedir": "out"})):
        for reports in told_progress(move, sizes, **options):
            assert [done for done, _ in reports] == sorted(done for done, _ in reports)


@in_session
def test_a_hook_that_fails_or_is_slow_does_no_harm(upload, storage, local, caplog):
    (local / "file").write_bytes(content(4 * CHUNK))

    def hook(path, done, total):
        raise ValueError("from the hook")

    assert upload(["file"], on_progress=hook) == ["file"]


@in_session
def test_a_bar_is_shown(upload, download, storage, local, capfd):
    (local / "file").write_bytes(content(CHUNK))
    upload(["file"], show_progress=True)
    assert "Uploading: 100%" in capfd.readouterr().err


# -- the address map --------------------------------------------------------------------------------------------------


@in_session
def test_the_address_map_leads_to_another_address(upload, download, storage, local, session):
    (local / "file").write_bytes(b"x")
    other = storage.proxy.replace("localhost", "127.0.0.1")
    for told, use in (
        (f"{storage.proxy}/upload", f"{other}/upload"),
        (storage.proxy, other),
        (f"{storage.proxy}/", f"{other}/"),
    ):
        storage.forget()
        upload(["file"], address_map={told: use, "http://unrelated": "http://nowhere.invalid"})
        [patch] = storage.log("PATCH")
        assert patch["headers"]["host"] == other.removeprefix("http://")


@in_session
def test_an_address_that_is_not_in_the_map_is_an_error(upload, storage, local):
    (local / "file").write_bytes(b"x")
    with pytest.raises(BackendClientError, match="not in the address map"):
        upload(["file"], address_map={f"{storage.proxy}0": "http://nowhere.invalid"})
    assert storage.log("PATCH") == []


def test_the_configuration_may_have_the_map(runtime, storage, local, make_config):
    (local / "file").write_bytes(b"x")
    other = storage.proxy.replace("localhost", "127.0.0.1")
    with runtime.session(make_config(storage, storage_proxy_address_map={storage.proxy: other})) as session:
        runtime.value(lambda: folder(session).upload(["file"]))
    assert storage.log("PATCH")[0]["headers"]["host"] == other.removeprefix("http://")
