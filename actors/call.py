"""A call: what the runtime knows of one invocation of a recipe."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ai.backend.client.actors.originals import monotonic
from ai.backend.client.actors.slots import Hand
from ai.backend.client.actors.steps import Gather

if TYPE_CHECKING:
    from ai.backend.client.actors.future import CallFuture
    from ai.backend.client.actors.hub import Timer
    from ai.backend.client.actors.lanes import Lane
    from ai.backend.client.actors.waiting import WaiterPool


class Options(NamedTuple):
    """Limits of one call.

    Attributes:
        timeout: Seconds that the server may be silent; None: no limit.
        deadline: Seconds for the call as a whole, from submission; None: no limit.
        retries: How many times a failed attempt may be repeated.
        explicit: Whether the caller asked for these limits, so that they hold even where a request asks for more time.
        fixed: Whether the caller asked for the deadline, so that it holds even for a transfer that makes progress.
    """

    timeout: float | None
    deadline: float | None
    retries: int
    explicit: bool = False
    fixed: bool = False


class Owner(Protocol):
    """What a call asks of the runtime that accepted it. Any thread.

    Attributes:
        pid: The process that accepted it.
        waiters: What plain threads that wait for it wait on; None where the system has no eventfd.
        unremarkable: Errors that nobody need look at.
    """

    pid: int
    waiters: WaiterPool | None
    unremarkable: tuple[type[BaseException], ...]

    def abandon(self, call: Call, if_unsent: bool = False) -> None:
        """The call's future was cancelled: give up what is under way, or only what was not sent yet."""

    def run_callbacks(self, function: Callable[[], object]) -> None:
        """Run done-callbacks where users' code belongs."""

    def disown(self, call: Call) -> bool:
        """In a forked child, end the call's future and say True."""
        ...


class Call:
    """One accepted call, from submission to its end. After submission it belongs to the hub.

    Each attribute has one writer; everybody may read. (``tests/unit/test_owners.py`` reads the source to make sure.)

    Attributes:
        owner: The maker's: the runtime that accepted it.
        name: The API function's name.
        actor: Name of the function actor that runs it.
        recipe: The suspended recipe.
        future: What the caller holds.
        options: Its limits.
        accepted: When it was submitted (monotonic seconds).
        slot: The supervisor's: its in-flight slot, if it holds one: see :class:`~ai.backend.client.actors.slots.Slots`.
        deadline: When it must have ended (monotonic seconds), or None.
        ended: Whether its end is decided; what arrives later is dropped.
        parent: The call that gathers this one, if any.
        quiet: Whether nothing is logged about it: a log's handler made it.
        step: The function actor's: the step of the recipe that is under way.
        attempts: The transport's: how many times the current request was sent so far.
        may_have_acted: Whether the server may have acted on an attempt of the current request that failed.
        sent_to: Endpoint of the latest attempt.
        lane: The lane that works on it now.
        timer: The back-off or the pause that it waits for.

    Args:
        owner: See above.
        name: See above.
        actor: See above.
        recipe: Not yet started.
        options: See above.
    """

    OF_THE_MAKER = ("accepted", "actor", "future", "name", "options", "owner", "recipe")
    OF_THE_SUPERVISOR = ("deadline", "ended", "slot")
    OF_THE_FUNCTION_ACTOR = ("step",)
    OF_THE_TRANSPORT = ("attempts", "lane", "may_have_acted", "sent_to", "timer")

    __slots__ = (*OF_THE_MAKER, *OF_THE_SUPERVISOR, *OF_THE_FUNCTION_ACTOR, *OF_THE_TRANSPORT)

    parent: Call | None = None  # on the class: only gathered calls have another
    quiet = False

    def __init__(self, owner: Owner, name: str, actor: str, recipe: Generator[Any, Any, Any], options: Options) -> None:
        self.owner = owner
        self.name = name
        self.actor = actor
        self.recipe = recipe
        self.options = options
        self.future: CallFuture[Any]
        self.accepted = since = monotonic()

        self.slot: Hand = []
        self.deadline: float | None = None if options.deadline is None else since + options.deadline
        self.ended = False

        self.step: Any = None

        self.attempts = 0
        self.may_have_acted = False
        self.sent_to: Any = None
        self.lane: Lane | None = None
        self.timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Call {self.full_name}>"

    @property
    def full_name(self) -> str:
        """``Proxy.function``."""
        return f"{self.actor}.{self.name}"

    @property
    def is_running(self) -> bool:
        """Whether something of it is under way: a lane works on it, or it gathers others."""
        return self.lane is not None or self.step.__class__ is Gather

    def abandon(self) -> None:
        """The future was cancelled: give up what is under way. Any thread."""
        self.owner.abandon(self)

    def abandon_unsent(self) -> None:
        """Give the call up if nothing of it has been sent. Any thread; the hub decides."""
        self.owner.abandon(self, if_unsent=True)

    def is_orphan(self) -> bool:
        """Whether this process was forked from the one that accepted the call; then the call is over here."""
        return self.owner.pid != os.getpid() and self.owner.disown(self)

    def reports(self, error: BaseException) -> bool:
        """Whether to say so when nobody ever looks at this error of the call's."""
        return not isinstance(error, self.owner.unremarkable)

    def run_callbacks(self, function: Callable[[], object]) -> None:
        """Run the future's callbacks where users' code belongs."""
        self.owner.run_callbacks(function)


class QuietCall(Call):
    """A call that a log's handler makes: logging it would go on for ever."""

    __slots__ = ()

    quiet = True


class GatheredCall(Call):
    """A recipe that another call gathers. It has neither slot nor deadline, and ends with that call.

    Args:
        parent: The gathering call.
        recipe: The recipe, not yet started.
    """

    __slots__ = ("parent",)

    def __init__(self, parent: Call, recipe: Generator[Any, Any, Any]) -> None:
        options = parent.options._replace(deadline=None)
        super().__init__(parent.owner, parent.name, parent.actor, recipe, options)
        self.parent = parent
