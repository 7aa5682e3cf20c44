"""How a thread or a greenlet waits for something that another thread brings about, without blocking its neighbours.

:func:`waiter` looks at who is asking: a plain thread waits on an ``eventfd`` or a queue, a greenlet gives its hub back.
That holds in patched and in unpatched processes, because what counts is whether the thread has a gevent hub, not what
was patched.

A wake-up may come twice, and late: whoever waits looks again at what it waits for. None needs a lock, because whoever
holds one may be stopped by a signal handler that waits itself.
"""

from __future__ import annotations

import asyncio
import collections
import errno
import os
import select
import threading
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import gevent.monkey
from gevent._hub_local import get_hub_if_exists  # there is no public way to ask without making a hub
from gevent.hub import Waiter as _GeventWaiter

from ai.backend.client.actors.originals import Empty, SimpleQueue, get_ident

_EXPIRED = object()

_new_poll: Any = gevent.monkey.get_original("select", "poll")

LONGEST_POLL = 2**31 - 1
"""Milliseconds that one ``poll`` may wait: an int in C. Who waits longer looks again."""

EVENTFD_SIZE = 8
"""Bytes of an eventfd's counter."""

HAS_EVENTFD = hasattr(os, "eventfd")

NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Why there may be no eventfd at the moment."""


class CannotWait(RuntimeError):
    """The calling code runs on a hub, where a wait would stop everything that it waits for."""

    def __init__(self) -> None:
        super().__init__(
            "this code runs on the session's own hub (as __del__, weakref callbacks and event handlers may), where "
            "waiting would stop everything: start the call with submit() and look at its future later or use "
            "add_done_callback(), or make the call in a thread"
        )


class ThreadWaiter:
    """Waits on a queue of its own."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue = SimpleQueue[None]()

    def wake(self) -> None:
        """End the wait, or the next one. Any thread."""
        self._queue.put(None)

    def wait(self, timeout: float | None) -> bool:
        """Wait.

        Returns:
            False when ``timeout`` seconds went by first.
        """
        try:
            self._queue.get(True, None if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX))
        except Empty:
            return False
        return True


class EventfdWaiter:
    """What a plain thread waits on where there is ``eventfd`` (Linux); it is written with the interpreter lock free.

    A lock is released with the interpreter lock held, so that the woken thread bounces off that and sleeps again. An
    eventfd halves the context switches of a lone blocking caller and saves 9 % of its CPU (``tools/bench/spine``).

    The descriptor lives as long as the object: a late wake-up holds that, and so never reaches a descriptor that was
    closed and given out again.
    """

    __slots__ = ("__weakref__", "_fd", "_pid", "_poll")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._fd).atexit = False
        poll = _new_poll()
        poll.register(self._fd, select.POLLIN)
        self._poll = poll.poll

    def wake(self) -> None:
        """End the wait, or the next one. Any thread."""
        if self._pid == os.getpid():  # a forked child shares the descriptor: it would wake the parent's thread
            os.eventfd_write(self._fd, 1)

    def wait(self, timeout: float | None) -> bool:
        """Wait; False when ``timeout`` seconds went by first."""
        if timeout is not None and not self._poll(min(max(timeout, 0.0) * 1000, LONGEST_POLL)):
            return False
        os.read(self._fd, EVENTFD_SIZE)  # not eventfd_read, which a signal with a harmless handler would end
        return True


