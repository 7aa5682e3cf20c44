"""Promise 6, third part: Ctrl-C ends the wait and the call, not the session."""

from __future__ import annotations

import time

import pytest

from support.runtimes.scripts import Script
from support.waiting import LIMIT

BODIES = {
    "thread": """
def wait(): s.Kernel("never-call").get_info()
""",
    "future": """
def wait(): s.Kernel("never-call").get_info.submit().result()
""",
    "map": """
def wait():
    for _ in s.map(lambda name: s.Kernel(name).get_info.submit(), ["never-call"]): pass
""",
    "gevent": """
import gevent; gevent.get_hub()
def wait(): s.Kernel("never-call").get_info()
""",
    "gevent beside greenlets": """
import gevent
def ticker():
    while True: gevent.sleep(0.01)
gevent.spawn(ticker)
def wait(): s.Kernel("never-call").get_info()
""",
}
SCRIPT = """
s = session(); s.open()
{body}
try:
    wait()
except KeyboardInterrupt:
    mark("interrupted")
own = s.Kernel("own-answer").get_info()["name"]
mark("next", own)
s.close()
mark("ending")
"""


def interrupt(script, echo):
    """Press Ctrl-C as soon as the call is on the wire; returns when."""
    echo.until_seen("never-call")
    pressed = time.time()
    script.interrupt()
    return pressed


def check(result, echo, pressed):
    result.assert_clean()
    assert float(result.value("interrupted")) - pressed < LIMIT
    assert result.value("next") == "own-answer"
    result.assert_ended_soon("ending")
    assert echo.aborted("never-call")


@pytest.mark.parametrize("body", list(BODIES))
@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_ctrl_c_raises_and_the_next_call_gets_its_own_answer(echo, body, patched):
    script = Script(SCRIPT.format(body=BODIES[body]), echo.url, patched=patched)
    try:
        pressed = interrupt(script, echo)
        result = script.finish()
    finally:
        script.kill()
    check(result, echo, pressed)


def test_ctrl_c_in_asyncio_cancels_the_call(echo):
    script = Script(
        """
        import asyncio
        async def main():
            async with session("AsyncSession") as s:
                try:
                    await s.Kernel("never-call").get_info()
                except asyncio.CancelledError:
                    mark("next", (await s.Kernel("own-answer").get_info())["name"])
                    raise
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            mark("interrupted")
        mark("ending")
        """,
        echo.url,
    )
    try:
        pressed = interrupt(script, echo)
        result = script.finish()
    finally:
        script.kill()
    check(result, echo, pressed)


def test_ctrl_c_without_a_handler_ends_the_script(echo):
    script = Script("s = session(); s.open()\nmark('ending')\ns.Kernel('never-call').get_info()\n", echo.url)
    try:
        interrupt(script, echo)
        result = script.finish()
    finally:
        script.kill()
    assert result.code != 0
    assert result.err.rstrip().endswith("KeyboardInterrupt"), str(result)


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("breaker", ["Timeout", "kill"])
def test_a_gevent_timeout_or_kill_around_a_call_takes_it_off_the_wire(echo, breaker, patched):
    script = Script(
        """
        import gevent
        s = session(); s.open()
        def call(): s.Kernel("never-call").get_info()
        if sys.argv[2] == "kill":
            g = gevent.spawn(call)
            until(lambda: gevent.sleep(0) or stats()["pending"], "the call is on the wire")
            g.kill()
        else:
            try:
                with gevent.Timeout(0.3): call()
            except gevent.Timeout: pass
            else: raise AssertionError("no timeout")
        until(lambda: gevent.sleep(0) or stats()["aborted"], "the server sees the connection closed")
        mark("next", s.Kernel("own-answer").get_info()["name"])
        s.close()
        """,
        echo.url,
        breaker,
        patched=patched,
    )
    result = script.finish()
    result.assert_clean()
    assert result.value("next") == "own-answer"
