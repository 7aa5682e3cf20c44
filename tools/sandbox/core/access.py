"""Who is calling: signatures, dates, keys, roles and the rate limit, checked as the manager checks them."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ipaddress
import secrets
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.core.state import Sandbox

DATE_WINDOW: Final = datetime.timedelta(minutes=15)
RATE_WINDOW: Final = 900.0
OPEN_LIMIT: Final = 1000
"""What the rate-limit headers say to callers without a signature."""

HASHES: Final = {name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")}
"""Those whose length is fixed."""

BODY_IS_SIGNED_BEFORE: Final = "v4.20181215"


@dataclass(frozen=True)
class Identity:
    """The caller."""

    access_key: str
    secret_key: str
    user_id: uuid.UUID
    email: str
    role: str
    domain: str
    is_admin: bool
    rate_limit: int
    allowed_client_ip: tuple[str, ...]

    @property
    def is_superadmin(self) -> bool:
        return self.role == "superadmin"


class Gate:
    """Lets requests in or raises."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._calls: dict[str, deque[float]] = {}

    async def identify(self, request: web.Request) -> Identity | None:
        """The caller of a request to a handler that wants one; None when the request is not signed.

        Raises:
            Problem: 400 or 401, see the reference of the protocol.
        """
        date, date_text = _date(request.headers)
        authorization = request.headers.get("Authorization")
        if not authorization:
            return None
        method, access_key, signature = _credential(authorization)
        identity = self._sandbox.recall(_identity, access_key)
        if isinstance(identity, Problem):
            raise identity
        expected = await self._signature(request, method, identity.secret_key, date, date_text)
        if not secrets.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
            raise Problem("auth-failed", "Unauthorized access" if self._sandbox.v4 else "Signature mismatch")
        _check_address(identity, request)
        return identity

    async def _signature(
        self, request: web.Request, method: str, secret_key: str, date: datetime.datetime, date_text: str
    ) -> str:
        mac, _, hash_type = method.lower().partition("-")
        if mac != "hmac":
            raise Problem("invalid-auth-params", "Unsupported request signing method (MAC type)")
        if hash_type not in HASHES:
            raise Problem("invalid-auth-params", "Unsupported request signing method (hash type)")
        headers = request.headers
        name, version = "backendai", headers.get("X-BackendAI-Version")
        if version is None:
            name, version = "sorna", headers.get("X-Sorna-Version")
        if version is None:
            raise Problem("invalid-auth-params", "API version missing in request headers")
        body = b""
        if version < BODY_IS_SIGNED_BEFORE and request.content_type != "multipart/form-data":
            body = await request.read()
        host = headers.get("Host", "")
        text = "\n".join(
            (
                request.method,
                request.raw_path,
                date_text,
                "host:" + host,
                "content-type:" + request.content_type,
                f"x-{name}-version:{version}",
                hashlib.new(hash_type, body).hexdigest(),
            )
        )
        key = hmac.digest(secret_key.encode(), date.strftime("%Y%m%d").encode(), hash_type)
        return hmac.digest(hmac.digest(key, host.encode(), hash_type), text.encode(), hash_type).hex()

    def count(self, identity: Identity | None) -> dict[str, str]:
        """Count a call of a caller.

        Returns:
            The headers that say how many are left.

        Raises:
            Problem: 429 when there were too many in the last 15 minutes.
        """
        limit = remaining = OPEN_LIMIT
        if identity is not None:
            now = time.monotonic()
            calls = self._calls.setdefault(identity.access_key, deque())
            while calls and calls[0] < now - RATE_WINDOW:
                calls.popleft()
            limit = identity.rate_limit
            if len(calls) >= limit:
                raise Problem("rate-limit-exceeded")
            calls.append(now)
            remaining = limit - len(calls)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Window": str(int(RATE_WINDOW)),
        }

    def queries_of(self, access_key: str) -> int:
        """How many calls of a key were counted in the window."""
        return len(self._calls.get(access_key, ()))


def _identity(database: Database, access_key: str) -> Identity | Problem:
    """Who a key belongs to, or why nobody is let in with it."""
    keypair = database.get(model.KeyPair, access_key)
    if keypair is None or not keypair.is_active:
        return Problem("auth-failed", "Access key not found")
    user = database.query(model.User).filter_by(main_access_key=access_key).one_or_none()
    if user is None:
        return Problem("auth-failed", "Unauthorized access")
    return Identity(
        access_key=access_key,
        secret_key=keypair.secret_key,
        user_id=user.uuid,
        email=user.email,
        role=user.role,
        domain=user.domain_name,
        is_admin=keypair.is_admin,
        rate_limit=keypair.rate_limit,
        allowed_client_ip=tuple(user.allowed_client_ip or ()),
    )


def _date(headers: Mapping[str, str]) -> tuple[datetime.datetime, str]:
    text = headers.get("Date") or headers.get("X-BackendAI-Date") or headers.get("X-Sorna-Date") or ""
    date = _parsed(text)
    if date is None or abs(date - model.now()) >= DATE_WINDOW:
        raise Problem("invalid-auth-params", "Date/time sync error")
    return date, text


def _parsed(text: str) -> datetime.datetime | None:
    try:
        date = datetime.datetime.fromisoformat(text)
    except ValueError:
        try:
            date = datetime.datetime.strptime(text.replace("GMT", "+0000"), "%a, %d %b %Y %H:%M:%S %z")
        except ValueError:
            return None
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)


def _credential(authorization: str) -> tuple[str, str, str]:
    scheme, _, rest = authorization.partition(" ")
    if not rest:
        raise Problem("invalid-auth-params", "Malformed authorization header")
    if scheme not in ("BackendAI", "Sorna"):
        raise Problem("invalid-auth-params", "Invalid authorization type name")
    members: dict[str, Any] = {}
    for part in rest.split(","):
        key, _, value = part.strip().partition("=")
        members[key.strip()] = value.strip()
    access_key, colon, signature = members.get("credential", "").partition(":")
    if not colon or "signMethod" not in members:
        raise Problem("invalid-auth-params", "Missing or malformed authorization parameters")
    return members["signMethod"], access_key, signature


def _check_address(identity: Identity, request: web.Request) -> None:
    if not identity.allowed_client_ip:
        return
    address = ipaddress.ip_address(request.remote or "0.0.0.0")
    if not any(address in ipaddress.ip_network(allowed, strict=False) for allowed in identity.allowed_client_ip):
        raise Problem("auth-failed", f"'{address}' is not allowed IP address")


def owner_of(database: Database, caller: Identity, access_key: str | None) -> str:
    """The key to act for: the caller's, or another one if the caller may.

    Raises:
        Problem: 400 or 403.
    """
    if access_key is None or access_key == caller.access_key:
        return caller.access_key
    keypair = database.get(model.KeyPair, access_key)
    owner = database.get(model.User, keypair.user) if keypair is not None else None
    if owner is None:
        raise invalid("Unknown owner access key")
    if caller.is_superadmin:
        return access_key
    if caller.role != "admin":
        raise Problem("generic-forbidden", "Only admins can perform operations on behalf of other users.")
    if owner.domain_name != caller.domain or owner.role == "superadmin":
        raise Problem(
            "generic-forbidden",
            "Domain-admins can perform operations on behalf of other users in the same domain only.",
        )
    return access_key
