"""What each function about a compute session sends, per protocol generation."""

from __future__ import annotations

import uuid

import pytest

from ai.backend.client.exceptions import BackendAPIError, BackendAPIVersionError, InvalidArgument, InvalidReply

SESSION_ID = uuid.UUID("83e73732-765e-49f0-b695-3d9a7458e9eb")
OTHER_ID = "bc7e7242-4767-4b92-ab12-1e6660d69832"

GENERATIONS = [
    ("v4.20190615", "/kernel/mine"),
    ("v5.20191215", "/session/mine"),
    ("v6.20200815", "/session/mine"),
    ("v6.20230315", "/session/mine"),
    ("v7.20230615", "/session/mine"),
]

# function, arguments, keyword arguments, how the request goes on after the session's path
EVERYWHERE = [
    ("destroy", (), {}, "DELETE", "", {"idempotent": False, "hold": 900.0}),
    ("destroy", (), {"forced": True}, "DELETE", "", {"idempotent": False, "hold": 900.0, "params": {"forced": "true"}}),
    ("restart", (), {}, "PATCH", "", {"idempotent": False, "hold": 900.0}),
    ("interrupt", (), {}, "POST", "/interrupt", {"idempotent": False}),
    (
        "complete",
        ("imp",),
        {},
        "POST",
        "/complete",
        {"idempotent": True, "json": {"code": "imp", "options": {"row": 0, "col": 0, "line": "", "post": ""}}},
    ),
    ("get_info", (), {}, "GET", "", {"idempotent": True}),
    ("get_logs", (), {}, "GET", "/logs", {"idempotent": True}),
    (
        "execute",
        (),
        {"code": "1+1"},
        "POST",
        "",
        {"idempotent": False, "json": {"mode": "query", "code": "1+1", "runId": None}},
    ),
    ("download", (["a.txt"],), {}, "GET", "/download", {"idempotent": True, "json": {"files": ["a.txt"]}}),
    ("download_single", ("a.txt",), {}, "GET", "/download_single", {"idempotent": True, "json": {"file": "a.txt"}}),
    ("list_files", (), {}, "GET", "/files", {"idempotent": True, "json": {"path": "."}}),
    ("list_files", ("sub",), {}, "GET", "/files", {"idempotent": True, "json": {"path": "sub"}}),
]

# function, arguments, keyword arguments, first version, method, suffix, request
LATER = [
    (
        "shutdown_service",
        ("ttyd",),
        {},
        "v5.20191215",
        "POST",
        "/shutdown-service",
        {"idempotent": False, "json": {"service_name": "ttyd"}},
    ),
    ("destroy", (), {"recursive": True}, "v6.20230315", "DELETE", "", {
        "idempotent": False, "hold": 900.0, "params": {"recursive": "true"},
    }),
    ("rename", ("newer",), {}, "v6.20210815", "POST", "/rename", {"idempotent": False, "params": {"name": "newer"}}),
    ("commit", (), {}, "v6.20230315", "POST", "/commit", {"idempotent": False, "hold": 900.0}),
    ("commit", ("a.tar",), {}, "v6.20230315", "POST", "/commit", {
        "idempotent": False, "hold": 900.0, "json": {"filename": "a.tar"},
    }),
    ("get_commit_status", (), {}, "v6.20230315", "GET", "/commit", {"idempotent": True}),
    ("get_abusing_report", (), {}, "v6.20230315", "GET", "/abusing-report", {"idempotent": True}),
    ("get_dependency_graph", (), {}, "v7.20230615", "GET", "/dependency-graph", {"idempotent": True}),
    ("get_direct_access_info", (), {}, "v6.20230315", "GET", "/direct-access-info", {"idempotent": True}),
    ("start_service", ("ttyd",), {}, "v6.20210815", "POST", "/start-service", {
        "idempotent": False, "json": {"app": "ttyd"},
    }),
    (
        "start_service",
        ("ttyd",),
        {"port": 7681, "envs": {"A": "1"}, "arguments": {"-P": None}, "login_session_token": "t"},
        "v6.20220315",
        "POST",
        "/start-service",
        {
            "idempotent": False,
            "json": {
                "app": "ttyd",
                "port": 7681,
                "envs": '{"A": "1"}',
                "arguments": '{"-P": null}',
                "login_session_token": "t",
            },
        },
    ),
]  # fmt: skip

