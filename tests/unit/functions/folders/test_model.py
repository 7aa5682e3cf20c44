"""Folders with models."""

from __future__ import annotations

import uuid

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

FOLDER_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
MKDIR = {"path": "versions", "parents": True, "exist_ok": True}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("function", "args", "request_"),
    [
        ("list", (), {"send": "GET /folders", "idempotent": True}),
        ("info", (), {"send": "GET /folders/llm", "idempotent": True}),
        ("create", ("llm",), {
            "send": "POST /folders", "json": {"name": "llm", "usage_mode": "model"}, "idempotent": False,
        }),
        ("delete", (), {"send": "DELETE /folders/llm", "idempotent": False}),
    ],
)  # fmt: skip
def test_what_each_version_sends(version, function, args, request_, proxy, play) -> None:
    owner = proxy(version)["Model"]
    member = getattr(owner, function)
    member = member if hasattr(member, "submit") else getattr(owner("llm"), function)
    if version < "v6":
        with pytest.raises(BackendAPIVersionError, match=r"v6\.20200815"):
            play(member, *args)
    else:
        assert play(member, *args).request == request_


def test_a_new_model_gets_a_directory_for_versions(proxy, play, reply) -> None:
    call = play(proxy()["Model"].create, "llm", "h", "/p", "g", "ro", "1g", True)
    assert call.request["json"] == {
        "name": "llm",
        "host": "h",
        "unmanaged_path": "/p",
        "group": "g",
        "usage_mode": "model",
        "permission": "ro",
        "quota": "1g",
        "cloneable": True,
    }
    call.answer(reply({"id": "i", "name": "llm"}, 201))
    assert call.request == {"send": "POST /folders/llm/mkdir", "json": MKDIR, "idempotent": True}
    assert call.answer(reply(status=201)).value == {"id": "i", "name": "llm"}


def test_info_tells_the_versions_descending(proxy, play, reply) -> None:
    call = play(proxy()["Model"]("llm").info)
    call.answer(reply({"name": "llm"}))
    assert call.request == {"send": "GET /folders/llm/files", "params": {"path": "versions"}, "idempotent": True}
    items = [
        {"name": "1", "type": "DIRECTORY"},
        {"name": "3", "type": "DIRECTORY"},
        {"name": "2", "type": "DIRECTORY"},
        {"name": "README", "type": "FILE"},
    ]
    assert call.answer(reply({"items": items, "files": "[]"})).value == {"name": "llm", "versions": ["3", "2", "1"]}


@pytest.mark.parametrize(
    "listing",
    [
        {"files": "[]"},
        {"items": [None]},
        {"items": [{"type": "DIRECTORY"}]},
        {"items": [{"name": name, "type": "DIRECTORY"} for name in ("1", 2)]},
    ],
)
def test_info_needs_a_listing(proxy, play, reply, listing) -> None:
    call = play(proxy()["Model"]("llm").info).answer(reply({"name": "llm"}))
    with pytest.raises(InvalidReply):
        call.answer(reply(listing))


@pytest.mark.parametrize("folders", [[None], ["a"], [{"name": "a"}, 5], {}])
def test_the_list_must_be_one_of_folders(proxy, play, reply, folders) -> None:
    with pytest.raises(InvalidReply):
        play(proxy()["Model"].list).answer(reply(folders))


def test_the_list_is_that_of_the_models_among_the_folders(proxy, play, reply) -> None:
    call = play(proxy()["Model"].list)
    folders = [{"name": "a", "usage_mode": "general"}, {"name": "b", "usage_mode": "model"}, {"name": "c"}]
    assert call.answer(reply(folders)).value == [folders[1]]


def test_deleting(proxy, play, reply) -> None:
    assert play(proxy()["Model"]("llm").delete).answer(reply(status=204)).value == {}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, '(usage_mode == "MODEL")'),
        ('name == "a" | name == "b"', '(name == "a" | name == "b") & (usage_mode == "MODEL")'),
    ],
)
def test_pages_are_filtered(given, sent, proxy, play, reply) -> None:
    call = play(proxy()["Model"].paginated_list, filter=given, order="-name", page_size=5, page_offset=5)
    assert call.request["json"] == {
        "query": "query($limit: Int!, $offset: Int!, $filter: String, $order: String) { vfolder_list(limit: $limit, "
        "offset: $offset, filter: $filter, order: $order) { items { id name created_at status } total_count } }",
        "variables": {"limit": 5, "offset": 5, "filter": sent, "order": "-name"},
    }
    assert call.answer(reply({"vfolder_list": {"items": [{"id": "i"}], "total_count": 6}})).value.items == [{"id": "i"}]


def test_pages_need_filters(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=r"v6\.20210815"):
        play(proxy("v6.20200815")["Model"].paginated_list)
    assert "status" not in play(proxy("v6.20210815")["Model"].paginated_list).request["json"]["query"]


def test_a_uuid_is_a_name(proxy, play) -> None:
    assert play(proxy()["Model"](uuid.UUID(FOLDER_ID)).info).request["send"] == f"GET /folders/{FOLDER_ID}"


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("model_name", lambda model: model("")),
        ("model_name", lambda model: model("..")),
        ("name", lambda model: model.create.submit("")),
        ("permission", lambda model: model.create.submit("llm", permission="x")),
        ("filter", lambda model: model.paginated_list.submit(filter="")),
        ("fields", lambda model: model.paginated_list.submit(fields=["nme"])),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, call, proxy) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call(proxy()["Model"])
    assert caught.value.argument == argument
