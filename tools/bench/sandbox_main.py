"""Runs `tools/bench/sandbox`: small calls to a sandbox, and what each costs it.

Every call of a row is the same signed request, made once and sent as bytes: the load costs next to nothing, and what
is counted is the CPU time of the server's process alone, not of the compute session behind it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ai.backend.client.auth import generate_signature

API = "v7.20230615"
CONNECTIONS = 4
LIMIT_SECONDS = 60.0
PLENTY = 10**9
"""Calls per 15 minutes that a key may make."""
BAR = 2000
"""Calls per second of the server's CPU time, at least: what the sandbox promises for small calls."""
TICKS = os.sysconf("SC_CLK_TCK")
NAME = "bench"


@dataclass(frozen=True)
class Row:
    """One call."""

    method: str
    path: str
    body: object = None
    bar: int = BAR


ROWS = {
    "hello": Row("GET", "/"),
    "status": Row("GET", "/manager/status"),
    "get_info": Row("GET", f"/session/{NAME}"),
    "get_logs": Row("GET", f"/session/{NAME}/logs"),
    "execute": Row("POST", f"/session/{NAME}", {"mode": "query", "runId": None, "code": "1 + 1"}),
    "presets": Row("GET", "/resource/presets"),
    "folders": Row("GET", "/folders"),
    "query": Row("POST", "/admin/gql", {"query": "{ agents: agent_list(limit: 1, offset: 0) { total_count } }"}, 500),
}


class Server:
    """A sandbox on a core of its own."""

    def __init__(self, process: subprocess.Popen[bytes], lines: dict[str, str]) -> None:
        self._pid = process.pid
        self._keys = lines["BACKEND_ACCESS_KEY"], lines["BACKEND_SECRET_KEY"]
        self._endpoint = lines["BACKEND_ENDPOINT"]

    def cpu(self) -> float:
        """Seconds of CPU that it has used, in user and system mode."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def connect(self) -> socket.socket:
        url = urlsplit(self._endpoint)
        assert url.hostname is not None
        return socket.create_connection((url.hostname, url.port or 80), LIMIT_SECONDS)

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """The bytes of a signed request."""
        date = datetime.datetime.now(datetime.UTC)
        content_type = "text/plain" if body is None else "application/json"
        content = b"" if body is None else json.dumps(body).encode()
        access_key, secret_key = self._keys
        headers, _ = generate_signature(
            method=method,
            version=API,
            endpoint=self._endpoint,
            date=date,
            rel_url=path,
            content_type=content_type,
            access_key=access_key,
            secret_key=secret_key,
            hash_type="sha256",
        )
        headers |= {
            "Host": urlsplit(self._endpoint).netloc,
            "Date": date.isoformat(),
            "X-BackendAI-Version": API,
            "Content-Type": content_type,
            "Content-Length": str(len(content)),
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + content


@contextlib.contextmanager
def serving(python: str, core: int) -> Iterator[Server]:
    """A sandbox of the package that an interpreter has, with one compute session."""
    command = [python, "-P", "-m", "ai.backend.client.sandbox", "--rate-limit", str(PLENTY)]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        lines: dict[str, str] = {}
        while "BACKEND_ENDPOINT" not in lines:
            name, found, value = process.stdout.readline().decode().rstrip("\n").partition("=")
            if not found:
                sys.exit(f"{python}: the sandbox did not start")
            lines[name] = value
        server = Server(process, lines)
        made = {"clientSessionToken": NAME, "lang": "cr.backend.ai/stable/python:3.9-ubuntu20.04", "config": {}}
        with server.connect() as connection:
            exchange(connection, server.request("POST", "/session", made), 201)
        yield server
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def exchange(connection: socket.socket, request: bytes, status: int = 200) -> None:
    """One call; anything but this status ends the program."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connection.recv(65536)
        if not data:
            sys.exit(f"the connection was closed: {request!r}")
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    if not head.startswith(b"HTTP/1.1 %d " % status):
        sys.exit(f"{request!r} was answered: {answer[:1000]!r}")


def measure(server: Server, row: Row, calls: int) -> float:
    """Microseconds of the server's CPU per call; several connections take turns."""
    request = server.request(row.method, row.path, row.body)
    failures: list[OSError | SystemExit] = []

    def caller() -> None:
        try:
            with server.connect() as connection:
                for _ in range(calls // CONNECTIONS):
                    exchange(connection, request)
        except (OSError, SystemExit) as error:
            failures.append(error)

    threads = [threading.Thread(target=caller) for _ in range(CONNECTIONS)]
    before = server.cpu()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return (server.cpu() - before) / (calls // CONNECTIONS * CONNECTIONS) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=5, help="repetitions; medians are shown (default 5)")
    parser.add_argument("--calls", type=int, default=2000, help="calls per repetition (default 2000)")
    parser.add_argument("--only", action="append", choices=ROWS, help="measure this row; may be given again")
    parser.add_argument("--against", metavar="PYTHON", help="another environment, whose sandbox is measured in turn")
    options = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("missing: a second core (one is the server's)")
    os.sched_setaffinity(0, {cores[1]})
    names = options.only or list(ROWS)
    pythons = [sys.executable, *([options.against] if options.against else [])]
    cost: dict[tuple[str, str], list[float]] = {(name, python): [] for name in names for python in pythons}
    with contextlib.ExitStack() as running:
        servers = {python: running.enter_context(serving(python, cores[0])) for python in pythons}
        for name in names:
            for server in servers.values():
                measure(server, ROWS[name], options.calls // 10)  # what it imports and caches the first time
        for repetition in range(options.reps):
            for name in names:
                for python, server in servers.items():
                    cost[name, python].append(measure(server, ROWS[name], options.calls))
            print(f"repetition {repetition + 1} of {options.reps} done", file=sys.stderr)

    print(f"CPU (user + system) of the sandbox's process, medians of {options.reps} x {options.calls} calls")
    print(
        f"{'':<12}{'us/call':>10}{'calls/s':>10}{'best':>10}{'bar':>8}" + f"{'other, us':>12}" * bool(options.against)
    )
    missed = False
    for name in names:
        own, bar = cost[name, sys.executable], ROWS[name].bar
        median = statistics.median(own)
        missed |= 1e6 / median < bar
        other = f"{statistics.median(cost[name, options.against]):>12.0f}" if options.against else ""
        print(
            f"{name:<12}{median:>10.0f}{1e6 / median:>10.0f}{1e6 / min(own):>10.0f}{bar:>8}{other}"
            f"  {'pass' if 1e6 / median >= bar else 'FAIL'}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
