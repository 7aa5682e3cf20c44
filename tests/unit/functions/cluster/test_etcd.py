"""The cluster's configuration."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import InvalidArgument, InvalidReply

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]


@pytest.mark.parametrize("version", VERSIONS)
def test_values_are_read_written_and_removed(version, proxy, play, reply) -> None:
    etcd = proxy(version)["EtcdConfig"]
    call = play(etcd.get, "a/b")
    assert call.request == {"send": "POST /config/get", "json": {"key": "a/b", "prefix": False}, "idempotent": True}
    assert call.answer(reply({"result": None})).value is None
    call = play(etcd.get, "a", prefix=True)
    assert call.request["json"] == {"key": "a", "prefix": True}
    assert call.answer(reply({"result": {"b": "1"}})).value == {"b": "1"}
    call = play(etcd.set, "a/b", "")
    assert call.request == {"send": "POST /config/set", "json": {"key": "a/b", "value": ""}, "idempotent": True}
    assert call.answer(reply({"result": "ok"})).value == {"result": "ok"}
    call = play(etcd.delete, "a", True)
    assert call.request == {"send": "POST /config/delete", "json": {"key": "a", "prefix": True}, "idempotent": True}
    assert call.answer(reply({"result": "ok"})).value == {"result": "ok"}


def test_pitfall_values_may_be_mappings(proxy, play) -> None:
    value = {"": "0", "b": {"c": "1", "d": {"e": "2"}}}
    assert play(proxy()["EtcdConfig"].set, "a", value).request["json"] == {"key": "a", "value": value}


def test_as_many_texts_as_the_server_takes(proxy, play) -> None:
    etcd = proxy()["EtcdConfig"]
    most = {"below": {str(number): "x" for number in range(15)}, "beside": "x"}
    assert play(etcd.set, "a", most).request["json"]["value"] == most
    with pytest.raises(InvalidArgument, match="17 texts"):
        play(etcd.set, "a", {**most, "more": "x"})


@pytest.mark.parametrize(
    ("argument", "function", "args"),
    [
        ("key", "get", ("",)),
        ("key", "get", (5,)),
        ("prefix", "get", ("a", "yes")),
        ("key", "set", (None, "x")),
        ("value", "set", ("a", None)),
        ("value", "set", ("a", 5)),
        ("value", "set", ("a", {"b": ["x"]})),
        ("value", "set", ("a", {5: "x"})),
        ("value", "set", ("a", "\0")),
        ("prefix", "delete", ("a", 1)),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, function, args, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["EtcdConfig"], function), *args)
    assert caught.value.argument == argument


def test_values_are_not_repeated_in_errors(proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(proxy()["EtcdConfig"].set, "a", {"password": [b"hunter2"]})
    assert "hunter2" not in str(caught.value)


def test_an_answer_without_result_is_an_invalid_reply(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply, match="result"):
        play(proxy()["EtcdConfig"].get, "a").answer(reply({}))
