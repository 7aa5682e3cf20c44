"""Names that a ground module offers and another module defines, most of them on a higher floor.

Users import them from there (``from ai.backend.client.auth import Auth``), as with the vendor's client; the modules
themselves must not import upwards. They resolve on first use, from this one table.
"""

from __future__ import annotations

import importlib
from typing import Any

PACKAGE = "ai.backend.client"

ROOF: dict[str, dict[str, str]] = {
    f"{PACKAGE}": {
        "APIConfig": f"{PACKAGE}.config",
        "AsyncSession": f"{PACKAGE}.sessions.facade",
        "BaseSession": f"{PACKAGE}.sessions.facade",
        "Request": f"{PACKAGE}.request",
        "Response": f"{PACKAGE}.request",
        "Session": f"{PACKAGE}.sessions.facade",
        "get_config": f"{PACKAGE}.config",
        "set_config": f"{PACKAGE}.config",
    },
    f"{PACKAGE}.auth": {"Auth": f"{PACKAGE}.functions.accounts.auth"},
    f"{PACKAGE}.request": {
        "SSEContextManager": f"{PACKAGE}.functions.streams.events",
        "SSEMessage": f"{PACKAGE}.functions.streams.events",
        "SSEResponse": f"{PACKAGE}.functions.streams.events",
        "WebSocketContextManager": f"{PACKAGE}.functions.streams.websocket",
        "WebSocketResponse": f"{PACKAGE}.functions.streams.websocket",
    },
}
"""Ground module → public name → module that defines it."""


def resolve(module: str, attribute: str) -> Any:
    """Find a name that a ground module offers and another module defines; for use in a module's ``__getattr__``.

    Args:
        module: Full name of the ground module.
        attribute: The name asked for.

    Returns:
        The object.

    Raises:
        AttributeError: The table has no such name.
    """
    try:
        target = ROOF[module][attribute]
    except KeyError:
        raise AttributeError(f"module {module!r} has no attribute {attribute!r}") from None
    return getattr(importlib.import_module(target), attribute)
