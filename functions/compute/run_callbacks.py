"""What a run calls of its caller's code: output is handed over, input is asked for, and the caller may have gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ai.backend.client._checks import plain
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.exceptions import BackendClientError, BackendError, InvalidArgument, type_of
from ai.backend.client.functions.base import Gather, Offload, Pause, Recipe

OnOutput = Callable[[str, Any], object]
Prompt = Callable[[str], str]

LOOK_AROUND: Final = 0.1
"""Seconds between two looks whether somebody still waits for what the caller's code answers."""


class Control:
    """How a run is stopped from outside. Any thread.

    Attributes:
        is_stopped: Whether nobody waits for the run any more.
        rest: Makes a recipe that interrupts the code and hears it out, for a run that ended without doing so. None
            before the run has begun.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self.rest: Callable[[], Recipe[None]] | None = None

    def stop(self) -> None:
        """Nobody waits for it."""
        self.is_stopped = True


class Answers:
    """Where input comes from.

    Args:
        inputs: Lines, or a function that is called with the prompt.

    Raises:
        InvalidArgument: It is something else.
    """

    def __init__(self, inputs: Iterable[str] | Prompt | None) -> None:
        if isinstance(inputs, str | bytes) or not (inputs is None or callable(inputs) or isinstance(inputs, Iterable)):
            raise InvalidArgument("inputs", type_of(inputs), "must be a list of lines, or a function")
        self._ask: Prompt | None = inputs if callable(inputs) else None
        self._lines: Iterator[str] = iter(()) if inputs is None or callable(inputs) else iter(inputs)

    def next(self, prompt: str) -> str:
        """The next line. In a native thread."""
        line = self._ask(prompt) if self._ask is not None else next(self._lines, None)
        if line is None:
            raise BackendClientError("the code waits for input, and there is none left; it was interrupted")
        if not isinstance(line, str):
            raise InvalidArgument("inputs", type_of(line), "must give text")
        return plain(line)


def tell(on_output: OnOutput, items: list[tuple[str, Any]]) -> Recipe[None]:
    """Tell of output."""

    def tell_all() -> None:
        for kind, data in items:
            on_output(kind, data)

    yield from _guarded("on_output", tell_all)


def ask(answers: Answers, prompt: str, control: Control, limit: float | None) -> Recipe[str]:
    """Ask for input.

    People may take their time, and some code never answers: it is left alone when nobody waits for its answer any more.

    Args:
        answers: Who answers.
        prompt: What the code wrote last.
        control: Tells whether somebody waits for the run.
        limit: When the run must have ended (monotonic seconds); None: no limit.

    Returns:
        The answer; empty when there is none.
    """
    given: list[str] = []

    def answer() -> Recipe[None]:
        given.append((yield from _guarded("inputs", answers.next, prompt)))

    def watch() -> Recipe[None]:
        while not given:
            if control.is_stopped or (limit is not None and monotonic() > limit):
                raise _NobodyWaits
            yield Pause(LOOK_AROUND)

    try:
        yield Gather((answer(), watch()), 2)
    except _NobodyWaits:
        return ""
    return given[0]


class _NobodyWaits(BackendClientError):
    """Ends the wait for an answer."""


def _guarded(argument: str, function: Callable[..., Any], *args: Any) -> Recipe[Any]:
    """Run code of the user's, off the hub; its errors become the call's."""
    try:
        return (yield Offload(function, *args))
    except GeneratorExit:
        raise
    except BaseException as error:
        if isinstance(error, BackendError) and error.method is None:  # not that of a call which the function made
            raise
        raise BackendClientError(f"{argument} failed: {type(error).__name__}; the code was interrupted") from error
