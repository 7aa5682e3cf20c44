"""A listening socket on a hub."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.net.sockets import READ, HubSocket, Socket, keep_alive, open_sockets

BACKLOG = 128
"""Connections that may wait to be accepted."""

ACCEPT_REST = 0.5
"""Seconds without accepting after a failure to accept."""


class Listener:
    """A listening TCP socket on a hub. Hub side only.

    Args:
        hub: Where it lives.
        host: Numeric address to listen on.
        port: Port; 0: any that is free.
        accepted: Called in the hub's own greenlet with each connection.

    Attributes:
        address: Host and port.

    Raises:
        OSError: The address cannot be listened on.
    """

    _files = 0  # see close_all

    def __init__(self, hub: Hub, host: str, port: int, accepted: Callable[[HubSocket], object]) -> None:
        self._hub = hub
        self._accepted = accepted
        self._raw = Socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._raw.setblocking(False)
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._raw.bind((host, port))
            self._raw.listen(BACKLOG)
        except BaseException:
            self._raw.close()
            raise
        self.address: tuple[str, int] = self._raw.getsockname()[:2]
        self._watcher = hub.loop.io(self._raw.fileno(), READ, ref=False)
        self._watcher.start(self._readable)
        self._rest: Any = None
        open_sockets.setdefault(hub, set()).add(self)

    def _readable(self) -> None:
        self._hub.in_turn = True
        try:
            raw, _ = self._raw.accept()
        except BlockingIOError:
            return
        except OSError:  # out of descriptors, most likely: the loop must not spin until there are some
            self._watcher.stop()
            self._rest = self._hub.later(ACCEPT_REST, self._go_on, ref=False)
            return
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(raw)  # and no limit for what it leaves unread: a program that is stopped may go on later
        self._accepted(HubSocket(self._hub, raw))

    def _go_on(self) -> None:
        self._rest = None
        self._watcher.start(self._readable)

    def close(self) -> None:
        """Stop listening."""
        if self._raw.fileno() < 0:
            return
        open_sockets.get(self._hub, set()).discard(self)
        if self._rest is not None:
            self._rest.cancel()
        self._watcher.stop()
        self._watcher.close()
        self._raw.close()

    def drop(self) -> None:
        """Close this process's copy of the descriptor and nothing else: for a forked child."""
        if not self._hub.own_thread:
            self._watcher.stop()
        self._raw.close()
