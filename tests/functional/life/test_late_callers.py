"""Calls at odd moments: while the interpreter exits, and from a finalizer that runs on the hub."""

from __future__ import annotations

import gc

import pytest

from ai.backend.client.actors.waiting import CannotWait
from ai.backend.client.session import Session
from support.asking import ask
from support.runtimes.scripts import run_script

LATE = """
import atexit
def late():
    try:
        for n in range(3): mark("late", s.Kernel(f"late-{n}").get_info()["name"])
        mark("future", s.Kernel("late-future").get_info.submit().result(LIMIT)["name"])
        s.close(0.5)
        mark("closed", "yes")
    except BaseException as error:
        mark("failed", repr(error))
atexit.register(late)  # before the package is imported, so it runs after the package's own
"""
OPENED = {
    "before": "s = session(); s.open()",
    "never": "s = session()",
    "with calls in flight": "s = session(); s.open(); f = s.Kernel('never').get_info.submit()",
}


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("opened", list(OPENED))
def test_a_function_that_was_registered_with_atexit_first_can_call(echo, opened, patched):
    result = run_script(LATE + OPENED[opened] + "\nmark('ending')\n", echo.url, patched=patched)
    result.assert_clean()
    assert "failed" not in result.out, str(result)
    assert result.value("late") == "late-2"
    assert result.value("future") == "late-future"
    assert result.value("closed") == "yes"
    result.assert_ended_soon("ending")


def test_a_session_that_was_closed_stays_closed_while_the_interpreter_exits(echo):
    result = run_script(LATE + "s = session(); s.open(); s.close()\nmark('ending')\n", echo.url)
    result.assert_clean()
    assert "SessionClosed" in result.value("failed")


def test_in_an_event_loop_a_late_call_is_refused_and_not_left_hanging(echo):
    result = run_script(
        """
        import atexit, asyncio
        async def main():
            try: await s.Kernel("late").get_info()
            except Exception as error: mark("refused", repr(error))
        atexit.register(lambda: asyncio.run(main()))
        s = session("AsyncSession"); s.open().result(LIMIT)
        mark("ending")
        """,
        echo.url,
    )
    result.assert_clean()
    assert "SessionClosed" in result.value("refused")
    assert "event loop" in result.value("refused")


def test_a_finalizer_that_waits_on_the_hub_is_told_what_to_do(echo, make_config, unique):
    outcomes = []

    class Careless:
        def __init__(self, session):
            self.me = self  # so that only a collection ends it
            self.session = session

        def __del__(self):
            try:
                outcomes.append(ask(self.session, unique()))
            except Exception as error:
                outcomes.append(error)

    with Session(config=make_config(echo)) as session:
        gc.disable()
        try:
            Careless(session)
            done = []
            session._core.runtime.hub.call(lambda: done.append(gc.collect()))
            assert ask(session, "own-answer")["name"] == "own-answer"
        finally:
            gc.enable()
        assert done
    (error,) = outcomes
    assert isinstance(error, CannotWait)
    assert "submit()" in str(error)
    assert "__del__" in str(error)
