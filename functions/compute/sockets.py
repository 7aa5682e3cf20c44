"""What Backend.AI says over the WebSockets of a compute session: code execution and terminals.

==============  =======================================================================================
Socket          Messages
==============  =======================================================================================
execute         ``{code, mode, options}`` first; results ``{status, console, exitCode, options, files}``
                about every 0.2 s; input as plain text
pty             ``{type: stdin, chars}``, ``resize``, ``ping``, ``restart``; ``{type: out, data}``
==============  =======================================================================================
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.exceptions import InvalidArgument, InvalidReply, type_of
from ai.backend.client.functions.base import M, Recipe
from ai.backend.client.functions.compute.execution import WAITING, code_and_options, given_up, is_over
from ai.backend.client.functions.compute.identity import SessionIdentity, request_about
from ai.backend.client.functions.streams.stream import Reading, stream_function
from ai.backend.client.functions.streams.websocket import GracefulShutdown, WebSocketResponse, WSMessage, json_of
from ai.backend.client.functions.toolkit import inputs

__all__ = ["StreamExecute", "StreamPty"]

MODES = ("query", "batch")
MAX_CELLS = (1 << 16) - 1
"""Rows and columns of a terminal at most: 16 bits each in the system's own call."""


class StreamExecute(WebSocketResponse[M]):
    """A run of code over a WebSocket.

    Iterating it yields messages, whose ``json()`` is a result, as with the vendor's client; :meth:`results` yields the
    results themselves. Closed before the run is over, it interrupts the code and waits for its end, 10 s at most: the
    server would let it go on, and take no other run before that.
    """

    def results(self) -> Reading[dict[str, Any]]:
        """The results, for ``for`` and ``async for``: ``status``, ``console``, ``exitCode``, ``options``, ``files``.

        After ``waiting-input`` answer with :meth:`send_input`; everything else goes on by itself. Ends after the last
        one.

        Raises (while iterating):
            BackendClientError: The server gave the run up, and says why.
            InvalidReply: A message is no result.
        """
        return Reading(self, result_of)

    @stream_function
    def send_input(self, text: str) -> CallFuture[None]:
        """Answer code that waits for input. Raises as :meth:`send_str`."""
        return WebSocketResponse.send_str.start(self, text)


class StreamPty(WebSocketResponse[M]):
    """A terminal of a compute session.

    Iterating it yields messages as they come, as with the vendor's client; :meth:`read` and :meth:`output` yield the
    terminal's bytes.

    Managers of 23.09 cannot type into their terminals (a bug of theirs ends the stream when :meth:`write` is used);
    ``tunnel("ttyd")`` and ``tunnel("sshd")`` work there.
    """

    @stream_function
    def write(self, data: bytes | str) -> CallFuture[None]:
        """Type into the terminal.

        Args:
            data: Bytes as a keyboard sends them; text is encoded as UTF-8.

        Raises as :meth:`send_str`.
        """
        if isinstance(data, str):
            data = data.encode()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidArgument("data", type_of(data), "must be bytes or text")
        return self._command(type="stdin", chars=base64.b64encode(data).decode())

    @stream_function
    def read(self) -> CallFuture[bytes]:
        """The next bytes that the terminal shows. Raises as :meth:`receive`, or :class:`InvalidReply`."""
        return self._take(output_of)

    def output(self) -> Reading[bytes]:
        """What the terminal shows, for ``for`` and ``async for``."""
        return Reading(self, output_of)

    @stream_function
    def resize(self, rows: int, cols: int) -> CallFuture[None]:
        """Tell the terminal's size in characters.

        Raises:
            InvalidArgument: Not a whole number from 1 to 65536.
            StreamClosed: The socket is closed.
        """
        size = {name: inputs.whole(name, value, 1, MAX_CELLS) for name, value in (("rows", rows), ("cols", cols))}
        return self._command(type="resize", **size)

    @stream_function
    def ping(self) -> CallFuture[None]:
        """Have the manager run a ping in the session, so that it does not count as idle."""
        return self._command(type="ping")

    @stream_function
    def restart(self) -> CallFuture[None]:
        """Restart the session; the terminal goes on with the new one."""
        return self._command(type="restart")

    def _command(self, **fields: Any) -> CallFuture[None]:
        return WebSocketResponse.send_json.start(self, fields)


def execute_message(code: str, mode: str, opts: Mapping[str, Any] | None) -> str:
    """The first message of an execute socket.

    Raises:
        InvalidArgument: Unknown mode or options, or no text.
    """
    if mode not in MODES:
        raise InvalidArgument("mode", mode, f"Invalid stream-execution mode: {mode}; must be one of {', '.join(MODES)}")
    return json.dumps({"mode": mode, "options": {}, **code_and_options(code, mode, opts)})


def result_of(message: WSMessage) -> dict[str, Any]:
    """A result of an execute socket.

    Raises:
        InvalidReply: It is none.
        BackendClientError: The server gave the run up.
    """
    result = json_of(message)
    if not isinstance(result, dict) or not isinstance(result.get("status"), str):
        raise InvalidReply("the message is no result of a run", body=message.data.encode())
    failure = given_up(result)
    if failure is not None:
        raise failure
    return result


def interrupting(kernel: SessionIdentity[Any]) -> GracefulShutdown:
    """How to leave a run before its end.

    It has to be interrupted, since the server would let it go on, and then listened to until it has ended: a run whose
    end nobody hears blocks the session for every later run.
    """

    def interrupt() -> Recipe[None]:
        yield request_about(kernel, "POST", "/interrupt")

    return GracefulShutdown(recipe=interrupt, is_over=_is_last, answer=_unblock)


def _is_last(message: WSMessage) -> bool:
    status = _status(message)
    return status is not None and is_over(status)


def _unblock(message: WSMessage) -> str | None:
    """After an interrupt nobody waits for input but the server itself."""
    return "" if _status(message) == WAITING else None


def _status(message: WSMessage) -> str | None:
    try:
        status = json_of(message).get("status")
    except (InvalidReply, AttributeError):
        return None
    return status if isinstance(status, str) else None


def output_of(message: WSMessage) -> bytes:
    """The bytes of a terminal's message.

    Raises:
        InvalidReply: It is none.
    """
    frame = json_of(message)
    try:
        if frame["type"] != "out":
            raise InvalidReply("the message is not output of a terminal", body=message.data.encode())
        return base64.b64decode(frame["data"], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        raise InvalidReply("the message is not output of a terminal", body=message.data.encode()) from None
