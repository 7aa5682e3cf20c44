"""How bytes travel: urllib3's pools and connections over cooperative sockets, with a fast path for the simple request.

A simple request (no body or bytes, an answer framed by ``Content-Length``) is written as one block and read with one or
two ``recv``. All else takes urllib3's and http.client's own path, over the same sockets: proxies, chunked and
compressed answers, old servers, odd framing. The fast path saves 85 µs of the 119 µs that urllib3 takes for a call.
"""

from __future__ import annotations

import collections
import http.client
import io
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.net import sockets
from ai.backend.client.actors.originals import rest_clock
from ai.backend.client.sessions.wire.prepare import Headers

HEAD_LIMIT = 65536
"""Bytes that an answer's status line and headers may have: the limit of http.client for one line."""

BODY_LIMIT = 1 << 30
"""Bytes that an answer may have, decoded. Nothing that the API sends comes near; a decompression bomb stops there."""

RECV = 65536

IDLE_LIMIT = 45.0
"""Seconds for which a connection may rest and be used again.

What stands between forgets it after a minute or more (60 s: AWS's load balancers; 75 s: nginx, and aiohttp, which the
manager runs on; 240 s: Azure's), some of it without a word to us: a request over such a connection waits in vain."""

TRUSTED = 0.001
"""Seconds for which an idle connection is taken as the loop's latest poll saw it. Later the kernel is asked (1 µs): the
loop may not have polled since, where the caller's own greenlets kept it busy."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d)(?: ([^\r\n]*))?")
_FOLD = re.compile(r"\r?\n[ \t]+").sub
_LENGTH = b"\r\ncontent-length:"
_LENGTHS = re.compile(rb"(?<=\r\ncontent-length:)[^\r\n]*").findall
_CONNECTIONS = re.compile(rb"(?<=\r\nconnection:)[^\r\n]*").findall
MAX_DIGITS = 18
"""Digits that a ``Content-Length`` may have: what fits into 64 bits."""

_INTERIM = frozenset({b"100", b"102", b"103"})
NO_CONTENT = 204
NOT_MODIFIED = 304
ERRORS = 400


if TYPE_CHECKING:
    _Connection = HTTPConnection
else:
    _Connection = object


class NothingSent(ProtocolError):
    """The connection turned out to be dead before a byte of the request left."""


class MalformedAnswer(ProtocolError):
    """What came back breaks the rules of HTTP."""


class Unanswered(ProtocolError):
    """A connection that had served before was closed before a byte of the answer came.

    Most likely the server had given it up already.
    """


class PlainReply:
    """A finished answer from the fast path. Stands in for urllib3's response; headers are parsed when somebody asks."""

    __slots__ = ("_headers", "data", "head", "reason", "status")

    version = 11
    version_string = "HTTP/1.1"

    def __init__(self, status: int, reason: str, head: bytes, data: bytes) -> None:
        self.status = status
        self.reason = reason
        self.head = head
        self.data = data
        self._headers: urllib3.HTTPHeaderDict | None = None

    @property
    def headers(self) -> urllib3.HTTPHeaderDict:
        """The answer's headers."""
        if self._headers is None:
            self._headers = urllib3.HTTPHeaderDict()
            unfolded = _FOLD(" ", self.head.decode("latin-1"))
            for line in unfolded.replace("\r\n", "\n").split("\n")[1:]:
                name, _, value = line.partition(":")
                self._headers.add(name, value.strip(" \t"))
        return self._headers

    def read(self, *_: Any, **__: Any) -> bytes:
        """The body, once."""
        data, self.data = self.data, b""
        return data

    def stream(self, *_: Any, **__: Any) -> Any:
        """The body in one piece."""
        if self.data:
            yield self.read()

    def release_conn(self) -> None:
        """Nothing: the connection is back in its pool already."""

    def close(self) -> None:
        """Nothing: see :meth:`release_conn`."""


class _Prefixed:
    """A socket on which some bytes were read already; for http.client, which wants ``makefile``."""

    def __init__(self, sock: sockets.HubSocket, read: bytes) -> None:
        self._sock = sock
        self._read = read
        self.surplus = False

    def makefile(self, mode: str = "rb", *_: Any) -> io.BufferedReader:
        return _CountingReader(_PrefixedReader(self, self._sock, self._read))


