"""The way of a stream's items from the hub to whoever reads them: bounded, and the same on every runtime.

The hub puts, in a greenlet that waits while the channel is full; readers take, and get a future each. What ends a wait
(a timeout, a cancelled task, Ctrl-C) never loses an item: one that arrived at the same moment goes back to its place.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import greenlet

from ai.backend.client.actors.call import Call, Owner
from ai.backend.client.actors.future import CANCELLED, CallFuture
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.originals import reentrant_lock

T = TypeVar("T")
V = TypeVar("V")

BYTES = 1 << 18
"""Bytes that may wait in a channel; the item that goes beyond is let in."""

ITEMS = 1024
"""Items that may wait in a channel, however small they are."""


class StreamCall:
    """Stands where a future has its call, when what it waits for belongs to a stream.

    Args:
        owner: The runtime.
        withdraw: Called when the future is cancelled, on whatever thread that happens.
        call: The call that it follows, if it does.
    """

    __slots__ = ("_call", "_withdraw", "ended", "future", "owner")

    lane = None
    is_running = False  # of a call it tells that a request is under way

    def __init__(self, owner: Owner, withdraw: Callable[[], object], call: Call | None = None) -> None:
        self._call = call
        self.owner = owner
        self.ended = False
        self._withdraw = withdraw
        self.future: CallFuture[Any]

    @property
    def full_name(self) -> str:
        """The call's, or what stands for it."""
        return "a stream" if self._call is None else self._call.full_name

    def reports(self, error: BaseException) -> bool:
        """As a call does; a stream tells its errors to whoever uses it next."""
        return self._call is not None and self._call.reports(error)

    def abandon(self) -> None:
        """The future was cancelled. Any thread."""
        self._withdraw()

    def abandon_unsent(self) -> None:
        """Nothing to do: a stream that is asked for something goes on, whoever followed it."""

    def is_orphan(self) -> bool:
        """Whether this process was forked from the one that the stream lives in; then the future is over here."""
        return self.owner.pid != os.getpid() and self.owner.disown(self)  # type: ignore[arg-type]  # all it needs is here

    def run_callbacks(self, function: Callable[[], object]) -> None:
        """Run the future's callbacks where users' code belongs: in the process that the stream lives in."""
        if self.owner.pid == os.getpid():
            self.owner.run_callbacks(function)


def stream_future(owner: Owner, withdraw: Callable[[], object], call: Call | None = None) -> CallFuture[Any]:
    """A future for something that a stream does.

    Args:
        owner: The runtime.
        withdraw: Called when the future is cancelled.
        call: The call that it follows, if it does.
    """
    stream_call = StreamCall(owner, withdraw, call)
    future: CallFuture[Any] = CallFuture(stream_call)  # type: ignore[arg-type]  # it has what a future asks of a call
    stream_call.future = future
    return future


def following(inner: CallFuture[T], withdraw: Callable[[], object]) -> CallFuture[T]:
    """A future with the outcome of another, whose call goes on when this one is cancelled, if something of it was sent.

    Args:
        inner: The other one.
        withdraw: Called when the new future is cancelled.
    """
    call = inner._call
    if call is None:  # it has ended already
        return inner

    def give_up() -> None:
        withdraw()
        call.abandon_unsent()

    outer: CallFuture[T] = stream_future(call.owner, give_up, call)

    def settled() -> None:
        if inner.cancelled():
            outer.cancel()
        else:
            outer.settle(inner._result, inner.exception(0))

    inner.on_settled(settled)
    return outer


class Take(CallFuture[V]):
    """The next item, for one reader.

    An item that came just when the reader gave up goes back to the channel, unless somebody has seen it.
    """

    _claim: object = None

    def __init__(self, channel: Channel[Any], read: Callable[[Any], V]) -> None:
        call = StreamCall(channel.owner, channel._withdrawn)
        super().__init__(call)  # type: ignore[arg-type]  # see stream_future
        call.future = self
        self._channel = channel
        self._read = read

    def result(self, timeout: float | None = None) -> V:
        """The item, as its reader wants it. See :meth:`CallFuture.result`."""
        item: Any = super().result(timeout)
        if self.claim(_SEEN) is not _SEEN:
            raise concurrent.futures.CancelledError
        return self._read(item)

    def cancel(self) -> bool:
        """Give up; False when an item has been seen already."""
        if super().cancel():
            return True
        _, item, error = self._outcome  # type: ignore[misc]  # set
        return error is None and self._channel._give_back(self, item)

    def claim(self, claim: object) -> object:
        """Claim the item, for whoever reads it or for the channel; returns the claim that was first."""
        return self._first("_claim", claim)

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return super().cancelled() or self._claim not in (None, _SEEN)


_SEEN = object()
"""Claim of a reader on the item of its future; any other claim is that of a cancellation."""


def _as_it_is(item: Any) -> Any:
    return item


