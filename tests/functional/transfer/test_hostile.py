"""A manager and a storage proxy that answer what nobody asked for: a clear error, soon, and no token in it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator

import pytest

from ai.backend.client.exceptions import BackendAPIError, BackendError, ConnectionLost, InvalidReply, TransferError
from ai.backend.client.session import Session
from support.moving import leftovers
from support.runtimes.calling import is_patched
from support.servers.faults import Connection, FaultServer, RawRequest, Step, close, raw, reply
from support.servers.storage import folder

pytestmark = pytest.mark.skipif(is_patched(), reason="once is enough")

TOKEN = "a-token+of/more-than=sixteen-characters"
BREAKS = 2


class Answers:
    """What the server answers, by method and end of the path; a list is used up but for its last."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self._steps: dict[tuple[str, str], list[Step]] = {}
        for way in ("up", "down"):
            self.to("POST", f"request-{way}load", reply({"token": TOKEN, "url": f"{server.url}/{way}load"}))
        self.to("GET", "files", reply({"files": "[]"}))
        server.script(self._answer)

    def to(self, method: str, end: str, *steps: Step) -> None:
        self._steps[method, end] = list(steps)

    def _answer(self, connection: Connection, request: RawRequest) -> bool | None:
        steps = self._steps[request.method, request.target.partition("?")[0].rpartition("/")[2]]
        return (steps.pop(0) if len(steps) > 1 else steps[0])(connection, request)


@pytest.fixture
def answers(server: FaultServer) -> Answers:
    return Answers(server)


@pytest.fixture
def session(server, make_config, local) -> Iterator[Session]:
    (local / "file").write_bytes(b"x" * 100)
    with Session(config=make_config(server, retries=0)) as session:
        yield session


def upload(session: Session) -> list[str]:
    return folder(session).upload(["file"], chunk_size=50, max_retries=BREAKS)


def download(session: Session, path: str = "remote", **options: bool) -> list[str]:
    return folder(session).download([path], max_retries=BREAKS, **options)


def stored(count: object, status: int = 204) -> Step:
    return reply(b"", status, {"Upload-Offset": count, "Upload-Length": 100})


# -- what is no file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 304, 399])
def test_an_answer_that_leads_elsewhere_is_no_file(answers, session, server, local, status):
    answers.to("GET", "download", raw(f"HTTP/1.1 {status} X\r\nLocation: {server.url}/x\r\n\r\n".encode()))
    with pytest.raises(BackendAPIError) as caught:
        download(session)
    assert caught.value.status == status
    assert leftovers(local) == []
    assert server.received("/x") == 0


def test_an_encoded_file_is_refused_unread(answers, session, server):
    """To decode it would take memory without a limit."""
    answers.to("GET", "download", reply(b"no gzip at all", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(InvalidReply, match="gzip"):
        download(session)
    assert [request.method for request in server.requests] == ["POST", "GET"]


def test_a_length_that_is_no_number_is_none(answers, session, local):
    told = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + b"9" * 5000
    answers.to("GET", "download", raw(told + b"\r\n\r\nabc"))
    download(session)
    assert (local / "remote").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "item",
    ['"\\ud800", "size": 1', '"file", "size": 1e999', '"..", "size": 1', f'"file", "size": {"9" * 5000}'],
    ids=lambda item: item[:20],
)
def test_a_listing_that_cannot_be_is_refused(answers, session, local, item):
    answers.to("GET", "files", reply({"files": f'[{{"filename": {item}, "mode": "-rw-r--r--"}}]'}))
    with pytest.raises(InvalidReply):
        download(session, ".", recursive=True)
    assert [path.name for path in local.iterdir()] == ["file"]


# -- a proxy that leads in circles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patches", "heads", "error"),
    [
        ([close()], [stored(n % 2, 200) for n in range(1000)], BackendError),
        ([close(), reply({}, 404)], [stored(0, 200)], BackendAPIError),
        ([stored(50), close()] * 500, [stored(0, 200)], ConnectionLost),
        ([stored(50), close()] * 500, [stored(100, 200), stored(0, 200)] * 500, TransferError),
    ],
    ids=["an offset that changes for ever", "now there, now not", "what came is forgotten", "what came shrinks"],
)
def test_an_upload_that_gets_nowhere_ends(answers, session, server, patches, heads, error):
    answers.to("PATCH", "upload", *patches)
    answers.to("HEAD", "upload", *heads)
    with pytest.raises(error):
        upload(session)
    assert len(server.requests) < 50


@pytest.mark.parametrize("count", ["9" * 5000, "\xb2", "-1", "5 "])
def test_an_offset_that_is_no_number_is_refused(answers, session, count):
    answers.to("PATCH", "upload", stored(count))
    with pytest.raises((InvalidReply, TransferError)):
        upload(session)


# -- tokens -----------------------------------------------------------------------------------------------------------


def echoing(told: Callable[[str], str]) -> Step:
    """An answer made of the URL that was asked for, as error pages often are."""

    def step(connection: Connection, request: RawRequest) -> None:
        connection.send(told(request.target).encode())

    return step


def whole_text(error: BaseException | None) -> str:
    """All that a program might print of an error."""
    text = "" if error is None else "".join(traceback.format_exception(error))
    while error is not None:
        text += repr(error) + repr(error.args) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return text


@pytest.mark.parametrize(
    "told",
    [
        lambda url: f"HTTP/1.1 200 OK\r\nContent-Length: {len(url)}\r\n\r\n{url}",
        lambda url: f"HTTP/1.1 403 {url}\r\nContent-Length: 0\r\n\r\n",
        lambda url: f"HTTP/1.1 403 No\r\nContent-Length: {len(url)}\r\n\r\n{url}",
        lambda url: f"HTTP/1.1 abc {url}\r\n\r\n",
        lambda url: f"{url}\r\n\r\n",
    ],
    ids=["in a success", "as a reason", "in an error", "in a broken status line", "in place of HTTP"],
)
def test_a_token_that_the_storage_proxy_repeats_is_hidden(answers, session, told):
    answers.to("PATCH", "upload", echoing(told))
    answers.to("HEAD", "upload", stored(0, 200))
    with pytest.raises(BackendError) as caught:
        upload(session)
    assert "***" in whole_text(caught.value)
    assert TOKEN not in whole_text(caught.value)


@pytest.mark.parametrize(
    "body", [{"token": TOKEN}, [TOKEN], TOKEN.encode(), {"token": [TOKEN], "url": "http://x/"}], ids=str
)
def test_a_token_that_comes_in_another_form_is_hidden(answers, session, body):
    answers.to("POST", "request-download", reply(body))
    with pytest.raises(InvalidReply) as caught:
        download(session)
    assert TOKEN not in whole_text(caught.value)


@pytest.mark.parametrize("url", ["http://u:p@127.0.0.1/x", "http://127.0.0.1/x?a=1", "http://127.0.0.1/x#y", "x", 5])
def test_an_address_that_cannot_be_used_is_the_server_s_mistake(answers, session, url):
    answers.to("POST", "request-download", reply({"token": TOKEN, "url": url}))
    with pytest.raises(InvalidReply, match=r"address|'url'"):
        download(session)


def test_a_token_that_cannot_be_sent_is_the_server_s_mistake(answers, session):
    answers.to("POST", "request-download", reply(json.dumps({"token": "\ud800", "url": "http://x/"}).encode()))
    with pytest.raises(InvalidReply):
        download(session)
