"""The running side of one stream: what all kinds of streams have in common.

========= ================================================ =========
State     Event                                            Next
========= ================================================ =========
NEW       ``open()``, or the first ``take()``              OPENING
NEW       closed from this side                            ENDED
OPENING   the opening call has its answer                  OPEN
OPENING   the call failed; closed from this side           ENDED
OPEN      ``serve()`` has returned; closed from this side  ENDED
========= ================================================ =========

ENDED is for ever: whatever comes later is without effect. Every other move raises. A stream that connects again stays
OPEN meanwhile. What closes from this side:

* ``close``: a caller wants it to end, as it should.
* ``drop``: its stream object was collected; like ``close``, with nobody to wait for it.
* ``close_with_session``: the session drains; :meth:`StreamDriver.begin_shutdown` came before.
* ``abort``: the session ends; at once, whatever goes on.
* ``disown``: the process was forked, and the stream is the parent's.

Opening is a call like any other (version, endpoint choice, signature, retries, deadline), whose answer stays open: the
transport hands the connection over (:meth:`StreamDriver.adopt`), and a greenlet of the stream's own reads on. From then
on the stream takes no lane.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

from ai.backend.client.actors.call import Options
from ai.backend.client.actors.channel import Channel, stream_future
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.greenlets import HubGreenlet
from ai.backend.client.actors.offload import Abandoned
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.exceptions import ActorCrashed, BackendError, InvalidReply, SessionClosed, StreamClosed
from ai.backend.client.functions.streams.stream import StreamSpec
from ai.backend.client.request import Request, Response
from ai.backend.client.sessions.locating import crash_error, locate
from ai.backend.client.sessions.streams.registry import Streams
from ai.backend.client.sessions.wire.failures import FAILURES, translate

T = TypeVar("T")
V = TypeVar("V")

CHUNK = 65536
"""Bytes asked of a connection at a time."""

CLOSED_HERE = "the stream was closed"
FORKED = "the process was forked while the stream was open: it belongs to the parent"


class State(enum.Enum):
    """See the module."""

    NEW = "new"
    OPENING = "opening"
    OPEN = "open"
    ENDED = "ended"


MOVES: Mapping[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPENING, State.ENDED}),
    State.OPENING: frozenset({State.OPEN, State.ENDED}),
    State.OPEN: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}
"""See the module."""


class StreamDriver(Generic[T]):
    """One stream. ``open``, ``take``, ``close`` and ``drop`` are for any thread, the rest is for the hub.

    Args:
        streams: The session's streams.
        spec: What to open.
        options: Limits: of the opening call, and for how long the server may be silent.

    Attributes:
        is_over: Whether it has ended.
        response: The answer that opened it.
        error: What ended it.
    """

    def __init__(self, streams: Streams, spec: Any, options: Options) -> None:
        self._streams = streams
        self._owner = streams.owner
        self._hub = streams.hub
        self._spec: StreamSpec = spec
        self._options = options
        self._channel: Channel[T] = Channel(self._hub, self._owner, self.size_of)
        self._state = State.NEW
        self._unopened = [None]  # who takes it out opens the stream
        self._opened = CallFuture[None]()
        self._call: CallFuture[Any] | None = None
        self._closed = CallFuture[None]()
        self._reader = HubGreenlet(self._hub, self._run)
        self._raw: Any = None  # the answer that is being read
        self._latest: Any = None
        self._request: Request | None = None
        self._endpoint: str | None = None
        self._since = 0.0
        self.is_over = False
        self.response: Response | None = None
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._spec.actor}.{self._spec.function} {self._state.value}>"

    # -- for kinds of streams -----------------------------------------------------------------------------------------

    def headers(self) -> Mapping[str, str]:
        """Headers that the opening request needs beyond the usual ones; asked for each attempt."""
        return {}

    def expects(self, status: int) -> bool:
        """Whether an answer of this status is the beginning of a stream."""
        return 200 <= status < 300

    def accept(self, raw: Any) -> None:
        """Look at the answer. Raises what is wrong with it, before anything is read."""

    def serve(self) -> BaseException | None:
        """Read until the stream's end, in a greenlet of its own. Returns or raises what ended it; None: all is well."""
        raise NotImplementedError

    @staticmethod
    def size_of(item: T) -> int:
        """Bytes that an item takes while nobody has taken it."""
        raise NotImplementedError

    def begin_shutdown(self) -> CallFuture[Any] | None:
        """Do what has to be done before the stream is closed from this side, once. Any thread.

        Returns:
            The call that does it; None when there is nothing to do.
        """
        return None

    def _move(self, state: State) -> None:
        if state not in MOVES[self._state]:
            raise RuntimeError(f"{self!r} cannot become {state.value}")
        self._state = state

    # -- any thread ---------------------------------------------------------------------------------------------------

    def open(self) -> CallFuture[None]:
        """Open the stream, once. Cancelling the future closes the stream, whoever else opens it."""
        self._refuse_in_child()
        opening = stream_future(self._owner, self.drop)
        if self._is_first():
            self._start_opening()
        opened = self._opened
        opened.on_settled(lambda: opening.settle(None, opened._exception))
        return opening

    def _is_first(self) -> bool:
        try:
            self._unopened.pop()
        except IndexError:
            return False
        if not self.is_over:
            self._move(State.OPENING)
        if self.is_over:  # the hub may have ended it between these lines
            self._state = State.ENDED
        return not self.is_over

    def _start_opening(self) -> None:
        try:
            self._streams.admit(self)
            call = self._submit(self._opening())
        except BackendError as error:
            self._end_soon(error)
        except BaseException:  # an interrupt
            self._end_soon(StreamClosed(CLOSED_HERE))
            raise
        else:
            if self._state is State.ENDED:  # closed meanwhile, perhaps before there was anything to take back
                self._streams.forget(self)
                call.cancel()

    def _submit(self, recipe: Generator[Any, Any, Any], in_line: bool = False) -> CallFuture[Any]:
        spec = self._spec
        call = self._call = self._owner.submit(spec.function, spec.actor, recipe, self._options, in_line=in_line)
        call.on_settled(lambda: self._hub.call(self._opening_ended))
        return call

    def take(self, read: Callable[[T], V]) -> CallFuture[V]:
        """The next item, read by ``read``; opens the stream if need be."""
        self._refuse_in_child()
        if self._state is State.NEW:
            self.open()
        return self._channel.take(read)

    def close(self) -> CallFuture[None]:
        """Close; the future tells when nothing is left."""
        closing = stream_future(self._owner, _nothing)
        if self._owner.pid != os.getpid():
            closing.settle(None, None)
            return closing
        self._closed.on_settled(lambda: closing.settle(None, None))
        self._channel.close(StreamClosed(CLOSED_HERE))
        self._hub.call(self._close)
        return closing

    def drop(self) -> None:
        """Close, and wait for nothing. Takes no lock: the garbage collector calls it wherever it happens to run."""
        if self._owner.pid == os.getpid():
            self._hub.call(self._drop)

    def _drop(self) -> None:
        self._channel.close(StreamClosed(CLOSED_HERE))
        self._close()

    def disown(self) -> None:
        """In a forked child: end, and touch nothing that is the parent's."""
        error = self.error = SessionClosed(FORKED)
        if self._state is not State.ENDED:
            self._move(State.ENDED)
        self.is_over = True
        self._channel.disown(error)
        self._opened.settle(None, error)
        self._closed.settle(None, None)

    def _refuse_in_child(self) -> None:
        if self._owner.pid != os.getpid():
            raise SessionClosed(FORKED)

    # -- opening ------------------------------------------------------------------------------------------------------

    def _opening(self) -> Generator[Any, Any, None]:
        """The recipe that opens the stream; it runs once the API version is known."""
        if self._state is not State.OPENING:
            raise StreamClosed(CLOSED_HERE)
        request = self._request = self._spec.request()
        request.stream = self
        yield from self._connect()

    def _connect(self) -> Generator[Any, Any, None]:
        response = yield self._request
        if response.raw_response is None or response.raw_response is not self._latest:
            raise InvalidReply(f"the answer (status {response.status}) is no stream", response.status, response.content)

    def adopt(self, raw: Any) -> Response:
        """Take the connection of an answer over. On the lane that read its head.

        Raises:
            BackendError: It is not the answer that it should be.
        """
        try:
            if self._state is State.ENDED:
                raise StreamClosed(CLOSED_HERE)
            self.accept(raw)
        except BaseException:
            raw.close()
            raise
        self._raw = self._latest = raw
        self._endpoint = raw.request.endpoint.url
        self._since = monotonic()
        self.response = Response(raw.status_code, b"", raw)
        self._reader.start()
        self._has_opened()  # at once: the stream may end before the call does
        return self.response

    def _has_opened(self) -> None:
        if self._state is State.OPENING:
            self._move(State.OPEN)
            self._hub.soon(self._opened.settle, None, None)

    def _opening_ended(self) -> None:
        call = self._call
        if self._state is not State.OPENING or call is None:
            return
        if call.cancelled():
            self._end(StreamClosed(CLOSED_HERE))
        elif (error := call.exception(0)) is not None:
            self._end(error)
        else:
            self._has_opened()

    # -- running ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None
        try:
            error = self.serve()
        except Abandoned:
            raise
        except FAILURES as failure:
            error = self._located(translate(failure))
        except BaseException as defect:  # noqa: BLE001  # whatever it is, the reader must be told
            error = self._crashed(defect)
        self._end_soon(error or StreamClosed("the server ended the stream"))

    def _crashed(self, defect: BaseException) -> ActorCrashed:
        """A greenlet of the stream failed: what that means for whoever uses it."""
        self._hub.report(defect, f"{self!r} failed")
        return crash_error(f"{self._spec.actor}.{self._spec.function}", defect)

    def _located(self, error: BackendError) -> BackendError:
        """Say where a running stream failed."""
        locate(error, self._request, self._endpoint, None, self._since)
        return error

    # -- the end ------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close from this side."""
        self._end(StreamClosed(CLOSED_HERE))

    def close_with_session(self, error: BaseException) -> None:
        """The session closes, and has time: end, at once unless :meth:`begin_shutdown` is still at it."""
        self.abort(error)

    def abort(self, error: BaseException) -> None:
        """End at once, whatever goes on: the session ends."""
        self._channel.close(error)
        self._end(error)

    def _end_soon(self, error: BaseException) -> None:
        """:meth:`_end`, from anywhere else than the hub's own greenlet."""
        self._hub.call(lambda: self._end(error))

    def _end(self, error: BaseException) -> None:
        """In the hub's own greenlet."""
        if self.is_over:
            return
        was_open = self._state is State.OPEN
        self.error = error
        self.is_over = True  # first: see _is_first
        self._move(State.ENDED)
        call, self._call = self._call, None
        if call is not None:
            call.cancel()  # without effect on one that has ended
        self._release()
        self._request = None  # it refers to the stream: no cycle is left to be collected
        self._channel.finish(error)
        self._streams.forget(self)
        self._opened.settle(None, None if was_open else error)
        self._closed.settle(None, None)

    def _release(self) -> None:
        """End greenlets and connection, in this order: a greenlet may wait for the connection."""
        self._reader.stop()
        self._disconnect()

    def _disconnect(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            try:
                raw.close()
            except Exception as error:  # noqa: BLE001  # of other libraries, over a broken connection
                self._hub.report(error, f"{self!r} could not close its connection")


def _nothing() -> None:
    return None
