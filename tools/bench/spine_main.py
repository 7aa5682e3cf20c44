"""Runs every row of `tools/bench/spine` for both clients in turn, and prints medians, ratios and verdicts."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLIENT = Path(__file__).with_name("spine_client.py")
SERVER_START_SECONDS = 60.0
RUN_SECONDS = 300.0
BODY_BYTES = 2048


@dataclass(frozen=True)
class Row:
    """One way of calling."""

    title: str
    cores: int  # that the client may use; a single one is never the server's
    bar: float  # CPU per call of the vendor's client divided by ours, at least


ROWS = {
    "sync": Row("one sync caller", 1, 2.8),
    "threads": Row("32 threads, one session", 2, 4.5),
    "asyncio-512": Row("asyncio, 512 in flight", 2, 2.8),
    "asyncio-1": Row("asyncio, one at a time", 1, 1.6),
    "gevent": Row("patched gevent, 64 greenlets", 1, 6.0),
}

NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off; default_type application/json; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    add_header X-BackendAI-Version v7.20230615; add_header Access-Control-Allow-Origin *;
    add_header X-RateLimit-Limit 30000; add_header X-RateLimit-Remaining 29999; add_header X-RateLimit-Window 900;
    location = / {{ return 200 '{version}'; }}
    location = /session/abc {{ return 200 '{session}'; }}
  }}
}}
"""


def session_reply() -> str:
    """What `GET /session/{name}` answers for a running session, padded to about 2 KiB."""
    reply = {
        "domainName": "default",
        "groupId": "8d2f4f0e-6a55-4d0e-9c0c-0e6d0c4f5a11",
        "userId": "5b1d3f3c-2f43-4b63-8a39-1d4f0a7c9e22",
        "lang": "cr.backend.ai/stable/python:3.9-ubuntu20.04",
        "image": "cr.backend.ai/stable/python:3.9-ubuntu20.04",
        "architecture": "x86_64",
        "registry": "cr.backend.ai",
        "tag": None,
        "containerId": "0123456789abcdef" * 4,
        "occupiedSlots": {"cpu": "4", "mem": "8589934592", "cuda.shares": "1.5"},
        "occupyingSlots": {"cpu": "4", "mem": "8589934592", "cuda.shares": "1.5"},
        "requestedSlots": {"cpu": "4", "mem": "8589934592", "cuda.shares": "1.5"},
        "environ": {"LANG": "C.UTF-8", "NPROC": "4", "OMP_NUM_THREADS": "4"},
        "resourceOpts": {"shmem": "64m"},
        "status": "RUNNING",
        "statusInfo": None,
        "statusData": {"kernel": {"exit_code": None}, "session": {"status": "running"}},
        "age": 123456,
        "creationTime": "2024-03-15T12:34:56.789012+00:00",
        "terminationTime": None,
        "numQueriesExecuted": 42,
        "idleChecks": {},
        "lastStat": {"text": ""},
    }
    reply["lastStat"] = {"text": "x" * (BODY_BYTES - len(json.dumps(reply)))}
    return json.dumps(reply)


@contextlib.contextmanager
def server(core: int) -> Iterator[int]:
    """An nginx pinned to one core; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        version = json.dumps({"version": "v7.20230615", "manager": "23.09.10"})
        config.write_text(NGINX.format(folder=folder, port=port, version=version, session=session_reply()))
        log = Path(folder) / "start.log"
        process = subprocess.Popen(
            ["taskset", "-c", str(core), "nginx", "-e", str(log), "-p", folder, "-c", str(config)],
            stderr=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + SERVER_START_SECONDS
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"nginx did not start: {log.read_text().strip() if log.exists() else 'no log'}")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()


def measure(python: str, side: str, name: str, calls: int, port: int, cores: list[int]) -> float:
    """Microseconds of CPU per call in one fresh process."""
    allowed = cores if ROWS[name].cores > 1 else cores[1:]
    command = [
        "taskset",
        "-c",
        ",".join(map(str, allowed)),
        python,
        "-P",
        str(CLIENT),
        side,
        name,
        str(calls),
        str(port),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if run.returncode:
        sys.exit(f"{side} {name} failed:\n{run.stderr[-2000:]}")
    return float(run.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vendor-python", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--reps", type=int, default=5, help="repetitions; medians are shown (default 5)")
    parser.add_argument("--calls", type=int, default=10_000, help="calls per repetition (default 10000)")
    parser.add_argument("--only", action="append", choices=ROWS, help="measure this row; may be given again")
    options = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("missing: a second core (one is the server's)")
    names = options.only or list(ROWS)
    pythons = {"ours": sys.executable, "vendor": options.vendor_python}
    cpu: dict[tuple[str, str], list[float]] = {(name, side): [] for name in names for side in pythons}
    with server(cores[0]) as port:
        for repetition in range(options.reps):
            for name in names:
                for side, python in pythons.items():
                    cpu[name, side].append(measure(python, side, name, options.calls, port, cores))
            print(f"repetition {repetition + 1} of {options.reps} done", file=sys.stderr)

    print(f"CPU (user + system) per call in the client, medians of {options.reps} x {options.calls} calls")
    print(f"{'':<30}{'cores':>6}{'ours, us':>10}{'vendor, us':>12}{'times less':>12}{'spread':>14}{'bar':>6}")
    missed = False
    for name in names:
        row, ours, vendor = ROWS[name], cpu[name, "ours"], cpu[name, "vendor"]
        ratios = [theirs / own for own, theirs in zip(ours, vendor, strict=True)]
        ratio = statistics.median(ratios)
        missed |= ratio < row.bar
        print(
            f"{row.title:<30}{row.cores:>6}{statistics.median(ours):>10.1f}{statistics.median(vendor):>12.1f}{ratio:>12.2f}"
            f"{f'{min(ratios):.2f}-{max(ratios):.2f}':>14}{row.bar:>6.1f}  {'pass' if ratio >= row.bar else 'FAIL'}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
