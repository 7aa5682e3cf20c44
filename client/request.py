"""One HTTP request of the API and its answer, as values.

Recipes (``functions/``) yield :class:`Request` objects and are resumed with :class:`Response` objects. The same classes
are the low-level door for users: ``with Request(session, "GET", "/auth").fetch() as response: ...``. Nothing here does
I/O; a session does.
"""

from __future__ import annotations

import decimal
import json as _json
import pathlib
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, overload

from requests.structures import CaseInsensitiveDict

from ai.backend.client._checks import MAX_SECONDS
from ai.backend.client._roof import resolve
from ai.backend.client.exceptions import InvalidArgument, InvalidReply, type_of

if TYPE_CHECKING:
    from ai.backend.client.functions.streams.events import SSEResponse
    from ai.backend.client.functions.streams.websocket import WebSocketResponse

__all__ = [
    "AsyncResponse",
    "AttachedFile",
    "ExtendedJSONEncoder",
    "FetchContextManager",
    "Request",
    "RequestContent",
    "Response",
    "segment",
]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be sent again although the server may have acted on an earlier attempt (RFC 9110, section 9.2.1)."""

RequestContent = bytes | bytearray | str | None


class AttachedFile(NamedTuple):
    """One part of a multipart upload, sent as form field ``src``.

    Attributes:
        filename: Name that the server stores it under.
        stream: Its bytes, or a binary file object that is read once, when the request is sent.
        content_type: MIME type of the part.
    """

    filename: str
    stream: bytes | IO[bytes]
    content_type: str = "application/octet-stream"


_PLAIN_FILENAME = re.compile(r"[A-Za-z0-9 _./+~=@,-]+").fullmatch


def file_disposition(filename: str) -> str:
    """The ``Content-Disposition`` of a file in a form.

    Names beyond letters, digits and harmless signs are quoted for URLs, in the old form and in that of RFC 5987. The
    servers read the second; HTML's rules, which browsers follow, would leave them ``%22`` in a name for each ``"``.

    Args:
        filename: Name that the server stores it under.
    """
    if _PLAIN_FILENAME(filename):
        return f'form-data; name="src"; filename="{filename}"'
    quoted = urllib.parse.quote(filename, safe="")
    return f'form-data; name="src"; filename="{quoted}"; filename*=utf-8\'\'{quoted}'


class ExtendedJSONEncoder(_json.JSONEncoder):
    """The standard encoder; paths and decimals become strings."""

    def default(self, o: Any) -> Any:
        """Encode what the standard library does not know."""
        if isinstance(o, pathlib.PurePath | decimal.Decimal):
            return str(o)
        return super().default(o)


class _Sender(Protocol):
    """What a request needs of a session."""

    def _send_request(self, request: Request) -> _Pending: ...


class _Pending(Protocol):
    def result(self, timeout: float | None = None) -> Response: ...

    def __await__(self) -> Any: ...


_NOT_GIVEN: Any = object()

_HEADER_TEXT = re.compile(r"[\x20-\x7e\xa0-\xff]*").fullmatch
_decode = _json.JSONDecoder().decode

_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]+").fullmatch


def is_utf8(text: str) -> bool:
    """Whether a text can be sent: half a surrogate pair cannot, nor a name that the disk has in another encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def segment(text: str, argument: str = "name") -> str:
    """Percent-encode one segment of a path.

    Args:
        text: The raw segment, for example a session's name.
        argument: How the caller calls it, for the error.

    Returns:
        The segment with everything but unreserved characters encoded (``/``, ``?`` and ``#`` too).

    Raises:
        InvalidArgument: The segment is empty, no string, or a dot segment that would change the path's meaning.
    """
    if not isinstance(text, str) or not text:
        raise InvalidArgument(argument, text, "must be a non-empty string")
    if text in (".", ".."):
        raise InvalidArgument(argument, text, "must not be a dot segment")
    if _UNRESERVED(text):
        return str.__str__(text)  # of an enum member too: not its name
    try:
        return urllib.parse.quote(text, safe="")
    except UnicodeEncodeError:
        raise InvalidArgument(argument, text, "must be text that can be encoded as UTF-8") from None


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS


def _checked_type(value: object) -> str:
    if not isinstance(value, str) or not _HEADER_TEXT(value):
        raise InvalidArgument("content_type", value, "must be printable latin-1 text")
    return value


