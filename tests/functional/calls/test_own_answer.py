"""Promise 1: every caller gets its own answer, always."""

from __future__ import annotations

import collections
import itertools
from functools import partial
from typing import Any

import pytest

from ai.backend.client.exceptions import CallTimeout
from support.asking import ask, is_answer, questions, submit, wrong
from support.recipes import Probe
from support.runtimes.calling import is_cancelled

CALLS = {"thread": 256, "asyncio": 16, "gevent": 16, "gevent-future": 16, "patched": 16, "patched-future": 16}
DISTURBED_ROUNDS = {"thread": 100}


@pytest.fixture
def numbers():
    return itertools.count()


def test_every_caller_gets_its_own_answer(runtime, echo, make_config, numbers):
    names = [[f"rand-own{next(numbers)}" for _ in range(CALLS[runtime.name])] for _ in range(runtime.crowd)]
    with runtime.session(make_config(echo)) as session:
        found = runtime.columns([questions(session, column) for column in names])
    for column, outcomes in zip(names, found, strict=True):
        assert wrong(column, outcomes) == []


def test_every_caller_gets_its_own_answer_while_calls_are_cancelled_and_time_out(runtime, echo, make_config, numbers):
    """Every tenth call is cancelled by whoever comes next; half of every tenth exceed their deadline."""
    open_calls: collections.deque[Any] = collections.deque()

    def plain(session: Any, name: str) -> Any:
        if open_calls:
            open_calls.popleft().cancel()
        return ask(session, name)

    def cancelled(session: Any, name: str) -> Any:
        future = submit(session, name)
        open_calls.append(future)
        return future

    with runtime.session(make_config(echo)) as session:
        hasty = session.with_options(deadline=0.1)
        kinds = {0: partial(cancelled, session), 5: partial(ask, hasty)}
        rounds = DISTURBED_ROUNDS.get(runtime.name, 10)
        delays = {5: "rand200"}
        names = [
            [f"{delays.get(index % 10, 'rand')}-mix{next(numbers)}" for index in range(start, start + rounds)]
            for start in range(runtime.crowd)
        ]
        thunks = [
            [partial(kinds.get(index % 10, partial(plain, session)), name) for index, name in enumerate(column, start)]
            for start, column in enumerate(names)
        ]
        found = runtime.columns(thunks)

    fates: collections.Counter[str] = collections.Counter()
    for start, (column, outcomes) in enumerate(zip(names, found, strict=True)):
        for index, (name, outcome) in enumerate(zip(column, outcomes, strict=True), start):
            kind = index % 10
            if is_answer(name, outcome):
                fates["answered"] += 1
            elif kind == 0 and is_cancelled(outcome):
                fates["cancelled"] += 1
            elif kind == 5 and isinstance(outcome, CallTimeout):
                fates["late"] += 1
            else:
                pytest.fail(f"{name}: {outcome!r}")
    assert fates["cancelled"] > 0, fates
    assert fates["late"] > 0, fates


def test_one_actor_interleaves_recipes_of_many_requests(runtime, echo, make_config, unique):
    names = [[unique("rand") for _ in range(5)] for _ in range(32)]
    with runtime.session(make_config(echo)) as session:
        probe = session.bind(Probe)
        found = runtime.outcomes([partial(probe.many, *row) for row in names])
    for row, answers in zip(names, found, strict=True):
        assert wrong(row, answers) == []


def test_few_lanes_mix_nothing_up(runtime, echo, make_config, numbers):
    names = [f"rand-few{next(numbers)}" for _ in range(128)]
    with runtime.session(make_config(echo, lanes=3)) as session:
        assert wrong(names, runtime.outcomes(questions(session, names))) == []
    assert echo.stats()["connections"] <= 3
