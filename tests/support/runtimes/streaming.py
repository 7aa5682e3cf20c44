"""Reading streams as the callers of a runtime do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.runtimes.calling import Runtime


@dataclass
class Reading:
    """What a reader got: items, and the error that ended them (None: a quiet end, or it left)."""

    items: list[Any] = field(default_factory=list)
    error: BaseException | None = None


def read(runtime: Runtime, stream: Any, until: Callable[[Any], object] = lambda item: False) -> Reading:
    """Read a stream in a `with` block of a caller's, to its end or to the first item that `until` takes."""
    if runtime.name == "asyncio":
        reading: Reading = runtime.coroutine(lambda: read_async(stream, until))  # type: ignore[attr-defined]  # only that runtime has it
        return reading
    return runtime.value(lambda: read_blocking(stream, until))  # type: ignore[no-any-return]  # what the lambda returns


def read_blocking(stream: Any, until: Callable[[Any], object] = lambda item: False) -> Reading:
    """:func:`read`, in the caller that this is."""
    reading = Reading()
    try:
        with stream:
            for item in stream:
                reading.items.append(item)
                if until(item):
                    break
    except Exception as error:
        reading.error = error
    return reading


async def read_async(stream: Any, until: Callable[[Any], object] = lambda item: False) -> Reading:
    """:func:`read` in asyncio."""
    reading = Reading()
    try:
        async with stream:
            async for item in stream:
                reading.items.append(item)
                if until(item):
                    break
    except Exception as error:
        reading.error = error
    return reading