def _checked_file(file: Iterable[Any]) -> AttachedFile:
    try:
        attached = AttachedFile(*file)
    except TypeError:
        raise InvalidArgument("files", type_of(file), "must be AttachedFile(filename, stream, content_type)") from None
    if not isinstance(attached.filename, str) or not attached.filename:
        raise InvalidArgument("files", attached.filename, "must have file names that are non-empty strings")
    if not is_utf8(attached.filename):
        raise InvalidArgument("files", ascii(attached.filename), "must have file names that can be encoded as UTF-8")
    if not isinstance(attached.stream, bytes) and not callable(getattr(attached.stream, "read", None)):
        raise InvalidArgument("files", attached.filename, "must have bytes or a binary file object as stream")
    _checked_type(attached.content_type)
    return attached


class Request:
    """One request, independent of endpoint, date and signature: those are chosen anew for each attempt.

    Two spellings are understood, that of the vendor's 19.09 releases, with the session first, and the later one
    without::

        Request(session, "POST", "/auth", b"...")       # for fetch()
        Request("POST", "/auth", json={"echo": "hi"})   # in recipes

    Args:
        session: The session that :meth:`fetch` uses.
        method: HTTP method.
        path: Path below the endpoint, percent-encoded; a first ``/`` is optional.
        content: Body. Text is sent as UTF-8 with type ``text/plain``, bytes as ``application/octet-stream``.
        json: Body as a value to be encoded as JSON. Excludes ``content`` and ``files``.
        params: Query parameters; a list repeats its name. A server reads them only from requests without a body.
        content_type: Overrides the type that follows from the body.
        files: Parts of a multipart body.
        anonymous: Send without signature.
        idempotent: Whether it may be sent again although the server may have acted on it. None: if the method is safe.
        hold: Seconds that the server may take to answer by design (starting a session, for example). Widens read
            timeout and deadline.
        check_status: Raise :class:`BackendAPIError` for an answer outside 2xx and 3xx.
        reporthook: Kept for the vendor's signature; not called.

    Thread-safety: a value; do not change it after it was sent.
    """

    __slots__ = (
        "_headers", "anonymous", "body", "check_status", "content_type", "date", "files", "hold", "idempotent",
        "method", "params", "path", "reporthook", "session", "stream",
    )  # fmt: skip

    @overload
    def __init__(
        self,
        session: _Sender,
        method: str = "GET",
        path: str | None = None,
        content: RequestContent = None,
        *,
        json: Any = ...,
        params: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        files: Iterable[AttachedFile] | None = None,
        anonymous: bool = False,
        idempotent: bool | None = None,
        hold: float | None = None,
        check_status: bool = True,
        reporthook: Callable[..., object] | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        session: str,
        method: str,
        path: RequestContent = None,
        content: None = None,
        *,
        json: Any = ...,
        params: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        files: Iterable[AttachedFile] | None = None,
        anonymous: bool = False,
        idempotent: bool | None = None,
        hold: float | None = None,
        check_status: bool = True,
        reporthook: Callable[..., object] | None = None,
    ) -> None: ...

    def __init__(
        self,
        session: Any,
        method: Any = "GET",
        path: Any = None,
        content: Any = None,
        *,
        json: Any = _NOT_GIVEN,
        params: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        files: Iterable[AttachedFile] | None = None,
        anonymous: bool = False,
        idempotent: bool | None = None,
        hold: float | None = None,
        check_status: bool = True,
        reporthook: Callable[..., object] | None = None,
    ) -> None:
        if session.__class__ is str:
            session, method, path, content = None, session, method, path
        if method not in METHODS:
            raise InvalidArgument("method", method, f"must be one of {', '.join(sorted(METHODS))}")
        if path.__class__ is not str:
            raise InvalidArgument("path", path, "must be a string")
        self.session = session
        self.method: str = method
        self.path: str = path[1:] if path[:1] == "/" else path
        if params is not None and not isinstance(params, Mapping):
            raise InvalidArgument("params", params, "must be a mapping of names to values")
        if hold is not None and not _is_seconds(hold):
            raise InvalidArgument("hold", hold, "must be a number of seconds, 0 or more, or None")
        self.params = params
        self.anonymous = anonymous
        self.idempotent: bool = method in SAFE_METHODS if idempotent is None else idempotent
        self.hold = hold
        self.check_status = check_status
        self.reporthook = reporthook
        self.stream: Any = None  # what takes the connection of the answer over
        self.date: Any = None
        self.files: list[AttachedFile] | None = None
        self._headers: CaseInsensitiveDict[str] | None = None
        self.body: bytes | None = None
        self.content_type = "text/plain"
        if json is not _NOT_GIVEN:
            self.set_json(json)
        elif content is not None:
            self.set_content(content)
        if content_type is not None:
            self.content_type = _checked_type(content_type)
        if files is not None:
            self.attach_files(files)

    def __repr__(self) -> str:
        return f"<Request {self.method} /{self.path}>"

    @property
    def config(self) -> Any:
        """The configuration of the session given."""
        return self._bound_session().config

    @property
    def headers(self) -> CaseInsensitiveDict[str]:
        """Extra headers; they are sent in addition to the standard ones, which each attempt sets."""
        if self._headers is None:
            self._headers = CaseInsensitiveDict()
        return self._headers

    @property
    def content(self) -> bytes:
        """The body that was set; empty when there is none."""
        return self.body if self.body is not None else b""

    def set_content(self, value: RequestContent, *, content_type: str | None = None) -> None:
        """Set the body.

        Args:
            value: Text (sent as UTF-8, ``text/plain``), bytes (``application/octet-stream``) or None for no body
                (``text/plain``).
            content_type: Overrides the type.

        Raises:
            InvalidArgument: Files were attached already, or the value is of another type.
        """
        if self.files is not None:
            raise InvalidArgument("value", type_of(value), "cannot set content after files were attached")
        if value is None:
            self.body, guessed = None, "text/plain"
        elif isinstance(value, str):
            self.body, guessed = value.encode(), "text/plain"
        elif isinstance(value, bytes | bytearray):
            self.body, guessed = bytes(value), "application/octet-stream"
        else:
            raise InvalidArgument("content", type_of(value), "must be str, bytes or None")
        self.content_type = guessed if content_type is None else _checked_type(content_type)

    def set_json(self, value: Any) -> None:
        """Set a JSON body.

        Args:
            value: What to encode. Paths and decimals become strings.

        Raises:
            InvalidArgument: The value cannot be encoded, or files were attached already.
        """
        try:
            text = _json.dumps(value, cls=ExtendedJSONEncoder, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgument("json", type_of(value), f"cannot be encoded: {error}") from None
        self.set_content(text, content_type="application/json")

    def attach_files(self, files: Iterable[AttachedFile]) -> None:
        """Make the body a multipart form with one part per file.

        Args:
            files: The parts.

        Raises:
            InvalidArgument: A body was set already.
        """
        if self.body is not None:
            raise InvalidArgument("files", "...", "cannot attach files to a request that has content")
        self.files = [_checked_file(file) for file in files]
        self.content_type = "multipart/form-data"

    def fetch(
        self,
        *,
        anonymous: bool | None = None,
        response_cls: type[Response] | None = None,
        check_status: bool | None = None,
    ) -> FetchContextManager:
        """Send the request through its session.

        Args:
            anonymous: Send without signature; default as constructed.
            response_cls: Ignored: the class follows from ``with`` (:class:`Response`) or ``async with``
                (:class:`AsyncResponse`).
            check_status: Raise for an error status; default as constructed.

        Returns:
            A context manager for ``with`` and ``async with`` that yields the response, its body already read.

        Raises:
            InvalidArgument: The request has no session.
        """
        self._bound_session()
        if anonymous is not None:
            self.anonymous = anonymous
        if check_status is not None:
            self.check_status = check_status
        return FetchContextManager(self)

    def connect_websocket(
        self,
        *,
        on_enter: Callable[[Any], Any] | None = None,
        response_cls: type[WebSocketResponse[Any]] | None = None,
    ) -> WebSocketResponse[Any]:
        """Open a WebSocket through the request's session. Nothing is sent before it is entered.

        Args:
            on_enter: Called with the socket when it is open; with ``async with`` it may be a coroutine function.
            response_cls: Class of the socket, default :class:`WebSocketResponse`.

        Returns:
            The socket, for ``with`` and ``async with``.

        Raises:
            InvalidArgument: The request has no session, or a method other than GET.
        """
        self._check_streamable()
        kind: type[WebSocketResponse[Any]] = response_cls or resolve(__name__, "WebSocketResponse")
        return kind.of_request(self, on_enter)

    def connect_events(
        self, *, response_cls: type[SSEResponse[Any]] | None = None, reconnect: bool = True
    ) -> SSEResponse[Any]:
        """Open an event stream through the request's session. Nothing is sent before it is entered.

        Args:
            response_cls: Class of the stream, default :class:`SSEResponse`.
            reconnect: Connect again when the connection ends before the stream does.

        Returns:
            The stream, for ``with`` and ``async with``.

        Raises:
            InvalidArgument: The request has no session, or a method other than GET.
        """
        self._check_streamable()
        kind: type[SSEResponse[Any]] = response_cls or resolve(__name__, "SSEResponse")
        return kind.of_request(self, reconnect)

    def _check_streamable(self) -> None:
        self._bound_session()
        if self.method != "GET":
            raise InvalidArgument("method", self.method, "must be GET for a stream")

    def _bound_session(self) -> Any:
        if self.session is None:
            raise InvalidArgument(
                "session", None, "the request was made without a session: use Request(session, method, path)"
            )
        return self.session


class Response:
    """An answer whose body has been read.

    Attributes:
        session: The session that asked, or None in recipes.
        status: HTTP status code.
        content: The body, decoded as ``Content-Encoding`` says.
        raw_response: The :class:`requests.Response` behind it.
    """

    __slots__ = ("_position", "content", "raw_response", "session", "status")

    def __init__(self, status: int, content: bytes, raw_response: Any = None, session: Any = None) -> None:
        self.status = status
        self.content = content
        self.raw_response = raw_response
        self.session = session
        self._position = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {len(self.content)} bytes>"

    @property
    def reason(self) -> str:
        """HTTP reason phrase."""
        return getattr(self.raw_response, "reason", None) or ""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers; names compare without regard to case."""
        headers: Mapping[str, str] = CaseInsensitiveDict() if self.raw_response is None else self.raw_response.headers
        return headers

    @property
    def content_type(self) -> str:
        """MIME type without parameters; ``application/octet-stream`` when the server named none."""
        return self.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """``Content-Length`` as sent, None when absent or no number."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() else None

    def text(self) -> Any:
        """The body as text (UTF-8; what cannot be decoded is replaced)."""
        return self.content.decode("utf-8", "replace")

    def json(self, *, loads: Callable[..., Any] | None = None) -> Any:
        """The body as JSON.

        Args:
            loads: Decoder; by default :func:`json.loads`.

        Raises:
            InvalidReply: It is not JSON; status and the first bytes are kept.
        """
        try:
            # Decoded here: json.loads would first guess the encoding.
            return (loads or _decode)(self.content.decode())
        except (ValueError, RecursionError) as error:
            if loads is None and not self.content.isascii():
                try:
                    return _json.loads(self.content)  # a byte order mark, or UTF-16
                except (ValueError, RecursionError):
                    pass
            raise InvalidReply(f"the body is not JSON: {error}", self.status, self.content) from None

    def read(self, n: int = -1) -> bytes:
        """The next ``n`` bytes of the body, all that is left when negative; empty at the end."""
        start = self._position
        end = len(self.content) if n < 0 else min(start + n, len(self.content))
        self._position = end
        return self.content[start:end]

    def readall(self) -> bytes:
        """What is left of the body."""
        return self.read()


class AsyncResponse(Response):
    """The same answer as ``async with`` yields it.

    :meth:`text`, :meth:`json`, :meth:`aread` and :meth:`areadall` are coroutines.
    """

    __slots__ = ()

    async def text(self) -> str:
        """The body as text."""
        text: str = super().text()
        return text

    async def json(self, *, loads: Callable[..., Any] | None = None) -> Any:
        """The body as JSON."""
        return super().json(loads=loads)

    async def aread(self, n: int = -1) -> bytes:
        """The next ``n`` bytes of the body."""
        return self.read(n)

    async def areadall(self) -> bytes:
        """What is left of the body."""
        return self.read()


class FetchContextManager:
    """Sends on entering, yields the response. Not reusable at the same time by two tasks."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> Response:
        session = self._request.session
        if getattr(session, "asynchronous", False):
            raise TypeError("use `async with` to fetch through an AsyncSession")
        response: Response = session._wait(session._send_request(self._request))
        response.session = session
        return response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aenter__(self) -> AsyncResponse:
        session = self._request.session
        pending: Awaitable[Response] = session._send_request(self._request)
        response = await pending
        return AsyncResponse(response.status, response.content, response.raw_response, session)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def __getattr__(name: str) -> Any:
    return resolve(__name__, name)
