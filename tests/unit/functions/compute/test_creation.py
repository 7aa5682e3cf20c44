"""Create calls: the body of each protocol generation, and what comes back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

SESSION_ID = "83e73732-765e-49f0-b695-3d9a7458e9eb"
TEMPLATE_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"

MADE_PORTS = [{"name": "ttyd", "protocol": "http", "ports": [7681]}]
FOUND_PORTS = [{"name": "ttyd", "container_ports": [7681]}]

EVERYTHING_OLD: dict[str, Any] = {
    "client_token": "mine-1",
    "type_": "batch",
    "enqueue_only": True,
    "max_wait": 7,
    "no_reuse": True,
    "mounts": ["data"],
    "envs": {"A": "1"},
    "startup_command": "make",
    "resources": {"cpu": 1},
    "resource_opts": {"shmem": "64m"},
    "cluster_size": 2,
    "domain_name": "d",
    "group_name": "g",
    "tag": "t",
    "scaling_group": "s",
    "owner_access_key": "AKOWNER",
}
EVERYTHING_NEW: dict[str, Any] = {
    **EVERYTHING_OLD,
    "starts_at": "10m",
    "mount_map": {"data": "/home/work/data"},
    "bootstrap_script": "ZWNobw==",
    "preopen_ports": (8080,),
    "cluster_mode": "multi-node",
    "dependencies": [uuid.UUID(SESSION_ID)],
    "callback_url": "http://hook.example/",
    "architecture": "aarch64",
    "assign_agent": "i-one",
}

PLAIN_V4 = {
    "tag": None,
    "clientSessionToken": "mine",
    "image": "python",
    "config": {
        "mounts": [],
        "environ": None,
        "clusterSize": 1,
        "resources": {},
        "resource_opts": {},
        "scalingGroup": None,
    },
    "owner_access_key": None,
    "domain": "default",
    "group": "default",
    "type": "interactive",
    "enqueueOnly": False,
    "maxWaitSeconds": 0,
    "reuseIfExists": True,
    "startupCommand": None,
}
PLAIN_V5 = {
    "name": "mine",
    "image": "python",
    "type": "interactive",
    "domain": "default",
    "group": "default",
    "enqueueOnly": False,
    "maxWaitSeconds": 0,
    "reuseIfExists": True,
    "config": {"mounts": [], "clusterSize": 1},
}
PLAIN_V6 = {**PLAIN_V5, "clusterSize": 1, "config": {"mounts": []}}

FULL_CONFIG = {
    "mounts": ["data"],
    "environ": {"A": "1"},
    "resources": {"cpu": 1},
    "resource_opts": {"shmem": "64m"},
    "scalingGroup": "s",
}
FULL_V4 = {
    "tag": "t",
    "clientSessionToken": "mine-1",
    "image": "python",
    "config": {**FULL_CONFIG, "clusterSize": 2},
    "owner_access_key": "AKOWNER",
    "domain": "d",
    "group": "g",
    "type": "batch",
    "enqueueOnly": True,
    "maxWaitSeconds": 7,
    "reuseIfExists": False,
    "startupCommand": "make",
}
FULL_V7 = {
    "tag": "t",
    "name": "mine-1",
    "image": "python",
    "config": {
        **FULL_CONFIG,
        "mount_map": {"data": "/home/work/data"},
        "preopen_ports": [8080],
        "agentList": ["i-one"],
    },
    "owner_access_key": "AKOWNER",
    "domain": "d",
    "group": "g",
    "type": "batch",
    "enqueueOnly": True,
    "maxWaitSeconds": 7,
    "reuseIfExists": False,
    "startupCommand": "make",
    "starts_at": "10m",
    "bootstrap_script": "ZWNobw==",
    "clusterSize": 2,
    "clusterMode": "multi-node",
    "dependencies": [SESSION_ID],
    "callback_url": "http://hook.example/",
    "architecture": "aarch64",
}


@pytest.mark.parametrize(
    ("version", "path", "body"),
    [
        ("v4.20190615", "/kernel/create", PLAIN_V4),
        ("v5.20191215", "/session", PLAIN_V5),
        ("v6.20200815", "/session", PLAIN_V6),
        ("v6.20230315", "/session", PLAIN_V6),
        ("v7.20230615", "/session", PLAIN_V6),
    ],
)
def test_only_what_was_given_is_sent_from_v5_on(version, path, body, proxy, play) -> None:
    started = play(proxy(version)["Kernel"].get_or_create, "python", client_token="mine")
    assert started.request == {"send": f"POST {path}", "json": body, "idempotent": True, "hold": 900.0}


@pytest.mark.parametrize(
    ("version", "arguments", "body"),
    [("v4.20190615", EVERYTHING_OLD, FULL_V4), ("v7.20230615", EVERYTHING_NEW, FULL_V7)],
)
def test_every_argument_has_its_place(version, arguments, body, proxy, play) -> None:
    started = play(proxy(version)["Kernel"].get_or_create, "python", **arguments)
    assert started.request["json"] == body


def test_the_oldest_servers_get_no_newer_keys(proxy, play) -> None:
    body = play(proxy("v4.20181215")["Kernel"].get_or_create, "python", client_token="mine").request["json"]
    assert sorted(body) == ["clientSessionToken", "config", "image", "tag"]


@pytest.mark.parametrize("version", ["v4.20190615", "v5.20191215", "v6.20210815"])
def test_the_later_clients_defaults_need_no_version(version, proxy, play) -> None:
    options = {"cluster_mode": "single-node", "architecture": "x86_64"}
    body = play(proxy(version)["Kernel"].get_or_create, "python", client_token="mine", **options).request["json"]
    assert "architecture" not in body
    assert ("clusterMode" in body) == (version >= "v6")


@pytest.mark.parametrize(
    ("version", "argument", "value", "needed"),
    [
        ("v4.20190315", "owner_access_key", "AK", "v4.20190615"),
        ("v4.20190315", "no_reuse", True, "v4.20190615"),
        ("v4.20190615", "mount_map", {"a": "b"}, "v5.20191215"),
        ("v4.20190615", "bootstrap_script", "YQ==", "v5.20191215"),
        ("v4.20190615", "preopen_ports", [8080], "v5.20191215"),
        ("v5.20191215", "cluster_mode", "multi-node", "v6.20200815"),
        ("v6.20200815", "assign_agent", ["i-one"], "v6.20210815"),
        ("v6.20200815", "dependencies", [SESSION_ID], "v6.20220315"),
        ("v6.20210815", "callback_url", "http://hook.example/", "v6.20220315"),
        ("v6.20210815", "architecture", "aarch64", "v6.20220315"),
    ],
)
def test_an_argument_that_the_version_lacks_is_refused(version, argument, value, needed, proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=f"{argument} .* needs API version {needed}"):
        play(proxy(version)["Kernel"].get_or_create, "python", **{argument: value})


@pytest.mark.parametrize("spelling", ["client_token", "name"])
def test_both_spellings_of_the_name(spelling, proxy, play) -> None:
    started = play(proxy()["Kernel"].get_or_create, "python", **{spelling: "mine"})
    assert started.request["json"]["name"] == "mine"


@pytest.mark.parametrize("spelling", ["type_", "type"])
def test_both_spellings_of_the_type(spelling, proxy, play) -> None:
    started = play(proxy()["Kernel"].get_or_create, "python", startup_command="make", **{spelling: "batch"})
    assert started.request["json"]["type"] == "batch"


@pytest.mark.parametrize("token", [None, ""])
def test_a_session_without_name_gets_a_random_one(token, proxy, play) -> None:
    create = proxy()["Kernel"].get_or_create
    first, second = (play(create, "python", client_token=token).request["json"]["name"] for _ in range(2))
    assert first != second
    assert uuid.UUID(first)


def test_reuse_makes_the_call_repeatable(proxy, play) -> None:
    create = proxy()["Kernel"].get_or_create
    assert play(create, "python", name="mine").request["idempotent"] is True
    assert play(create, "python", name="mine", no_reuse=True).request["idempotent"] is False


@pytest.mark.parametrize(
    ("options", "hold"),
    [
        ({}, 900.0),
        ({"max_wait": 30}, 150.0),
        ({"enqueue_only": True}, None),
        ({"max_wait": 5, "enqueue_only": True}, None),
    ],
)
def test_the_server_may_hold_the_answer(options, hold, proxy, play) -> None:
    assert play(proxy()["Kernel"].get_or_create, "python", **options).request.get("hold") == hold


def test_configured_mounts_are_added_and_the_callers_list_is_left_alone(proxy, play) -> None:
    mounts = ["a", "b"]
    configured = ["b", "c"]
    create = proxy(vfolder_mounts=configured)["Kernel"].get_or_create
    assert play(create, "python", mounts=mounts).request["json"]["config"]["mounts"] == ["a", "b", "c"]
    assert play(create, "python", mounts=("a",)).request["json"]["config"]["mounts"] == ["a", "b", "c"]
    assert (mounts, configured) == (["a", "b"], ["b", "c"])


def test_configured_domain_and_group_are_the_default(proxy, play) -> None:
    body = play(proxy(domain="d", group="g")["Kernel"].get_or_create, "python").request["json"]
    assert (body["domain"], body["group"]) == ("d", "g")


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("image", {"image": None}),
        ("image", {"image": ""}),
        ("name", {"name": "abc"}),
        ("name", {"name": "a" * 65}),
        ("client_token", {"client_token": "-abc"}),
        ("client_token", {"client_token": "abc."}),
        ("client_token", {"client_token": "ab cd"}),
        ("client_token", {"client_token": "a/bcd"}),
        ("client_token", {"client_token": "세션이름"}),
        ("client_token", {"client_token": "abcd\n"}),
        ("client_token", {"client_token": "from-template"}),
        ("client_token", {"client_token": 1234}),
        ("name", {"client_token": "mine", "name": "yours"}),
        ("type", {"type_": "batch", "type": "interactive"}),
        ("max_wait", {"max_wait": -1}),
        ("max_wait", {"max_wait": "5"}),
        ("cluster_size", {"cluster_size": 0}),
        ("cluster_mode", {"cluster_mode": "single"}),
        ("mounts", {"mounts": "data"}),
        ("mounts", {"mounts": [1]}),
        ("mounts", {"mounts": 5}),
        ("mount_map", {"mount_map": ["data"]}),
        ("resources", {"resources": "cpu=1"}),
        ("preopen_ports", {"preopen_ports": [80]}),
        ("preopen_ports", {"preopen_ports": ["8080"]}),
        ("dependencies", {"dependencies": ["mine"]}),
        ("dependencies", {"dependencies": SESSION_ID}),
        ("bootstrap_script", {"bootstrap_script": ""}),
        ("startup_command", {"type": "batch"}),
        ("starts_at", {"starts_at": "10m"}),
    ],
)
def test_bad_input_is_refused_by_name(argument, options, proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(proxy()["Kernel"].get_or_create, **{"image": "python", **options})
    assert caught.value.argument == argument
    assert isinstance(caught.value, ValueError)


def test_a_bad_environment_is_refused_without_its_values(proxy, play) -> None:
    with pytest.raises(InvalidArgument) as caught:
        play(proxy()["Kernel"].get_or_create, "python", envs={"TOKEN": 4711})
    assert "TOKEN" in str(caught.value)
    assert "4711" not in str(caught.value)


def test_v4_names_the_session_by_its_kernel_id(proxy, play, reply) -> None:
    started = play(proxy("v4.20190615")["Kernel"].get_or_create, "python", client_token="mine")
    found = started.answer(
        reply({"kernelId": "mine", "status": "RUNNING", "created": False, "service_ports": FOUND_PORTS})
    ).value
    assert (found.kernel_id, found.name, found.id) == ("mine", "mine", None)
    assert (found.created, found.status, found.service_ports) == (
        False,
        "RUNNING",
        [{"name": "ttyd", "container_ports": [7681], "ports": [7681]}],
    )
    assert (found.domain, found.group) == ("default", "default")


def test_later_servers_tell_name_and_uuid(proxy, play, reply) -> None:
    bound = proxy()["Kernel"]
    answer = {
        "sessionId": SESSION_ID,
        "sessionName": "mine",
        "status": "TIMEOUT",
        "servicePorts": MADE_PORTS,
        "created": True,
    }
    made = play(bound.get_or_create, "python", name="mine", owner_access_key="AK").answer(reply(answer, 201)).value
    assert isinstance(made, bound)
    assert (made.kernel_id, made.name, made.id) == ("mine", "mine", uuid.UUID(SESSION_ID))
    assert (made.created, made.status, made.service_ports, made.owner_access_key) == (True, "TIMEOUT", MADE_PORTS, "AK")


def test_what_an_old_answer_leaves_out(proxy, play, reply) -> None:
    made = play(proxy("v4.20190615")["Kernel"].get_or_create, "python", client_token="mine").answer(reply({})).value
    assert (made.kernel_id, made.created, made.status, made.service_ports) == ("mine", True, "RUNNING", [])


@pytest.mark.parametrize("ports", [5, True, "ports", {"name": "ttyd"}, [None, 5]])
def test_services_that_cannot_be_read_are_none(ports, proxy, play, reply) -> None:
    """The session is there all the same."""
    call = play(proxy("v4.20190615")["Kernel"].get_or_create, "python", client_token="mine")
    assert call.answer(reply({"servicePorts": ports})).value.service_ports == []


@pytest.mark.parametrize("answer", [b"<html>", [], {}, {"sessionId": None}, {"sessionId": "mine"}])
def test_an_answer_without_a_session_is_an_invalid_reply(answer, proxy, play, reply) -> None:
    started = play(proxy()["Kernel"].get_or_create, "python")
    with pytest.raises(InvalidReply):
        started.answer(reply(answer, 201))


def test_a_template_keeps_what_is_not_given(proxy, play) -> None:
    started = play(proxy()["Kernel"].create_from_template, TEMPLATE_ID, name="mine")
    assert started.request == {
        "send": "POST /session/_/create-from-template",
        "json": {"template_id": TEMPLATE_ID, "name": "mine", "config": {}},
        "idempotent": True,
        "hold": 900.0,
    }


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("v5.20191215", {"config": {"clusterSize": 2, "mounts": ["a", "b"], "environ": {"A": "1"}}}),
        ("v6.20200815", {"clusterSize": 2, "config": {"mounts": ["a", "b"], "environ": {"A": "1"}}}),
    ],
)
def test_what_is_given_replaces_the_templates(version, body, proxy, play) -> None:
    started = play(
        proxy(version, vfolder_mounts=["b"])["Kernel"].create_from_template,
        uuid.UUID(TEMPLATE_ID),
        name="mine",
        type_="batch",
        cluster_size=2,
        mounts=["a"],
        envs={"A": "1"},
        no_reuse=True,
        max_wait=10,
    )
    assert started.request == {
        "send": "POST /session/_/create-from-template",
        "json": {
            "template_id": TEMPLATE_ID,
            "name": "mine",
            "type": "batch",
            "reuseIfExists": False,
            "maxWaitSeconds": 10,
            **body,
        },
        "idempotent": False,
        "hold": 130.0,
    }


def test_templates_need_v5(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=r"create_from_template needs API version v5\.20191215"):
        play(proxy("v4.20190615")["Kernel"].create_from_template, TEMPLATE_ID)


@pytest.mark.parametrize("template", [None, "", "mine", 5])
def test_a_template_has_a_uuid(template, proxy, play) -> None:
    with pytest.raises(InvalidArgument, match="template_id"):
        play(proxy()["Kernel"].create_from_template, template)
