"""Promise 3: who waits for a call does not keep others from running."""

from __future__ import annotations

import threading

import pytest

from support.asking import questions, wrong
from support.runtimes.calling import available
from support.servers.faults import after, named
from support.waiting import LIMIT

CALLS = 100
TURNS = 100


@pytest.mark.parametrize("runtime", [name for name in available() if name != "thread"], indirect=True)
def test_others_have_their_turns_while_calls_run(runtime, server, make_config, unique):
    """The server answers when another caller of the same thread has had all of them."""
    go = threading.Event()
    server.script(after(go, named()))
    names = [unique() for _ in range(CALLS)]
    with runtime.session(make_config(server)) as session:
        *outcomes, _ = runtime.outcomes([*questions(session, names), runtime.turns(TURNS, go.set)])
    assert wrong(names, outcomes) == []


@pytest.mark.parametrize("runtime", [name for name in available() if name == "thread"], indirect=True)
def test_threads_wait_side_by_side(runtime, server, make_config, unique):
    """The server answers when it has the calls of all."""
    everybody = threading.Barrier(CALLS, timeout=LIMIT)
    server.script(lambda connection, request: everybody.wait() >= 0 and named()(connection, request))
    names = [unique() for _ in range(CALLS)]
    with runtime.session(make_config(server)) as session:
        outcomes = runtime.outcomes(questions(session, names))
    assert wrong(names, outcomes) == []
