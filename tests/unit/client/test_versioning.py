"""Versions: what is readable, what both sides agree on, and which names follow from it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.versioning import (
    API_VERSION,
    KNOWN_VERSIONS,
    MIN_API_VERSION,
    NEWEST_RELEASE,
    Release,
    apply_version_aware_fields,
    format_api_version,
    get_id_or_name,
    get_naming,
    negotiate,
    parse_api_version,
    parse_release,
)

V4, V5, V7, V9 = (4, "20190615"), (5, "20191215"), (7, "20230615"), (9, "20250722")
WITHDRAWN = (6, "20210815")
SESSION_UUID = "0b0a6bd1-8f0c-4f3e-9f3a-6d1f1d8a7e11"


@pytest.mark.parametrize("version", KNOWN_VERSIONS, ids=format_api_version)
def test_every_known_version_survives_writing_and_reading(version: tuple[int, str]) -> None:
    assert parse_api_version(format_api_version(version)) == version


def test_known_versions_go_from_the_oldest_supported_to_the_newest() -> None:
    assert list(KNOWN_VERSIONS) == sorted(set(KNOWN_VERSIONS))
    assert (KNOWN_VERSIONS[0], KNOWN_VERSIONS[-1]) == (MIN_API_VERSION, API_VERSION) == ((4, "20181215"), V9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7.20230615",
        "v7",
        "v7.2023061",
        "v7.202306150",
        "V7.20230615",
        "v07.20230615",
        " v7.20230615",
        "v7.20230615\n",
        "v\u0667.20230615",  # an Arabic digit: int() would take it
        "v" + "9" * 5000 + ".20230615",
        b"v7.20230615",
        None,
        7,
    ],
    ids=lambda text: repr(text)[:20],
)
def test_a_malformed_version_is_refused_as_a_value_error(text: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_api_version(text)
    assert (caught.value.argument, caught.value.value) == ("version", text)
    assert isinstance(caught.value, ValueError)


def test_versions_compare_by_number_not_by_text() -> None:
    assert parse_api_version("v10.20300101") > parse_api_version("v4.20190615")


@pytest.mark.parametrize(
    ("configured", "server", "agreed"),
    [
        (V7, "v7.20230615", V7),
        (V7, "v4.20190615", V4),
        (V7, "v6.20200815", (6, "20200815")),
        (V5, "v7.20230615", V5),
        (V7, "v6.20230101", (6, "20220615")),  # a server between two known versions
        ((6, "20220101"), "v7.20230615", (6, "20210815")),  # an upper bound between two known versions
        ((9, "20300101"), "v7.20230615", V7),
        (V9, "v8.20240315", (8, "20240315")),
        (V9, "v8.20240915", (8, "20240915")),
        (V9, "v9.20250722", V9),
        (V7, "v9.20250722", V7),
    ],
)
def test_the_newest_version_that_both_sides_know_is_chosen_silently(
    configured: tuple[int, str], server: str, agreed: tuple[int, str]
) -> None:
    found = negotiate(configured, server)
    assert (found.version, found.warning) == (agreed, None)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("23.09.10", (23, 9)),
        ("24.03.11", (24, 3)),
        ("25.6.17", (25, 6)),
        ("26.9.6", (26, 9)),
        ("26.10.0rc1", (26, 10)),
        ("26.9", (26, 9)),
        ("27.3+vendor.1", (27, 3)),
        ("20.09.0b3", (20, 9)),
        ("25.15.12", (25, 15)),
        ("26.123", None),
        ("26", None),
        ("2026.9", None),
        ("v26.9", None),
        ("test", None),
        ("", None),
        ("26.\u0669", None),  # an Arabic digit
        (None, None),
        (26.9, None),
        (["26.9.6"], None),
    ],
    ids=repr,
)
def test_a_release_is_read_or_is_none(text: object, release: tuple[int, int] | None) -> None:
    assert parse_release(text) == release


@pytest.mark.parametrize(("release", "text"), [((23, 9), "23.09"), ((24, 3), "24.03"), ((25, 6), "25.6")])
def test_a_release_is_written_as_the_vendor_does(release: tuple[int, int], text: str) -> None:
    assert str(Release(*release)) == text


@pytest.mark.parametrize(
    ("server", "manager", "release"),
    [
        ("v9.20250722", "25.15.12", (25, 15)),
        ("v9.20250722", "26.3.3", (26, 3)),
        ("v9.20250722", "26.9.6", (26, 9)),
        ("v9.20250722", None, (26, 9)),
        ("v9.20250722", "nightly", (26, 9)),
        ("v8.20240315", None, (24, 3)),
        ("v7.20230615", None, (23, 9)),
        ("v7.20230601", None, (23, 3)),
        ("v4.20190615", "", (19, 9)),
        ("v3.20170615", None, (19, 3)),
        ("nothing", "24.09.14", (24, 9)),
    ],
)
def test_the_release_decides_too_and_follows_from_the_version_where_it_is_not_told(
    server: str, manager: object, release: tuple[int, int]
) -> None:
    assert negotiate(V9, server, manager).release == release


@pytest.mark.parametrize(
    ("server", "manager", "agreed"),
    [
        ("v6.20210815", "21.09.4", WITHDRAWN),
        ("v7.20230615", "23.09.10", WITHDRAWN),
        ("v7.20230615", None, WITHDRAWN),
        ("v9.20250722", "26.2.5", WITHDRAWN),
        ("v9.20250722", "26.3.3", (6, "20200815")),
        ("v9.20250722", None, (6, "20200815")),
        ("v10.20300101", "27.3.0", (6, "20200815")),
        (None, None, (6, "20200815")),
        (None, "23.09.10", WITHDRAWN),
    ],
)
def test_a_withdrawn_version_is_not_sent_to_who_may_refuse_it(
    server: object, manager: object, agreed: tuple[int, str]
) -> None:
    assert negotiate(WITHDRAWN, server, manager).version == agreed


@pytest.mark.parametrize("configured", [V9, V7, V5, (9, "20300101")])
def test_a_newer_server_gets_a_version_that_we_know_and_a_warning(configured: tuple[int, str]) -> None:
    version, release, warning = negotiate(configured, "v10.20300101")
    assert version == min(configured, V9)
    assert release == NEWEST_RELEASE
    assert warning is not None
    assert "v10.20300101" in warning
    assert format_api_version(version) in warning


def test_a_newer_release_of_the_same_version_is_a_newer_server() -> None:
    version, release, warning = negotiate(V9, "v9.20250722", "27.3.1")
    assert (version, release) == (V9, (27, 3))
    assert warning is not None
    assert "27.3" in warning


def test_a_server_that_tells_its_release_only_gets_a_version_that_the_release_takes() -> None:
    assert negotiate(V9, None, "23.09.10").version == V7
    assert negotiate(V5, None, "23.09.10").version == V5


def test_a_server_below_the_minimum_gets_its_own_version_and_a_warning() -> None:
    version, _, warning = negotiate(V7, "v3.20170615")
    assert version == (3, "20170615")
    assert warning is not None
    assert "older" in warning


@pytest.mark.parametrize("server", [None, "", "latest", 7, {"major": 7}, ["v7.20230615"]], ids=repr)
def test_a_server_without_readable_version_gets_the_configured_one_and_a_warning(server: object) -> None:
    version, _, warning = negotiate(V5, server)
    assert version == V5
    assert warning is not None
    assert "v5.20191215" in warning


def test_the_warning_repeats_only_the_beginning_of_what_the_server_said() -> None:
    warning = negotiate(V7, "x" * 1_000_000).warning
    assert warning is not None
    assert len(warning) < 200


@pytest.mark.parametrize(
    ("key", "up_to_v4", "from_v5"),
    [
        ("path", "kernel", "session"),
        ("session_events_path", "/stream/kernel/_/events", "/events/session"),
        ("name_arg", "clientSessionToken", "name"),
        ("event_name_arg", "sessionId", "name"),
        ("name_gql_field", "sess_id", "name"),
        ("type_gql_field", "sess_type", "type"),
    ],
)
def test_names_change_from_v4_to_v5(key: str, up_to_v4: str, from_v5: str) -> None:
    assert get_naming(V4, key) == up_to_v4
    assert get_naming(V5, key) == get_naming(V7, key) == from_v5


def test_an_unknown_naming_key_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        get_naming(V7, "colour")


@pytest.mark.parametrize(
    ("version", "session_id", "address"), [(V4, SESSION_UUID, "me"), (V5, SESSION_UUID, SESSION_UUID), (V7, None, "me")]
)
def test_a_session_is_addressed_by_uuid_only_where_the_version_takes_one(
    version: tuple[int, str], session_id: str | None, address: str
) -> None:
    assert get_id_or_name(version, SimpleNamespace(id=session_id, name="me")) == address


@pytest.mark.parametrize(("version", "session_id"), [(V4, SESSION_UUID), (V7, None)])
def test_a_session_that_cannot_be_addressed_is_refused(version: tuple[int, str], session_id: str | None) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        get_id_or_name(version, SimpleNamespace(id=session_id, name=None))


def test_version_aware_fields_are_resolved_and_others_kept() -> None:
    session = SimpleNamespace(api_version=V4)
    fields: list[tuple[str, str | Callable[[Any], str]]] = [
        ("Name", lambda api_session: get_naming(api_session.api_version, "name_gql_field")),
        ("Status", "status"),
    ]
    assert apply_version_aware_fields(session, fields) == [("Name", "sess_id"), ("Status", "status")]