FOR_THE_CALLER_ONLY = [
    "shutdown_service",
    "rename",
    "commit",
    "get_commit_status",
    "get_abusing_report",
    "start_service",
]


@pytest.mark.parametrize(("function", "args", "options", "method", "suffix", "request_"), EVERYWHERE)
@pytest.mark.parametrize(("version", "path"), GENERATIONS)
def test_the_request_on_every_generation(
    version, path, function, args, options, method, suffix, request_, kernel, play
) -> None:
    started = play(getattr(kernel(version), function), *args, **options)
    assert started.request == {"send": f"{method} {path}{suffix}", **request_}


@pytest.mark.parametrize(("function", "args", "options", "method", "suffix", "request_"), EVERYWHERE)
def test_the_owner_is_named_in_the_query(function, args, options, method, suffix, request_, kernel, play) -> None:
    owned = kernel("v4.20190615", "mine", "AKOWNER")
    params = {**request_.get("params", {}), "owner_access_key": "AKOWNER"}
    assert play(getattr(owned, function), *args, **options).request == {
        "send": f"{method} /kernel/mine{suffix}",
        **request_,
        "params": params,
    }


@pytest.mark.parametrize(("function", "args", "options", "since", "method", "suffix", "request_"), LATER)
@pytest.mark.parametrize(("version", "path"), GENERATIONS)
def test_later_functions_where_there_are_any(
    version, path, function, args, options, since, method, suffix, request_, kernel, play
) -> None:
    bound = getattr(kernel(version), function)
    if version < since:
        with pytest.raises(BackendAPIVersionError, match=f"{function}.* needs API version {since} or later; {version}"):
            play(bound, *args, **options)
    else:
        assert play(bound, *args, **options).request == {"send": f"{method} {path}{suffix}", **request_}


@pytest.mark.parametrize(
    ("function", "args"), [(row[0], row[1]) for row in LATER if row[0] in FOR_THE_CALLER_ONLY and not row[2]]
)
def test_no_call_acts_on_the_callers_session_in_place_of_the_owners(function, args, kernel, play) -> None:
    with pytest.raises(InvalidArgument, match="owner_access_key"):
        play(getattr(kernel("v7.20230615", "mine", "AKOWNER"), function), *args)


def test_a_name_is_one_segment_of_the_path(kernel, play) -> None:
    assert play(kernel("v7.20230615", "a/b?c#d %").get_info).request["send"] == "GET /session/a%2Fb%3Fc%23d%20%25"


@pytest.mark.parametrize("function", ["get_logs", "get_dependency_graph"])
def test_the_uuid_tells_sessions_of_one_name_apart(function, kernel, play) -> None:
    made = kernel("v7.20230615", "mine", id=SESSION_ID)
    assert play(getattr(made, function)).request["send"].startswith(f"GET /session/{SESSION_ID}/")
    assert play(made.get_info).request["send"] == "GET /session/mine"


def test_renaming_takes_the_new_name_on(kernel, play, reply) -> None:
    made = kernel("v7.20230615", "mine", id=SESSION_ID)
    started = play(made.rename, "newer")
    assert started.request["send"] == f"POST /session/{SESSION_ID}/rename"
    assert made.name == "mine"
    assert started.answer(reply(status=204)).done
    assert (made.name, made.kernel_id) == ("newer", "newer")


@pytest.mark.parametrize("name", ["abc", "a b c", "from-template", None])
def test_a_new_name_follows_the_rules(name, kernel, play) -> None:
    with pytest.raises(InvalidArgument, match="new_id"):
        play(kernel().rename, name)


def test_both_spellings_of_the_constructor(proxy) -> None:
    bound = proxy()["Kernel"]
    for made in (
        bound("mine", "AK"),
        bound(kernel_id="mine", owner_access_key="AK"),
        bound(name="mine", owner_access_key="AK"),
    ):
        assert (made.kernel_id, made.name, made.id, made.owner_access_key) == ("mine", "mine", None, "AK")


