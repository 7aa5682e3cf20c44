"""The manager's functions: requests per generation, spellings of its state."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import BackendAPIError, BackendAPIVersionError, InvalidArgument

VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]
SPELLINGS = [
    ("v4.20190615", "FROZEN", "RUNNING"),
    ("v5.20191215", "FROZEN", "RUNNING"),
    ("v6.20200815", "FROZEN", "RUNNING"),
    ("v6.20220615", "FROZEN", "RUNNING"),
    ("v6.20230315", "frozen", "running"),
    ("v7.20230615", "frozen", "running"),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_status_needs_no_body(version, proxy, play, reply) -> None:
    started = play(proxy(version)["Manager"].status)
    assert started.request == {"send": "GET /manager/status", "idempotent": True}
    assert started.answer(reply({"nodes": [], "status": "running"})).value == {"nodes": [], "status": "running"}


@pytest.mark.parametrize(("version", "frozen", "running"), SPELLINGS)
def test_the_state_is_spelt_as_the_release_wants_it(version, frozen, running, proxy, play, reply) -> None:
    manager = proxy(version)["Manager"]
    freeze = play(manager.freeze)
    assert freeze.request == {
        "send": "PUT /manager/status",
        "json": {"status": frozen, "force_kill": False},
        "idempotent": True,
    }
    assert freeze.answer(reply(status=204)).done
    unfreeze = play(manager.unfreeze)
    assert unfreeze.request == {"send": "PUT /manager/status", "json": {"status": running}, "idempotent": True}
    assert unfreeze.answer(reply(status=204)).value is None


def test_ending_all_sessions_is_not_repeated_by_itself(proxy, play) -> None:
    freeze = play(proxy()["Manager"].freeze, force_kill=True)
    assert freeze.request == {
        "send": "PUT /manager/status",
        "json": {"status": "frozen", "force_kill": True},
        "idempotent": False,
    }


@pytest.mark.parametrize(("version", "second"), [("v6.20220315", "running"), ("v7.20230615", "RUNNING")])
def test_the_other_spelling_is_tried_when_the_first_is_refused(version, second, proxy, play, reply) -> None:
    unfreeze = play(proxy(version)["Manager"].unfreeze)
    unfreeze.fail(BackendAPIError(400, "Bad Request", {"type": "https://api.backend.ai/probs/invalid-api-params"}))
    assert unfreeze.request["json"] == {"status": second}
    assert unfreeze.answer(reply(status=204)).done


def test_other_refusals_stand(proxy, play) -> None:
    unfreeze = play(proxy()["Manager"].unfreeze)
    with pytest.raises(BackendAPIError, match="403"):
        unfreeze.fail(BackendAPIError(403, "Forbidden", {}))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_announcement(version, proxy, play, reply) -> None:
    manager = proxy(version)["Manager"]
    read = play(manager.get_announcement)
    assert read.request == {"send": "GET /manager/announcement", "idempotent": True}
    assert read.answer(reply({"enabled": False, "message": ""})).value == {"enabled": False, "message": ""}
    assert play(manager.update_announcement, message="down at noon").request == {
        "send": "POST /manager/announcement",
        "json": {"enabled": True, "message": "down at noon"},
        "idempotent": True,
    }
    assert play(manager.update_announcement, enabled=False).request["json"] == {"enabled": False}


@pytest.mark.parametrize("message", [None, "", 5])
def test_an_announcement_has_a_text(message, proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="message"):
        play(proxy()["Manager"].update_announcement, message=message)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_scheduler_operations(version, proxy, play) -> None:
    assert play(proxy(version)["Manager"].scheduler_op, "exclude-agents", ("i-one",)).request == {
        "send": "POST /manager/scheduler/operation",
        "json": {"op": "exclude-agents", "args": ["i-one"]},
        "idempotent": True,
    }


@pytest.mark.parametrize(
    ("argument", "op", "args"),
    [("op", "exclude", ["i"]), ("args", "exclude-agents", "i"), ("args", "exclude-agents", None)],
)
def test_bad_scheduler_operations(argument, op, args, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(proxy()["Manager"].scheduler_op, op, args)
    assert caught.value.argument == argument


def test_scheduler_operations_need_v5(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
        play(proxy("v4.20190615")["Manager"].scheduler_op, "exclude-agents", ["i"])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_scheduler_is_triggered_and_asked(version, proxy, play, reply) -> None:
    manager = proxy(version)["Manager"]
    if version < "v7":
        for function, args in [(manager.scheduler_trigger, ("schedule",)), (manager.scheduler_status, ())]:
            with pytest.raises(BackendAPIVersionError, match=r"v7\.20230615"):
                play(function, *args)
        return
    call = play(manager.scheduler_trigger, "scale_services")
    assert call.request == {
        "send": "POST /manager/scheduler/trigger",
        "json": {"event": "scale_services"},
        "idempotent": True,
    }
    assert call.answer(reply(status=204)).value is None
    call = play(manager.scheduler_status)
    assert call.request == {"send": "GET /manager/scheduler/status", "idempotent": True}
    assert call.answer(reply({"schedule": {}})).value == {"schedule": {}}


@pytest.mark.parametrize(
    ("argument", "function", "args"),
    [
        ("event", "scheduler_trigger", ("sleep",)),
        ("force_kill", "freeze", ("yes",)),
        ("enabled", "update_announcement", ("no",)),
        ("message", "update_announcement", (False, 5)),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, function, args, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(getattr(proxy()["Manager"], function), *args)
    assert caught.value.argument == argument


def test_pitfall_success_is_not_a_certain_status(proxy, play, reply) -> None:
    """Managers answered 204 up to 20.03; the vendor's client asserts it."""
    assert play(proxy()["Manager"].freeze).answer(reply({}, 200)).value is None
    assert play(proxy()["Manager"].update_announcement, message="x").answer(reply({}, 200)).value is None
