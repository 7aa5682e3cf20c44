"""What the manager knows about compute sessions: info, logs, graphs, lists.

=====================  ==================================  =====
Function               Request                             Since
=====================  ==================================  =====
get_info               GET P
get_logs               GET P/logs
get_dependency_graph   GET P/dependency-graph              v7
get_abusing_report     GET P/abusing-report                v6.20230315
get_status_history     GraphQL ``compute_session``         v6.20230315
match                  GET /session/_/match                v5
paginated_list         GraphQL ``compute_session_list``
paginated_containers   GraphQL ``compute_container_list``  v5
=====================  ==================================  =====

``P`` is ``/kernel/{name}`` up to v4 and ``/session/{name}`` from v5 on.
"""

from __future__ import annotations

import json
import uuid
from types import NoneType
from typing import Any, Final

from ai.backend.client.exceptions import BackendAPIError, InvalidArgument, InvalidReply
from ai.backend.client.functions.base import Recipe
from ai.backend.client.functions.compute.identity import SessionIdentity, request_about
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import COMPUTE_SESSION, CONTAINER, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V5, V6_LOWER_CASE, V7
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import choices, optional, text, uuid_text
from ai.backend.client.functions.toolkit.pages import PaginatedResult
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.request import Request, Response

LIST_FIELDS: Final = ("id", "name", "type", "status", "status_info", "created_at", "terminated_at")
LIST_FIELDS_V4: Final = ("id", "sess_id", "sess_type", "status", "status_info", "created_at", "terminated_at")
CONTAINER_FIELDS: Final = ("id", "role", "hostname", "image", "status", "status_info", "agent", "container_id")
STATUSES: Final = (
    "PENDING", "SCHEDULED", "PREPARING", "BUILDING", "PULLING", "RUNNING", "RUNNING_DEGRADED", "RESTARTING",
    "RESIZING", "SUSPENDED", "TERMINATING", "TERMINATED", "ERROR", "CANCELLED",
)  # fmt: skip
"""States of sessions, of all releases from 19.09 to 23.09."""


def get_info(kernel: SessionIdentity[Any]) -> Recipe[dict[str, Any]]:
    """The session's properties.

    Returns:
        ``domainName``, ``groupId``, ``userId``, ``lang``, ``image``, ``registry``, ``tag``, ``containerId``,
        ``occupiedSlots``, ``environ``, ``status``, ``statusInfo``, ``age`` (ms), ``creationTime``,
        ``numQueriesExecuted``, ``lastStat`` and more by release; most are text, objects among them too.

    Raises:
        BackendAPIError: 404 for an unknown session.

    Idempotent. ``GET P``. From v6 on the server ignores ``owner_access_key`` here.
    """
    response = yield request_about(kernel, "GET")
    return expect_object(response)


def get_logs(kernel: SessionIdentity[Any]) -> Recipe[dict[str, Any]]:
    """The console log of the session's main container; also after the session ended.

    Returns:
        ``{"result": {"logs": text}}``.

    Raises:
        BackendAPIError: 404 for an unknown session, or for a name that several sessions had, if the UUID is not
            known.

    Idempotent. ``GET P/logs``, with the UUID in place of the name where it is known.
    """
    response = yield request_about(kernel, "GET", "/logs", among_ended=True)
    return expect_object(response)


def get_dependency_graph(kernel: SessionIdentity[Any]) -> Recipe[dict[str, Any]]:
    """The sessions that this one depends on, and theirs.

    Returns:
        ``{"session_id", "session_name", "status", "status_changed", "depends_on": [...]}``.

    Raises:
        BackendAPIVersionError: The server is older than v7.20230615.
        BackendAPIError: 404 or 500 for an unknown session.

    Idempotent. ``GET P/dependency-graph``, with the UUID in place of the name where it is known; the server ignores
    ``owner_access_key`` here.
    """
    kernel.server.generation.require("get_dependency_graph", since=V7)
    response = yield request_about(kernel, "GET", "/dependency-graph", among_ended=True)
    return expect_object(response)


def get_abusing_report(kernel: SessionIdentity[Any]) -> Recipe[dict[str, Any]]:
    """What the agent's watch for abuse found in the session.

    Returns:
        ``{"kernel": UUID, "abuse_report": text}``, or empty when there is nothing.

    Raises:
        InvalidArgument: The object has an ``owner_access_key`` (the server refuses it here).
        BackendAPIVersionError: The server is older than v6.20230315.
        BackendAPIError: 404 for an unknown session.

    Idempotent. ``GET P/abusing-report``.
    """
    kernel.server.generation.require("get_abusing_report", since=V6_LOWER_CASE)
    response = yield request_about(kernel, "GET", "/abusing-report", for_owner=False)
    return expect_object(response)


def get_status_history(kernel: SessionIdentity[Any]) -> Recipe[dict[str, str]]:
    """When the session entered each of its states.

    Returns:
        State → time (ISO 8601), for example ``{"PENDING": "2023-01-01T00:00:00+00:00", ...}``.

    Raises:
        InvalidArgument: The object has an ``owner_access_key`` and no UUID.
        BackendAPIVersionError: The server is older than v6.20230315.
        BackendAPIError: 404 for an unknown session.

    Idempotent. GraphQL ``compute_session(id) { status_history }`` (no manager has the route that the vendor's
    client asks for). If only the name is known, ``GET /session/_/match`` finds the UUID: that of the newest session
    of this name.
    """
    kernel.server.generation.require("get_status_history", since=V6_LOWER_CASE)
    session_id = kernel.id
    if session_id is None:
        if kernel.owner_access_key is not None:
            raise InvalidArgument("owner_access_key", "(given)", "needs an object with the session's UUID here")
        response = yield _match_request(str(kernel.kernel_id))
        session_id = _newest_of_name(kernel.kernel_id, response)
    row = yield from graphql.select("compute_session", ["status_history"], {"id": Variable("UUID!", str(session_id))})
    if row is None:
        raise _no_such_session()
    return _history(field(row, "status_history"))


