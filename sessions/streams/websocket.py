"""WebSockets that run: the ``websockets`` library frames, this module moves bytes, answers for time and closes.

That library's sans-I/O layer is the fastest and strictest there is: 4 µs per small message where ``wsproto`` takes
10 µs, 7 µs to mask 64 KiB where that takes 170 µs, and its decompression stops at the message limit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from websockets.exceptions import InvalidState, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import State as WireState

from ai.backend.client.actors.call import Options
from ai.backend.client.actors.channel import stream_future
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.hub import Timer
from ai.backend.client.actors.steps import Pause
from ai.backend.client.exceptions import (
    BackendError,
    ConnectionLost,
    InvalidReply,
    Overloaded,
    ProtocolError,
    ReadTimeout,
    StreamClosed,
)
from ai.backend.client.functions.streams.websocket import GracefulShutdown, WebSocketSpec, WSMessage, WSMsgType
from ai.backend.client.sessions.streams.assembler import MessageAssembler
from ai.backend.client.sessions.streams.driver import CHUNK, CLOSED_HERE, State, StreamDriver
from ai.backend.client.sessions.streams.heartbeat import Heartbeat
from ai.backend.client.sessions.streams.outbox import OUTGOING_HIGH, Outbox
from ai.backend.client.sessions.streams.websocket_protocol import ClientProtocol, handshake, new_protocol
from ai.backend.client.sessions.wire.failures import FAILURES, translate

SWITCHED = 101

WRITE_LIMIT = 300.0
"""Seconds that a server which answers pings may take nothing of what is sent to it."""

CLOSE_LIMIT = 1.0
"""Seconds that the server gets to answer a close."""

SHUTDOWN_LIMIT = 10.0
"""Seconds that a server gets to stop what it has under way, before the socket is closed all the same."""

SHUTDOWN_STEP = 0.1
"""Seconds between two looks whether it has; the manager reports every 0.2 s."""

OUTGOING_LIMIT = 64 << 20
"""Bytes that may wait to be sent."""


DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)

_Item = tuple[WSMsgType | None, bytes]
"""A message that is sent as soon as the stream is open; without a kind it is a ping."""


class SocketDriver(StreamDriver[WSMessage]):
    """A WebSocket that runs. ``send`` and ``ping`` are for any thread."""

    def __init__(self, streams: Any, spec: WebSocketSpec, options: Options) -> None:
        super().__init__(streams, spec, options)
        self._socket_spec = spec
        self._protocol: ClientProtocol
        self._sock: Any = None
        self._read: Callable[[int], bytes]
        self._ready = False
        self._outbox: Outbox[_Item] = Outbox(self._hub, self._sending_failed)
        self._unsendable: BackendError | None = None
        self._assembler = MessageAssembler()
        self._heartbeat = Heartbeat(
            self._hub, options.timeout, lambda: self._outbox.size > 0, self._ping_server, self._server_is_silent
        )
        self._last: WSMessage | None = None
        self._shutdowns: list[CallFuture[None]] = []
        self._shutdown: CallFuture[Any] | None = None
        self._shutdown_timer: Timer | None = None
        self._closing = False
        self._close_timer: Timer | None = None

    # -- opening ------------------------------------------------------------------------------------------------------

    def headers(self) -> Mapping[str, str]:
        """The handshake's headers, with a fresh key."""
        spec = self._socket_spec
        self._protocol = new_protocol(spec.max_message, spec.compress)
        return {name: value for name, value in self._protocol.connect().headers.raw_items() if name != "Host"}

    def expects(self, status: int) -> bool:
        """Nothing but the switch of protocols."""
        return status == SWITCHED

    def accept(self, raw: Any) -> None:
        """Check the handshake."""
        connection = getattr(raw.raw, "connection", None)
        answer = getattr(raw.raw, "_original_response", None)
        if connection is None or answer is None:
            raise InvalidReply("the answer claims to switch protocols, and has a body", raw.status_code)
        handshake(self._protocol, raw)
        self._sock = connection.sock
        self._read = answer.fp.read1  # some frames may have come with the head

    # -- any thread ---------------------------------------------------------------------------------------------------

    def send(self, kind: WSMsgType, data: bytes) -> CallFuture[None]:
        """Send a message. The future is settled when the system has taken it."""
        return self._ask_to_send(kind, data)

    def ping(self, data: bytes) -> CallFuture[None]:
        """Send a ping."""
        return self._ask_to_send(None, data)

    def _ask_to_send(self, kind: WSMsgType | None, data: bytes) -> CallFuture[None]:
        self._refuse_in_child()
        if self._state is State.NEW:
            self.open()
        future = stream_future(self._owner, _nothing)
        self._hub.call(lambda: self._send(kind, data, future))
        return future

    def begin_shutdown(self) -> CallFuture[Any] | None:
        """Have a server that has something under way stop, and go on listening until it has."""
        spec, last = self._socket_spec, self._last
        if self._shutdown is not None:
            return self._shutdown
        if spec.shutdown is None or self._state is not State.OPEN or (last and spec.shutdown.is_over(last)):
            return None
        over = CallFuture[None]()
        self._shutdowns.append(over)
        first = self._shutdown = self._shutdowns[0]
        if first is not over:  # another thread was faster
            return first
        self._channel.close(StreamClosed(CLOSED_HERE))  # what still comes is for nobody
        try:
            call = self._owner.submit("close", spec.actor, self._shut_down(spec.shutdown), self._options, in_line=True)
        except BaseException as error:
            over.settle(None, None)
            if not isinstance(error, BackendError):  # the session is closing; Streams.begin_shutdown came before
                raise
        else:

            def ended() -> None:
                if not call.cancelled():
                    call.exception(0)  # looked at, so that nobody is warned: the stream ends all the same
                over.settle(None, None)

            call.on_settled(ended)
            self._hub.call(lambda: self._limit_shutdown(call))
        return over

    def _limit_shutdown(self, call: CallFuture[Any]) -> None:
        if self._state is not State.ENDED:
            self._shutdown_timer = self._hub.later(SHUTDOWN_LIMIT, call.cancel, ref=False)

    def _shut_down(self, shutdown: GracefulShutdown) -> Generator[Any, Any, None]:
        """A recipe. It ends when the server has closed: until then the server reports to us, and does nothing else."""
        yield from shutdown.recipe()
        answered = None
        while not self.is_over:
            if self._last is not answered and self._last is not None:
                answered = self._last
                text = shutdown.answer(answered)
                if text is not None:
                    self._send(WSMsgType.TEXT, text.encode(), CallFuture())
            yield Pause(SHUTDOWN_STEP)

    # -- sending, on the hub ------------------------------------------------------------------------------------------

    def _send(self, kind: WSMsgType | None, data: bytes, future: CallFuture[Any]) -> None:
        if self._state is State.ENDED:
            future.settle(None, self.error)
        elif self._closing or self._unsendable is not None:
            future.settle(None, self._unsendable or StreamClosed(CLOSED_HERE))
        elif self._outbox.size + len(data) > OUTGOING_LIMIT:
            future.settle(None, Overloaded(f"{OUTGOING_LIMIT} bytes wait to be sent"))
        elif not self._ready:
            self._outbox.hold((kind, data), len(data), future)
        else:
            protocol = self._protocol
            send = {WSMsgType.TEXT: protocol.send_text, WSMsgType.BINARY: protocol.send_binary}
            try:
                (protocol.send_ping if kind is None else send[kind])(data)
            except InvalidState:  # the server has closed, and the reader is about to say so
                future.settle(None, StreamClosed("the server has closed the stream"))
            else:
                self._flush(future)

    def _flush(self, future: CallFuture[Any] | None = None) -> None:
        """Hand over what the protocol wants sent."""
        blocks = [block for block in self._protocol.data_to_send() if block]  # an empty one: the end of sending
        if blocks and self._unsendable is None:
            self._outbox.put(blocks[0] if len(blocks) == 1 else b"".join(blocks), future)

    def _sending_failed(self, error: BaseException) -> None:
        """In the outbox's greenlet."""
        if isinstance(error, FAILURES):
            failure = self._located(translate(error))
            self._hub.call(lambda: self._stop_sending(failure))
        else:
            self._end_soon(self._crashed(error))

    def _stop_sending(self, error: BackendError) -> None:
        """The server takes nothing more. What it said last, its close most of all, may not have been read yet."""
        if self._state is State.ENDED:
            return
        self._unsendable = error
        self._outbox.discard(error)
        self._end_in(CLOSE_LIMIT, error)

    def _end_in(self, seconds: float, error: BaseException) -> None:
        self._heartbeat.stop()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._close_timer = self._hub.later(seconds, lambda: self._end(error), ref=False)

    # -- receiving, in the reader's greenlet --------------------------------------------------------------------------

    def serve(self) -> BaseException | None:
        """Read until either side has closed."""
        protocol = self._protocol
        self._sock.settimeout(WRITE_LIMIT)
        self._sock.set_unread_limit(None)  # pings notice a server that has vanished, and WRITE_LIMIT counts for others
        self._begin()
        while True:
            data = self._receive()
            if not data:
                protocol.receive_eof()
                return self._after_end()
            protocol.receive_data(data)
            self._flush()
            for event in protocol.events_received():
                if isinstance(event, Frame):
                    error = self._take_frame(event)
                    if error is not None:
                        return self._leave(error)
            if protocol.parser_exc is not None:
                return self._leave(self._broken_rule(protocol.parser_exc))
            if self._outbox.size > OUTGOING_HIGH:
                self._outbox.wait(self._reader, OUTGOING_HIGH // 2)

    def _begin(self) -> None:
        self._protocol.events_received()  # the handshake
        self._heartbeat.start()
        self._ready = True
        held = self._outbox.open(self._sock)
        first = self._socket_spec.first_message
        if first is not None:
            self._protocol.send_text(first.encode())
            self._flush()
        for (kind, data), future in held:
            self._send(kind, data, future)

    def _receive(self) -> bytes:
        self._heartbeat.listen()
        try:
            while True:
                try:
                    return self._read(CHUNK)
                except TimeoutError:
                    continue  # for how long it may be silent is the heartbeat's business
        finally:
            self._heartbeat.heard()

    def _take_frame(self, frame: Frame) -> BackendError | None:
        """Handle a frame. Returns what ends the stream with it."""
        opcode = frame.opcode
        if opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            if close is None or self._closing:
                return StreamClosed(CLOSED_HERE, 1000)
            return StreamClosed(close.reason or "the server closed the stream", close.code)
        if opcode not in DATA:
            return None
        try:
            message = self._assembler.feed(frame)
        except UnicodeDecodeError:
            self._protocol.fail(1007, "not UTF-8")
            self._flush()
            return ProtocolError("a text message is not UTF-8")
        if message is None:
            return None
        self._last = message if self._socket_spec.shutdown is not None else None
        self._deliver(message)
        return self._work_done(message)

    def _work_done(self, message: WSMessage) -> StreamClosed | None:
        """Close behind a message that says that there is nothing more to come."""
        shutdown = self._socket_spec.shutdown
        if shutdown is None or not shutdown.is_over(message):
            return None
        try:
            self._protocol.send_close(1000)
        except InvalidState:  # closing already
            pass
        self._flush()
        return StreamClosed("the server has finished", 1000)

    def _deliver(self, message: WSMessage) -> None:
        """A message is complete. May wait until there is room for it."""
        self._channel.put(message)

    def _broken_rule(self, error: Exception) -> BackendError:
        if isinstance(error, PayloadTooBig):
            return ProtocolError(f"a message is longer than {self._socket_spec.max_message} bytes")
        if isinstance(error, EOFError):
            return ConnectionLost("the connection ended without a close")
        return ProtocolError(f"the server breaks the rules of WebSocket: {str(error)[:200]}")

    def _after_end(self) -> BackendError:
        """The connection has ended, before or after a close."""
        if self._closing:
            return StreamClosed(CLOSED_HERE, 1000)
        return self._located(ConnectionLost("the connection ended without a close"))

    def _leave(self, error: BackendError) -> BackendError:
        """Give the last words (a close, most often) a moment to leave."""
        if self._outbox.size:
            timer = self._hub.later(CLOSE_LIMIT, lambda: self._end(error), ref=False)
            try:
                self._outbox.wait(self._reader, 0)
            finally:
                timer.cancel()
        return error if isinstance(error, StreamClosed) else self._located(error)

    @staticmethod
    def size_of(item: WSMessage) -> int:
        """Bytes that a message takes, roughly."""
        return len(item.data)

    # -- heartbeat ----------------------------------------------------------------------------------------------------

    def _ping_server(self) -> bool:
        try:
            self._protocol.send_ping(b"")
        except InvalidState:  # closing: that has a limit of its own
            return False
        self._flush()
        return True

    def _server_is_silent(self) -> None:
        self._end(self._located(ReadTimeout(f"the server was silent for {self._options.timeout} s")))

    # -- the end ------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._state is not State.OPEN or not self._ready:
            super()._close()
            return
        shutdown = self.begin_shutdown()
        if shutdown is None:
            self._shake_hands()
        else:
            shutdown.on_settled(lambda: self._hub.call(self._shake_hands))

    def _shake_hands(self) -> None:
        """Say that we close, and give the server a moment to answer."""
        if self._state is State.ENDED or self._closing:
            return
        self._closing = True
        try:
            self._protocol.send_close(1000)
        except InvalidState:  # the server was faster
            pass
        self._flush()
        self._end_in(CLOSE_LIMIT, StreamClosed(CLOSED_HERE, 1000))

    def close_with_session(self, error: BaseException) -> None:
        """End now, or when the server has stopped."""
        self._channel.close(error)
        if self._shutdown is None:
            self.abort(error)
        else:
            self._close()

    def abort(self, error: BaseException) -> None:
        """End at once, but not without a word, if that can be had for nothing."""
        is_idle = not self._outbox.size and self._unsendable is None
        if self._ready and self._protocol.state is WireState.OPEN and is_idle:
            try:
                self._protocol.send_close(1001)
                self._sock.send_some(b"".join(self._protocol.data_to_send()))
            except Exception:  # noqa: BLE001, S110  # then without: nobody may wait here
                pass
        super().abort(error)

    def _release(self) -> None:
        self._heartbeat.stop()
        for timer in (self._close_timer, self._shutdown_timer):
            if timer is not None:
                timer.cancel()
        self._outbox.stop()
        super()._release()
        self._outbox.refuse(self.error)

    def disown(self) -> None:
        """In a forked child: see the base class. Nothing that waits will be sent from here."""
        super().disown()
        self._outbox.refuse(self.error)


def _nothing() -> None:
    return None
