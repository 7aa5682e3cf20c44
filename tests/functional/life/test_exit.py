"""Promise 6, first part: a script that forgets its session still ends, at once and in silence."""

from __future__ import annotations

import pytest

from support.runtimes.scripts import run_script

REPETITIONS = 10

OPENED = {
    "Session": "s = session(); s.open()\n",
    "AsyncSession": "s = session('AsyncSession'); s.open().result(LIMIT)\n",
}
STATES = {
    "idle": "s.Kernel('idle').get_info.submit().result(LIMIT)\n",
    "waiting": "f = s.Kernel('never-x1').get_info.submit()\n",
    "many waiting": "fs = [s.Kernel(f'never-{i}').get_info.submit() for i in range(2000)]\n",
}
END = "mark('ending')\n"


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("kind", list(OPENED))
@pytest.mark.parametrize("state", list(STATES))
def test_a_script_that_leaves_a_session_open_ends_by_itself(echo, kind, state, patched):
    result = run_script(OPENED[kind] + STATES[state] + END, echo.url, patched=patched)
    result.assert_clean()
    result.assert_ended_soon("ending")


def test_a_script_that_holds_the_session_in_a_module_ends_by_itself(echo):
    """Module globals are cleared late, when little of the interpreter is left."""
    result = run_script("import builtins\nbuiltins.kept = session(); builtins.kept.open()\n" + END, echo.url)
    result.assert_clean()
    result.assert_ended_soon("ending")


@pytest.mark.parametrize(("error", "code"), [("raise SystemExit(3)", 3), ("raise ZeroDivisionError", 1)])
def test_the_exit_status_is_the_script_s_own(echo, error, code):
    result = run_script(OPENED["Session"] + END + error, echo.url)
    assert result.code == code, str(result)
    result.assert_ended_soon("ending")


BUSY = """
import threading
s = session(); s.open()
answered = []
def caller(n):
    i = 0
    while True:
        i += 1
        try:
            s.Kernel(f"bulk-{n}-{i}").get_info()
        except Exception:
            return
        answered.append(1)
for n in range(16):
    threading.Thread(target=caller, args=(n,), daemon=True).start()
until(lambda: len(answered) > 200, "calls flow")
mark("ending")
"""


@pytest.mark.parametrize("run", range(REPETITIONS))
def test_a_script_ends_while_daemon_threads_are_calling(echo, run):
    result = run_script(BUSY, echo.url)
    result.assert_clean()
    result.assert_ended_soon("ending")


def test_a_patched_script_ends_while_greenlets_are_calling(echo):
    result = run_script(BUSY, echo.url, patched=True)
    result.assert_clean()
    result.assert_ended_soon("ending")


def test_an_asyncio_program_that_leaves_a_session_open_ends_by_itself(echo):
    result = run_script(
        """
        import asyncio
        async def main():
            s = session("AsyncSession")
            await s.open()
            assert (await s.Kernel("kernel").get_info())["name"] == "kernel"
            global kept
            kept = s, s.Kernel("never-x").get_info.submit()
        asyncio.run(main())
        mark("ending")
        """,
        echo.url,
    )
    result.assert_clean()
    result.assert_ended_soon("ending")
