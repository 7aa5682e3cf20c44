"""Greenlets of their own for what waits longer than one call: the readers and writers of streams.

Like lanes, they live below the hub. Unlike lanes, each belongs to one thing for as long as that lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.offload import Abandoned


class HubGreenlet:
    """A greenlet below the hub that runs one function, which may wait.

    :meth:`start` and :meth:`stop` are for code on the hub's thread, the rest for the function itself.

    Args:
        hub: Where it lives.
        function: What it runs. Must let :class:`Abandoned` through.
    """

    __slots__ = ("_function", "_greenlet", "_hub", "_stopped", "_ticket")

    def __init__(self, hub: Hub, function: Callable[[], object]) -> None:
        self._hub = hub
        self._function = function
        self._greenlet: Any = None
        self._ticket: object = None  # of the wait that is under way
        self._stopped = False

    def start(self) -> None:
        """Run it soon: in this turn of the loop."""
        self._hub.call(self._begin)

    def _begin(self) -> None:
        if not self._stopped and self._greenlet is None:
            self._greenlet = self._hub.greenlet(self._run)
            self._greenlet.switch()

    def _run(self) -> None:
        try:
            self._function()
        except Abandoned:
            pass
        except BaseException as error:
            self._hub.report(error, "a stream's greenlet failed")
        finally:
            self._function = _nothing  # what it belongs to holds this object: no cycle is left to be collected

    def stop(self) -> None:
        """End it, wherever it waits. Only in the hub's own greenlet: elsewhere control would not come back."""
        self._stopped = True
        if self._greenlet:  # started, and not dead
            self._greenlet.throw(Abandoned)
        else:
            self._function = _nothing

    def sleep(self, seconds: float) -> None:
        """Wait for some time."""
        ticket = self._ticket = object()
        timer = self._hub.later(seconds, lambda: self._resume(ticket), ref=False)
        try:
            while self._ticket is ticket:
                self._hub.park()
        finally:
            self._ticket = None
            timer.cancel()

    def wait(self, future: CallFuture[Any]) -> None:
        """Wait until a future is settled; its outcome is for the caller to look at."""
        ticket = self._ticket = object()
        future.on_settled(lambda: self._hub.call(lambda: self._resume(ticket)))
        try:
            while not future.done():
                self._hub.park()
        finally:
            self._ticket = None

    def _resume(self, ticket: object) -> None:
        if ticket is self._ticket:
            self._ticket = None
            self._greenlet.switch()


def _nothing() -> None:
    return None
