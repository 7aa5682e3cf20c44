"""No file descriptor is left: what needs one fails at once and says so, the rest goes on, and all is well later."""

from __future__ import annotations

import pytest

from support.runtimes.scripts import run_script

HOARD = """
import resource, threading
from ai.backend.client.exceptions import BackendError, NeverSent, Overloaded
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
hoard = []
def use_up():
    while True:
        try: hoard.append(os.dup(0))
        except OSError: return
def let_go():
    while hoard: os.close(hoard.pop())
def prompt(function):
    with soon(): return function()
def own(s, name):
    assert s.Kernel(name).get_info()["name"] == name
"""
both = pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])


@both
def test_an_open_session_goes_on_and_threads_wait_without_an_eventfd(echo, patched):
    result = run_script(
        HOARD
        + """
s = session(); s.open(); own(s, "before")
for future in [s.Kernel(f"d100-{n}").get_info.submit() for n in range(4)]: future.result()  # connections
use_up()
errors = []
def caller(n):
    try: own(s, f"d20-while-{n}")
    except BaseException as error: errors.append(error)
threads = [threading.Thread(target=caller, args=(n,)) for n in range(4)]
prompt(lambda: [thread.start() for thread in threads] and [thread.join(LIMIT) for thread in threads])
let_go()
assert errors == [], errors
own(s, "after")
s.close()
""",
        echo.url,
        patched=patched,
    )
    result.assert_clean()


@both
def test_a_call_that_needs_a_connection_fails_typed_and_works_later(echo, patched):
    result = run_script(
        HOARD
        + """
s = session(retries=0); s.open(); own(s, "before")
held = s.Kernel("d500-held").get_info.submit()
until(lambda: stats()["pending"], "it has the connection")
use_up()
try: prompt(lambda: own(s, "while"))
except NeverSent as error: assert "Too many open files" in str(error), error
else: raise AssertionError("no error")
let_go()
assert held.result(LIMIT)["name"] == "d500-held"
own(s, "after")
s.close()
""",
        echo.url,
        patched=patched,
    )
    result.assert_clean()


def test_a_new_session_is_refused_at_once_and_can_be_opened_later(echo):
    result = run_script(
        HOARD
        + """
s = session(); use_up()
for left in range(14):  # whatever it is that is the first to find none
    try:
        prompt(s.open)
    except BackendError as error:
        mark(type(error).__name__, str(left))
        os.close(hoard.pop())
    else:
        break
let_go()
own(s, "after")
s.close()
""",
        echo.url,
    )
    result.assert_clean()
    assert "Overloaded 0" in result.out, str(result)
