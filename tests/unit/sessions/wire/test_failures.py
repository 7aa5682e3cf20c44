"""The border: what other libraries raise becomes one of ours, and loses every secret on the way."""

from __future__ import annotations

import errno
import http.client
import os
import pickle
import socket
import ssl
from types import SimpleNamespace

import pytest
import requests
import urllib3.exceptions as u3

from ai.backend.client import exceptions as ours
from ai.backend.client.sessions.wire.failures import FAILURES, translate
from ai.backend.client.sessions.wire.pool import MalformedAnswer, NothingSent, Unanswered

SECRETS = ("s3cr3t", "t0ken", "AKIASECRET", "deadbeefcafe")
URL = "http://user:s3cr3t@host.example:8081/base/session?token=t0ken"
POOL = SimpleNamespace(host="host.example", port=8081)


def system(number):
    return OSError(number, os.strerror(number))


def caused(error, cause):
    error.__cause__ = cause
    return error


def in_context(error, context):
    error.__context__ = context
    return error


def wrapped(error):
    """As requests wraps what urllib3 raises after its retries."""
    return requests.ConnectionError(u3.MaxRetryError(POOL, URL, error), request=SimpleNamespace(url=URL))


REFUSED = system(errno.ECONNREFUSED)
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
UNTRUSTED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
UNTRUSTED.reason, UNTRUSTED.verify_message = "CERTIFICATE_VERIFY_FAILED", "unable to get local issuer certificate"
NEW = caused(u3.NewConnectionError(POOL, f"Failed to establish a new connection to {URL}"), REFUSED)

TABLE = {
    # NeverSent
    "refused": (requests.ConnectionError(NEW), ours.NeverSent),
    "refused, after retries": (wrapped(NEW), ours.NeverSent),
    "unknown host": (
        requests.ConnectionError(caused(u3.NameResolutionError("h", POOL, UNKNOWN), UNKNOWN)),
        ours.NeverSent,
    ),
    "unknown host, bare": (UNKNOWN, ours.NeverSent),
    "dead before a byte": (requests.ConnectionError(NothingSent("dead", system(errno.EPIPE))), ours.NeverSent),
    "proxy unreachable": (
        requests.exceptions.ProxyError(u3.ProxyError(f"Unable to connect to {URL}", REFUSED)),
        ours.NeverSent,
    ),
    "proxy refuses the tunnel": (
        wrapped(
            u3.ProxyError(
                "Unable to connect to proxy", OSError("Tunnel connection failed: 407 Proxy Authentication Required")
            )
        ),
        ours.NeverSent,
    ),
    # As urllib3 calls it when the answer is lost behind a proxy: the server may have acted.
    "lost behind a proxy": (
        wrapped(u3.ProxyError("Unable to connect to proxy", http.client.RemoteDisconnected("no response"))),
        ours.ConnectionLost,
    ),
    "reset behind a proxy": (
        wrapped(u3.ProxyError("Unable to connect to proxy", system(errno.ECONNRESET))),
        ours.ConnectionLost,
    ),
    "a mocking library": (requests.ConnectionError(f"Connection refused by Responses: GET {URL}"), ours.NeverSent),
    # ConnectTimeout
    "no connection in time": (
        requests.ConnectTimeout(u3.ConnectTimeoutError(POOL, f"timed out {URL}")),
        ours.ConnectTimeout,
    ),
    "no connection in time, bare": (u3.ConnectTimeoutError(POOL, "timed out"), ours.ConnectTimeout),
    "a mocked connect timeout": (requests.ConnectTimeout(URL), ours.ConnectTimeout),
    # ReadTimeout
    "silence": (
        requests.ReadTimeout(u3.ReadTimeoutError(POOL, URL, "Read timed out."), request=None),
        ours.ReadTimeout,
    ),
    "silence in the body": (
        requests.ConnectionError(u3.ReadTimeoutError(POOL, URL, "Read timed out.")),
        ours.ReadTimeout,
    ),
    "a mocked read timeout": (requests.ReadTimeout(URL), ours.ReadTimeout),
    # TLSError
    "untrusted": (requests.exceptions.SSLError(u3.SSLError(UNTRUSTED)), ours.TLSError),
    "untrusted, after retries": (wrapped(u3.SSLError(UNTRUSTED)), ours.TLSError),
    "untrusted, bare": (UNTRUSTED, ours.TLSError),
    "a mocked TLS error": (ssl.SSLError("no trust"), ours.TLSError),  # without what the ssl module adds to its own
    # ConnectionLost
    "no answer": (
        requests.ConnectionError(u3.ProtocolError("Connection aborted.", EOFError("closed"))),
        ours.ConnectionLost,
    ),
    "no answer, disconnected": (
        requests.ConnectionError(u3.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed"))),
        ours.ConnectionLost,
    ),
    "a stale connection": (requests.ConnectionError(Unanswered("closed")), ours.ConnectionLost),
    "reset": (
        requests.ConnectionError(u3.ProtocolError("aborted", ConnectionResetError(104, "reset"))),
        ours.ConnectionLost,
    ),
    "broken pipe": (BrokenPipeError(errno.EPIPE, "Broken pipe"), ours.ConnectionLost),
    "half a body": (
        requests.exceptions.ChunkedEncodingError(u3.ProtocolError("broken", u3.IncompleteRead(5, 5))),
        ours.ConnectionLost,
    ),
    "half a body, bare": (u3.IncompleteRead(5, 5), ours.ConnectionLost),
    "the end of the file": (EOFError(), ours.ConnectionLost),
    "unreachable meanwhile": (system(errno.EHOSTUNREACH), ours.ConnectionLost),
    "an unknown error of the system": (OSError("something"), ours.ConnectionLost),
    # ProtocolError
    "a malformed answer": (MalformedAnswer("two lengths"), ours.ProtocolError),
    "a malformed answer, wrapped": (requests.ConnectionError(MalformedAnswer("two lengths")), ours.ProtocolError),
    "a bad status line": (
        requests.ConnectionError(u3.ProtocolError("Connection aborted.", http.client.BadStatusLine("SSH-2.0"))),
        ours.ProtocolError,
    ),
    "a body that cannot be decoded": (
        requests.exceptions.ContentDecodingError(u3.DecodeError("not gzip", OSError("no"))),
        ours.ProtocolError,
    ),
    "a chunk length that is none": (
        requests.exceptions.ChunkedEncodingError(
            u3.ProtocolError(
                "broken", u3.InvalidChunkLength(SimpleNamespace(tell=lambda: 0, length_remaining=5), b"xyz")
            )
        ),
        ours.ProtocolError,
    ),
    # BackendClientError
    "a header that requests refuses": (requests.exceptions.InvalidHeader(URL), ours.BackendClientError),
    "too many redirects": (requests.TooManyRedirects(URL), ours.BackendClientError),
}


@pytest.mark.parametrize("case", TABLE)
def test_every_foreign_error_has_its_place_in_our_tree(case):
    foreign, expected = TABLE[case]
    assert type(translate(foreign)) is expected


@pytest.mark.parametrize("case", TABLE)
def test_every_foreign_error_is_one_that_the_transport_catches(case):
    assert isinstance(TABLE[case][0], FAILURES)


@pytest.mark.parametrize("case", TABLE)
def test_no_secret_and_no_url_crosses_the_border(case):
    error = translate(TABLE[case][0])
    link = error
    texts = []
    while link is not None:
        texts += [str(link), repr(link), repr(link.args)]
        link = link.__cause__ or link.__context__
    for text in texts:
        assert "://" not in text
        for secret in SECRETS:
            assert secret not in text


@pytest.mark.parametrize("case", TABLE)
def test_a_translated_error_says_something_and_travels_in_pickles(case):
    error = translate(TABLE[case][0])
    assert len(error.args) == 1
    assert error.args[0].strip(": ")
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), twin.args) == (type(error), error.args)


