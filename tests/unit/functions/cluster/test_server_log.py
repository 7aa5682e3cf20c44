"""The server's error log."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

LOG_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
REPORT = ("error", "my program", "it broke", "python", {"version": 3})
REPORTED = {
    "severity": "error",
    "source": "my program",
    "message": "it broke",
    "context_lang": "python",
    "context_env": '{"version": 3}',
}
CASES = [
    (
        "list",
        (),
        {},
        {
            "send": "GET /logs/error",
            "params": {"mark_read": "false", "page_size": 20, "page_no": 1},
            "idempotent": True,
        },
    ),
    (
        "list",
        (True, 100, 3),
        {},
        {
            "send": "GET /logs/error",
            "params": {"mark_read": "true", "page_size": 100, "page_no": 3},
            "idempotent": True,
        },
    ),
    ("append", REPORT, {}, {"send": "POST /logs/error", "json": REPORTED, "idempotent": False}),
    (
        "append",
        REPORT,
        {"request_url": "http://x", "request_status": 500, "traceback": "line 1"},
        {
            "send": "POST /logs/error",
            "json": {**REPORTED, "request_url": "http://x", "request_status": 500, "traceback": "line 1"},
            "idempotent": False,
        },
    ),
    ("clear", (LOG_ID,), {}, {"send": f"POST /logs/error/{LOG_ID}/clear", "idempotent": True}),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("function", "args", "options", "request_"), CASES)
def test_what_each_version_sends(version, function, args, options, request_, proxy, play) -> None:
    member = getattr(proxy(version)["ServerLog"], function)
    if version < "v5":
        with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
            play(member, *args, **options)
    else:
        assert play(member, *args, **options).request == request_


def test_a_page(proxy, play, reply) -> None:
    page = {"logs": [{"log_id": LOG_ID}], "count": 1}
    assert play(proxy()["ServerLog"].list).answer(reply(page)).value == page


@pytest.mark.parametrize(
    ("offset", "size", "page_no", "expected"),
    [(0, 3, 1, ["a", "b", "c"]), (3, 3, 2, ["a", "b", "c"]), (4, 3, 2, ["b", "c"]), (5, 3, 2, ["c"])],
)
def test_pages_by_offset(offset, size, page_no, expected, proxy, play, reply) -> None:
    """The server knows whole pages only: what comes before the offset is left out."""
    call = play(proxy()["ServerLog"].paginated_list, mark_read=True, page_offset=offset, page_size=size)
    assert call.request["params"] == {"mark_read": "true", "page_size": size, "page_no": page_no}
    page = call.answer(reply({"logs": ["a", "b", "c"], "count": 9})).value
    assert (page.total_count, page.items) == (9, expected)
    assert "log_id" in page.fields


def test_pages_need_v5(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
        play(proxy("v4.20190615")["ServerLog"].paginated_list)


@pytest.mark.parametrize("answer", [[], {"logs": []}, {"logs": {}, "count": 0}, {"logs": [], "count": "0"}])
def test_an_answer_that_is_no_page_is_an_invalid_reply(answer, proxy, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(proxy()["ServerLog"].list).answer(reply(answer))


@pytest.mark.parametrize(
    ("argument", "function", "args", "options"),
    [
        ("mark_read", "list", ("True",), {}),
        ("page_size", "list", (False, 0), {}),
        ("page_size", "list", (False, 101), {}),
        ("page_no", "list", (False, 20, 0), {}),
        ("page_offset", "paginated_list", (), {"page_offset": -1}),
        ("page_size", "paginated_list", (), {"page_size": 101}),
        ("severity", "append", ("fatal", *REPORT[1:]), {}),
        ("source", "append", ("error", "", *REPORT[2:]), {}),
        ("message", "append", ("error", "s", "", "python", {}), {}),
        ("context_lang", "append", ("error", "s", "m", None, {}), {}),
        ("context_env", "append", ("error", "s", "m", "python", "no json"), {}),
        ("request_status", "append", REPORT, {"request_status": "500"}),
        ("log_id", "clear", ("x",), {}),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, function, args, options, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["ServerLog"], function), *args, **options)
    assert caught.value.argument == argument
