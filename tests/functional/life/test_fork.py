"""Promise 6, second part: a fork neither hangs the child nor disturbs the parent."""

from __future__ import annotations

import pytest

from support.runtimes.scripts import run_script

PLAIN_AND_PATCHED = pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])

# `child(function)` forks, runs `function` in the child with an alarm, and returns its exit status.
FORK = """
import os, signal
def child(function):
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(LIMIT))
        code = 9
        try:
            function()
            code = 0
        except BaseException:
            import traceback; traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@PLAIN_AND_PATCHED
@pytest.mark.parametrize("kind", ["Session", "AsyncSession"])
def test_the_child_gets_an_answer_of_its_own_or_a_clear_error(echo, kind, patched):
    """The inherited session either works on connections of its own or says that it is closed."""
    result = run_script(
        FORK + "kind = sys.argv[2]\n"
        """
s = session(kind)
s.Kernel("before").get_info.submit().result(LIMIT)
def use():
    from ai.backend.client.exceptions import SessionClosed
    try:
        answer = s.Kernel("in-child").get_info.submit().result(LIMIT)
    except SessionClosed:
        return
    assert answer["name"] == "in-child", answer
mark("child", child(use))
connection = s.Kernel("after").get_info.submit().result(LIMIT)["connection"]
mark("parent", connection)
""",
        echo.url,
        kind,
        patched=patched,
    )
    result.assert_clean()
    assert result.value("child") == "0"


@PLAIN_AND_PATCHED
def test_a_new_session_works_in_the_child(echo, patched):
    result = run_script(
        FORK
        + """
s = session(); s.Kernel("before").get_info()
def use():
    with session() as fresh:
        assert fresh.Kernel("in-child").get_info()["name"] == "in-child"
        names = [f"rand-{i}" for i in range(50)]
        futures = [fresh.Kernel(name).get_info.submit() for name in names]
        assert [f.result(LIMIT)["name"] for f in futures] == names
mark("child", child(use))
assert s.Kernel("after").get_info()["name"] == "after"
""",
        echo.url,
        patched=patched,
    )
    result.assert_clean()
    assert result.value("child") == "0"


@PLAIN_AND_PATCHED
def test_the_parent_s_calls_survive_the_child(echo, patched):
    """The child uses, closes and drops what it inherited; the parent's calls on the wire keep their connections."""
    result = run_script(
        FORK
        + """
import gc
s = session(); s.open()
names = [f"d700-{i}" for i in range(50)]
futures = [s.Kernel(name).get_info.submit() for name in names]
until(lambda: stats()["pending"] == 50, "all calls are on the wire")
def use():
    global s, futures
    try: s.Kernel("in-child").get_info.submit().result(LIMIT)
    except Exception: pass
    s.close(timeout=0)
    del s, futures
    gc.collect()
mark("child", child(use))
assert [f.result(LIMIT)["name"] for f in futures] == names
assert all(s.Kernel(f"later-{i}").get_info()["name"] == f"later-{i}" for i in range(100))
""",
        echo.url,
        patched=patched,
    )
    result.assert_clean()
    assert result.value("child") == "0"


@PLAIN_AND_PATCHED
@pytest.mark.parametrize("state", ["just accepted", "on the wire"])
def test_calls_in_flight_at_the_fork_end_in_the_child(echo, state, patched):
    """Nobody in the child will ever answer them, and nobody may send them a second time."""
    result = run_script(
        FORK
        + """
s = session(); s.open()
f = s.Kernel("d1000-call").execute.submit("run", "code")
if sys.argv[2] == "on the wire": until(lambda: stats()["pending"] == 1, "the call is on the wire")
def use():
    kind = kind_of(f.result)
    assert kind in ("SessionClosed", "CancelledError"), kind
mark("child", child(use))
assert f.result(LIMIT)["name"] == "d1000-call"
""",
        echo.url,
        state,
        patched=patched,
    )
    result.assert_clean()
    assert result.value("child") == "0"
    assert echo.seen("d1000-call") == 1


def test_the_child_exits_normally(echo):
    """No atexit hook of the child waits for a hub that only the parent has."""
    result = run_script(
        """
        s = session(); s.open()
        f = s.Kernel("never-x").get_info.submit()
        if os.fork() == 0:
            sys.exit(0)
        pid, status = os.wait()
        mark("child", os.waitstatus_to_exitcode(status))
        mark("ending")
        """,
        echo.url,
    )
    result.assert_clean()
    assert result.value("child") == "0"
    result.assert_ended_soon("ending")


def test_multiprocessing_workers_use_sessions_of_their_own(echo):
    result = run_script(
        """
        import multiprocessing
        def work(n):
            with session() as s:
                return s.Kernel(f"worker-{n}").get_info()["name"]
        s = session(); s.open()
        with multiprocessing.get_context("fork").Pool(4) as pool:
            mark("names", pool.map(work, range(8)))
        mark("parent", s.Kernel("parent").get_info()["name"])
        """,
        echo.url,
    )
    result.assert_clean()
    assert result.value("names") == str([f"worker-{n}" for n in range(8)])
    assert result.value("parent") == "parent"


def test_a_fork_while_threads_are_calling(echo):
    """Locks of the runtime that other threads hold at that moment must not stop the child."""
    result = run_script(
        FORK
        + """
import threading
s = session(); s.open()
stop = False
def caller(n):
    i = 0
    while not stop:
        i += 1
        assert s.Kernel(f"bulk-{n}-{i}").get_info()["name"] == f"bulk-{n}-{i}"
threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
for t in threads: t.start()
def use():
    with session() as fresh:
        assert fresh.Kernel("in-child").get_info()["name"] == "in-child"
codes = [child(use) for _ in range(10)]
stop = True
for t in threads: t.join(LIMIT)
mark("codes", set(codes))
""",
        echo.url,
    )
    result.assert_clean()
    assert result.value("codes") == "{0}"
