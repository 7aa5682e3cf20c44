"""Requests whose bodies are too large to be held in memory, as values.

Recipes yield a :class:`Transfer` where a :class:`~ai.backend.client.request.Request` would not do: files go up from a
:class:`Source` and come down into a :data:`Sink`, both of which run in native threads of the session.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, AnyStr, NamedTuple, Protocol

from ai.backend.client.auth import host_header, redact_url
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.request import Request, Response

__all__ = ["Head", "OnBytes", "Poured", "Sink", "Source", "Transfer", "path_of_url", "whole_number"]

PIECE = 1 << 18
"""Bytes of a body that are handled at a time unless a request says otherwise: 256 KiB."""


class Head(NamedTuple):
    """What is known of an answer before its body has come.

    Attributes:
        status: HTTP status code, 200 to 299.
        headers: Headers; names compare without regard to case.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def length(self) -> int | None:
        """Bytes that the body will have, None where the answer does not say."""
        return None if "Transfer-Encoding" in self.headers else whole_number(self.headers.get("Content-Length", ""))


MAX_DIGITS = 18
"""Of a number of bytes: far above every file, and far below where Python refuses to read a number."""


def whole_number(text: str) -> int | None:
    """A number of bytes as headers have it; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None


class Source(Protocol):
    """Where a body comes from.

    Attributes:
        length: How many bytes it has.
    """

    length: int

    def pieces(self, size: int) -> Generator[bytes, None, None]:
        """The bytes, in pieces of at most ``size``, anew for each attempt. Runs in a native thread: it may block."""
        ...


Sink = Callable[[Head, Iterator[bytes]], Any]
"""Where a body goes. Called once per answer, in a native thread, so it may block. The iterator raises whatever ends the
body early. The value becomes :attr:`Poured.value`."""

OnBytes = Callable[[int, Callable[[Callable[[], object]], object]], object]
"""Called on the hub with how many bytes of a body have moved so far, and a function that runs callables on the
session's callback worker. Must not block."""


class Transfer(Request):
    """A request whose body or answer is not held in memory, or that goes to a storage proxy instead of the manager.

    For recipes only. To an absolute ``url`` it is sent as it stands: without signature, ``X-BackendAI-*`` headers and
    cookies. The query parameters of such a request are secrets: they appear in no error, log or ``repr``.

    Args:
        method: HTTP method.
        path: Path below the manager's endpoint, as for a :class:`Request`. Excludes ``url``.
        url: Absolute http or https URL without query. Excludes ``path``.
        params: Query parameters.
        headers: Extra headers.
        json: Body as a value to be encoded as JSON. Excludes ``source``.
        source: Where the body comes from.
        content_type: Type of the body.
        sink: Where the body of an answer with status 2xx goes, as it was sent: one with a content encoding is refused.
            Every other answer is read whole, and raises :class:`~ai.backend.client.exceptions.BackendAPIError`; without
            a sink only from 400 on. The request is not sent again once the sink was called.
        piece: Bytes of a body that are handled at a time. About four times as much is held.
        on_bytes: Is told of progress.
        idempotent: As for a :class:`Request`.

    Raises:
        InvalidArgument: The URL is not usable.
    """

    __slots__ = ("on_bytes", "piece", "sink", "source", "url")

    def __init__(
        self,
        method: str,
        path: str = "",
        *,
        url: str | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        source: Source | None = None,
        content_type: str | None = None,
        sink: Sink | None = None,
        piece: int = PIECE,
        on_bytes: OnBytes | None = None,
        idempotent: bool | None = None,
    ) -> None:
        place = path if url is None else path_of_url(url)
        super().__init__(method, place, params=params, content_type=content_type, idempotent=idempotent)
        if json is not None:
            self.set_json(json)
        if headers:
            self.headers.update(headers)
        self.url = url
        self.source = source
        self.sink = sink
        self.piece = piece
        self.on_bytes = on_bytes

    def __repr__(self) -> str:
        return f"<Transfer {self.method} {'/' + self.path if self.url is None else self.url}>"

    @property
    def target(self) -> str:
        """Path and query of a request to an absolute URL. A secret."""
        query = urllib.parse.urlencode(self.params, doseq=True) if self.params else ""
        return f"/{self.path}?{query}" if query else f"/{self.path}"

    def without_secrets(self, told: AnyStr) -> AnyStr:
        """What a server told about a request to an absolute URL, with all secrets that it repeats replaced."""
        if self.url is not None:
            for secret in map(str, (self.params or {}).values()):
                if len(secret) >= MIN_SECRET:
                    for spelling in (secret, urllib.parse.quote_plus(secret)):
                        if isinstance(told, bytes):
                            told = told.replace(spelling.encode(), b"***")
                        else:
                            told = told.replace(spelling, "***")
        return told


MIN_SECRET = 16
"""Shorter query values are no tokens (``archive=true``), and would be found everywhere."""


def path_of_url(url: str) -> str:
    """The path of a URL that a :class:`Transfer` can go to, percent-encoded.

    Raises:
        InvalidArgument: It can go to no such URL.
    """
    try:
        host_header(url)
        parts = urllib.parse.urlsplit(url)
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("must have neither user information nor query nor fragment")
    except ValueError as error:
        raise InvalidArgument("url", redact_url(url), str(error)) from None
    return urllib.parse.quote(parts.path, safe="/%!$&'()*+,;=:@-._~")


class Poured(Response):
    """An answer whose body went to the sink of its :class:`Transfer`; its ``content`` is empty.

    Attributes:
        value: What the sink returned.
    """

    __slots__ = ("value",)

    def __init__(self, status: int, value: Any, raw_response: Any) -> None:
        super().__init__(status, b"", raw_response)
        self.value = value
