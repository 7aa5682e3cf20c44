"""The hub: one gevent event loop on which everything of a session runs.

In a process that is not monkey-patched the hub has a daemon OS thread of its own. In a patched one it is the caller's
own hub, provided that the caller is the main thread (any other native thread could end before the session); so it is
while the interpreter exits. Nothing is ever patched here.

Only this package touches gevent, locks and threads.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import logging
import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import gevent.event
import gevent.hub
import gevent.monkey
import greenlet
from gevent._hub_local import get_hub_if_exists  # see waiting.py

from ai.backend.client.actors import process
from ai.backend.client.actors.offload import NativeThreads
from ai.backend.client.actors.originals import allocate_lock, get_ident, start_new_thread

T = TypeVar("T")

TURN = 1024
"""Items that one turn of the drain handles before sockets and timers get their chance again."""

LOOP_DESCRIPTORS = 8
"""How many a loop with its hub opens, and some to spare."""

START_LIMIT = 10.0
"""Seconds that a new hub thread may take to come up."""

_log = logging.getLogger("ai.backend.client.actors.hub")


class NoResources(RuntimeError):
    """There are no descriptors or threads for another hub. It may work later."""


class Runnable(Protocol):
    """What the hub's queue holds: mailboxes, resumptions, one-off callbacks."""

    def run(self) -> object:
        """Do what is to be done. Running it twice must be harmless."""


