"""Routes, and what a handler is called with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ai.backend.client.sandbox.core.access import Identity
from ai.backend.client.sandbox.core.parameters import Schema, checked
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_implemented
from ai.backend.client.sandbox.core.state import Sandbox

NO_CONTENT: Final = 204
MAX_BODY: Final = 64 * 2**20
"""Bytes of a request's body that are read at once; uploads are read in pieces."""

PIECE: Final = 2**18
"""Bytes that are read or sent at once."""


class Role(Enum):
    """Who may call."""

    ANYBODY = "anybody"
    USER = "user"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"


@dataclass
class Call:
    """One request, as a handler sees it."""

    sandbox: Sandbox
    request: web.Request
    version: tuple[int, str]
    identity: Identity | None = None

    @property
    def caller(self) -> Identity:
        """Who calls. Handlers that anybody may call must not ask."""
        if self.identity is None:
            raise Problem("auth-failed", "Unauthorized access")
        return self.identity

    def path(self, name: str) -> str:
        """A variable part of the path."""
        return self.request.match_info[name]

    async def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object.

        Raises:
            Problem: 400.
        """
        try:
            given = json.loads(await self.request.text())
        except ValueError as error:
            raise invalid(str(error)) from None
        if not isinstance(given, dict):
            raise invalid("the body is not an object")
        return given

    async def parameters(self, schema: Schema, *, extra: bool = False) -> dict[str, Any]:
        """The parameters: from the body if there is one, else from the query string."""
        given: Any
        if self.request.can_read_body:
            try:
                given = json.loads(await self.request.text())
            except ValueError:
                raise invalid("Malformed body") from None
        else:
            given = dict(self.request.query)
        return checked(given, schema, extra=extra)

    async def files(self) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Names and contents of the files of an upload; each content has to be read before the next file.

        Raises:
            Problem: 400 for a body that cannot be read; 500, as from managers, for one of another kind.
        """
        if not self.request.content_type.startswith("multipart/"):
            raise Problem("internal-server-error")
        try:
            async for part in await self.request.multipart():
                if isinstance(part, BodyPartReader):
                    yield part.filename or "", _pieces(part)
        except (ValueError, HttpProcessingError):
            raise invalid("Malformed body") from None


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    try:
        while piece := await part.read_chunk(PIECE):
            yield piece
    except ValueError:
        raise invalid("Malformed body") from None


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Rule:
    """One route.

    Attributes:
        method: HTTP method.
        path: Path, variable parts in braces.
        handler: What answers.
        role: Who may call.
        writes: Refuse it while the manager is frozen.
        signed: False: no signature is looked at (the storage proxy has tokens instead).
    """

    method: str
    path: str
    handler: Handler
    role: Role
    writes: bool
    signed: bool = True


@dataclass
class Routes:
    """The routes of one module."""

    rules: list[Rule] = field(default_factory=list)

    def add(
        self, *routes: str, role: Role = Role.USER, writes: bool = False, signed: bool = True
    ) -> Callable[[Handler], Handler]:
        """Make a function the handler of some routes, each written ``"METHOD /path"``."""

        def decorate(handler: Handler) -> Handler:
            for route in routes:
                method, _, path = route.partition(" ")
                self.rules.append(Rule(method, path, handler, role, writes, signed))
            return handler

        return decorate


def answer(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(text=json.dumps(value, default=str), status=status, content_type="application/json")


def missing(what: str) -> Handler:
    """A handler for what the sandbox does not do: it says so with a 501."""

    async def refuse(_call: Call) -> web.StreamResponse:
        raise not_implemented(what)

    refuse.missing = what  # type: ignore[attr-defined]  # for the test that the documentation lists it
    return refuse


def nothing(status: int = 204) -> web.Response:
    """An answer without a body. Managers give it a media type unless it is a 204."""
    headers = {} if status == NO_CONTENT else {"Content-Type": "application/octet-stream"}
    return web.Response(status=status, headers=headers)
