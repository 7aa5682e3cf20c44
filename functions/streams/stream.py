"""Streams: what an API function returns when its answer has no end of its own.

A stream is an object, not a future. On a ``Session`` it is for ``with`` and ``for``, on an ``AsyncSession`` for ``async
with`` and ``async for`` too; functions of the object itself (``send_str``, ``close``) block on the one and return
futures on the other, like API functions::

    with session.Kernel("my-session").listen_events() as events:
        for event in events:
            print(event.event, event.json())

Nothing is sent before the stream is opened: by ``with``, ``open()``, or the first item that is asked for.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.waiting import in_event_loop
from ai.backend.client.exceptions import StreamClosed
from ai.backend.client.functions.base import Async, M, Sync
from ai.backend.client.request import Request, Response

__all__ = ["Reading", "Stream", "StreamFunction", "StreamLife", "StreamSpec", "stream_function", "stream_request"]

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")

NO_TYPE = ""
"""Content type of requests that open event streams and WebSockets: they have none (and are signed accordingly)."""

MAX_MESSAGE = 16 << 20
"""Bytes that one message or event may have, decompressed: the manager's own limit (``max-wsmsg-size``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """What a stream is made from. Each kind of stream has a subclass; a session knows how to run it.

    Attributes:
        function: Name of the API function.
        actor: Name of its proxy.
        request: Makes the request that opens the stream, a new one each time. Called on the hub, once the API version
            is known; raises what is wrong with the arguments.
    """

    function: str
    actor: str
    request: Callable[[], Request]


def stream_request(request: Request) -> Request:
    """A caller's request, as one that opens a stream: without content type and body."""
    opening = Request("GET", request.path, params=request.params, anonymous=request.anonymous, content_type=NO_TYPE)
    if request.headers:
        opening.headers.update(request.headers)
    opening._api_version = request._api_version
    return opening


class Driver(Protocol):
    """The running side of a stream, in the session's runtime. Any thread.

    Attributes:
        is_over: Whether the stream has ended.
        response: The answer that opened it, None before.
        error: What ended it, None before.
    """

    is_over: bool
    response: Response | None
    error: BaseException | None

    def open(self) -> CallFuture[None]:
        """Open the stream, once. Cancelling the future closes the stream, also if another caller opens it."""
        ...

    def take(self, read: Callable[[Any], V]) -> CallFuture[V]:
        """The next item, read by ``read``; opens the stream if need be."""
        ...

    def close(self) -> CallFuture[None]:
        """Close; the future ends when nothing is left of it."""
        ...

    def drop(self) -> None:
        """:meth:`close` for a stream that has been collected."""


def _drop(driver: weakref.ref[Driver]) -> None:
    """The stream has been collected. Its session holds the running side as long as there is something to close."""
    running = driver()
    if running is not None:
        running.drop()


class StreamFunction(Generic[P, T]):
    """A function of a stream: blocks on a ``Session``, returns a future on an ``AsyncSession``.

    Args:
        start: The method behind it, which returns a future.
    """

    def __init__(self, start: Callable[Concatenate[Any, P], CallFuture[T]]) -> None:
        functools.update_wrapper(self, start)  # type: ignore[arg-type]  # works on any object
        self.start: Callable[..., CallFuture[T]] = start

    if TYPE_CHECKING:

        @overload
        def __get__(self, stream: None, owner: Any) -> Self: ...

        @overload
        def __get__(self, stream: StreamLife[Sync], owner: Any) -> Callable[P, T]: ...

        @overload
        def __get__(self, stream: StreamLife[Async], owner: Any) -> Callable[P, CallFuture[T]]: ...

    def __get__(self, stream: Any, owner: Any) -> Any:
        if stream is None:
            return self
        start = functools.partial(self.start, stream)
        if stream.session.asynchronous:
            return start
        return lambda *args, **kwargs: stream.session._wait(start(*args, **kwargs))


def stream_function(start: Callable[Concatenate[Any, P], CallFuture[T]]) -> StreamFunction[P, T]:
    """Make a method that returns a future a function of the stream."""
    return StreamFunction(start)


