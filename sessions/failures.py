"""The one border where other libraries' exceptions become ours.

Text is rebuilt, not copied: theirs holds URLs, and some API URLs hold tokens. The cause stays chained only where it is the operating
system's own.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions as u3

from ai.backend.client import exceptions as ours
from ai.backend.client.sessions.pool import NothingSent, Unanswered

FAILURES = (ours.BackendError, requests.RequestException, u3.HTTPError, OSError, EOFError)
"""What an attempt may fail with. Anything else is a defect, and ends as :class:`~ai.backend.client.exceptions.ActorCrashed`."""

_CAUSES = (ssl.SSLError, socket.gaierror, OSError)


def translate(error: BaseException) -> ours.BackendError:
    """Say in our terms what went wrong with an attempt.

    Args:
        error: What ``HTTPAdapter.send`` or the reading of its answer raised.

    Returns:
        One of our errors, its cause set where that says more.
    """
    if isinstance(error, ours.BackendError):
        return error
    chain = list(_chain(error))
    made = _classify(chain)
    for link in chain:
        if isinstance(link, _CAUSES) and not isinstance(link, requests.RequestException):
            made.__cause__ = link
            break
    return made


def _classify(chain: list[BaseException]) -> ours.BackendError:
    def found(*kinds: type[BaseException]) -> BaseException | None:
        return next((link for link in chain if isinstance(link, kinds)), None)

    tls = found(ssl.SSLError, u3.SSLError, requests.exceptions.SSLError)
    if tls is not None:
        return ours.TLSError(f"TLS failed: {_reason(chain)}")
    if found(u3.ConnectTimeoutError, requests.ConnectTimeout) and not found(u3.NewConnectionError):
        return ours.ConnectTimeout("no connection in time")
    if found(u3.NameResolutionError, socket.gaierror):
        return ours.NeverSent(f"the host name could not be resolved: {_reason(chain)}")
    if found(u3.NewConnectionError, NothingSent, u3.ProxyError, requests.exceptions.ProxyError):
        return ours.NeverSent(f"no connection: {_reason(chain)}")
    if found(Unanswered):
        lost = ours.ConnectionLost("the server closed the connection instead of answering")
        lost.stale = True
        return lost
    if found(u3.ReadTimeoutError, requests.ReadTimeout):
        return ours.ReadTimeout("the server was silent for too long")
    if found(u3.DecodeError, requests.exceptions.ContentDecodingError):
        return ours.ProtocolError("the answer's body could not be decoded")
    if found(u3.InvalidChunkLength) or any("exceeded" in str(link) for link in chain if isinstance(link, u3.ProtocolError)):
        return ours.ProtocolError(f"the answer's framing is broken: {_reason(chain)}")
    if found(EOFError, ConnectionError, u3.IncompleteRead, requests.exceptions.ChunkedEncodingError):
        return ours.ConnectionLost(f"the connection ended before the answer was complete: {_reason(chain)}")
    protocol = found(u3.ProtocolError, u3.HTTPError)
    if protocol is not None and not found(requests.ConnectionError):
        return ours.ProtocolError(f"the answer is not HTTP: {_reason(chain)}")
    if found(u3.ProtocolError):
        return ours.ProtocolError(f"the answer is not HTTP: {_reason(chain)}")
    if found(requests.ConnectionError):
        # Raised without an inner error by mocking libraries, for instance: the request went nowhere.
        return ours.NeverSent("no connection")
    if found(requests.RequestException):
        return ours.BackendClientError(f"the request could not be sent: {type(chain[0]).__name__}")
    return ours.ConnectionLost(f"the connection failed: {_reason(chain)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it wraps: causes, contexts, and errors among its arguments."""
    seen: set[int] = set()
    stack: list[BaseException] = [error]
    while stack:
        link = stack.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
        stack.extend(one for one in inner if isinstance(one, BaseException))


def _reason(chain: list[BaseException]) -> str:
    """The innermost error's words, if they are the system's or a fixed text, and hold no URL."""
    for link in reversed(chain):
        if isinstance(link, ssl.SSLError) and link.reason:
            return str(getattr(link, "verify_message", "") or link.reason)
        if isinstance(link, OSError) and link.strerror:
            return str(link.strerror)
        if isinstance(link, EOFError) or type(link).__name__ in ("BadStatusLine", "RemoteDisconnected", "LineTooLong"):
            return f"{type(link).__name__}: {str(link)[:120]}" if str(link) else type(link).__name__
        if isinstance(link, u3.ProtocolError) and link.args and isinstance(link.args[0], str):
            return link.args[0]
    return type(chain[0]).__name__
