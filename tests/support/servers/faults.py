"""A server that answers with scripted bytes, on a real socket, one script entry per request.

::

    with FaultServer() as server:
        server.script(cut_after(10), reply({"ok": True}))
        ...                        # the first request gets ten bytes and a closed connection, all others an answer
        server.requests            # what arrived, as parsed `RawRequest`s

The version probe (`GET /`) is answered by the server itself (see `FaultServer.probe`) and takes no script entry. An
entry is a callable that gets the connection and the request; the connection stays open when it returns True. The last
entry repeats.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from support.waiting import LIMIT, NEVER, until

VERSION = {"version": "v7.20230615", "manager": "23.09.10"}
PROBES = ("/", "/func/")
STOP_LIMIT = LIMIT
HOLD_LIMIT = NEVER
"""Seconds until a server that waits for its client has waited long enough."""


@dataclass(frozen=True)
class RawRequest:
    """A request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class Connection:
    """The server's end of one connection."""

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        self._server = server
        self._buffer = b""

    def read_request(self) -> RawRequest | None:
        """The next request; None when the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._receive():
                return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        length = int(headers.get("content-length", "0")) if self._server.read_bodies else 0
        self._buffer = rest
        while len(self._buffer) < length:
            if not self._receive():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        method, target, _ = line.split(" ", 2)
        return RawRequest(method, target, headers, body, self.number)

    def _receive(self) -> bool:
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until_delivered(self) -> None:
        """Wait until the client's system has all that was sent: a reset overtakes what is under way."""
        unsent = bytearray(4)

        def all_sent() -> bool:
            fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, unsent)
            return not any(unsent)

        until(all_sent, "the client's system has everything")

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def wait_for_close(self) -> None:
        """Keep silent until the client (or the end of the test) closes the connection."""
        with contextlib.suppress(OSError):
            self.socket.settimeout(HOLD_LIMIT)
            while self.socket.recv(65536):
                pass

    def wait_for_end(self) -> None:
        """The same without reading what the client sends."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        poll.poll(HOLD_LIMIT * 1000)


Step = Callable[[Connection, RawRequest], bool | None]


def head(status: int = 200, reason: str = "Scripted", headers: Mapping[str, object] | None = None) -> bytes:
    """Status line, headers and the empty line."""
    fields = {"Content-Type": "application/json", **(headers or {})}
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def message(body: Any, status: int = 200, headers: Mapping[str, object] | None = None) -> bytes:
    """A whole, correct answer; anything but bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, headers={"Content-Length": len(data), **(headers or {})}) + data


def reply(body: Any = None, status: int = 200, headers: Mapping[str, object] | None = None) -> Step:
    """A correct answer. Without a body, one that tells the path that was asked for."""

    def step(connection: Connection, request: RawRequest) -> bool:
        connection.send(message({"target": request.target} if body is None else body, status, headers))
        return True

    return step


def named() -> Step:
    """An answer with the name of the compute session that was asked for."""
    return lambda connection, request: reply({"name": request.target.rpartition("/")[2]})(connection, request)


def after(event: threading.Event, step: Step) -> Step:
    """`step`, when the event has come; the end of the connection if it does not."""
    return lambda connection, request: event.wait(LIMIT) and step(connection, request)


def raw(data: bytes, *, keep: bool = False) -> Step:
    """Exactly these bytes; then the connection is closed, unless `keep`."""

    def step(connection: Connection, request: RawRequest) -> bool:
        connection.send(data)
        return keep

    return step


def close() -> Step:
    """No byte, just the end of the connection."""
    return raw(b"")


def reset() -> Step:
    """No byte, just an RST."""

    def step(connection: Connection, request: RawRequest) -> None:
        connection.reset()

    return step


def cut_after(count: int, body: Any = None) -> Step:
    """The first `count` bytes of a correct answer."""
    return raw(message({"a": "b" * 100} if body is None else body)[:count])


def silence(data: bytes = b"") -> Step:
    """Some bytes, then nothing, with the connection left open."""

    def step(connection: Connection, request: RawRequest) -> None:
        connection.send(data)
        connection.wait_for_close()

    return step


