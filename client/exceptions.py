"""Everything this package raises.

::

    BackendError
     ├── BackendAPIError          the server answered with an error status: read .type and .data
     ├── BackendAPIVersionError   the negotiated server does not know this call
     └── BackendClientError       there is no answer
          ├── InvalidArgument     (ValueError) refused before anything was sent: fix the argument
          ├── ConnectionFailed    .sent tells whether the server may have acted
          │    ├── NeverSent      no byte of the request left: safe to repeat
          │    └── ConnectionLost the request left, its answer did not arrive
          ├── CallTimeout         (TimeoutError)
          │    ├── ConnectTimeout    no connection in ``connection_timeout``; nothing was sent
          │    ├── ReadTimeout       the server was silent for ``read_timeout``
          │    └── DeadlineExceeded  the call as a whole took longer than its deadline
          ├── TransferError       a file could not be moved: .file names it
          │    ├── TargetExists   (FileExistsError) it would replace one, and was not asked to
          │    └── SourceChanged  it changed while it was read
          ├── TLSError            the peer could not be trusted; nothing was sent
          ├── ProtocolError       what came back is not HTTP (WebSocket, an event stream)
          │    └── InvalidReply   it is HTTP, but not what the API promises
          ├── StreamClosed        the stream has ended: .code and .reason tell why
          ├── Overloaded          the limit of calls in flight, or of open streams, is reached
          ├── SessionClosed       the session was closed before the call ended
          └── ActorCrashed        our own code failed; the cause is chained

    APIVersionWarning             (UserWarning)

A cancelled call raises :class:`concurrent.futures.CancelledError` (:class:`asyncio.CancelledError` in the task that was
cancelled), as any other future does.

Every error of a call says where it happened: ``method``, ``path``, ``endpoint``, ``attempts`` and ``elapsed`` are
filled in by the session, and stay ``None`` where they do not apply. None of them, nor any message, holds a key, a
signature or a token.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from typing import Any

__all__ = [
    "APIVersionWarning",
    "ActorCrashed",
    "BackendAPIError",
    "BackendAPIVersionError",
    "BackendClientError",
    "BackendError",
    "CallTimeout",
    "ConnectTimeout",
    "ConnectionFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "InvalidArgument",
    "InvalidReply",
    "NeverSent",
    "NoItems",
    "Overloaded",
    "ProtocolError",
    "ReadTimeout",
    "SessionClosed",
    "SourceChanged",
    "StreamClosed",
    "TLSError",
    "TargetExists",
    "TransferError",
]

GENERIC_PROBLEM = "https://api.backend.ai/probs/generic-error"
"""``type`` of an error answer that is not a problem document (the value that the vendor's client uses)."""


class BackendError(Exception):
    """Root of the tree.

    Attributes:
        method: HTTP method of the request that failed.
        path: Its path below the endpoint, without query.
        endpoint: URL of the endpoint that was used last.
        attempts: How many times the request was tried.
        elapsed: Seconds from the acceptance of the call to its failure.
        hint: What to look at, where the session knows something that may be the reason.
    """

    method: str | None = None
    path: str | None = None
    endpoint: str | None = None
    attempts: int | None = None
    elapsed: float | None = None
    hint: str | None = None

    def __str__(self) -> str:
        """Without the name of its type, which tracebacks and logs put before it."""
        return f"{self._text()}{self._where()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown()}){self._where()}"

    def _text(self) -> str:
        """What happened, for people."""
        return self.args[0] if len(self.args) == 1 and isinstance(self.args[0], str) else self._shown()

    def _shown(self) -> str:
        """What it was made of."""
        return ", ".join(map(repr, self.args))

    def _where(self) -> str:
        parts = []
        if self.method is not None:
            parts.append(f"{self.method} {self.path} at {self.endpoint}")
        if self.attempts is not None:
            parts.append(f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}")
        if self.elapsed is not None:
            parts.append(f"{self.elapsed:.3f} s")
        where = f" [{', '.join(parts)}]" if parts else ""
        return where if self.hint is None else f"{where} ({self.hint})"


class BackendAPIError(BackendError):
    """The server answered with an error status.

    Args:
        status: HTTP status code.
        reason: HTTP reason phrase.
        data: The answer's body: a problem document (RFC 7807) as a mapping, or its text.

    Attributes:
        status: See above.
        reason: See above.
        data: The body as a mapping. A body that is not JSON becomes
            ``{"type": GENERIC_PROBLEM, "title": ..., "content": <text>}``.
    """

    EXCERPT = 256
    """How many characters of a body that is not JSON are shown; ``data`` has all."""

    def __init__(self, status: int, reason: str, data: Any = None) -> None:
        if isinstance(data, bytes):
            data = data.decode("utf-8", "replace")
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except (ValueError, RecursionError):
                data = {
                    "type": GENERIC_PROBLEM,
                    "title": "Generic Error (could not parse error string)",
                    "content": data,
                }
        super().__init__(status, reason, data)

    @property
    def status(self) -> int:
        """HTTP status code."""
        status: int = self.args[0]
        return status

    @property
    def reason(self) -> str:
        """HTTP reason phrase."""
        reason: str = self.args[1]
        return reason

    @property
    def data(self) -> Any:
        """The decoded body."""
        return self.args[2]

    @property
    def type(self) -> str:
        """URI that names the kind of problem: the only part that is stable over releases. Empty when there is none."""
        return self._member("type")

    @property
    def title(self) -> str:
        """The problem in words for people. Empty when there is none."""
        return self._member("title")

    @property
    def msg(self) -> str:
        """Detail that some answers add. Empty when there is none."""
        return self._member("msg")

    @property
    def is_problem(self) -> bool:
        """Whether the body is a problem document: that is how managers tell of errors."""
        return self.type not in ("", GENERIC_PROBLEM)

    def _text(self) -> str:
        return f"{self.status} {self.reason}: {self._body()}"

    def _shown(self) -> str:
        return f"{self.status!r}, {self.reason!r}, {self._body()}"

    def _body(self) -> str:
        content = self._member("content")
        if len(content) <= self.EXCERPT:
            return repr(self.data)
        return repr({**self.data, "content": f"{content[: self.EXCERPT]}..."})

    def _member(self, key: str) -> str:
        value = self.data.get(key) if isinstance(self.data, Mapping) else None
        return value if isinstance(value, str) else ""


class BackendAPIVersionError(BackendError):
    """The negotiated server does not have this function; the text names the version that has it. Nothing was sent."""


class BackendClientError(BackendError):
    """There is no answer to speak of: the request was refused, not sent, lost, late or not understood."""


class _TypeName(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self}>"


def type_of(value: object) -> str:
    """What errors show of a value that is of the wrong type: that, and not the value, which may be long or a secret."""
    return _TypeName(type(value).__name__)


class InvalidArgument(BackendClientError, ValueError):
    """An argument was refused before anything was sent.

    Args:
        argument: Name of the argument as the caller knows it.
        value: What was given. Never a secret: pass a placeholder for those.
        reason: What it must be.
    """

    SHOWN = 400
    """How many characters of the value are shown."""

    def __init__(self, argument: str, value: object, reason: str) -> None:
        super().__init__(argument, value, reason)

    @property
    def argument(self) -> str:
        """Name of the argument."""
        argument: str = self.args[0]
        return argument

    @property
    def value(self) -> object:
        """What was given."""
        return self.args[1]

    @property
    def reason(self) -> str:
        """What it must be."""
        reason: str = self.args[2]
        return reason

    def _text(self) -> str:
        return self._shown()

    def _shown(self) -> str:
        try:
            shown = repr(self.value)
        except Exception:  # noqa: BLE001  # of the caller's class, or of an int with more digits than Python prints
            shown = f"<{type(self.value).__name__}>"
        if len(shown) > self.SHOWN:
            shown = f"{shown[: self.SHOWN]}..."
        return f"{self.argument}={shown}: {self.reason}"


class ConnectionFailed(BackendClientError):
    """The exchange with the server broke.

    Attributes:
        sent: Whether bytes of the request may have reached the server, so that it may have acted.
    """

    sent: bool = True


class NeverSent(ConnectionFailed):
    """No byte of the request left this process: name not resolved, connection refused, or a stale connection."""

    sent = False


class ConnectionLost(ConnectionFailed):
    """The request (or a part of it) left, and the connection ended before its answer was complete.

    Attributes:
        stale: Whether the connection had served before and ended without a byte of an answer: most likely the server
            had given it up.
    """

    sent = True
    stale = False


class CallTimeout(BackendClientError, TimeoutError):
    """A time limit of the call ran out."""


class ConnectTimeout(CallTimeout):
    """No connection within ``connection_timeout`` seconds. Nothing was sent."""


class ReadTimeout(CallTimeout):
    """The server sent nothing for ``read_timeout`` seconds."""


class DeadlineExceeded(CallTimeout):
    """The call took longer than its deadline, queueing, retries and body included."""


class TransferError(BackendClientError):
    """A file of an upload or download could not be moved, although both sides can be reached.

    Args:
        file: The file, as the caller named it or as it is called in the folder.
        reason: What is wrong.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)

    @property
    def file(self) -> str:
        """The file."""
        file: str = self.args[0]
        return file

    @property
    def reason(self) -> str:
        """What is wrong."""
        reason: str = self.args[1]
        return reason

    def _text(self) -> str:
        return f"{self.file!r}: {self.reason}"


class TargetExists(TransferError, FileExistsError):
    """There is a file of that name already, and the call was not to overwrite it."""

    def __init__(self, file: str, reason: str = "exists already") -> None:
        super().__init__(file, reason)
        self.errno, self.strerror, self.filename = (
            errno.EEXIST,
            reason,
            file,
        )  # OSError would take the arguments for these

    def __reduce__(self) -> Any:
        """How it is copied and pickled: OSError's own way adds the file to the arguments once more."""
        return type(self), self.args, vars(self)


class SourceChanged(TransferError):
    """A local file changed while it was uploaded. The folder keeps what it had under that name."""


class TLSError(BackendClientError):
    """The TLS handshake failed, most often because the server's certificate is not trusted. Nothing was sent."""


class ProtocolError(BackendClientError):
    """What the peer sent breaks the rules of HTTP, of WebSocket or of event streams."""


class InvalidReply(ProtocolError):
    """The answer arrived whole, but is not what the API promises: not JSON, or without a promised key.

    Args:
        reason: What is wrong.
        status: HTTP status of the answer, if known.
        body: The first bytes of the answer's body.
    """

    EXCERPT = 256
    """How many bytes of the body are kept: enough to recognise an error page."""

    def __init__(self, reason: str, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(reason, status, body[: self.EXCERPT])

    @property
    def status(self) -> int | None:
        """HTTP status of the answer."""
        status: int | None = self.args[1]
        return status

    @property
    def body(self) -> bytes:
        """The first bytes of the body."""
        body: bytes = self.args[2]
        return body

    def _text(self) -> str:
        status = "" if self.status is None else f" (status {self.status})"
        return f"{self.reason}{status}: {self.body!r}" if self.body else f"{self.reason}{status}"

    @property
    def reason(self) -> str:
        """What is wrong."""
        reason: str = self.args[0]
        return reason


class StreamClosed(BackendClientError):
    """The stream has ended; nothing more can be read from it or sent on it.

    Args:
        reason: Why, in the server's words if it gave any.
        code: Close code of a WebSocket (RFC 6455, section 7.4), None where there is none.
    """

    CLEAN_CODES = frozenset({None, 1000, 1001, 1005})
    """Codes that tell of no failure: normal closure, going away, none given. Iteration ends quietly with them."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason, code)

    @property
    def reason(self) -> str:
        """Why it ended."""
        reason: str = self.args[0]
        return reason

    @property
    def code(self) -> int | None:
        """The WebSocket's close code."""
        code: int | None = self.args[1]
        return code

    def _text(self) -> str:
        return self.reason if self.code is None else f"{self.reason} (code {self.code})"

    @property
    def is_clean(self) -> bool:
        """Whether it ended as it should: closed by either side, without an error code."""
        return self.code in self.CLEAN_CODES


class Overloaded(BackendClientError):
    """As many calls as ``in_flight`` (or as many streams as ``streams``) allows are under way.

    This one was not to wait for its turn. Or the process has no file descriptor or thread left for another session.
    """


class SessionClosed(BackendClientError):
    """The session was closed (or ended itself after too many crashes) before the call ended."""


class ActorCrashed(BackendClientError):
    """Code of this package or of a custom API function failed while it handled the call. The cause is chained."""


class APIVersionWarning(UserWarning):
    """The server's API version is newer or older than what this client was made for."""


class NoItems(Exception):
    """Never raised here: the vendor's 20.03 and 20.09 clients end an empty paginated list with it."""
