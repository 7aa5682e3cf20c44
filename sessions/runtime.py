"""The runtime of one session: hub, supervisor, slots and callback worker, and their life.

It never refers to the facade above it, so that a session that is dropped can be cleaned up after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any

from ai.backend.client.actors.call import Call, Options, QuietCall
from ai.backend.client.actors.callbacks import CallbackWorker
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.hub import Hub, NoResources
from ai.backend.client.actors.messages import Cancel, Close, Invoke
from ai.backend.client.actors.net import sockets
from ai.backend.client.actors.slots import Slots
from ai.backend.client.actors.waiting import HAS_EVENTFD, WaiterPool, may_wait
from ai.backend.client.exceptions import DeadlineExceeded, Overloaded, SessionClosed
from ai.backend.client.functions.server import Server
from ai.backend.client.sessions.streams.registry import Streams
from ai.backend.client.sessions.supervisor import Supervisor
from ai.backend.client.sessions.wire.cookies import WebCookies
from ai.backend.client.sessions.wire.transport import Transport

LOG_LIMIT = 1.0
"""Seconds that the end of a session waits for what it has to log."""


class Runtime:
    """Runs calls until it is closed. ``submit`` and ``close`` are for any thread.

    Args:
        server: What the session knows of its server; it learns more when the API version is negotiated.
        probes: Whether to negotiate the API version.
    """

    unremarkable: tuple[type[BaseException], ...] = (
        SessionClosed,
    )  # a session that closes says so to whoever waits; nobody else need care

    def __init__(self, server: Server, probes: bool) -> None:
        config = server.config
        self.pid = os.getpid()
        self.closing = False
        self.cookies = WebCookies(config.cookie_file) if config.endpoint_type == "session" else None
        self._config = config
        self._slots = Slots(config.in_flight)
        self._closed = CallFuture[None]()
        self.waiters = WaiterPool() if HAS_EVENTFD else None
        self.hub = hub = Hub()
        self._callbacks = CallbackWorker(hub)
        self._logs = CallbackWorker(hub)
        hub.emit = self._logs.emit
        self.streams = Streams(self, hub, config.streams)
        try:
            hub.start()
        except NoResources as error:
            raise Overloaded(f"this process cannot run another session now: {error}") from error
        try:
            self._supervisor = supervisor = self._start_supervisor(server, probes)
            self._put = supervisor.mailbox.put
            hub.teardown = self._teardown
            hub.last_words = self._last_words
            hub.inherited = self._inherited
        except BaseException:  # an interrupt: nobody would ever end the hub
            hub.stop()
            raise

    def _start_supervisor(self, server: Server, probes: bool) -> Supervisor:
        def make_transport(supervisor: Supervisor) -> Transport:
            return Transport(self.hub, self._config, self.cookies, supervisor.deliver, supervisor.transport_failed)

        return Supervisor.launch(self.hub, server, make_transport, self._slots, self.hub.stop, probes)

    # -- calls --------------------------------------------------------------------------------------------------------

    def submit(
        self, name: str, actor: str, recipe: Generator[Any, Any, Any], options: Options, *, in_line: bool = False
    ) -> CallFuture[Any]:
        """Accept a call.

        Args:
            name: The API function's name.
            actor: Name of the function actor.
            recipe: The recipe, not yet started.
            options: The call's limits.
            in_line: The call stands in line with the supervisor when all slots are taken, whoever submits it and
                however the session is configured: it is the session's own.

        Raises:
            SessionClosed: The runtime is closed, or closes while the call waits for a slot.
            Overloaded: All slots are taken, and the session is configured not to wait.
            DeadlineExceeded: All slots stayed taken until the call's deadline.
        """
        if self.closing:
            raise SessionClosed("the session is closed")
        make = QuietCall if self._logs.is_current() else Call
        call = make(self, name, actor, recipe, options)
        future: CallFuture[Any] = CallFuture(call)
        call.future = future
        try:
            if not self._slots.try_take(call.slot) and not in_line:
                self._wait_for_slot(call)
            self._put(Invoke(call))
        except BaseException:
            # Refused, or interrupted: whatever of it was accepted is given up, and so is the slot.
            future.cancel()
            raise
        return future

    def _wait_for_slot(self, call: Call) -> None:
        if self._config.when_full == "error":
            raise Overloaded(f"{self._config.in_flight} calls are in flight")
        if not may_wait():  # in an asyncio loop or on a hub: the call queues with the supervisor
            return
        if self._slots.take(call.slot, call.deadline):
            return
        if self.closing:
            raise SessionClosed("the session was closed while the call waited for its turn")
        raise DeadlineExceeded(f"{self._config.in_flight} calls stayed in flight for {call.options.deadline} s")

    def abandon(self, call: Call, if_unsent: bool = False) -> None:
        """Part of a call's owner: its future was cancelled."""
        self._put(Cancel(call, if_unsent))

    def disown(self, call: Call) -> bool:
        """Part of a call's owner: in a forked child, end a future that nobody would ever settle.

        Returns:
            Whether this is a forked child.
        """
        if self.pid == os.getpid():
            return False
        self._supervisor.disown(call)
        return True

    def run_callbacks(self, function: Callable[[], object]) -> None:
        """Part of a call's owner: run done-callbacks where users' code belongs."""
        self._callbacks.submit(function)

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self, timeout: float) -> CallFuture[None]:
        """Start closing: refuse, drain for at most ``timeout`` seconds, answer for the rest, take everything down.

        Repeating it may shorten the time.

        Returns:
            Settled when nothing is left of the runtime but its thread's last steps; see :meth:`join`.
        """
        if not self._closed.done():
            self._start_closing(timeout)
        closing = CallFuture[None]()  # one for each who asks: giving up waiting must not end it for the others
        self._closed.on_settled(lambda: closing.settle(None, None))
        return closing

    def _start_closing(self, timeout: float) -> None:
        if timeout > 0 and not self.closing:
            self.streams.begin_shutdown()
        self.closing = True
        self._slots.close()
        self.hub.call(self.streams.close if timeout > 0 else self.streams.abort)
        self._put(Close(timeout))

    def join(self, timeout: float) -> bool:
        """Wait for the hub's thread to end. At once True on the hub itself."""
        return self.hub.join(timeout)

    def is_worker(self) -> bool:
        """Whether the calling code runs on the hub or in a done-callback, where nobody may wait for the end."""
        return self._callbacks.is_current() or (self.hub.own_thread and self.hub.is_current())

    def _teardown(self) -> None:
        self.closing = True
        self._slots.close()
        self.streams.abort()
        self._supervisor._finish()  # when the hub is stopped from elsewhere: at exit
        self._supervisor.transport.close()

    def _last_words(self) -> None:
        self._callbacks.close()
        self._logs.close()
        if self.waiters is not None:
            self.waiters.close()
        self._closed.settle(None, None)
        if self.hub.own_thread:
            self._logs.drain(LOG_LIMIT)

    def _inherited(self) -> None:
        """In a forked child nobody will ever run this hub: drop the parent's connections, answer whoever waits."""
        self.closing = True
        sockets.drop_all(self.hub)
        for call in self._supervisor.known_calls():
            self.disown(call)
        self.streams.disown()
        self._closed.settle(None, None)
