"""The function actor: runs the recipes of one function proxy, any number of them at once."""

from __future__ import annotations

from typing import Any

from ai.backend.client.actors.call import Call
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.messages import POISON_PILL, Crashed, Ended, Finished, Invoke, Received, Send
from ai.backend.client.actors.turn import Mailbox, TurnActor


class FunctionActor(TurnActor):
    """Runs a recipe up to its next step, hands the step to the supervisor, and resumes the recipe with the answer.

    It keeps nothing of a call between two messages (a suspended recipe travels in its call), so a fresh actor can take
    over at any time. It ends behind a poison pill, with everything done that was in its mailbox before.

    Args:
        hub: Where it lives.
        name: The function proxy's name.
        supervisor: The supervisor's mailbox.
        outcomes: Errors that are a call's outcome, not a crash, whenever a recipe raises them.
    """

    def __init__(self, hub: Hub, name: str, supervisor: Mailbox, outcomes: tuple[type[BaseException], ...]) -> None:
        super().__init__(hub)
        self.name = name
        self._supervisor = supervisor
        self._outcomes = outcomes

    def receive(self, message: Any) -> None:
        """Handle one message."""
        kind = message.__class__
        if kind is Received:
            self._advance(*message)
        elif kind is Invoke:
            self._advance(message.call, None, None)
        elif message is POISON_PILL:
            self.stop()

    def on_stop(self) -> None:
        """Pykka's hook, the actor's last act, whoever ended it."""
        self._supervisor.put(Ended(self))

    def _advance(self, call: Call, answer: Any, error: BaseException | None) -> None:
        if call.ended:
            return
        recipe = call.recipe
        first = call.step is None
        try:
            step = recipe.send(answer) if error is None else recipe.throw(error)
        except StopIteration as stop:
            self._supervisor.put(Finished(call, stop.value, None))
        except self._outcomes as outcome:
            self._supervisor.put(Finished(call, None, outcome))
        except (ValueError, TypeError, OSError) as refusal:
            if not first:
                raise
            # Bad input, refused before anything was sent: the caller's own mistake, as it stands.
            self._supervisor.put(Finished(call, None, refusal))
        else:
            call.step = step
            self._supervisor.put(Send(call, step))

    def crashed(self, message: Any, error: BaseException) -> None:
        """Tell the supervisor, which answers the caller and replaces this actor."""
        self.hub.hand_on(error)
        self._supervisor.put(Crashed(self.name, getattr(message, "call", None), error))
        if message is POISON_PILL:  # an interrupt hit it: taken all the same
            self.stop()

    def died_with(self, message: Any) -> None:
        """Hand the message back: to a fresh actor it means the same."""
        self._supervisor.put(Ended(self, message))