@pytest.mark.parametrize(
    "options", [{}, {"name": ""}, {"kernel_id": ".."}, {"kernel_id": 5}, {"kernel_id": "a", "name": "b"}]
)
def test_an_object_needs_a_name(options, proxy) -> None:
    with pytest.raises(InvalidArgument):
        proxy()["Kernel"](**options)


@pytest.mark.parametrize("value", [SESSION_ID, str(SESSION_ID)])
def test_an_object_by_uuid_is_addressed_by_it(value, proxy, play) -> None:
    made = proxy()["Kernel"].from_session_id(value)
    assert (made.kernel_id, made.name, made.id) == (None, None, SESSION_ID)
    assert play(made.destroy).request["send"] == f"DELETE /session/{SESSION_ID}"


def test_an_object_by_uuid_needs_v5(proxy, play) -> None:
    made = proxy("v4.20190615")["Kernel"].from_session_id(SESSION_ID)
    with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
        play(made.get_info)


@pytest.mark.parametrize("value", ["mine", "", None, 5])
def test_a_uuid_is_a_uuid(value, proxy) -> None:
    with pytest.raises(InvalidArgument):
        proxy()["Kernel"].from_session_id(value)


@pytest.mark.parametrize(("status", "value"), [(200, {"stats": {"status": "terminated"}}), (204, None)])
def test_destroy_tells_the_last_statistics(status, value, kernel, play, reply) -> None:
    answer = reply(value, status) if value else reply(status=status)
    assert play(kernel().destroy).answer(answer).value == value


@pytest.mark.parametrize("function", ["get_info", "get_logs", "list_files"])
def test_an_answer_that_is_no_object_is_an_invalid_reply(function, kernel, play, reply) -> None:
    for answer in (b"<html>maintenance", b"[]"):
        with pytest.raises(InvalidReply) as caught:
            play(getattr(kernel(), function)).answer(reply(answer, 200))
        assert (caught.value.status, caught.value.body) == (200, answer)


@pytest.mark.parametrize(
    ("function", "args", "options"),
    [
        ("start_service", ("",), {}),
        ("start_service", ("ttyd",), {"port": 80}),
        ("start_service", ("ttyd",), {"envs": {"A": object()}}),
        ("start_service", ("ttyd",), {"arguments": 5}),
        ("shutdown_service", ("",), {}),
        ("download", ([],), {}),
        ("download", ("a.txt",), {}),
        ("download", (["a"] * 6,), {}),
        ("download", (["a/x", "b/x"],), {}),
        ("download", (["a", ""],), {}),
        ("download", (["a"],), {"dest": "a\0b"}),
        ("download_single", ("",), {}),
        ("list_files", (5,), {}),
        ("complete", (None,), {}),
        ("complete", ("imp",), {"opts": {"column": 1}}),
    ],
)
def test_bad_input_is_refused(function, args, options, kernel, play) -> None:
    with pytest.raises(InvalidArgument):
        play(getattr(kernel(), function), *args, **options)