class WaiterPool:
    """The eventfd waiters of one hub, so that a wait does not have to make one. Any thread."""

    def __init__(self) -> None:
        self._idle: collections.deque[EventfdWaiter] = collections.deque()
        self._closed = False

    def take(self) -> EventfdWaiter | ThreadWaiter:
        """A waiter for one wait. It may have been woken already."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return EventfdWaiter()
        except OSError as error:
            if error.errno not in NO_DESCRIPTOR:
                raise
            return ThreadWaiter()

    def give(self, waiting: Waiter) -> None:
        """Give a waiter back."""
        if waiting.__class__ is EventfdWaiter and not self._closed:
            self._idle.append(waiting)
            if self._closed:
                self._idle.clear()

    def close(self) -> None:
        """Keep none any more."""
        self._closed = True
        self._idle.clear()


class GreenletWaiter:
    """Waits by giving back the hub of the calling thread. Same contract as :class:`ThreadWaiter`."""

    __slots__ = ("_port", "_waiter")

    def __init__(self, hub: Any) -> None:
        self._port = _port_of(hub)
        self._waiter = _GeventWaiter(hub)

    def wake(self) -> None:
        """End the wait, or the next one. Any thread."""
        self._port.deliver(self._waiter.switch)

    def wait(self, timeout: float | None) -> bool:
        """Wait; False when ``timeout`` seconds went by first."""
        port = self._port
        timer = None
        try:
            port.enter(self)
            if timeout is not None:
                timer = port.loop.timer(max(timeout, 0.0))
                # Counted from now, not from the loop's latest poll.
                timer.start(self._waiter.switch, _EXPIRED, update=True)
            return self._waiter.get() is not _EXPIRED
        finally:
            port.leave(self)
            if timer is not None:
                timer.stop()
                timer.close()


class _WakePort:
    """How other threads wake greenlets of one hub: by one watcher per hub, held while anybody waits.

    Without a watcher the hub would find that nothing can ever wake it and raise ``LoopExit``.
    """

    def __init__(self, hub: Any) -> None:
        self._hub = weakref.ref(hub)
        self.loop = hub.loop
        self._thread = get_ident()
        self._queue: collections.deque[Callable[[Any], object]] = collections.deque()
        self._watcher = hub.loop.async_()
        self._waiting: set[GreenletWaiter] = set()

    def enter(self, waiting: GreenletWaiter) -> None:
        self._waiting.add(waiting)
        self._hold()
        if self._queue:  # a wake-up that came before the watcher was started is in the queue only
            self.loop.run_callback(self._wake_all)

    def leave(self, waiting: GreenletWaiter) -> None:
        self._waiting.discard(waiting)
        if not self._waiting:
            self._watcher.stop()
            if self._waiting:  # another greenlet came between these lines
                self._hold()

    def _hold(self) -> None:
        if not self._watcher.active:
            self._watcher.start(self._wake_all)

    def deliver(self, switch: Callable[[Any], object]) -> None:
        if get_ident() == self._thread:
            self.loop.run_callback(switch, None)
            return
        self._queue.append(switch)
        try:
            self._watcher.send()
        except ValueError:
            hub = self._hub()
            if hub is not None and hub.loop is not None:  # code that ran meanwhile, a signal handler's
                raise
            self._queue.clear()  # the hub is gone, and with it the greenlet that waited

    def _wake_all(self) -> None:
        queue = self._queue
        try:
            while queue:
                queue.popleft()(None)
        finally:
            if queue:
                self.loop.run_callback(self._wake_all)


_ports: weakref.WeakKeyDictionary[Any, _WakePort] = weakref.WeakKeyDictionary()


def _port_of(hub: Any) -> _WakePort:
    port = _ports.get(hub)
    if port is None:
        port = _ports[hub] = _WakePort(hub)
    return port


Waiter = ThreadWaiter | GreenletWaiter | EventfdWaiter


def waiter(pool: WaiterPool | None = None) -> Waiter:
    """A waiter for the calling thread or greenlet.

    Args:
        pool: Where a plain thread takes one from. Whoever passes it gives the waiter back.

    Raises:
        CannotWait: The caller is a hub itself: a wait there would never end.
    """
    hub = get_hub_if_exists()
    if hub is None:
        return ThreadWaiter() if pool is None else pool.take()
    if gevent.getcurrent() is hub:
        raise CannotWait
    return GreenletWaiter(hub)


def may_wait() -> bool:
    """Whether the caller may wait at all: not on a hub, and not in a running asyncio loop."""
    hub = get_hub_if_exists()
    if hub is not None and gevent.getcurrent() is hub:
        return False
    return not in_event_loop()


def in_event_loop() -> bool:
    """Whether the caller runs in an asyncio loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
