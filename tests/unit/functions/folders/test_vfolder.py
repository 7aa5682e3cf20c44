"""Virtual folders: what each function sends on every protocol generation, and what the vendor's client gets wrong."""

from __future__ import annotations

import uuid
from pathlib import Path, PurePosixPath

import pytest

from ai.backend.client.exceptions import BackendAPIError, BackendAPIVersionError, InvalidArgument, InvalidReply

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20210815", "v6.20220315", "v6.20230315", "v7.20230615"]
FOLDER_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
USER_ID = "83e73732-765e-49f0-b695-3d9a7458e9eb"
INVITATION = "bc7e7242-4767-4b92-ab12-1e6660d69832"
QUOTA = {"folder_host": "local:volume1", "id": FOLDER_ID}

# function, arguments, keyword arguments, first version, request
CASES = [
    ("create", ("data",), {}, 4, {"send": "POST /folders", "json": {"name": "data"}}),
    (
        "create",
        ("data", "local:volume1", "research"),
        {},
        4,
        {"send": "POST /folders", "json": {"name": "data", "host": "local:volume1", "group": "research"}},
    ),
    ("create", ("data",), {"usage_mode": "general", "permission": "rw", "quota": "0", "cloneable": False}, 4, {
        "send": "POST /folders", "json": {"name": "data"},
    }),
    ("create", ("data",), {"unmanaged_path": "/mnt/x"}, 5, {
        "send": "POST /folders", "json": {"name": "data", "unmanaged_path": "/mnt/x"},
    }),
    ("create", ("data",), {"usage_mode": "model"}, 5, {
        "send": "POST /folders", "json": {"name": "data", "usage_mode": "model"},
    }),
    ("create", ("data",), {"permission": "ro"}, 5, {
        "send": "POST /folders", "json": {"name": "data", "permission": "ro"},
    }),
    ("create", ("data",), {"quota": "1g"}, 6, {"send": "POST /folders", "json": {"name": "data", "quota": "1g"}}),
    ("create", ("data",), {"cloneable": True}, 6, {
        "send": "POST /folders", "json": {"name": "data", "cloneable": True},
    }),
    ("create", ("data",), {"group": uuid.UUID(FOLDER_ID)}, 4, {
        "send": "POST /folders", "json": {"name": "data", "group": FOLDER_ID},
    }),
    ("list", (), {}, 4, {"send": "GET /folders", "idempotent": True}),
    ("info", (), {}, 4, {"send": "GET /folders/mine", "idempotent": True}),
    ("rename", ("newer",), {}, 4, {"send": "POST /folders/mine/rename", "json": {"new_name": "newer"}}),
    ("update_options", (), {"permission": "ro"}, 6, {
        "send": "POST /folders/mine/update-options", "json": {"permission": "ro"}, "idempotent": True,
    }),
    ("update_options", ("mine", None, False), {}, 6, {
        "send": "POST /folders/mine/update-options", "json": {"cloneable": False}, "idempotent": True,
    }),
    ("clone", ("copy", "local:volume1"), {}, 6, {
        "send": "POST /folders/mine/clone",
        "json": {"target_name": "copy", "target_host": "local:volume1", "usage_mode": "general", "permission": "rw"},
    }),
    ("clone", ("copy", "local:volume1", "data", "ro"), {"cloneable": True}, 6, {
        "send": "POST /folders/mine/clone",
        "json": {
            "target_name": "copy", "target_host": "local:volume1", "usage_mode": "data", "permission": "ro",
            "cloneable": True,
        },
    }),
    ("delete", (), {}, 4, {"send": "DELETE /folders/mine"}),
    ("delete_by_id", (FOLDER_ID.replace("-", ""),), {}, 4, {"send": "DELETE /folders", "json": {"id": FOLDER_ID}}),
    # content
    ("list_files", (), {}, 4, {"send": "GET /folders/mine/files", "params": {"path": "."}, "idempotent": True}),
    ("list_files", (Path("a/b"),), {}, 4, {
        "send": "GET /folders/mine/files", "params": {"path": "a/b"}, "idempotent": True,
    }),
    ("rename_file", ("a/b", "c"), {}, 4, {
        "send": "POST /folders/mine/rename_file", "json": {"target_path": "a/b", "new_name": "c"},
    }),
    ("move_file", ("a", "b/c"), {}, "v6.20220315", {
        "send": "POST /folders/mine/move-file", "json": {"src": "a", "dst": "b/c"},
    }),
    ("delete_files", (["a", Path("b")],), {}, 4, {
        "send": "DELETE /folders/mine/delete_files", "json": {"files": ["a", "b"], "recursive": False},
    }),
    ("delete_files", (["a"], True), {}, 4, {
        "send": "DELETE /folders/mine/delete_files", "json": {"files": ["a"], "recursive": True},
    }),
    # sharing
    ("invite", ("ro", ["a@x", "b@x"]), {}, 4, {
        "send": "POST /folders/mine/invite", "json": {"perm": "ro", "user_ids": ["a@x", "b@x"]},
    }),
    ("invitations", (), {}, 4, {"send": "GET /folders/invitations/list", "idempotent": True}),
    ("list_sent_invitations", (), {}, 4, {"send": "GET /folders/invitations/list_sent", "idempotent": True}),
    ("accept_invitation", (INVITATION,), {}, 4, {
        "send": "POST /folders/invitations/accept", "json": {"inv_id": INVITATION},
    }),
    ("update_invitation", (INVITATION, "rw"), {}, 4, {
        "send": f"POST /folders/invitations/update/{INVITATION}", "json": {"perm": "rw"}, "idempotent": True,
    }),
    ("delete_invitation", (INVITATION,), {}, 4, {
        "send": "DELETE /folders/invitations/delete", "json": {"inv_id": INVITATION},
    }),
    ("leave", (), {}, 5, {"send": "POST /folders/mine/leave", "json": {}}),
    ("leave", (USER_ID,), {}, "v6.20230315", {
        "send": "POST /folders/mine/leave", "json": {"shared_user_uuid": USER_ID},
    }),
    ("share", ("wd", ["a@x"]), {}, "v6.20210815", {
        "send": "POST /folders/mine/share", "json": {"permission": "wd", "emails": ["a@x"]}, "idempotent": True,
    }),
    ("unshare", (["a@x"],), {}, "v6.20210815", {
        "send": "DELETE /folders/mine/unshare", "json": {"emails": ["a@x"]}, "idempotent": True,
    }),
    ("list_shared_vfolders", (), {}, "v6.20230315", {"send": "GET /folders/_/shared", "idempotent": True}),
    ("shared_vfolder_info", (FOLDER_ID,), {}, 5, {
        "send": "GET /folders/_/shared", "params": {"vfolder_id": FOLDER_ID}, "idempotent": True,
    }),
    ("update_shared_vfolder", (FOLDER_ID, USER_ID, "ro"), {}, 5, {
        "send": "POST /folders/_/shared", "json": {"vfolder": FOLDER_ID, "user": USER_ID, "perm": "ro"},
        "idempotent": True,
    }),
    # hosts
    ("list_hosts", (), {}, 4, {"send": "GET /folders/_/hosts", "idempotent": True}),
    ("list_all_hosts", (), {}, 4, {"send": "GET /folders/_/all_hosts", "idempotent": True}),
    ("list_allowed_types", (), {}, 4, {"send": "GET /folders/_/allowed_types", "idempotent": True}),
    ("get_performance_metric", ("local:volume1",), {}, 6, {
        "send": "GET /folders/_/perf-metric", "params": {"folder_host": "local:volume1"}, "idempotent": True,
    }),
    ("get_fstab_contents", (), {}, 4, {"send": "GET /folders/_/fstab", "idempotent": True}),
    ("get_fstab_contents", ("i-one",), {"fstab_path": "/etc/fstab2"}, 4, {
        "send": "GET /folders/_/fstab", "params": {"agent_id": "i-one", "fstab_path": "/etc/fstab2"},
        "idempotent": True,
    }),
    ("list_mounts", (), {}, 4, {"send": "GET /folders/_/mounts", "idempotent": True}),
    ("mount_host", ("nas", "10.0.0.1:/x"), {}, 4, {
        "send": "POST /folders/_/mounts", "json": {"name": "nas", "fs_location": "10.0.0.1:/x", "edit_fstab": False},
    }),
    (
        "mount_host",
        ("nas", "10.0.0.1:/x", "ro,soft", True),
        {"fs_type": "nfs4", "scaling_group": "gpu", "fstab_path": "/f"},
        4,
        {
            "send": "POST /folders/_/mounts",
            "json": {
                "name": "nas", "fs_location": "10.0.0.1:/x", "edit_fstab": True, "options": "ro,soft",
                "fs_type": "nfs4", "scaling_group": "gpu", "fstab_path": "/f",
            },
        },
    ),
    ("umount_host", ("nas",), {}, 4, {
        "send": "DELETE /folders/_/mounts", "json": {"name": "nas", "edit_fstab": False},
    }),
    ("umount_host", ("nas", True), {"scaling_group": "gpu", "fstab_path": "/f"}, 4, {
        "send": "DELETE /folders/_/mounts",
        "json": {"name": "nas", "edit_fstab": True, "scaling_group": "gpu", "fstab_path": "/f"},
    }),
    ("get_quota", ("local:volume1", FOLDER_ID), {}, "v6.20210815", {
        "send": "GET /folders/_/quota", "params": QUOTA, "idempotent": True,
    }),
    ("update_quota", ("local:volume1", FOLDER_ID, 1000), {}, "v6.20210815", {
        "send": "POST /folders/_/quota", "json": {**QUOTA, "input": {"size_bytes": 1000}}, "idempotent": True,
    }),
    ("get_usage", ("local:volume1", FOLDER_ID), {}, "v6.20210815", {
        "send": "GET /folders/_/usage", "params": QUOTA, "idempotent": True,
    }),
    ("get_used_bytes", ("local:volume1", FOLDER_ID), {}, "v6.20230315", {
        "send": "GET /folders/_/used-bytes", "params": QUOTA, "idempotent": True,
    }),
    ("change_vfolder_ownership", (FOLDER_ID, "a@x"), {}, "v6.20230315", {
        "send": "POST /folders/_/change-ownership", "json": {"vfolder": FOLDER_ID, "user_email": "a@x"},
        "idempotent": True,
    }),
]  # fmt: skip
FIRST = {4: "v4.20190615", 5: "v5.20191215", 6: "v6.20200815"}


