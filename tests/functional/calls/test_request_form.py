"""The low-level door: `Request(session, method, path, ...).fetch()`, on both sessions."""

from __future__ import annotations

import asyncio
import json

import pytest

from ai.backend.client.exceptions import BackendAPIError, InvalidArgument
from ai.backend.client.request import AttachedFile, Request
from ai.backend.client.session import AsyncSession, Session
from support.disguise import disguised, member
from support.servers.faults import reply


def test_with_on_a_session(echo, make_config, unique):
    name = unique()
    with Session(config=make_config(echo)) as session, Request(session, "GET", f"/session/{name}").fetch() as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.json()["name"] == name


def test_async_with_on_an_async_session(echo, make_config, unique):
    name = unique()

    async def main():
        async with AsyncSession(config=make_config(echo)) as session:
            request = Request(session, "GET", f"/session/{name}")
            async with request.fetch() as response:
                assert response.status == 200
                return json.loads(await response.text())

    assert asyncio.run(main())["name"] == name


def test_the_wrong_with_is_refused(echo, make_config):
    with AsyncSession(config=make_config(echo)) as session:
        fetching = Request(session, "GET", "/session/kernel").fetch()
        with pytest.raises(TypeError):
            fetching.__enter__()


def test_an_error_status_raises_on_entering(echo, make_config, unique):
    name = unique("s404")
    with Session(config=make_config(echo)) as session:
        with pytest.raises(BackendAPIError) as caught, Request(session, "GET", f"/session/{name}").fetch():
            pass
        with Request(session, "GET", f"/session/{name}").fetch(check_status=False) as response:
            assert response.status == 404
    assert (caught.value.status, caught.value.path) == (404, f"/session/{name}")


@pytest.mark.parametrize("disguise", [disguised, member], ids=["subclasses", "enum members"])
def test_values_are_sent_and_not_the_names_of_enum_members(runtime, make_config, server, disguise):
    config = make_config(
        disguise(server.url), domain=disguise("d"), user_agent=disguise("ua"), access_key=disguise("AK2"),
        secret_key=disguise("SK2"),
    )  # fmt: skip
    with runtime.session(config) as session:
        request = Request(session, disguise("GET"), disguise("/x"), params={disguise("k"): disguise("v")})
        request.headers[disguise("X-A")] = disguise("b")
        runtime.value(lambda: _fetched(session, request))
        runtime.value(lambda: session.Kernel(disguise("n")).get_info())
    sent, asked = server.requests
    assert (sent.method, sent.target, asked.target) == ("GET", "/x?k=v", "/session/n")
    assert (sent.headers["x-backendai-domain"], sent.headers["user-agent"], sent.headers["x-a"]) == ("d", "ua", "b")
    assert "credential=AK2:" in sent.headers["authorization"]


def _fetched(session, request):
    future = session._send_request(request)
    return future if session.asynchronous else future.result()


def test_query_body_and_headers_are_sent_as_given(make_config, server):
    with Session(config=make_config(server)) as session:
        request = Request(session, "POST", "/auth", params={"a b": "c+d&e", "ü": "ö"})
        request.set_json({"echo": "héllo"})
        request.headers["X-Extra"] = "yes"
        with request.fetch() as response:
            response.json()
        with Request(session, "PUT", "/raw", b"\0\1", content_type="application/x-own").fetch():
            pass
    posted, put = server.requests
    assert (
        posted.target == "/auth?a%20b=c%2Bd%26e&%C3%BC=%C3%B6" or posted.target == "/auth?a+b=c%2Bd%26e&%C3%BC=%C3%B6"
    )
    assert json.loads(posted.body) == {"echo": "héllo"}
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["x-extra"] == "yes"
    assert (put.method, put.body, put.headers["content-type"]) == ("PUT", b"\0\1", "application/x-own")


def test_files_are_sent_as_a_form(make_config, server, tmp_path):
    path = tmp_path / "two.bin"
    path.write_bytes(b"second \r\n file")
    with Session(config=make_config(server)) as session, path.open("rb") as stream:
        request = Request(session, "POST", "/session/kernel/upload")
        request.attach_files([AttachedFile("one.txt", b"first", "text/plain"), AttachedFile("two.bin", stream)])
        with request.fetch():
            pass
        odd = Request(session, "POST", "/session/kernel/upload")
        odd.attach_files([AttachedFile('a"\r\nü.txt', b"")])
        with odd.fetch():
            pass
        with pytest.raises(InvalidArgument, match="UTF-8"):
            odd.attach_files([AttachedFile("\ud800", b"")])
    got, named = server.requests
    assert b"filename*=utf-8''a%22%0D%0A%C3%BC.txt\r\n" in named.body
    assert got.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert got.body.count(b'name="src"') == 2
    for part in (b'filename="one.txt"', b'filename="two.bin"', b"first", b"second \r\n file"):
        assert part in got.body


def test_anonymous_requests_are_not_signed(make_config, server):
    with Session(config=make_config(server)) as session:
        with Request(session, "GET", "/open").fetch(anonymous=True):
            pass
        with Request(session, "GET", "/signed").fetch():
            pass
    anonymous, signed = server.requests
    assert "authorization" not in anonymous.headers
    assert signed.headers["authorization"].startswith("BackendAI signMethod=HMAC-SHA256, credential=AK:")


def test_redirects_are_not_followed(make_config, server, echo):
    """The signature is for one host; another one gets nothing."""
    server.script(reply(b"", status=302, headers={"Location": f"{echo.url}/session/other"}))
    with Session(config=make_config(server)) as session, Request(session, "GET", "/session/kernel").fetch() as response:
        assert response.status == 302
    assert echo.stats()["requests"] == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_works(make_config, server, method):
    server.script(reply(b"", headers={"Content-Length": "0"}))
    with Session(config=make_config(server)) as session:
        for _ in range(2):
            with Request(session, method, "/session/kernel").fetch() as response:
                assert response.content == b""
    assert [request.method for request in server.requests] == [method] * 2


@pytest.mark.parametrize("method", ["get", "TRACE", "", "GET\r\n", None])
def test_other_methods_are_refused(make_config, server, method):
    with Session(config=make_config(server)) as session, pytest.raises(InvalidArgument):
        Request(session, method, "/session/kernel").fetch()
    assert server.requests == []


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/a\0", "/ü"])
def test_a_path_that_is_no_path_is_encoded_or_refused(make_config, server, path):
    """Whatever happens, no line break and no space reaches the request line."""
    with Session(config=make_config(server, retries=0)) as session:
        try:
            with Request(session, "GET", path).fetch():
                pass
        except InvalidArgument:
            assert server.requests == []
            return
    [request] = server.requests
    assert request.target.isascii()
    assert not set(request.target) & set(" \r\n\0")
    assert "x" not in request.headers
