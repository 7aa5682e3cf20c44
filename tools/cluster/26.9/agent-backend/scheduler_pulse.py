"""A quick pulse for the scheduler of manager 26.9.

The scheduler works in rounds: whatever has something to do for a stage leaves a mark in Redis, and the leading manager
sends itself an event per stage every two seconds, whose handler looks for the mark. A session passes five stages from
creation to running, and so waits five seconds on average for nothing. The interval is fixed in the manager's code. This
sends the same event when it sees the mark; that the handler may find it gone by then is how the manager has it, too.
"""

from __future__ import annotations

import asyncio
import logging

from ai.backend.common.events.event_types.schedule.anycast import DoSokovanProcessIfNeededEvent

STAGES = (
    "schedule",
    "check_precondition",
    "check_pulling_progress",
    "start",
    "check_creating_progress",
    "terminate",
    "check_terminating_progress",
    "detect_kernel_termination",
    "cleanup_force_terminated",
)
"""Those of the manager's `ScheduleType` that a session passes from creation to end."""
INTERVAL = 0.1
"""Seconds between two looks at the marks."""

log = logging.getLogger("ai.backend.agent.scheduler_pulse")


async def pulse(schedule_client, event_producer) -> None:
    """Look for marks, and send an event for each, as long as the agent runs.

    Args:
        schedule_client: The agent's `ValkeyScheduleClient`, on the Redis database where the marks are.
        event_producer: The agent's `EventProducer`.
    """
    keys = [schedule_client._get_schedule_key(stage) for stage in STAGES]
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            async with schedule_client._client.client() as redis:
                marks = await redis.mget(keys)
            for stage, mark in zip(STAGES, marks, strict=True):
                if mark is not None:
                    await event_producer.anycast_event(DoSokovanProcessIfNeededEvent(schedule_type=stage))
        except Exception:
            log.exception("no pulse for the scheduler")
            await asyncio.sleep(10 * INTERVAL)
