"""The states of a stream: the drawn table, and that nothing else happens."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from ai.backend.client.actors.call import Options
from ai.backend.client.functions.streams.byte_stream import BytesSpec
from ai.backend.client.sessions.streams import driver as module
from ai.backend.client.sessions.streams.byte_stream import BytesDriver
from ai.backend.client.sessions.streams.driver import MOVES, State
from ai.backend.client.sessions.streams.registry import Streams

ROW = re.compile(r"^(NEW|OPENING|OPEN|ENDED) .* (NEW|OPENING|OPEN|ENDED)$", re.MULTILINE)
LEGAL = [(here, there) for here in State for there in State if there in MOVES[here]]
ILLEGAL = [(here, there) for here in State for there in State if there not in MOVES[here]]


@pytest.fixture
def stream(hub):
    streams = Streams(SimpleNamespace(pid=0), hub, 1)
    plan = BytesSpec(function="function", actor="Kernel", request=lambda: None, chunk_size=1)
    return BytesDriver(streams, plan, Options(1, 1, 0))


def test_the_table_in_the_module_is_that_of_the_code():
    drawn = {(State[here], State[there]) for here, there in ROW.findall(module.__doc__)}
    assert drawn == set(LEGAL)


@pytest.mark.parametrize(("here", "there"), LEGAL)
def test_a_legal_move_is_made(stream, here, there):
    stream._state = here
    stream._move(there)
    assert stream._state is there


@pytest.mark.parametrize(("here", "there"), ILLEGAL)
def test_an_illegal_move_raises(stream, here, there):
    stream._state = here
    with pytest.raises(RuntimeError, match=f"cannot become {there.value}"):
        stream._move(there)
    assert stream._state is here


def test_what_comes_after_the_end_is_without_effect(stream, hub):
    stream._state = State.ENDED
    stream.is_over = True
    stream.error = first = ValueError("first")
    for event in (stream._close, stream._drop, stream._has_opened, lambda: stream.abort(ValueError("second"))):
        event()
    assert stream._state is State.ENDED
    assert stream.error is first
