"""The manager itself. Changes need a superadmin.

====================  =================================  ==========================================
Function              Request                            Body
====================  =================================  ==========================================
status                GET /manager/status
freeze                PUT /manager/status                ``status``, ``force_kill``
unfreeze              PUT /manager/status                ``status``
get_announcement      GET /manager/announcement
update_announcement   POST /manager/announcement         ``enabled``, ``message``
scheduler_op          POST /manager/scheduler/operation  ``op``, ``args``
scheduler_trigger     POST /manager/scheduler/trigger    ``event``
scheduler_status      GET /manager/scheduler/status
====================  =================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from ai.backend.client.exceptions import BackendAPIError, InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import Announcement, ManagerStatus
from ai.backend.client.functions.toolkit.generations import LEGACY_SCHEDULER, V5, V6_LOWER_CASE, V7, Generation
from ai.backend.client.functions.toolkit.inputs import choice, flag, free_text, given, optional, texts
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.request import Request

__all__ = ["Manager"]

SCHEDULER_OPS: Final = ("include-agents", "exclude-agents")
SCHEDULER_EVENTS: Final = ("schedule", "prepare", "scale_services")


class Manager(BaseFunction[M]):
    """State of the manager."""

    @api_class_function
    def status(cls) -> Recipe[ManagerStatus]:
        """State of the manager and its nodes. Public.

        Returns:
            ``nodes``, ``status`` (``running`` or ``frozen``) and ``active_sessions``.

        Idempotent. ``GET /manager/status``; without the body that the vendor's client sends, which proxies may drop.
        """
        response = yield Request("GET", "/manager/status")
        return expect_object(response, shape=ManagerStatus)

    @api_class_function
    def freeze(cls, force_kill: bool = False) -> Recipe[None]:
        """Refuse everything that changes things (503 ``server-frozen``), until :meth:`unfreeze`.

        Args:
            force_kill: End all sessions first; else they run on and can be used.

        Raises:
            InvalidArgument: ``force_kill`` is no bool.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent unless ``force_kill``. ``PUT /manager/status``.
        """
        flag("force_kill", force_kill)
        yield from _set_status(cls.server.generation, "frozen", {"force_kill": force_kill}, idempotent=not force_kill)

    @api_class_function
    def unfreeze(cls) -> Recipe[None]:
        """Take changes again.

        Raises:
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``PUT /manager/status``.
        """
        yield from _set_status(cls.server.generation, "running", {}, idempotent=True)

    @api_class_function
    def get_announcement(cls) -> Recipe[Announcement]:
        """What the administrators want users to read. Public.

        Returns:
            ``enabled`` and ``message``.

        Idempotent. ``GET /manager/announcement``.
        """
        response = yield Request("GET", "/manager/announcement")
        return expect_object(response, shape=Announcement)

    @api_class_function
    def update_announcement(cls, enabled: bool = True, message: str | None = None) -> Recipe[None]:
        """Set or remove the announcement.

        Args:
            enabled: False removes it.
            message: Its text; not empty when it is enabled.

        Raises:
            InvalidArgument: It is enabled without a text.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /manager/announcement``.
        """
        flag("enabled", enabled)
        if enabled and (not isinstance(message, str) or not message):
            raise InvalidArgument("message", message, "must not be empty when the announcement is enabled")
        body = given(enabled=enabled, message=optional(free_text, "message", message))
        yield Request("POST", "/manager/announcement", json=body, idempotent=True)

    @api_class_function
    def scheduler_op(cls, op: str, args: Iterable[str]) -> Recipe[None]:
        """Take agents into or out of scheduling.

        Args:
            op: ``include-agents`` or ``exclude-agents``.
            args: Ids of the agents.

        Raises:
            InvalidArgument: Another operation, or no list of ids.
            BackendAPIVersionError: The server is older than v5.20191215.
            BackendAPIError: 404 when an agent is unknown, 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /manager/scheduler/operation``.
        """
        cls.server.generation.require("scheduler_op", since=V5)
        body = {"op": choice("op", op, SCHEDULER_OPS), "args": texts("args", args)}
        yield Request("POST", "/manager/scheduler/operation", json=body, idempotent=True)

    @api_class_function
    def scheduler_trigger(cls, event: str) -> Recipe[None]:
        """Make the scheduler do its next round now.

        Args:
            event: ``schedule`` (choose agents for waiting sessions), ``prepare`` (start what has an agent) or
                ``scale_services`` (start and stop sessions of model services).

        Raises:
            InvalidArgument: Another event.
            BackendAPIVersionError: The server is older than v7.20230615, or its release is 26.2 or later.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /manager/scheduler/trigger``.
        """
        cls.server.generation.require("scheduler_trigger", since=V7, gone=LEGACY_SCHEDULER)
        body = {"event": choice("event", event, SCHEDULER_EVENTS)}
        yield Request("POST", "/manager/scheduler/trigger", json=body, idempotent=True)

    @api_class_function
    def scheduler_status(cls) -> Recipe[dict[str, dict[str, str]]]:
        """When the scheduler last did what.

        Returns:
            Event → ``trigger_event``, ``execution_time``, ``finish_time`` (ISO 8601) and more, all as text; empty for
            what has not happened yet.

        Raises:
            BackendAPIVersionError: The server is older than v7.20230615, or its release is 26.2 or later.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /manager/scheduler/status``.
        """
        cls.server.generation.require("scheduler_status", since=V7, gone=LEGACY_SCHEDULER)
        response = yield Request("GET", "/manager/scheduler/status")
        return expect_object(response)


def _set_status(generation: Generation, status: str, extra: dict[str, Any], *, idempotent: bool) -> Recipe[None]:
    """Managers up to 22.09 want the state in upper case, later ones in lower case.

    The negotiated version tells them apart (23.03 brought v6.20230315), unless the configuration holds it below what
    the server has. The wrong spelling is refused before anything is changed (400), so the other one is tried then.
    """
    first, second = (status, status.upper()) if generation.has(V6_LOWER_CASE) else (status.upper(), status)
    try:
        yield Request("PUT", "/manager/status", json={"status": first, **extra}, idempotent=idempotent)
    except BackendAPIError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        yield Request("PUT", "/manager/status", json={"status": second, **extra}, idempotent=idempotent)
