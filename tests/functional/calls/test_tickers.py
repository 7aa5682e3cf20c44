"""Promise 3: who waits for a call does not keep others from running."""

from __future__ import annotations

import time

import pytest

from support.asking import questions, wrong
from support.runtimes.calling import available

CALLS = 100
SERVER_DELAY = "d500"
LIMIT = CALLS * 0.5 / 10
"""Seconds: a tenth of what the calls take one after the other."""
SHARE = 0.9
"""Of the ticks that a ticker keeps alone, in the same moment."""
ATTEMPTS = 5
"""Other work on the machine only ever makes it worse: one good measurement is proof."""


@pytest.mark.parametrize("runtime", [name for name in available() if name != "thread"], indirect=True)
def test_tickers_keep_ticking_while_calls_run(runtime, echo, make_config, unique):
    measured = []
    with runtime.session(make_config(echo)) as session:
        for _ in range(ATTEMPTS):
            names = [unique(SERVER_DELAY) for _ in range(CALLS)]
            alone = runtime.idle_share()
            ticks, outcomes = runtime.ticks(questions(session, names))
            assert wrong(names, outcomes) == []
            if ticks.elapsed < LIMIT and ticks.ratio >= SHARE * alone:
                return
            measured.append(f"{ticks.ratio:.0%} of the ticks in {ticks.elapsed:.3f} s, alone {alone:.0%}")
    pytest.fail("; ".join(measured))


@pytest.mark.parametrize("runtime", [name for name in available() if name == "thread"], indirect=True)
def test_threads_wait_side_by_side(runtime, echo, make_config, unique):
    measured = []
    with runtime.session(make_config(echo)) as session:
        for _ in range(ATTEMPTS):
            names = [unique(SERVER_DELAY) for _ in range(CALLS)]
            start = time.monotonic()
            outcomes = runtime.outcomes(questions(session, names))
            measured.append(time.monotonic() - start)
            assert wrong(names, outcomes) == []
            if measured[-1] < LIMIT:
                return
    pytest.fail(f"took {measured} s")
