"""What to send: one attempt of a request, with its URL, headers, date and signature.

Every attempt is prepared anew, because the server refuses dates that are 15 minutes off and because endpoint, ``Host``
and signature belong together. The result is a :class:`requests.PreparedRequest` filled by hand: ``Request.prepare``
would cost 32 µs more.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from ai.backend.client import auth
from ai.backend.client._checks import plain
from ai.backend.client._upload import AttachedFile, file_disposition
from ai.backend.client.auth import redact_url
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.log import masked
from ai.backend.client.request import Request
from ai.backend.client.sessions.wire.endpoints import Endpoint
from ai.backend.client.transfer import Transfer

_PLAIN_PATH = re.compile(
    r"[A-Za-z0-9\-._~!$&'()*+,;=:@/]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9\-._~!$&'()*+,;=:@/]*)*"
).fullmatch
_PATH_SAFE = "!$&'()*+,;=:@/~"
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


class Headers(MutableMapping[str, str]):
    """Request headers as the text that is sent. They become a mapping (in any case) only when somebody asks for one.

    Args:
        text: Header lines, each with its line end.
    """

    __slots__ = ("_mapping", "_text")

    def __init__(self, text: str) -> None:
        self._text: str | None = text
        self._mapping: CaseInsensitiveDict[str] | None = None

    @property
    def text(self) -> str:
        """The header lines."""
        if self._text is None:
            self._text = "".join(f"{name}: {value}\r\n" for name, value in self._parsed().items())
        return self._text

    def _parsed(self) -> CaseInsensitiveDict[str]:
        if self._mapping is None:
            pairs = (line.partition(": ") for line in self.text.split("\r\n")[:-1])
            self._mapping = CaseInsensitiveDict((name, value) for name, _, value in pairs)
        return self._mapping

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._parsed()[name] = value
        self._text = None

    def __delitem__(self, name: str) -> None:
        del self._parsed()[name]
        self._text = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __contains__(self, name: object) -> bool:
        if self._text is not None and f"\r\n{name}: " in self._text:  # requests asks for Content-Length each time
            return True
        return name in self._parsed()

    def __repr__(self) -> str:
        return repr(masked(self))

    def copy(self) -> CaseInsensitiveDict[str]:
        """A plain copy; urllib3 makes one for proxies."""
        return self._parsed().copy()


class HidingHeaders(Headers):
    """Headers of a request whose URL must not be seen by who logs URLs.

    Args:
        text: Header lines.
        secret_target: What really stands on the request line.
    """

    __slots__ = ("secret_target",)

    def __init__(self, text: str, secret_target: str) -> None:
        super().__init__(text)
        self.secret_target = secret_target

    def copy(self) -> Any:
        """A copy that hides as well."""
        return HidingHeaders(self.text, self.secret_target)


class PreparedAttempt(requests.PreparedRequest):
    """A prepared request that knows its endpoint and its target.

    Attributes:
        endpoint: Where it goes.
        target: Path and query, exactly as signed and sent.
    """

    def __init__(self, endpoint: Endpoint, method: str, target: str, headers: Headers, body: Any) -> None:
        self.endpoint = endpoint
        self.target = target
        self.method = method
        self.url = endpoint.origin + target
        self.headers = headers  # type: ignore[assignment]  # found in any case, like a CaseInsensitiveDict
        self.body = body
        self.hooks = {"response": []}
        self._cookies = None
        self._body_position = None

    @property
    def path_url(self) -> str:
        """The target, as ``requests`` calls it."""
        return self.target

    def copy(self) -> PreparedAttempt:
        """A copy."""
        body: Any = self.body
        headers: Any = self.headers
        return PreparedAttempt(self.endpoint, self.method or "", self.target, Headers(headers.text), body)


class Preparer:
    """Prepares the attempts of one session.

    Args:
        config: Keys, domain, user agent and mode.
        clock: The current time, in seconds since the epoch.
    """

    def __init__(self, config: APIConfig, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._second = (0, "")  # and its text, without the fraction
        self._signs = config.endpoint_type == "api" and not config.is_anonymous
        self._in_web_session = config.endpoint_type == "session"

    def prepare(self, request: Request, endpoint: Endpoint, version: str) -> PreparedAttempt:
        """Make one attempt.

        Args:
            request: What the recipe asked for.
            endpoint: Where it goes.
            version: The API version to announce; empty for the version probe, which sends no such headers.
        """
        method = request.method
        if version and request._api_version is not None:
            version = request._api_version
        target = self.target(request, endpoint)
        body, content_type = self._body(request)
        if request._headers and "Content-Type" in request._headers:
            content_type = plain(request._headers["Content-Type"])
        if content_type not in _KNOWN_TYPES:
            _checked_header("Content-Type", content_type)
        text = self._opening(request, endpoint, target, content_type, version, body)
        if body is not None:
            text += f"Content-Length: {len(body)}\r\n"
        elif method in _BODY_METHODS:
            text += "Content-Length: 0\r\n"
        headers = Headers(text)
        if request._headers:
            for name, value in request._headers.items():
                # The type was taken above; what the session sets by itself may be there for reading.
                if name.lower() == "content-type" or (value and headers.get(name) == value):
                    continue
                headers[_checked_header(plain(name), value)] = plain(value)
        return PreparedAttempt(endpoint, method, target, headers, body)

    def prepare_transfer(
        self, request: Transfer, origin: Endpoint, version: str, body: Any, length: int | None, hides: bool
    ) -> PreparedAttempt:
        """Make one attempt of a transfer.

        Args:
            request: What the recipe asked for.
            origin: Where it goes.
            version: The API version to announce to a manager.
            body: The body: bytes, an iterable of them, or None.
            length: Its length; None: there is none.
            hides: Whether somebody on the way logs URLs.
        """
        method, content_type = request.method, request.content_type
        _checked_header("Content-Type", content_type)
        if request.url is None:
            target = self.target(request, origin)
            text = self._opening(request, origin, target, content_type, version, body)
        else:
            target = request.target
            text = f"Host: {origin.host}\r\nUser-Agent: {self._config.user_agent}\r\n"
            if body is not None:
                text += f"Content-Type: {content_type}\r\n"
        if request.sink is not None:
            text += "Accept-Encoding: identity\r\n"
        if length is not None or method in _BODY_METHODS:
            text += f"Content-Length: {length or 0}\r\n"
        for name, value in request.headers.items():
            text += f"{_checked_header(name, value)}: {value}\r\n"
        if not hides or request.url is None:
            return PreparedAttempt(origin, method, target, Headers(text), body)
        sent = origin.origin + target if origin.scheme == "http" else target  # see HubAdapter.request_url
        return PreparedAttempt(origin, method, redact_url(target), HidingHeaders(text, sent), body)

    def _opening(
        self, request: Request, endpoint: Endpoint, target: str, content_type: str, version: str, body: Any
    ) -> str:
        """The headers of whatever goes to a manager, down to the signature."""
        text = self._prelude(endpoint, version)
        if not version:
            return text
        date = self._date()
        text += f"Date: {date}\r\nContent-Type: {content_type}\r\n" if content_type else f"Date: {date}\r\n"
        if self._signs and not request.anonymous:
            covered = body if body.__class__ is bytes else None  # a form's content never is
            signed_type = content_type or SIGNED_AS_UNTYPED
            text += self._authorization(request.method, target, date, endpoint, signed_type, version, covered)
        return text

    def _date(self) -> str:
        """The time as :meth:`datetime.datetime.isoformat` writes it, in UTC; its text is new once a second only."""
        now = self._clock()
        second = int(now)
        known, text = self._second
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{int((now - second) * 1_000_000):06d}+00:00"

    def _prelude(self, endpoint: Endpoint, version: str) -> str:
        """The headers that are the same in every attempt at an endpoint."""
        known, text = endpoint.prelude
        if known != version or not text:
            text = f"Host: {endpoint.host}\r\nUser-Agent: {self._config.user_agent}\r\n"
            if version:
                text += f"X-BackendAI-Domain: {self._config.domain}\r\nX-BackendAI-Version: {version}\r\n"
            endpoint.prelude = (version, text)
        return text

    def target(self, request: Request, endpoint: Endpoint) -> str:
        """Path and query of a request at an endpoint."""
        path = request.path
        if not _PLAIN_PATH(path):
            try:
                path = urllib.parse.quote(path, safe=_PATH_SAFE + "%")
            except UnicodeEncodeError:
                raise InvalidArgument("path", ascii(path), "must be text that can be encoded as UTF-8") from None
        if self._in_web_session and not path.startswith("server"):
            path = "func/" + path
        target = f"{endpoint.base_path}/{path}"
        if request.params:
            try:
                target += "?" + urllib.parse.urlencode(request.params, doseq=True)
            except UnicodeEncodeError:
                raise InvalidArgument("params", ascii(request.params), "must be text that can be encoded") from None
        return target

    def _body(self, request: Request) -> tuple[bytes | None, str]:
        if request.files is None:
            return request.body, request.content_type
        return encode_multipart_formdata([_part(file) for file in request.files])

    def _authorization(
        self,
        method: str,
        target: str,
        date: str,
        endpoint: Endpoint,
        content_type: str,
        version: str,
        body: bytes | None,
    ) -> str:
        config = self._config
        day, key = endpoint.signing
        if day != date[:10]:
            day = date[:10]
            key = auth.day_key(config.secret_key, day.replace("-", ""), endpoint.host, config.hash_type)
            endpoint.signing = (day, key)
        covered = None
        if version < auth.UNHASHED_BODY_SINCE:
            covered = auth.body_hash(version, content_type, body or b"", config.hash_type)
        signature = auth.sign(
            key, method, target, date, endpoint.host, content_type, version, config.hash_type, covered
        )
        return f"Authorization: {auth.authorization(config.access_key, signature, config.hash_type)}\r\n"


SIGNED_AS_UNTYPED = "application/octet-stream"
"""What stands in the signature where a request has no ``Content-Type``, as those that open event streams and WebSockets
have none: the manager fills in the same."""

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def _part(file: AttachedFile) -> RequestField:
    if not isinstance(file.stream, bytes):
        raise TypeError("the transport reads streams before the first attempt")
    headers = {"Content-Disposition": file_disposition(file.filename), "Content-Type": file.content_type}
    return RequestField("src", file.stream, file.filename, headers)


_KNOWN_TYPES = frozenset({"", "text/plain", "application/json", "application/octet-stream"})

_OURS = frozenset(
    {"authorization", "content-length", "date", "host", "transfer-encoding", "x-backendai-version", "connection"}
)
"""Headers that the session sets: they are signed, or frame the message."""


def _checked_header(name: str, value: str) -> str:
    if name.lower() in _OURS:
        raise InvalidArgument("headers", name, "is set by the session")
    if not _HEADER_NAME(name):
        raise InvalidArgument("headers", name, "is not a header name")
    if not isinstance(value, str) or not _HEADER_VALUE(value):
        raise InvalidArgument("headers", name, "has a value with control characters or outside latin-1")
    return name


def with_cookies(attempt: PreparedAttempt, header: str | None) -> None:
    """Add a ``Cookie`` header.

    Args:
        attempt: The prepared attempt.
        header: The header's value; None or empty adds nothing.
    """
    if header:
        attempt.headers["Cookie"] = header
