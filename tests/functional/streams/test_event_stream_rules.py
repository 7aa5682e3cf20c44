"""Protocol honesty: the event-stream format (WHATWG HTML, section 9.2), case by case, over a raw socket."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ai.backend.client.exceptions import BackendAPIError, ConnectionLost, InvalidReply, ProtocolError
from ai.backend.client.functions.streams.events import EventsSpec, SSEMessage, SSEResponse
from ai.backend.client.functions.streams.sse import EventParser
from ai.backend.client.functions.streams.stream import MAX_MESSAGE
from ai.backend.client.request import Request
from support.runtimes.calling import ThreadRuntime
from support.runtimes.streaming import read
from support.servers.faults import Connection, RawRequest, Step, head, raw, reply

STREAM = {"Content-Type": "text/event-stream"}
CHUNKED = {**STREAM, "Transfer-Encoding": "chunked"}


@dataclass
class Case:
    """What the server sends, and what has to come of it."""

    name: str
    sent: bytes | str
    events: list[SSEMessage] = field(default_factory=list)
    last_id: str = ""

    @property
    def data(self) -> bytes:
        return self.sent.encode() if isinstance(self.sent, str) else self.sent


def said(
    data: str,
    event: str = "message",
    id: str | None = None,  # noqa: A002  # the field's name
    retry: int | None = None,
) -> SSEMessage:
    return SSEMessage(event, data, id, retry)


CASES = [
    # The examples of the standard.
    Case("an example: three messages", "data: This is the first message.\n\ndata: This is the second message, it\n"
         "data: has two lines.\n\ndata: This is the third message.\n\n",
         [said("This is the first message."), said("This is the second message, it\nhas two lines."),
          said("This is the third message.")]),
    Case("an example: types", "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
         [said("73857293", "add"), said("2153", "remove"), said("113411", "add")]),
    Case("an example: stocks", "data: YHOO\ndata: +2\ndata: 10\n\n", [said("YHOO\n+2\n10")]),
    Case("an example: four blocks",
         ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
         [said("first event", id="1"), said("second event", id="")]),
    Case("an example: the last block is incomplete", "data\n\ndata\ndata\n\ndata:", [said(""), said("\n")]),
    Case("an example: one space is dropped", "data:test\n\ndata: test\n\n", [said("test"), said("test")]),
    # Line ends.
    Case("line feeds", "data: a\ndata: b\n\n", [said("a\nb")]),
    Case("carriage returns", "data: a\rdata: b\r\r", [said("a\nb")]),
    Case("both", "data: a\r\ndata: b\r\n\r\n", [said("a\nb")]),
    Case("all of them", "data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\r", [said("a\nb\nc"), said("d")]),
    Case("a carriage return and a line feed are one end", "data: a\r\n\r\ndata: b\r\n\r\n", [said("a"), said("b")]),
    Case("a line feed and a carriage return are two", "data: a\n\rdata: b\n\r", [said("a"), said("b")]),
    Case("empty lines", "\n\n\r\r\r\n\r\ndata: a\n\n\n\n", [said("a")]),
    Case("other separators are none", "data: a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\n\n",
         [said("a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g")]),
    # Fields.
    Case("a comment", ": ping\n\ndata: a\n: within\ndata: b\n\n", [said("a\nb")]),
    Case("nothing but comments", ":\n:\n\n: ping\r\n\r\n"),
    Case("no colon", "data\n\n", [said("")]),
    Case("a value with colons", "data: a: b:c\n\n", [said("a: b:c")]),
    Case("two spaces: one stays", "data:  a\n\n", [said(" a")]),
    Case("a space at the end stays", "data: a \n\n", [said("a ")]),
    Case("a tab is no space", "data:\ta\n\n", [said("\ta")]),
    Case("a space before the colon: another field", "data : a\n\ndata: b\n\n", [said("b")]),
    Case("a space before the name: another field", " data: a\n\ndata: b\n\n", [said("b")]),
    Case("capitals: another field", "Data: a\nDATA: b\n\ndata: c\n\n", [said("c")]),
    Case("unknown fields", "foo: 1\nbar\n: x\ndata: a\nnull: 0\n\n", [said("a")]),
    Case("empty data", "data:\n\n", [said("")]),
    Case("two empty lines of data", "data:\ndata:\n\n", [said("\n")]),
    Case("no data: no event", "event: a\nid: 1\n\nevent: b\n\ndata: c\n\n", [said("c")], last_id="1"),
    Case("the type is forgotten", "event: a\n\ndata: b\n\n", [said("b")]),
    Case("the last type counts", "event: a\nevent: b\ndata: c\n\n", [said("c", "b")]),
    Case("an empty type", "event:\ndata: a\n\nevent: \ndata: b\n\n", [said("a"), said("b")]),
    Case("an id", "id: 1\ndata: a\n\ndata: b\n\n", [said("a", id="1"), said("b")], last_id="1"),
    Case("an id that is taken back", "id: 1\ndata: a\n\nid\ndata: b\n\n", [said("a", id="1"), said("b", id="")]),
    Case("an id with NUL", "id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", [said("a", id="1"), said("b")], last_id="1"),
    Case("an id of an incomplete event", "id: 1\ndata: a\n\nid: 2\ndata: b\n", [said("a", id="1")], last_id="1"),
    Case("an id beyond ASCII", "id: \u00fc\u65e5\ndata: a\n\n", [said("a", id="\u00fc\u65e5")], last_id="\u00fc\u65e5"),
    Case("retry", "retry: 1500\ndata: a\n\ndata: b\n\n", [said("a", retry=1500), said("b")]),
    Case("retry that is no number", "retry: 1.5\nretry: -1\nretry: x\nretry:\nretry: +3\nretry: 1e3\ndata: a\n\n",
         [said("a")]),
    Case("retry with other digits", "retry: \u0663\ndata: a\n\n", [said("a")]),
    Case("retry beyond all reason", f"retry: {'9' * 400}\ndata: a\n\n", [said("a")]),
    # The encoding.
    Case("a byte order mark", "\ufeffdata: a\n\n", [said("a")]),
    Case("a second byte order mark is part of the name", "\ufeff\ufeffdata: a\n\ndata: b\n\n", [said("b")]),
    Case("a byte order mark later on", "data: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n", [said("a"), said("\ufeffc")]),
    Case("UTF-8", "data: \u00e9\u65e5\U0001f600\n\nevent: \u65e5\ndata: x\n\n",
         [said("\u00e9\u65e5\U0001f600"), said("x", "\u65e5")]),
    Case("what is no UTF-8 is replaced", b"data: a\xff\xfeb\n\ndata: \xe2\x82\n\n",
         [said("a\ufffd\ufffdb"), said("\ufffd")]),
    Case("NUL in data", "data: a\x00b\n\n", [said("a\x00b")]),
    # The end.
    Case("nothing at all", ""),
    Case("an incomplete line", "data: a\n\ndata: b", [said("a")]),
    Case("an incomplete event", "data: a\n\ndata: b\n", [said("a")]),
    Case("server_close ends the stream", "data: a\n\nevent: server_close\ndata: {}\n\ndata: late\n\n",
         [said("a"), said("{}", "server_close")]),
    # What Backend.AI sends.
    Case("an event of the manager",
         'event: bgtask_updated\r\ndata: {"task_id": "1"}\r\nretry: 5\r\n\r\n: ping - 2023-09-01\r\n\r\n',
         [said('{"task_id": "1"}', "bgtask_updated", retry=5)]),
]  # fmt: skip


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def chunks(*parts: bytes) -> Step:
    """A chunked event stream in these chunks, one write each, ended as it should be."""

    def step(connection: Connection, request: RawRequest) -> bool:
        connection.send(head(headers=CHUNKED))
        for part in parts:
            connection.send(chunk(part))
        connection.send(b"0\r\n\r\n")
        return True

    return step


def to_the_end(data: bytes) -> Step:
    """The same, ended by the end of the connection."""
    return raw(head(headers=STREAM) + data)


def events_of(session, *, reconnect=False):
    spec = EventsSpec(
        function="test",
        actor="Test",
        request=lambda: Request("GET", "/events/session", content_type=""),
        reconnect=reconnect,
    )
    return SSEResponse(session, spec)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
@pytest.mark.parametrize("framing", [chunks, to_the_end])
def test_the_rules(runtime, server, make_config, case, framing):
    server.script(framing(case.data))
    with runtime.session(make_config(server)) as session:
        stream = events_of(session)
        reading = read(runtime, stream)
        assert reading.error is None
        assert reading.items == case.events
        assert stream.last_event_id == case.last_id
        assert stream.closed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_the_rules_byte_by_byte(server, make_config, case):
    runtime = ThreadRuntime()
    server.script(chunks(*(case.data[index : index + 1] for index in range(len(case.data)))))
    with runtime.session(make_config(server)) as session:
        assert read(runtime, events_of(session)).items == case.events


def test_a_stream_split_at_every_byte(runtime, server, make_config):
    data = "\ufeff: c\r\nid: 1\r\nevent: \u65e5\r\ndata: \u00e9\rdata: b\n\r\n\ndata: x\r\r".encode()
    server.script(*(chunks(data[:place], data[place:]) for place in range(len(data) + 1)))
    expected = [said("\u00e9\nb", "\u65e5", "1"), said("x")]
    with runtime.session(make_config(server)) as session:
        for _ in range(len(data) + 1):
            assert read(runtime, events_of(session)).items == expected


def test_an_event_also_reads_like_a_mapping():
    """As with 19.09."""
    event = said('{"a": 1}', "add", retry=5)
    assert (event["event"], event["data"], event.get("id"), "id" in event, event["retry"]) == (
        "add",
        '{"a": 1}',
        None,
        False,
        5,
    )
    assert dict(event) == {"event": "add", "data": '{"a": 1}', "retry": 5}
    assert event.json() == {"a": 1}
    with pytest.raises(KeyError):
        event["id"]


LONG = b"data: " + b"x" * (MAX_MESSAGE // 2) + b"\n"


@pytest.mark.parametrize(
    "data",
    [b"data: " + b"x" * (MAX_MESSAGE + 1), b"x" * (MAX_MESSAGE + 1), LONG * 2 + b"\n"],
    ids=["a line of data", "a line", "lines of data"],
)
def test_an_event_beyond_the_limit(server, make_config, data):
    runtime = ThreadRuntime()
    server.script(to_the_end(b"data: before\n\n" + data))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, events_of(session, reconnect=True))
    assert reading.items == [said("before")]
    assert isinstance(reading.error, ProtocolError)
    assert reading.error.path == "/events/session"


def test_lines_without_data_count_too():
    assert list(EventParser(1000).feed(b"data\n" * 1000)) == []
    with pytest.raises(ProtocolError):
        list(EventParser(1000).feed(b"data\n" * 1001))


def test_an_event_within_the_limit(server, make_config):
    runtime = ThreadRuntime()
    server.script(to_the_end(LONG + b": c\n" * 100_000 + b"\n" + LONG + b"\n"))
    with runtime.session(make_config(server)) as session:
        assert [len(event.data) for event in read(runtime, events_of(session)).items] == [MAX_MESSAGE // 2] * 2


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (reply({"a": 1}), 200),
        (reply(b"data: a\n\n", 200, {"Content-Type": "text/plain"}), 200),
        (raw(head(headers={"Content-Type": "text/html"}) + b"<html>"), 200),
        (raw(head(headers={**STREAM, "Content-Encoding": "gzip"}) + b"\x1f\x8b"), 200),
        (reply(b"", 302, {"Location": "/elsewhere"}), 302),
    ],
    ids=["JSON", "plain text", "HTML", "compressed", "a redirect"],
)
def test_an_answer_that_is_no_event_stream(runtime, server, make_config, step, status):
    server.script(step)
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, events_of(session, reconnect=True))
    assert isinstance(reading.error, InvalidReply)
    assert reading.error.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "Text/Event-Stream", "text/event-stream;x=y"])
def test_the_content_type_in_other_spellings(server, make_config, kind):
    runtime = ThreadRuntime()
    server.script(raw(head(headers={"Content-Type": kind}) + b"data: a\n\n"))
    with runtime.session(make_config(server)) as session:
        assert read(runtime, events_of(session)).items == [said("a")]


def test_no_content_ends_the_stream(runtime, server, make_config):
    """Section 9.2.2: the server's way to say that nobody should connect again."""
    server.script(raw(b"HTTP/1.1 204 No Content\r\n\r\n"))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, events_of(session, reconnect=True))
    assert (reading.items, reading.error, len(server.requests)) == ([], None, 1)


