"""How a thread or a greenlet waits for something that another thread brings about, without blocking its neighbours.

:func:`waiter` looks at who is asking: a plain thread waits on a bell or a lock, a greenlet gives its hub back. That
holds in patched and in unpatched processes, because what counts is whether the thread has a gevent hub, not what was
patched.
"""

from __future__ import annotations

import asyncio
import collections
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

from ai.backend.client.actors.originals import allocate_lock, get_ident

_EXPIRED = object()

_new_poll: Any = gevent.monkey.get_original("select", "poll")

LONGEST_POLL = 2**31 - 1
"""Milliseconds that one ``poll`` may wait: an int in C. Who waits longer looks again."""

EVENTFD_SIZE = 8
"""Bytes of an eventfd's counter."""

HAS_BELLS = hasattr(os, "eventfd")


class ThreadWaiter:
    """Waits on a lock of its own. One wait, one wake-up; a second wake-up does nothing."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def wake(self) -> None:
        """End the wait, or the next one. Any thread."""
        try:
            self._lock.release()
        except RuntimeError:
            pass

    def wait(self, timeout: float | None) -> bool:
        """Wait.

        Returns:
            False when ``timeout`` seconds went by first.
        """
        limit = -1.0 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        woken: bool = self._lock.acquire(True, limit)
        return woken


class Bell:
    """What a plain thread waits on where there is ``eventfd`` (Linux); it is rung with the interpreter lock free.

    A lock is released with the interpreter lock held, so that the woken thread bounces off that and sleeps again. A
    bell halves the context switches of a lone blocking caller and saves 9 % of its CPU (``tools/bench/spine``).
    """

    __slots__ = ("_fd", "_lock", "_pid", "_poll")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        poll = _new_poll()
        poll.register(self._fd, select.POLLIN)
        self._poll = poll.poll
        self._lock = allocate_lock()  # a ring must not reach a descriptor that was closed and given out again

    def wake(self) -> None:
        """End the wait, or the next one. Any thread; once per wait."""
        if self._pid != os.getpid():
            return  # a forked child shares the descriptor: it would ring in the parent
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def wait(self, timeout: float | None) -> bool:
        """Wait; False when ``timeout`` seconds went by first."""
        if timeout is not None and not self._poll(min(max(timeout, 0.0) * 1000, LONGEST_POLL)):
            return False
        os.read(self._fd, EVENTFD_SIZE)  # not eventfd_read, which a signal with a harmless handler would end
        return True

    def close(self) -> None:
        """Close the descriptor; a late ring is silent."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1


class Bells:
    """The bells of one hub, so that a wait does not have to make one. Any thread."""

    def __init__(self) -> None:
        self._idle: collections.deque[Bell] = collections.deque()
        self._closed = False

    def take(self) -> Bell:
        """A bell for one wait."""
        try:
            return self._idle.pop()
        except IndexError:
            return Bell()

    def give(self, bell: Bell) -> None:
        """Give a bell back that was rung and heard, and that nobody else will ring."""
        self._idle.append(bell)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close the bells, now and when they come back."""
        self._closed = True
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


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
        port.enter()
        timer = None
        try:
            if timeout is not None:
                timer = port.loop.timer(max(timeout, 0.0))
                timer.start(
                    self._waiter.switch, _EXPIRED, update=True
                )  # counted from now, not from the loop's latest poll
            return self._waiter.get() is not _EXPIRED
        finally:
            port.leave()
            if timer is not None:
                timer.stop()
                timer.close()


class _Port:
    """The door through which other threads wake greenlets of one hub: one watcher per hub, held while anybody waits.

    Without a watcher the hub would find that nothing can ever wake it and raise ``LoopExit``.
    """

    def __init__(self, hub: Any) -> None:
        self.loop = hub.loop
        self._thread = get_ident()
        self._queue: collections.deque[Callable[[Any], object]] = collections.deque()
        self._watcher = hub.loop.async_()
        self._waiting = 0

    def enter(self) -> None:
        self._waiting += 1
        if self._waiting == 1:
            self._watcher.start(self._open)
            if self._queue:  # a wake-up that came before the watcher was started is in the queue only
                self.loop.run_callback(self._open)

    def leave(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._watcher.stop()

    def deliver(self, switch: Callable[[Any], object]) -> None:
        if get_ident() == self._thread:
            self.loop.run_callback(switch, None)
            return
        self._queue.append(switch)
        try:
            self._watcher.send()
        except Exception:  # the hub is gone, and with it the greenlet that waited
            self._queue.clear()

    def _open(self) -> None:
        queue = self._queue
        while queue:
            queue.popleft()(None)


_ports: weakref.WeakKeyDictionary[Any, _Port] = weakref.WeakKeyDictionary()


def _port_of(hub: Any) -> _Port:
    port = _ports.get(hub)
    if port is None:
        port = _ports[hub] = _Port(hub)
    return port


def waiter(bells: Bells | None = None) -> ThreadWaiter | GreenletWaiter | Bell:
    """A waiter for the calling thread or greenlet.

    Args:
        bells: Where a plain thread takes a bell from. Who passes it gives the bell back or closes it.

    Raises:
        RuntimeError: The caller is a hub itself: a wait there would never end.
    """
    hub = get_hub_if_exists()
    if hub is None:
        return ThreadWaiter() if bells is None else bells.take()
    if gevent.getcurrent() is hub:
        raise RuntimeError("this code runs on the hub, where waiting would stop everything: use a callback")
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
