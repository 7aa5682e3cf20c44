"""Values of subclasses (enum members above all) mean their value, and not what they write of themselves."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client._checks import plain
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.request import AttachedFile, Request, segment
from support.disguise import WRONG, disguised, member

BOTH = pytest.mark.parametrize("disguise", [disguised, member], ids=["a subclass", "an enum member"])

FILE = str(Path(__file__))
SETTINGS: dict[str, Any] = {
    "endpoint": "http://manager.example",
    "endpoint_type": "api",
    "domain": "d",
    "group": "g",
    "version": "v6.20220615",
    "user_agent": "agent/1",
    "access_key": "AK",
    "secret_key": "SK",
    "hash_type": "sha512",
    "vfolder_mounts": ["a", "b"],
    "skip_sslcert_validation": True,
    "connection_timeout": 3,
    "read_timeout": 4.5,
    "deadline": 5,
    "decoded_limit": 10,
    "lanes": 6,
    "in_flight": 7,
    "streams": 8,
    "when_full": "error",
    "retries": 9,
    "ca_bundle": FILE,
    "client_cert": (FILE, FILE),
    "proxies": {"http": "http://proxy.example:8080", "no_proxy": "a,b"},
    "cookie_file": FILE,
    "announcement_handler": print,
    "storage_proxy_address_map": {"http://a": "http://b"},
}
"""Every setting, none at its default."""


def all_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(all_plain, value))
    if hasattr(value, "items"):
        return all(all_plain(pair) for pair in value.items())
    return not isinstance(value, str | int | float) or type(value) in (str, int, float, bool)


def in_disguise(value: Any, disguise: Any) -> Any:
    if isinstance(value, dict):
        return {disguise(key): disguise(item) for key, item in value.items()}
    return type(value)(map(disguise, value)) if isinstance(value, list | tuple) else disguise(value)


def test_every_setting_is_tried_here() -> None:
    assert SETTINGS.keys() == inspect.signature(APIConfig).parameters.keys()


@BOTH
@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_kept_plain(name: str, disguise: Any) -> None:
    if callable(SETTINGS[name]):
        return
    expected = APIConfig(**SETTINGS)
    config = APIConfig(**{**SETTINGS, name: in_disguise(SETTINGS[name], disguise)})
    for attribute in ("endpoints", "parsed_version", "no_proxy", *SETTINGS):
        kept = getattr(config, attribute)
        assert kept == getattr(expected, attribute)
        assert attribute == "endpoint" or all_plain(kept), attribute
    assert repr(config) == repr(expected)


@BOTH
@pytest.mark.parametrize("text", ["http://a=http://b", "http://a=http://b,c=d"])
def test_a_map_of_addresses_as_text_is_kept_plain(text: str, disguise: Any) -> None:
    kept = APIConfig(storage_proxy_address_map=disguise(text)).storage_proxy_address_map
    assert kept == APIConfig(storage_proxy_address_map=text).storage_proxy_address_map
    assert all_plain(kept)


@BOTH
def test_what_a_request_is_made_of_is_plain(disguise: Any) -> None:
    request = Request(
        disguise("POST"),
        disguise("/x/y"),
        disguise("body"),
        params={disguise("a"): disguise("b"), "n": disguise(1)},
        content_type=disguise("text/x"),
        hold=disguise(3),
    )
    assert (request.method, request.path, request.body, request.hold) == ("POST", "x/y", b"body", 3.0)
    assert request.params == {"a": "b", "n": 1}
    parts = (request.method, request.path, request.params, request.content_type, request.hold)
    assert all_plain(parts)


@BOTH
def test_a_file_s_name_and_type_are_plain(disguise: Any) -> None:
    request = Request("POST", "/x", files=[AttachedFile(disguise("a.txt"), b"", disguise("text/x"))])
    assert request.files == [AttachedFile("a.txt", b"", "text/x")]
    assert all_plain(request.files)


@BOTH
@pytest.mark.parametrize("text", ["name", "a name", "a/b"])
def test_a_segment_is_that_of_the_value(text: str, disguise: Any) -> None:
    assert segment(disguise(text)) == segment(text)


@BOTH
def test_an_error_does_not_hide_what_was_given_behind_a_name(disguise: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        APIConfig(when_full=disguise("never"))
    assert WRONG not in str(caught.value)
    assert "never" in str(caught.value)


@pytest.mark.parametrize("value", [True, None, b"x", ("a",), 1, 1.5, "x"])
def test_other_values_are_returned_as_they_are(value: Any) -> None:
    assert plain(value) is value
