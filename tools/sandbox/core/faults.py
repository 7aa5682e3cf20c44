"""Faults on demand: what a program that talks to a manager should be able to live with.

A fault is written ``KIND[=VALUE][@SHARE][:PATH]``. ``SHARE`` (0 to 1, default 1) is how often it happens, ``PATH`` the
beginning of the paths that it happens on (default: all). Kinds:

==========  =====================================================================
latency     seconds to wait before the request is looked at
drip        seconds to wait after each byte of the answer
reset       the connection is closed without an answer
truncate    the connection is closed after half of the answer's body
429         too many requests, with ``Retry-After`` of VALUE seconds (default 1)
5xx         any status from 500 to 599, for example ``503``
==========  =====================================================================

One request can ask for a fault of its own, in the header ``X-Sandbox-Fault``.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ai.backend.client.sandbox.core.problems import Problem

HEADER: Final = "X-Sandbox-Fault"

_FORM: Final = re.compile(r"(?P<kind>[a-z]+|\d{3})(?:=(?P<value>[0-9.]+))?(?:@(?P<share>[0-9.]+))?(?::(?P<path>/.*))?")
_KINDS: Final = ("latency", "drip", "reset", "truncate")
_NEEDS_VALUE: Final = ("latency", "drip")
_TOO_MANY: Final = 429


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: See the module's text.
        value: Seconds, where the kind has them.
        share: How often, from 0 to 1.
        path: Beginning of the paths that it happens on.
    """

    kind: str
    value: float | None = None
    share: float = 1.0
    path: str = "/"

    def hits(self, path: str) -> bool:
        """Whether it happens to a request now."""
        # Which call it hits is nobody's secret.
        return path.startswith(self.path) and (self.share >= 1 or random.random() < self.share)


def parse(text: str) -> Fault:
    """Read a fault.

    Raises:
        ValueError: It is not written as the module's text says.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a fault: {text!r}; write KIND[=VALUE][@SHARE][:PATH]")
    kind = match["kind"]
    status = int(kind) if kind.isdigit() else 0
    if kind not in _KINDS and status != _TOO_MANY and status // 100 != 5:
        raise ValueError(f"not a kind of fault: {kind!r}; there are {', '.join(_KINDS)}, 429 and 500 to 599")
    try:
        value = float(match["value"]) if match["value"] else None
        share = float(match["share"]) if match["share"] else 1.0
    except ValueError:
        raise ValueError(f"not a number in the fault {text!r}") from None
    if value is None and kind in _NEEDS_VALUE:
        raise ValueError(f"the fault {kind!r} needs its seconds: {kind}=0.5")
    if not 0 <= share <= 1:
        raise ValueError(f"the share of the fault {text!r} must be from 0 to 1")
    return Fault(kind, value, share, match["path"] or "/")


def chosen(faults: tuple[Fault, ...], request: web.Request) -> list[Fault]:
    """The faults that happen to this request.

    Raises:
        Problem: 400 for a header that cannot be read.
    """
    hits = [fault for fault in faults if fault.hits(request.path)]
    if HEADER in request.headers:
        try:
            hits += [parse(text) for text in request.headers[HEADER].split(",")]
        except ValueError as error:
            raise Problem("generic-bad-request", str(error)) from None
    return hits


async def before(hits: list[Fault], request: web.Request) -> web.StreamResponse | None:
    """What happens before the request is looked at; an answer ends it."""
    for fault in hits:
        if fault.kind == "latency":
            await asyncio.sleep(fault.value or 0)
        elif fault.kind == "reset":
            _hang_up(request)
            return web.Response()
        elif fault.kind.isdigit():
            return _status(fault)
    return None


async def after(hits: list[Fault], request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """What happens to the answer."""
    for fault in hits:
        if fault.kind in ("drip", "truncate") and isinstance(response, web.Response):
            return await _spoiled(fault, request, response)
    return response


def _status(fault: Fault) -> web.Response:
    status = int(fault.kind)
    if status == _TOO_MANY:
        response = Problem("rate-limit-exceeded").response()
        response.headers["Retry-After"] = f"{fault.value or 1:g}"
        return response
    name = "service-unavailable" if status == 503 else "internal-server-error"
    return Problem(name, "asked for by a fault", status=status).response()


async def _spoiled(fault: Fault, request: web.Request, response: web.Response) -> web.StreamResponse:
    body = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    if fault.kind == "truncate":
        await stream.write(body[: len(body) // 2])
        _hang_up(request)
        return stream
    for position in range(len(body)):
        await stream.write(body[position : position + 1])
        await asyncio.sleep(fault.value or 0)
    await stream.write_eof()
    return stream


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
