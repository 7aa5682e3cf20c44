"""Scenarios that read alike whatever the caller is, and the failures that they expect.

::

    with driving(runtime, config) as admin:
        made = admin.Domain.create("science")       # waits, in whatever way the runtime does
        with refused(404, "object-not-found"):
            admin.Kernel("no-such-session").get_info()
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import pytest

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.functions.base import BaseFunction, BoundFunction
from ai.backend.client.functions.streams.stream import StreamLife
from support.golden.recording import asserted
from support.runtimes.calling import Runtime

PROBLEMS = "https://api.backend.ai/probs/"
LOST = 3
"""Times that a call may lose, see :class:`Function`."""

_expected: list[int] = []
"""Statuses that the `refused` blocks around the code wait for."""


class Driver:
    """A session, a function proxy of it, or an object of one: its API functions are called and waited for.

    Attributes:
        target: What it stands for.
    """

    def __init__(self, runtime: Runtime, target: Any) -> None:
        self.runtime = runtime
        self.target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        if isinstance(found, BoundFunction):
            return Function(self.runtime, found)
        if isinstance(found, type):
            return Driver(self.runtime, found)
        if isinstance(found, types.MethodType):  # sends nothing, but may make an object
            return lambda *args, **kwargs: _driven(self.runtime, found(*args, **kwargs))
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make an object of the proxy."""
        return _driven(self.runtime, self.target(*args, **kwargs))


class Function:
    """An API function that is waited for.

    The manager's transactions are serializable, and it answers 500 when one loses to another (an agent's heartbeat, a
    deletion in the background). Nothing has changed then, and the call is made again, unless the test expects a 500.
    """

    def __init__(self, runtime: Runtime, function: Any) -> None:
        self._runtime = runtime
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outcome = None
        for _ in range(LOST):
            outcome = self._runtime.outcome(lambda: self._function(*args, **kwargs))
            if not _has_lost(outcome):
                break
        if isinstance(outcome, BaseException):
            raise outcome
        return _driven(self._runtime, outcome)

    def submit(self, *args: Any, **kwargs: Any) -> Callable[[], Any]:
        """Start the call; calling what is returned waits for it."""
        [future] = self._runtime.value(lambda: [self._function.submit(*args, **kwargs)])
        return lambda: _driven(self._runtime, self._runtime.value(lambda: future))

    def everything(self, *args: Any, **kwargs: Any) -> list[Any]:
        """All items of a paginated list, page after page."""
        items = self._function.iterate(*args, **kwargs)
        if self._runtime.name != "asyncio":
            return list(self._runtime.value(lambda: list(items)))

        async def collect() -> list[Any]:
            return [item async for item in items]

        return list(self._runtime.value(collect))


class DrivenStream:
    """A stream whose functions and items are waited for; open within a `with` block."""

    def __init__(self, runtime: Runtime, stream: Any) -> None:
        self._runtime = runtime
        self._stream = stream

    def __enter__(self) -> Self:
        self._runtime.value(self._stream.open)
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.value(self._stream.close)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: self._runtime.value(lambda: found(*args, **kwargs))

    def __iter__(self) -> Iterator[Any]:
        return self.items(self._stream)

    def items(self, source: Any) -> Iterator[Any]:
        """Items of the stream, or of another reading of it, as they come."""
        step = source.__anext__ if self._runtime.name == "asyncio" else source.__next__
        while not isinstance(item := self._runtime.outcome(step), StopIteration | StopAsyncIteration):
            if isinstance(item, BaseException):
                raise item
            yield item


@contextlib.contextmanager
def driving(runtime: Runtime, *configs: Any) -> Iterator[Any]:
    """Drivers of open sessions, one per configuration."""
    with contextlib.ExitStack() as sessions:
        drivers = [Driver(runtime, sessions.enter_context(runtime.session(config))) for config in configs]
        yield drivers[0] if len(drivers) == 1 else drivers


@contextlib.contextmanager
def refused(status: int, problem: str, **data: Any) -> Iterator[pytest.ExceptionInfo[BackendAPIError]]:
    """The block ends in an error answer of this kind.

    Args:
        status: HTTP status code.
        problem: The last part of its `type`.
        data: Members of the problem document, for example `title` or `msg`. A text needs to be in there only.
    """
    _expected.append(status)
    try:
        with pytest.raises(BackendAPIError) as caught:
            yield caught
    finally:
        _expected.pop()
    error = caught.value
    assert (error.status, error.type) == (status, f"{PROBLEMS}{problem}" if problem else ""), error
    for key, wanted in data.items():
        found = error.data.get(key)
        assert wanted in found if isinstance(wanted, str) else wanted == found, error
    asserted(error)


def failed(answer: Mapping[str, Any], message: str) -> None:
    """A mutation has said no, with this text in its message."""
    assert answer["ok"] is False, answer
    assert message in answer["msg"], answer
    asserted(answer)


def done(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mutation has said yes."""
    assert answer["ok"] is True, answer
    return answer


def _has_lost(outcome: object) -> bool:
    return (
        isinstance(outcome, BackendAPIError)
        and (outcome.status, outcome.type, outcome.msg) == (500, f"{PROBLEMS}internal-server-error", "")
        and outcome.status not in _expected
    )


def _driven(runtime: Runtime, value: Any) -> Any:
    """Objects of proxies and streams are driven, too."""
    if isinstance(value, StreamLife):
        return DrivenStream(runtime, value)
    return Driver(runtime, value) if isinstance(value, BaseFunction) else value
