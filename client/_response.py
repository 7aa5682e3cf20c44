"""The answer to a request, and the ``with`` that waits for it."""

from __future__ import annotations

import json as _json
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from requests.structures import CaseInsensitiveDict

from ai.backend.client.exceptions import InvalidReply

if TYPE_CHECKING:
    from ai.backend.client.request import Request

_decode = _json.JSONDecoder().decode


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

    :meth:`text`, :meth:`json`, :meth:`read` and :meth:`readall` are coroutines. In 19.09 the latter two are called
    ``aread`` and ``areadall``.
    """

    __slots__ = ()

    async def text(self) -> str:
        """The body as text."""
        text: str = super().text()
        return text

    async def json(self, *, loads: Callable[..., Any] | None = None) -> Any:
        """The body as JSON."""
        return super().json(loads=loads)

    async def read(self, n: int = -1) -> bytes:  # type: ignore[override]  # as with the two above
        """The next ``n`` bytes of the body."""
        return super().read(n)

    async def readall(self) -> bytes:  # type: ignore[override]
        """What is left of the body."""
        return super().read()

    aread, areadall = read, readall


class FetchContextManager:
    """Sends on entering, yields the response. Not reusable at the same time by two tasks."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> Response:
        session = self._request.session
        if getattr(session, "asynchronous", False):
            raise TypeError("use `async with` to fetch through an AsyncSession")
        if self._request._unread is not None:
            raise TypeError("use `async with` to fetch with content that has to be awaited")
        response: Response = session._wait(session._send_request(self._request))
        response.session = session
        return response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aenter__(self) -> AsyncResponse:
        session = self._request.session
        await self._request._read_content()
        pending: Awaitable[Response] = session._send_request(self._request)
        response = await pending
        return AsyncResponse(response.status, response.content, response.raw_response, session)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