def started(proxy, play, version, function, args, options):
    owner = proxy(version)["VFolder"]
    member = getattr(owner, function)
    return play(member if hasattr(member, "submit") else getattr(owner("mine"), function), *args, **options)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "options", "since", "request_"), CASES)
def test_what_each_version_sends(version, function, args, options, since, request_, proxy, play) -> None:
    first = FIRST.get(since, since)
    if version < first:
        with pytest.raises(BackendAPIVersionError, match=first.replace(".", r"\.")):
            started(proxy, play, version, function, args, options)
    else:
        assert started(proxy, play, version, function, args, options).request == {"idempotent": False, **request_}


# mkdir


@pytest.mark.parametrize("version", VERSIONS)
def test_directories_above_are_made_only_when_asked_for(version, proxy, play, reply) -> None:
    """The server's own default is the contrary of the client's, so that both are always said."""
    mkdir = proxy(version)["VFolder"]("mine").mkdir
    known = {} if version < "v6" else {"parents": False, "exist_ok": False}
    call = play(mkdir, "a/b")
    assert call.request == {"send": "POST /folders/mine/mkdir", "json": {"path": "a/b", **known}, "idempotent": False}
    assert call.answer(reply(status=201)).value == ""
    if version >= "v6":
        assert play(mkdir, Path("a"), True, True).request == {
            "send": "POST /folders/mine/mkdir",
            "json": {"path": "a", "parents": True, "exist_ok": True},
            "idempotent": True,
        }
    else:
        assert play(mkdir, "a", parents=True).request["json"] == {"path": "a"}
        with pytest.raises(BackendAPIVersionError, match=r"exist_ok.*v6\.20200815"):
            play(mkdir, "a", exist_ok=True)


