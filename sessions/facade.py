"""``Session`` and ``AsyncSession``: what users hold."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from ai.backend.client import _current as current
from ai.backend.client import log
from ai.backend.client._checks import at_least, check_seconds
from ai.backend.client.actors.call import Options
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.waiting import in_event_loop, may_wait
from ai.backend.client.config import APIConfig, get_config
from ai.backend.client.exceptions import BackendError, InvalidArgument, type_of
from ai.backend.client.functions.base import Async, M, Sync
from ai.backend.client.functions.server import Server
from ai.backend.client.functions.streams.events import SSEResponse
from ai.backend.client.functions.streams.stream import StreamSpec
from ai.backend.client.functions.streams.websocket import WebSocketResponse
from ai.backend.client.progress import ProgressListener
from ai.backend.client.request import Request, Response
from ai.backend.client.sessions.batch import Batch
from ai.backend.client.sessions.core import Closing, Core, dropped
from ai.backend.client.sessions.proxies import Proxies
from ai.backend.client.sessions.streams.driver import StreamDriver
from ai.backend.client.sessions.streams.kinds import make_driver

CLOSE_TIMEOUT = 10.0
"""Seconds that calls in flight get to end when a session closes."""

TEARDOWN_LIMIT = 5.0
"""Seconds that taking a runtime down may take on top; it takes about 0.2 ms."""

_log = log.get_logger("sessions.facade")

T = TypeVar("T")


class _NotGiven:
    """Type of the marker for arguments that were not given, where None means something."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN = _NotGiven()