def test_a_body_of_known_length(runtime, server, make_config):
    server.script(reply(b"data: a\n\ndata: b\n\n", headers=STREAM))
    with runtime.session(make_config(server)) as session:
        assert read(runtime, events_of(session)).items == [said("a"), said("b")]


def test_a_chunk_that_breaks_off_is_an_error(runtime, server, make_config):
    server.script(raw(head(headers=CHUNKED) + chunk(b"data: a\n\n") + b"20\r\ndata: b\n\n"))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, events_of(session))
    assert reading.items[0] == said("a")
    assert isinstance(reading.error, ConnectionLost)
    assert (reading.error.path, reading.error.endpoint) == ("/events/session", server.url)


def test_what_the_client_asks_for(runtime, server, make_config):
    """Section 9.2.3; signed as a request without a type."""
    server.script(chunks())
    with runtime.session(make_config(server)) as session:
        read(runtime, events_of(session))
    [request] = server.requests
    assert (request.method, request.target) == ("GET", "/events/session")
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["cache-control"] == "no-store"
    assert "content-type" not in request.headers
    assert "last-event-id" not in request.headers
    assert "authorization" in request.headers


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_tells_status_and_problem(runtime, server, make_config, status):
    problem = {"type": "https://api.backend.ai/probs/scripted", "title": "No."}
    server.script(reply(problem, status, {"Content-Type": "application/problem+json"}))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, events_of(session, reconnect=True))
    assert isinstance(reading.error, BackendAPIError)
    assert (reading.error.status, reading.error.data, reading.error.type) == (status, problem, problem["type"])
