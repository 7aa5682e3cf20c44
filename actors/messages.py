"""What the actors of a session say to each other. ``repr`` shows no arguments: logs must not leak them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ai.backend.client.actors.call import Call

if TYPE_CHECKING:
    from ai.backend.client.actors.function import FunctionActor


class Invoke(NamedTuple):
    """Facade → supervisor → function actor: run this call."""

    call: Call


class Send(NamedTuple):
    """Function actor → supervisor: the recipe wants this step done."""

    call: Call
    step: Any

    def __repr__(self) -> str:
        return f"Send({self.call!r})"


class Received(NamedTuple):
    """Lane → function actor: the step's answer, or its error."""

    call: Call
    answer: Any
    error: BaseException | None

    def __repr__(self) -> str:
        return f"Received({self.call!r})"


class Finished(NamedTuple):
    """Function actor → supervisor: the recipe has returned, or has raised an error that is the call's outcome."""

    call: Call
    value: Any
    error: BaseException | None

    def __repr__(self) -> str:
        return f"Finished({self.call!r})"


class Gathered(NamedTuple):
    """Supervisor → itself: a recipe that ``call`` gathers has ended."""

    call: Call
    child: Call
    value: Any
    error: BaseException | None

    def __repr__(self) -> str:
        return f"Gathered({self.call!r})"


class Crashed(NamedTuple):
    """Function actor → supervisor: the handler failed in a way that no recipe should."""

    actor: str
    call: Call | None
    error: BaseException

    def __repr__(self) -> str:
        return f"Crashed({self.actor}, {self.call!r}, {type(self.error).__name__})"


class Cancel(NamedTuple):
    """Future → supervisor: the caller gave the call up.

    Attributes:
        call: The call.
        if_unsent: Only if nothing of it has been sent; otherwise it goes on.
    """

    call: Call
    if_unsent: bool = False


class PoisonPill:
    """Supervisor → function actor, behind all that it was given: end yourself, and answer with :class:`Ended`."""

    __slots__ = ()


class Ended(NamedTuple):
    """Function actor → supervisor, its last act: it has taken the pill, or somebody has stopped it from outside.

    Its mailbox answers whatever comes later in the same way, and hands the message back.
    """

    actor: FunctionActor
    unread: Any = None

    def __repr__(self) -> str:
        return f"Ended({self.actor.name}, {self.unread!r})"


class Close(NamedTuple):
    """Facade → supervisor: accept nothing more, drain for at most ``timeout`` seconds, then end."""

    timeout: float


POISON_PILL = PoisonPill()
