"""Background tasks, and the events that tell how they go."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from ai.backend.client.sandbox.core.events import Event, EventHub

STARTED: Final = "started"
DONE: Final = "done"
FAILED: Final = "failed"

log = logging.getLogger("ai.backend.client.sandbox")


@dataclass
class Task:
    """One of them, as it stands.

    Attributes:
        status: ``started``, ``done`` or ``failed``.
        current: Steps made.
        total: Steps to make; 0 when nobody knows.
        message: What was said last.
    """

    status: str = STARTED
    current: int = 0
    total: int = 0
    message: str = ""

    def described(self, task_id: uuid.UUID) -> dict[str, Any]:
        """What is told of a task that has ended; numbers as text, as managers send them."""
        return {
            "task_id": str(task_id),
            "status": self.status,
            "current_progress": str(self.current),
            "total_progress": str(self.total),
            "message": self.message,
        }


class Tasks:
    """Runs them, and remembers how they ended."""

    def __init__(self, events: EventHub) -> None:
        self._events = events
        self._tasks: dict[uuid.UUID, Task] = {}
        self._running: set[asyncio.Task[None]] = set()

    def get(self, task_id: uuid.UUID) -> Task | None:
        """A task, or None for an unknown id."""
        return self._tasks.get(task_id)

    def start(self, work: Callable[[], Awaitable[str]]) -> uuid.UUID:
        """Start one.

        Args:
            work: Does it; returns the last message.

        Returns:
            Its id.
        """
        task_id, task = uuid.uuid4(), Task()
        self._tasks[task_id] = task
        running = asyncio.get_running_loop().create_task(self._run(task_id, task, work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return task_id

    async def _run(self, task_id: uuid.UUID, task: Task, work: Callable[[], Awaitable[str]]) -> None:
        try:
            task.message = await work()
            task.status = DONE
        except Exception as error:  # whatever it is, whoever listens hears of it
            log.exception("background task")
            task.status, task.message = FAILED, repr(error)
        data = {"task_id": str(task_id), "message": task.message}
        self._events.send(Event(f"bgtask_{task.status}", data, {"task": task_id}))
