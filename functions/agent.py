"""Agents and their watchers. For superadmins.

==========================  =================================
Function                    Request
==========================  =================================
Agent.list_with_limit       GraphQL ``agent_list``
Agent.detail                GraphQL ``agent``
AgentWatcher.get_status     GET /resource/watcher
==========================  =================================
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions import graphql
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.fields import Fields
from ai.backend.client.functions.graphql import Variable
from ai.backend.client.request import Request

__all__ = ["Agent", "AgentWatcher"]

LIST_FIELDS: Final = ("id", "addr", "status", "first_contact", "mem_slots", "cpu_slots", "gpu_slots")
DETAIL_FIELDS: Final = (
    "id", "status", "addr", "region", "first_contact", "cpu_cur_pct", "mem_cur_bytes", "available_slots",
    "occupied_slots",
)  # fmt: skip


class Agent(BaseFunction[M]):
    """Machines that run sessions."""

    @api_class_function
    def list_with_limit(
        cls, limit: int, offset: int, status: str = "ALIVE", fields: Fields | None = None
    ) -> Recipe[dict[str, Any]]:
        """One page of the agents.

        Args:
            limit: Items at most, 1 to 100.
            offset: Index of the first item, from 0.
            status: ``ALIVE``, ``LOST``, ``RESTARTING`` or ``TERMINATED``.
            fields: What to tell about each.

        Returns:
            ``{"items": [...], "total_count": n}``.

        Raises:
            InvalidArgument: Limit or offset are out of range.

        Idempotent. GraphQL ``agent_list``.
        """
        page = yield from graphql.select_page(
            cls.session.api_version,
            "agent_list",
            fields or LIST_FIELDS,
            {"status": Variable("String", status)},
            page_offset=offset,
            page_size=limit,
        )
        return {"items": page.items, "total_count": page.total_count}

    @api_class_function
    def detail(cls, agent_id: str, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One agent.

        Args:
            agent_id: Its id.
            fields: What to tell about it. Slots and statistics come as JSON text.

        Returns:
            Field → value, or None when the agent is unknown.

        Idempotent. GraphQL ``agent``.
        """
        arguments = {"agent_id": Variable("String!", agent_id)}
        row: dict[str, Any] | None = yield from graphql.select("agent", fields or DETAIL_FIELDS, arguments)
        return row


class AgentWatcher(BaseFunction[M]):
    """The service that starts and stops an agent on its machine."""

    @api_class_function
    def get_status(cls, agent_id: str) -> Recipe[Any]:
        """State of an agent's service.

        Args:
            agent_id: The agent's id.

        Returns:
            ``{"agent-status": text, "watcher-status": text}``, or the watcher's message.

        Raises:
            InvalidArgument: It is no id.
            BackendAPIError: The watcher's own error status, or 500 when it does not answer in 5 s.

        Idempotent. ``GET /resource/watcher`` with query ``agent_id``.
        """
        if not isinstance(agent_id, str) or not agent_id:
            raise InvalidArgument("agent_id", agent_id, "must be the id of an agent")
        response = yield Request("GET", "/resource/watcher", params={"agent_id": agent_id})
        reply = response.json()
        return reply["message"] if isinstance(reply, dict) and "message" in reply else reply
