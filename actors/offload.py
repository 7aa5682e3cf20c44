"""Native threads of a hub, for what blocks: disk, archives and look-ups."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import greenlet

from ai.backend.client.actors.originals import start_new_thread

if TYPE_CHECKING:
    from ai.backend.client.actors.hub import Hub

T = TypeVar("T")

LIMIT = 16
"""Native threads of one hub, at most. They end when there is nothing to do."""


class NativeThreads:
    """Runs functions in native threads while lanes wait for them.

    Args:
        hub: Where the lanes live.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._jobs: collections.deque[_Job[Any]] = collections.deque()
        self._workers = 0

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a native thread and wait for it, on a lane.

        A lane that is abandoned does not wait any longer, nor does the end of the hub: the thread is a daemon.
        """
        job = _Job(self._hub, function, args)
        self._jobs.append(job)
        if self._workers < LIMIT:
            self._workers += 1
            try:
                start_new_thread(self._work_off_jobs, ())
            except RuntimeError:  # there are too many threads: those that run already come to it, if there are any
                self._workers -= 1
                if not self._workers:
                    self._jobs.remove(job)
                    raise
        return job.wait()

    def _work_off_jobs(self) -> None:
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                break
            job.work()
        self._hub.call(self._worker_ended)

    def _worker_ended(self) -> None:
        self._workers -= 1
        if self._jobs and not self._hub.stopped:
            self._workers += 1
            start_new_thread(self._work_off_jobs, ())


class _Job(Generic[T]):
    """A function on its way through a native thread, and the lane that waits for it."""

    def __init__(self, hub: Hub, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._hub = hub
        self._function = function
        self._args = args
        self._lane: Any = greenlet.getcurrent()
        self._value: Any = None
        self._error: BaseException | None = None

    def wait(self) -> T:
        """On the lane."""
        try:
            self._hub.park()
        finally:
            self._lane = None  # an abandoned lane is not resumed
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def work(self) -> None:
        """In the native thread."""
        if self._lane is not None:
            try:
                self._value = self._function(*self._args)
            except BaseException as error:
                self._error = error
            self._hub.call(self._resume)

    def _resume(self) -> None:
        lane = self._lane
        if lane is not None and not self._hub.stopped:
            lane.switch()
