"""Native threads of a hub, for what blocks: disk, archives and look-ups.

A thread cannot be ended from outside. What it runs for a call that has ended meanwhile ends itself: it asks now and
then (:func:`check_wanted`), and puts into place only what is still wanted (:func:`commit`).
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import greenlet

from ai.backend.client.actors.originals import ThreadLocal, monotonic, start_new_thread, thread_sleep

if TYPE_CHECKING:
    from ai.backend.client.actors.hub import Hub

T = TypeVar("T")

LIMIT = 16
"""Native threads of one hub, at most. They end when there is nothing to do."""

COMMIT_LIMIT = 1.0
"""Seconds that the end of a hub waits for what is just being put into place: a disk answers sooner, or not at all."""


class Abandoned(BaseException):
    """Ends the work on a call that has ended: thrown into its lane, and raised in a native thread that works for it.

    Not an ``Exception``, so that no library on the way swallows it.
    """


class Errand(Protocol):
    """What a native thread does for a lane."""

    @property
    def hub(self) -> Hub:
        """Where the lane lives."""

    @property
    def is_wanted(self) -> bool:
        """Whether the lane still waits for it."""


_here: Any = ThreadLocal()


def begin(errand: Errand | None) -> None:
    """Note what this thread does from now on."""
    _here.errand = errand


def _errand() -> Errand | None:
    return getattr(_here, "errand", None)


def check_wanted() -> None:
    """In a native thread: end here if nobody waits for the outcome any more.

    Raises:
        Abandoned: Nobody does. In a thread that is none of the runtime's: never.
    """
    errand = _errand()
    if errand is not None and not errand.is_wanted:
        raise Abandoned


@contextmanager
def commit() -> Iterator[None]:
    """In a native thread, around a short step whose effect stays, as when a file takes its name.

    No such step begins for a call that has ended, and none is under way when ``close()`` has returned.

    Raises:
        Abandoned: As :func:`check_wanted`.
    """
    errand = _errand()
    if errand is None:
        yield
        return
    commits = errand.hub.native.commits
    commits.add(errand)  # first this, then the look: who ends the call looks in the other order
    try:
        check_wanted()
        yield
    finally:
        commits.discard(errand)


class NativeThreads:
    """Runs functions in native threads while lanes wait for them.

    Args:
        hub: Where the lanes live.

    Attributes:
        commits: What is putting something into place at the moment.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.commits: set[Errand] = set()
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

    def let_commit(self) -> None:
        """At the end of the hub, when no lane is left: wait for those who are at it."""
        end = monotonic() + COMMIT_LIMIT
        while self.commits and monotonic() < end:
            thread_sleep(0.001)

    def _work_off_jobs(self) -> None:
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                break
            begin(job)
            job.work()
            begin(None)
            del job
        self._hub.call(self._worker_ended)

    def _worker_ended(self) -> None:
        self._workers -= 1
        if self._jobs and not self._hub.stopped:
            self._workers += 1
            start_new_thread(self._work_off_jobs, ())


class _Job(Generic[T]):
    """A function on its way through a native thread, and the lane that waits for it."""

    def __init__(self, hub: Hub, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.hub = hub
        self._function = function
        self._args = args
        self._lane: Any = greenlet.getcurrent()
        self._value: Any = None
        self._error: BaseException | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the lane still waits."""
        return self._lane is not None

    def wait(self) -> T:
        """On the lane."""
        try:
            self.hub.park()
        finally:
            self._lane = None  # an abandoned lane is not resumed
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def work(self) -> None:
        """In the native thread."""
        if self.is_wanted:
            try:
                self._value = self._function(*self._args)
            except BaseException as error:
                self._error = error
            self.hub.call(self._resume)

    def _resume(self) -> None:
        lane = self._lane
        if lane is not None and not self.hub.stopped:
            lane.switch()
