"""Promise 4, second half: a session leaves no thread, socket or descriptor behind, however it ends."""

from __future__ import annotations

import pytest

from support.runtimes.scripts import run_script
from support.servers.faults import unused_port

MEASURE = """
import gc, warnings, weakref
warnings.simplefilter("ignore", ResourceWarning)
kind, ending = sys.argv[2:4]

def one(round):
    s = session(kind, lanes=200)
    opened = s.open()
    if opened is not None and hasattr(opened, "result"):
        opened.result(LIMIT)
    futures = [s.Kernel(f"{'d5000' if i % 2 else 'rand'}-{round}-{i}").get_info.submit() for i in range(200)]
    until(lambda: any(f.done() for f in futures), "calls run")
    if ending == "drop":
        for f in futures: f.cancel()
        dropped = weakref.ref(s)
        del s, opened, f, futures
        # The type of a proxy and its session refer to each other, and queued messages to both.
        until(lambda: (gc.collect(), dropped() is None)[1], "the session is collected")
        return
    closing = s.close(timeout=0)
    if closing is not None: closing.result(LIMIT)
    until(lambda: all(f.done() for f in futures), "every call has ended")

one(0)                              # what the libraries keep for good is there now
before = held()
for round in range(1, 4): one(round)
gc.collect()
until_back_to(before)
mark("actors", len(__import__("pykka").ActorRegistry.get_all()))
"""


@pytest.mark.parametrize("ending", ["close", "drop"])
@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("kind", ["Session", "AsyncSession"])
def test_nothing_is_left_of_sessions(echo, kind, patched, ending):
    result = run_script(MEASURE, echo.url, kind, ending, patched=patched)
    result.assert_clean()
    assert result.value("actors") == "0"


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_nothing_is_left_of_a_failed_open(patched):
    result = run_script(
        """
        from ai.backend.client.exceptions import ConnectionFailed
        def one():
            s = session(retries=0)
            try: s.open()
            except ConnectionFailed: pass
            else: raise AssertionError("opened")
            s.close()
        one()
        before = held()
        for _ in range(10): one()
        until_back_to(before)
        """,
        f"http://127.0.0.1:{unused_port()}",
        patched=patched,
    )
    result.assert_clean()


def test_a_session_that_was_never_opened_has_nothing(echo):
    result = run_script(
        """
        from ai.backend.client.session import Session
        before = descriptors(), tasks()
        sessions = [session(k) for k in ("Session", "AsyncSession") for _ in range(10)]
        mark("before", before)
        mark("after", (descriptors(), tasks()))
        """,
        echo.url,
    )
    result.assert_clean()
    assert result.value("after") == result.value("before")
    assert echo.stats()["requests"] == 0


def test_a_dropped_open_session_warns(echo):
    result = run_script(
        """
        import gc, warnings
        warnings.simplefilter("always")
        s = session(); s.open()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del s
            gc.collect()
        mark("warned", [w.category.__name__ for w in caught])
        """,
        echo.url,
    )
    assert "ResourceWarning" in result.value("warned"), str(result)
