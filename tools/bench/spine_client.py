"""One measured run of `tools/bench/spine`: prints the microseconds of CPU per call after a warm-up.

Usage: spine_client.py ours|vendor ROW CALLS PORT. Runs in the environment of the client that it measures, so it imports
nothing else.
"""

import asyncio
import resource
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from itertools import repeat
from typing import Any

SIDE, ROW, CALLS, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CONCURRENCY = {"sync": 1, "threads": 32, "asyncio-512": 512, "asyncio-1": 1, "gevent": 64}[ROW]
WARM_UP = max(300, 2 * CONCURRENCY)

if ROW == "gevent":
    import gevent.monkey

    gevent.monkey.patch_all()

from ai.backend.client.config import APIConfig  # noqa: E402  # after patch_all()
from ai.backend.client.session import AsyncSession, Session  # noqa: E402  # as above

if SIDE == "vendor":
    from ai.backend.client.session import api_session

    warnings.simplefilter("ignore")

CONFIG = APIConfig(
    endpoint=f"http://127.0.0.1:{PORT}",
    endpoint_type="api",
    domain="default",
    group="default",
    version="v7.20230615",
    access_key="AKIAIOSFODNN7EXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
)


class Meter:
    """CPU seconds of the whole process between two moments."""

    def start(self) -> None:
        self.begin = self._now()

    def stop(self) -> None:
        self.used = self._now() - self.begin

    @staticmethod
    def _now() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


meter = Meter()


def checked(info: Any) -> None:
    if info["status"] != "RUNNING":
        raise SystemExit(f"wrong reply: {info!r}")


def blocking_call(session: Any) -> Callable[[], Any]:
    """The call as a user of that client writes it."""
    if SIDE == "ours":
        return lambda: session.Kernel("abc").get_info()

    def call() -> Any:
        api_session.set(session)  # it finds its session in a context variable of the calling thread or greenlet
        return session.ComputeSession("abc").get_info()

    return call


def run_sync() -> None:
    with Session(config=CONFIG) as session:
        call = blocking_call(session)
        for _ in range(WARM_UP):
            checked(call())
        meter.start()
        for _ in range(CALLS):
            call()
        meter.stop()


def run_threads() -> None:
    """Ours: one session for all threads. The vendor's: one each, because a shared one swaps answers."""
    started = threading.Barrier(CONCURRENCY, action=meter.start)
    ended = threading.Barrier(CONCURRENCY, action=meter.stop)
    shared = Session(config=CONFIG) if SIDE == "ours" else None

    def worker() -> None:
        try:
            session = shared or Session(config=CONFIG)
            session.open()
            call = blocking_call(session)
            for _ in range(max(10, WARM_UP // CONCURRENCY)):
                checked(call())
            started.wait()
            for _ in range(CALLS // CONCURRENCY):
                call()
            ended.wait()
            if session is not shared:
                session.close()
        except BaseException:
            started.abort()
            ended.abort()
            raise

    threads = [threading.Thread(target=worker) for _ in range(CONCURRENCY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if shared is not None:
        shared.close()


def run_gevent() -> None:
    with Session(config=CONFIG) as session:
        call = blocking_call(session)

        def many(calls: int) -> None:
            tickets = repeat(None, calls)

            def worker() -> None:
                for _ in tickets:
                    call()

            gevent.joinall([gevent.spawn(worker) for _ in range(CONCURRENCY)], raise_error=True)

        checked(call())
        many(WARM_UP)
        meter.start()
        many(CALLS)
        meter.stop()


async def run_asyncio() -> None:
    async with AsyncSession(config=CONFIG) as session:
        proxy: Any = session.Kernel if SIDE == "ours" else session.ComputeSession

        def call() -> Awaitable[Any]:
            awaitable: Awaitable[Any] = proxy("abc").get_info()
            return awaitable

        async def many(calls: int) -> None:
            tickets = repeat(None, calls)

            async def worker() -> None:
                for _ in tickets:
                    await call()

            await asyncio.gather(*[worker() for _ in range(CONCURRENCY)])

        checked(await call())
        await many(WARM_UP)
        meter.start()
        await many(CALLS)
        meter.stop()


if ROW.startswith("asyncio"):
    asyncio.run(run_asyncio())
else:
    {"sync": run_sync, "threads": run_threads, "gevent": run_gevent}[ROW]()
done = CALLS // CONCURRENCY * CONCURRENCY if ROW == "threads" else CALLS
print(meter.used / done * 1e6)