@pytest.mark.parametrize("case", TABLE)
def test_only_what_the_operating_system_said_stays_chained(case):
    cause = translate(TABLE[case][0]).__cause__
    assert cause is None or (isinstance(cause, OSError) and not isinstance(cause, requests.RequestException))


@pytest.mark.parametrize("case", ["refused", "refused, after retries", "proxy unreachable"])
def test_the_system_s_reason_is_kept(case):
    error = translate(TABLE[case][0])
    assert error.__cause__ is REFUSED
    assert os.strerror(errno.ECONNREFUSED) in str(error)


@pytest.mark.parametrize("case", TABLE)
def test_only_a_connection_that_had_served_before_is_called_stale(case):
    error = translate(TABLE[case][0])
    if isinstance(error, ours.ConnectionLost):
        assert error.stale is (case == "a stale connection")


def test_sent_says_whether_the_server_may_have_acted():
    for foreign, expected in TABLE.values():
        if issubclass(expected, ours.ConnectionFailed):
            assert translate(foreign).sent is (expected is ours.ConnectionLost)


@pytest.mark.parametrize(
    "error", [ours.InvalidArgument("a", 1, "b"), ours.BackendAPIError(500, "", b""), MalformedAnswer]
)
def test_our_own_errors_pass_unchanged(error):
    if isinstance(error, ours.BackendError):
        assert translate(error) is error
    else:
        assert isinstance(translate(error("x")), ours.ProtocolError)


def test_chains_of_every_kind_are_followed_and_circles_end():
    inner = u3.ReadTimeoutError(POOL, URL, "Read timed out.")
    assert type(translate(caused(OSError("outer"), inner))) is ours.ReadTimeout
    assert type(translate(in_context(OSError("outer"), inner))) is ours.ReadTimeout
    assert type(translate(OSError("outer", inner))) is ours.ReadTimeout
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert type(translate(one)) is ours.ConnectionLost


def test_what_the_peer_sent_is_repeated_only_in_part():
    error = translate(u3.ProtocolError("Connection aborted.", http.client.BadStatusLine("x" * 10_000)))
    assert len(str(error)) < 400
