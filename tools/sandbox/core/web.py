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
from ai.backend.client.sandbox.core.parameters import Schema, checked, checked_or_errors
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_implemented
from ai.backend.client.sandbox.core.state import Sandbox

NO_CONTENT: Final = 204
MAX_BODY: Final = 64 * 2**20
MAX_UNSIGNED_BODY: Final = 2**16
"""Bytes, of a request that anybody may send."""
MAX_DEPTH: Final = 500
"""Objects and lists inside each other. What each version of Python bears by itself differs, and is not met evenly."""

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
    reads_query: bool = False

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
            given = _decoded(await self.request.text())
        except ValueError as error:
            raise malformed(self.request) if self.sandbox.v9 else invalid(str(error)) from None
        if not isinstance(given, dict):
            raise invalid("the body is not an object")
        return given

    async def parameters(self, schema: Schema, *, extra: bool = False) -> dict[str, Any]:
        """The parameters.

        Up to 26.2 they come from the body if there is one, else from the query string, and a key that is not known is
        an error. Since 26.3 a route reads one of the two, whatever is in the other, and skips what it does not know.

        Raises:
            Problem: 400.
        """
        if self.sandbox.v9:
            return await self._typed_parameters(schema, extra)
        given: Any
        if self.request.can_read_body:
            try:
                given = _decoded(await self.request.text())
            except ValueError:
                raise invalid("Malformed body") from None
        else:
            given = dict(self.request.query)
        return checked(given, schema, extra=extra)

    async def _typed_parameters(self, schema: Schema, extra: bool) -> dict[str, Any]:
        given: Any
        if self.reads_query:
            query = self.request.query
            given = {key: found if len(found := query.getall(key)) > 1 else found[0] for key in query}
        else:
            try:
                given = json.loads(await self.request.text())
            except ValueError:
                raise malformed(self.request) from None
        errors: dict[str, str] = {}
        values = checked_or_errors(given, schema, errors, extra=True)
        if errors:
            raise Problem("invalid-schema", f"Schema validation failed. ({errors})")
        return values if extra else {key: value for key, value in values.items() if key in schema}

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


def malformed(request: web.Request) -> Problem:
    """What 26.9 says to a body that is no JSON."""
    return Problem("malformed-body", f"Malformed body - URL: {request.url}, Method: {request.method}")


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
        reads_query: Where parameters are since 26.3: True: the query string, False: the body.
    """

    method: str
    path: str
    handler: Handler
    role: Role
    writes: bool
    signed: bool = True
    reads_query: bool = False


@dataclass
class Routes:
    """The routes of one module."""

    rules: list[Rule] = field(default_factory=list)

    def add(
        self,
        *routes: str,
        role: Role = Role.USER,
        writes: bool = False,
        signed: bool = True,
        reads_query: bool | None = None,
    ) -> Callable[[Handler], Handler]:
        """Make a function the handler of some routes, each written ``"METHOD /path"``.

        ``reads_query`` is that of :class:`Rule`; default: that a GET does, and nothing else.
        """

        def decorate(handler: Handler) -> Handler:
            for route in routes:
                method, _, path = route.partition(" ")
                query = method == "GET" if reads_query is None else reads_query
                self.rules.append(Rule(method, path, handler, role, writes, signed, query))
            return handler

        return decorate


def answer(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(text=json.dumps(value, default=str), status=status, content_type="application/json")


def _decoded(text: str) -> Any:
    """What a text of JSON stands for.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(text)
    inside = [value]
    for _ in range(MAX_DEPTH):
        held = (item.values() if isinstance(item, dict) else item for item in inside if isinstance(item, dict | list))
        inside = [value for values in held for value in values]
        if not inside:
            return value
    raise RecursionError


def missing(what: str) -> Handler:
    """A handler for what the sandbox does not do: it says so with a 501."""

    async def refuse(_call: Call) -> web.StreamResponse:
        raise not_implemented(what)

    refuse.missing = what  # type: ignore[attr-defined]  # for the test that the documentation lists it
    return refuse


def done(call: Call, status: int) -> web.Response:
    """An answer that says only that it was done. Since 26.3 it is an object with an empty text, and a 200."""
    return answer({"msg": ""}) if call.sandbox.v9 else nothing(status)


def nothing(status: int = 204) -> web.Response:
    """An answer without a body. Managers give it a media type unless it is a 204."""
    headers = {} if status == NO_CONTENT else {"Content-Type": "application/octet-stream"}
    return web.Response(status=status, headers=headers)
