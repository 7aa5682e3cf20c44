"""The server's error log. Since v5.20191215.

==============  ================================  =======================================================
Function        Request                           Body (or query, for GET)
==============  ================================  =======================================================
list            GET /logs/error                   ``mark_read``, ``page_size``, ``page_no``
paginated_list  GET /logs/error                   the same
append          POST /logs/error                  ``severity``, ``source``, ``message``, ``context_lang`` …
clear           POST /logs/error/{id}/clear
==============  ================================  =======================================================
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import LogEntry, LogPage
from ai.backend.client.functions.toolkit.generations import V5
from ai.backend.client.functions.toolkit.inputs import (
    choice,
    flag,
    given,
    json_object_text,
    optional,
    script,
    text,
    uuid_text,
    whole,
)
from ai.backend.client.functions.toolkit.pages import MAX_PAGE_SIZE, PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.functions.toolkit.replies import Success
from ai.backend.client.request import Request

__all__ = ["ServerLog"]

SEVERITIES: Final = ("critical", "error", "warning")


class ServerLog(BaseFunction[M]):
    """Errors that happened on the server, and those that clients reported."""

    @api_class_function
    def list(cls, mark_read: bool = False, page_size: int = 20, page_no: int = 1) -> Recipe[LogPage]:
        """One page of the log, newest first: the caller's entries, or those that an administrator may see.

        Args:
            mark_read: Mark what is fetched as read.
            page_size: Entries at most, 1 to 100.
            page_no: Number of the page, from 1.

        Returns:
            ``logs``, and ``count`` of all pages.

        Raises:
            InvalidArgument: A value is out of range.
            BackendAPIVersionError: The server is older than v5.20191215.

        Idempotent. ``GET /logs/error`` with a query.
        """
        cls.server.generation.require("ServerLog.list", since=V5)
        return (yield from _fetch(mark_read, page_size, page_no))

    @api_page_function
    def paginated_list(
        cls, *, mark_read: bool = False, page_offset: int = 0, page_size: int = 20
    ) -> Recipe[PaginatedResult]:
        """As :meth:`list`, in the form of the other paginated lists; ``.iterate()`` yields every entry.

        Args:
            mark_read: Mark what is fetched as read.
            page_offset: Index of the first entry, from 0.
            page_size: Entries at most, 1 to 100. The server knows whole pages only, so that there are fewer when the
                offset is no multiple of it.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is out of range.
            BackendAPIVersionError: The server is older than v5.20191215.

        Idempotent. ``GET /logs/error`` with a query.
        """
        cls.server.generation.require("ServerLog.paginated_list", since=V5)
        skipped = whole("page_offset", page_offset) % whole("page_size", page_size, 1, MAX_PAGE_SIZE)
        page = yield from _fetch(mark_read, page_size, page_offset // page_size + 1)
        entries: Any = field(page, "logs")
        return PaginatedResult(field(page, "count"), entries[skipped:], tuple(LogEntry.__annotations__))

    @api_class_function
    def append(
        cls,
        severity: str,
        source: str,
        message: str,
        context_lang: str,
        context_env: Mapping[str, Any] | str,
        *,
        request_url: str | None = None,
        request_status: int | None = None,
        traceback: str | None = None,
    ) -> Recipe[Success]:
        """Report an error of the caller's program.

        Args:
            severity: ``critical``, ``error`` or ``warning``.
            source: What failed, for example the program's name.
            message: What happened.
            context_lang: Its programming language.
            context_env: More about its environment: a mapping, or JSON text of one.
            request_url: URL of the request that failed.
            request_status: HTTP status of its answer.
            traceback: Where in the program it happened.

        Returns:
            ``{"success": True}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v5.20191215.

        Not idempotent. ``POST /logs/error``.
        """
        cls.server.generation.require("ServerLog.append", since=V5)
        body = {
            "severity": choice("severity", severity, SEVERITIES),
            "source": text("source", source),
            "message": script("message", message),
            "context_lang": text("context_lang", context_lang),
            "context_env": json_object_text("context_env", context_env),
            **given(
                request_url=optional(text, "request_url", request_url),
                request_status=optional(whole, "request_status", request_status),
                traceback=optional(script, "traceback", traceback),
            ),
        }
        response = yield Request("POST", "/logs/error", json=body)
        return expect_object(response, shape=Success)

    @api_class_function
    def clear(cls, log_id: str | uuid.UUID) -> Recipe[Success]:
        """Mark an entry as done with; users do not see it any more then.

        Args:
            log_id: The entry's UUID.

        Returns:
            ``{"success": True}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIVersionError: The server is older than v5.20191215.
            BackendAPIError: 500 for an entry that is unknown, or that the caller may not see.

        Idempotent. ``POST /logs/error/{id}/clear``.
        """
        cls.server.generation.require("ServerLog.clear", since=V5)
        path = f"/logs/error/{uuid_text('log_id', log_id)}/clear"
        response = yield Request("POST", path, idempotent=True)
        return expect_object(response, shape=Success)


def _fetch(mark_read: object, page_size: object, page_no: object) -> Recipe[LogPage]:
    params = {
        "mark_read": "true" if flag("mark_read", mark_read) else "false",
        "page_size": whole("page_size", page_size, 1, MAX_PAGE_SIZE),
        "page_no": whole("page_no", page_no, 1),
    }
    response = yield Request("GET", "/logs/error", params=params)
    page = expect_object(response, shape=LogPage)
    if not isinstance(field(page, "logs", response), list) or not isinstance(field(page, "count", response), int):
        raise InvalidReply("the answer is no page of a log", response.status, response.content)
    return page