class BaseSession(Proxies[M]):
    """What both kinds of session have in common. Construct :class:`Session` or :class:`AsyncSession`.

    Constructing does no I/O and starts no thread; ``with``, ``async with``, ``open()`` or the first call opens the
    session.

    Args:
        config: How to reach the cluster. By default :func:`ai.backend.client.config.get_config`.
        proxy_mode: Do not ask the server for its API version when the session opens; the configured one holds, and the
            server is taken for the latest release of that version.

    Thread-safety: share it between any number of threads, greenlets and tasks. A forked child may go on using an open
    session: it gets connections of its own; what was in flight in the parent stays the parent's.
    """

    asynchronous = False

    def __init__(self, *, config: APIConfig | None = None, proxy_mode: bool = False) -> None:
        if config is None:
            config = get_config()
        if not isinstance(config, APIConfig):
            raise InvalidArgument("config", type_of(config), "must be an APIConfig")
        self._core = Core(config, probes=not proxy_mode)
        self._options = Options(
            timeout=config.read_timeout or None, deadline=config.deadline or None, retries=config.retries
        )
        self._root: BaseSession[M] | None = None
        self._bound: dict[type, type] = {}
        self._finalizer: weakref.finalize[[Core, str], BaseSession[M]] = weakref.finalize(
            self, dropped, self._core, type(self).__name__
        )
        self._finalizer.atexit = False  # the hub has an exit hook of its own

    def __repr__(self) -> str:
        core = self._core
        state = "closed" if core.closed else "new" if core.runtime is None else "open"
        return f"<{type(self).__name__} {state} {', '.join(core.config.endpoints)}>"

    def __reduce__(self) -> NoReturn:
        """Neither pickled nor copied: two objects would each close the connections of both."""
        raise TypeError(
            f"{type(self).__name__} objects cannot be pickled or copied: make a session in the process that uses it"
        )

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> APIConfig:
        """The session's configuration."""
        return self._core.config

    @property
    def closed(self) -> bool:
        """Whether the session was closed."""
        runtime = self._core.runtime
        return self._core.closed or (runtime is not None and runtime.pid == os.getpid() and runtime.closing)

    @property
    def api_version(self) -> tuple[int, str]:
        """The API version in use, for example ``(7, "20230615")``: the configured one until it has been negotiated."""
        return self._server.generation.version

    @property
    def cookies(self) -> Any:
        """The web session's cookie jar in session mode, None otherwise."""
        runtime = self._core.runtime
        return None if runtime is None or runtime.cookies is None else runtime.cookies.jar

    @property
    def _server(self) -> Server:
        """What function proxies of this session carry."""
        return self._core.server

    # -- calls --------------------------------------------------------------------------------------------------------

    def _submit(self, name: str, actor: str, recipe: Generator[Any, Any, Any]) -> CallFuture[Any]:
        return self._core.open_runtime().submit(name, actor, recipe, self._options)

    def _wait(self, future: CallFuture[T]) -> T:
        try:
            return future.result()
        except BaseException:
            # An interrupt, gevent.Timeout, a kill: nobody will ask for this answer any more. No effect on a call that
            # has ended.
            future.cancel()
            raise

    def _stream(self, spec: StreamSpec) -> StreamDriver[Any]:
        """The running side of a stream, not yet open."""
        return make_driver(self._core.open_runtime().streams, spec, self._options)

    def _send_request(self, request: Request) -> CallFuture[Response]:
        return self._submit("fetch", "Request", _fetch(request))

    def _websocket_of(
        self, request: Request, on_enter: Callable[[Any], Any] | None, kind: type[WebSocketResponse[Any]] | None
    ) -> WebSocketResponse[Any]:
        return (kind or WebSocketResponse).of_request(request, on_enter)

    def _events_of(self, request: Request, reconnect: bool, kind: type[SSEResponse[Any]] | None) -> SSEResponse[Any]:
        return (kind or SSEResponse).of_request(request, reconnect)

    def with_options(
        self,
        *,
        timeout: float | _NotGiven | None = NOT_GIVEN,
        deadline: float | _NotGiven | None = NOT_GIVEN,
        retries: int | _NotGiven = NOT_GIVEN,
    ) -> Self:
        """A view of this session with other limits.

        It shares connections and life with the session and cannot be closed.

        Args:
            timeout: Seconds that the server may be silent; None or 0: no limit.
            deadline: Seconds for a call as a whole; None or 0: no limit. A limit given here holds even for calls that
                the server may hold by design.
            retries: How many times a failed attempt may be repeated.

        Raises:
            InvalidArgument: A value makes no sense.
        """
        view = object.__new__(type(self))
        options = self._options
        view._core = self._core
        view._root = self._root or self
        view._bound = {}
        view._options = Options(
            timeout=options.timeout if isinstance(timeout, _NotGiven) else _limit("timeout", timeout),
            deadline=options.deadline if isinstance(deadline, _NotGiven) else _limit("deadline", deadline),
            retries=options.retries if isinstance(retries, _NotGiven) else at_least(0)("retries", retries),
            explicit=options.explicit or not (isinstance(timeout, _NotGiven) and isinstance(deadline, _NotGiven)),
            fixed=options.fixed or not isinstance(deadline, _NotGiven),
        )
        return view

    def map(
        self,
        function: Callable[..., Any],
        *iterables: Iterable[Any],
        concurrency: int = 64,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool | ProgressListener = False,
    ) -> Batch[Any]:
        """Call a function for every item, many at once.

        Args:
            function: An API function (``session.Kernel.get_or_create``; its ``submit`` is used), or any callable that
                returns a :class:`CallFuture`.
            iterables: Its arguments, as for the built-in ``map``. Read lazily, in the consumer's thread or task.
            concurrency: How many calls and untaken results there may be at once, at least 1.
            ordered: Yield results in the order of the input; otherwise as they come.
            return_exceptions: Yield an exception as an item. Otherwise the first failure cancels the rest and is
                raised.
            progress: True shows a bar on standard error. A callable is called, in the consumer's context, with how many
                results were taken and how many items there are (None where that cannot be told in advance).

        Returns:
            An iterator for ``for`` and ``async for``. Sending starts at the first ``next()``.

        Raises:
            InvalidArgument: Bad ``concurrency``, or no iterable.
            TypeError: ``function`` cannot be called, or (when consumed) returned something else than a
                :class:`CallFuture`.
        """
        submit = getattr(function, "submit", None) or function
        if not callable(submit):
            raise TypeError(f"map needs a function, got {function!r}")
        return Batch(submit, iterables, concurrency, ordered, return_exceptions, progress)

    # -- life ---------------------------------------------------------------------------------------------------------

    def _submit_opening(self) -> CallFuture[str | None]:
        wants = self._core.config.announcement_handler is not None
        return self._submit("open", "Session", _announcement(wants))

    def _announce(self, message: str | None) -> None:
        handler = self._core.config.announcement_handler
        if message is not None and handler is not None:
            handler(message)

    def _start_closing(self, timeout: float) -> Closing | None:
        if self._root is not None:
            raise TypeError("this is a view made by with_options(): close the session that it was made from")
        check_seconds("timeout", timeout, "from 0")
        self._finalizer.detach()
        return self._core.start_closing(timeout)

    def _finish_closing(self, closing: Closing | None, timeout: float) -> None:
        if closing is None or closing.runtime.is_worker():
            return  # on the hub or in a done-callback nobody waits: the closing goes on by itself
        try:
            closing.future.result(timeout + TEARDOWN_LIMIT)
        except TimeoutError:
            closing.runtime.hub.emit(
                lambda: _log.error("the session has not ended in time; it goes on ending by itself")
            )
        else:
            closing.runtime.join(TEARDOWN_LIMIT)


