"""WebSockets that run: the ``websockets`` library frames, this module moves bytes, answers for time and closes.

That library's sans-I/O layer is the fastest and strictest there is: 4 µs per small message where ``wsproto`` takes
10 µs, 7 µs to mask 64 KiB where that takes 170 µs, and its decompression stops at the message limit.
"""

from __future__ import annotations

import codecs
import collections
from collections.abc import Callable, Generator, Mapping
from typing import Any

from websockets.exceptions import InvalidState, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import State as WireState

from ai.backend.client.actors.call import Options
from ai.backend.client.actors.channel import stream_future
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.greenlets import HubGreenlet
from ai.backend.client.actors.hub import Timer
from ai.backend.client.actors.lanes import Abandoned
from ai.backend.client.actors.originals import monotonic
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
from ai.backend.client.sessions.streams.driver import CHUNK, CLOSED_HERE, State, StreamDriver
from ai.backend.client.sessions.streams.websocket_protocol import ClientProtocol, handshake, new_protocol
from ai.backend.client.sessions.wire.failures import FAILURES, translate

SWITCHED = 101

PING_INTERVAL = 30.0
"""Seconds between pings to a silent server at most (the vendor's heartbeat); half of ``timeout`` where that is less."""

WRITE_LIMIT = 300.0
"""Seconds that a server which answers pings may take nothing of what is sent to it."""

CLOSE_LIMIT = 1.0
"""Seconds that the server gets to answer a close."""

PARTING_LIMIT = 10.0
"""Seconds that a server gets to stop what it has under way, before the socket is closed all the same."""

PARTING_STEP = 0.1
"""Seconds between two looks whether it has; the manager reports every 0.2 s."""

OUTGOING_LIMIT = 64 << 20
"""Bytes that may wait to be sent."""

OUTGOING_HIGH = 1 << 20
"""Bytes waiting to be sent with which nothing more is read: a server whose pings nobody lets us answer must wait."""

MANY_PARTS = 1024
"""Fragments of a message that are joined before it is complete: tiny ones take many times the room of their bytes."""

BLOCK = 1 << 18
"""Bytes of small messages that are written at once."""


