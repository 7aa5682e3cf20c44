"""Promise 11: memory follows the calls in flight, not the calls ever made.

`BACKEND_TEST_LONG=1` runs the batch with a million items instead of ten thousand.
"""

from __future__ import annotations

import os

import pytest

from support.runtimes.scripts import run_script
from support.waiting import LIMIT

ACCEPTED = 10_000
ACCEPTED_MIB = 64
LONG = bool(os.environ.get("BACKEND_TEST_LONG"))
ITEMS = 1_000_000 if LONG else 10_000
STEADY_MIB = 8 if LONG else 6
LONGEST = 600 if LONG else 2 * LIMIT


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_ten_thousand_accepted_calls_are_cheap(echo, patched):
    result = run_script(
        """
        count = int(sys.argv[2])
        s = session(deadline=300, read_timeout=300); s.open()
        for i in range(50): s.Kernel(f"bulk-warm-{i}").get_info()
        idle = memory()
        futures = [s.Kernel(f"d60000-{i}").get_info.submit() for i in range(count)]
        until(lambda: stats()["pending"] >= 512, "all lanes are busy")
        mark("grown", memory() - idle)
        mark("lost", sum(f.done() for f in futures))
        s.close(timeout=0)
        """,
        echo.url,
        ACCEPTED,
        patched=patched,
    )
    result.assert_clean()
    assert result.value("lost") == "0"
    assert float(result.value("grown")) < ACCEPTED_MIB


@pytest.mark.timeout(LONGEST + 20)
@pytest.mark.parametrize(("kind", "ordered"), [("Session", True), ("AsyncSession", False)])
def test_a_batch_holds_steady_memory(echo, kind, ordered):
    if LONG and (kind, ordered) != ("Session", True):
        pytest.skip("the long run is done once")
    result = run_script(
        """
        kind, ordered, count = sys.argv[2], sys.argv[3] == "True", int(sys.argv[4])
        s = session(kind)
        samples, right = [], 0
        def call(name): return s.Kernel(name).get_info.submit()
        def names():
            for i in range(count): yield f"bulk-{i}"
        expected = names()
        for n, answer in enumerate(s.map(call, names(), concurrency=256, ordered=ordered)):
            right += answer["name"] == next(expected) if ordered else answer["name"].startswith("bulk-")
            if n % (count // 20) == 0 and n > count // 10: samples.append(memory())
        closing = s.close()
        mark("right", right)
        mark("growth", samples[-1] - samples[0])
        mark("samples", [round(x, 1) for x in samples])
        """,
        echo.url,
        kind,
        ordered,
        ITEMS,
        limit=LONGEST,
    )
    result.assert_clean()
    assert result.value("right") == str(ITEMS)
    assert float(result.value("growth")) < STEADY_MIB, result.value("samples")


def test_calls_that_ended_are_forgotten(echo):
    """Answers, errors, cancellations and deadlines alike: nothing of them stays in a table."""
    result = run_script(
        """
        from ai.backend.client.exceptions import BackendError
        s = session(); s.open()
        hasty = s.with_options(deadline=0.02, retries=0)
        def round(n):
            for kind, view in (("bulk", s), ("s404-bulk", s), ("never-bulk", hasty), ("never-bulk", s)):
                futures = [view.Kernel(f"{kind}-{n}-{i}").get_info.submit() for i in range(200)]
                if kind.startswith("never") and view is s:
                    for f in futures: f.cancel()
                for f in futures: kind_of(f.result)
        for n in range(6): round(n)  # what the allocator keeps is there then
        before = memory()
        for n in range(9): round(n)
        mark("growth", memory() - before)
        s.close()
        """,
        echo.url,
    )
    result.assert_clean()
    assert float(result.value("growth")) < STEADY_MIB
