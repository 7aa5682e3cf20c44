"""Messages from frames, without a connection."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from ai.backend.client.functions.streams.websocket import WSMessage, WSMsgType
from ai.backend.client.sessions.streams.assembler import MANY_PARTS, MessageAssembler

EURO = "€".encode()


def feed(*frames):
    """What each of the frames completes."""
    assembler = MessageAssembler()
    return [assembler.feed(Frame(opcode, data, fin)) for opcode, data, fin in frames]


def test_a_frame_may_be_a_whole_message():
    assert feed((Opcode.TEXT, b"a", True), (Opcode.BINARY, b"\xff", True)) == [
        WSMessage(WSMsgType.TEXT, "a"),
        WSMessage(WSMsgType.BINARY, b"\xff"),
    ]


def test_a_message_is_complete_with_its_last_fragment():
    frames = [(Opcode.TEXT, b"a", False), (Opcode.CONT, b"", False), (Opcode.CONT, b"b", True)]
    assert feed(*frames) == [None, None, WSMessage(WSMsgType.TEXT, "ab")]


def test_a_character_may_be_cut_between_two_fragments():
    frames = [(Opcode.TEXT, EURO[:1], False), (Opcode.CONT, EURO[1:], True)]
    assert feed(*frames)[-1] == WSMessage(WSMsgType.TEXT, "€")


@pytest.mark.parametrize("frames", [[(Opcode.TEXT, b"\xff", True)], [(Opcode.TEXT, EURO[:2], True)]])
def test_text_that_is_none_is_refused(frames):
    with pytest.raises(UnicodeDecodeError):
        feed(*frames)


def test_an_empty_message_is_a_message():
    assert feed((Opcode.TEXT, b"", True), (Opcode.BINARY, b"", True)) == [
        WSMessage(WSMsgType.TEXT, ""),
        WSMessage(WSMsgType.BINARY, b""),
    ]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_many_fragments_are_joined_on_the_way_and_none_is_lost(opcode):
    assembler = MessageAssembler()
    count = 3 * MANY_PARTS + 5
    for number in range(count):
        kind = opcode if number == 0 else Opcode.CONT
        message = assembler.feed(Frame(kind, b"%d " % number, number == count - 1))
        assert len(assembler._parts) < MANY_PARTS
    data = "".join(f"{number} " for number in range(count))
    assert message.data == (data if opcode is Opcode.TEXT else data.encode())


def test_it_knows_whether_a_message_has_begun():
    assembler = MessageAssembler()
    seen = [assembler.is_empty]
    for opcode, fin in ((Opcode.TEXT, False), (Opcode.CONT, True)):
        assembler.feed(Frame(opcode, b"a", fin))
        seen.append(assembler.is_empty)
    assert seen == [True, False, True]
