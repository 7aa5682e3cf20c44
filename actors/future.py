"""The future that a caller holds.

States and moves::

    PENDING ── settle(value) ──▶ FINISHED
       │  └─── settle(error) ──▶ FINISHED
       └────── cancel() ───────▶ CANCELLED_AND_NOTIFIED

The first move wins, whichever thread makes it; every later one reports that it lost. There is no RUNNING state: a call
on the wire can be cancelled like a queued one.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import threading
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ai.backend.client.actors.aio import bridge_to
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.actors.waiting import waiter

if TYPE_CHECKING:
    from ai.backend.client.actors.call import Call

T = TypeVar("T")

PENDING = "PENDING"
FINISHED = "FINISHED"
CANCELLED = "CANCELLED_AND_NOTIFIED"


WAIT_FIRST = "first `await` it, or take its result()"
"""What to do with a future that was taken for the value."""


class _Unheard:
    """Warns when it goes before anybody has heard of a call's error, as asyncio does for its own futures.

    The future holds it, and it holds nothing but text: it keeps nothing alive. A warning and no log record, since it
    may go on any thread, the hub's too, and in the middle of anything: a handler's lock may be held there.

    Args:
        function: The function that was called.
        error: What it raised.
    """

    __slots__ = ("heard", "text")

    def __init__(self, function: str, error: BaseException) -> None:
        self.heard = False
        self.text = f"the error of {function} was never looked at (a forgotten `await`?): {type(error).__name__}"

    def __del__(self) -> None:
        if not self.heard:
            warnings.warn(self.text, ResourceWarning, stacklevel=2)


class CallFuture(concurrent.futures.Future[T]):
    """The outcome of one call: a standard :class:`concurrent.futures.Future` that can also be awaited.

    * ``result()``, ``exception()``, ``cancel()``, ``add_done_callback()``, :func:`concurrent.futures.wait` and
      ``as_completed`` work from any thread. In a thread that has a gevent hub only the calling greenlet waits, whether
      the process is patched or not.
    * ``await`` works in any asyncio loop; so do ``asyncio.create_task``, ``gather``, ``wait_for`` and ``shield``, since
      a call is a coroutine as far as asyncio is concerned. Only :func:`asyncio.wait` wants a task made of it.
    * ``cancel()`` is honest: a call that waits is dropped and never sent; one on the wire is abandoned and its
      connection closed.

    It is light: it makes a condition variable only when the standard library asks for one. That leans on private names
    of the standard class (``_state``, ``_condition``, ``_waiters``, ``_result``, ``_exception``), which
    ``tests/unit/actors/test_future.py`` pins. Against the plain subclass it saves about 7 µs of a call with 64
    greenlets (``tools/bench/spine``).
    """

    # Shared until an instance sets its own: an unsettled future is a small dictionary.
    _state = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _call: Call | None = None
    _unheard: _Unheard | None = None
    _steps: dict[Any, Generator[Any, None, T]] | None = None
    _made_condition: threading.Condition | None = None
    _outcome: tuple[str, Any, BaseException | None] | None = None
    _callbacks: collections.deque[Callable[[concurrent.futures.Future[T]], object]] | None = None
    _told = 0
    _announced = False

    def __init__(self, call: Call | None = None) -> None:
        # The standard __init__ would make the condition.
        self._waiters: list[Any] = []
        self._wakers: list[Callable[[], object]] = []
        self._call = call

    def _first(self, name: str, value: Any) -> Any:
        """Set an attribute, unless it has been set; what it is now. Of several threads exactly one is first."""
        # One step under the interpreter lock: the cheapest test-and-set there is.
        return self.__dict__.setdefault(name, value)

    # -- the outcome --------------------------------------------------------------------------------------------------

    def settle(self, value: Any, error: BaseException | None) -> bool:
        """Give the future its outcome. For the runtime; any thread.

        Returns:
            False when it had one already.
        """
        outcome = (FINISHED, value, error)
        won: bool = self._first("_outcome", outcome) is outcome
        self._announce()
        self._call = None
        return won

    def _expect_to_be_heard(self, call: Call, error: BaseException) -> None:
        if call.reports(error):
            made = _Unheard(call.full_name, error)
            if self._first("_unheard", made) is not made:
                made.heard = True  # another thread was faster

    def _is_heard(self) -> None:
        if self._unheard is not None:
            self._unheard.heard = True
            self._unheard = None

    def _announce(self) -> None:
        """Make the outcome known.

        Whoever finds one that is not known yet does it too, whether its thread lost or waits: an interrupt may have
        stopped the winner, for a time or for good. So each step may be repeated.
        """
        if self._announced:
            return
        error = self._outcome[2]  # type: ignore[index]  # set
        if error is not None and self._call is not None and self._state == PENDING:
            self._expect_to_be_heard(self._call, error)
        condition = self._made_condition
        if condition is None:
            self._show()  # one that is made from now on finds the outcome: see _condition
        else:
            self._show_waiters(condition)
        for wake in tuple(self._wakers):  # a copy: who gives up waiting leaves the list meanwhile
            wake()
        if self._callbacks is not None:
            call = self._call
            if call is None:
                self._run_callbacks()
            else:
                call.run_callbacks(self._run_callbacks)
        self._announced = True

    def _show(self) -> None:
        state, self._result, self._exception = self._outcome  # type: ignore[misc]  # set
        self._state = state

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]  # an attribute there
        condition: threading.Condition = self._made_condition or self._first("_made_condition", threading.Condition())
        if self._outcome is not None:  # first the condition, then this look; whoever settles does it the other way
            self._show_waiters(condition)
        return condition

    def _show_waiters(self, condition: threading.Condition) -> None:
        """Whoever holds the condition (the standard library's waits) may look twice and must see the same."""
        with condition:
            if self._state == PENDING:
                state, _, error = self._outcome  # type: ignore[misc]  # set
                while self._told < len(self._waiters):
                    waiting = self._waiters[self._told]
                    self._told += 1
                    if state == CANCELLED:
                        waiting.add_cancelled(self)
                    elif error is not None:
                        waiting.add_exception(self)
                    else:
                        waiting.add_result(self)
                condition.notify_all()
                self._show()

    def orphan(self, error: BaseException) -> None:
        """In a forked child: end the future, without callbacks, and without a lock whose owner does not exist here."""
        condition = self._made_condition
        if condition is not None:
            if condition.acquire(blocking=False):
                condition.release()
            else:
                self._made_condition = threading.Condition()
                self._waiters = []
        self._call = self._callbacks = None
        self.settle(None, error)

    # -- the standard interface ---------------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Give the call up.

        Returns:
            False when it had ended already, True otherwise (also when it was cancelled before).
        """
        call = self._call
        state = PENDING
        try:
            state = self._first("_outcome", (CANCELLED, None, None))[0]
            self._announce()
        finally:
            if call is not None and state == CANCELLED:
                call.abandon()
                self._call = None
        self._is_heard()  # whoever gives a call up need not look at its error
        return bool(state == CANCELLED)

    def set_running_or_notify_cancel(self) -> bool:
        """For executors. Refused: the runtime settles its futures itself."""
        raise RuntimeError("a call's future is settled by its session")

    def set_result(self, result: T) -> None:
        """For executors. Refused, as above."""
        raise RuntimeError("a call's future is settled by its session")

    def set_exception(self, exception: BaseException | None) -> None:
        """For executors. Refused, as above."""
        raise RuntimeError("a call's future is settled by its session")

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        return self._state == CANCELLED

    def running(self) -> bool:
        """Whether a request of the call is under way."""
        call = self._call
        return call is not None and call.is_running

    def done(self) -> bool:
        """Whether the call has ended, one way or the other."""
        return self._state != PENDING

    def result(self, timeout: float | None = None) -> T:
        """Wait for the call's value.

        Args:
            timeout: Seconds to wait at most. The call's own deadline ends the wait in any case.

        Raises:
            TimeoutError: It did not end in time; it goes on.
            concurrent.futures.CancelledError: It was cancelled.
            RuntimeError: Called on a hub, where waiting would stop everything.
            BackendError: What the call raised.

        ``KeyboardInterrupt`` during the wait cancels the call.
        """
        if self._state == PENDING and not self._wait(timeout):
            raise concurrent.futures.TimeoutError(f"no result after {timeout} s")
        if self._state == CANCELLED:
            raise concurrent.futures.CancelledError
        if self._exception is not None:
            self._is_heard()
            try:
                raise self._exception
            finally:
                self = None  # type: ignore[assignment]  # breaks the cycle error → traceback → frame → future
        value: T = self._result
        return value

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """:meth:`result` under the name that pykka and gevent use.

        Args:
            block: False: do not wait.
            timeout: Seconds to wait at most.
        """
        return self.result(timeout if block else 0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call's error; None when it has a value.

        Raises as :meth:`result` does when the call was cancelled, or did not end in time.
        """
        if self._state == PENDING and not self._wait(timeout):
            raise concurrent.futures.TimeoutError(f"no result after {timeout} s")
        if self._state == CANCELLED:
            raise concurrent.futures.CancelledError
        self._is_heard()
        return self._exception

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[T]], object]) -> None:
        """Call ``fn(future)`` when the call has ended.

        On the session's callback worker, or at once in the calling thread when the call has ended already.
                Errors of the function are logged and go no further.
        """
        self._first("_callbacks", collections.deque()).append(fn)
        if self._state != PENDING:
            self._run_callbacks()

    def _run_callbacks(self) -> None:
        # Each is taken out in one step, so that the worker and a late add_done_callback never both run it.
        callbacks = self._callbacks or ()
        while callbacks:
            try:
                function = callbacks.popleft()
            except IndexError:
                return
            try:
                function(self)
            except Exception:
                concurrent.futures._base.LOGGER.exception("exception calling callback for %r", self)

    def _wait(self, timeout: float | None) -> bool:
        call = self._call
        if call is not None and call.is_orphan():
            return True
        pool = None if call is None else call.owner.waiters
        waiting = waiter(pool)
        self._wakers.append(waiting.wake)
        try:
            if self._outcome is not None:
                self._announce()
            limit = None if timeout is None else monotonic() + timeout
            while self._state == PENDING:
                woken = waiting.wait(None if limit is None else limit - monotonic())
                if not woken and limit is not None and monotonic() >= limit:
                    break
            return self._state != PENDING
        except KeyboardInterrupt:
            self.cancel()
            raise
        finally:
            self._forget(waiting.wake)  # a failed future may outlive its session: it must not hold a descriptor
            if pool is not None:
                pool.give(waiting)

    def _forget(self, wake: Callable[[], object]) -> None:
        try:
            self._wakers.remove(wake)
        except ValueError:
            pass

    def on_settled(self, function: Callable[[], object]) -> None:
        """For the runtime: call a short, harmless function at the end, or at once if that has come.

        It may be called twice, on whatever thread settles the future.
        """
        self._wakers.append(function)
        if self._state != PENDING:
            function()

    # -- asyncio ------------------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, T]:
        call = self._call
        if self._state == PENDING and not (call is not None and call.is_orphan()):
            loop = asyncio.get_running_loop()
            waiting: asyncio.Future[None] = loop.create_future()
            bridge = bridge_to(loop)
            self._wakers.append(lambda: bridge.post(waiting))
            if self._outcome is not None:
                self._announce()
            if self._state == PENDING:
                try:
                    yield from waiting
                except asyncio.CancelledError:
                    self.cancel()
                    raise
        if self._state == CANCELLED:
            raise asyncio.CancelledError
        return self.result(0)

    # A coroutine in all that asyncio asks for. Each task that drives the future has its own way through it.

    def send(self, value: Any) -> Any:
        """Coroutine protocol: one step of the current task."""
        steps = self._steps_of_this_task()
        try:
            return steps.send(value)
        except BaseException:
            self._forget_this_task()
            raise

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Coroutine protocol: an exception for the current task."""
        error = typ if val is None else val
        error = error if isinstance(error, BaseException) else error()
        if isinstance(error, asyncio.CancelledError):
            self.cancel()  # here too for a task that never took a step
        steps = self._steps_of_this_task()
        try:
            return steps.throw(error)
        except BaseException:
            self._forget_this_task()
            raise

    def close(self) -> None:
        """Coroutine protocol: the current task lets go. The call goes on; use :meth:`cancel` to end it."""
        steps = self._forget_this_task()
        if steps is not None:
            steps.close()

    def _steps_of_this_task(self) -> Generator[Any, None, T]:
        if self._steps is None:
            self._steps = {}
        task = _current_task()
        steps = self._steps.get(task)
        if steps is None:
            steps = self._steps[task] = self.__await__()
        return steps

    def _forget_this_task(self) -> Generator[Any, None, T] | None:
        return None if self._steps is None else self._steps.pop(_current_task(), None)

    def __repr__(self) -> str:
        call = self._call
        if call is None or self._state != PENDING:
            return super().__repr__()
        return f"<{type(self).__name__} of {call.full_name} {'running' if self.running() else 'pending'}>"

    # -- what makes no sense ------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:

        def __getitem__(self, key: Any) -> NoReturn:
            """Someone forgot to wait."""
            raise TypeError(f"a future has no items: {WAIT_FIRST}")

        def __getattr__(self, name: str) -> NoReturn:
            """Someone forgot to wait. Only for names that are nowhere else."""
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_"):
                text = f"{text}: {WAIT_FIRST}"
            raise AttributeError(text, name=name, obj=self)

    def __copy__(self) -> CallFuture[T]:
        return self

    def __deepcopy__(self, memo: object) -> CallFuture[T]:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a future cannot be pickled: it belongs to a call of this process")


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


Coroutine.register(CallFuture)
