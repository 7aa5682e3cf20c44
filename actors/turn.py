"""Turn actors: pykka actors without a stack of their own.

The hub's drain runs an actor's whole batch of messages in one turn. Since an actor never waits, it needs no thread and
no greenlet; a handler that tries to wait is refused at once (:func:`~ai.backend.client.actors.waiting.waiter` raises on
the hub). All hops of a call together cost 1-3 µs this way, against 24 µs and more for one hop between two threads.

Built on pykka's documented seam (``_create_actor_inbox``, ``_create_future``, ``_start_actor_loop``). Beyond it, this
module calls ``_actor_loop_setup``, ``_handle_receive`` and ``_actor_loop_teardown``, replaces ``_stop`` and reads
``Envelope``; ``tests/unit/actors/test_turn.py`` pins them.
"""

from __future__ import annotations

import collections
import sys
from typing import Any, Self

import pykka
from pykka import ActorRegistry
from pykka._envelope import Envelope
from pykka._types import OptExcInfo

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.waiting import waiter


class Mailbox:
    """An actor's messages, and the actor's place in the hub's queue. ``put`` is for any thread.

    Attributes:
        messages: The messages, the oldest first.
        turn: Stands for the actor's turn to come. Whoever ends one replaces it and looks at the messages again, because
            a put may have come between. See :meth:`Hub.schedule`.
        run: The actor's turn; set when it starts.
    """

    __slots__ = ("_hub", "_scheduled", "messages", "run", "turn")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.messages: collections.deque[Any] = collections.deque()
        self.turn: object = object()
        self._scheduled: object = None  # the latest turn that the hub knows of
        self.run: Any = None

    def put(self, message: Any) -> None:
        """Append a message: a bare one of ours, or pykka's envelope."""
        self.messages.append(message)
        turn = self.turn
        if self._scheduled is not turn:
            self._hub.schedule(self)
            self._scheduled = turn

    def wake(self) -> None:
        """Have the hub give the actor a turn."""
        turn = self.turn
        self._hub.schedule(self)
        self._scheduled = turn

    def get(self) -> Any:
        """Take the oldest message."""
        return self.messages.popleft()

    def empty(self) -> bool:
        """Whether there is none."""
        return not self.messages


class AskFuture(pykka.Future[Any]):
    """The future of ``ActorRef.ask``: waits as any other wait of this package does."""

    def __init__(self) -> None:
        super().__init__()
        self._outcome: tuple[Any, OptExcInfo | None] | None = None
        self._wakers: list[Any] = []

    def get(self, *, timeout: float | None = None) -> Any:
        """The reply. Raises :class:`pykka.Timeout`, or what the handler raised."""
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if self._outcome is None:
            waiting = waiter()
            self._wakers.append(waiting.wake)
            if self._outcome is None and not waiting.wait(timeout) and self._outcome is None:
                raise pykka.Timeout(f"{timeout} seconds")
        value, failure = self._outcome  # type: ignore[misc]  # set: the wait is over
        if failure is not None and failure[1] is not None:
            raise failure[1]
        return value

    def set(self, value: Any = None) -> None:
        """The handler's value."""
        self._set(value, None)

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """The handler's failure."""
        self._set(None, exc_info or sys.exc_info())

    def _set(self, value: Any, failure: OptExcInfo | None) -> None:
        if self._outcome is not None:
            raise RuntimeError("the future is set already")
        self._outcome = (value, failure)
        for wake in self._wakers:
            wake()


class TurnActor(pykka.Actor):
    """Base of the session's actors.

    Subclasses write :meth:`receive` for bare messages, which others put into :attr:`mailbox`. ``ask``, ``tell``,
    proxies and ``stop`` of pykka work too, from any thread. A running actor is not in pykka's registry, so that another
    library's ``ActorRegistry.stop_all()`` does not end our sessions.

    Nothing that a handler raises, ``BaseException`` included, ends the actor or anybody else's: see :meth:`crashed`.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.mailbox = Mailbox(hub)
        super().__init__()

    @classmethod
    def launch(cls, *args: Any) -> Self:
        """Start an actor, and return the actor itself: somebody has to hold it, since pykka's references are weak.

        Not by pykka's ``start()``, which would register it and log that, here and perhaps on the hub.
        """
        actor = cls(*args)
        actor._start_actor_loop()
        return actor

    def _create_actor_inbox(self) -> Mailbox:  # type: ignore[override]  # a static method there; ours needs the hub
        return self.mailbox

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return AskFuture()

    def _start_actor_loop(self) -> None:
        if ActorRegistry.get_by_urn(self.actor_urn) is not None:  # started by pykka's start()
            ActorRegistry.unregister(self.actor_ref)
        self.mailbox.run = self._turn
        self.hub.call(self._begin)

    def _begin(self) -> None:
        self._actor_loop_setup()
        if self.actor_stopped.is_set():  # on_start failed
            self._actor_loop_teardown()

    def _stop(self) -> None:
        self.actor_stopped.set()
        try:
            self.on_stop()
        except Exception as error:  # of a subclass; it ends all the same
            self.hub.report(error, f"{type(self).__name__} failed while it ended")

    def receive(self, message: Any) -> None:
        """Handle one bare message. Must not wait."""
        raise NotImplementedError

    def crashed(self, message: Any, error: BaseException) -> None:
        """A handler raised ``error`` on ``message``. The actor lives on."""
        self.hub.report(error, f"{type(self).__name__} failed on {message!r}")

    def died_with(self, message: Any) -> None:
        """A bare message came after the actor's end, from any thread: answer for it, so that nobody waits for ever."""

    def _turn(self) -> None:
        mailbox = self.mailbox
        messages = mailbox.messages
        receive = self.receive
        try:
            while messages:
                message = None
                try:
                    message = messages.popleft()
                    if message.__class__ is not Envelope:
                        receive(message)
                        continue
                    self._open(message)
                except BaseException as error:
                    self._failed(message, error)
                if self.actor_stopped.is_set():  # only an envelope can stop an actor
                    self._actor_loop_teardown()
                    return
        finally:
            mailbox.turn = object()
            if mailbox.messages:
                mailbox.wake()

    def _failed(self, message: Any, error: BaseException) -> None:
        try:
            self.crashed(message, error)
        except BaseException as worse:
            self.hub.report(worse, f"{type(self).__name__} failed twice on {message!r}")

    def _open(self, envelope: Envelope[Any]) -> None:
        try:
            reply = self._handle_receive(envelope.message)
        except BaseException:
            if envelope.reply_to is None:
                raise
            envelope.reply_to.set_exception()
        else:
            if envelope.reply_to is not None:
                envelope.reply_to.set(reply)

    def _actor_loop_teardown(self) -> None:
        """Answer what is left, now and whenever something still comes. Any thread, once the actor has stopped."""
        mailbox = self.mailbox
        mailbox.run = self._actor_loop_teardown
        envelopes = []
        while True:
            try:
                message = mailbox.messages.popleft()
            except IndexError:
                break
            if message.__class__ is Envelope:
                envelopes.append(message)
            else:
                try:
                    self.died_with(message)
                except BaseException as error:
                    self.hub.report(error, f"{type(self).__name__} could not answer for {message!r}")
        if envelopes:
            mailbox.messages.extend(envelopes)
            super()._actor_loop_teardown()
        mailbox.turn = object()
        if mailbox.messages:
            mailbox.wake()
