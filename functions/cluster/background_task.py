"""Background tasks of the manager.

==============  ==================================  ==========  =====
Function        Request                             Yields      Since
==============  ==================================  ==========  =====
listen_events   SSE GET /events/background-task     SSEMessage  v5
==============  ==================================  ==========  =====
"""

from __future__ import annotations

import uuid

from ai.backend.client._current import session_of
from ai.backend.client.functions.base import BaseFunction, M
from ai.backend.client.functions.streams.events import EventsSpec, SSEResponse
from ai.backend.client.functions.streams.stream import NO_TYPE
from ai.backend.client.functions.toolkit import inputs
from ai.backend.client.functions.toolkit.generations import V5
from ai.backend.client.request import Request

__all__ = ["BackgroundTask"]


class BackgroundTask(BaseFunction[M]):
    """A task that the manager runs in the background, a commit for example.

    Args:
        task_id: Its UUID, ``bgtask_id`` in the answer of what started it.

    Attributes:
        task_id: The UUID as text.

    Raises:
        InvalidArgument: It is no UUID.
    """

    def __init__(self, task_id: str | uuid.UUID) -> None:
        self.task_id = inputs.uuid_text("task_id", task_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_id}>"

    def listen_events(self) -> SSEResponse[M]:
        """Listen to the task's progress and end.

        Returns:
            A stream of events, for ``with`` and ``for``: any number of ``bgtask_updated`` with ``message``,
            ``current_progress`` and ``total_progress`` (0: not known), one of ``bgtask_done``, ``bgtask_failed`` or
            ``bgtask_cancelled`` with ``message``, then ``server_close``. All have ``task_id``. A task that has ended
            already gives its end only, within a day.

        When it is opened: 404 or 500 for an unknown task. :class:`BackendAPIVersionError` on servers older than
        v5.20191215. ``GET /events/background-task`` with query ``taskId``.
        """
        server, params = self.server, {"taskId": self.task_id}

        def request() -> Request:
            server.generation.require("listening to background tasks", since=V5)
            return Request("GET", "/events/background-task", params=params, content_type=NO_TYPE)

        spec = EventsSpec(function="listen_events", actor=type(self).__name__, request=request)
        return SSEResponse(session_of(self), spec)
