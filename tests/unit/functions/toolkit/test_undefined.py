"""``undefined`` as an argument is the same as not giving it."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.types import undefined


def test_of_keywords(proxy, play) -> None:
    """As programs for the vendor's client pass it."""
    kernel = proxy()["Kernel"]
    plain = play(kernel.create_from_template, "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11", name="mine").request
    options = {
        "type_": undefined, "enqueue_only": undefined, "image": undefined, "mounts": undefined, "envs": undefined,
        "cluster_size": undefined, "tag": undefined, "no_reuse": undefined, "owner_access_key": undefined,
    }  # fmt: skip
    template_id = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
    assert play(kernel.create_from_template, template_id, name="mine", **options).request == plain
    mine = kernel("mine")
    assert play(mine.start_service, "ttyd", port=undefined, envs=undefined, arguments=undefined).request["json"] == {
        "app": "ttyd"
    }


def test_of_positions(proxy, play) -> None:
    """What comes after it keeps its place, and defaults that are not None hold."""
    folder = proxy()["VFolder"]
    assert play(folder.create, "data", undefined, "research").request["json"] == {"name": "data", "group": "research"}
    assert play(folder.list, undefined).request == play(folder.list).request
    assert play(folder("mine").mkdir, "a", undefined, True).request["json"] == {
        "path": "a",
        "parents": False,
        "exist_ok": True,
    }


def test_of_what_must_be_given(proxy, play) -> None:
    with pytest.raises(TypeError, match="name"):
        play(proxy()["VFolder"].create, undefined)


def test_of_too_many_arguments(proxy, play) -> None:
    with pytest.raises(TypeError):
        play(proxy()["Manager"].status, undefined)
    with pytest.raises(TypeError):
        play(proxy()["VFolder"].create, "data", undefined, name="again")


def test_inside_of_values_it_is_refused(proxy, play) -> None:
    with pytest.raises(InvalidArgument):
        play(proxy()["VFolder"]("mine").delete_files, [undefined])
