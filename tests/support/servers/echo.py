"""Starting, watching and stopping an echo server (see `support.servers.echo_server`)."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.waiting import LIMIT, until

SERVER = Path(__file__).with_name("echo_server.py")


class EchoServer:
    """Handle on the server's process.

    Attributes:
        url: The endpoint.
        identity: What the server calls itself in its answers.
    """

    def __init__(self, *, identity: str = "echo", keys: dict[str, str] | None = None) -> None:
        self.identity = identity
        command = [sys.executable, "-I", str(SERVER), "--identity", identity]
        for access, secret in (keys or {}).items():
            command += ["--key", f"{access}:{secret}"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the echo server did not start"
        self.port = int(line)
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End the process; its port refuses connections afterwards."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.terminate()
        self._process.wait(LIMIT)
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> EchoServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _control(self, method: str, path: str) -> dict[str, Any]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)) as connection:
            connection.request(method, f"/_control/{path}")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer

    def reset(self) -> None:
        """Forget what was counted."""
        self._control("POST", "reset")

    def stats(self) -> dict[str, Any]:
        """Counters: requests, connections, open, peak, pending, paths, aborted."""
        return self._control("GET", "stats")

    def seen(self, name: str) -> int:
        """How many requests named `name` have arrived, whatever their method."""
        return sum(count for path, count in self.stats()["paths"].items() if name in path)

    def aborted(self, name: str) -> bool:
        """Whether the client closed the connection of a request named `name` before its answer."""
        return any(name in path for path in self.stats()["aborted"])

    def until_seen(self, name: str, times: int = 1) -> None:
        """Wait until the server has a request of that name."""
        until(lambda: self.seen(name) >= times, f"the server gets {name}")

    def until_pending(self, count: int) -> None:
        """Wait until that many requests wait for their answers."""
        until(lambda: self.stats()["pending"] >= count, f"{count} requests are on the wire")


@contextlib.contextmanager
def echo_server(**options: Any) -> Iterator[EchoServer]:
    """A running server for a `with` block."""
    with EchoServer(**options) as server:
        yield server
