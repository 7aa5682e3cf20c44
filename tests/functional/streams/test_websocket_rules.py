"""Protocol honesty: the rules of RFC 6455 (WebSocket) and RFC 7692 (compression), case by case, over a raw socket.

The peer knows no WebSocket library: a case is the bytes that the server sends and what has to come of them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import pytest

from ai.backend.client.exceptions import InvalidReply, ProtocolError, StreamClosed
from ai.backend.client.functions.streams.websocket import WebSocketResponse, WebSocketSpec, WSMsgType
from ai.backend.client.request import Request
from ai.backend.client.session import Session
from support.runtimes.calling import ThreadRuntime
from support.runtimes.streaming import read
from support.servers.faults import reply
from support.servers.websocket_peer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Deflater,
    Frame,
    Peer,
    accept_of,
    close,
    frame,
    text,
    upgrade,
)
from support.waiting import until

LIMIT = 1 << 20
"""Bytes per message that the sockets of these tests take."""

DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_no_context_takeover"}


@dataclass
class Case:
    """What the server sends, and what has to come of it.

    Attributes:
        name: What it shows, with the section of the RFC.
        sent: The server's bytes, after the handshake.
        messages: What the reader gets.
        error: Type of the exception that the reader gets behind them; None: a quiet end.
        code: Code of the close frame that the client sends.
        pongs: Payloads of the pongs that the client sends.
        headers: The server's headers beside the usual ones.
    """

    name: str
    sent: bytes
    messages: list[str | bytes] = field(default_factory=list)
    error: type[Exception] | None = None
    code: int | None = 1000
    pongs: list[bytes] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


def fragments(opcode: int, *parts: bytes | str, between: bytes = b"", rsv: int = 0) -> bytes:
    """A message in as many frames as parts."""
    last = len(parts) - 1
    return between.join(
        frame(CONT if index else opcode, part, fin=index == last, rsv=0 if index else rsv)
        for index, part in enumerate(parts)
    )


BYE = close()
JAPANESE = "κόσμε 日本語 \U0001f600"
WHOLE = [
    Case("5.6 a text", text("hello") + BYE, ["hello"]),
    Case("5.6 an empty text", text("") + BYE, [""]),
    Case("5.6 a binary message", frame(BINARY, b"\x00\xff") + BYE, [b"\x00\xff"]),
    Case("5.6 an empty binary message", frame(BINARY) + BYE, [b""]),
    Case("5.6 a text beyond ASCII", text(JAPANESE) + BYE, [JAPANESE]),
    Case("5.6 many messages at once", b"".join(text(f"m{n}") for n in range(50)) + BYE, [f"m{n}" for n in range(50)]),
    *(
        Case(f"5.2 a length of {size}", frame(BINARY, b"x" * size) + BYE, [b"x" * size])
        for size in (1, 124, 125, 126, 127, 128, 65535, 65536, LIMIT)
    ),
]
FRAGMENTED = [
    Case("5.4 two fragments", fragments(TEXT, "hel", "lo") + BYE, ["hello"]),
    Case("5.4 many fragments", fragments(TEXT, *"abcdefghij") + BYE, ["abcdefghij"]),
    Case("5.4 binary fragments", fragments(BINARY, b"\x00", b"\x01", b"\x02") + BYE, [b"\x00\x01\x02"]),
    Case("5.4 thousands of fragments", fragments(TEXT, *["é", "xy"] * 3000) + BYE, ["éxy" * 3000]),
    Case("5.4 thousands of binary fragments", fragments(BINARY, *[b"\x00\xff"] * 2048) + BYE, [b"\x00\xff" * 2048]),
    Case("5.4 empty fragments", fragments(TEXT, "", "a", "", "b", "") + BYE, ["ab"]),
    Case("5.4 nothing but empty fragments", fragments(TEXT, "", "", "") + BYE, [""]),
    Case("5.4 a character cut in two", fragments(TEXT, JAPANESE.encode()[:3], JAPANESE.encode()[3:]) + BYE, [JAPANESE]),
    Case(
        "5.4 every byte a fragment",
        fragments(TEXT, *(bytes([byte]) for byte in JAPANESE.encode())) + BYE,
        [JAPANESE],
    ),
    Case(
        "5.4 a ping between fragments",
        fragments(TEXT, "hel", "lo", between=frame(PING, b"?")) + BYE,
        ["hello"],
        pongs=[b"?"],
    ),
    Case("5.4 a pong between fragments", fragments(TEXT, "hel", "lo", between=frame(PONG, b"?")) + BYE, ["hello"]),
    Case(
        "5.4 pings between empty fragments",
        fragments(TEXT, "", "", "x", between=frame(PING, b"1") + frame(PONG) + frame(PING, b"2")) + BYE,
        ["x"],
        pongs=[b"1", b"2", b"1", b"2"],
    ),
]
CONTROL = [
    Case("5.5.2 an empty ping", frame(PING) + BYE, pongs=[b""]),
    Case("5.5.2 a ping of 125 bytes", frame(PING, b"p" * 125) + BYE, pongs=[b"p" * 125]),
    Case("5.5.2 pings in order", frame(PING, b"1") + frame(PING, b"2") + text("t") + BYE, ["t"], pongs=[b"1", b"2"]),
    Case("5.5.3 a pong that nobody asked for", frame(PONG, b"!") + text("t") + BYE, ["t"]),
    Case("5.5.1 an empty close", close(None), code=None),
    Case("5.5.1 data behind a close is not read", BYE + text("late") + frame(PING, b"late")),
]
CLEAN_CODES = (1000, 1001)
ERROR_CODES = (1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
CODES = [
    *(Case(f"7.4 close {code}", text("t") + close(code, "why"), ["t"], code=code) for code in CLEAN_CODES),
    *(Case(f"7.4 close {code}", text("t") + close(code), ["t"], StreamClosed, code) for code in ERROR_CODES),
    *(
        Case(f"7.4 a close code that may not be sent: {code}", close(code), error=ProtocolError, code=1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    Case("5.5.1 a close of one byte", frame(CLOSE, b"\x03"), error=ProtocolError, code=1002),
    Case("5.5.1 a reason of 123 bytes", close(1000, "r" * 123)),
    Case("5.5.1 a reason that is not UTF-8", close(1000, b"\xff\xfe"), error=ProtocolError, code=1007),
]
BROKEN = [
    *(
        Case(f"5.2 reserved opcode {opcode:#x}", frame(opcode), error=ProtocolError, code=1002)
        for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)
    ),
    *(
        Case(f"5.2 reserved bits {rsv:03b} in a {kind}", frame(opcode, rsv=rsv), error=ProtocolError, code=1002)
        for kind, opcode in (("text", TEXT), ("binary frame", BINARY), ("ping", PING), ("close", CLOSE))
        for rsv in (1, 2, 3, 4, 5, 6, 7)
    ),
    Case("5.1 a masked frame", text("x", mask=b"abcd"), error=ProtocolError, code=1002),  # type: ignore[arg-type]  # options pass as they are
    Case("5.1 a frame masked with zeros", text("x", mask=b"\0\0\0\0"), error=ProtocolError, code=1002),  # type: ignore[arg-type]  # as above
    Case("5.4 a continuation of nothing", frame(CONT, b"x"), error=ProtocolError, code=1002),
    Case("5.4 an open continuation of nothing", frame(CONT, b"x", fin=False), error=ProtocolError, code=1002),
    Case(
        "5.4 a continuation behind a whole message",
        text("a") + frame(CONT, b"b"),
        ["a"],
        ProtocolError,
        1002,
    ),
    Case("5.4 a text within a message", frame(TEXT, b"a", fin=False) + text("b"), error=ProtocolError, code=1002),
    Case(
        "5.4 a binary frame within a message",
        frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
        error=ProtocolError,
        code=1002,
    ),
    Case("5.4 a close within a message", frame(TEXT, b"a", fin=False) + BYE, error=ProtocolError, code=1002),
    Case("5.5 a fragmented ping", frame(PING, b"a", fin=False), error=ProtocolError, code=1002),
    Case("5.5 a fragmented close", frame(CLOSE, b"\x03\xe8", fin=False), error=ProtocolError, code=1002),
    Case("5.5 a ping of 126 bytes", frame(PING, b"p" * 126), error=ProtocolError, code=1002),
    Case("5.5 a pong of 126 bytes", frame(PONG, b"p" * 126), error=ProtocolError, code=1002),
    Case("5.5 a close of 126 bytes", close(1000, "r" * 124), error=ProtocolError, code=1002),
    Case("5.5 what came before is delivered", text("a") + frame(PING, fin=False), ["a"], ProtocolError, 1002),
]
NOT_UTF8 = {
    "a lone continuation byte": b"\x80",
    "an overlong NUL": b"\xc0\x80",
    "an overlong slash": b"\xe0\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond the last character": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "0xff": b"a\xff",
    "a character that has no end": b"abc\xe2\x82",
}
TEXTS = [
    *(Case(f"8.1 {what}", text("ok") + text(data), ["ok"], ProtocolError, 1007) for what, data in NOT_UTF8.items()),
    Case("8.1 in the second fragment", fragments(TEXT, b"ok", b"\xff"), error=ProtocolError, code=1007),
    Case("8.1 a character cut by the message's end", fragments(TEXT, b"\xe2", b"\x82"), error=ProtocolError, code=1007),
    Case("8.1 a binary message may hold anything", frame(BINARY, b"\xff\xfe") + BYE, [b"\xff\xfe"]),
]
SIZES = [
    Case("10.4 a frame beyond the limit", frame(BINARY, b"x" * (LIMIT + 1)), error=ProtocolError, code=1009),
    Case(
        "10.4 a frame that only says so", struct.pack("!BBQ", 0x82, 127, LIMIT + 1), error=ProtocolError, code=1009
    ),
    Case("5.2 a length of 2**63", struct.pack("!BBQ", 0x82, 127, 1 << 63), error=ProtocolError, code=1009),
    Case(
        "10.4 fragments beyond the limit",
        fragments(BINARY, b"x" * (LIMIT // 2), b"x" * (LIMIT // 2), b"x"),
        error=ProtocolError,
        code=1009,
    ),
    Case("10.4 the limit in fragments", fragments(BINARY, b"x" * (LIMIT // 2), b"y" * (LIMIT // 2)) + BYE,
         [b"x" * (LIMIT // 2) + b"y" * (LIMIT // 2)]),
    Case("10.4 fifty thousand empty fragments", frame(TEXT, fin=False) + frame(CONT, fin=False) * 50_000
         + frame(CONT, b"end") + BYE, ["end"]),
]  # fmt: skip


def packed(*messages: str) -> list[bytes]:
    """Messages compressed with one window."""
    deflate = Deflater()
    return [deflate(message) for message in messages]


def bomb(size: int) -> bytes:
    """A compressed message of that many zeros."""
    return Deflater()(b"\0" * size)


FIRST, SECOND = packed("hello hello hello", "hello hello hello again")
[LONG] = packed(JAPANESE * 100)
BLOCKS = b"\0\0\xff\xff".join(packed("one", "two", "three"))
COMPRESSED = [
    Case("7692 7.2.2 a compressed text", text(FIRST, rsv=4) + BYE, ["hello hello hello"], headers=DEFLATE),
    Case(
        "7692 7.2.3.2 the window of the message before",
        text(FIRST, rsv=4) + text(SECOND, rsv=4) + BYE,
        ["hello hello hello", "hello hello hello again"],
        headers=DEFLATE,
    ),
    Case(
        "7692 7.1.1.1 server_no_context_takeover",
        text(Deflater()("one"), rsv=4) + text(Deflater()("two"), rsv=4) + BYE,
        ["one", "two"],
        headers={"Sec-WebSocket-Extensions": f"{DEFLATE['Sec-WebSocket-Extensions']}; server_no_context_takeover"},
    ),
    Case(
        "7692 7.2.3.1 a compressed text in fragments",
        fragments(TEXT, LONG[:5], LONG[5:9], b"", LONG[9:], rsv=4) + BYE,
        [JAPANESE * 100],
        headers=DEFLATE,
    ),
    Case(
        "7692 7.2.3.1 with a ping between them",
        fragments(TEXT, LONG[:5], LONG[5:], rsv=4, between=frame(PING, b"?")) + BYE,
        [JAPANESE * 100],
        pongs=[b"?"],
        headers=DEFLATE,
    ),
    Case("7692 6 an uncompressed message", text("plain") + text(FIRST, rsv=4) + BYE,
         ["plain", "hello hello hello"], headers=DEFLATE),
    Case("7692 7.2.3.6 an empty message", text(b"\x00", rsv=4) + BYE, [""], headers=DEFLATE),
    Case("7692 7.2.2 a binary message", frame(BINARY, Deflater()(b"\xff" * 1000), rsv=4) + BYE, [b"\xff" * 1000],
         headers=DEFLATE),
    Case("7692 7.2.3.4 several deflate blocks", text(BLOCKS, rsv=4) + BYE, ["onetwothree"], headers=DEFLATE),
    Case("7692 6 reserved bit 1 in a continuation",
         frame(TEXT, LONG[:5], fin=False, rsv=4) + frame(CONT, LONG[5:], rsv=4),
         error=ProtocolError, code=1002, headers=DEFLATE),
    Case("7692 6 reserved bit 1 in a ping", frame(PING, rsv=4), error=ProtocolError, code=1002, headers=DEFLATE),
    Case("7692 6 reserved bit 2 stays reserved", text(FIRST, rsv=6), error=ProtocolError, code=1002, headers=DEFLATE),
    Case("7692 7.2.2 rubbish", text(b"\xff\xff\xff\xff\xff", rsv=4), error=ProtocolError, code=1002, headers=DEFLATE),
    Case("7692 7.2.2 not UTF-8 once unpacked", text(Deflater()(b"\xff\xfe"), rsv=4), error=ProtocolError, code=1007,
         headers=DEFLATE),
    Case("7692 8 the limit, unpacked", frame(BINARY, bomb(LIMIT), rsv=4) + BYE, [b"\0" * LIMIT], headers=DEFLATE),
    Case("7692 8 a bomb", frame(BINARY, bomb(LIMIT * 64), rsv=4), error=ProtocolError, code=1009, headers=DEFLATE),
    Case("7692 8 a bomb in fragments",
         fragments(BINARY, bomb(LIMIT * 2)[:500], bomb(LIMIT * 2)[500:], rsv=4),
         error=ProtocolError, code=1009, headers=DEFLATE),
]  # fmt: skip
CASES = [*WHOLE, *FRAGMENTED, *CONTROL, *CODES, *BROKEN, *TEXTS, *SIZES, *COMPRESSED]
SHORT = [case for case in CASES if len(case.sent) < 400]


def socket_of(session, **options):
    spec = WebSocketSpec(
        function="test",
        actor="Test",
        request=lambda: Request("GET", "/stream/session/x/execute", content_type=""),
        max_message=LIMIT,
        **options,
    )
    return WebSocketResponse(session, spec)


class Conversation:
    """The server's part of a case, and the client's frames."""

    def __init__(self, case: Case, trickle: bool = False) -> None:
        self.case = case
        self.trickle = trickle
        self.frames: list[Frame] = []
        self.done = False

    def __call__(self, peer: Peer) -> None:
        try:
            (peer.trickle if self.trickle else peer.send)(self.case.sent)
        except OSError:
            pass  # the client has seen enough
        self.frames = peer.read_all()
        self.done = True


def check(reading, conversation, case):
    assert [message.data for message in reading.items] == case.messages
    assert [message.type for message in reading.items] == [
        WSMsgType.TEXT if isinstance(data, str) else WSMsgType.BINARY for data in case.messages
    ]
    assert type(reading.error) is (case.error or type(None)), reading.error
    frames = conversation.frames
    assert all(sent.masked and not sent.rsv1 and sent.fin for sent in frames)
    assert [sent.data for sent in frames if sent.opcode == PONG] == case.pongs
    closes = [sent for sent in frames if sent.opcode == CLOSE]
    assert [sent.code for sent in closes] == [case.code]
    assert frames[-1] is closes[-1]
    if isinstance(reading.error, StreamClosed):
        assert reading.error.code == case.code
    elif reading.error is not None:
        assert (reading.error.method, reading.error.path) == ("GET", "/stream/session/x/execute")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_the_rules(runtime, server, make_config, case):
    conversation = Conversation(case)
    server.script(upgrade(conversation, case.headers))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, socket_of(session))
        until(lambda: conversation.done, "the server has seen the client's end")
    check(reading, conversation, case)


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name.replace(" ", "_"))
def test_the_rules_byte_by_byte(server, make_config, case):
    """In a plain thread: how bytes arrive is the same on every runtime."""
    runtime = ThreadRuntime()
    conversation = Conversation(case, trickle=True)
    server.script(upgrade(conversation, case.headers))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, socket_of(session))
        until(lambda: conversation.done, "the server has seen the client's end")
    if conversation.frames or case.error is None:  # else the reset came first: the client had more to read
        check(reading, conversation, case)


def test_a_conversation_split_at_every_byte(runtime, server, make_config):
    """In two parts, at each place; with a message of every kind."""
    deflate = Deflater()
    sent = b"".join(
        [
            text("hello"),
            fragments(TEXT, "a", JAPANESE, between=frame(PING, b"?")),
            frame(BINARY, b"x" * 200),
            text(deflate("packed"), rsv=4),
            frame(PONG),
            close(1000, "bye"),
        ]
    )
    places = iter(range(len(sent) + 1))

    def split(peer: Peer) -> None:
        place = next(places)
        peer.send(sent[:place])
        peer.send(sent[place:])
        peer.read_all()

    server.script(upgrade(split, DEFLATE))
    with runtime.session(make_config(server)) as session:
        for _ in range(len(sent) + 1):
            reading = read(runtime, socket_of(session))
            assert [message.data for message in reading.items] == ["hello", f"a{JAPANESE}", b"x" * 200, "packed"]
            assert reading.error is None


def test_frames_that_come_with_the_handshake_are_not_lost(runtime, server, make_config):
    server.script(upgrade(lambda peer: peer.read_all(), first=text("early") + BYE))
    with runtime.session(make_config(server)) as session:
        assert [message.data for message in read(runtime, socket_of(session)).items] == ["early"]


WRONG_HANDSHAKES = {
    "4.1 no Upgrade": {"Upgrade": None},
    "4.1 another Upgrade": {"Upgrade": "h2c"},
    "4.1 no Connection": {"Connection": None},
    "4.1 another Connection": {"Connection": "keep-alive"},
    "4.1 no Accept": {"Sec-WebSocket-Accept": None},
    "4.1 a wrong Accept": {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
    "4.1 a subprotocol that nobody asked for": {"Sec-WebSocket-Protocol": "chat"},
    "4.1 an extension that nobody asked for": {"Sec-WebSocket-Extensions": "x-unknown"},
    "7692 7.1 a parameter that does not exist": {"Sec-WebSocket-Extensions": "permessage-deflate; x=1"},
    "7692 7.1.2.1 a window beyond the largest": {
        "Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=16"
    },
    "7692 7.1 twice": {"Sec-WebSocket-Extensions": "permessage-deflate, permessage-deflate"},
    "9110 5.5 a control character": {"Sec-WebSocket-Protocol": "\x01"},
    "9112 5.2 a header on two lines": {"Sec-WebSocket-Protocol": "\r\n chat"},
}


@pytest.mark.parametrize("headers", WRONG_HANDSHAKES.values(), ids=[n.replace(" ", "_") for n in WRONG_HANDSHAKES])
def test_a_wrong_handshake_is_refused(runtime, server, make_config, headers):
    server.script(upgrade(lambda peer: peer.read_all(), headers, first=text("x")))
    with runtime.session(make_config(server, retries=0)) as session:
        reading = read(runtime, socket_of(session))
    assert isinstance(reading.error, InvalidReply)
    assert reading.error.status == 101
    assert reading.items == []


def test_there_is_no_upgrade_in_an_older_version_of_http(server, make_config):
    """RFC 9110, section 7.8."""

    def step(connection, request):
        fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_of(request)}\r\n\r\n"
        connection.send(f"HTTP/1.0 101 Switching Protocols\r\n{fields}".encode() + text("x"))

    server.script(step)
    with Session(config=make_config(server)) as session, pytest.raises(InvalidReply):
        next(socket_of(session))


@pytest.mark.parametrize("status", [200, 204, 302])
def test_an_answer_that_is_no_upgrade_is_refused(runtime, server, make_config, status):
    server.script(reply({"ok": True}, status))
    with runtime.session(make_config(server, retries=0)) as session:
        reading = read(runtime, socket_of(session))
    assert isinstance(reading.error, InvalidReply)
    assert reading.error.status == status


def test_the_client_s_half_of_the_handshake(server, make_config, runtime):
    """RFC 6455, section 4.1; signed as a request without a type."""
    server.script(upgrade(lambda peer: peer.send(BYE)))
    with runtime.session(make_config(server)) as session:
        for _ in range(2):
            assert read(runtime, socket_of(session)).error is None
    first, second = server.requests
    assert (first.method, first.target, first.body) == ("GET", "/stream/session/x/execute", b"")
    assert first.headers["upgrade"] == "websocket"
    assert first.headers["connection"].lower() == "upgrade"
    assert first.headers["sec-websocket-version"] == "13"
    assert first.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    assert "content-type" not in first.headers
    assert "authorization" in first.headers
    assert first.headers["sec-websocket-key"] != second.headers["sec-websocket-key"]


def sent_by_client(runtime, server, make_config, headers, *messages, close_from=None, **options):
    """What arrives at the server of what the client sends."""
    received: list[Frame] = []

    def then(peer: Peer) -> None:
        while not received or received[-1].opcode != CLOSE:
            got = peer.read()
            assert got is not None
            received.append(got)
        peer.send(close())

    server.script(upgrade(then, headers))
    with runtime.session(make_config(server)) as session:
        stream = socket_of(session, **options)
        for message in messages:
            send = stream.send_str if isinstance(message, str) else stream.send_bytes
            runtime.value(lambda send=send, message=message: send(message))
        runtime.value(stream.close)
    return received


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_000])
def test_what_the_client_sends_is_masked_and_whole(runtime, server, make_config, size):
    *frames, last = sent_by_client(runtime, server, make_config, {}, "é" * size, b"\xff" * size)
    assert [(sent.opcode, sent.data) for sent in frames] == [(TEXT, "é".encode() * size), (BINARY, b"\xff" * size)]
    assert all(sent.masked and sent.fin and not sent.rsv1 for sent in (*frames, last))
    assert (last.opcode, last.code) == (CLOSE, 1000)


def test_what_the_client_compresses(runtime, server, make_config):
    """What is short or very long is sent as it is, which is always allowed."""
    messages = ["short", "x" * 1000, "y" * 100_000, "x" * 1000]
    *frames, last = sent_by_client(runtime, server, make_config, DEFLATE, *messages)
    assert [sent.rsv1 for sent in frames] == [False, True, False, True]
    assert not last.rsv1
    unpacked = [
        zlib.decompressobj(-15).decompress(sent.data + b"\0\0\xff\xff") if sent.rsv1 else sent.data for sent in frames
    ]
    assert unpacked == [message.encode() for message in messages]  # each with a window of its own


def test_without_compress_none_is_offered(server, make_config, runtime):
    assert sent_by_client(runtime, server, make_config, {}, "x" * 1000, compress=False)[0].data == b"x" * 1000
    assert "sec-websocket-extensions" not in server.requests[0].headers