def test_a_service_environment_is_refused_without_its_values(kernel, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(kernel().start_service, "ttyd", envs={"TOKEN": {"hunter2"}})
    assert "hunter2" not in str(caught.value)


def test_hello(proxy, play, reply) -> None:
    started = play(proxy("v4.20190615")["Kernel"].hello)
    assert started.request == {"send": "GET /", "idempotent": True}
    versions = {"version": "v7.20230615", "manager": "23.09.10"}
    assert started.answer(reply(versions)).value == versions


def test_match(proxy, play, reply) -> None:
    started = play(proxy("v5.20191215")["Kernel"].match, "mine")
    assert started.request == {"send": "GET /session/_/match", "params": {"id": "mine"}, "idempotent": True}
    assert started.answer(reply({"matches": []})).value == {"matches": []}
    with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
        play(proxy("v4.20190615")["Kernel"].match, "mine")


HISTORY = {
    "send": "POST /admin/graphql",
    "json": {
        "query": "query($id: UUID!) { compute_session(id: $id) { status_history } }",
        "variables": {"id": str(SESSION_ID)},
    },
    "idempotent": True,
}


def test_status_history_by_uuid(kernel, play, reply) -> None:
    started = play(kernel("v6.20230315", "mine", "AKOWNER", id=SESSION_ID).get_status_history)
    assert started.request == HISTORY
    answer = {"compute_session": {"status_history": '{"PENDING": "2023-01-01T00:00:00+00:00"}'}}
    assert started.answer(reply(answer)).value == {"PENDING": "2023-01-01T00:00:00+00:00"}


def test_status_history_by_name_takes_the_newest_of_that_name(kernel, play, reply) -> None:
    started = play(kernel().get_status_history)
    assert started.request == {"send": "GET /session/_/match", "params": {"id": "mine"}, "idempotent": True}
    matches = [{"id": str(SESSION_ID), "name": "mine"}, {"id": OTHER_ID, "name": "mine"}]
    assert started.answer(reply({"matches": matches})).request == HISTORY
    assert started.answer(reply({"compute_session": {"status_history": None}})).value == {}


def test_status_history_of_nothing(kernel, play, reply) -> None:
    for answers in ([{"matches": []}], [{"matches": [{"id": OTHER_ID, "name": "mine"}]}, {"compute_session": None}]):
        started = play(kernel().get_status_history)
        for answer in answers[:-1]:
            started.answer(reply(answer))
        with pytest.raises(BackendAPIError) as caught:
            started.answer(reply(answers[-1]))
        assert (caught.value.status, caught.value.title) == (404, "No such session.")


@pytest.mark.parametrize("answer", [{}, {"matches": None}, {"matches": [5]}, {"matches": [{}]}])
def test_a_match_without_its_keys_is_an_invalid_reply(answer, kernel, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(kernel().get_status_history).answer(reply(answer))


@pytest.mark.parametrize("value", ["", "{", "[" * 100_000, "[5]", [5], 5, True])
def test_a_status_history_that_is_none_is_an_invalid_reply(value, kernel, play, reply) -> None:
    started = play(kernel("v6.20230315", id=SESSION_ID).get_status_history)
    with pytest.raises(InvalidReply, match="status_history"):
        started.answer(reply({"compute_session": {"status_history": value}}))


def test_status_history_needs_23_03(kernel, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=r"v6\.20230315"):
        play(kernel("v6.20220615").get_status_history)


def test_a_page_of_sessions(proxy, play, reply) -> None:
    started = play(
        proxy()["Kernel"].paginated_list, "RUNNING", fields=["name"], page_offset=20, page_size=10, order="-created_at"
    )
    assert started.request == {
        "send": "POST /admin/graphql",
        "json": {
            "query": "query($limit: Int!, $offset: Int!, $order: String, $status: String) { compute_session_list("
            "limit: $limit, offset: $offset, order: $order, status: $status) { items { name } total_count } }",
            "variables": {"limit": 10, "offset": 20, "order": "-created_at", "status": "RUNNING"},
        },
        "idempotent": True,
    }
    page = started.answer(reply({"compute_session_list": {"items": [{"name": "mine"}], "total_count": 21}})).value
    assert page == (21, [{"name": "mine"}], ("name",))


def test_filters_need_their_version(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match="20210815"):
        play(proxy("v6.20200815")["Kernel"].paginated_list, filter='name == "a"')


@pytest.mark.parametrize(
    "options", [{"page_size": 0}, {"page_size": 101}, {"page_offset": -1}, {"fields": []}, {"fields": "name"}]
)
def test_pages_have_limits(options, proxy, play) -> None:
    with pytest.raises(InvalidArgument):
        play(proxy()["Kernel"].paginated_list, **options)


def test_every_function_is_documented(proxy) -> None:
    for name, bound in proxy().items():
        for attribute, member in vars(bound.__mro__[1]).items():
            if not attribute.startswith("_") and hasattr(member, "recipe"):
                assert member.__doc__, f"{name}.{attribute}"


def test_pitfall_event_streams_spell_the_owner_another_way(kernel) -> None:
    """`owner_access_key`, which the vendor's client sends there, is answered with status 400."""
    assert kernel().get_session_identity_params() == {"sessionName": "mine"}
    assert kernel("v7.20230615", "mine", "AK").get_session_identity_params() == {
        "sessionName": "mine",
        "ownerAccessKey": "AK",
    }
    known = kernel("v7.20230615", "mine", "AK", id=SESSION_ID)
    assert known.get_session_identity_params() == {"sessionId": str(SESSION_ID)}
