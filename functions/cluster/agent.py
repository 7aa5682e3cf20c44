"""Agents, the machines that run sessions, and the watchers beside them.

===========================  =========================================  ============  ==========
Function                     Request                                    For           Since
===========================  =========================================  ============  ==========
Agent.list_with_limit        GraphQL ``agent_list``                     superadmins
Agent.paginated_list         GraphQL ``agent_list``                     superadmins
Agent.list                   GraphQL ``agents``                         superadmins
Agent.detail                 GraphQL ``agent``                          superadmins
Agent.update                 GraphQL ``modify_agent``                   superadmins   21.09
Agent.paginated_summaries    GraphQL ``agent_summary_list``             everybody     22.09
Agent.summary                GraphQL ``agent_summary``                  everybody     22.09
AgentWatcher.get_status      GET /resource/watcher                      superadmins
AgentWatcher.agent_start     POST /resource/watcher/agent/start         superadmins
AgentWatcher.agent_stop      POST /resource/watcher/agent/stop          superadmins
AgentWatcher.agent_restart   POST /resource/watcher/agent/restart       superadmins
===========================  =========================================  ============  ==========
"""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import AgentPage
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import AGENT, AGENT_SUMMARY, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V6_DEPENDENCIES, V6_FILTER, V6_SUMMARIES
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable
from ai.backend.client.functions.toolkit.inputs import changes, choice, choices, flag, optional, text, whole
from ai.backend.client.functions.toolkit.pages import MAX_PAGE_SIZE, PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.replies import MutationResult
from ai.backend.client.request import Request, Response

__all__ = ["Agent", "AgentWatcher"]

SINCE: Final = {"scaling_group": V6_DEPENDENCIES}
STATUSES: Final = ("ALIVE", "LOST", "RESTARTING", "TERMINATED")
LIST_FIELDS: Final = ("id", "addr", "status", "first_contact", "mem_slots", "cpu_slots", "gpu_slots")
PAGE_FIELDS: Final = ("id", "status", "scaling_group", "available_slots", "occupied_slots")
DETAIL_FIELDS: Final = (
    "id", "status", "addr", "region", "first_contact", "cpu_cur_pct", "mem_cur_bytes", "available_slots",
    "occupied_slots",
)  # fmt: skip