class Channel(Generic[T]):
    """A bounded queue from the hub to readers of any kind.

    Args:
        hub: The hub that puts.
        owner: The runtime, for the readers' futures.
        size_of: Bytes that an item takes.
    """

    def __init__(self, hub: Hub, owner: Owner, size_of: Callable[[T], int]) -> None:
        self._hub = hub
        self.owner = owner
        self._size_of = size_of
        # Readers among themselves. The hub never takes it: a reader may be stopped while it holds it, by a signal
        # handler that waits for the hub.
        self._lock = reentrant_lock()
        self._items: collections.deque[T] = collections.deque()
        self._takes: collections.deque[Take[Any]] = collections.deque()
        self._bytes_put = 0  # by the hub, less what it has handed to readers that waited
        self._bytes_taken = 0  # by readers, with the lock
        self._end: BaseException | None = None
        self._closed = False
        self._matching = False  # the hub may have an item in its hand that goes back to its place
        self._producer: Any = None  # while it waits

    # -- on the hub ---------------------------------------------------------------------------------------------------

    def put(self, item: T) -> bool:
        """Hand an item over, and wait while the channel is full. In a greenlet.

        Returns:
            False when nobody will read it: the channel has ended.
        """
        if self._end is not None:
            return False
        size = self._size_of(item)
        self._bytes_put += size
        self._items.append(item)
        self._match_soon()
        while self._is_full():
            self._producer = greenlet.getcurrent()
            try:
                if self._is_full():  # a reader may have come before it could see the producer
                    self._hub.park()
            finally:
                self._producer = None
        return self._end is None

    def finish(self, error: BaseException) -> None:
        """There is no more: readers get what is left, and then the error, each time they ask."""
        if self._end is None:
            self._end = error
        self._match_soon()

    def _match_soon(self) -> None:
        if self._takes:
            self._hub.soon(self._match)

    def _match(self) -> None:
        """Serve the waiting readers in the order in which they came. At the end of a turn, so that all wake at once."""
        self._matching = True  # before it looks at the line
        try:
            while self._serve_first():
                pass
        except BaseException:  # an interrupt: the rest must not wait for ever
            self._hub.call(self._match_soon)
            raise
        finally:
            self._matching = False
        self._make_room()

    def _serve_first(self) -> bool:
        takes, items = self._takes, self._items
        if not takes:
            return False
        take = takes[0]  # it stays in line meanwhile, so that no reader overtakes it
        if not items:
            if self._end is None:
                return False
            take.settle(None, self._end)
        else:
            item = items.popleft()
            if take.settle(item, None):
                size = self._size_of(item)
                self._bytes_put -= size
            elif not self._closed:
                items.appendleft(item)
        # Readers only append; one that is cancelled may have replaced the line, and then we come by here once more.
        if takes[0] is take:
            takes.popleft()
        return True

    def _resume(self) -> None:
        producer = self._producer
        if producer is not None and not self._is_full() and not self._hub.stopped:
            producer.switch()

    # -- any thread ---------------------------------------------------------------------------------------------------

    def take(self, read: Callable[[T], V] = _as_it_is) -> Take[V]:
        """The next item.

        Args:
            read: Applied to the item by whoever looks at the future's result.

        Returns:
            Its future. Cancelling it loses no item.
        """
        take = Take(self, read)
        item: Any = None
        with self._lock:
            error = self._end  # first: what comes before it is there by then
            if self._takes or self._matching or not (self._items or error is not None):
                self._takes.append(take)
                if self._items or self._end is not None:  # it came before the hub could see the reader
                    self._hub.call(self._match_soon)
                return take
            if self._items:
                error = None
                item = self._items.popleft()  # the hub takes none while no reader waits
                size = self._size_of(item)
                self._bytes_taken += size
        take.settle(item, error)
        self._make_room()
        return take

    def close(self, error: BaseException) -> None:
        """Drop what waits, and end: readers get the error at once."""
        self._end = error
        self._closed = True
        self._items.clear()
        self._hub.call(self._match_soon)
        self._make_room()

    def disown(self, error: BaseException) -> None:
        """In a forked child: tell readers that there is no more, without a lock whose owner does not exist here."""
        self._lock = reentrant_lock()
        self._end = error
        self._closed = True
        takes, self._takes = self._takes, collections.deque()
        for take in takes:
            take.orphan(error)

    def _is_full(self) -> bool:
        return self._end is None and (self._bytes > BYTES or len(self._items) > ITEMS)

    @property
    def _bytes(self) -> int:
        return self._bytes_put - self._bytes_taken

    def _make_room(self) -> None:
        if self._producer is not None and (
            self._end is not None or (self._bytes <= BYTES // 2 and len(self._items) <= ITEMS // 2)
        ):
            self._hub.call(self._resume)

    def _withdrawn(self) -> None:
        """A reader gave up: forget the futures that are over."""
        if self._lock.acquire(False):  # otherwise they are passed over later
            try:
                self._takes = collections.deque(take for take in self._takes if take._state != CANCELLED)
            finally:
                self._lock.release()

    def _give_back(self, take: Take[Any], item: T) -> bool:
        """A reader gave up after its item had come. Returns False when it has seen the item already."""
        claim = object()
        with self._lock:  # around both, so that no reader finds the item gone and not yet back
            first = take.claim(claim)
            if first is claim and not self._closed:
                self._items.appendleft(item)
                size = self._size_of(item)
                self._bytes_taken -= size
        if first is claim:
            self._hub.call(self._match_soon)
        return first is not _SEEN
