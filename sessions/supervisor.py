"""The session supervisor: the actor through which every call of a session goes, in and out.

States::

    OPEN ── Close ──▶ DRAINING ── all calls and function actors have ended, or the time is up ──▶ ENDED
      └── too many crashes ───────────────────────────────────────────────────────────────────────▲

While OPEN, calls that come before the API version is known wait for the probe, which the first of them starts.

A suspended recipe needs its function actor until its call has ended, and while DRAINING no call comes in: so the last
end of a call is the moment at which nothing more can be asked of any actor. Then each gets its poison pill, behind all
that it was given::

    Supervisor                      FunctionActor
        │ ── POISON_PILL ──────────────▶ │  does what is in its mailbox before, then ends itself
        │ ◀──────────────────── Ended ── │  its last act; the mailbox of one that has ended answers at once
        ▼
    ENDED, when all have answered

An actor that has crashed gets its pill at once. One that somebody stopped from outside says ``Ended`` unasked, and its
mailbox hands back what it was given. A fresh actor goes on in either case.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from ai.backend.client.actors.call import Call
from ai.backend.client.actors.deadlines import InFlight
from ai.backend.client.actors.function import FunctionActor
from ai.backend.client.actors.hub import Hub, Timer
from ai.backend.client.actors.lanes import Interrupted
from ai.backend.client.actors.messages import (
    POISON_PILL,
    Cancel,
    Close,
    Crashed,
    Ended,
    Finished,
    Gathered,
    Invoke,
    Received,
    Send,
)
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.actors.slots import Slots
from ai.backend.client.actors.steps import Gather, Offload, Pause
from ai.backend.client.actors.supervision import RestartBudget
from ai.backend.client.actors.turn import TurnActor
from ai.backend.client.exceptions import (
    BackendError,
    DeadlineExceeded,
    InvalidReply,
    SessionClosed,
)
from ai.backend.client.functions.server import Server
from ai.backend.client.functions.toolkit.generations import Generation
from ai.backend.client.request import Request
from ai.backend.client.sessions.gathering import Gathering
from ai.backend.client.sessions.locating import crash_error, for_another_caller, locate_call
from ai.backend.client.sessions.probe import Probe
from ai.backend.client.sessions.wire.transport import STRANGER, Transport
from ai.backend.client.versioning import format_api_version

OUTCOMES: tuple[type[BaseException], ...] = (BackendError, OSError)
"""What a recipe may raise as its outcome: our errors, and the local file system's own."""


class State(enum.Enum):
    """See the module."""

    OPEN = "open"
    DRAINING = "draining"
    ENDED = "ended"


