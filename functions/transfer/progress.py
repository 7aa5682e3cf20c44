"""Reporting how far a transfer is, on the session's callback worker."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ai.backend.client.actors.originals import allocate_lock
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import Offload, Recipe
from ai.backend.client.progress import ProgressBar

T = TypeVar("T")

ProgressHook = Callable[[str, int, int | None], object]
"""Called with a file, its bytes that have been moved, and its size (None while it is not known)."""

RunCallback = Callable[[Callable[[], object]], object]

DRAWING_LIMIT = 1.0
"""Seconds that the end of a call waits for a drawing of the bar to end: the terminal may have been stopped."""


def progress_hook(value: ProgressHook | None) -> ProgressHook | None:
    """Check the argument ``on_progress``.

    Raises:
        InvalidArgument: It is no callable, or a coroutine function, which would not be awaited.
    """
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise InvalidArgument("on_progress", value, "must be an ordinary callable")
    return value


class Meter:
    """All files of a call. Hub side only, but for what it hands to the callback worker.

    Args:
        hook: The caller's hook, if any.
        bar: A bar for all files together, if any.
    """

    def __init__(self, hook: ProgressHook | None, bar: ProgressBar | None) -> None:
        self._hook = hook
        self._bar = bar
        self._run: RunCallback | None = None
        self._done = 0
        self._total = 0
        self._is_total_fixed = False
        self._is_bar_due = False
        self._drawing = allocate_lock()  # the bar is drawn by the callback worker, and at the end by a native thread

    def fix_total(self, total: int) -> None:
        """So many bytes there are in all files together."""
        self._total, self._is_total_fixed = total, True

    def file(self, name: str, total: int | None) -> FileProgress:
        """One more file."""
        progress = FileProgress(self, name)
        progress.expect(total)
        return progress

    def expect(self, more: int) -> None:
        """There is more to move than was known."""
        if not self._is_total_fixed:
            self._total += more

    def report(self, progress: FileProgress, more: int, run: RunCallback) -> None:
        """``more`` bytes of a file have moved; a negative number when it starts over."""
        self._run = run
        self._done += more
        if self._hook is not None:
            progress.report(self._hook, run)
        if self._bar is not None and not self._is_bar_due:
            self._is_bar_due = True
            run(self._show)

    def _show(self) -> None:
        self._is_bar_due = False
        # The worker may be a greenlet, which must not wait; and who has the lock draws the latest numbers anyway.
        if self._bar is not None and self._drawing.acquire(blocking=False):
            try:
                self._bar(self._done, self._total)
            finally:
                self._drawing.release()

    def abandon(self) -> None:
        """Leave the bar as it stands, from the hub: the call was cancelled."""
        if self._bar is not None and self._run is not None:
            self._run(self._bar.close)

    def finish(self) -> None:
        """Leave the bar, with the latest numbers. In a native thread."""
        if self._bar is not None and self._drawing.acquire(timeout=DRAWING_LIMIT):  # for good: it is drawn no more
            self._bar(self._done, self._total)
            self._bar.close()


def with_meter(show: bool, hook: ProgressHook | None, title: str, call: Callable[[Meter], Recipe[T]]) -> Recipe[T]:
    """The recipe of a call, whose progress is shown until its end, whatever that is.

    Args:
        show: Whether there is a bar.
        hook: The caller's hook, if any.
        title: What the bar is called.
        call: Makes the recipe.
    """
    if not show:
        return (yield from call(Meter(hook, None)))
    meter = Meter(hook, (yield Offload(ProgressBar, title, "B", True)))
    try:
        value = yield from call(meter)
    except GeneratorExit:
        meter.abandon()
        raise
    except BaseException:
        yield Offload(meter.finish)
        raise
    yield Offload(meter.finish)
    return value


class FileProgress:
    """One file.

    Args:
        meter: All files.
        name: What the hook is called with.
    """

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter = meter
        self._name = name
        self._done = 0
        self._total: int | None = None
        self._base = 0
        self._is_due = False

    def expect(self, total: int | None) -> None:
        """So many bytes there are."""
        if total is not None and total != self._total:
            self._meter.expect(total - (self._total or 0))
            self._total = total

    def at(self, base: int) -> Callable[[int, RunCallback], object]:
        """What the next request is to call; it begins at ``base``."""
        self._base = base
        return self._moved

    def _moved(self, count: int, run: RunCallback) -> None:
        more = self._base + count - self._done
        self._done += more
        self._meter.report(self, more, run)

    def report(self, hook: ProgressHook, run: RunCallback) -> None:
        """Have the hook called, unless that is to come anyway: a slow one gets fewer calls, not a growing queue."""
        if not self._is_due:
            self._is_due = True
            run(lambda: self._call(hook))

    def _call(self, hook: Callable[..., Any]) -> None:
        self._is_due = False  # first: what comes from now on is reported again
        hook(self._name, self._done, self._total)
