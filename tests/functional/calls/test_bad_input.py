"""Bad input is refused before anything is sent, with a text that names argument and value and holds no secret."""

from __future__ import annotations

import io
import tarfile
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest

from ai.backend.client.exceptions import BackendClientError, InvalidArgument, InvalidReply, SessionClosed
from ai.backend.client.session import AsyncSession, Session
from support.asking import ask
from support.runtimes.calling import is_cancelled
from support.servers.faults import raw, reply
from support.waiting import LIMIT

CANARY = "canary-secret-key-0123456789"
IMAGE = "python:3.9"


def refused(make_config, **options):
    """The error that these options raise."""
    with pytest.raises(InvalidArgument) as caught:
        make_config(options.pop("endpoint", "http://127.0.0.1:1"), secret_key=CANARY, **options)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "endpoint",
    [
        "api.example.com", "/relative", "//host/path", "ftp://host", "http://", "http://host:port", "http://host:99999",
        ",", "http://a b", "http://[::1",
    ],
)  # fmt: skip
def test_an_endpoint_must_be_an_absolute_url(make_config, endpoint):
    error = refused(make_config, endpoint=endpoint)
    assert error.argument == "endpoint"
    assert isinstance(error, ValueError)


def test_one_bad_endpoint_of_several_is_named(make_config):
    assert "relative" in str(refused(make_config, endpoint="http://good.example,relative"))


@pytest.mark.parametrize("endpoint", ["http://user:hunter2-canary@host:bad", "ftp://user:hunter2-canary@host"])
def test_user_information_of_a_bad_endpoint_is_not_repeated(make_config, endpoint):
    assert "hunter2-canary" not in str(refused(make_config, endpoint=endpoint))


def test_the_endpoint_type_must_be_known(make_config):
    error = refused(make_config, endpoint_type="console")
    assert error.argument == "endpoint_type"
    assert "console" in str(error)


@pytest.mark.parametrize("version", ["7.20230615", "v7", "v7.2023", "latest", "v7.20230615x", "", " v7.20230615"])
def test_the_version_must_be_well_formed(make_config, version):
    error = refused(make_config, version=version)
    assert error.argument == "version"
    assert repr(version) in str(error)


@pytest.mark.parametrize("argument", ["connection_timeout", "read_timeout", "deadline"])
@pytest.mark.parametrize(
    "value", ["soon", -1, float("nan"), object(), "-1"], ids=["text", "negative", "nan", "object", "negative text"]
)
def test_time_limits_must_be_numbers(make_config, argument, value):
    assert refused(make_config, **{argument: value}).argument == argument


@pytest.mark.parametrize("argument", ["lanes", "in_flight", "retries"])
@pytest.mark.parametrize("value", [-1, "many", 1.5], ids=str)
def test_counts_must_be_whole_numbers(make_config, argument, value):
    assert refused(make_config, **{argument: value}).argument == argument


@pytest.mark.parametrize("variable", ["BACKEND_READ_TIMEOUT", "SORNA_CONNECTION_TIMEOUT"])
def test_limits_of_the_environment_must_be_numbers(make_config, monkeypatch, variable):
    monkeypatch.setenv(variable, "soon")
    assert "soon" in str(refused(make_config))


@pytest.mark.parametrize("key", ["a\r\nInjected: yes", "a\nb", "a\0b", "schlüssel\N{SNOWMAN}"])
@pytest.mark.parametrize("argument", ["access_key", "domain", "user_agent"])
def test_no_header_can_be_smuggled_in(make_config, argument, key):
    refused(make_config, **{argument: key})


def test_a_closed_session_says_so(runtime, echo, make_config, unique):
    session = runtime.make(make_config(echo))
    runtime.close(session)
    outcome = runtime.outcome(partial(ask, session, unique()))
    assert isinstance(outcome, SessionClosed)


CALLS = {
    "token too short": (lambda s: s.Kernel.get_or_create(IMAGE, client_token="abc"), "client_token", "abc"),
    "token too long": (lambda s: s.Kernel.get_or_create(IMAGE, client_token="x" * 65), "client_token", "x" * 65),
    "execute without code": (lambda s: s.Kernel("kernel").execute("run", None), "code", "None"),
    "unknown mode": (lambda s: s.Kernel("kernel").execute("run", "code", mode="continued"), "mode", "continued"),
    "empty name": (lambda s: s.Kernel("").get_info(), "", ""),
    "dot segment": (lambda s: s.Kernel("..").get_info(), "", ".."),
    "file outside basedir": (
        lambda s: s.Kernel("kernel").upload(["/etc/hostname"], basedir="/tmp"),
        "",
        "/etc/hostname",
    ),
    "file that climbs out": (
        lambda s: s.Kernel("kernel").upload(["../../etc/hostname"], basedir="/tmp"),
        "",
        "etc/hostname",
    ),
}


