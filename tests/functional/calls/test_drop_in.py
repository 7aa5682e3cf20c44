"""What programs written for the vendor's client do with `Request` and `APIConfig` works unchanged."""

from __future__ import annotations

import asyncio
import io

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.request import AttachedFile, Request
from ai.backend.client.session import AsyncSession, Session
from support.servers.faults import reply
from support.servers.stream_steps import event, events
from support.servers.websocket_peer import close as close_frame
from support.servers.websocket_peer import text, upgrade


class Reader:
    """As `aiohttp.StreamReader`: its `read()` is a coroutine."""

    def __init__(self, data):
        self._data = data

    async def read(self, n=-1):
        await asyncio.sleep(0)
        data, self._data = self._data, b""
        return data


def test_a_request_belongs_to_the_session_of_the_with_block(make_config, server):
    with Session(config=make_config(server)) as session:
        request = Request("GET", "/manager/status")
        assert request.session is session
        with request.fetch() as response:
            assert response.json() == {"target": "/manager/status"}


def test_a_request_belongs_to_the_session_of_the_async_with_block(make_config, server):
    async def main():
        async with (
            AsyncSession(config=make_config(server)),
            Request("GET", "/manager/status").fetch() as response,
        ):
            return response.status, await response.json()

    assert asyncio.run(main()) == (200, {"target": "/manager/status"})


def test_of_nested_blocks_it_is_the_innermost_and_after_them_none(make_config, server):
    with Session(config=make_config(server)) as outer:
        with Session(config=make_config(server)) as inner:
            assert Request("GET", "/x").session is inner
            assert Request(outer, "GET", "/x").session is outer
        assert Request("GET", "/x").session is outer
    with pytest.raises(InvalidArgument, match="without a session"):
        Request("GET", "/x").fetch()


def test_a_websocket_of_the_block_s_session(make_config, server):
    server.script(upgrade(lambda peer: peer.send(text("hello"), close_frame())))

    async def main():
        async with (
            AsyncSession(config=make_config(server)),
            Request("GET", "/stream/x").connect_websocket() as socket,
        ):
            return await socket.receive_str()

    assert asyncio.run(main()) == "hello"


def test_events_of_the_block_s_session(make_config, server):
    server.script(events(event("1", "a")))

    async def main():
        async with (
            AsyncSession(config=make_config(server)),
            Request("GET", "/events/x").connect_events(reconnect=False) as stream,
        ):
            return [(item.event, item.data) async for item in stream]

    assert asyncio.run(main()) == [("a", "1")]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Request(method="POST", path="/x", content=b"b"),
        lambda: Request("POST", path="/x", content=b"b"),
        lambda: Request("POST", "/x", content=b"b"),
        lambda: Request("POST", "/x", b"b"),
    ],
)
def test_every_way_to_name_the_arguments(make_config, server, make):
    with Session(config=make_config(server)), make().fetch() as response:
        assert response.status == 200
    [request] = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/x", b"b")


def test_the_api_version_can_be_overridden(make_config, server):
    with Session(config=make_config(server)):
        assert Request("GET", "/x").api_version == "v7.20230615"
        request = Request("GET", "/x", override_api_version="v5.20191215")
        assert request.api_version == "v5.20191215"
        with request.fetch():
            pass
        later = Request("GET", "/x")
        assert later.headers["X-BackendAI-Version"] == "v7.20230615"
        later.api_version = "v4.20190615"
        with later.fetch():
            pass
    assert [one.headers["x-backendai-version"] for one in server.requests] == ["v5.20191215", "v4.20190615"]
    with pytest.raises(InvalidArgument):
        Request("GET", "/x", override_api_version="latest")


