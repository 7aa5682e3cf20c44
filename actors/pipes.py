"""Bytes on their way between a lane and a native thread: for what is too large to be held, and blocks at its other end.

The thread belongs to the pipe, not to the hub's workers, so that slow transfers never hold up look-ups. Each side waits
while the pipe is full or empty: the lane by giving the hub back, the thread on a lock. Whoever works on the lane must
call :meth:`Pipe.abandon` when it leaves early; the thread's function is then ended by :class:`Abandoned` where it
waits, so that its own ``with`` blocks clean up, in its own thread.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

import greenlet

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.offload import Abandoned, begin
from ai.backend.client.actors.originals import allocate_lock, start_new_thread

LOOK_AROUND = 30.0
"""Seconds after which a waiting thread looks whether its hub still runs. The lane tells it when it leaves; this is for
a hub that ended without that."""


class Pipe:
    """What both directions have in common.

    Args:
        hub: Where the lane lives.
        limit: Bytes that may wait in the pipe; one piece more is let in.
    """

    def __init__(self, hub: Hub, limit: int) -> None:
        self.hub = hub
        self._limit = limit
        self._pieces: collections.deque[bytes] = collections.deque()
        # Each is written by one side only.
        self._bytes_in = 0
        self._bytes_out = 0
        self._news = allocate_lock()  # free: the thread should look again
        self._news.acquire()
        self._lane: Any = None  # while it waits
        self._abandoned = False
        self._ended = False  # the thread's function has
        self._value: Any = None
        self._error: BaseException | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the lane is still at its end."""
        return not self._abandoned

    @property
    def _is_full(self) -> bool:
        return self._bytes_in - self._bytes_out >= self._limit

    # -- on the lane --------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Let go: the thread's function is ended when it next waits. Does not wait for that; may be repeated."""
        self._abandoned = True
        self._tell_thread()

    def _tell_thread(self) -> None:
        if self._news.locked():
            self._news.release()

    def _wait(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._lane = greenlet.getcurrent()
            try:
                if not ready():  # the thread may have acted before it could see the lane
                    self.hub.park()
            finally:
                self._lane = None

    def _has_ended(self) -> bool:
        return self._ended

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _start(self, function: Callable[..., Any], *args: Any) -> None:
        start_new_thread(self._run, (function, args))

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        begin(self)
        try:
            self._value = function(*args)
        except BaseException as error:
            self._error = error
        finally:
            self._ended = True
            self._wake()

    def _wake(self) -> None:
        if self._lane is not None:
            self.hub.call(self._resume)

    def _resume(self) -> None:
        """On the hub, perhaps later than the lane's own look."""
        lane = self._lane
        if lane is not None and not self.hub.stopped:
            lane.switch()

    def _sleep(self) -> None:
        """Until the lane has news."""
        if not self._news.acquire(True, LOOK_AROUND) and self.hub.stopped:
            self._abandoned = True
        if self._abandoned:
            raise Abandoned


class ToThread(Pipe):
    """From a lane to a function in a native thread, which gets an iterator of the pieces.

    On the lane: :meth:`start`, :meth:`put` and :meth:`finish`, or :meth:`abandon`.
    """

    def __init__(self, hub: Hub, limit: int) -> None:
        super().__init__(hub, limit)
        self._complete = False
        self._failure: BaseException | None = None

    def start(self, function: Callable[[Iterator[bytes]], Any]) -> None:
        """Run the function in a thread of its own."""
        self._start(function, self._take())

    def put(self, piece: bytes) -> bool:
        """Hand over a piece, when there is room for it.

        Returns:
            False: the function has ended and takes no more.
        """
        if self._is_full:
            self._wait(self._has_room)
        if self._ended:
            return False
        self._pieces.append(piece)
        self._bytes_in += len(piece)
        self._tell_thread()
        return True

    def finish(self, failure: BaseException | None = None) -> tuple[Any, BaseException | None]:
        """There is no more: wait for the function's end.

        Args:
            failure: Why there is no more; it is raised by the iterator, behind the last piece.

        Returns:
            The function's value and its error.
        """
        self._failure = failure
        self._complete = True
        self._tell_thread()
        self._wait(self._has_ended)
        return self._value, self._error

    def _has_room(self) -> bool:
        return self._ended or not self._is_full

    def _take(self) -> Iterator[bytes]:
        """In the thread: all that is there at once, since each piece may be small."""
        while True:
            complete = self._complete  # first: what comes before it is in the queue by then
            if self._pieces:
                taken = []
                while self._pieces:
                    taken.append(self._pieces.popleft())
                data = taken[0] if len(taken) == 1 else b"".join(taken)
                del taken
                self._bytes_out += len(data)
                self._wake()
                yield data
                del data
            elif complete:
                if self._failure is not None:
                    raise self._failure
                return
            else:
                self._sleep()
            if self._abandoned:
                raise Abandoned


class FromThread(Pipe):
    """From a generator in a native thread to a lane, which iterates over the pieces and must :meth:`abandon` the pipe.

    The generator's error is raised on the lane, behind the last piece.

    Args:
        hub: Where the lane lives.
        limit: Bytes that may wait in the pipe; one piece more is let in.
        pieces: The generator, not yet started.
    """

    def __init__(self, hub: Hub, limit: int, pieces: Generator[bytes, None, None]) -> None:
        super().__init__(hub, limit)
        self._start(self._pump, pieces)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._wait(self._has_news)
            if self._pieces:
                piece = self._pieces.popleft()
                self._bytes_out += len(piece)
                self._tell_thread()
                yield piece
                del piece
            elif self._error is not None:
                raise self._error
            else:
                return

    def _has_news(self) -> bool:
        return bool(self._pieces) or self._ended

    def _pump(self, pieces: Generator[bytes, None, None]) -> None:
        with contextlib.closing(pieces):
            for piece in pieces:
                while self._is_full and not self._abandoned:
                    self._sleep()
                if self._abandoned:
                    raise Abandoned
                self._pieces.append(piece)
                self._bytes_in += len(piece)
                self._wake()