@pytest.mark.parametrize("case", list(CALLS))
def test_a_bad_argument_is_refused_before_anything_is_sent(runtime, echo, make_config, case):
    call, argument, value = CALLS[case]
    with runtime.session(make_config(echo)) as session:
        echo.reset()
        outcome = runtime.outcome(lambda: call(session))
    assert isinstance(outcome, BackendClientError | ValueError)
    assert not is_cancelled(outcome)
    assert argument in str(outcome)
    assert value in str(outcome)
    assert echo.stats()["requests"] == 0


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "%2e%2e", "a b", "한글", "a\0b", "../x"])
def test_a_name_stays_one_segment_of_the_path(runtime, make_config, server, name):
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(partial(ask, session, name))
    if isinstance(outcome, BaseException):
        assert isinstance(outcome, InvalidArgument)
        assert server.requests == []
        return
    [request] = server.requests
    assert request.target.count("/") == 2
    assert unquote(request.target.rpartition("/")[2]) == name


# -- replies that are not what the API promises ----------------------------------------------------


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"{", b"\xff\xfe\x00", b"{} trailing"], ids=repr)
def test_a_reply_that_is_not_json_keeps_status_and_first_bytes(runtime, make_config, server, body):
    server.script(reply(body))
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    assert isinstance(outcome, InvalidReply)
    assert outcome.status == 200
    assert body.startswith(outcome.body)
    assert bool(outcome.body) == bool(body)
    assert (outcome.method, outcome.path) == ("GET", "/session/kernel")


def test_a_large_reply_that_is_not_json_is_not_carried_around(runtime, make_config, server):
    server.script(reply(b"<html>" + b"x" * 10_000_000))
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(partial(ask, session, "kernel"))
    assert isinstance(outcome, InvalidReply)
    assert outcome.body.startswith(b"<html>")
    assert len(str(outcome)) < 10_000


@pytest.mark.parametrize("body", [{}, [], None, 42, "text"], ids=repr)
def test_a_reply_without_the_promised_keys_is_an_invalid_reply(runtime, make_config, server, body):
    server.script(reply(b"null" if body is None else body))
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(lambda: session.Kernel("kernel").execute("run", "code"))
    assert isinstance(outcome, InvalidReply), outcome


# -- archives --------------------------------------------------------------------------------------


def archive(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            data = b"" if kind != tarfile.REGTYPE else b"content"
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def multipart(tar):
    body = (
        b"--frontier\r\nContent-Type: application/x-tar\r\nContent-Encoding: identity\r\n\r\n"
        + tar
        + b"\r\n--frontier--\r\n"
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=frontier\r\nContent-Length: {len(body)}\r\n\r\n"
    return raw(head.encode() + body, keep=True)


EVIL = {
    "parent": [("../evil", tarfile.REGTYPE, "")],
    "absolute": [("/tmp/actor-client-evil", tarfile.REGTYPE, "")],
    "nested parent": [("a/../../evil", tarfile.REGTYPE, "")],
    "symlink out": [("link", tarfile.SYMTYPE, ".."), ("link/evil", tarfile.REGTYPE, "")],
    "absolute symlink": [("link", tarfile.SYMTYPE, "/tmp")],
    "hard link out": [("link", tarfile.LNKTYPE, "../evil")],
    "device": [("null", tarfile.CHRTYPE, "")],
    "fifo": [("pipe", tarfile.FIFOTYPE, "")],
}


@pytest.mark.parametrize("session_class", [Session, AsyncSession])
def test_a_good_archive_is_unpacked(make_config, server, tmp_path, session_class):
    server.script(multipart(archive(("data/file.txt", tarfile.REGTYPE, ""))))
    dest = tmp_path / "dest"
    dest.mkdir()
    with session_class(config=make_config(server)) as session:
        found = session.Kernel("kernel").download.submit(["data/file.txt"], dest=dest).result(LIMIT)
    assert found == {"file_names": ["data/file.txt"]}
    assert (dest / "data" / "file.txt").read_bytes() == b"content"


@pytest.mark.parametrize("case", list(EVIL))
def test_a_downloaded_archive_writes_nothing_outside_of_dest(runtime, make_config, server, tmp_path, case):
    server.script(multipart(archive(*EVIL[case])))
    dest = tmp_path / "inside" / "dest"
    dest.mkdir(parents=True)
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(lambda: session.Kernel("kernel").download(["data"], dest=dest))
    assert isinstance(outcome, BackendClientError), outcome
    assert not Path("/tmp/actor-client-evil").exists()
    outside = [path for path in tmp_path.rglob("*") if dest not in path.parents and path not in (dest, dest.parent)]
    assert outside == []
    assert [path for path in dest.rglob("*") if (not path.is_file() and not path.is_dir()) or path.is_symlink()] == []


def test_an_archive_that_is_cut_is_an_error(runtime, make_config, server, tmp_path):
    server.script(multipart(archive(("file", tarfile.REGTYPE, ""))[:700]))
    with runtime.session(make_config(server)) as session:
        outcome = runtime.outcome(lambda: session.Kernel("kernel").download(["file"], dest=tmp_path))
    assert isinstance(outcome, BackendClientError), outcome
