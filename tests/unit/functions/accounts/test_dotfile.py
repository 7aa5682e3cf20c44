"""Files that are put into every session."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import BackendAPIVersionError, InvalidArgument, InvalidReply

GROUP_ID = "0b2f4f7e-5a60-4d02-9a5e-0cbe1c5d2f11"
VERSIONS = ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"]

# whose files, where they are, which parameters say so, since when
SCOPES = [
    ({}, "/user-config/dotfiles", {}, "v5.20191215"),
    ({"owner_access_key": "AK"}, "/user-config/dotfiles", {"owner_access_key": "AK"}, "v5.20191215"),
    ({"domain": "d"}, "/domain-config/dotfiles", {"domain": "d"}, "v6.20200815"),
    ({"group": "g", "domain": "d"}, "/group-config/dotfiles", {"group": "g", "domain": "d"}, "v6.20200815"),
    ({"group": "g"}, "/group-config/dotfiles", {"group": "g", "domain": "default"}, "v6.20200815"),
    ({"group": GROUP_ID}, "/group-config/dotfiles", {"group": GROUP_ID}, "v6.20200815"),
]


@pytest.mark.parametrize(("scope", "path", "keys", "since"), SCOPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_version_sends(version, scope, path, keys, since, proxy, play) -> None:
    dotfile = proxy(version)["Dotfile"]
    one = dotfile(".bashrc", **scope)
    content = {"data": "text", "permission": "644", "path": ".bashrc", **keys}
    query = {"params": {"path": ".bashrc", **keys}}
    whole = {"params": keys} if keys else {}
    calls = [
        (dotfile.create, ("text", ".bashrc", "644"), scope, {"send": f"POST {path}", "json": content}),
        (dotfile.list_dotfiles, (), scope, {"send": f"GET {path}", "idempotent": True, **whole}),
        (one.get, (), {}, {"send": f"GET {path}", "idempotent": True, **query}),
        (one.update, ("text", "644"), {}, {"send": f"PATCH {path}", "json": content, "idempotent": True}),
        (one.delete, (), {}, {"send": f"DELETE {path}", **query}),
    ]  # fmt: skip
    for function, args, options, request in calls:
        if version < since:
            with pytest.raises(BackendAPIVersionError, match=since.replace(".", r"\.")):
                play(function, *args, **options)
        else:
            assert play(function, *args, **options).request == {"idempotent": False, **request}


def test_pitfall_the_owner_of_a_list_is_spelt_right(proxy, play) -> None:
    """The vendor's client writes `onwer_access_key`, which the server refuses."""
    assert play(proxy()["Dotfile"].list_dotfiles, "AK").request["params"] == {"owner_access_key": "AK"}


def test_the_positional_order_is_that_of_the_vendor(proxy, play) -> None:
    """It differs between the constructor and the functions."""
    dotfile = proxy()["Dotfile"]
    one = dotfile(".bashrc", "AK", "g", "d")
    assert (one.path, one.owner_access_key, one.group, one.domain) == (".bashrc", "AK", "g", "d")
    call = play(dotfile.create, "text", ".bashrc", "644", "AK", "d", "g")
    assert call.request["json"] == {
        "data": "text",
        "path": ".bashrc",
        "permission": "644",
        "group": "g",
        "domain": "d",
    }
    assert play(dotfile.list_dotfiles, None, "d", "g").request["params"] == {"group": "g", "domain": "d"}


def test_a_stored_file_is_an_object_of_its_session(proxy, play, reply) -> None:
    dotfile = proxy()["Dotfile"]
    made = play(dotfile.create, "text", ".bashrc", "644", domain="d").answer(reply({})).value
    assert type(made) is dotfile
    assert (made.path, made.domain, made.group) == (".bashrc", "d", None)


def test_answers(proxy, play, reply) -> None:
    dotfile = proxy()["Dotfile"]
    listed = [{"path": ".bashrc", "permission": "644", "data": ""}]
    assert play(dotfile.list_dotfiles).answer(reply(listed)).value == listed
    one = dotfile(".bashrc")
    content = {"path": ".bashrc", "perm": "644", "data": ""}
    assert play(one.get).answer(reply(content)).value == content
    assert play(one.update, "text", "600").answer(reply({})).value == {}
    assert play(one.delete).answer(reply({"success": True})).value == {"success": True}
    with pytest.raises(InvalidReply):
        play(dotfile.list_dotfiles).answer(reply({}))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bootstrap_script(version, proxy, play, reply) -> None:
    dotfile = proxy(version)["Dotfile"]
    if version < "v5":
        for function, args in [(dotfile.get_bootstrap_script, ()), (dotfile.update_bootstrap_script, ("",))]:
            with pytest.raises(BackendAPIVersionError, match=r"v5\.20191215"):
                play(function, *args)
        return
    call = play(dotfile.get_bootstrap_script)
    assert call.request == {"send": "GET /user-config/bootstrap-script", "idempotent": True}
    assert call.answer(reply("echo 1")).value == "echo 1"
    call = play(dotfile.update_bootstrap_script, "")
    assert call.request == {"send": "POST /user-config/bootstrap-script", "json": {"script": ""}, "idempotent": True}
    assert call.answer(reply({})).value == {}


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("path", lambda dotfile: dotfile("")),
        ("path", lambda dotfile: dotfile(5)),
        ("group", lambda dotfile: dotfile("a", group=5)),
        ("data", lambda dotfile: dotfile.create.submit("", "a", "644")),
        ("data", lambda dotfile: dotfile.create.submit(b"text", "a", "644")),
        ("data", lambda dotfile: dotfile.create.submit("x" * (64 * 1024 + 1), "a", "644")),
        ("permission", lambda dotfile: dotfile.create.submit("text", "a", "888")),
        ("permission", lambda dotfile: dotfile.create.submit("text", "a", 644)),
        ("permission", lambda dotfile: dotfile("a").update.submit("text", "0644")),
        ("script", lambda dotfile: dotfile.update_bootstrap_script.submit(None)),
        ("script", lambda dotfile: dotfile.update_bootstrap_script.submit("x" * (64 * 1024 + 1))),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(argument, call, proxy) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call(proxy()["Dotfile"])
    assert caught.value.argument == argument
    assert len(str(caught.value)) < 500
