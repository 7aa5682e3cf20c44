"""What a server has: questions that the release answers, those that the version answers, and refusals both ways."""

from __future__ import annotations

import dataclasses

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError
from ai.backend.client.functions.compute.kernel import Kernel
from ai.backend.client.functions.toolkit.generations import (
    LEGACY_SCHEDULER,
    RESTART,
    TRASH,
    V6_FILTER,
    Generation,
    in_body,
    in_query,
)
from ai.backend.client.versioning import KNOWN_VERSIONS, NEWEST_RELEASE, Release

V5, V7, V9 = (5, "20191215"), (7, "20230615"), (9, "20250722")


def generation(year: int, number: int, version: tuple[int, str] = V9) -> Generation:
    """A server of that release, spoken to in that version."""
    return Generation(version, Release(year, number))


@pytest.mark.parametrize(
    ("question", "since"),
    [
        ("has_trash", (24, 3)),
        ("downloads_by_post", (24, 3)),
        ("names_run_id", (25, 1)),
        ("keeps_unset_state", (25, 1)),
        ("reads_slots_as_numbers", (25, 1)),
        ("refuses_slots_of_new_domains", (25, 1)),
        ("reads_one_place", (26, 3)),
        ("echoes_by_post", (26, 3)),
        ("mixes_events", (26, 3)),
        ("wants_group_ids", (26, 3)),
        ("wraps_usage", (26, 3)),
    ],
)
@pytest.mark.parametrize("version", [V5, V7, V9])
def test_the_release_answers_whatever_version_is_spoken(question, since, version) -> None:
    year, number = since
    assert getattr(generation(year, number, version), question) is True
    assert getattr(generation(27, 1, version), question) is True
    assert getattr(generation(year, number - 1, version), question) is False


def test_an_unknown_release_is_the_newest_that_speaks_the_version() -> None:
    assert [Generation.of(version).release for version in KNOWN_VERSIONS] == sorted(
        Generation.of(version).release for version in KNOWN_VERSIONS
    )
    assert Generation.of(V9).release == NEWEST_RELEASE
    assert Generation.of((10, "20300101")).release == NEWEST_RELEASE
    assert Generation.of(V7).release == Release(23, 9)


def test_what_came_with_a_version_needs_the_version() -> None:
    assert generation(26, 9, V7).has(V6_FILTER)
    assert not generation(26, 9, V5).has(V6_FILTER)
    generation(26, 9, V7).require("rename", since=V6_FILTER)
    with pytest.raises(
        BackendAPIVersionError, match=r"rename needs API version v6\.20210815 or later; v5\.20191215 is"
    ):
        generation(26, 9, V5).require("rename", since=V6_FILTER)


def test_what_came_with_a_release_needs_the_release() -> None:
    generation(24, 3, V5).require("restore", since=TRASH)
    with pytest.raises(BackendAPIVersionError, match=r"restore needs manager 24\.03 or later; 23\.09 is in use"):
        generation(23, 9).require("restore", since=TRASH)


def test_what_is_gone_says_since_when_and_what_to_do_instead() -> None:
    generation(26, 3).require("restart", gone=RESTART)
    with pytest.raises(
        BackendAPIVersionError, match=r"restart is gone since manager 26\.4: end the session and create"
    ):
        generation(26, 4).require("restart", gone=RESTART)


def test_what_came_and_went_is_refused_on_both_sides() -> None:
    generation(26, 1).require("x", since=V7, gone=LEGACY_SCHEDULER)
    for server in (generation(20, 3, V5), generation(26, 2)):
        with pytest.raises(BackendAPIVersionError):
            server.require("x", since=V7, gone=LEGACY_SCHEDULER)


def test_arguments_are_refused_by_name() -> None:
    since = {"filter": V6_FILTER, "mount_ids": Release(25, 15)}
    generation(26, 9).require_arguments("f", {"filter": 1, "mount_ids": 2, "name": 3}, since)
    generation(23, 9, V5).require_arguments("f", {"name": 3}, since)
    with pytest.raises(BackendAPIVersionError, match=r"the argument filter of f needs API version"):
        generation(23, 9, V5).require_arguments("f", {"filter": 1}, since)
    with pytest.raises(BackendAPIVersionError, match=r"the argument mount_ids of f needs manager 25\.15"):
        generation(23, 9, V7).require_arguments("f", {"mount_ids": 1}, since)


def test_parameters_go_where_the_server_reads_them() -> None:
    values = {"files": ["a", "b"], "left_out": None}
    old, new = generation(26, 2), generation(26, 3)
    assert in_query(old, values) == {"json": values}
    assert in_query(new, values) == {"params": {"files": ["a", "b"]}}
    assert in_body(old, {"name": "x"}) == {"params": {"name": "x"}}
    assert in_body(new, {"name": "x"}) == {"json": {"name": "x"}}


def test_a_generation_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        generation(26, 9).release = Release(23, 9)  # type: ignore[misc]  # that is the point


def test_an_imported_class_outside_of_a_session_has_no_server() -> None:
    with pytest.raises(RuntimeError, match="there is no session"):
        Kernel.server  # noqa: B018  # reading it is the point