class Supervisor(TurnActor):
    """Routes calls to function actors and their requests to the transport; answers for every call that it accepted.

    Args:
        hub: Where it lives.
        server: What the session knows of its server; this writes what the probe found.
        transport: Made with ``deliver`` and ``failed`` of this supervisor.
        slots: The in-flight slots. A call that came without one waits here until one is free.
        ended: Called once, when the session has ended and every call has been answered.
        probes: Whether to ask the server for its version. Otherwise the configured one holds.
    """

    def __init__(
        self,
        hub: Hub,
        server: Server,
        make_transport: Callable[[Supervisor], Transport],
        slots: Slots,
        ended: Callable[[], object],
        probes: bool,
    ) -> None:
        super().__init__(hub)
        self._server = server
        config = server.config
        self._slots = slots
        self._backlog: dict[Call, None] = {}
        self._ended = ended
        self.state = State.OPEN
        self._is_agreed = not probes  # on how the server is spoken to
        self._probe = Probe(config)
        self._gatherings: dict[Call, Gathering] = {}
        self._functions: dict[str, FunctionActor] = {}
        self._ending: set[FunctionActor] = set()  # those that have their pill and have not answered
        self._budget = RestartBudget()
        self._close_timer: Timer | None = None
        self._close_at = float("inf")
        self._fatal: BaseException | None = None
        self.in_flight = InFlight(hub, self._expired, self._proceed)
        self.transport = make_transport(self)
        self.transport.progressed = self._progressed
        if not probes:
            self._speak(Generation.of(config.parsed_version))

    # -- messages -----------------------------------------------------------------------------------------------------

    def receive(self, message: Any) -> None:
        """Handle one message; the order is that of their number."""
        kind = message.__class__
        if kind is Send:
            self._send(message.call, message.step)
        elif kind is Finished:
            self._end(message.call, message.value, message.error)
        elif kind is Invoke:
            self._invoke(message)
        elif kind is Cancel:
            self._cancel(message.call, message.if_unsent)
        elif kind is Gathered:
            self._child_ended(message)
        elif kind is Crashed:
            self._function_crashed(message)
        elif kind is Close:
            self._close(message.timeout)
        elif kind is Ended:
            self._actor_ended(message.actor, message.unread)

    def _cancel(self, call: Call, if_unsent: bool) -> None:
        if not if_unsent:
            self._give_up(call)
        elif call.sent_to is None:  # asked on the hub, where lanes send: nothing can leave meanwhile
            call.future.cancel()

    def _invoke(self, message: Invoke) -> None:
        call = message.call
        if self.state is not State.OPEN:
            self._settle(call, None, self._closed_error())
            return
        if call.future.done():  # cancelled on its way here
            self._free_slot(call)
            return
        self.in_flight.add(call)
        if call.slot or self._slots.try_take(call.slot):
            self._admit(call)
        else:
            self._backlog[call] = None

    def _admit(self, call: Call) -> None:
        if self._is_agreed:
            self._start(call)
        elif (probe := self._probe.hold_back(call)) is not None:
            self.in_flight.add(probe)
            self._start(probe)

    def _start(self, call: Call) -> None:
        self._function(call.actor).mailbox.put(Invoke(call))

    def _free_slot(self, call: Call) -> None:
        if call.slot:
            self._slots.give(call.slot)
            if self._backlog:
                successor = next(iter(self._backlog))
                if self._slots.try_take(successor.slot):
                    del self._backlog[successor]
                    self._admit(successor)

    def _send(self, call: Call, step: Any) -> None:
        if call.ended:
            return
        if isinstance(step, Request):
            hold = step.hold
            if hold is not None and not call.options.explicit:
                self._extend(call, hold)
        elif isinstance(step, Gather):
            self._gatherings[call] = Gathering(call, step, self.mailbox.put)
            self._gather_more(call)
            return
        elif not isinstance(step, Offload | Pause):
            name = type(step).__name__
            self._deliver_crash(call, TypeError(f"{call.full_name} yielded {name}, which is no step of a recipe"))
            return
        self.transport.run(call, step)

    def _extend(self, call: Call, limit: float) -> None:
        """Let a call, and those that gather it, live for ``limit`` seconds from now."""
        alive: Call | None = call
        while alive is not None:
            self.in_flight.extend(alive, limit)
            alive = alive.parent

    def _progressed(self, call: Call) -> None:
        """A transfer gets on: a deadline that nobody asked for counts from now, that of whoever gathers it too."""
        alive: Call | None = call
        while alive is not None:
            limit = alive.options.deadline
            if limit is not None and not alive.options.fixed:
                self.in_flight.extend(alive, limit)
            alive = alive.parent

    def _deliver_crash(self, call: Call, error: BaseException) -> None:
        self.mailbox.put(Crashed(call.actor, call, error))

    def deliver(self, call: Call, answer: Any, error: BaseException | None) -> None:
        """The transport's way back: to the function actor."""
        if not call.ended:
            self._function(call.actor).mailbox.put(Received(call, answer, error))

    def transport_failed(self, call: Call, error: BaseException) -> None:
        """The transport raised what it should not."""
        self.hub.hand_on(error)
        self._deliver_crash(call, error)

    # -- gathered calls ------------------------------------------------------------------------------------------------

    def _gather_more(self, parent: Call) -> None:
        gathering = self._gatherings[parent]
        try:
            while (child := gathering.next_child()) is not None:
                self.in_flight.add(child)
                self._start(child)
        except Exception as error:  # noqa: BLE001  # of whoever makes the recipes: raised in the one that gathers them
            self._end_gathering(parent)
            self.deliver(parent, None, error)
            return
        if gathering.is_complete:
            del self._gatherings[parent]
            self.deliver(parent, gathering.values, None)

    def _child_ended(self, message: Gathered) -> None:
        parent, child = message.call, message.child
        gathering = self._gatherings.get(parent)
        if gathering is None or child not in gathering.running:
            return
        gathering.ended(child, message.value)
        if message.error is not None:
            self._end_gathering(parent)
            self.deliver(parent, None, message.error)
        else:
            self._progressed(parent)
            self._gather_more(parent)

    def _end_gathering(self, parent: Call) -> None:
        gathering = self._gatherings.pop(parent, None)
        for child in () if gathering is None else list(gathering.running):
            self._give_up(child)

    # -- function actors ----------------------------------------------------------------------------------------------

    def _function(self, name: str) -> FunctionActor:
        actor = self._functions.get(name)
        if actor is None:
            actor = self._functions[name] = FunctionActor.launch(self.hub, name, self.mailbox, OUTCOMES)
        return actor

    def _function_crashed(self, message: Crashed) -> None:
        if message.call is not None:
            self._end(message.call, None, crash_error(message.actor, message.error))
        if self.state is State.ENDED:
            return
        if isinstance(message.error, KeyboardInterrupt | Interrupted):
            return  # Ctrl-C hit it by chance: no fault of the actor's
        if not self._budget.spend():
            self._fail(message.error)
            return
        # A fresh actor takes over; the old one works off what is in its mailbox before it ends.
        old = self._functions.pop(message.actor, None)
        if old is not None:
            self._poison(old)

    def _poison(self, actor: FunctionActor) -> None:
        self._ending.add(actor)
        actor.mailbox.put(POISON_PILL)

    def _actor_ended(self, actor: FunctionActor, unread: Any) -> None:
        self._ending.discard(actor)
        if self._functions.get(actor.name) is actor:
            del self._functions[actor.name]
        if unread.__class__ in (Invoke, Received) and not unread.call.ended:
            self._function(actor.name).mailbox.put(unread)
        self._proceed()

    def crashed(self, message: Any, error: BaseException) -> None:
        """This actor itself failed. The call that it was about ends; without one nothing can be relied on any more."""
        super().crashed(message, error)
        call = getattr(message, "call", None)
        if call is not None and not call.ended:
            self._give_up(call, crash_error("Supervisor", error))
        if not isinstance(error, KeyboardInterrupt) and (call is None or not self._budget.spend()):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._fatal = error
        self._finish()

    # -- ends of calls ------------------------------------------------------------------------------------------------

    def _end(self, call: Call, value: Any, error: BaseException | None) -> None:
        if call.ended:
            return
        if call is self._probe.call:
            self._probed(call, value, error)
            return
        self._settle(call, value, error)

    def _settle(self, call: Call, value: Any, error: BaseException | None) -> None:
        call.ended = True
        if error is not None:
            locate_call(error, call)
            if self.transport.is_strange and isinstance(error, InvalidReply) and error.hint is None:
                error.hint = STRANGER
        self._free_slot(call)
        self.hub.soon(call.future.settle, value, error)
        self.in_flight.remove(call)

    def _give_up(self, call: Call, error: BaseException | None = None) -> None:
        """Stop whatever is under way for a call; ``error`` is None when its future is cancelled already."""
        if call.ended:
            return
        call.ended = True  # first, so that nothing that follows is delivered
        self._probe.forget(call)
        self._backlog.pop(call, None)
        self._end_gathering(call)
        self.transport.abandon(call)
        try:
            call.recipe.close()
        except BaseException as failure:  # noqa: BLE001  # a recipe's own clean-up; the call is over anyway
            self.hub.report(failure, f"{call!r} failed while it was cancelled")
        if error is not None:
            locate_call(error, call)
        self._free_slot(call)
        if error is not None:
            self.hub.soon(call.future.settle, None, error)
        self.in_flight.remove(call)

    def _expired(self, call: Call) -> None:
        if call.ended:  # Ctrl-C interrupted its end
            self._free_slot(call)
            self.in_flight.remove(call)
            return
        if call is self._probe.call:
            self._end(call, None, DeadlineExceeded("the server did not tell its version in time"))
            return
        self._give_up(call, DeadlineExceeded(f"the call took longer than its deadline of {call.options.deadline} s"))

    def known_calls(self) -> list[Call]:
        """Every call that has come here and has not ended, in whatever mailbox it is. For a forked child."""
        actors = [*self._functions.values(), *self._ending]
        messages = [*self.mailbox.messages, *(message for actor in actors for message in actor.mailbox.messages)]
        waiting = [message.call for message in messages if getattr(message, "call", None) is not None]
        return [call for call in dict.fromkeys([*self.in_flight, *waiting]) if not call.ended]

    def disown(self, call: Call) -> None:
        """In a forked child, where nobody will ever run this actor: end a call that the parent goes on with."""
        call.ended = True
        call.future.orphan(SessionClosed("the process was forked while the call was in flight"))

    def died_with(self, message: Any) -> None:
        """A message came after the end: its call is answered all the same. Any thread."""
        call = getattr(message, "call", None)
        if call is None or call.ended:
            return
        call.ended = True
        if message.__class__ is not Cancel:
            call.future.settle(None, self._closed_error())

    def _closed_error(self) -> SessionClosed:
        if self._fatal is None:
            return SessionClosed("the session is closed")
        error = SessionClosed("the session ended itself after too many crashes")
        error.__cause__ = self._fatal
        return error

    # -- version ------------------------------------------------------------------------------------------------------

    def _probed(self, probe: Call, answer: Any, error: BaseException | None) -> None:
        if error is not None:
            self.transport.abandon(probe)
        probe.ended = True
        outcome = self._probe.ended(answer, error)
        if outcome.tells_version is not None:
            self.transport.is_strange = not outcome.tells_version
        if outcome.generation is not None:
            self._speak(outcome.generation)
        for call in outcome.waiting:
            if outcome.error is None:
                self._start(call)
            else:
                self._settle(call, None, for_another_caller(outcome.error))
        self.in_flight.remove(probe)

    def _speak(self, generation: Generation) -> None:
        self._is_agreed = True
        self._server.generation = generation
        self.transport.version = format_api_version(generation.version)

    # -- closing ------------------------------------------------------------------------------------------------------

    def _close(self, timeout: float) -> None:
        if self.state is State.ENDED:
            return
        self.state = State.DRAINING
        end = monotonic() + timeout
        if timeout <= 0:
            self._finish()
        elif end < self._close_at:  # a later close may shorten the time, not lengthen it
            self._close_at = end
            if self._close_timer is not None:
                self._close_timer.cancel()
            self._close_timer = self.hub.later(timeout, self._finish)
            self._proceed()

    def _proceed(self) -> None:
        """While draining: once no call is left, end the actors; once no actor is left, end the session."""
        if self.state is not State.DRAINING or len(self.in_flight):
            return
        while self._functions:
            self._poison(self._functions.popitem()[1])
        if not self._ending:
            self._finish()

    def _finish(self) -> None:
        """End the session: answer for every call, then let the runtime take everything down."""
        if self.state is State.ENDED:
            return
        self.state = State.ENDED
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self.transport.stop()
        for call in self.in_flight:
            self._give_up(call, self._closed_error())
        self.in_flight.close()
        for actor in (*self._functions.values(), *self._ending, self):
            _stop(actor)
        self._ended()

    def on_stop(self) -> None:
        """Pykka's hook: somebody stopped this actor from outside; nobody may be left waiting."""
        self._finish()


def _stop(actor: TurnActor) -> None:
    """Stop an actor that somebody may have stopped already."""
    if not actor.actor_stopped.is_set():
        actor.stop()
