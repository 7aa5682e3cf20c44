"""Many code executions at once, in three calling styles, on a sandbox or on a real cluster.

Starts a few compute sessions, runs the same batch of small programs in them from a plain thread (`session.map`), from
asyncio and from gevent greenlets, checks that every program got its own output back, and destroys the sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gevent

from ai.backend.client import AsyncSession, BackendError, Session
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.sandbox import Sandbox

IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
RESOURCES = {"cpu": 1, "mem": "256m"}
RUN_ENDS = ("finished", "exec-timeout")
CALLBACK_SECONDS = 1.0  # done-callbacks run on a worker: the last may come a moment after its result


@dataclass(eq=False)
class Run:
    """One small program for one compute session, and the loop of calls that it takes."""

    kernel: str
    number: int
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: bool = False
    done: bool = False
    output: str = ""

    @property
    def step(self) -> tuple[str, str, str]:
        """Arguments of the next `execute` call; only a program that outlasts one call (two seconds) needs a second."""
        return (self.run_id, "", "continue") if self.started else (self.run_id, f"print({self.number} ** 2)", "query")

    def feed(self, result: dict[str, Any]) -> None:
        self.started = True
        self.done = result["status"] in RUN_ENDS
        self.output += "".join(data for kind, data in result["console"] or [] if kind == "stdout")
        if self.done and self.output != f"{self.number**2}\n":
            raise BackendError(f"got the output {self.output!r}")


@dataclass
class Report:
    """What happened to one batch."""

    style: str
    seconds: float = 0.0
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def batch(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - start
        end = time.monotonic() + CALLBACK_SECONDS
        while len(self.latencies) < self.sent and time.monotonic() < end:
            time.sleep(0.001)

    @contextmanager
    def attempt(self, run: Run) -> Iterator[None]:
        try:
            yield
        except BackendError as error:
            run.done = True
            self.failures.append(f"{self.style}, program {run.number}: {error!r}")

    def timed(self, future: CallFuture[Any]) -> CallFuture[Any]:
        self.sent += 1
        start = time.perf_counter()
        future.add_done_callback(lambda _: self.latencies.append(time.perf_counter() - start))
        return future

    def row(self) -> str:
        milliseconds = sorted(1000 * latency for latency in self.latencies)
        cuts = statistics.quantiles([*milliseconds, *milliseconds[:1]], n=20, method="inclusive")
        return (
            f"{self.style:<24}{len(milliseconds):>6}{len(self.failures):>8}{cuts[9]:>9.0f}{cuts[18]:>9.0f}"
            f"{milliseconds[-1]:>9.0f}{len(milliseconds) / self.seconds:>10.1f}"
        )


HEADER = f"{'calling style':<24}{'calls':>6}{'failed':>8}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}{'calls/s':>10}"


def from_a_thread(session: Session, runs: list[Run]) -> Report:
    """One plain thread; `session.map` keeps the calls in flight and hands the results back in order."""
    report = Report("thread, session.map")

    def send(run: Run) -> CallFuture[Any]:
        return report.timed(session.Kernel(run.kernel).execute.submit(*run.step))

    with report.batch():
        while open_runs := [run for run in runs if not run.done]:
            results = session.map(send, open_runs, return_exceptions=True)
            for run, result in zip(open_runs, results, strict=True):
                with report.attempt(run):
                    if isinstance(result, BaseException):
                        raise result
                    run.feed(result)
    return report


def from_asyncio(runs: list[Run]) -> Report:
    """One event loop, a task per program."""
    report = Report("asyncio, await")

    async def main() -> None:
        async with AsyncSession() as session:

            async def drive(run: Run) -> None:
                with report.attempt(run):
                    while not run.done:
                        run.feed(await report.timed(session.Kernel(run.kernel).execute(*run.step)))

            with report.batch():
                await asyncio.gather(*map(drive, runs))

    asyncio.run(main())
    return report


def from_gevent(runs: list[Run]) -> Report:
    """A greenlet per program, in a process that nobody has monkey-patched."""
    report = Report("gevent, greenlets")
    with AsyncSession() as session:

        def drive(run: Run) -> None:
            with report.attempt(run):
                while not run.done:
                    run.feed(report.timed(session.Kernel(run.kernel).execute(*run.step)).get())

        with report.batch():
            gevent.joinall([gevent.spawn(drive, run) for run in runs], raise_error=True)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", action="store_true", help="run on a real Backend.AI, which is started for it")
    parser.add_argument("--sessions", type=int, default=4, help="compute sessions to start (default 4)")
    parser.add_argument("--calls", type=int, default=40, help="programs to run per calling style (default 40)")
    options = parser.parse_args()
    if options.sessions < 1 or options.calls < 1:
        parser.error("--sessions and --calls must be at least 1")

    if options.cluster:
        return demonstrate(options.sessions, options.calls)
    with Sandbox() as sandbox:
        os.environ.update(sandbox.environment)
        return demonstrate(options.sessions, options.calls)


def demonstrate(sessions: int, calls: int) -> int:
    """Run the demonstration; its exit status."""
    batch = secrets.token_hex(3)
    names = [f"demo-{batch}-{number}" for number in range(sessions)]

    def runs() -> list[Run]:
        return [Run(names[number % len(names)], number) for number in range(calls)]

    failures: list[str] = []
    with Session() as session:

        def start(name: str) -> CallFuture[Any]:
            return session.Kernel.get_or_create.submit(IMAGE, name=name, resources=RESOURCES)

        def destroy(name: str) -> CallFuture[Any]:
            return session.Kernel(name).destroy.submit(forced=True)

        print(f"starting {len(names)} compute sessions on {session.config.endpoint}")
        try:
            clock = time.perf_counter()
            for kernel in session.map(start, names):
                print(f"  {kernel.name}: {kernel.status}")
            print(f"started in {time.perf_counter() - clock:.1f} s; {calls} programs per calling style\n")
            print(HEADER)
            for style in (partial(from_a_thread, session), from_asyncio, from_gevent):
                report = style(runs())
                print(report.row(), flush=True)
                failures += report.failures
        finally:
            outcomes = session.map(destroy, names, return_exceptions=True)
            left = [name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, BaseException)]
            print(f"\ndestroyed {len(names) - len(left)} of {len(names)} compute sessions")
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures or left else 0


if __name__ == "__main__":
    sys.exit(main())
