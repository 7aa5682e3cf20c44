"""Recipes that a call gathers: what runs, and what has come back. Hub side only."""

from __future__ import annotations

from collections.abc import Callable
from types import GeneratorType
from typing import Any

from ai.backend.client.actors.call import Call, GatheredCall
from ai.backend.client.actors.messages import Gathered
from ai.backend.client.actors.steps import Gather


class Gathering:
    """A :class:`~ai.backend.client.actors.steps.Gather` that is under way.

    Args:
        parent: The call that gathers.
        step: What it gathers.
        report: Where the end of a child is reported.

    Attributes:
        running: The children that have not ended, with their places in the results.
        values: What came back so far, in the order of the recipes.
    """

    def __init__(self, parent: Call, step: Gather[Any], report: Callable[[Gathered], object]) -> None:
        self._parent = parent
        self._step = step
        self._report = report
        self._exhausted = False
        self.running: dict[Call, int] = {}
        self.values: list[Any] = []

    @property
    def is_complete(self) -> bool:
        """Whether every recipe has ended."""
        return self._exhausted and not self.running

    def next_child(self) -> Call | None:
        """Make the next child, if one may start now.

        Raises:
            Exception: Whatever the iterable of recipes raises, or it holds something else.
        """
        if self._exhausted or len(self.running) >= self._step.concurrency:
            return None
        try:
            recipe = next(self._step.recipes)
        except StopIteration:
            self._exhausted = True
            return None
        if recipe.__class__ is not GeneratorType:
            raise TypeError(f"{self._parent.full_name} gathers a {type(recipe).__name__}, not a recipe")
        child = GatheredCall(self._parent, recipe)
        child.future = _Report(self._parent, child, self._report)  # type: ignore[assignment]  # all that the runtime asks of it
        self.running[child] = len(self.values)
        self.values.append(None)
        return child

    def ended(self, child: Call, value: Any) -> None:
        """A child has ended with a value."""
        self.values[self.running.pop(child)] = value


class _Report:
    """In place of a future: tells the supervisor how a child ended."""

    def __init__(self, parent: Call, child: Call, report: Callable[[Gathered], object]) -> None:
        self._parent = parent
        self._child = child
        self._report = report

    def settle(self, value: Any, error: BaseException | None) -> None:
        self._report(Gathered(self._parent, self._child, value, error))

    def orphan(self, error: BaseException) -> None:
        """In a forked child: nobody to tell."""
