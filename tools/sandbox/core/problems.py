"""Errors as the manager sends them: RFC 7807 bodies with its own types, titles and statuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

TYPE_PREFIX: Final = "https://api.backend.ai/probs/"
MEDIA_TYPE: Final = "application/problem+json"

PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "generic-bad-request": (400, "Bad request."),
    "invalid-schema": (400, "Invalid or Missing API Parameters."),
    "malformed-body": (400, "Malformed request body."),
    "invalid-credentials": (400, "Invalid credentials for authentication."),
    "invalid-auth-params": (400, "Missing or invalid authorization parameters."),
    "invalid-api-params": (400, "Missing or invalid API parameters."),
    "graphql-error": (400, "GraphQL-generated error."),
    "session-already-exists": (
        400,
        "The session already exists but you requested not to reuse existing one.",
    ),
    "vfolder-creation-failed": (400, "Virtual folder creation has failed."),
    "vfolder-already-exists": (400, "The virtual folder already exists with the same name."),
    "storage-bad-request": (400, "Virtual folder operation has failed due to bad request."),
    "vfolder-operation-failed": (400, "Virtual folder operation has failed."),
    "vfolder-filter-status-failed": (400, "Virtual folder status filtering has failed."),
    "vfolder-invitation-not-found": (404, "Virtual folder invitation not found."),
    "vfolder-deletion-not-allowed": (400, "Not allowed to delete this virtual folder."),
    "storage-permission-not-allowed": (400, "The specified storage permission is not allowed."),
    "storage/invalid-api-params": (400, "Invalid API parameters"),
    "auth-failed": (401, "Credential/signature mismatch."),
    "generic-forbidden": (403, "Forbidden operation."),
    "insufficient-privilege": (403, "Insufficient privilege."),
    "url-not-found": (404, "Unknown URL path."),
    "object-not-found": (404, "No such object."),
    "entity-not-found": (404, "Entity not found."),
    "unknown-resource-slot-type": (400, "Unknown resource slot type."),
    "invalid-session-data": (500, "Session data has an invalid type or format."),
    "too-many-vfolders": (404, "There are two or more matching vfolders."),
    "method-not-allowed": (405, "HTTP Method Not Allowed."),
    "quota-exceeded": (412, "You have reached your resource limit."),
    "rate-limit-exceeded": (429, "You have reached your API query rate limit."),
    "internal-server-error": (500, "Internal server error."),
    "kernel-execution-failed": (500, "Executing user code in the kernel has failed."),
    "kernel-restart-failed": (500, "Kernel restart has failed."),
    "service-unavailable": (503, "Serivce unavailable."),
    "server-frozen": (503, "The server is frozen due to maintenance. Please try again later."),
    # The manager's own not-implemented is a 503; 501 keeps the sandbox's gaps apart from what a manager answers.
    "not-implemented": (501, "This API query is not implemented."),
}
"""Short type → status and title, as manager 23.09 has them (its misspelling included); a few are those of 26.9."""

SENT_AS: Final = {
    "storage-bad-request": "vfolder-operation-failed",
    "invalid-schema": "generic-bad-request",
    "malformed-body": "generic-bad-request",
}
"""Short type here → the one that is sent, where one type has several titles."""

V9_STATUS: Final = {"quota-exceeded": 400}
"""Statuses that 26.9 has instead."""

V9_CODES: Final[Mapping[str, str]] = {
    "invalid-schema": "api_parsing_invalid-parameters",
    "malformed-body": "api_parsing_bad-request",
    "invalid-api-params": "api_generic_invalid-parameters",
    "graphql-error": "api_generic_internal-error",
    "url-not-found": "api_read_not-found",
    "method-not-allowed": "api_access_forbidden",
    "entity-not-found": "session_read_not-found",
    "object-not-found": "vfolder_read_not-found",
    "not-implemented": "api_generic_not-implemented",
}
"""Short type → the member ``error_code`` of 26.9."""
STORAGE: Final = "storage/"
"""How the types of the storage proxy begin, which knows no codes."""
V9_CODE: Final = "backendai_generic_internal-error"

V4_TYPES: Final[Mapping[str, str]] = {
    "url-not-found": "generic-not-found",
    "session-already-exists": "kernel-already-exists",
}
V4_OBJECT_TYPES: Final[Mapping[str, str]] = {
    "session": "kernel-not-found",
    "environment image": "image-not-found",
    "user group (or project)": "group-not-found",
    "virtual folder": "vfolder-not-found",
    "domain": "domain-not-found",
    "scaling group": "scaling-group-not-found",
}
"""What manager 19.09 called them."""


class Problem(Exception):
    """An answer that is an error.

    Args:
        name: The short type, a key of :data:`PROBLEMS`.
        message: Free text for the member ``msg``; default: the member is left out.
        data: For the member ``data``; default: the member is left out.
        title: Another title than the type's.
        status: Another status than the type's.
        details: For the member ``agent-details``.
        subject: What was not found, for :func:`not_found`.
    """

    def __init__(
        self,
        name: str,
        message: str | None = None,
        data: Any = None,
        *,
        title: str | None = None,
        status: int | None = None,
        details: Mapping[str, Any] | None = None,
        subject: str | None = None,
    ) -> None:
        super().__init__(name, message)
        usual_status, usual_title = PROBLEMS[name]
        self.name = name
        self.message = message
        self.data = data
        self.title = title or usual_title
        self.status = status or usual_status
        self.details = details
        self.subject = subject

    def body(self, *, v4: bool = False, v9: bool = False) -> dict[str, Any]:
        """The JSON object to send."""
        name = self.name
        if v9 and self.details is not None:
            name = "internal-server-error"
        if v9 and self.subject == "session":
            name = "entity-not-found"
        if v4:
            name = V4_OBJECT_TYPES.get(self.subject or "") or V4_TYPES.get(name, name)
        title = PROBLEMS[name][1] if v9 and name != self.name else self.title
        body: dict[str, Any] = {"type": TYPE_PREFIX + SENT_AS.get(name, name), "title": title}
        if v9 and not name.startswith(STORAGE):
            body["error_code"] = V9_CODES.get(name, V9_CODE)
        if self.message is not None:
            body["msg"] = self.message
        if self.data is not None:
            body["data"] = self.data
        if self.details is not None and not v9:
            body["agent-details"] = dict(self.details)
        return body

    def response(self, *, v4: bool = False, v9: bool = False) -> web.Response:
        """The answer to send."""
        status = V9_STATUS.get(self.name, self.status) if v9 else self.status
        return web.Response(
            text=json.dumps(self.body(v4=v4, v9=v9)), status=status, content_type=MEDIA_TYPE, charset="utf-8"
        )


def not_found(subject: str, message: str | None = None, data: Any = None) -> Problem:
    """A 404 for an object that does not exist.

    Args:
        subject: What it is: ``session``, ``virtual folder``, …
        message: Free text for the member ``msg``.
        data: For the member ``data``.
    """
    return Problem("object-not-found", message, data, title=f"No such {subject}.", subject=subject)


def invalid(message: str, data: Any = None) -> Problem:
    """A 400 for parameters that do not fit."""
    return Problem("invalid-api-params", message, data)


def not_implemented(what: str) -> Problem:
    """A 501 for what the sandbox does not do."""
    return Problem("not-implemented", f"The sandbox does not do this: {what}")


def agent_failure(exception: str, name: str = "kernel-execution-failed") -> Problem:
    """A 500 for something that went wrong in a session, as agents report it.

    Args:
        exception: The exception, as ``repr`` shows it.
        name: The short type.
    """
    return Problem(
        name,
        details={
            "type": TYPE_PREFIX + "agent-failure",
            "title": "Agent-side exception occurred.",
            "exception": exception,
        },
    )
