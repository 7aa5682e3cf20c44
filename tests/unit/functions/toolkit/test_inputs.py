"""Arguments that only look like what is wanted, or that nothing can be made of: refused by name, before anything."""

from __future__ import annotations

import enum

import pytest

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.toolkit import inputs


class Name(str, enum.Enum):  # noqa: UP042  # its members' str() would be their value
    """As programs keep names; ``str()`` of a member is not its value."""

    DATA = "data"


class Odd:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise LookupError("no text")


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "text",
    [
        inputs.text,
        inputs.free_text,
        inputs.script,
        lambda name, value: inputs.choice(name, value, ["data"]),
        lambda name, value: inputs.text_mapping(name, {value: value})["data"],
        lambda name, value: next(iter(inputs.text_mapping(name, {value: value}))),
    ],
)
def test_a_member_of_an_enum_of_texts_is_its_value(text):
    found = text("name", Name.DATA)
    assert (found, type(found)) == ("data", str)


def test_names_in_paths_and_queries_may_be_such_members(proxy, play):
    folder = proxy()["VFolder"]
    assert play(folder(Name.DATA).info).request["send"] == "GET /folders/data"
    assert play(folder("f").list_files, Name.DATA).request["params"] == {"path": "data"}
    assert play(folder("f").request_download, Name.DATA).request["json"] == {"path": "data"}
    assert play(proxy()["Dotfile"].create, Name.DATA, Name.DATA, "644").request["json"]["data"] == "data"


@pytest.mark.parametrize("value", ["\ud800", "a\udcff", "\0"])
@pytest.mark.parametrize("check", [inputs.text, inputs.free_text, inputs.script, inputs.uuid_text])
def test_a_text_that_cannot_be_sent_is_refused(check, value):
    with pytest.raises(InvalidArgument) as caught:
        check("name", value)
    assert caught.value.argument == "name"
    str(caught.value).encode()


@pytest.mark.parametrize("value", ["s3cret\ud800", "s3cret\0", "s3cret" * 1000, b"s3cret"])
def test_a_secret_that_cannot_be_sent_is_not_shown(value):
    with pytest.raises(InvalidArgument) as caught:
        inputs.secret("password", value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in repr(error.args)
        error = error.__context__


@pytest.mark.parametrize("path", ["\ud800", "a\udcff"])
def test_a_path_that_cannot_be_sent_is_refused(proxy, play, path):
    folder = proxy()["VFolder"]("f")
    for function, *rest in ((folder.mkdir,), (folder.list_files,), (folder.move_file, "x"), (folder.rename_file, "x")):
        with pytest.raises(InvalidArgument, match="UTF-8"):
            play(function, path, *rest)
    with pytest.raises(InvalidArgument, match="UTF-8"):
        play(folder.delete_files, [path])


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, "1", None])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(InvalidArgument) as caught:
        inputs.number("ratio", value)
    assert caught.value.argument == "ratio"


@pytest.mark.parametrize(
    "value",
    ['{"a": NaN}', '{"a": -Infinity}', {"a": float("nan")}, "[" * 100_000, nested(100_000)],
    ids=["NaN in text", "infinity in text", "NaN", "deep text", "deep"],
)
def test_what_is_no_json_is_refused(value):
    with pytest.raises(InvalidArgument) as caught:
        inputs.json_object_text("options", value)
    assert caught.value.argument == "options"


def test_a_body_that_is_nested_too_deeply_is_refused(proxy, play):
    with pytest.raises(InvalidArgument):
        play(proxy()["Admin"].query, "query { x }", nested(100_000))


@pytest.mark.parametrize("value", [Odd(), 10**5000, "x" * 10_000_000], ids=["odd", "huge", "long"])
def test_whatever_was_given_can_be_told(value):
    with pytest.raises(InvalidArgument) as caught:
        inputs.whole("count", value, 0, 5)
    assert len(str(caught.value)) < 1000
    assert caught.value.value is value


@pytest.mark.parametrize("key", [5, True, ["AK"], "\ud800", "\0"])
def test_an_owner_s_key_is_checked(proxy, key):
    for make in (proxy()["Kernel"], lambda _, key: proxy()["SessionTemplate"]("0" * 32, key)):
        with pytest.raises(InvalidArgument) as caught:
            make("mine", key)
        assert caught.value.argument == "owner_access_key"


# -- iterators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda names: (name for name in names), iter, lambda names: map(str, names)])
def test_an_iterator_is_as_good_as_a_list(proxy, play, make):
    folder = proxy()["VFolder"]("f")
    plain = play(folder.delete_files, ["a", "b"]).request
    assert play(folder.delete_files, make(["a", "b"])).request == plain
    assert play(folder.delete_files, files=make(["a", "b"])).request == plain


def test_an_iterator_is_read_where_the_call_is_made(proxy):
    """Not on the hub, where users' code may not run; so what it raises is the caller's own."""

    def names():
        yield "a"
        raise LookupError("of the caller's")

    target = proxy()["VFolder"]("f")
    type(target).session._submit = lambda *_: pytest.fail("submitted")
    for arguments, options in (((names(),), {}), ((), {"files": names()})):
        with pytest.raises(LookupError, match="of the caller's"):
            target.delete_files.submit(*arguments, **options)