class SocketDriver(StreamDriver[WSMessage]):
    """A WebSocket that runs. ``send`` and ``ping`` are for any thread."""

    def __init__(self, streams: Any, plan: WebSocketSpec, options: Options) -> None:
        super().__init__(streams, plan, options)
        self._socket_plan = plan
        self._protocol: ClientProtocol
        self._sock: Any = None
        self._read: Callable[[int], bytes]
        self._ready = False
        self._early: list[tuple[WSMsgType | None, bytes, CallFuture[Any]]] = []
        self._outgoing: collections.deque[tuple[bytes, CallFuture[Any] | None]] = collections.deque()
        self._outgoing_bytes = 0  # what is early included
        self._sending: list[CallFuture[Any]] = []  # of what the writer is at
        self._writer: HubGreenlet | None = None
        self._unsendable: BackendError | None = None
        self._drain: CallFuture[None] | None = None
        self._parts: list[Any] = []  # of the message that is being received
        self._blocks: list[Any] = []  # what came before them
        self._kind: WSMsgType | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._last: WSMessage | None = None
        self._partings: list[CallFuture[None]] = []
        self._parting: CallFuture[Any] | None = None
        self._parting_timer: Timer | None = None
        self._closing = False
        self._timer: Timer | None = None
        self._heard = 0.0
        self._reading = False

    # -- opening ------------------------------------------------------------------------------------------------------

    def headers(self) -> Mapping[str, str]:
        """The handshake's headers, with a fresh key."""
        plan = self._socket_plan
        self._protocol = new_protocol(plan.max_message, plan.compress)
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

    def start_parting(self) -> CallFuture[Any] | None:
        """Tell a server that has something under way to stop, and go on listening until it has."""
        plan, last = self._socket_plan, self._last
        if self._parting is not None:
            return self._parting
        if plan.shutdown is None or self._state is not State.OPEN or (last and plan.shutdown.is_over(last)):
            return None
        parted = CallFuture[None]()
        self._partings.append(parted)
        first = self._parting = self._partings[0]
        if first is not parted:  # another thread was faster
            return first
        self._channel.close(StreamClosed(CLOSED_HERE))  # what still comes is for nobody
        try:
            call = self._owner.submit("close", plan.actor, self._part(plan.shutdown), self._options, in_line=True)
        except BaseException as error:
            parted.settle(None, None)
            if not isinstance(error, BackendError):  # the session is closing; Streams.start_parting came before
                raise
        else:
            call.on_settled(lambda: parted.settle(None, None))
            self._hub.call(lambda: self._limit_parting(call))
        return parted

    def _limit_parting(self, call: CallFuture[Any]) -> None:
        if self._state is not State.ENDED:
            self._parting_timer = self._hub.later(PARTING_LIMIT, call.cancel, ref=False)

    def _part(self, parting: GracefulShutdown) -> Generator[Any, Any, None]:
        """A recipe. It ends when the server has closed: until then the server reports to us, and does nothing else."""
        yield from parting.recipe()
        answered = None
        while not self.is_over:
            if self._last is not answered and self._last is not None:
                answered = self._last
                text = parting.answer(answered)
                if text is not None:
                    self._send(WSMsgType.TEXT, text.encode(), CallFuture())
            yield Pause(PARTING_STEP)

    # -- sending, on the hub ------------------------------------------------------------------------------------------

    def _send(self, kind: WSMsgType | None, data: bytes, future: CallFuture[Any]) -> None:
        if self._state is State.ENDED:
            future.settle(None, self.error)
        elif self._closing or self._unsendable is not None:
            future.settle(None, self._unsendable or StreamClosed(CLOSED_HERE))
        elif self._outgoing_bytes + len(data) > OUTGOING_LIMIT:
            future.settle(None, Overloaded(f"{OUTGOING_LIMIT} bytes wait to be sent"))
        elif not self._ready:
            self._early.append((kind, data, future))
            self._outgoing_bytes += len(data)
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
        """Hand what the protocol wants sent to the writer."""
        blocks = [block for block in self._protocol.data_to_send() if block]  # an empty one: the end of sending
        if blocks and self._unsendable is None:
            data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
            self._outgoing.append((data, future))
            self._outgoing_bytes += len(data)
            if self._writer is None:
                self._writer = HubGreenlet(self._hub, self._write)
                self._writer.start()

    def _write(self) -> None:
        """In a greenlet, while there is something to write."""
        outgoing = self._outgoing
        try:
            while outgoing:
                blocks: list[bytes] = []
                size = 0
                while outgoing and (not blocks or size + len(outgoing[0][0]) <= BLOCK):
                    data, future = outgoing.popleft()
                    blocks.append(data)
                    size += len(data)
                    if future is not None:
                        self._sending.append(future)
                self._sock.sendall(blocks[0] if len(blocks) == 1 else b"".join(blocks))
                self._outgoing_bytes -= size
                sent, self._sending = self._sending, []
                for future in sent:
                    self._hub.soon(future.settle, None, None)
                if self._drain is not None and self._outgoing_bytes <= OUTGOING_HIGH // 2:
                    drain, self._drain = self._drain, None
                    drain.settle(None, None)
        except Abandoned:
            raise
        except FAILURES as failure:
            error = self._located(translate(failure))
            self._hub.call(lambda: self._stop_sending(error))
        except BaseException as defect:  # noqa: BLE001  # what was cut here must not be followed by anything
            self._end_soon(self._crashed(defect))
        finally:
            self._writer = None

    def _stop_sending(self, error: BackendError) -> None:
        """The server takes nothing more. What it said last, its close most of all, may not have been read yet."""
        if self._state is State.ENDED:
            return
        self._unsendable = error
        self._refuse_to_send(error)
        self._outgoing_bytes = 0
        drain, self._drain = self._drain, None
        if drain is not None:
            drain.settle(None, None)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._hub.later(CLOSE_LIMIT, lambda: self._end(error), ref=False)

    def _next_drain(self) -> CallFuture[None]:
        """Settled when something has been written, and not much is left."""
        if self._drain is None:
            self._drain = CallFuture[None]()
        return self._drain

    def _wait_for_writer(self, bytes_left: int) -> None:
        """In the reader."""
        while self._outgoing_bytes > bytes_left and self._writer is not None:
            self._reader.wait(self._next_drain())

    # -- receiving, in the reader's greenlet --------------------------------------------------------------------------

    def serve(self) -> BaseException | None:
        """Read until either side has closed."""
        protocol = self._protocol
        self._sock.settimeout(WRITE_LIMIT)
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
            if self._outgoing_bytes > OUTGOING_HIGH:
                self._wait_for_writer(OUTGOING_HIGH // 2)

    def _begin(self) -> None:
        self._protocol.events_received()  # the handshake
        self._heard = monotonic()
        self._start_heartbeat()
        self._ready = True
        first = self._socket_plan.first_message
        if first is not None:
            self._protocol.send_text(first.encode())
            self._flush()
        early, self._early = self._early, []
        self._outgoing_bytes -= sum(len(data) for _, data, _ in early)
        for message in early:
            self._send(*message)

    def _receive(self) -> bytes:
        self._heard = monotonic()  # before that it was the reader of the stream that did not listen
        self._reading = True
        try:
            while True:
                try:
                    return self._read(CHUNK)
                except TimeoutError:
                    continue  # for how long it may be silent is the heartbeat's business
        finally:
            self._reading = False
            self._heard = monotonic()

    def _take_frame(self, frame: Frame) -> BackendError | None:
        """Handle a frame. Returns what ends the stream with it."""
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            self._kind = WSMsgType.TEXT if opcode is Opcode.TEXT else WSMsgType.BINARY
            self._decoder = _utf8() if opcode is Opcode.TEXT else None
            self._parts = []
        elif opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            if close is None or self._closing:
                return StreamClosed(CLOSED_HERE, 1000)
            return StreamClosed(close.reason or "the server closed the stream", close.code)
        elif opcode is not Opcode.CONT:
            return None
        try:
            part: Any = bytes(frame.data) if self._decoder is None else self._decoder.decode(frame.data, frame.fin)
        except UnicodeDecodeError:
            self._protocol.fail(1007, "not UTF-8")
            self._flush()
            return ProtocolError("a text message is not UTF-8")
        if part:  # an endless message of empty fragments takes no room
            self._parts.append(part)
            if len(self._parts) >= MANY_PARTS:
                self._blocks.append(self._joined(self._parts))
                self._parts = []
        if frame.fin:
            parts = [*self._blocks, *self._parts]
            self._parts, self._blocks = [], []
            message = WSMessage(self._kind or WSMsgType.BINARY, parts[0] if len(parts) == 1 else self._joined(parts))
            self._last = message if self._socket_plan.shutdown is not None else None
            self._deliver(message)
            return self._work_done(message)
        return None

    def _joined(self, parts: list[Any]) -> Any:
        return "".join(parts) if self._kind is WSMsgType.TEXT else b"".join(parts)

    def _work_done(self, message: WSMessage) -> StreamClosed | None:
        """Close behind a message that says that there is nothing more to come."""
        parting = self._socket_plan.shutdown
        if parting is None or not parting.is_over(message):
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
            return ProtocolError(f"a message is longer than {self._socket_plan.max_message} bytes")
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
        if self._outgoing_bytes:
            timer = self._hub.later(CLOSE_LIMIT, lambda: self._end(error), ref=False)
            try:
                self._wait_for_writer(0)
            finally:
                timer.cancel()
        return error if isinstance(error, StreamClosed) else self._located(error)

    @staticmethod
    def size_of(item: WSMessage) -> int:
        """Bytes that a message takes, roughly."""
        return len(item.data)

    # -- heartbeat ----------------------------------------------------------------------------------------------------

    def _start_heartbeat(self) -> None:
        limit = self._options.timeout
        interval = PING_INTERVAL if limit is None else min(PING_INTERVAL, limit / 2)
        self._timer = self._hub.later(interval, lambda: self._beat(interval, limit), ref=False)

    def _beat(self, interval: float, limit: float | None) -> None:
        """Ping a silent server; end the stream when it has been silent for too long.

        Not while the reader of the stream does not read: then it is we who do not listen. Nor while the server does not
        read: then it cannot have seen the ping.
        """
        pause = interval
        if self._reading and not self._outgoing_bytes:
            silence = monotonic() - self._heard
            if limit is not None and silence >= limit:
                self._end(self._located(ReadTimeout(f"the server was silent for {limit} s")))
                return
            if silence >= interval:
                try:
                    self._protocol.send_ping(b"")
                except InvalidState:  # closing: that has a limit of its own
                    return
                self._flush()
                pause = interval if limit is None else min(interval, limit - silence)
            else:
                pause = interval - silence
        self._timer = self._hub.later(pause, lambda: self._beat(interval, limit), ref=False)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._state is not State.OPEN or not self._ready:
            super()._close()
            return
        parting = self.start_parting()
        if parting is None:
            self._shake_hands()
        else:
            parting.on_settled(lambda: self._hub.call(self._shake_hands))

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
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._hub.later(CLOSE_LIMIT, lambda: self._end(StreamClosed(CLOSED_HERE, 1000)), ref=False)

    def part(self, error: BaseException) -> None:
        """End now, or when the server has stopped."""
        self._channel.close(error)
        if self._parting is None:
            self.abort(error)
        else:
            self._close()

    def abort(self, error: BaseException) -> None:
        """End at once, but not without a word, if that can be had for nothing."""
        is_idle = not self._outgoing_bytes and self._unsendable is None
        if self._ready and self._protocol.state is WireState.OPEN and is_idle:
            try:
                self._protocol.send_close(1001)
                self._sock.send_some(b"".join(self._protocol.data_to_send()))
            except Exception:  # noqa: BLE001, S110  # then without: nobody may wait here
                pass
        super().abort(error)

    def _let_go(self) -> None:
        for timer in (self._timer, self._parting_timer):
            if timer is not None:
                timer.cancel()
        if self._writer is not None:
            self._writer.stop()
        super()._let_go()
        self._refuse_to_send(self.error)

    def disown(self) -> None:
        """In a forked child: see the base class. Nothing that waits will be sent from here."""
        super().disown()
        self._refuse_to_send(self.error)

    def _refuse_to_send(self, error: BaseException | None) -> None:
        """Answer whoever waits for something to be sent."""
        queued = (future for _, future in self._outgoing if future is not None)
        waiting = [*self._sending, *queued, *(future for _, _, future in self._early)]
        self._sending.clear()
        self._outgoing.clear()
        self._early.clear()
        for future in waiting:
            future.settle(None, error)


_utf8 = codecs.getincrementaldecoder("utf-8")


def _nothing() -> None:
    return None
