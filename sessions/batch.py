"""``session.map``: many calls at once over any number of items, in bounded memory."""

from __future__ import annotations

import asyncio
import collections
import weakref
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Generic, TypeVar

from ai.backend.client.actors.aio import bridge_to
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.waiting import waiter
from ai.backend.client.exceptions import BackendError, InvalidArgument
from ai.backend.client.progress import ProgressBar, ProgressListener, listener

T = TypeVar("T")


class Batch(Generic[T]):
    """The results of one ``session.map``: an iterator, and an asynchronous iterator. For one consumer.

    Nothing is sent before the first ``next()``. Input is read only there, and only as far as the window reaches: calls
    in flight plus results not yet taken never exceed ``concurrency``. Leaving early (``break``, :meth:`close`, the end
    of ``with``) cancels what is open.
    """

    def __init__(
        self,
        submit: Callable[..., CallFuture[T]],
        iterables: tuple[Iterable[Any], ...],
        concurrency: int,
        ordered: bool,
        return_exceptions: bool,
        progress: bool | ProgressListener = False,
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidArgument("concurrency", concurrency, "must be a whole number, 1 or more")
        if not iterables:
            raise InvalidArgument("iterables", (), "map needs at least one iterable")
        self._submit = submit
        self._items = zip(*iterables, strict=False)
        self._concurrency = concurrency
        self._return_exceptions = return_exceptions
        self._window: _Window[T] = (_OrderedWindow if ordered else _UnorderedWindow)()
        self._exhausted = False
        self._listener = listener("progress", progress)
        self._yielded = 0
        self._total = _length(iterables) if self._listener is not None else None
        # Cancels what is open when the consumer just drops the batch; must not refer to it.
        self._finalizer = weakref.finalize(self, self._window.cancel)
        self._finalizer.atexit = False

    # -- consuming ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            self._fill()
            while True:
                if not len(self._window):
                    raise StopIteration
                future = self._window.take()
                if future is not None:
                    return self._outcome(future)
                self._window.wait()
        except BaseException:
            self.close()
            raise

    def __aiter__(self) -> Batch[T]:
        return self

    async def __anext__(self) -> T:
        try:
            self._fill()
            while True:
                if not len(self._window):
                    raise StopAsyncIteration
                future = self._window.take()
                if future is not None:
                    return self._outcome(future)
                await self._window.wait_async()
        except BaseException:
            self.close()
            raise

    def _fill(self) -> None:
        window = self._window
        while not self._exhausted and len(window) < self._concurrency:
            try:
                arguments = next(self._items)
            except StopIteration:
                self._exhausted = True
                return
            try:
                future = self._submit(*arguments)
            except BackendError as error:  # this item was refused; its turn to say so comes
                future = CallFuture[T]()
                future.settle(None, error)
            if not isinstance(future, CallFuture):
                raise TypeError(
                    "map needs an API function or a callable that returns a CallFuture (with a Session: "
                    f"`function.submit(...)`), got a {type(future).__name__}"
                )
            window.add(future)

    def _outcome(self, future: CallFuture[T]) -> T:
        if self._listener is not None:
            self._yielded += 1
            self._listener(self._yielded, self._total)
        try:
            return future.result(0)
        except Exception as error:
            if self._return_exceptions:
                return error  # type: ignore[return-value]  # asked for
            raise

    # -- leaving ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel what is open. The batch yields nothing more."""
        self._exhausted = True
        self._window.cancel()
        if isinstance(self._listener, ProgressBar):
            self._listener.close()

    async def aclose(self) -> None:
        """:meth:`close`, for asynchronous code."""
        self.close()

    def __enter__(self) -> Batch[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Batch[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _length(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """How many items there will be, if that can be told."""
    sized = [len(iterable) for iterable in iterables if isinstance(iterable, Sized)]
    return min(sized) if len(sized) == len(iterables) else None


class _Window(Generic[T]):
    """Futures that are open or not yet taken."""

    def __init__(self) -> None:
        self._wake: Callable[[], object] | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, future: CallFuture[T]) -> None:
        """Put a future in."""
        raise NotImplementedError

    def take(self) -> CallFuture[T] | None:
        """The next settled future; None when it has to be waited for."""
        raise NotImplementedError

    def futures(self) -> Iterable[CallFuture[T]]:
        """All that are in."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forget all."""
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def settled(self) -> None:
        """A future may have become ready. Any thread."""
        wake = self._wake
        if wake is not None:
            wake()

    def wait(self) -> None:
        """Wait until :meth:`take` may have one."""
        waiting = waiter()
        self._wake = waiting.wake
        try:
            if not self._ready():
                waiting.wait(None)  # every call has an end of its own
        finally:
            self._wake = None

    async def wait_async(self) -> None:
        """The same in asyncio."""
        loop = asyncio.get_running_loop()
        pending: asyncio.Future[None] = loop.create_future()
        bridge = bridge_to(loop)
        self._wake = lambda: bridge.post(pending)
        try:
            if not self._ready():
                await pending
        finally:
            self._wake = None

    def cancel(self) -> None:
        """Cancel what is open and forget all."""
        for future in list(self.futures()):
            future.cancel()
        self.clear()


class _OrderedWindow(_Window[T]):
    """Hands futures out in the order in which they came in."""

    def __init__(self) -> None:
        super().__init__()
        self._line: collections.deque[CallFuture[T]] = collections.deque()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, future: CallFuture[T]) -> None:
        self._line.append(future)
        future.on_settled(self.settled)

    def take(self) -> CallFuture[T] | None:
        return self._line.popleft() if self._line[0].done() else None

    def futures(self) -> Iterable[CallFuture[T]]:
        return self._line

    def clear(self) -> None:
        self._line.clear()

    def _ready(self) -> bool:
        return self._line[0].done()


class _UnorderedWindow(_Window[T]):
    """Hands futures out in the order in which they were settled."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[CallFuture[T]] = set()
        self._done: collections.deque[CallFuture[T]] = collections.deque()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, future: CallFuture[T]) -> None:
        self._open.add(future)

        def settled() -> None:
            self._done.append(future)
            self.settled()

        future.on_settled(settled)

    def take(self) -> CallFuture[T] | None:
        while self._done:
            future = self._done.popleft()
            if future in self._open:  # a future may report twice
                self._open.remove(future)
                return future
        return None

    def futures(self) -> Iterable[CallFuture[T]]:
        return self._open

    def clear(self) -> None:
        self._open.clear()
        self._done.clear()

    def _ready(self) -> bool:
        return bool(self._done)
