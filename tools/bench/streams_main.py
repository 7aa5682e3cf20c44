"""Runs `tools/bench/streams`: a server and a client process for each runtime, and the verdict."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SERVER = HERE.parents[1] / "tests" / "support" / "event_server.py"
CLIENT = HERE / "streams_client.py"
PERIOD = 1.0
SLOWER = 3.0
"""How many times as long a call may take with streams as without them, at the 99th percentile."""
START_SECONDS = 120.0
COLUMNS = (
    "events",
    "lost",
    "disorder",
    "us/event",
    "cpu, %",
    "KiB/stream",
    "delay p99, ms",
    "calls",
    "idle p99, ms",
    "busy p99, ms",
    "times",
)


def measure(runtime: str, options: argparse.Namespace, cores: list[int]) -> dict[str, float]:
    """One run in fresh processes."""
    server = subprocess.Popen(
        ["taskset", "-c", str(cores[0]), sys.executable, "-I", str(SERVER), str(PERIOD), str(int(not options.burst))],
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        command = ["taskset", "-c", str(cores[1]), sys.executable, "-P", str(CLIENT), runtime, str(port)]
        run = subprocess.run(
            [*command, str(options.streams), str(options.seconds)],
            capture_output=True,
            text=True,
            timeout=options.seconds + START_SECONDS,
            check=False,
        )
        if run.returncode:
            sys.exit(f"{runtime} failed:\n{run.stderr[-4000:]}")
        found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
        return found
    finally:
        server.terminate()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runtime", action="append", choices=("asyncio", "thread", "gevent"))
    parser.add_argument("--burst", action="store_true", help="all streams get their event at the same moment")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("missing: a second core (one is the server's)")
    print(f"{options.streams} streams, one event a second each, {options.seconds:.0f} s, client on one core")
    print(f"{'':<9}" + "".join(f"{name:>14}" for name in COLUMNS))
    missed = False
    for runtime in options.runtime or ["asyncio", "thread", "gevent"]:
        found = measure(runtime, options, cores)
        times = found["busy_p99"] / found["idle_p99"]
        bad = bool(found["lost"] or found["disorder"] or (times > SLOWER and not options.burst))
        missed |= bad
        figures = (
            f"{found['events']:.0f}",
            f"{found['lost']:.0f}",
            f"{found['disorder']:.0f}",
            f"{found['cpu_per_event']:.0f}",
            f"{found['cpu_share']:.1f}",
            f"{found['memory_per_stream']:.1f}",
            f"{found['delay_p99']:.1f}",
            f"{found['calls']:.0f}",
            f"{found['idle_p99']:.2f}",
            f"{found['busy_p99']:.2f}",
            f"{times:.2f}",
        )
        print(f"{runtime:<9}" + "".join(f"{figure:>14}" for figure in figures) + ("  FAIL" if bad else "  pass"))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
