"""One HTTP request of the API and its answer, as values.

Recipes (``functions/``) yield :class:`Request` objects and are resumed with :class:`Response` objects. The same classes
are the low-level door for users: ``with Request(session, "GET", "/auth").fetch() as response: ...``. Nothing here does
I/O; a session does.
"""

from __future__ import annotations

import decimal
import inspect
import json as _json
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

from requests.structures import CaseInsensitiveDict

from ai.backend.client._aliases import resolve
from ai.backend.client._checks import check_media_type, check_seconds, plain
from ai.backend.client._current import current_session
from ai.backend.client._response import AsyncResponse, FetchContextManager, Response
from ai.backend.client._upload import AttachedFile, checked_file
from ai.backend.client.exceptions import InvalidArgument, type_of
from ai.backend.client.versioning import format_api_version, parse_api_version

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


class ReadableContent(Protocol):
    """A file, :class:`io.BytesIO` or :class:`io.StringIO`, or a stream reader whose ``read()`` is awaited."""

    def read(self) -> Any:
        """All that is left, bytes or text."""


RequestContent = bytes | bytearray | str | ReadableContent | None


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

_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]+").fullmatch


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
    text = plain(text)
    if text in {".", ".."}:
        raise InvalidArgument(argument, text, "must not be a dot segment")
    if _UNRESERVED(text):
        return text
    try:
        return urllib.parse.quote(text, safe="")
    except UnicodeEncodeError:
        raise InvalidArgument(argument, text, "must be text that can be encoded as UTF-8") from None


def _content_read(data: object) -> bytes:
    if isinstance(data, str):
        return plain(data).encode()
    if not isinstance(data, bytes | bytearray):
        raise InvalidArgument("content", type_of(data), "must give bytes or text when it is read")
    return bytes(data)


VERSION_HEADER: Final = "X-BackendAI-Version"


