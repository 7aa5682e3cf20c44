"""Templates of sessions and clusters."""

from __future__ import annotations

import uuid

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

TEMPLATE_ID = "0b2f4f7e5a604d029a5e0cbe1c5d2f11"
OTHER_ID = "bc7e724247674b92ab121e6660d69832"
KINDS = [("SessionTemplate", "session", "v5.20191215"), ("ClusterTemplate", "cluster", "v6.20200815")]
VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]


@pytest.mark.parametrize(("name", "kind", "since"), KINDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_version_sends(version, name, kind, since, proxy, play, reply) -> None:
    template = proxy(version)[name]
    one = template(TEMPLATE_ID)
    path = f"/template/{kind}"
    functions = {
        template.create: (
            ("text",),
            {
                "send": f"POST {path}",
                "json": {"payload": "text", "group_name": "default", "domain_name": "default"},
                "idempotent": False,
            },
        ),
        template.list_templates: ((), {"send": f"GET {path}", "idempotent": True}),
        one.get: ((), {"send": f"GET {path}/{TEMPLATE_ID}", "params": {"format": "yaml"}, "idempotent": True}),
        one.put: (("text",), {"send": f"PUT {path}/{TEMPLATE_ID}", "json": {"payload": "text"}, "idempotent": True}),
        one.delete: ((), {"send": f"DELETE {path}/{TEMPLATE_ID}", "idempotent": False}),
    }
    for function, (args, request) in functions.items():
        if version < since:
            with pytest.raises(BackendAPIVersionError, match=since.replace(".", r"\.")):
                play(function, *args)
        else:
            assert play(function, *args).request == request


def test_everything_that_can_be_given(proxy, play) -> None:
    template = proxy(domain="d", group="g")["SessionTemplate"]
    assert play(template.create, "text").request["json"] == {"payload": "text", "group_name": "g", "domain_name": "d"}
    call = play(template.create, "text", "other", "research", "AK")
    assert call.request["json"] == {
        "payload": "text",
        "domain_name": "other",
        "group_name": "research",
        "owner_access_key": "AK",
    }
    assert play(template.list_templates, True).request["params"] == {"all": "true"}
    one = template(uuid.UUID(TEMPLATE_ID), "AK")
    path = f"/template/session/{uuid.UUID(TEMPLATE_ID)}"
    assert play(one.get, "json").request == {
        "send": f"GET {path}",
        "params": {"format": "json", "owner_access_key": "AK"},
        "idempotent": True,
    }
    assert play(one.put, "text", domain_name="d", group_name="g").request["json"] == {
        "payload": "text",
        "domain_name": "d",
        "group_name": "g",
        "owner_access_key": "AK",
    }
    assert play(one.delete).request["params"] == {"owner_access_key": "AK"}


def test_domain_and_group_of_put_need_21_09(proxy, play) -> None:
    with pytest.raises(BackendAPIVersionError, match=r"v6\.20210815"):
        play(proxy("v6.20200815")["SessionTemplate"](TEMPLATE_ID).put, "text", group_name="g")


def test_a_stored_template_is_an_object_of_its_session(proxy, play, reply) -> None:
    template = proxy()["SessionTemplate"]
    made = play(template.create, "text", owner_access_key="AK").answer(reply([{"id": TEMPLATE_ID, "user": "u"}])).value
    assert type(made) is template
    assert (made.template_id, made.owner_access_key) == (TEMPLATE_ID, "AK")


def test_pitfall_several_templates_do_not_make_one_unusable_id(proxy, play, reply) -> None:
    call = play(proxy()["SessionTemplate"].create, "text")
    made = call.answer(reply([{"id": TEMPLATE_ID}, {"id": OTHER_ID}])).value
    assert made.template_id == TEMPLATE_ID
    assert made.template_ids == (TEMPLATE_ID, OTHER_ID)


def test_clusters_answer_with_one_object(proxy, play, reply) -> None:
    made = play(proxy()["ClusterTemplate"].create, "text").answer(reply({"id": TEMPLATE_ID, "user": "u"})).value
    assert made.template_id == TEMPLATE_ID


@pytest.mark.parametrize("answer", [[], {}, [{"user": "u"}]])
def test_an_answer_without_id_is_an_invalid_reply(answer, proxy, play, reply) -> None:
    with pytest.raises(InvalidReply):
        play(proxy()["SessionTemplate"].create, "text").answer(reply(answer))


def test_answers(proxy, play, reply) -> None:
    """Text is text, also where the server sends JSON."""
    one = proxy()["SessionTemplate"](TEMPLATE_ID)
    assert play(one.get).answer(reply({"template": {}})).value == '{"template": {}}'
    assert play(one.put, "text").answer(reply({"success": True})).value == {"success": True}
    assert play(one.delete).answer(reply({"success": True})).value == {"success": True}


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("template_id", lambda template: template("x")),
        ("template_id", lambda template: template("")),
        ("template", lambda template: template.create.submit("")),
        ("template", lambda template: template.create.submit(b"text")),
        ("domain_name", lambda template: template.create.submit("text", "")),
        ("group_name", lambda template: template.create.submit("text", None, 5)),
        ("list_all", lambda template: template.list_templates.submit("yes")),
        ("body_format", lambda template: template(TEMPLATE_ID).get.submit("toml")),
        ("template", lambda template: template(TEMPLATE_ID).put.submit(None)),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, call, proxy) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call(proxy()["SessionTemplate"])
    assert caught.value.argument == argument