def test_headers_are_there_before_sending_and_others_can_be_added(make_config, server):
    with Session(config=make_config(server, domain="d", user_agent="agent/1")):
        request = Request("GET", "/x")
        assert dict(request.headers) == {
            "User-Agent": "agent/1",
            "X-BackendAI-Domain": "d",
            "X-BackendAI-Version": "v7.20230615",
        }
        request.headers["X-More"] = "1"
        with request.fetch():
            pass
    [sent] = server.requests
    names = ("user-agent", "x-backendai-domain", "x-backendai-version", "x-more")
    assert [sent.headers[name] for name in names] == ["agent/1", "d", "v7.20230615", "1"]


@pytest.mark.parametrize(
    ("make", "body"),
    [(lambda: io.BytesIO(b"\x00b"), b"\x00b"), (lambda: io.StringIO("té"), "té".encode()), (io.BytesIO, b"")],
    ids=["bytes", "text", "nothing"],
)
def test_the_body_may_be_a_file_object(make_config, server, make, body):
    with Session(config=make_config(server)), Request("POST", "/x", make()).fetch():
        pass
    assert server.requests[0].body == body
    assert server.requests[0].headers["content-type"] == "application/octet-stream"


def test_the_body_may_be_a_reader_that_is_awaited(make_config, server):
    async def main():
        async with AsyncSession(config=make_config(server)), Request("POST", "/x", content=Reader(b"data")).fetch():
            pass

    asyncio.run(main())
    assert server.requests[0].body == b"data"


def test_a_reader_that_is_awaited_is_not_for_a_blocking_session(make_config, server):
    with Session(config=make_config(server)), pytest.raises(TypeError, match="async with"):
        Request("POST", "/x", content=Reader(b"data")).fetch().__enter__()
    assert server.requests == []


def test_what_a_file_object_gives_must_be_bytes_or_text():
    class Odd:
        def read(self):
            return 1

    with pytest.raises(InvalidArgument):
        Request("POST", "/x", content=Odd())


def test_files_are_attached_to_a_request_that_was_made_with_nothing(make_config, server):
    with Session(config=make_config(server)):
        request = Request("POST", "/x", b"")
        request.attach_files([AttachedFile("a.txt", io.BytesIO(b"data"), "text/plain")])
        with request.fetch():
            pass
    assert b"data" in server.requests[0].body
    assert server.requests[0].headers["content-type"].startswith("multipart/form-data")


def test_parts_of_an_answer_are_awaited(make_config, server):
    server.script(reply(b"abcdef"))

    async def main():
        async with AsyncSession(config=make_config(server)), Request("GET", "/x").fetch() as response:
            return await response.read(2), await response.read(1), await response.readall(), await response.read()

    assert asyncio.run(main()) == (b"ab", b"c", b"def", b"")


def test_the_endpoint_is_a_url():
    url = APIConfig(endpoint="https://Manager.example/base/").endpoint
    assert url == "https://manager.example/base" == str(url) == f"{url}"
    assert (url.scheme, url.host, url.port, url.explicit_port) == ("https", "manager.example", 443, None)
    assert (url.path, url.name, url.authority, url.is_absolute()) == ("/base", "base", "manager.example", True)
    assert url.is_default_port()
    assert url.with_path("/func/a b") == "https://manager.example/func/a%20b"
    assert url.with_path("") == url.origin() == "https://manager.example"
    assert url / "x" / "y" == "https://manager.example/base/x/y"
    assert url.joinpath("x", "y") == url / "x/y"
    assert (url / "x").host == "manager.example"


def test_the_parts_of_an_endpoint_without_a_path():
    url = APIConfig(endpoint="http://[::1]:8081").endpoint
    assert (url.host, url.port, url.path, url.authority) == ("::1", 8081, "/", "[::1]:8081")
    assert url / "x" == "http://[::1]:8081/x"
    with pytest.raises(TypeError):
        url / 1


def test_what_else_the_vendor_s_configuration_takes():
    config = APIConfig(endpoint="http://a,http://b", vfolder_mounts="")
    assert config.load_balance_endpoints() is None
    assert config.endpoint.host == "a"
    assert config.vfolder_mounts == []
