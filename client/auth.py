"""Signing of requests, and the tokens of the vendor's ``auth`` module.

A request is signed in three steps. :func:`day_key` turns the secret key into a key that is good for one day and one
endpoint: callers keep it. :func:`sign` is what is left to do for each attempt. :func:`authorization` writes the header.
:func:`generate_signature` does all three for users of the vendor's interface.

Everything here is a pure function, safe to call from any thread. ``Auth`` lives on a higher floor and is found on first
use.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, overload
from urllib.parse import urlsplit

from ai.backend.client._aliases import resolve
from ai.backend.client.exceptions import InvalidArgument

if TYPE_CHECKING:
    from ai.backend.client.functions.accounts.auth import Auth

__all__ = [
    "Auth",
    "AuthToken",
    "AuthTokenTypes",
    "authorization",
    "body_hash",
    "day_key",
    "generate_signature",
    "host_header",
    "redact_url",
    "sign",
]

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""Schemes that an endpoint may have, and the port that its ``Host`` header leaves out (RFC 9110, section 4.2)."""

NO_CONTENT_TYPE: Final = "application/octet-stream"
"""What the server assumes for, and so is signed in, a request without ``Content-Type`` (WebSocket, SSE)."""

UNHASHED_BODY_SINCE: Final = "v4.20181215"
"""From this version on the signature does not cover the body. Compared as text, because the server does so."""

_HOST: Final = re.compile(r"[a-z0-9_.-]+")


class AuthTokenTypes(enum.Enum):
    """Kinds of :class:`AuthToken`."""

    KEYPAIR = "keypair"
    JWT = "jwt"


@dataclass
class AuthToken:
    """A credential, as authorization functions return it.

    Attributes:
        type: Its kind.
        content: The credential itself; it is left out of the token's ``repr``.
    """

    type: AuthTokenTypes = AuthTokenTypes.KEYPAIR
    content: Any = field(default=None, repr=False)


def day_key(secret_key: str, date: str, host: str, hash_type: str = "sha256") -> bytes:
    """Derive the key that signs one day's requests to one endpoint.

    Args:
        secret_key: The secret key.
        date: The day as ``YYYYMMDD``, in the time zone of the request's ``Date`` header.
        host: Value of the ``Host`` header; see :func:`host_header`.
        hash_type: Lower-case name of a :mod:`hashlib` algorithm.

    Returns:
        The key for :func:`sign`. As secret as the secret key.
    """
    return hmac.digest(hmac.digest(secret_key.encode(), date.encode(), hash_type), host.encode(), hash_type)


_MEDIA_TYPES = {plain: plain for plain in ("text/plain", "application/json", "application/octet-stream")}


def sign(
    key: bytes,
    method: str,
    rel_url: str,
    date_str: str,
    host: str,
    content_type: str,
    version: str,
    hash_type: str = "sha256",
    body_hash: str | None = None,
) -> str:
    """Sign one attempt. About 3 µs, most of it the HMAC.

    Args:
        key: The :func:`day_key` of the day in ``date_str`` and of ``host``.
        method: HTTP method, in capitals.
        rel_url: Path and query exactly as sent on the request line.
        date_str: The ``Date`` header exactly as sent: ISO 8601.
        host: The ``Host`` header exactly as sent.
        content_type: The ``Content-Type`` header; parameters are left out. Empty when none is sent.
        version: The ``X-BackendAI-Version`` header exactly as sent.
        hash_type: Lower-case name of a :mod:`hashlib` algorithm.
        body_hash: Hex digest of what the signature covers of the body; by default of nothing, which is right from
            v4.20181215 on. See :func:`body_hash`.

    Returns:
        The signature in hex.
    """
    media_type = _MEDIA_TYPES.get(content_type) or content_type.partition(";")[0].strip().lower() or NO_CONTENT_TYPE
    if body_hash is None:
        body_hash = _hash_of_nothing(hash_type)
    text = (
        f"{method}\n{rel_url}\n{date_str}\nhost:{host}\ncontent-type:{media_type}\n"
        f"x-backendai-version:{version}\n{body_hash}"
    )
    return hmac.digest(key, text.encode(), hash_type).hex()


def authorization(access_key: str, signature: str, hash_type: str = "sha256") -> str:
    """Write the ``Authorization`` header.

    Args:
        access_key: The access key that belongs to the secret key.
        signature: What :func:`sign` returned.
        hash_type: The algorithm that it used.

    Returns:
        The header's value.
    """
    return f"BackendAI signMethod=HMAC-{hash_type.upper()}, credential={access_key}:{signature}"


