"""The one border where other libraries' exceptions become ours.

Text is rebuilt, not copied: theirs holds URLs, and some API URLs hold tokens. The cause stays chained only where it is
the operating system's own.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import requests
import urllib3.exceptions as u3

from ai.backend.client import exceptions as ours
from ai.backend.client.sessions.wire.pool import MalformedAnswer, NothingSent, Unanswered

FAILURES = (ours.BackendError, requests.RequestException, u3.HTTPError, OSError, EOFError)
"""What an attempt may fail with.

Anything else is a defect, and ends as :class:`~ai.backend.client.exceptions.ActorCrashed`.
"""

_LOST_BEHIND_A_PROXY = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)

_CAUSES = (ssl.SSLError, socket.gaierror, OSError)


def translate(error: BaseException, proxy: str | None = None) -> ours.BackendError:
    """Say in our terms what went wrong with an attempt.

    Args:
        error: What ``HTTPAdapter.send`` or the reading of its answer raised.
        proxy: The proxy that the attempt went through, as it may be shown.

    Returns:
        One of our errors, its cause set where that says more.
    """
    if isinstance(error, ours.BackendError):
        return error
    chain = list(_chain(error))
    made = _classify(chain, proxy)
    for link in chain:
        if isinstance(link, _CAUSES) and not isinstance(link, requests.RequestException):
            made.__cause__ = link
            break
    return made


class _Rule(NamedTuple):
    """If one of ``kinds`` is in the chain of errors, the failure is a ``made``, described by ``text``.

    Behind a proxy it is described by ``behind``, where that is something else.
    """

    kinds: tuple[type[BaseException], ...]
    made: type[ours.BackendClientError]
    text: str
    behind: str = ""


_RULES = (
    # The first that fits. Most precise first: an error of requests wraps one of urllib3, which wraps the system's.
    _Rule(
        (ssl.SSLError, u3.SSLError, requests.exceptions.SSLError),
        ours.TLSError,
        "TLS failed",
        "TLS failed behind the proxy {}",
    ),
    _Rule(
        (u3.NameResolutionError, socket.gaierror),
        ours.NeverSent,
        "the host name could not be resolved",
        "the host name of the proxy {} could not be resolved",
    ),
    _Rule((u3.NewConnectionError, NothingSent), ours.NeverSent, "no connection", "no connection to the proxy {}"),
    _Rule(
        (u3.ConnectTimeoutError, requests.ConnectTimeout),
        ours.ConnectTimeout,
        "no connection in time",
        "no connection in time to the proxy {}",
    ),
    _Rule((Unanswered,), ours.ConnectionLost, "the server closed the connection instead of answering"),
    # urllib3 calls it the proxy's error when the answer is lost behind one, for the connection is closed by then.
    _Rule(_LOST_BEHIND_A_PROXY, ours.ConnectionLost, "the answer is incomplete"),
    _Rule(
        (u3.ProxyError, requests.exceptions.ProxyError),
        ours.NeverSent,
        "no connection through the proxy",
        "no connection through the proxy {}",
    ),
    _Rule((u3.ReadTimeoutError, requests.ReadTimeout), ours.ReadTimeout, "the server was silent for too long"),
    _Rule((u3.DecodeError, requests.exceptions.ContentDecodingError), ours.ProtocolError, "the body cannot be decoded"),
    _Rule((u3.InvalidChunkLength, MalformedAnswer), ours.ProtocolError, "the answer is malformed"),
    _Rule((EOFError, ConnectionError, u3.IncompleteRead), ours.ConnectionLost, "the answer is incomplete"),
    _Rule((requests.exceptions.ChunkedEncodingError,), ours.ConnectionLost, "the answer is incomplete"),
    _Rule((u3.HTTPError,), ours.ProtocolError, "the answer is not HTTP"),
    # Without an inner error it comes from a mocking library: the request went nowhere.
    _Rule((requests.ConnectionError,), ours.NeverSent, "no connection"),
    _Rule((requests.RequestException,), ours.BackendClientError, "the request could not be sent"),
    _Rule((BaseException,), ours.ConnectionLost, "the connection failed"),
)


def _classify(chain: list[BaseException], proxy: str | None) -> ours.BackendClientError:
    rule = next(rule for rule in _RULES if any(isinstance(link, rule.kinds) for link in chain))
    text = rule.behind.format(proxy) if rule.behind and proxy is not None else rule.text
    reason = _reason(chain)
    says_nothing_new = reason.removesuffix("Error") == rule.made.__name__
    error = rule.made(text if says_nothing_new else f"{text}: {reason}")
    if isinstance(error, ours.ConnectionLost):
        error.stale = Unanswered in rule.kinds
    return error


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


PLAIN_HTTP = "WRONG_VERSION_NUMBER"
"""What OpenSSL calls an answer that is no TLS."""

REFUSED_BY_PROXY = "Tunnel connection failed"
"""How http.client begins to tell what a proxy answered to CONNECT: status and reason follow."""


def _reason(chain: list[BaseException]) -> str:
    """The innermost error's words, if they are the system's or a fixed text, and hold no URL."""
    for link in reversed(chain):
        if isinstance(link, ssl.SSLError) and getattr(link, "reason", None):  # absent when made by hand
            reason = str(getattr(link, "verify_message", "") or link.reason)
            return f"{reason}; does the server speak plain http?" if reason == PLAIN_HTTP else reason
        if isinstance(link, OSError) and link.strerror:
            return str(link.strerror)
        if isinstance(link, OSError) and str(link).startswith(REFUSED_BY_PROXY):
            return str(link)[:120]
        if isinstance(link, EOFError | http.client.BadStatusLine | http.client.LineTooLong):
            return f"{type(link).__name__}: {str(link)[:120]}" if str(link) else type(link).__name__
        if isinstance(link, u3.ProtocolError) and link.args and isinstance(link.args[0], str):
            return link.args[0]
    return type(chain[0]).__name__
