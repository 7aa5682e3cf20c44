"""Streams and their process: many at once, memory, descriptors, exits, forks, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gevent
import pytest

from support.runtimes.scripts import Result, Script, run_script
from support.servers.faults import FaultServer, silence
from support.servers.stream_steps import (
    Counter,
    event,
    events,
    numbered_events,
    numbered_messages,
    until_closed,
    wait_for_close,
)
from support.servers.websocket_peer import Peer, upgrade
from support.waiting import LIMIT, until

SERVER = Path(__file__).parents[2] / "support" / "servers" / "event_server.py"
STREAMS = 150
EVENTS = 3
"""Of each stream that are waited for."""
CALLS = 10
BREATH = 0.02
"""Seconds between two calls beside the streams."""
FLAT_MIB = 6
PREPARE = "from support.runtimes.inside_streams import events, socket\n"


def script(source: str) -> str:
    """A script that can make streams."""
    return PREPARE + textwrap.dedent(source)


@pytest.fixture
def event_server() -> Iterator[int]:
    """Port of a server whose streams get five events a second."""
    process = subprocess.Popen([sys.executable, "-I", str(SERVER), "0.2", "1"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(LIMIT)
        process.stdout.close()


def wait_for_end(peer: Peer) -> None:
    """Neither read nor say anything."""
    peer.connection.wait_for_end()


class Crowd:
    """Many readers and one caller."""

    def __init__(self, session: object) -> None:
        self.kernel = session.Kernel("x")  # type: ignore[attr-defined]  # the kind is not known
        self.seen: dict[int, list[int]] = {}
        self.ready = 0
        self.answers: list[dict] = []

    @property
    def is_over(self) -> bool:
        return len(self.answers) > CALLS and self.ready == STREAMS

    def see(self, one) -> None:
        stream, number, _ = one.data.split()
        numbers = self.seen.setdefault(int(stream), [])
        numbers.append(int(number))
        self.ready += len(numbers) == EVENTS

    def read(self) -> None:
        with self.kernel.listen_events() as stream:
            for one in stream:
                self.see(one)
                if self.is_over:
                    return

    def call(self, sleep) -> None:
        while not self.is_over:
            self.answers.append(self.kernel.get_info.submit().result(LIMIT))
            sleep(BREATH)

    async def read_async(self) -> None:
        async with self.kernel.listen_events() as stream:
            async for one in stream:
                self.see(one)
                if self.is_over:
                    return

    async def call_async(self) -> None:
        while not self.is_over:
            self.answers.append(await self.kernel.get_info())
            await asyncio.sleep(BREATH)

    async def all_async(self) -> None:
        await asyncio.gather(self.call_async(), *(self.read_async() for _ in range(STREAMS)))


def test_many_streams_on_one_session(runtime, event_server, make_config):
    """No event is lost, none is out of order, and calls go on meanwhile. `tools/bench/streams` is the long form."""
    with runtime.session(make_config(f"http://127.0.0.1:{event_server}", lanes=8)) as session:
        crowd = Crowd(session)
        if runtime.name == "asyncio":
            runtime.coroutine(crowd.all_async)
        else:
            sleep = time.sleep if runtime.name == "thread" else gevent.sleep
            runtime.columns([[partial(crowd.call, sleep)], *([crowd.read] for _ in range(STREAMS))])
    assert len(crowd.seen) == STREAMS
    for numbers in crowd.seen.values():
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= EVENTS
    assert len(crowd.answers) > CALLS
    assert all(answer["status"] == "RUNNING" for answer in crowd.answers)
    with urllib.request.urlopen(f"http://127.0.0.1:{event_server}/count", timeout=10) as answer:
        assert len(json.loads(answer.read())) == STREAMS


@pytest.mark.parametrize("kind", ["events", "socket"])
@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_a_slow_reader_holds_steady_memory(server, kind, patched):
    """The server would send gigabytes; what waits here is bounded."""
    sent = Counter()
    step = numbered_events if kind == "events" else numbered_messages
    server.script(step(sent, padding=50_000))
    result = run_script(
        script(f"""
        s = session(); s.open()
        stream = {kind}(s); stream.open()
        first = next(stream)
        before = memory()
        mark("growth", settled(memory, 1.0) - before)
        numbers = [int(next(stream).data.split()[0]) for _ in range(500)]
        mark("order", numbers == list(range(1, 501)))
        mark("growth_later", settled(memory, 0.5) - before)
        s.close(timeout=0)
        """),
        server.url,
        patched=patched,
    )
    result.assert_clean()
    assert float(result.value("growth")) < FLAT_MIB
    assert float(result.value("growth_later")) < FLAT_MIB
    assert result.value("order") == "True"


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_streams_that_ended_leave_nothing(server, patched):
    """Neither descriptors nor threads nor memory, however they ended."""
    server.script(events(event("first"), then=wait_for_close))
    result = run_script(
        script("""
        s = session(); s.open()
        def round(n):
            for i in range(n):
                with events(s) as one: next(one)          # left by with
                two = events(s); next(two); two.close()   # closed
                three = events(s); next(three); del three # dropped
                four = events(s); four.close()            # never opened
        round(5)
        until(lambda: len(s._core.runtime.streams) == 0, "all have ended")
        before, grown = held(), memory()
        round(60)
        until(lambda: len(s._core.runtime.streams) == 0, "all have ended")
        until_back_to(before, spare=1)  # an idle connection
        mark("memory", memory() - grown)
        s.close()
        """),
        server.url,
        patched=patched,
    )
    result.assert_clean()
    assert float(result.value("memory")) < FLAT_MIB


@pytest.mark.parametrize("kind", ["events", "socket"])
@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_a_script_may_end_with_open_streams(server, kind, patched):
    server.script(
        events(event("first"), then=wait_for_close) if kind == "events" else upgrade(until_closed),
    )
    result = run_script(
        script(f"""
        s = session()
        stream = {kind}(s); stream.open()
        import threading
        def read():
            try:
                for item in stream: pass
            except Exception: pass
        threading.Thread(target=read, daemon=True).start()
        until(lambda: not stream._driver._channel._items and stream._driver._channel._takes, "the reader waits")
        mark("end")
        """),
        server.url,
        patched=patched,
    )
    result.assert_clean()
    result.assert_ended_soon("end")


def dropped(server, use: str) -> Result:
    """How a script ends that opens a session `s`, uses it, and waits until everything of it is closed."""
    server.script(events(event("first"), then=wait_for_close))
    prepare = """
        import gc, warnings
        warnings.simplefilter("ignore")
        before = descriptors()
        s = session(); s.open()
    """
    result = run_script(script(prepare) + textwrap.dedent(use), server.url)
    assert result.code == 0, str(result)
    return result


def test_a_dropped_session_takes_its_streams_with_it(server):
    result = dropped(
        server,
        """
        stream = events(s); next(stream)
        del s
        gc.collect()
        mark("alive", next(iter([not stream.closed])))   # the stream holds its session
        del stream
        gc.collect()
        until(lambda: descriptors() <= before, "everything is closed")
        """,
    )
    assert result.value("alive") == "True"


def test_a_stream_that_is_kept_on_its_object_goes_with_it(server):
    dropped(
        server,
        """
        kernel = s.Kernel("mine")
        kernel.stream = kernel.listen_events(); next(kernel.stream)
        del s, kernel
        until(lambda: gc.collect() >= 0 and descriptors() <= before, "everything is closed")
        """,
    )


def test_a_forked_child_leaves_its_parent_s_streams_alone(server):
    server.script(numbered_events(Counter(), padding=10, limit=2000))
    result = run_script(
        script("""
        from ai.backend.client.exceptions import SessionClosed
        s = session(); s.open()
        stream = events(s, reconnect=False); next(stream)
        pid = os.fork()
        if pid == 0:
            mark("child", kind_of(lambda: next(stream)))
            mark("close", kind_of(stream.close))
            mark("own", kind_of(lambda: next(events(s, reconnect=False))))
            os._exit(0)
        os.waitpid(pid, 0)
        mark("parent", [int(e.data.split()[0]) for e in stream] == list(range(1, 2000)))
        s.close()
        """),
        server.url,
    )
    assert result.code == 0, str(result)
    assert result.value("child") == "SessionClosed"
    assert result.value("close") == "ok"
    assert result.value("own") == "ok"
    assert result.value("parent") == "True"


def test_greenlets_that_a_forked_child_inherits_wait_for_nothing(server):
    """Readers, openers and senders: nobody there would ever wake them."""
    server.script(upgrade(wait_for_end), upgrade(wait_for_end), silence())
    result = run_script(
        script("""
        import gevent
        s = session(); s.open()
        reading, sending, opening = socket(s), socket(s), socket(s)
        reading.open(); sending.open()
        ends = []
        def wait(call):
            ends.append(kind_of(call))
        def send():
            while True: sending.send_bytes(b"x" * 1_000_000)
        waiting = [gevent.spawn(wait, call) for call in (reading.receive, send, opening.open)]
        until(lambda: reading._driver._channel._takes, "the reader waits")
        until(lambda: sending._driver._outbox.size, "the sender sends")
        until(lambda: opening._driver._state.name == "OPENING", "the opener waits")
        settled(lambda: sending._driver._outbox.size)
        mark("before", ends)
        pid = os.fork()
        if pid == 0:
            import signal
            signal.alarm(int(2 * LIMIT))
            gevent.joinall(waiting, timeout=LIMIT)
            mark("ends", ends)
            mark("closed", (reading.closed, sending.closed, opening.closed))
            os._exit(0)
        until(lambda: os.waitpid(pid, os.WNOHANG) != (0, 0), "the child has ended")
        mark("parent", (ends, reading.closed))
        s.close(timeout=0)
        """),
        server.url,
        patched=True,
    )
    assert result.code == 0, str(result)
    assert result.value("before") == "[]"
    assert result.value("ends") == "['SessionClosed', 'SessionClosed', 'SessionClosed']"
    assert result.value("closed") == "(True, True, True)"
    assert result.value("parent") == "([], False)"


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_ctrl_c_while_a_stream_is_read(patched):
    with FaultServer() as server:
        server.script(events(event("first"), then=wait_for_close))
        running = Script(
            script("""
            s = session(); s.open()
            stream = events(s); next(stream)
            try:
                mark("waiting")
                next(stream)
            except KeyboardInterrupt:
                mark("interrupted")
            mark("usable", s.Kernel("x").hello.submit is not None and not stream.closed)
            stream.close()
            s.close()
            mark("end")
            """),
            server.url,
            patched=patched,
        )
        assert running.process.stdout is not None
        assert running.process.stdout.readline().startswith("waiting")
        stat = Path(f"/proc/{running.process.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "it sleeps")
        running.interrupt()
        result = running.finish()
    assert result.code == 0, str(result)
    assert "interrupted" in result.out
    assert result.value("usable") == "True"
    result.assert_ended_soon("end")
