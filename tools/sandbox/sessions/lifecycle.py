"""The life of compute sessions: queued, started when there is room, ended; with an event for each step."""

from __future__ import annotations

import asyncio
import base64
import datetime
import logging
import shutil
import uuid
from collections import Counter
from typing import Any, Final

from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.events import Event
from ai.backend.client.sandbox.core.slots import total
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.sessions.kernels import Kernel

BATCH_SECONDS: Final = 60.0
"""How long to wait for a batch session's output before looking again."""

V4_NAMES: Final = {
    "session_enqueued": "kernel_enqueued",
    "session_cancelled": "kernel_cancelled",
    "session_success": "kernel_success",
    "session_failure": "kernel_failure",
}
"""What 19.09 called the events that it had; its sessions were kernels."""

log = logging.getLogger("ai.backend.client.sandbox")


class Kernels:
    """The compute sessions.

    Attributes:
        running: The processes of those that run, by their ids.
        schedulable: False: none is started.
        queries: How many calls used each.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.running: dict[uuid.UUID, Kernel] = {}
        self._changed: dict[uuid.UUID, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.schedulable = True
        self.queries: Counter[uuid.UUID] = Counter()

    @property
    def active(self) -> int:
        """How many sessions hold resources."""
        return self._sandbox.recall(_count_occupying)

    def get(self, session_id: uuid.UUID) -> Kernel | None:
        """The process of a session that runs."""
        return self.running.get(session_id)

    def enqueue(self, session: model.Session) -> None:
        """A session was put into the database, as PENDING."""
        self._changed[session.id] = asyncio.Event()
        self._say(session, "session_enqueued")
        self.schedule()
        if session.starts_at is not None:
            delay = (session.starts_at - model.now()).total_seconds()
            asyncio.get_running_loop().call_later(max(0.0, delay), self.schedule)

    def schedule(self) -> None:
        """Start the sessions that there is room for, the oldest first."""
        if not self.schedulable:
            return
        with self._sandbox.write() as database:
            pending = database.query(model.Session).filter_by(status="PENDING").order_by(model.Session.created_at)
            for session in pending.all():
                reason = self._reason_to_wait(database, session)
                if reason:
                    session.status_info = reason
                    continue
                _move(session, "SCHEDULED")
                session.scheduled_at = model.now()
                database.flush()
                self._spawn(self._start(session))

    def _reason_to_wait(self, database: Database, session: model.Session) -> str:
        if session.starts_at is not None and session.starts_at > model.now():
            return "before start time"
        occupying = database.query(model.Session).filter(model.Session.status.in_(model.OCCUPYING)).all()
        own = [other for other in occupying if other.access_key == session.access_key]
        keypair = database.get_one(model.KeyPair, session.access_key)
        policy = database.get_one(model.KeyPairResourcePolicy, keypair.resource_policy)
        if len(own) >= policy.max_concurrent_sessions:
            return "predicate-checks-failed"
        limits = {"cpu": seed.CPUS, "mem": seed.MEMORY}
        used = total(other.requested_slots for other in (*occupying, session))
        if any(used.get(slot, 0) > limit for slot, limit in limits.items()):
            return "no-available-instances"
        policy_limits = total([policy.total_resource_slots])
        own_used = total(other.requested_slots for other in (*own, session))
        if any(own_used.get(slot, 0) > limit for slot, limit in policy_limits.items()):
            return "predicate-checks-failed"
        return ""

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a session's own work failed", exc_info=error)

    async def _start(self, session: model.Session) -> None:
        if self._status(session.id) != "SCHEDULED":  # it was destroyed meanwhile
            return
        self._say(session, "session_scheduled")
        self._set(session, "PREPARING")
        self._say(session, "kernel_preparing", kernel=True)
        kernel = Kernel(
            session.id,
            self._sandbox.settings.folder / "sessions" / session.id.hex,
            self._sandbox.settings.mark,
            {**self._variables(session), **session.environ},
        )
        kernel.exec_timeout = self._sandbox.settings.exec_timeout
        self._say(session, "kernel_creating", kernel=True)
        try:
            self._mount(session, kernel)
            await kernel.start()
        except (OSError, TimeoutError) as error:
            log.warning("session %s did not start: %r", session.name, error)
            await kernel.end()
            if self._status(session.id) != "PREPARING":
                return
            self._set(session, "ERROR", repr(error))
            self._say(session, "session_cancelled", reason="failed-to-start")
            self._wake(session.id)
            return
        if self._status(session.id) != "PREPARING":  # it was destroyed meanwhile
            await kernel.end()
            await asyncio.to_thread(shutil.rmtree, kernel.folder, ignore_errors=True)
            return
        self.running[session.id] = kernel
        if session.bootstrap_script:
            kernel.submit("bootstrap", base64.b64decode(session.bootstrap_script).decode("utf-8", "replace"))
        self._set(session, "RUNNING")
        self._say(session, "kernel_started", kernel=True)
        self._say(session, "session_started")
        self._wake(session.id)
        self._spawn(self._watch(session.id, kernel))
        if session.type == "batch":
            self._spawn(self._batch(session, kernel))

    def _variables(self, session: model.Session) -> dict[str, str]:
        return {
            "BACKENDAI_KERNEL_ID": str(session.kernel_id),
            "BACKENDAI_SESSION_ID": str(session.id),
            "BACKENDAI_SESSION_NAME": session.name,
            "BACKENDAI_ACCESS_KEY": session.access_key,
            "BACKENDAI_CLUSTER_SIZE": "1",
            "BACKENDAI_CLUSTER_ROLE": "main",
            "BACKENDAI_CLUSTER_HOST": "main1",
        }

    def _mount(self, session: model.Session, kernel: Kernel) -> None:
        """Make the session's folders appear in its working directory."""
        kernel.work.mkdir(parents=True, exist_ok=True)
        for mount in session.vfolder_mounts:
            place = kernel.work / mount["kernel_path"].removeprefix("/home/work/")
            folder = self._sandbox.folders / mount["id"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(folder, target_is_directory=True)
            kernel.mounts[place] = folder

    async def _watch(self, session_id: uuid.UUID, kernel: Kernel) -> None:
        """End a session whose process has ended by itself."""
        await kernel.dead.wait()
        if self.running.get(session_id) is kernel and self._status(session_id) == "RUNNING":
            await self.destroy(session_id, "self-terminated")

    async def _batch(self, session: model.Session, kernel: Kernel) -> None:
        """Run a batch session's command to its end, and end the session."""
        run = kernel.submit("batch", {"exec": session.startup_command})
        result = await run.next(BATCH_SECONDS)
        while not run.ended:
            result = await run.next(BATCH_SECONDS)
        success = result["exitCode"] == 0
        with self._sandbox.write() as database:
            database.get_one(model.Session, session.id).result = "SUCCESS" if success else "FAILURE"
        name = "session_success" if success else "session_failure"
        self._say(session, name, reason="task-finished", exit_code=result["exitCode"])
        await self.destroy(session.id, "task-finished")

    async def wait_started(self, session_id: uuid.UUID, seconds: float) -> str:
        """Wait until a session runs or will not.

        Args:
            session_id: The session.
            seconds: How long at most; 0 means as long as it takes.

        Returns:
            Its status then, or ``TIMEOUT``.
        """
        changed = self._changed.get(session_id)
        try:
            async with asyncio.timeout(seconds or None):
                if changed is not None:
                    await changed.wait()
        except TimeoutError:
            return "TIMEOUT"
        return self._status(session_id)

    async def restart(self, session_id: uuid.UUID) -> None:
        """Give a session a fresh process; its files stay."""
        kernel = self.running[session_id]
        with self._sandbox.read() as database:
            session = database.get_one(model.Session, session_id)
        self._set(session, "RESTARTING")
        await kernel.end()
        await kernel.start()
        if self.running.get(session_id) is not kernel:  # it was destroyed meanwhile
            await kernel.end()
            return
        self._set(session, "RUNNING")
        self._say(session, "kernel_started", kernel=True, reason="restarted")
        self._spawn(self._watch(session_id, kernel))

    async def destroy(self, session_id: uuid.UUID, reason: str = "user-requested") -> str:
        """End a session.

        Returns:
            Its last status.
        """
        with self._sandbox.read() as database:
            session = database.get_one(model.Session, session_id)
        if session.status in model.DEAD:
            return session.status
        if session.status == "PENDING":
            self._set(session, "CANCELLED", reason)
            self._say(session, "session_cancelled", reason=reason)
            self._wake(session_id)
            return "CANCELLED"
        self._set(session, "TERMINATING", reason)
        self._say(session, "session_terminating", reason=reason)
        self._say(session, "kernel_terminating", kernel=True, reason=reason)
        kernel = self.running.pop(session_id, None)
        logs, exit_code = "", None
        if kernel is not None:
            exit_code = kernel.exit_code
            await kernel.end()
            logs = kernel.logs()
            await asyncio.to_thread(shutil.rmtree, kernel.folder, ignore_errors=True)
        with self._sandbox.write() as database:
            session = database.get_one(model.Session, session_id)
            _move(session, "TERMINATED", reason)
            session.terminated_at = model.now()
            session.container_log = logs.encode()
            session.num_queries = self.queries.pop(session_id, 0)
        self._say(session, "kernel_terminated", kernel=True, reason=reason, exit_code=exit_code)
        self._say(session, "session_terminated", reason=reason)
        self._wake(session_id)
        self.schedule()
        return "TERMINATED"

    async def end_all(self) -> None:
        """End every session."""
        with self._sandbox.read() as database:
            live = database.query(model.Session.id).filter(model.Session.status.in_(model.LIVE)).all()
        await asyncio.gather(*(self.destroy(session_id, "force-terminated") for (session_id,) in live))

    def _status(self, session_id: uuid.UUID) -> str:
        with self._sandbox.read() as database:
            return database.get_one(model.Session, session_id).status

    def _set(self, session: model.Session, status: str, info: str = "") -> None:
        with self._sandbox.write() as database:
            _move(database.get_one(model.Session, session.id), status, info)

    def _wake(self, session_id: uuid.UUID) -> None:
        changed = self._changed.pop(session_id, None)
        if changed is not None:
            changed.set()

    def _say(
        self, session: model.Session, name: str, *, kernel: bool = False, reason: str = "", exit_code: int | None = None
    ) -> None:
        with self._sandbox.read() as database:
            group = database.get(model.Group, session.group_id)
        scope = {
            "session": session.id,
            "name": session.name,
            "access_key": session.access_key,
            "user": session.user_id,
            "domain": session.domain_name,
            "group": group.name if group else "",
        }
        if self._sandbox.v4:
            name = V4_NAMES.get(name, "") if name.startswith("session_") else name
            if name:
                named = {"sessionId": session.name, "ownerAccessKey": session.access_key, "reason": reason}
                self._sandbox.events.send(Event(name, named, scope))
            return
        data: dict[str, Any] = {
            "reason": reason,
            "sessionName": session.name,
            "ownerAccessKey": session.access_key,
            "sessionId": str(session.id),
            "exitCode": exit_code,
        }
        if kernel:
            data |= {"kernelId": str(session.kernel_id), "clusterRole": "main", "clusterIdx": 1}
        self._sandbox.events.send(Event(name, data, scope))


def _count_occupying(database: Database) -> int:
    return database.query(model.Session).filter(model.Session.status.in_(model.OCCUPYING)).count()


def _move(session: model.Session, status: str, info: str = "") -> None:
    moment: datetime.datetime = model.now()
    session.status = status
    session.status_info = info
    session.status_changed = moment
    session.status_history = {**session.status_history, status: moment.isoformat()}