def deafness() -> Step:
    """Neither reads nor answers."""

    def step(connection: Connection, request: RawRequest) -> None:
        connection.wait_for_end()

    return step


def once_per_connection(step: Step) -> Step:
    """Something between has forgotten a connection that has served, and swallows what comes over it, without a word."""
    known: set[int] = set()

    def forgetting(connection: Connection, request: RawRequest) -> bool | None:
        if connection.number in known:
            connection.wait_for_close()
            return False
        known.add(connection.number)
        return step(connection, request)

    return forgetting


def drip(data: bytes, *, start: bytes = b"", every: float = 0.1) -> Step:
    """`start` at once, then one byte at a time: never silent for long, never done."""

    def step(connection: Connection, request: RawRequest) -> bool:
        connection.send(start)
        for index in range(len(data)):
            if select.select([connection.socket], [], [], every)[0]:
                return False  # the client has closed
            connection.send(data[index : index + 1])
        return True

    return step


def gzipped(body: Any) -> Step:
    data = gzip.compress(json.dumps(body).encode())
    return reply(data, headers={"Content-Encoding": "gzip"})


def close_after(step: Step) -> Step:
    """What `step` sends, then the end of the connection although nothing announced it."""

    def closing(connection: Connection, request: RawRequest) -> None:
        step(connection, request)

    return closing


class FaultServer:
    """Listens on loopback, one thread per connection.

    Args:
        context: Speak TLS with this server context.

    Attributes:
        url: The endpoint.
        requests: Every request but the probe's, in the order of arrival.
        probe: The step that answers `GET /`.
        read_bodies: False: request bodies are left unread.
        connections: How many connections were accepted.
        closed: How many of them have ended.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.probe: Step = reply(VERSION)
        self.read_bodies = True
        self.requests: list[RawRequest] = []
        self.connections = self.closed = 0
        self._script: list[Step] = [reply()]
        self._context = context
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listen(0)

    def _listen(self, port: int) -> None:
        self._stopping = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, name="fault-server", daemon=True)
        self._accepting.start()

    def script(self, *steps: Step) -> None:
        """What the next requests get, in order; the last step repeats."""
        with self._lock:
            self._script = list(steps)

    def received(self, target: str) -> int:
        """How many requests for exactly this path arrived."""
        return sum(request.target == target for request in self.requests)

    def stop(self) -> None:
        """Close listener and connections; the port refuses afterwards."""
        with self._lock:
            self._stopping = True
            sockets = list(self._sockets)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(STOP_LIMIT)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(STOP_LIMIT)
        self._threads.clear()

    def restart(self) -> None:
        """Listen again on the same port after `stop`."""
        self._listen(self.port)

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._stopping:
            self.stop()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._stopping:
                    sock.close()
                    return
                self.connections += 1
                number = self.connections
                self._sockets.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock, number), name=f"fault-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        sock = plain
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._sockets.discard(plain)
                    self._sockets.add(sock)
            connection = Connection(self, sock, number)
            while (request := connection.read_request()) is not None:
                if not self._next_step(request)(connection, request):
                    break
        except (OSError, ValueError):
            pass  # the client went away, or refused the handshake
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            with self._lock:
                self._sockets.discard(sock)
                self._sockets.discard(plain)
                self.closed += 1

    def _next_step(self, request: RawRequest) -> Step:
        if request.target in PROBES and request.method == "GET":
            return self.probe
        with self._lock:
            self.requests.append(request)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]


@contextlib.contextmanager
def black_hole() -> Any:
    """An address that neither accepts nor refuses: its queue is full, so that the kernel drops further SYNs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        time.sleep(0.05)  # the kernel completes what it will complete of those connections
        yield f"http://127.0.0.1:{address[1]}"


_taken: list[socket.socket] = []


def unused_port() -> int:
    """A loopback port that refuses connections. It does until the process ends: no other can take it."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))  # and never listens
    _taken.append(taken)
    port: int = taken.getsockname()[1]
    return port