class Callback:
    """A function to be called on the hub, once."""

    __slots__ = ("run",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.run = function


class Timer:
    """A function that the hub calls later, unless it is cancelled first. Hub side only."""

    __slots__ = ("_hub", "_watcher")

    def __init__(self, hub: Hub, seconds: float, function: Callable[[], object], ref: bool) -> None:
        self._hub = hub
        self._watcher = hub.loop.timer(max(seconds, 0.0), ref=ref)
        self._watcher.start(self._fire, function, update=True)
        hub.timers.add(self)

    def _fire(self, function: Callable[[], object]) -> None:
        self.cancel()
        self._hub.in_turn = True
        function()

    def cancel(self) -> None:
        """Stop it. Repeating that, or doing it after it fired, does nothing."""
        watcher, self._watcher = self._watcher, None
        self._hub.timers.discard(self)
        if watcher is not None:
            watcher.stop()
            watcher.close()


class Hub:
    """One event loop and the ways into it.

    ``schedule``, ``call``, ``stop`` and ``join`` may be used from any thread. Everything else belongs to the hub's own
    thread.

    Life: :meth:`start` → running → :meth:`stop` → stopped. What is scheduled after the end still runs, on the thread
        that schedules it,
    so that a message to a dead actor is answered and not lost.

    Attributes:
        pid: The process that made the hub.
        own_thread: Whether it has a thread of its own.
        stopped: Whether its loop has ended.
        park: Give the loop back until somebody switches to the calling greenlet.
        in_turn: Set by the handlers of events: what they leave to do is done at the end of the turn.
        teardown: Called on the hub, once, before its loop ends: must leave no watcher, greenlet or socket behind.
        last_words: Called, once, by whichever thread ends the hub, when the loop is gone.
        emit: Called with what writes to a log. Handlers are the host program's: they may raise, block, or wait for the
            session, so a session has another thread or greenlet write.
        inherited: Called in a forked child: must close the child's copies of what the hub holds, without touching the
            loop.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        is_patched = gevent.monkey.is_module_patched("threading")
        self.own_thread = not ((is_patched or process.exiting) and process.on_main_thread())
        self.stopped = False
        self.teardown: Callable[[], object] = _nothing
        self.last_words: Callable[[], object] = _nothing
        self.inherited: Callable[[], object] = _nothing
        self.emit: Callable[[Callable[[], object]], object] = quietly
        self._dirty: collections.deque[Runnable] = collections.deque()
        self._turn: object = object()
        self._rung_for: object = None
        self.in_turn = False
        self._outcomes: collections.deque[tuple[Callable[..., object], tuple[Any, ...]]] = collections.deque()
        self._settling: object = object()
        self._settling_rung_for: object = None
        self.timers: set[Timer] = set()
        self.native = NativeThreads(self)
        self._ending = False
        self._failure: BaseException | None = None  # of the start
        self._gone = allocate_lock()
        self._gone.acquire()

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the loop up. Takes about a quarter of a millisecond where it needs a thread.

        Raises:
            NoResources: The process has no descriptors or threads left for it.
        """
        if self.own_thread:
            _check_descriptors()
            ready = allocate_lock()
            ready.acquire()
            try:
                start_new_thread(self._run, (ready,))
            except RuntimeError as error:
                raise NoResources("no thread can be started") from error
            if not ready.acquire(True, START_LIMIT):
                raise NoResources("the hub's thread did not start in time")
            if self._failure is not None:
                raise self._failure
        else:
            if get_hub_if_exists() is None:
                _check_descriptors()
            self._attach()
        process.register(self)

    def _attach(self) -> None:
        self.gevent_hub = gevent.hub.get_hub()
        self.loop = self.gevent_hub.loop
        self.run_callback = self.loop.run_callback
        self.park = self.gevent_hub.switch
        self._thread = get_ident()
        # On a loop of the caller's the watcher must not keep the program alive.
        self._wake = self.loop.async_(ref=self.own_thread)
        self._wake.start(self._woken)
        # Of the events of one poll this is the last.
        self._turn_ends = self.loop.check(ref=False, priority=self.loop.MINPRI)
        self._turn_ends.start(self._end_turn)
        self._over = gevent.event.Event() if self.own_thread else None

    def _run(self, ready: Any) -> None:
        try:
            self._attach()
        except BaseException as error:
            self._failure = error
            return
        finally:
            ready.release()
        self._over.wait()  # type: ignore[union-attr]  # set by _attach
        self._detach()
        self.gevent_hub.join(process.EXIT_LIMIT)
        self.gevent_hub.destroy(destroy_loop=True)  # join and destroy: either alone leaks
        self._finish()

    def _detach(self) -> None:
        self.stopped = True  # first this, then the last drain: see schedule()
        for watcher in (self._wake, self._turn_ends):
            watcher.stop()
            watcher.close()
        process.forget(self)
        while self._dirty or self._outcomes:
            self._drain_dead()
            self._flush()

    def _finish(self) -> None:
        self.native.let_commit()
        try:
            self.last_words()
        except BaseException as error:
            self.report(error, "the hub's last words failed")
        finally:
            self.teardown = self.last_words = self.inherited = _nothing
            self._gone.release()

    def stop(self) -> None:
        """End the loop, after what is scheduled already. Returns at once; repeating it does nothing."""
        self.call(self._end)

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        try:
            self.teardown()
        except BaseException as error:
            self.report(error, "the hub's teardown failed")
        if self._over is not None:
            self._over.set()
        else:
            self._detach()
            self._finish()

    def join(self, timeout: float) -> bool:
        """Wait until the hub's thread has ended.

        Not from a greenlet that others need, unless the thread is about to end.

        Returns:
            False when it did not end in ``timeout`` seconds. At once True on the hub's own thread, and where the hub is
            the caller's.
        """
        if not self.own_thread or get_ident() == self._thread:
            return True
        if not self._gone.acquire(True, max(timeout, 0.0)):
            return False
        self._gone.release()
        return True

    def disown(self) -> None:
        """In a forked child: nothing of this hub may run here, even if the loop is the caller's and goes on."""
        self.stopped = True
        if not self.own_thread:  # a loop of our own has no thread here, and may be in any state
            for timer in list(self.timers):
                timer.cancel()
            for watcher in (self._wake, self._turn_ends):
                watcher.stop()
        self._dirty.clear()
        self._outcomes.clear()
        self.inherited()

    def is_current(self) -> bool:
        """Whether the calling code runs on this hub's thread."""
        return not self.stopped and get_ident() == self._thread

    # -- ways in ------------------------------------------------------------------------------------------------------

    def schedule(self, item: Runnable) -> None:
        """Run an item on the hub, in order. Any thread.

        One wake-up serves a burst, and none is lost: an item is appended before its thread looks whether the hub was
        rung for the turn to come, a turn is replaced before the drain looks for the last time, and a turn counts as
        rung for only when that has been done. Between these steps the thread may be stopped for any time, by a signal
        handler that waits for the hub itself: the others ring in vain at worst.
        """
        self._dirty.append(item)
        if self.stopped:
            self._drain_dead()
            return
        turn = self._turn
        if self._rung_for is not turn:
            self._ring()
            self._rung_for = turn

    def _ring(self) -> None:
        if get_ident() == self._thread:
            if not self._turn_will_end():
                self.run_callback(self._drain)
            return
        try:
            self._wake.send()
        except ValueError:
            if not self.stopped:  # code that ran meanwhile, a signal handler's
                raise
            # The loop has gone since we looked at `stopped`. Its last drain has seen what was appended before that.

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the hub, in order. Any thread."""
        self.schedule(Callback(function))

    def _woken(self) -> None:
        self.in_turn = True
        self._drain()

    def _end_turn(self) -> None:
        """Whatever this turn's events left to do is done in it; another turn of the loop for that would cost 5 µs."""
        self.in_turn = False
        if self._dirty:
            self._drain()
        if self._outcomes:
            self._flush()

    def _turn_will_end(self) -> bool:
        """Whether :meth:`_end_turn` will come. On a caller's hub Ctrl-C may hit it before its first line."""
        return self.in_turn and self.own_thread

    def _drain(self) -> None:
        if self.stopped:
            return
        dirty = self._dirty
        left = TURN
        try:
            self._rung_for = self._turn  # what actors say to each other meanwhile needs no wake-up
            while dirty and left:
                left -= 1
                item = dirty[0]
                try:
                    item.run()
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt) and not self.own_thread:
                        dirty.append(item)  # it may have been stopped half-way
                    self.report(error, f"an item of the hub failed: {item!r}")
                # Only now: an interrupt between two lines loses nothing, and running an item twice is harmless.
                if dirty and dirty[0] is item:  # gone if the item ended the hub
                    dirty.popleft()
        finally:
            turn = self._turn = object()
            if dirty:
                if not self._turn_will_end():
                    self.run_callback(self._drain)
                self._rung_for = turn

    def _drain_dead(self) -> None:
        while True:
            try:
                item = self._dirty.popleft()
            except IndexError:
                return
            try:
                item.run()
            except BaseException as error:
                self.report(error, f"an item of the hub failed: {item!r}")

    def report(self, error: BaseException, text: str) -> None:
        """Log an error of ours that has nowhere else to go.

        An interrupt goes on to the main greenlet too; see :meth:`hand_on`.
        """
        self.note(error, text)
        self.hand_on(error)

    def note(self, error: BaseException, text: str) -> None:
        """Log an error that has nowhere else to go, an interrupt too: of users' code, which raises what it likes."""
        self.emit(lambda: _log.error(text, exc_info=error))

    def hand_on(self, error: BaseException) -> None:
        """Ctrl-C hit code of ours, on a hub of the caller's: raise it in the main greenlet, before anything else."""
        if isinstance(error, KeyboardInterrupt) and not self.own_thread:
            self.gevent_hub.handle_system_error(type(error), error)

    # -- ways out -----------------------------------------------------------------------------------------------------

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)`` at the end of this turn of the loop, together with all others.

        Futures are settled this way: waiters are woken in one burst, which halves the thread switches of 32 calling
        threads.
        """
        if self.stopped and not self._outcomes:
            function(*args)
            return
        self._outcomes.append((function, args))
        settling = self._settling
        if self._settling_rung_for is not settling:  # see schedule()
            if not self._turn_will_end():
                self.run_callback(self._flush)
            self._settling_rung_for = settling

    def _flush(self) -> None:
        outcomes = self._outcomes
        try:
            while outcomes:
                outcome = outcomes[0]
                try:
                    outcome[0](*outcome[1])
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt) and not self.own_thread:
                        outcomes.append(outcome)
                    self.report(error, "an outcome could not be delivered")
                outcomes.popleft()  # see _drain
        finally:
            settling = self._settling = object()
            if outcomes:
                if not self._turn_will_end():
                    self.run_callback(self._flush)
                self._settling_rung_for = settling

    # -- for code on the hub ------------------------------------------------------------------------------------------

    def greenlet(self, function: Callable[[], object]) -> Any:
        """A new greenlet below the hub; it starts at its first ``switch()``."""
        return greenlet.greenlet(function, parent=self.gevent_hub)

    def later(self, seconds: float, function: Callable[[], object], *, ref: bool = True) -> Timer:
        """Call a function on the hub after some seconds.

        Args:
            seconds: From now.
            function: What to call.
            ref: Whether it keeps the loop alive. A timer that nobody waits for must not.
        """
        return Timer(self, seconds, function, ref)

    def offload(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a native thread and wait for it, from a lane: see :class:`NativeThreads`."""
        return self.native.run(function, *args)


def _nothing() -> None:
    return None


def quietly(write: Callable[[], object]) -> None:
    """Write to a log; what its handlers raise is nobody's business here."""
    with contextlib.suppress(BaseException):
        write()


def _check_descriptors() -> None:
    """See that a loop will find the descriptors that it needs: libev ends the process when it does not."""
    held: list[int] = []
    try:
        while len(held) < LOOP_DESCRIPTORS:
            held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise NoResources("no file descriptor is left") from error
    finally:
        for descriptor in held:
            os.close(descriptor)
