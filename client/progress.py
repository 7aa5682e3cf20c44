"""Showing progress: a bar on standard error, behind the same call that any listener of yours takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ai.backend.client.exceptions import InvalidArgument

__all__ = ["ProgressBar", "ProgressListener", "listener"]

ProgressListener = Callable[[int, int | None], object]
"""Called with what is done and, if it is known, what there is in all."""


class ProgressBar:
    """A tqdm bar that is told absolute numbers.

    Args:
        title: Text in front of it.
        unit: What is counted, for example ``B``.
        scaled: Show ``k``, ``M`` and so on.
    """

    def __init__(self, title: str = "", unit: str = "it", scaled: bool = False) -> None:
        from tqdm import tqdm  # only who asks for a bar pays for its import

        divisor = 1024 if scaled else 1000
        self._make = partial(tqdm, desc=title or None, unit=unit, unit_scale=scaled, unit_divisor=divisor)
        self._bar: Any = None  # it shows itself when it is made, so that waits for something to show

    def __call__(self, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` is done."""
        if self._bar is None:
            self._bar = self._make(total=total)
        if total is not None and self._bar.total != total:
            self._bar.total = total
            self._bar.refresh()
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


def listener(argument: str, value: object) -> ProgressListener | None:
    """What an argument such as ``progress`` asks for.

    Args:
        argument: Its name.
        value: False or None: nothing; True: a :class:`ProgressBar`; or a callable of yours.

    Raises:
        InvalidArgument: It is none of these.
    """
    if value is None or value is False:
        return None
    if value is True:
        return ProgressBar()
    if callable(value):
        return value
    raise InvalidArgument(argument, value, "must be True, False or a callable")