class Session(BaseSession[Sync]):
    """A session whose functions block. See :class:`BaseSession` for its arguments.

    ::

        with Session() as session:
            kernel = session.Kernel.get_or_create("python")
    """

    def open(self) -> None:
        """Connect and negotiate the API version: ``GET /``. Optional, and without effect when it is done already.

        Raises:
            BackendError: No endpoint answered. May be tried again.
        """
        self._announce(self._wait(self._submit_opening()))

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Close the session: refuse new calls, let accepted ones end, take everything down, and wait for that.

        From a done-callback it only starts the closing. Repeating it does nothing more. Any thread.

        Args:
            timeout: Seconds that calls in flight get; those that take longer end in :class:`SessionClosed`.

        Raises:
            TypeError: This is a view made by :meth:`with_options`.
        """
        self._finish_closing(self._start_closing(timeout), timeout)

    if not TYPE_CHECKING:

        def __aenter__(self) -> NoReturn:
            """It is the other kind of session that is for asyncio."""
            raise TypeError("a Session blocks: use `with Session()`, or in asyncio `async with AsyncSession()`")

        __aexit__ = __aenter__

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            if self._root is None:
                self.close(0)
            raise
        current.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.leave(self)
        if self._root is None:
            self.close(CLOSE_TIMEOUT if kind is None else 0)


class AsyncSession(BaseSession[Async]):
    """A session whose functions return futures: ``await`` them in asyncio, ``get()`` them in greenlets and threads.

    ::

        async with AsyncSession() as session:
            kernel = await session.Kernel.get_or_create("python")
    """

    asynchronous = True

    def open(self) -> CallFuture[None]:
        """Connect and negotiate the API version, as :meth:`Session.open` does.

        Returns:
            Its future. An announcement handler runs on the callback worker.
        """
        future = self._submit_opening()
        if self._core.config.announcement_handler is not None:
            future.add_done_callback(
                lambda done: self._announce(None if done.cancelled() or done.exception() else done.result())
            )
        return future  # type: ignore[return-value]  # the value is for the handler

    def close(self, timeout: float = CLOSE_TIMEOUT) -> CallFuture[None]:
        """Start closing, at once; never blocks.

        Args:
            timeout: As for :meth:`Session.close`.

        Returns:
            Settled when nothing is left.

        Raises:
            TypeError: This is a view made by :meth:`with_options`.
        """
        closing = self._start_closing(timeout)
        if closing is not None:
            return closing.future
        done = CallFuture[None]()
        done.settle(None, None)
        return done

    def __enter__(self) -> Self:
        if in_event_loop():
            raise RuntimeError("in a running event loop use `async with AsyncSession()`: `with` would block the loop")
        try:
            self._wait(self.open())
        except BaseException:
            if self._root is None:
                self._close_and_wait(0)
            raise
        current.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.leave(self)
        if self._root is None:
            self._close_and_wait(CLOSE_TIMEOUT if kind is None else 0)

    def _close_and_wait(self, timeout: float) -> None:
        closing = self._start_closing(timeout)
        if may_wait():
            self._finish_closing(closing, timeout)

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            if self._root is None:
                await self.close(0)
            raise
        current.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.leave(self)
        if self._root is None:
            await self.close(CLOSE_TIMEOUT if kind is None else 0)


def _fetch(request: Request) -> Generator[Request, Response, Response]:
    response = yield request
    return response


def _announcement(wanted: bool) -> Generator[Request, Response, str | None]:
    """Runs once the API version is known: that is what opening waits for."""
    if not wanted:
        return None
    try:
        response = yield Request("GET", "/manager/announcement")
        news = response.json()
    except BackendError:
        return None
    return str(news.get("message", "")) if isinstance(news, dict) and news.get("enabled") else None


def _limit(argument: str, value: float | None) -> float | None:
    """A time limit; 0 and None are none, as in the configuration."""
    return None if value is None else check_seconds(argument, value) or None
