"""Folders: their life, what is in them, who else may use them, and the hosts that they are on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.cluster import HOST
from support.runtimes.driver import refused
from support.team import Team, remove_folders_of
from support.waiting import until


@pytest.fixture
def folder_names(team: Team, fresh: Callable[[str], str]) -> Iterator[Callable[[], str]]:
    """Names for folders; whatever the team still has at the end of the test is deleted."""
    yield lambda: fresh("folder")
    remove_folders_of(team)


def names(files: dict[str, Any]) -> list[str]:
    return [item["name"] for item in files["items"]]


@contextlib.contextmanager
def no_such_folder(name: str) -> Iterator[None]:
    with refused(404, "object-not-found", title="No such virtual folder.", data=name):
        yield


def statuses(caller: Any) -> dict[str, str]:
    return {folder["name"]: folder["status"] for folder in caller.VFolder.list()}


def is_gone(caller: Any, name: str) -> bool:
    """A folder disappears a moment after it was deleted."""
    return name not in statuses(caller)


def test_the_life_of_a_folder(driven, team, folder_names):
    name, later, copy = folder_names(), folder_names(), folder_names()
    with driven(None, team.anna) as (admin, anna):
        made = anna.VFolder.create(name)
        assert (made["name"], made["host"], made["permission"]) == (name, HOST, "rw")
        with refused(400, "vfolder-already-exists", data=name):
            anna.VFolder.create(name)
        folder = anna.VFolder(name)
        found = folder.info()
        assert (found["id"], found["status"], found["is_owner"], found["cloneable"]) == (
            made["id"],
            "ready",
            True,
            False,
        )
        assert name in [found["name"] for found in anna.VFolder.list()]
        assert made["id"] in [found["id"] for found in admin.VFolder.list(list_all=True)]
        with refused(401, "auth-failed"):
            anna.VFolder.delete_by_id(made["id"])

        with refused(403, "generic-forbidden", msg="not permitted to be cloned"):
            folder.clone(copy)
        folder.update_options(permission="wd", cloneable=True)
        found = folder.info()
        assert (found["permission"], found["cloneable"]) == ("wd", True)
        folder.mkdir("inside")
        cloned = folder.clone(copy)
        assert (cloned["name"], cloned["host"]) == (copy, HOST)
        until(lambda: statuses(anna).get(copy) == "ready", "the copy is complete")
        assert names(anna.VFolder(copy).list_files()) == ["inside"]

        folder.rename(later)
        assert (folder.name, folder.info()["id"]) == (later, made["id"])
        with no_such_folder(name):
            anna.VFolder(name).info()

        assert folder.delete() == {}
        until(lambda: is_gone(anna, later), "the folder is gone")
        with no_such_folder(later):
            folder.info()
        assert admin.VFolder.delete_by_id(cloned["id"]) == {}
        until(lambda: is_gone(anna, copy), "the copy is gone")


def test_what_is_in_a_folder(driven, team, folder_names, tmp_path):
    name = folder_names()
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "file.txt").write_text("what is in the file\n")
    with driven(team.anna) as anna:
        anna.VFolder.create(name)
        folder = anna.VFolder(name)
        folder.mkdir("a/b", parents=True)
        with refused(400, "invalid-api-params", msg="File exists"):
            folder.mkdir("a/b")
        folder.mkdir("a/b", exist_ok=True)
        assert names(folder.list_files()) == ["a"]
        assert folder.list_files("a")["items"][0]["type"] == "DIRECTORY"
        assert folder.rename_file("a/b", "c") == {}
        assert names(folder.list_files("a")) == ["c"]
        assert folder.move_file("a/c", "moved") == {}
        assert sorted(names(folder.list_files())) == ["a", "moved"]
        folder.delete_files(["moved"], recursive=True)
        assert names(folder.list_files()) == ["a"]
        folder.upload(["file.txt"], basedir=tmp_path / "up")
        assert sorted(names(folder.list_files())) == ["a", "file.txt"]
        way = folder.request_download("file.txt")
        assert way["url"].startswith("http")
        folder.download(["file.txt"], basedir=tmp_path)
        assert (tmp_path / "file.txt").read_text() == "what is in the file\n"
        with refused(404, "object-not-found"):
            anna.VFolder(folder_names()).list_files()


def test_an_invitation(driven, team, folder_names):
    name = folder_names()
    with driven(None, team.anna, team.bob) as (admin, anna, bob):
        made = anna.VFolder.create(name)
        folder, his = anna.VFolder(name), bob.VFolder(name)
        with no_such_folder(name):
            his.info()

        def invited() -> list[Any]:
            return [found for found in bob.VFolder.invitations()["invitations"] if found["vfolder_name"] == name]

        assert folder.invite("ro", [team.bob.email]) == {"invited_ids": [team.bob.email]}
        bob.VFolder.delete_invitation(invited()[0]["id"])
        assert invited() == []

        folder.invite("ro", [team.bob.email])
        [sent] = [
            found for found in anna.VFolder.list_sent_invitations()["invitations"] if found["vfolder_name"] == name
        ]
        assert (sent["invitee"], sent["perm"]) == (team.bob.email, "ro")
        anna.VFolder.update_invitation(sent["id"], "rw")
        assert invited()[0]["perm"] == "rw"
        assert bob.VFolder.accept_invitation(sent["id"]) == {}
        assert his.info()["permission"] == "rw"
        page = bob.VFolder.paginated_invited_list(fields=["name"])
        assert page.items == [{"name": name}]

        [shared] = anna.VFolder.shared_vfolder_info(made["id"])["shared"]
        assert (shared["vfolder_name"], shared["shared_to"]["email"], shared["perm"]) == (name, team.bob.email, "rw")
        assert shared in anna.VFolder.list_shared_vfolders()["shared"]
        anna.VFolder.update_shared_vfolder(made["id"], team.bob.uuid, "ro")
        assert his.info()["permission"] == "ro"
        with refused(404, "object-not-found", title="No such virtual folder."):  # he may read only
            his.mkdir("not-mine")
        his.leave()
        with no_such_folder(name):
            his.info()

        folder.invite("rw", [team.bob.email])
        bob.VFolder.accept_invitation(invited()[0]["id"])
        anna.VFolder.update_shared_vfolder(made["id"], team.bob.uuid)  # takes the permission away
        with no_such_folder(name):
            his.info()

        with refused(401, "auth-failed"):
            anna.VFolder.change_vfolder_ownership(made["id"], team.bob.email)
        admin.VFolder.change_vfolder_ownership(made["id"], team.bob.email)
        assert his.info()["is_owner"] is True
        with no_such_folder(name):
            folder.info()
        his.delete()
        until(lambda: is_gone(bob, name), "the folder is gone")


def test_a_folder_of_a_group(driven, team, folder_names):
    name = folder_names()
    with driven(team.chief, team.anna, team.bob) as (chief, anna, bob):
        with refused(403, "generic-forbidden", title="Forbidden operation.", msg="no permission"):
            anna.VFolder.create(name, group=team.group)
        made = chief.VFolder.create(name, group=team.group, permission="ro")
        assert (made["ownership_type"], made["group"]) == ("group", team.group_id)
        assert anna.VFolder(name).info()["permission"] == "ro"
        page = anna.VFolder.paginated_project_list(fields=["name", "group_name"])
        assert {"name": name, "group_name": team.group} in page.items
        assert chief.VFolder(name).share("rw", [team.bob.email]) == {"shared_emails": [team.bob.email]}
        assert bob.VFolder(name).info()["permission"] == "rw"
        assert chief.VFolder(name).unshare([team.bob.email]) == {"unshared_emails": [team.bob.email]}
        assert bob.VFolder(name).info()["permission"] == "ro"
        chief.VFolder(name).delete()
        until(lambda: is_gone(chief, name), "the folder is gone")


def test_lists_of_folders_by_page(driven, team, folder_names):
    made = sorted(folder_names() for _ in range(3))
    with driven(None, team.anna) as (admin, anna):
        for name in made:
            anna.VFolder.create(name)
        for caller in (admin, anna):
            hers = {"filter": f'creator == "{team.anna.email}"', "fields": ["name"]}
            page = caller.VFolder.paginated_list(page_size=2, order="name", **hers)
            assert (page.total_count, [item["name"] for item in page.items]) == (3, made[:2])
            with refused(400, "graphql-error") as caught:
                caller.VFolder.paginated_list(access_key=team.anna.access_key)
            assert "unexpected keyword argument 'access_key'" in caught.value.data["data"][0]["message"]
        mine = anna.VFolder.paginated_own_list
        assert [item["name"] for item in mine.everything(page_size=2, fields=["name"], order="+name")] == made
        page = mine(page_size=1, page_offset=1, order="-name", filter=f'name != "{made[0]}"', fields=["name"])
        assert (page.total_count, page.items) == (2, [{"name": made[1]}])


def test_hosts_and_mounts(driven, team):
    with driven(None, team.anna) as (admin, anna):
        assert anna.VFolder.list_hosts()["allowed"] == [HOST]
        assert admin.VFolder.list_all_hosts() == {"default": HOST, "allowed": [HOST]}
        assert sorted(anna.VFolder.list_allowed_types()) == ["group", "user"]
        with refused(400, "invalid-api-params") as caught:
            admin.VFolder.get_performance_metric(HOST)
        assert caught.value.data["data"]["type"].endswith("/storage/unsupported-operation")

        assert admin.VFolder.get_fstab_contents()["node"] == "manager"
        with refused(500, "internal-server-error"):  # no watcher beside the agent
            admin.VFolder.get_fstab_contents("i-cluster-agent")
        mounts = admin.VFolder.list_mounts()
        assert [host for host, _ in mounts["storage-proxy"]["mounts"]] == [HOST]
        assert admin.VFolder.mount_host("no-such-host", "127.0.0.1:/exports")["manager"]["success"] is True
        with refused(500, "internal-server-error"):  # the manager of 23.09 begins one transaction twice
            admin.VFolder.umount_host("no-such-host")
        for private in (anna.VFolder.list_all_hosts, anna.VFolder.get_fstab_contents, anna.VFolder.list_mounts):
            with refused(401, "auth-failed"):
                private()


def test_use_and_quota_of_a_folder(driven, team, folder_names):
    name = folder_names()
    with driven(None, team.anna) as (admin, anna):
        made = anna.VFolder.create(name)
        anna.VFolder(name).mkdir("inside")
        assert admin.VFolder.get_usage(HOST, made["id"])["file_count"] >= 1
        assert admin.VFolder.get_used_bytes(HOST, made["id"])["used_bytes"] > 0
        for quota in (anna.VFolder.get_quota, lambda *of: anna.VFolder.update_quota(*of, 2**20)):
            with refused(500, "internal-server-error"):
                quota(HOST, made["id"])