class Request:
    """One request, independent of endpoint, date and signature: those are chosen anew for each attempt.

    Two spellings are understood, that of the vendor's 19.09 releases, with the session first, and the later one
    without::

        Request(session, "POST", "/auth", b"...")       # for fetch()
        Request("POST", "/auth", json={"echo": "hi"})   # in recipes

    Args:
        session: The session that :meth:`fetch` uses; by default that of the ``with`` block which the code is in.
        method: HTTP method.
        path: Path below the endpoint, percent-encoded; a first ``/`` is optional.
        content: Body. Text is sent as UTF-8 with type ``text/plain``, bytes as ``application/octet-stream``, as is what
            a file object gives. One whose ``read()`` is to be awaited (``aiohttp.StreamReader``) is read by ``async
            with``.
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
        override_api_version: API version to announce and sign with in place of the negotiated one, for example
            ``v6.20220615``.

    Attributes:
        api_version: See ``override_api_version``; without it the session's, once there is a session.

    Thread-safety: a value; do not change it after it was sent.
    """

    __slots__ = (
        "_api_version", "_headers", "_unread", "anonymous", "body", "check_status", "content_type", "date", "files",
        "hold", "idempotent", "method", "params", "path", "reporthook", "session",
        "stream",
    )  # fmt: skip

    @overload
    def __init__(
        self,
        session: _Sender | None = None,
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
        override_api_version: str | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        session: str,
        method: str = ...,
        path: Any = None,
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
        override_api_version: str | None = None,
    ) -> None: ...

    def __init__(
        self,
        session: Any = None,
        method: Any = _NOT_GIVEN,
        path: Any = _NOT_GIVEN,
        content: Any = _NOT_GIVEN,
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
        override_api_version: str | None = None,
    ) -> None:
        if isinstance(session, str):
            if method is _NOT_GIVEN:  # the others by their names
                session, method = None, session
            else:
                session, method, path, content = None, session, method, content if path is _NOT_GIVEN else path
        method = "GET" if method is _NOT_GIVEN else plain(method)
        path = None if path is _NOT_GIVEN else plain(path)
        if method not in METHODS:
            raise InvalidArgument("method", method, f"must be one of {', '.join(sorted(METHODS))}")
        if path.__class__ is not str:
            raise InvalidArgument("path", path, "must be a string")
        self.session = current_session() if session is None else session
        self.method: str = method
        self.path: str = path[1:] if path[:1] == "/" else path
        if params is not None and not isinstance(params, Mapping):
            raise InvalidArgument("params", params, "must be a mapping of names to values")
        self.params = params and {plain(name): plain(value) for name, value in params.items()}
        self.anonymous = anonymous
        self.idempotent: bool = method in SAFE_METHODS if idempotent is None else idempotent
        self.hold = None if hold is None else check_seconds("hold", hold)
        self.check_status = check_status
        self.reporthook = reporthook
        self.stream: Any = None  # what takes the connection of the answer over
        self.date: Any = None
        self.files: list[AttachedFile] | None = None
        self._headers: CaseInsensitiveDict[str] | None = None
        self.body: bytes | None = None
        self._unread: ReadableContent | None = None
        self._api_version: str | None = None
        if override_api_version is not None:
            self.api_version = override_api_version
        self.content_type = "text/plain"
        if json is not _NOT_GIVEN:
            self.set_json(json)
        elif content is not _NOT_GIVEN and content is not None:
            self.set_content(content)
        if content_type is not None:
            self.content_type = check_media_type("content_type", content_type)
        if files is not None:
            self.attach_files(files)

    def __repr__(self) -> str:
        return f"<Request {self.method} /{self.path}>"

    @property
    def config(self) -> Any:
        """The configuration of the session given."""
        return self._bound_session().config

    @property
    def api_version(self) -> str:
        """The API version that is announced; empty where neither it nor a session was given."""
        if self._api_version is not None or self.session is None:
            return self._api_version or ""
        return format_api_version(self.session.api_version)

    @api_version.setter
    def api_version(self, version: str) -> None:
        self._api_version = format_api_version(parse_api_version(version))
        if self._headers is not None and VERSION_HEADER in self._headers:
            self._headers[VERSION_HEADER] = self._api_version

    @property
    def headers(self) -> CaseInsensitiveDict[str]:
        """Headers to send: those that the session adds are there for reading, others can be added."""
        if self._headers is None:
            self._headers = CaseInsensitiveDict()
            if self.session is not None:
                self._headers["User-Agent"] = self.config.user_agent
                self._headers["X-BackendAI-Domain"] = self.config.domain
                self._headers[VERSION_HEADER] = self.api_version
        return self._headers

    @property
    def content(self) -> bytes:
        """The body that was set; empty when there is none."""
        return self.body if self.body is not None else b""

    def set_content(self, value: RequestContent, *, content_type: str | None = None) -> None:
        """Set the body.

        Args:
            value: Text (sent as UTF-8, ``text/plain``), bytes or a file object (``application/octet-stream``) or None
                for no body (``text/plain``). A file object is read here, unless that is to be awaited.
            content_type: Overrides the type.

        Raises:
            InvalidArgument: Files were attached already, or the value is of another type.
        """
        if self.files is not None:
            raise InvalidArgument("value", type_of(value), "cannot set content after files were attached")
        self._unread = None
        if value is None:
            self.body, guessed = None, "text/plain"
        elif isinstance(value, str):
            self.body, guessed = plain(value).encode(), "text/plain"
        elif isinstance(value, bytes | bytearray):
            self.body, guessed = bytes(value), "application/octet-stream"
        elif callable(getattr(value, "read", None)):
            self.body, guessed = None, "application/octet-stream"
            if inspect.iscoroutinefunction(value.read):
                self._unread = value
            else:
                self.body = _content_read(value.read())
        else:
            raise InvalidArgument("content", type_of(value), "must be str, bytes, a file object or None")
        self.content_type = guessed if content_type is None else check_media_type("content_type", content_type)

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
        if self.body or self._unread is not None:
            raise InvalidArgument("files", "...", "cannot attach files to a request that has content")
        self.body = None
        self.files = [checked_file(file) for file in files]
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
        socket: WebSocketResponse[Any] = self.session._websocket_of(self, on_enter, response_cls)
        return socket

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
        events: SSEResponse[Any] = self.session._events_of(self, reconnect, response_cls)
        return events

    def _check_streamable(self) -> None:
        self._bound_session()
        if self.method != "GET":
            raise InvalidArgument("method", self.method, "must be GET for a stream")

    async def _read_content(self) -> None:
        """Read a body that has to be awaited, once."""
        unread, self._unread = self._unread, None
        if unread is not None:
            self.body = _content_read(await unread.read())

    def _bound_session(self) -> Any:
        if self.session is None:
            raise InvalidArgument(
                "session",
                None,
                "the request was made without a session: use Request(session, method, path), or a `with` block of one",
            )
        return self.session


def __getattr__(name: str) -> Any:
    return resolve(__name__, name)
