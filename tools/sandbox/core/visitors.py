"""Whom the sandbox listens to: programs that know where it is, and no web pages.

A page that a browser shows can send requests to loopback, also under a name of its own that it lets point there. Both
can be told by what browsers say truly: the ``Host`` that was asked for, and the ``Origin`` of the page.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from typing import Final

from aiohttp import web

from ai.backend.client.sandbox.core.problems import Problem

LOCAL_NAME: Final = "localhost"


def check(request: web.Request, *, by_any_name: bool) -> None:
    """Let a request pass that is meant for this sandbox.

    Args:
        request: The request.
        by_any_name: Whether other machines may come, who know it by names that it does not know itself.

    Raises:
        Problem: 403. It was sent by a web page of somebody else's, or to a name that is not the sandbox's.
    """
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    if origin is not None and urllib.parse.urlsplit(origin).netloc != host:
        raise Problem("generic-forbidden", "web pages may not use the sandbox")
    if not by_any_name and not _is_local(host):
        raise Problem("generic-forbidden", "the Host header names another machine")


def _is_local(host: str) -> bool:
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        return name == LOCAL_NAME or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