class StreamLife(Generic[M]):
    """The life of a stream: opened by ``with``, :meth:`open` or its first use, ended by :meth:`close` or its session.

    Args:
        session: The session.
        spec: What to open.

    Attributes:
        session: See above.
    """

    def __init__(self, session: Any, spec: StreamSpec) -> None:
        self.session = session
        self._spec = spec
        self._closed_unopened = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else "new" if self._made is None else "open"
        return f"<{type(self).__name__} {self._spec.actor}.{self._spec.function} {state}>"

    @property
    def _made(self) -> Driver | None:
        return self.__dict__.get("_lazy_driver")

    @property
    def _driver(self) -> Driver:
        driver = self._made
        if driver is None:
            if self._closed_unopened:
                raise StreamClosed("the stream was closed before it was opened")
            made: Driver = self.session._stream(self._spec)
            driver = self.__dict__.setdefault("_lazy_driver", made)
            if driver is made:
                # Weakly: the traceback of its error may lead back here, and then neither would ever be collected.
                weakref.finalize(self, _drop, weakref.ref(made)).atexit = False
            if self._closed_unopened:  # meanwhile, by a caller who may not have seen the driver
                driver.drop()
        return driver

    @property
    def closed(self) -> bool:
        """Whether the stream has ended, by either side."""
        driver = self._made
        return self._closed_unopened if driver is None else driver.is_over

    def exception(self) -> BaseException | None:
        """What ended the stream other than a close as it should be; None while it runs, too."""
        error = None if self._made is None else self._made.error
        return None if isinstance(error, StreamClosed) and error.is_clean else error

    @stream_function
    def open(self) -> CallFuture[None]:
        """Open the stream. Optional, and without effect when it is open already.

        Raises:
            BackendAPIError: The server refused; status and problem document are those of its answer.
            BackendAPIVersionError: The server is too old.
            InvalidReply: The server answered, but with no stream.
            Overloaded: As many streams as the configuration's ``streams`` are open.
            BackendClientError: It could not be reached, or the session is closed.
        """
        return self._driver.open()

    @stream_function
    def close(self) -> CallFuture[None]:
        """Close the stream and wait until its connection is gone, about a second at most.

        Readers that wait get :class:`StreamClosed` at once; what they have not read is dropped. Any thread; may be
        repeated.
        """
        self._closed_unopened = True  # first; see _driver
        driver = self._made
        if driver is not None:
            return driver.close()
        done = CallFuture[None]()
        done.settle(None, None)
        return done

    def __enter__(self) -> Self:
        self._refuse_loop("async with")
        driver = self._driver
        try:
            self.session._wait(driver.open())
            self._entered()
        except BaseException:  # an interrupt may have come just when the stream was open
            driver.drop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session._wait(StreamLife.close.start(self))

    async def __aenter__(self) -> Self:
        driver = self._driver
        try:
            await driver.open()
            await self._entered_async()
        except BaseException:  # see __enter__
            driver.drop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await StreamLife.close.start(self)

    def _entered(self) -> None:
        """For subclasses: what ``with`` does beyond opening."""

    async def _entered_async(self) -> None:
        """For subclasses: what ``async with`` does beyond opening."""

    def _refuse_loop(self, instead: str) -> None:
        if self.session.asynchronous and in_event_loop():
            raise RuntimeError(f"in a running event loop use `{instead}`: this would block the loop")


class Stream(StreamLife[M], Generic[M, T]):
    """A stream of items, for one reader at a time; :meth:`close` is for any thread.

    A reader that stops reading makes the session stop reading from the server: at most 256 KiB (or one larger item)
    wait. Ending a wait early (a timeout, a cancelled task) loses no item.
    """

    @property
    def raw_response(self) -> Any:
        """The :class:`requests.Response` that opened the stream (its body is the stream); None before."""
        response = None if self._made is None else self._made.response
        return None if response is None else response.raw_response

    def _take(self, read: Callable[[T], V]) -> CallFuture[V]:
        return self._driver.take(read)

    def _next(self, read: Callable[[T], V]) -> V:
        self._refuse_loop("async for")
        try:
            item: V = self.session._wait(self._driver.take(read))
        except StreamClosed as closed:
            if closed.is_clean:
                raise StopIteration from None
            raise
        return item

    async def _next_async(self, read: Callable[[T], V]) -> V:
        try:
            return await self._driver.take(read)
        except StreamClosed as closed:
            if closed.is_clean:
                raise StopAsyncIteration from None
            raise

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._next(_as_it_is)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self._next_async(_as_it_is)


class Reading(Generic[T]):
    """The items of a stream, read in another way: an iterator and asynchronous iterator of its own.

    Args:
        stream: The stream.
        read: What makes an item out of the stream's.
    """

    def __init__(self, stream: Stream[Any, Any], read: Callable[[Any], T]) -> None:
        self._stream = stream
        self._read = read

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._stream._next(self._read)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self._stream._next_async(self._read)


def _as_it_is(item: T) -> T:
    return item