def body_hash(version: str, content_type: str, body: bytes, hash_type: str = "sha256") -> str:
    """Hash what a signature covers of a body: all of it before v4.20181215, unless it is multipart, and nothing since.

    Args:
        version: The ``X-BackendAI-Version`` header.
        content_type: The ``Content-Type`` header.
        body: The request's body.
        hash_type: Lower-case name of a :mod:`hashlib` algorithm.

    Returns:
        A hex digest.
    """
    if version >= UNHASHED_BODY_SINCE or content_type.strip().lower().startswith("multipart/"):
        return _hash_of_nothing(hash_type)
    return hashlib.new(hash_type, body).hexdigest()


@functools.cache
def _hash_of_nothing(hash_type: str) -> str:
    return hashlib.new(hash_type).hexdigest()


@overload
def generate_signature(
    method: str,
    version: str,
    endpoint: object,
    date: datetime,
    rel_url: str,
    content_type: str | None,
    content: bytes,
    access_key: str,
    secret_key: str,
    hash_type: str,
) -> tuple[dict[str, str], str]: ...


@overload
def generate_signature(
    *,
    method: str,
    version: str,
    endpoint: object,
    date: datetime,
    rel_url: str,
    content_type: str | None,
    access_key: str,
    secret_key: str,
    hash_type: str,
) -> tuple[dict[str, str], str]: ...


def generate_signature(
    method: str,
    version: str,
    endpoint: object,
    date: datetime,
    rel_url: str,
    content_type: str | None,
    content: bytes = b"",
    access_key: str | None = None,
    secret_key: str | None = None,
    hash_type: str = "sha256",
) -> tuple[dict[str, str], str]:
    """Sign a request, by the vendor's interface.

    Both forms work: that of 19.09, all positional, and that of 20.03, with keywords and without ``content``.

    Args:
        method: HTTP method, in capitals.
        version: The ``X-BackendAI-Version`` header.
        endpoint: URL of the endpoint, as text or as an object whose ``str()`` is one (``yarl.URL``).
        date: Time of the request; its ``isoformat()`` must be sent as ``Date`` header.
        rel_url: Path and query exactly as sent on the request line.
        content_type: The ``Content-Type`` header; None when none is sent.
        content: The body; it counts only before v4.20181215.
        access_key: The access key.
        secret_key: The secret key.
        hash_type: Name of a :mod:`hashlib` algorithm.

    Returns:
        The headers to add (``Authorization``), and the signature in hex.

    Raises:
        InvalidArgument: The endpoint is no http or https URL.
        TypeError: A key is missing.
    """
    if access_key is None or secret_key is None:
        raise TypeError("generate_signature() needs both access_key and secret_key")
    hash_type = hash_type.lower()
    content_type = content_type or ""
    try:
        host = host_header(str(endpoint))
    except ValueError as error:
        raise InvalidArgument("endpoint", redact_url(str(endpoint)), str(error)) from None
    signature = sign(
        day_key(secret_key, f"{date:%Y%m%d}", host, hash_type),
        method,
        rel_url,
        date.isoformat(),
        host,
        content_type,
        version,
        hash_type,
        body_hash(version, content_type, content, hash_type),
    )
    return {"Authorization": authorization(access_key, signature, hash_type)}, signature


def host_header(url: str) -> str:
    """The ``Host`` header of requests to a URL; it is part of what is signed.

    Args:
        url: An absolute http or https URL. User information in it is ignored.

    Returns:
        The host in lower case (non-ASCII names in their IDNA form, IPv6 addresses in brackets), and the port unless it
        is the scheme's default.

    Raises:
        ValueError: It is no such URL. The text says why, and repeats no part of the URL, which may hold credentials.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("must not contain spaces or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a well-formed URL") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("must be an absolute URL that starts with http:// or https://")
    if not host or port == 0:
        raise ValueError("must name a host, and a port other than 0 if any")
    host = f"[{_ipv6(host)}]" if parts.netloc.rpartition("@")[2].startswith("[") else _dns_name(host)
    return host if port is None or port == DEFAULT_PORTS[parts.scheme] else f"{host}:{port}"


def _ipv6(host: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError("must have an IPv6 address between its brackets") from None
    if address.scope_id is not None:
        raise ValueError("must have an IPv6 address without a zone")
    return str(address)


def _dns_name(host: str) -> str:
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise ValueError("must have a valid host name")
    return name


def redact_url(text: str) -> str:
    """Make a URL, however malformed, fit for an error message or a log.

    Args:
        text: The URL, or what was given in its place.

    Returns:
        The text with all that may be a credential replaced by ``***``: what stands before its last ``@``, and query and
        fragment.
    """
    text = re.sub(r"(?is)^([a-z][a-z0-9+.-]*://)?.*(?:@|%40)", r"\1***@", text)
    return re.sub(r"(?s)([?#]).*", r"\1***", text)


def __getattr__(name: str) -> Any:
    return resolve(__name__, name)
