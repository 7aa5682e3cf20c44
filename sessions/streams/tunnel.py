"""Tunnels that run: a listener, and a WebSocket for each of its connections."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NoReturn

from ai.backend.client import log
from ai.backend.client.actors.call import Options
from ai.backend.client.actors.greenlets import HubGreenlet
from ai.backend.client.actors.hub import Timer
from ai.backend.client.actors.net.listener import Listener
from ai.backend.client.actors.net.sockets import HubSocket
from ai.backend.client.actors.offload import Abandoned
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.exceptions import BackendError, InvalidArgument, StreamClosed
from ai.backend.client.functions.streams.tunnel import TunnelSpec
from ai.backend.client.functions.streams.websocket import WebSocketSpec, WSMessage
from ai.backend.client.sessions.streams.driver import CHUNK, CLOSED_HERE, State, StreamDriver
from ai.backend.client.sessions.streams.outbox import OUTGOING_HIGH
from ai.backend.client.sessions.streams.websocket import SocketDriver

LINGER = 2.0
"""Seconds of the service's silence after which a connection is closed whose local side has finished sending."""

LOCAL_ENDED = "the local connection ended"

BETWEEN_FRAMES = "unexpected end of stream"
"""What the ``websockets`` library says of a connection that ends where a frame might have begun."""

_log = log.get_logger("sessions.stream_tunnel")


class RelayDriver(SocketDriver):
    """One connection of a tunnel: what comes over the WebSocket goes to a local socket, and the other way round.

    Args:
        streams: The session's streams.
        spec: The WebSocket.
        options: Limits.
        tunnel: The tunnel.
        local: The local connection.
    """

    def __init__(
        self, streams: Any, spec: WebSocketSpec, options: Options, tunnel: TunnelDriver, local: HubSocket
    ) -> None:
        super().__init__(streams, spec, options)
        self._tunnel = tunnel
        self._local = local
        self._pump = HubGreenlet(self._hub, self._send_on)
        self._linger: Timer | None = None
        self._last_heard = 0.0

    def _begin(self) -> None:
        super()._begin()
        self._pump.start()

    def _deliver(self, message: WSMessage) -> None:
        data = message.data.encode() if isinstance(message.data, str) else message.data
        self._last_heard = monotonic()
        try:
            self._local.sendall(data)
        except OSError:
            raise StreamClosed(LOCAL_ENDED) from None

    def _send_on(self) -> None:
        """In a greenlet: from the local socket to the WebSocket."""
        try:
            self._forward()
        except Abandoned:
            raise
        except BaseException as defect:  # noqa: BLE001  # half a connection is none
            self._end_soon(self._crashed(defect))

    def _forward(self) -> None:
        while True:
            try:
                data = self._local.recv(CHUNK)
            except OSError:
                self._end_soon(StreamClosed(LOCAL_ENDED))
                return
            if self._protocol.state.name != "OPEN":
                return
            if not data:
                self._last_heard = monotonic()  # the service's time to answer counts from here
                self._hub.call(self._wait_for_silence)
                return
            self._protocol.send_binary(data)
            self._flush()
            self._outbox.wait(self._pump, OUTGOING_HIGH // 2)

    def _after_end(self) -> BackendError:
        """The manager lets the connection end without a close when the service has closed."""
        error = super()._after_end()
        cut = not self._assembler.is_empty or str(self._protocol.parser_exc) != BETWEEN_FRAMES
        return StreamClosed("the service ended the connection", 1001) if not self._closing and not cut else error

    def _wait_for_silence(self) -> None:
        if self._state is State.ENDED:
            return
        if self._outbox.size:  # it has not heard everything yet
            self._last_heard = monotonic()
        left = self._last_heard + LINGER - monotonic()
        if left > 0:
            self._linger = self._hub.later(left, self._wait_for_silence, ref=False)
        else:
            self._close()

    def _release(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._pump.stop()
        super()._release()
        if not self._tunnel.relay_ended(self):
            self._local.reset_on_close()  # half a file must not look like a whole one
        self._local.close()


class TunnelDriver(StreamDriver[NoReturn]):
    """A tunnel that runs.

    Attributes:
        address: Where it listens, once it does.
        last_error: Why the latest connection broke that did.
    """

    def __init__(self, streams: Any, spec: TunnelSpec, options: Options) -> None:
        super().__init__(streams, spec, options)
        self._tunnel_spec = spec
        self._listener: Listener | None = None
        self._relays: set[RelayDriver] = set()
        self.address: tuple[str, int] | None = None
        self.last_error: BaseException | None = None

    @property
    def connections(self) -> int:
        """How many connections are being relayed."""
        return len(self._relays)

    @staticmethod
    def size_of(item: NoReturn) -> int:  # noqa: ARG004  # the form of the base class
        """There are no items."""
        return 0

    def _opening(self) -> Generator[Any, Any, None]:
        spec = self._tunnel_spec
        yield from spec.check()
        spec.request()  # what is wrong with it is wrong for every connection
        if self._state is not State.OPENING:
            raise StreamClosed(CLOSED_HERE)
        try:
            self._listener = Listener(self._hub, spec.host, spec.port, self._accepted)
        except OSError as error:
            text = f"cannot be listened on at {spec.host}: {error.strerror}"
            raise InvalidArgument("port", spec.port, text) from error
        self.address = self._listener.address

    def _accepted(self, local: HubSocket) -> None:
        spec = WebSocketSpec(
            function=self._spec.function, actor=self._spec.actor, request=self._spec.request, compress=False
        )
        relay = RelayDriver(self._streams, spec, self._options, self, local)
        self._relays.add(relay)
        relay.open()

    def relay_ended(self, relay: RelayDriver) -> bool:
        """One of the connections is over. Returns whether it ended as it should."""
        self._relays.discard(relay)
        error = relay.error
        if not isinstance(error, BackendError) or (isinstance(error, StreamClosed) and error.is_clean):
            return True
        self.last_error = error
        if self._state is not State.ENDED:
            told = {"function": repr(self), "error": repr(error)}
            self._hub.emit(lambda: _log.warning("a tunnelled connection broke", **told))
        return False

    def _release(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for relay in list(self._relays):
            relay.abort(self.error or StreamClosed(CLOSED_HERE))
        super()._release()
