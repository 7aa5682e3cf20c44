"""Tunnels: a local port whose connections end at a service inside a compute session."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from ai.backend.client.exceptions import StreamClosed
from ai.backend.client.functions.base import M
from ai.backend.client.functions.streams.stream import StreamLife, StreamSpec

__all__ = ["Tunnel", "TunnelSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSpec(StreamSpec):
    """A tunnel.

    Attributes:
        request: Makes the request for each connection's WebSocket.
        check: Makes the recipe that looks, before anything listens, whether the service is there.
        host: Numeric local address.
        port: Local port; 0: any.
    """

    check: Callable[[], Generator[Any, Any, Any]]
    host: str
    port: int


class _TunnelDriver(Protocol):
    address: tuple[str, int] | None
    connections: int
    last_error: BaseException | None


class Tunnel(StreamLife[M]):
    """A local port whose connections end at a service of a compute session, each over a WebSocket of its own.

    ::

        with session.Kernel("my-session").tunnel("sshd") as tunnel:
            host, port = tunnel.address
            ...                                  # ssh -p {port} work@{host}

    Any number of connections at once, up to the configuration's ``streams``. A connection that cannot be relayed, or
    breaks, is reset and logged, and :attr:`last_error` says why; the tunnel goes on.

    A WebSocket cannot be half-closed: when the local side has finished sending, what the service still has to say is
    relayed until it is silent for two seconds.
    """

    @property
    def _running(self) -> _TunnelDriver:
        return cast("_TunnelDriver", self._driver)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: numeric host and port.

        Raises:
            StreamClosed: It is not open.
        """
        address = None if self._made is None or self.closed else self._running.address
        if address is None:
            raise StreamClosed("the tunnel is not open")
        return address

    @property
    def connections(self) -> int:
        """How many connections are being relayed."""
        return 0 if self._made is None else self._running.connections

    @property
    def last_error(self) -> BaseException | None:
        """Why the latest connection that could not be relayed, or broke, did."""
        return None if self._made is None else self._running.last_error