# list

OTHER = {"name": "x", "id": FOLDER_ID, "user": "other", "ownership_type": "group", "host": "h"}
OWN = {"name": "y", "id": FOLDER_ID, "user": USER_ID, "ownership_type": "user", "host": "h"}


@pytest.mark.parametrize("version", ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20210815"])
def test_everybodys_folders_are_asked_for_by_query(version, proxy, play, reply) -> None:
    call = play(proxy(version)["VFolder"].list, True)
    assert call.request == {"send": "GET /folders", "params": {"all": "true"}, "idempotent": True}
    assert call.answer(reply([{"name": "a"}])).value == [{"name": "a"}]


@pytest.mark.parametrize("version", ["v6.20220315", "v6.20230315", "v7.20230615"])
def test_pitfall_newer_managers_refuse_all(version, proxy, play, reply) -> None:
    """They are asked through GraphQL, page by page; the answer has the shape of the list."""
    call = play(proxy(version)["VFolder"].list, list_all=True)
    assert call.request["json"]["query"] == "query { user { uuid } }"
    call.answer(reply({"user": {"uuid": USER_ID}}))
    assert call.request["json"]["variables"] == {"limit": 100, "offset": 0}
    assert ("quota_scope_id" in call.request["json"]["query"]) == (version >= "v6.20230315")
    call.answer(reply({"vfolder_list": {"items": [OTHER] * 100, "total_count": 101}}))
    assert call.request["json"]["variables"] == {"limit": 100, "offset": 100}
    call.answer(reply({"vfolder_list": {"items": [OWN], "total_count": 101}}))
    assert len(call.value) == 101
    assert call.value[0] == {**OTHER, "id": FOLDER_ID.replace("-", ""), "is_owner": False, "type": "group"}
    assert call.value[100] == {**OWN, "id": FOLDER_ID.replace("-", ""), "is_owner": True, "type": "user"}


def test_folders_that_vanish_between_pages_end_the_list(proxy, play, reply) -> None:
    call = play(proxy()["VFolder"].list, True).answer(reply({"user": {"uuid": USER_ID}}))
    call.answer(reply({"vfolder_list": {"items": [OWN], "total_count": 5}}))
    call.answer(reply({"vfolder_list": {"items": [], "total_count": 0}}))
    assert [folder["name"] for folder in call.value] == ["y"]


def test_a_newer_manager_under_an_older_version_is_asked_through_graphql_too(proxy, play, reply) -> None:
    call = play(proxy("v5.20191215")["VFolder"].list, True)
    call.fail(BackendAPIError(400, "Bad Request", {"msg": "Deprecated use of 'all' option"}))
    assert call.request["send"] == "POST /admin/graphql"


def test_other_refusals_of_the_list_stand(proxy, play) -> None:
    with pytest.raises(BackendAPIError, match="401"):
        play(proxy("v5.20191215")["VFolder"].list, True).fail(BackendAPIError(401, "Unauthorized", {}))


@pytest.mark.parametrize(
    ("function", "root", "since"),
    [
        ("paginated_list", "vfolder_list", "v5.20191215"),
        ("paginated_own_list", "vfolder_own_list", "v7.20230615"),
        ("paginated_invited_list", "vfolder_invited_list", "v7.20230615"),
        ("paginated_project_list", "vfolder_project_list", "v7.20230615"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_pages(version, function, root, since, proxy, play, reply) -> None:
    listed = getattr(proxy(version)["VFolder"], function)
    if version < since:
        with pytest.raises(BackendAPIVersionError, match=since.replace(".", r"\.")):
            play(listed)
        return
    status = " status" if version >= "v6.20230315" else ""
    call = play(listed)
    assert call.request["json"] == {
        "query": f"query($limit: Int!, $offset: Int!) {{ {root}(limit: $limit, offset: $offset) {{ items {{ host name "
        f"created_at creator group permission ownership_type{status} }} total_count }} }}",
        "variables": {"limit": 20, "offset": 0},
    }
    page = call.answer(reply({root: {"items": [{"name": "a"}], "total_count": 7}})).value
    assert (page.total_count, page.items) == (7, [{"name": "a"}])


def test_a_page_of_a_groups_folders(proxy, play) -> None:
    call = play(
        proxy()["VFolder"].paginated_list,
        FOLDER_ID,
        "AK",
        fields=["name"],
        page_offset=3,
        page_size=5,
        filter='name == "a"',
        order="-name",
    )
    assert call.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!, $filter: String, $order: String, $access_key: String) { "
        "vfolder_list(limit: $limit, offset: $offset, filter: $filter, order: $order, "
        f'group_id: "{FOLDER_ID}", access_key: $access_key) {{ items {{ name }} total_count }} }}',
        "variables": {"limit": 5, "offset": 3, "filter": 'name == "a"', "order": "-name", "access_key": "AK"},
    }


# Answers


@pytest.mark.parametrize(
    ("function", "args", "answer", "value"),
    [
        ("rename", ("newer",), b"", ""),
        ("mkdir", ("a",), b"", ""),
        ("update_options", (None, "ro"), b"", ""),
        ("delete_files", (["a"],), {}, "{}"),
        ("rename_file", ("a", "b"), {}, {}),
        ("delete", (), b"", {}),
        ("delete_by_id", (FOLDER_ID,), b"", {}),
        ("list_allowed_types", (), ["user"], ["user"]),
        ("info", (), {"name": "mine"}, {"name": "mine"}),
    ],
)
def test_answers_are_those_of_19_09(function, args, answer, value, proxy, play, reply) -> None:
    """Text here and JSON there, as programs expect it."""
    assert started(proxy, play, "v7.20230615", function, args, {}).answer(reply(answer)).value == value


def test_an_answer_that_is_no_list_is_an_invalid_reply(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(proxy()["VFolder"].list).answer(reply({"no": "list"}))


def test_the_object_follows_its_rename(proxy, play, reply) -> None:
    folder = proxy()["VFolder"]("mine")
    call = play(folder.rename, "newer")
    assert folder.name == "mine"
    call.answer(reply(status=201))
    assert folder.name == "newer"
    assert play(folder.info).request["send"] == "GET /folders/newer"


def test_a_rename_that_fails_leaves_the_object_alone(proxy, play) -> None:
    folder = proxy()["VFolder"]("mine")
    with pytest.raises(BackendAPIError):
        play(folder.rename, "newer").fail(BackendAPIError(400, "Bad Request", {}))
    assert folder.name == "mine"


# Pitfalls


def test_names_are_one_segment_of_the_path(proxy, play) -> None:
    assert play(proxy()["VFolder"]("a/b ?#한").info).request["send"] == "GET /folders/a%2Fb%20%3F%23%ED%95%9C"


def test_pitfall_files_may_be_a_generator_and_paths(proxy, play) -> None:
    call = play(proxy()["VFolder"]("mine").delete_files, (path for path in [Path("a"), PurePosixPath("b/c"), "d"]))
    assert call.request["json"]["files"] == ["a", "b/c", "d"]


def test_pitfall_the_name_given_to_update_options_is_not_ignored(proxy, play) -> None:
    folder = proxy()["VFolder"]("mine")
    assert play(folder.update_options, "mine", "ro").request["json"] == {"permission": "ro"}
    with pytest.raises(InvalidArgument) as caught:
        play(folder.update_options, "other", "ro")
    assert (caught.value.argument, caught.value.value) == ("name", "other")


def test_pitfall_a_clone_without_host_is_a_server_error(proxy, play, reply) -> None:
    """The cluster's default host is asked for and said."""
    call = play(proxy()["VFolder"]("mine").clone, "copy")
    assert call.request == {"send": "GET /folders/_/hosts", "idempotent": True}
    call.answer(reply({"default": "local:volume2", "allowed": []}))
    assert call.request["json"]["target_host"] == "local:volume2"
    assert call.answer(reply({"id": "i", "bgtask_id": "t"}, 201)).value == {"id": "i", "bgtask_id": "t"}


def test_a_clone_needs_a_host_where_there_is_no_default(proxy, play, reply) -> None:
    with pytest.raises(InvalidArgument, match="target_host"):
        play(proxy()["VFolder"]("mine").clone, "copy").answer(reply({"default": None, "allowed": []}))


def test_the_end_of_sharing_is_the_one_explicit_null(proxy, play) -> None:
    call = play(proxy()["VFolder"].update_shared_vfolder, FOLDER_ID, USER_ID)
    assert call.request["json"] == {"vfolder": FOLDER_ID, "user": USER_ID, "perm": None}


@pytest.mark.parametrize(
    ("argument", "function", "args", "options"),
    [
        ("name", "create", ("",), {}),
        ("name", "create", (None,), {}),
        ("host", "create", ("data", ""), {}),
        ("group", "create", ("data", None, 5), {}),
        ("unmanaged_path", "create", ("data", None, None, "research"), {}),
        ("usage_mode", "create", ("data",), {"usage_mode": "fast"}),
        ("permission", "create", ("data",), {"permission": "x"}),
        ("quota", "create", ("data",), {"quota": 5}),
        ("cloneable", "create", ("data",), {"cloneable": "yes"}),
        ("list_all", "list", ("yes",), {}),
        ("new_name", "rename", ("",), {}),
        ("permission", "update_options", (), {"permission": "rwx"}),
        ("permission, cloneable", "update_options", (), {}),
        ("cloneable", "update_options", (), {"cloneable": 1}),
        ("target_name", "clone", ("",), {}),
        ("usage_mode", "clone", ("copy", "h", "x"), {}),
        ("oid", "delete_by_id", ("no uuid",), {}),
        ("path", "mkdir", ("",), {}),
        ("parents", "mkdir", ("a", 1), {}),
        ("path", "list_files", (5,), {}),
        ("new_name", "rename_file", ("a", "b/c"), {}),
        ("new_name", "rename_file", ("a", ".."), {}),
        ("target_path", "rename_file", ("", "b"), {}),
        ("src_path", "move_file", ("", "b"), {}),
        ("dst_path", "move_file", ("a", "\0"), {}),
        ("files", "delete_files", ("a",), {}),
        ("files", "delete_files", ([],), {}),
        ("files", "delete_files", ([5],), {}),
        ("recursive", "delete_files", (["a"], "yes"), {}),
        ("perm", "invite", ("x", ["a@x"]), {}),
        ("emails", "invite", ("ro", "a@x"), {}),
        ("emails", "invite", ("ro", []), {}),
        ("inv_id", "accept_invitation", ("5",), {}),
        ("inv_id", "update_invitation", ("../x", "ro"), {}),
        ("perm", "update_invitation", (INVITATION, None), {}),
        ("inv_id", "delete_invitation", (None,), {}),
        ("shared_user_uuid", "leave", ("me",), {}),
        ("perm", "share", (None, ["a@x"]), {}),
        ("emails", "unshare", ([""],), {}),
        ("vfolder_id", "shared_vfolder_info", ("x",), {}),
        ("vfolder", "update_shared_vfolder", ("x", USER_ID), {}),
        ("user", "update_shared_vfolder", (FOLDER_ID, "x"), {}),
        ("perm", "update_shared_vfolder", (FOLDER_ID, USER_ID, "x"), {}),
        ("folder_host", "get_performance_metric", ("",), {}),
        ("agent_id", "get_fstab_contents", ("",), {}),
        ("name", "mount_host", ("", "x"), {}),
        ("fs_location", "mount_host", ("x", None), {}),
        ("edit_fstab", "mount_host", ("x", "y", None, "no"), {}),
        ("edit_fstab", "umount_host", ("x", 0), {}),
        ("id", "get_quota", ("h", "x"), {}),
        ("size_bytes", "update_quota", ("h", FOLDER_ID, -1), {}),
        ("folder_host", "get_usage", (None, FOLDER_ID), {}),
        ("id", "get_used_bytes", ("h", ""), {}),
        ("user_email", "change_vfolder_ownership", (FOLDER_ID, ""), {}),
        ("group", "paginated_list", ("research",), {}),
        ("access_key", "paginated_list", (None, ""), {}),
        ("fields", "paginated_list", (), {"fields": ["nme"]}),
        ("page_size", "paginated_list", (), {"page_size": 101}),
        ("page_size", "paginated_own_list", (), {"page_size": -1}),
        ("page_offset", "paginated_invited_list", (), {"page_offset": -1}),
        ("filter", "paginated_project_list", (), {"filter": ""}),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, function, args, options, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        started(proxy, play, "v7.20230615", function, args, options)
    assert caught.value.argument == argument