class Agent(BaseFunction[M]):
    """Machines that run sessions. Slots and statistics of them come as JSON text."""

    @api_class_function
    def list_with_limit(
        cls, limit: int, offset: int, status: str | None = "ALIVE", fields: Fields | None = None
    ) -> Recipe[AgentPage]:
        """One page of the agents, as a dictionary; see :meth:`paginated_list`.

        Args:
            limit: Items at most, 1 to 100.
            offset: Index of the first item, from 0.
            status: ``ALIVE``, ``LOST``, ``RESTARTING`` or ``TERMINATED``; from 23.09 on also several with commas. None:
                whatever it is.
            fields: What to tell about each.

        Returns:
            ``{"items": [...], "total_count": n}``.

        Raises:
            InvalidArgument: Limit or offset are out of range, or status or fields unknown.

        Idempotent. GraphQL ``agent_list``.
        """
        whole("limit", limit, 1, MAX_PAGE_SIZE)
        whole("offset", offset)
        page = yield from graphql.select_page(
            cls.server.generation,
            "agent_list",
            chosen(fields, LIST_FIELDS),
            {"status": Variable("String", None if status is None else choices("status", status, STATUSES))},
            page_offset=offset,
            page_size=limit,
            known=AGENT,
        )
        return {"items": page.items, "total_count": page.total_count}

    @api_page_function
    def paginated_list(
        cls,
        status: str | None = "ALIVE",
        scaling_group: str | None = None,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the agents.

        Args:
            status: As in :meth:`list_with_limit`.
            scaling_group: Only those of this scaling group.
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language; needs v6.20210815.
            order: For example ``+id``; needs v6.20210815.

        Returns:
            The page; ``.iterate(...)`` gives the items of all pages.

        Raises:
            InvalidArgument: Offset, size, status or fields are unusable.
            BackendAPIVersionError: ``filter`` or ``order`` on an older server.

        Idempotent. GraphQL ``agent_list``.
        """
        return (
            yield from graphql.select_page(
                cls.server.generation,
                "agent_list",
                chosen(fields, PAGE_FIELDS),
                {
                    "status": Variable("String", None if status is None else choices("status", status, STATUSES)),
                    "scaling_group": Variable("String", optional(text, "scaling_group", scaling_group)),
                },
                page_offset=page_offset,
                page_size=page_size,
                filter=filter,
                order=order,
                known=AGENT,
            )
        )

    @api_class_function
    def list(
        cls, status: str | None = None, scaling_group: str | None = None, fields: Fields | None = None
    ) -> Recipe[Rows]:
        """All agents at once.

        Args:
            status: Only those in this state; see :meth:`list_with_limit`.
            scaling_group: Only those of this scaling group.
            fields: What to tell about each.

        Returns:
            One object per agent.

        Raises:
            InvalidArgument: An argument is empty or unknown.

        Idempotent. GraphQL ``agents``.
        """
        arguments = {
            "scaling_group": Variable("String", optional(text, "scaling_group", scaling_group)),
            "status": Variable("String", None if status is None else choices("status", status, STATUSES)),
        }
        return (yield from graphql.select_list("agents", chosen(fields, LIST_FIELDS), arguments, AGENT))

    @api_class_function
    def detail(cls, agent_id: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """One agent.

        Args:
            agent_id: Its id.
            fields: What to tell about it.

        Returns:
            Field → value, or None when the agent is unknown.

        Raises:
            InvalidArgument: An argument is empty or unknown.

        Idempotent. GraphQL ``agent``.
        """
        arguments = {"agent_id": Variable("String!", text("agent_id", agent_id))}
        return (yield from graphql.select_object("agent", chosen(fields, DETAIL_FIELDS), arguments, AGENT))

    @api_class_function
    def update(
        cls, agent_id: str, *, schedulable: bool | None = None, scaling_group: str | None = None
    ) -> Recipe[MutationResult]:
        """Change an agent.

        Args:
            agent_id: Its id.
            schedulable: Whether new sessions may be put on it; ``Manager.scheduler_op`` does this for several.
            scaling_group: Move it to this scaling group, while it is alive; needs v6.20220315.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.
            BackendAPIVersionError: The server is older than v6.20210815, or than what ``scaling_group`` needs.

        Repeatable, but not repeated by itself. GraphQL ``modify_agent``.
        """
        cls.server.generation.require("Agent.update", since=V6_FILTER)
        props = changes(
            schedulable=optional(flag, "schedulable", schedulable),
            scaling_group=optional(text, "scaling_group", scaling_group),
        )
        cls.server.generation.require_arguments("Agent.update", props, SINCE)
        arguments = {
            "id": Variable("String!", text("agent_id", agent_id)),
            "props": Variable("ModifyAgentInput!", props),
        }
        return (yield from graphql.mutate("modify_agent", arguments))

    @api_page_function
    def paginated_summaries(
        cls,
        status: str | None = "ALIVE",
        scaling_group: str | None = None,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of what everybody may know of the agents in their scaling groups, unless the manager hides it.

        Args:
            status: One state as in :meth:`list_with_limit`; None: whatever it is.
            scaling_group: Only those of this scaling group.
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language.
            order: For example ``+id``.

        Returns:
            The page; ``.iterate(...)`` gives the items of all pages.

        Raises:
            InvalidArgument: Offset, size, status or fields are unusable.
            BackendAPIVersionError: The server is older than v6.20220615.

        Idempotent. GraphQL ``agent_summary_list``.
        """
        cls.server.generation.require("Agent.paginated_summaries", since=V6_SUMMARIES)
        return (
            yield from graphql.select_page(
                cls.server.generation,
                "agent_summary_list",
                chosen(fields, PAGE_FIELDS),
                {
                    "status": Variable("String", None if status is None else choice("status", status, STATUSES)),
                    "scaling_group": Variable("String", optional(text, "scaling_group", scaling_group)),
                },
                page_offset=page_offset,
                page_size=page_size,
                filter=filter,
                order=order,
                known=AGENT_SUMMARY,
            )
        )

    @api_class_function
    def summary(cls, agent_id: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """What everybody may know of an agent in one of their scaling groups, unless the manager hides it.

        Args:
            agent_id: Its id.
            fields: What to tell about it.

        Returns:
            Field → value, or None when the agent is unknown or elsewhere.

        Raises:
            InvalidArgument: An argument is empty or unknown.
            BackendAPIVersionError: The server is older than v6.20220615.
            BackendAPIError: 400 from 23.09.10, always: its resolver is broken. :meth:`paginated_summaries` works.

        Idempotent. GraphQL ``agent_summary``.
        """
        cls.server.generation.require("Agent.summary", since=V6_SUMMARIES)
        arguments = {"agent_id": Variable("String!", text("agent_id", agent_id))}
        return (
            yield from graphql.select_object("agent_summary", chosen(fields, PAGE_FIELDS), arguments, AGENT_SUMMARY)
        )


class AgentWatcher(BaseFunction[M]):
    """The service that starts and stops an agent on its machine. For superadmins.

    The manager relays the watcher's answer. Every function returns the watcher's message if it has one (``Agent is not
    loaded with systemctl.``), else the whole answer, and raises ``BackendAPIError`` with the watcher's error status and
    its plain text, or with 500 when no watcher answers within 5 s (status) or 20 s.
    """

    @api_class_function
    def get_status(cls, agent_id: str) -> Recipe[Any]:
        """State of an agent's service.

        Args:
            agent_id: The agent's id.

        Returns:
            ``{"agent-status": text, "watcher-status": text}``, or the watcher's message.

        Raises:
            InvalidArgument: It is no id.
            BackendAPIError: See the class.

        Idempotent. ``GET /resource/watcher`` with query ``agent_id`` (bodies of GET get lost in some proxies).
        """
        response = yield Request("GET", "/resource/watcher", params={"agent_id": text("agent_id", agent_id)})
        return _told(response)

    @api_class_function
    def agent_start(cls, agent_id: str) -> Recipe[Any]:
        """Start an agent's service.

        Args:
            agent_id: The agent's id.

        Returns:
            ``{"result": "ok"}``, or the watcher's message.

        Raises:
            InvalidArgument: It is no id.
            BackendAPIError: See the class.

        Repeatable, but not repeated by itself. ``POST /resource/watcher/agent/start``.
        """
        return (yield from _tell("start", agent_id))

    @api_class_function
    def agent_stop(cls, agent_id: str) -> Recipe[Any]:
        """Stop an agent's service.

        Args:
            agent_id: The agent's id.

        Returns:
            ``{"result": "ok"}``, or the watcher's message.

        Raises:
            InvalidArgument: It is no id.
            BackendAPIError: See the class.

        Repeatable, but not repeated by itself. ``POST /resource/watcher/agent/stop``.
        """
        return (yield from _tell("stop", agent_id))

    @api_class_function
    def agent_restart(cls, agent_id: str) -> Recipe[Any]:
        """Restart an agent's service.

        Args:
            agent_id: The agent's id.

        Returns:
            ``{"result": "ok"}``, or the watcher's message.

        Raises:
            InvalidArgument: It is no id.
            BackendAPIError: See the class.

        Not idempotent. ``POST /resource/watcher/agent/restart``.
        """
        return (yield from _tell("restart", agent_id))


def _tell(action: str, agent_id: str) -> Recipe[Any]:
    body = {"agent_id": text("agent_id", agent_id)}
    response = yield Request("POST", f"/resource/watcher/agent/{action}", json=body)
    return _told(response)


def _told(response: Response) -> Any:
    reply = response.json()
    return reply["message"] if isinstance(reply, dict) and "message" in reply else reply
