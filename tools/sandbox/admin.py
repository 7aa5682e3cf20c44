"""``/admin``: the routes of GraphQL. What answers them is imported when it is needed, or a moment after the start."""

from __future__ import annotations

import importlib
from typing import Any

from aiohttp import web

from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Routes


def routes(sandbox: Sandbox) -> Routes:
    """The routes of a generation."""
    table = Routes()
    table.add("POST /admin/graphql")(plain)
    if not sandbox.v4:
        table.add("POST /admin/gql")(wrapped)
    return table


async def plain(call: Call) -> web.Response:
    """The data alone, or a 400."""
    response: web.Response = await _querying().plain(call)
    return response


async def wrapped(call: Call) -> web.Response:
    """Data and errors, always with a 200."""
    response: web.Response = await _querying().wrapped(call)
    return response


def _querying() -> Any:
    # It takes as long to import as everything else together.
    return importlib.import_module("ai.backend.client.sandbox.graphql.endpoint")


def warm(api: str) -> None:
    """Import it and read the schema, so that the first caller need not wait."""
    _querying().schema_of(api)
