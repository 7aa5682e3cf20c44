"""Virtual folders of the sandbox: files up and down by both protocols, sharing, mounts."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
import requests

from ai.backend.client.exceptions import BackendAPIError
from support.cluster import IMAGE
from support.job import run
from support.sandboxes import signed


@pytest.fixture
def folder(any_session, name):
    any_session.VFolder.create(name)
    yield any_session.VFolder(name)
    any_session.VFolder(name).delete()


def names(folder, path="."):
    return sorted(item["filename"] for item in json.loads(folder.list_files(path)["files"]))


def test_a_folder_is_made_listed_described_and_removed(any_session, name):
    made = any_session.VFolder.create(name)
    assert (made["name"], made["host"]) == (name, "local:volume1")
    assert name in [item["name"] for item in any_session.VFolder.list()]
    info = any_session.VFolder(name).info()
    assert (info["name"], info["is_owner"], info["numFiles"]) == (name, True, 0)
    with pytest.raises(BackendAPIError) as caught:
        any_session.VFolder.create(name)
    assert caught.value.data["type"].endswith("vfolder-already-exists")
    any_session.VFolder(name).delete()
    with pytest.raises(BackendAPIError) as caught:
        any_session.VFolder(name).info()
    assert caught.value.status == 404


def test_files_are_moved_renamed_and_removed(folder, tmp_path):
    (tmp_path / "a").write_text("a")
    folder.mkdir("d")
    folder.upload([tmp_path / "a"], basedir=tmp_path)
    folder.rename_file("a", "b")
    assert names(folder) == ["b", "d"]
    folder.delete_files(["b"])
    with pytest.raises(BackendAPIError):
        folder.delete_files(["d"])
    folder.delete_files(["d"], recursive=True)
    assert names(folder) == []


@pytest.mark.parametrize("path", ["../x", "/etc/x", "d/../../x"])
def test_paths_that_lead_out_are_refused(session, name, path):
    session.VFolder.create(name)
    try:
        for method, operation, body in (
            ("POST", "mkdir", {"path": path, "parents": True, "exist_ok": True}),
            ("POST", "request-upload", {"path": path, "size": 1}),
            ("GET", "files", {"path": path}),
            ("DELETE", "delete-files", {"files": [path], "recursive": True}),
            ("POST", "rename-file", {"target_path": path, "new_name": "y"}),
            ("POST", "move-file", {"src": path, "dst": "y"}),
        ):
            response = signed(session.config, method, f"/folders/{name}/{operation}", body)
            assert (response.status_code, operation) == (400, operation)
    finally:
        session.VFolder(name).delete()


def granted(session, name, operation, **body):
    """The address and the token of a transfer."""
    answer = signed(session.config, "POST", f"/folders/{name}/{operation}", body).json()
    return answer["url"], {"token": answer["token"]}


def test_an_upload_is_resumed_where_it_stopped(session, name):
    session.VFolder.create(name)
    try:
        url, query = granted(session, name, "request-upload", path="x/part.bin", size=6)
        common = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        assert requests.options(url, timeout=10).headers["Tus-Version"] == "1.0.0"
        first = requests.patch(url, params=query, data=b"abc", headers={**common, "Upload-Offset": "0"}, timeout=10)
        assert (first.status_code, first.headers["Upload-Offset"]) == (204, "3")
        head = requests.head(url, params=query, timeout=10)
        assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("3", "6")
        requests.patch(url, params=query, data=b"def", headers={**common, "Upload-Offset": "3"}, timeout=10)
        assert requests.head(url, params=query, timeout=10).status_code == 404
        url, query = granted(session, name, "request-download", path="x/part.bin")
        whole = requests.get(url, params=query, timeout=10)
        assert (whole.status_code, whole.content) == (200, b"abcdef")
        headers = {"Range": "bytes=4-", "If-Range": whole.headers["Last-Modified"]}
        rest = requests.get(url, params=query, headers=headers, timeout=10)
        assert (rest.status_code, rest.content) == (206, b"ef")
        broken = {"token": query["token"][:-2] + "xx"}
        assert requests.get(url, params=broken, timeout=10).status_code == 400
    finally:
        session.VFolder(name).delete()


def test_a_folder_is_mounted_in_both_directions(any_session, name, tmp_path):
    (tmp_path / "in.txt").write_text("from outside")
    any_session.VFolder.create(name)
    any_session.VFolder(name).upload([tmp_path / "in.txt"], basedir=tmp_path)
    kernel = any_session.Kernel.get_or_create(IMAGE, name=name, mounts=[name])
    try:
        assert run(kernel, f"open('{name}/in.txt').read()")[0] == "'from outside'"
        run(kernel, f"open('{name}/out.txt', 'w').write('from inside');")
        assert names(any_session.VFolder(name)) == ["in.txt", "out.txt"]
        assert '"in.txt"' in kernel.list_files(name)["files"]
        with pytest.raises(BackendAPIError) as caught:
            any_session.VFolder(name).delete()
        assert caught.value.data["type"].endswith("vfolder-filter-status-failed")
    finally:
        kernel.destroy()
        any_session.VFolder(name).delete()


def test_an_unknown_folder_cannot_be_mounted(any_session, name):
    with pytest.raises(BackendAPIError) as caught:
        any_session.Kernel.get_or_create(IMAGE, name=name, mounts=["no-such-folder"])
    assert caught.value.status == 404


def test_invitations(user, user2, name):
    user.VFolder.create(name)
    try:
        invited = user.VFolder(name).invite("ro", ["user2@sandbox.example"])
        assert invited == {"invited_ids": ["user2@sandbox.example"]}
        with pytest.raises(BackendAPIError):
            user2.VFolder(name).info()
        (invitation,) = [item for item in user2.VFolder.invitations()["invitations"] if item["vfolder_name"] == name]
        assert (invitation["perm"], invitation["state"]) == ("ro", "pending")
        user2.VFolder.accept_invitation(invitation["id"])
        info = user2.VFolder(name).info()
        assert (info["is_owner"], info["permission"]) == (False, "ro")
        with pytest.raises(BackendAPIError):
            user2.VFolder(name).mkdir("not-allowed")
        user2.VFolder(name).leave()
        with pytest.raises(BackendAPIError):
            user2.VFolder(name).info()
    finally:
        user.VFolder(name).delete()


def test_an_invitation_is_refused(user, user2, name):
    user.VFolder.create(name)
    try:
        user.VFolder(name).invite("rw", ["user2@sandbox.example"])
        (invitation,) = [item for item in user2.VFolder.invitations()["invitations"] if item["vfolder_name"] == name]
        user2.VFolder.delete_invitation(invitation["id"])
        assert name not in str(user2.VFolder.invitations())
    finally:
        user.VFolder(name).delete()


def test_hosts_and_types(any_session):
    assert any_session.VFolder.list_hosts()["allowed"] == ["local:volume1"]
    assert any_session.VFolder.list_allowed_types() == ["user", "group"]


def test_a_folder_is_cloned_in_the_background(session, name, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    session.VFolder.create(name, cloneable=True)
    try:
        session.VFolder(name).upload([tmp_path / "a.txt"], basedir=tmp_path)
        made = session.VFolder(name).clone(name + "-copy")
        with session.BackgroundTask(made["bgtask_id"]).listen_events() as events:
            seen = [event.event for event in events]
        assert "bgtask_done" in seen
        assert names(session.VFolder(name + "-copy")) == ["a.txt"]
    finally:
        session.VFolder(name).delete()
        session.VFolder(name + "-copy").delete()


def test_a_folder_that_must_not_be_cloned_is_not(session, name):
    session.VFolder.create(name)
    try:
        with pytest.raises(BackendAPIError) as caught:
            session.VFolder(name).clone(name + "-copy")
        assert caught.value.status == 403
    finally:
        session.VFolder(name).delete()


def test_a_zip_does_not_follow_links_out_of_the_folder(session, name):
    session.VFolder.create(name)
    kernel = session.Kernel.get_or_create(IMAGE, name=name, mounts=[name])
    try:
        code = "import os; os.mkdir('{0}/d'); open('{0}/d/a', 'w').write('a'); os.symlink('/etc/passwd', '{0}/d/out');"
        run(kernel, code.format(name))
        url, query = granted(session, name, "request-download", path="d", archive=True)
        response = requests.get(url, params={**query, "archive": "true"}, timeout=10)
        assert zipfile.ZipFile(io.BytesIO(response.content)).namelist() == ["a"]
        url, query = granted(session, name, "request-download", path="d/out")
        assert requests.get(url, params=query, timeout=10).status_code == 404
    finally:
        kernel.destroy()
        session.VFolder(name).delete()


def test_volumes_and_how_much_is_in_a_folder(session, name, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    made = session.VFolder.create(name)
    try:
        session.VFolder(name).upload([tmp_path / "a.txt"], basedir=tmp_path)
        used = session.VFolder.get_used_bytes("local:volume1", made["id"])
        assert used["used_bytes"] == 5
        assert session.Storage.detail("local:volume1", ["id", "backend"]) == {"id": "local:volume1", "backend": "vfs"}
    finally:
        session.VFolder(name).delete()