class _CountingReader(io.BufferedReader):
    """Notes, when it is closed, whether more was read than was asked for: then the connection has lost count."""

    raw: _PrefixedReader

    def close(self) -> None:
        if not self.closed:
            self.raw.owner.surplus = self.tell() < self.raw.tell() or self.raw.has_more()
        super().close()


class _PrefixedReader(io.RawIOBase):
    def __init__(self, owner: _Prefixed, sock: sockets.HubSocket, read: bytes) -> None:
        self.owner = owner
        self._sock = sock
        self._rest = sock.makefile(buffering=0)  # never read: keeps the socket open until it is closed
        self._read = read
        self._handed_out = 0

    def tell(self) -> int:
        return self._handed_out

    def has_more(self) -> bool:
        return bool(self._read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if self._read:
            size = min(len(view), len(self._read))
            view[:size] = self._read[:size]
            self._read = self._read[size:]
        else:
            size = self._sock.recv_into(view)
        self._handed_out += size
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._rest.close()


class _HubConnection(_Connection):
    """Opens its sockets on the hub. Mixed into urllib3's connections."""

    hub: Hub
    sock: Any
    rested_since: float = 0.0

    def rest(self) -> None:
        """An exchange is over; another may follow."""
        self.rested_since = rest_clock()
        self.sock.set_unread_limit()

    @property
    def is_connected(self) -> bool:
        """urllib3's question, when it takes a connection of its own pool."""
        return super().is_connected and rest_clock() - self.rested_since <= IDLE_LIMIT

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        """urllib3's own way of sending. It logs the URL that its pool was given, so a secret one travels apart."""
        super().request(method, getattr(headers, "secret_target", url), body, headers, **options)

    def _new_conn(self) -> Any:
        """urllib3's hook: a connected socket. Repeats urllib3's mapping of errors."""
        host = self._dns_host.strip("[]")
        timeout: Any = self.timeout
        try:
            sock = sockets.connect(self.hub, (host, self.port), timeout, self.socket_options, self.source_address)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {host} timed out.") from error
        except socket.gaierror as error:
            raise NameResolutionError(host, self, error) from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        sock.settimeout(timeout)  # for the TLS handshake
        return sock


def connection_classes(hub: Hub) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """urllib3's connection classes, bound to a hub."""
    plain = type("HubHTTPConnection", (_HubConnection, HTTPConnection), {"hub": hub})
    secure = type("HubHTTPSConnection", (_HubConnection, HTTPSConnection), {"hub": hub})
    return plain, secure


class RestedPool:
    """Knows since when a connection rests, also on urllib3's own way. Mixed into urllib3's pools."""

    def _put_conn(self, connection: Any) -> None:
        """urllib3's hook: an exchange is over."""
        if connection is not None and connection.sock is not None:
            connection.rest()
        super()._put_conn(connection)  # type: ignore[misc]  # urllib3's pool


class FastPath(RestedPool):
    """The simple request. Mixed into urllib3's pools. Lanes of one hub only: takes no lock."""

    streams = False
    """Whether bodies may be larger than memory; see :mod:`~ai.backend.client.sessions.wire.bodies`."""

    def _open_fast_path(self) -> None:
        self._idle: collections.deque[Any] = collections.deque()

    def urlopen(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> Any:
        """urllib3's hook: one exchange."""
        plain_body = body is None or body.__class__ is bytes
        if (
            not plain_body or method == "HEAD" or options.get("chunked") or options.get("preload_content", True)
        ) and not self.streams:
            return super().urlopen(method, url, body=body, headers=headers, **options)  # type: ignore[misc]  # urllib3's pool
        timeout = options["timeout"]
        connection, reused = self._take(timeout.connect_timeout)
        keep: bool | None = False
        try:
            connection.sock.settimeout(timeout.read_timeout)
            data = self._ask(connection, method, url, headers, body, reused)
            reply, keep = self._hear(connection, method, url, data, options)
        except (http.client.HTTPException, EOFError) as error:
            raise ProtocolError("Connection aborted.", error) from error
        except TimeoutError as error:
            text = f"Read timed out. (read timeout={timeout.read_timeout})"
            raise ReadTimeoutError(self, url, text) from error  # type: ignore[arg-type]  # it is a pool
        finally:
            if keep:
                self._give_back(connection)
            elif keep is False:
                connection.close()
        return reply

    def _give_back(self, connection: Any) -> None:
        connection.rest()
        connection.sock.when_stale = connection.close
        connection.sock.rearm()
        idle = self._idle
        idle.append(connection)
        if connection.rested_since - idle[0].rested_since > IDLE_LIMIT:  # the coldest one
            idle.popleft().close()

    def _take(self, timeout: float | None) -> tuple[Any, bool]:
        """An idle connection, the warmest first, or a new one; and whether it has served before."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            sock = connection.sock
            if sock is not None and not sock.stale:
                rested = rest_clock() - connection.rested_since
                if rested < TRUSTED or (rested <= IDLE_LIMIT and not sock.has_news()):
                    sock.when_stale = None
                    return connection, True
            connection.close()
        connection = self._new_conn()  # type: ignore[attr-defined]  # urllib3's pool
        connection.timeout = timeout
        try:
            connection.connect()
        except (OSError, SSLError) as error:
            connection.close()
            # A timeout or reset during the TLS handshake: no byte of the request left.
            if isinstance(error, TimeoutError):
                raise ConnectTimeoutError(connection, "TLS handshake timed out.") from error
            if isinstance(error, SSLError | ssl.SSLError):
                raise SSLError(error) from error
            raise NewConnectionError(connection, f"Failed to establish a new connection: {error}") from error
        except BaseException:
            connection.close()
            raise
        return connection, False

    def _ask(self, connection: Any, method: str, url: str, headers: Any, body: Any, reused: bool) -> bytes:
        """Send the request; returns the first bytes of the answer."""
        sock: sockets.HubSocket = connection.sock
        block = request_block(method, url, headers, body)
        try:
            sent = sock.send_some(block)
        except OSError as error:
            raise NothingSent("the connection was dead", error) from error
        if sent < len(block):
            sock.sendall(memoryview(block)[sent:])
        try:
            data = sock.recv(RECV)
        except ConnectionError:
            if reused:
                raise Unanswered("the server closed the connection without an answer") from None
            raise
        if not data:
            raise (Unanswered if reused else EOFError)("the server closed the connection without an answer")
        return data

    def _hear(
        self, connection: Any, method: str, url: str, data: bytes, options: dict[str, Any]
    ) -> tuple[Any, bool | None]:
        """Returns the answer, and whether the connection can serve another: None when the answer itself will say so."""
        sock: sockets.HubSocket = connection.sock
        data, end = read_head(sock, data)
        line = _STATUS_LINE.match(data)
        while line is not None and line[1] in _INTERIM:
            data, end = read_head(sock, data[end + 4 :])
            line = _STATUS_LINE.match(data)
        if line is None or end < 0:
            return self._urllib3_path(connection, method, url, data, options), None
        status = int(line[1])
        head = data[:end]
        wanted = _plain_length(head.lower(), status)
        if wanted is None:
            return self._urllib3_path(connection, method, url, data, options), None
        content = data[end + 4 :]
        if len(content) < wanted:
            if self.streams and status < ERRORS:
                return self._rest_to_come(connection, status, line[2] or b"", head, content, wanted), None
            content = _read_rest(sock, content, wanted)
        keep = len(content) == wanted  # more would be the answer to a question that was not asked
        reply = PlainReply(status, (line[2] or b"").decode("latin-1"), head, content if keep else content[:wanted])
        return reply, keep

    def _rest_to_come(self, connection: Any, status: int, reason: bytes, head: bytes, start: bytes, length: int) -> Any:
        """A plain answer of which only the start was read."""
        raise NotImplementedError

    def _urllib3_path(self, connection: Any, method: str, url: str, data: bytes, options: dict[str, Any]) -> Any:
        """The library's own reading of an answer that is not plain; the pool gets the connection back from it."""
        sock = _Prefixed(connection.sock, data)
        answer = http.client.HTTPResponse(sock, method=method)  # type: ignore[arg-type]  # all that it wants is makefile()
        answer.begin()
        says_close = "close" in ",".join(answer.msg.get_all("connection", ())).lower()  # http.client looks at the first
        return urllib3.HTTPResponse(
            body=answer,
            headers=urllib3.HTTPHeaderDict(answer.msg.items()),
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            decode_content=options.get("decode_content", True),
            original_response=answer,
            pool=_GiveBack(self, answer.will_close or says_close, sock),  # type: ignore[arg-type]  # it only puts connections back
            connection=connection,
            request_method=method,
            request_url=url,
        )

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()
        super().close()  # type: ignore[misc]  # urllib3's pool


class _GiveBack:
    """What a response of the urllib3 path believes to be its pool."""

    def __init__(self, pool: FastPath, will_close: bool, sock: _Prefixed) -> None:
        self._pool = pool
        self._will_close = will_close
        self._sock = sock

    def _put_conn(self, connection: Any) -> None:
        if self._will_close or self._sock.surplus or connection.sock is None:
            connection.close()
        else:
            self._pool._give_back(connection)


def _plain_length(head: bytes, status: int) -> int | None:
    """How long a plain answer's body is.

    Args:
        head: The answer's head in lower case.
        status: Its status.

    Returns:
        Bytes; None when the answer is not plain and has to be read on the urllib3 path.

    Raises:
        MalformedAnswer: The length makes no sense.
    """
    if b"-encoding:" in head or status == NOT_MODIFIED:  # Transfer-Encoding, Content-Encoding
        return None
    connections = _CONNECTIONS(head)
    if connections and any(one.strip(b" \t") != b"keep-alive" for one in connections):
        return None
    start = head.find(_LENGTH)
    if start < 0:
        return 0 if status == NO_CONTENT else None
    lengths = {text.strip(b" \t") for text in _LENGTHS(head, start)}
    if len(lengths) > 1:
        raise MalformedAnswer("it has two different lengths")
    length = lengths.pop()
    if not length.isdigit() or len(length) > MAX_DIGITS:
        raise MalformedAnswer("its length is no number")
    return 0 if status == NO_CONTENT else int(length)


def request_block(method: str, url: str, headers: Headers, body: bytes | None) -> bytes:
    """A request as it is sent."""
    head = f"{method} {url} HTTP/1.1\r\n{headers.text}\r\n".encode("latin-1")
    return head + body if body else head


def read_head(sock: sockets.HubSocket, data: bytes) -> tuple[bytes, int]:
    """Read until the end of the headers.

    Returns:
        What was read, and where the headers end; -1: they are in the old style, with bare line feeds.
    """
    end = data.find(b"\r\n\r\n")
    while end < 0:
        if len(data) > HEAD_LIMIT:
            raise MalformedAnswer(f"its headers are longer than {HEAD_LIMIT} bytes")
        if data and not b"HTTP/".startswith(data[:5]) and not data.startswith(b"HTTP/"):
            raise MalformedAnswer("it does not start with a status line")
        if b"\n\n" in data:
            return data, -1
        more = sock.recv(RECV)
        if not more:
            raise EOFError("the server closed the connection in the middle of the headers")
        data += more
        end = data.find(b"\r\n\r\n")
    return data, end


def without_interim(data: bytes) -> bytes:
    """What a server has sent, without the interim answers in front (RFC 9110, section 15.2) that are complete."""
    while (line := _STATUS_LINE.match(data)) and line[1] in _INTERIM and (end := data.find(b"\r\n\r\n")) >= 0:
        data = data[end + 4 :]
    return data


def _read_rest(sock: sockets.HubSocket, content: bytes, wanted: int) -> bytes:
    if wanted > BODY_LIMIT:
        raise MalformedAnswer(f"its body is longer than {BODY_LIMIT} bytes")
    parts = [content]
    have = len(content)
    while have < wanted:
        part = sock.recv(max(RECV, min(wanted - have, 1 << 20)))
        if not part:
            raise ProtocolError("Connection broken", IncompleteRead(have, wanted - have))
        parts.append(part)
        have += len(part)
    return b"".join(parts)


class HubPool(FastPath, HTTPConnectionPool):  # type: ignore[misc]  # urlopen takes urllib3's options as they come
    """Connections to an http endpoint."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._open_fast_path()


class TLSHubPool(FastPath, HTTPSConnectionPool):  # type: ignore[misc]  # see HubPool
    """Connections to an https endpoint."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._open_fast_path()


class ProxiedPool(RestedPool, HTTPConnectionPool):
    """Connections through a proxy to http endpoints."""


class TLSProxiedPool(RestedPool, HTTPSConnectionPool):
    """Connections through a proxy to https endpoints."""
