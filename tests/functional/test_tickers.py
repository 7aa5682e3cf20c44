"""Promise 3: who waits for a call does not keep others from running."""

from __future__ import annotations

import time

import pytest
from support.asking import questions, wrong
from support.runtimes import available

CALLS = 100
SERVER_DELAY = "d500"
LIMIT = 0.8
SHARE = 0.9


@pytest.mark.parametrize("runtime", [name for name in available() if name != "thread"], indirect=True)
def test_tickers_keep_ticking_while_calls_run(runtime, echo, make_config, unique):
    names = [unique(SERVER_DELAY) for _ in range(CALLS)]
    with runtime.session(make_config(echo)) as session:
        ticks, outcomes = runtime.ticks(questions(session, names))
    assert wrong(names, outcomes) == []
    assert ticks.elapsed < LIMIT
    assert ticks.ratio >= SHARE, f"{ticks.kept} ticks in {ticks.elapsed:.3f} s"


@pytest.mark.parametrize("runtime", [name for name in available() if name == "thread"], indirect=True)
def test_threads_wait_side_by_side(runtime, echo, make_config, unique):
    names = [unique(SERVER_DELAY) for _ in range(CALLS)]
    with runtime.session(make_config(echo)) as session:
        start = time.monotonic()
        outcomes = runtime.outcomes(questions(session, names))
        elapsed = time.monotonic() - start
    assert wrong(names, outcomes) == []
    assert elapsed < LIMIT
