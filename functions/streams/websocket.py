"""WebSockets."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, cast

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.exceptions import InvalidArgument, InvalidReply, type_of
from ai.backend.client.functions.base import M
from ai.backend.client.functions.streams.stream import MAX_MESSAGE, Stream, StreamSpec, stream_function, stream_request
from ai.backend.client.request import ExtendedJSONEncoder, Request

__all__ = ["WSMessage", "WSMsgType", "WebSocketContextManager", "WebSocketResponse", "WebSocketSpec"]


class WSMsgType(enum.IntEnum):
    """Kinds of message; equal to those of ``aiohttp.WSMsgType``, which programs compare with."""

    TEXT = 1
    BINARY = 2


class WSMessage(NamedTuple):
    """A whole message, however many frames it came in.

    Attributes:
        type: :attr:`WSMsgType.TEXT` or :attr:`WSMsgType.BINARY`.
        data: ``str`` or ``bytes`` accordingly.
    """

    type: WSMsgType
    data: Any

    def json(self, *, loads: Callable[[Any], Any] = json.loads) -> Any:
        """The data as JSON.

        Raises:
            ValueError: It is none.
        """
        try:
            return loads(self.data)
        except RecursionError:
            raise ValueError("the message is not JSON: it is nested too deeply") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class GracefulShutdown:
    """How to leave a server that has something under way.

    Attributes:
        recipe: Makes the recipe that asks the server to stop.
        is_over: Whether a message says that nothing is under way any more. The socket is closed behind it: between
            us and the server may be a proxy that does not pass the server's close on, as the web server does not.
        answer: What to send then, to a server whose latest message waits for us; None: it does not wait.
    """

    recipe: Callable[[], Generator[Any, Any, Any]]
    is_over: Callable[[WSMessage], bool]
    answer: Callable[[WSMessage], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketSpec(StreamSpec):
    """A WebSocket.

    Attributes:
        first_message: Text sent first.
        shutdown: What to do when the socket is closed from this side before its work is done; None: just close.
        max_message: Bytes that a message may have, decompressed.
        compress: Whether to offer compression.
    """

    first_message: str | None = None
    shutdown: GracefulShutdown | None = None
    max_message: int = MAX_MESSAGE
    compress: bool = True


class _SocketDriver(Protocol):
    def send(self, kind: WSMsgType, data: bytes) -> CallFuture[None]: ...

    def ping(self, data: bytes) -> CallFuture[None]: ...


class WebSocketResponse(Stream[M, WSMessage]):
    """A WebSocket: yields :class:`WSMessage` objects.

    Iteration ends when either side has closed it as it should be (codes 1000, 1001, none); any other end raises:
    :class:`StreamClosed` with the server's code and reason, :class:`ConnectionLost`, :class:`ReadTimeout` (the server
    is silent for ``timeout``, pings included) or :class:`ProtocolError` (it breaks the rules, or a message is longer
    than 16 MiB). Pings of the server are answered by the session.

    Sending functions may be used from any thread, in any number; what one of them sends stays whole.
    """

    _on_enter: Callable[[Any], Any] | None = None

    @classmethod
    def of_request(cls, request: Request, on_enter: Callable[[Any], Any] | None) -> Self:
        """See :meth:`Request.connect_websocket <ai.backend.client.request.Request.connect_websocket>`."""
        spec = WebSocketSpec(function="connect_websocket", actor="Request", request=lambda: stream_request(request))
        socket = cls(request.session, spec)
        socket._on_enter = on_enter
        return socket

    @property
    def raw_websocket(self) -> Any:
        """The socket itself: this object, which has what programs use of the vendor's."""
        return self

    raw_weboscket = raw_websocket  # as 19.09 spells it

    @property
    def _socket(self) -> _SocketDriver:
        return cast("_SocketDriver", self._driver)

    # -- sending ------------------------------------------------------------------------------------------------------

    @stream_function
    def send_str(self, raw_str: str) -> CallFuture[None]:
        """Send a text message, and wait until the system has taken it.

        Raises:
            InvalidArgument: It is no text, or cannot be encoded as UTF-8.
            StreamClosed: The socket is closed.
            Overloaded: 64 MiB wait to be sent, since earlier futures were not waited for.
        """
        if not isinstance(raw_str, str):
            raise InvalidArgument("raw_str", type_of(raw_str), "must be text")
        try:
            data = raw_str.encode()
        except UnicodeEncodeError:
            raise InvalidArgument("raw_str", "(not shown)", "must be text that can be encoded as UTF-8") from None
        return self._socket.send(WSMsgType.TEXT, data)

    @stream_function
    def send_json(self, obj: Any) -> CallFuture[None]:
        """Send a value as JSON, in a text message. Raises as :meth:`send_str`."""
        try:
            text = json.dumps(obj, cls=ExtendedJSONEncoder, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgument("obj", type_of(obj), f"cannot be encoded: {error}") from None
        return self._socket.send(WSMsgType.TEXT, text.encode())

    @stream_function
    def send_bytes(self, data: bytes | bytearray | memoryview) -> CallFuture[None]:
        """Send a binary message. Raises as :meth:`send_str`."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidArgument("data", type_of(data), "must be bytes")
        return self._socket.send(WSMsgType.BINARY, bytes(data))

    @stream_function
    def send_ping(self, data: bytes = b"") -> CallFuture[None]:
        """Send a ping frame of at most 125 bytes. The session sends its own while the server is silent."""
        if not isinstance(data, bytes) or len(data) > 125:
            raise InvalidArgument("data", type_of(data), "must be at most 125 bytes")
        return self._socket.ping(data)

    # -- receiving ----------------------------------------------------------------------------------------------------

    @stream_function
    def receive(self) -> CallFuture[WSMessage]:
        """The next message.

        Raises:
            StreamClosed: The socket is closed.
            ConnectionLost: It ended without a close.
            ReadTimeout: The server is silent.
            ProtocolError: The server breaks the rules of WebSocket.
        """
        return self._take(lambda message: message)

    @stream_function
    def receive_str(self) -> CallFuture[str]:
        """The next message, which must be a text. Raises as :meth:`receive`; :class:`InvalidReply` for a binary one."""
        return self._take(text_of)

    @stream_function
    def receive_bytes(self) -> CallFuture[bytes]:
        """The next message, which must be binary. Raises as :meth:`receive`; :class:`InvalidReply` for a text."""
        return self._take(_bytes_of)

    @stream_function
    def receive_json(self) -> CallFuture[Any]:
        """The next message, which must be JSON. Raises as :meth:`receive`; :class:`InvalidReply` if it is none."""
        return self._take(json_of)

    # -- with ---------------------------------------------------------------------------------------------------------

    def _entered(self) -> None:
        if self._on_enter is not None:
            self._on_enter(self)

    async def _entered_async(self) -> None:
        if self._on_enter is not None:
            outcome = self._on_enter(self)
            if hasattr(outcome, "__await__"):
                await outcome


WebSocketContextManager = WebSocketResponse
"""The vendor has a context manager of its own; here the socket is one."""


def text_of(message: WSMessage) -> str:
    """The text of a message.

    Raises:
        InvalidReply: It is binary.
    """
    if message.type is not WSMsgType.TEXT:
        raise InvalidReply("the server sent a binary message, not a text", body=message.data)
    text: str = message.data
    return text


def _bytes_of(message: WSMessage) -> bytes:
    if message.type is not WSMsgType.BINARY:
        raise InvalidReply("the server sent a text, not a binary message", body=message.data.encode())
    data: bytes = message.data
    return data


def json_of(message: WSMessage) -> Any:
    """The JSON value of a text message.

    Raises:
        InvalidReply: It is none.
    """
    text = text_of(message)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"the message is not JSON: {error}", body=text.encode()) from None