def match(cls: type[SessionIdentity[Any]], id_or_name: str) -> Recipe[dict[str, Any]]:
    """Look for the caller's sessions by UUID or name, ended ones too.

    Args:
        cls: The proxy class; bound.
        id_or_name: A session's UUID or exact name.

    Returns:
        ``{"matches": [{"id", "name", "status"}]}``, newest first, at most ten.

    Raises:
        InvalidArgument: The text is empty.
        BackendAPIVersionError: The server is older than v5.20191215.

    Idempotent. ``GET /session/_/match`` with query ``id``.
    """
    cls.server.generation.require("match", since=V5)
    response = yield _match_request(text("id_or_name", id_or_name))
    return expect_object(response)


def paginated_list(
    cls: type[SessionIdentity[Any]],
    status: str | None = None,
    access_key: str | None = None,
    *,
    fields: Fields | None = None,
    page_offset: int = 0,
    page_size: int = 20,
    filter: str | None = None,
    order: str | None = None,
    domain_name: str | None = None,
    group_id: str | uuid.UUID | None = None,
) -> Recipe[PaginatedResult]:
    """One page of the sessions that the caller may see.

    Args:
        cls: The proxy class; bound.
        status: Only sessions in this state, for example ``RUNNING``; from 23.09 on also several with commas.
        access_key: Only sessions of this owner.
        fields: What to tell about each: texts or field specifications. Up to v4 sessions have ``sess_id`` and
            ``sess_type`` in place of ``name`` and ``type``.
        page_offset: Index of the first item, from 0.
        page_size: Items at most, 1 to 100.
        filter: Condition in the manager's filter language; needs v6.20210815.
        order: For example ``-created_at``; needs v6.20210815.
        domain_name: Only sessions in this domain.
        group_id: Only sessions in the group with this UUID.

    Returns:
        The page; ``.iterate(...)`` gives the items of all pages.

    Raises:
        InvalidArgument: An argument is unusable.
        BackendAPIVersionError: ``filter`` or ``order`` on an older server.
        BackendAPIError: 400 for a field that the server's release does not have.

    Idempotent. GraphQL ``compute_session_list``.
    """
    generation = cls.server.generation
    return (
        yield from graphql.select_page(
            generation,
            "compute_session_list",
            chosen(fields, LIST_FIELDS if generation.has(V5) else LIST_FIELDS_V4),
            {
                "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
                "group_id": Variable("String", optional(uuid_text, "group_id", group_id)),
                "status": Variable("String", None if status is None else choices("status", status, STATUSES)),
                "access_key": Variable("String", optional(text, "access_key", access_key)),
            },
            page_offset=page_offset,
            page_size=page_size,
            filter=filter,
            order=order,
            known=COMPUTE_SESSION,
        )
    )


def paginated_containers(
    cls: type[SessionIdentity[Any]],
    session_id: str | uuid.UUID,
    role: str | None = None,
    *,
    fields: Fields | None = None,
    page_offset: int = 0,
    page_size: int = 20,
    filter: str | None = None,
    order: str | None = None,
) -> Recipe[PaginatedResult]:
    """One page of the containers of a session.

    Args:
        cls: The proxy class; bound.
        session_id: The session's UUID.
        role: Only those with this role in the cluster, for example ``main``.
        fields: What to tell about each.
        page_offset: Index of the first item, from 0.
        page_size: Items at most, 1 to 100.
        filter: Condition in the manager's filter language; needs v6.20210815.
        order: For example ``+cluster_idx``; needs v6.20210815.

    Returns:
        The page; ``.iterate(...)`` gives the items of all pages.

    Raises:
        InvalidArgument: An argument is unusable.
        BackendAPIVersionError: The server is older than v5.20191215, or than what ``filter`` and ``order`` need.

    Idempotent. GraphQL ``compute_container_list``.
    """
    generation = cls.server.generation
    generation.require("paginated_containers", since=V5)
    return (
        yield from graphql.select_page(
            generation,
            "compute_container_list",
            chosen(fields, CONTAINER_FIELDS),
            {
                "session_id": Variable("ID!", uuid_text("session_id", session_id)),
                "role": Variable("String", optional(text, "role", role)),
            },
            page_offset=page_offset,
            page_size=page_size,
            filter=filter,
            order=order,
            known=CONTAINER,
        )
    )


def _match_request(id_or_name: str) -> Request:
    return Request("GET", "/session/_/match", params={"id": id_or_name})


def _newest_of_name(name: str | None, response: Response) -> Any:
    matches = field(response.json(), "matches", response)
    if not isinstance(matches, list):
        raise InvalidReply("the matches are no list", response.status, response.content)
    for found in matches:
        if field(found, "name", response) == name:
            return field(found, "id", response)
    raise _no_such_session()


def _no_such_session() -> BackendAPIError:
    problem = {"type": "https://api.backend.ai/probs/object-not-found", "title": "No such session."}
    return BackendAPIError(404, "Not Found", problem)


def _history(value: Any) -> dict[str, str]:
    try:
        history = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise InvalidReply("status_history is not JSON") from None
    if not isinstance(history, dict | NoneType):
        raise InvalidReply("status_history is not a JSON object")
    return history or {}
