"""An HTTP proxy on loopback: absolute URLs are fetched, CONNECT makes a tunnel. It notes what was asked of it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import urllib.parse
from typing import Any

from support.waiting import LIMIT


class ForwardProxy:
    """For a `with` block.

    Attributes:
        url: Its address.
        lines: The request lines that came.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lines: list[str] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> ForwardProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            line, _, rest = head.partition(b"\r\n")
            self.lines.append(line.decode("latin-1"))
            method, target, _ = self.lines[-1].split(" ")
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                server = self._connect(host, int(port))
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                parts = urllib.parse.urlsplit(target)
                server = self._connect(parts.hostname or "", parts.port or 80)
                path = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
                # One request per connection, so that every one of them is seen.
                fields = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", b"\r\n" + rest)
                server.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close".encode() + fields)
            with server:
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join(LIMIT)

    def _connect(self, host: str, port: int) -> socket.socket:
        server = socket.create_connection((host, port), 10)
        self._open.append(server)
        return server


def _copy(source: Any, target: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
