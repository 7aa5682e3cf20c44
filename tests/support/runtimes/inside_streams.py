"""Streams for scripts run by `support.runtimes.scripts`."""

from __future__ import annotations

from typing import Any

from ai.backend.client.request import Request


def events(session: Any, **options: Any) -> Any:
    """An event stream of a session, not opened."""
    return Request(session, "GET", "/events/session").connect_events(**options)


def socket(session: Any) -> Any:
    """A WebSocket of a session, not opened."""
    return Request(session, "GET", "/stream/session/x/pty").connect_websocket()
