"""The client of `tools/bench/streams`: `streams_client.py RUNTIME PORT STREAMS SECONDS`; prints a JSON object."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import SessionClosed
from ai.backend.client.session import AsyncSession, Session

CALL_PAUSE = 0.005
"""Seconds between two calls beside the streams."""
IDLE_SECONDS = 15.0
WINDOW = 300
"""Calls of a window. The figure of a phase is the median of its windows' percentiles, so that something else that runs
on the machine for a moment does not decide it."""
OPEN_AT_ONCE = 100


class Tally:
    """What readers have seen."""

    def __init__(self, streams: int) -> None:
        self.next: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.events = self.disorder = self.gaps = 0
        self.delays: list[float] = []
        self.opened = 0
        self.counting = False

    def see(self, data: str) -> None:
        number, count, sent = data.split()
        stream, position = int(number), int(count)
        self.delays.append(time.monotonic() - float(sent))
        expected = self.next.get(stream, 0)
        if position != expected:
            self.disorder += position < expected
            self.gaps += max(0, position - expected)
        self.next[stream] = position + 1
        self.events += 1


def memory() -> float:
    """Resident KiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def steady_percentile(values: list[float], share: float) -> float:
    """The median of the windows' percentiles, in milliseconds."""
    windows = [values[start : start + WINDOW] for start in range(0, max(len(values) - WINDOW, 1), WINDOW)]
    return statistics.median(percentile(window, share) for window in windows)


def sent_by_server(port: int) -> dict[int, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=30) as answer:
        return {int(stream): count for stream, count in json.loads(answer.read()).items()}


def report(tally: Tally, used: dict[str, float], idle: list[float], busy: list[float], streams: int) -> None:
    """Events that the server has sent before the end and that were not seen are lost."""
    print(
        json.dumps(
            {
                "events": used["events"],
                "lost": tally.gaps + used["missing"],
                "disorder": tally.disorder,
                "cpu_per_event": used["cpu"] / max(used["events"], 1) * 1e6,
                "cpu_share": used["cpu"] / used["seconds"] * 100,
                "memory_per_stream": used["memory"] / streams,
                "delay_p99": percentile(tally.delays, 0.99),
                "calls": len(busy),
                "idle_p99": steady_percentile(idle, 0.99),
                "busy_p99": steady_percentile(busy, 0.99),
            }
        )
    )


def missing(tally: Tally, sent: dict[int, int]) -> int:
    """Events that the server had sent and that have not come, some time later."""
    return sum(max(0, count - tally.next.get(stream, 0)) for stream, count in sent.items())


async def with_asyncio(config: Any, port: int, streams: int, seconds: float) -> None:
    async with AsyncSession(config=config) as session:
        kernel = session.Kernel("x")

        async def calls(length: float) -> list[float]:
            taken, end = [], time.monotonic() + length
            while time.monotonic() < end:
                start = time.monotonic()
                await kernel.get_info()
                taken.append(time.monotonic() - start)
                await asyncio.sleep(CALL_PAUSE)
            return taken

        await calls(1.0)
        idle = await calls(IDLE_SECONDS)
        tally, before = Tally(streams), memory()
        gate = asyncio.Semaphore(OPEN_AT_ONCE)

        async def read() -> None:
            stream = kernel.listen_events()
            async with gate:
                await stream.open()
            async with stream:
                tally.opened += 1
                async for event in stream:
                    tally.see(event.data)

        tasks = [asyncio.create_task(read()) for _ in range(streams)]
        while tally.opened < streams:  # noqa: ASYNC110  # a bench may poll
            await asyncio.sleep(0.05)
        grown = memory() - before
        cpu, events, start = time.process_time(), tally.events, time.monotonic()
        busy = await calls(seconds)
        used = {
            "cpu": time.process_time() - cpu,
            "events": tally.events - events,
            "seconds": time.monotonic() - start,
            "memory": grown,
        }
        sent = await asyncio.to_thread(sent_by_server, port)
        await asyncio.sleep(1.0)
        used["missing"] = missing(tally, sent)
        report(tally, used, idle, busy, streams)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def blocking(
    config: Any, port: int, streams: int, seconds: float, spawn: Callable[..., Any], sleep: Callable[[float], object]
) -> None:
    """Threads, or greenlets in an unpatched process."""
    with Session(config=config) as session:
        kernel = session.Kernel("x")

        def calls(length: float) -> list[float]:
            taken, end = [], time.monotonic() + length
            while time.monotonic() < end:
                start = time.monotonic()
                kernel.get_info()
                taken.append(time.monotonic() - start)
                sleep(CALL_PAUSE)
            return taken

        calls(1.0)
        idle = calls(IDLE_SECONDS)
        tally, before = Tally(streams), memory()
        opened = []

        def read() -> None:
            stream = kernel.listen_events()
            opened.append(stream)
            try:
                for event in stream:
                    tally.see(event.data)
            except SessionClosed:
                pass

        for index in range(streams):
            spawn(read)
            if index % OPEN_AT_ONCE == OPEN_AT_ONCE - 1:
                sleep(0.05)
        while sum(stream.status is not None for stream in opened) < streams:
            sleep(0.05)
        grown = memory() - before
        cpu, events, start = time.process_time(), tally.events, time.monotonic()
        busy = calls(seconds)
        used = {
            "cpu": time.process_time() - cpu,
            "events": tally.events - events,
            "seconds": time.monotonic() - start,
            "memory": grown,
        }
        sent = sent_by_server(port)
        sleep(1.0)
        used["missing"] = missing(tally, sent)
        report(tally, used, idle, busy, streams)


def start_thread(function: Callable[[], object]) -> None:
    threading.Thread(target=function, daemon=True).start()


def main() -> None:
    runtime, port, streams, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    config = APIConfig(
        endpoint=f"http://127.0.0.1:{port}", access_key="AK", secret_key="SK", streams=streams, proxies={}
    )
    if runtime == "asyncio":
        asyncio.run(with_asyncio(config, port, streams, seconds))
    elif runtime == "thread":
        threading.stack_size(256 * 1024)
        blocking(config, port, streams, seconds, start_thread, time.sleep)
    else:
        blocking(config, port, streams, seconds, gevent.spawn, gevent.sleep)


if __name__ == "__main__":
    main()
