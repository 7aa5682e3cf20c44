"""What a recipe may yield beside requests: its steps that the runtime does itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Offload(Generic[T]):
    """A step of a recipe that blocks: it runs in a native thread while the recipe is suspended.

    Args:
        function: What to run. It must not touch the session.
        args: Its positional arguments.
    """

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., T], *args: Any) -> None:
        self.function = function
        self.args = args

    def __repr__(self) -> str:
        return f"<Offload {getattr(self.function, '__qualname__', self.function)!s}>"


class Pause:
    """A step of a recipe that waits, without a thread or a lane.

    Args:
        seconds: How long.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds={seconds!r}: must be a number of seconds")
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"<Pause {self.seconds:.3f} s>"


class Gather(Generic[T]):
    """A step of a recipe that runs other recipes, many at once, and is answered with the list of their values.

    Each runs as a call of its own, without an in-flight slot or deadline of its own: it ends with the call that gathers
    it. The first error that one of them raises ends the others and is raised in the gathering recipe.

    Args:
        recipes: The recipes. Asked for the next one whenever one may start, on the hub: it must not block.
        concurrency: How many run at once.
    """

    __slots__ = ("concurrency", "recipes")

    def __init__(self, recipes: Iterable[Generator[Any, Any, T]], concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency={concurrency!r}: must be at least 1")
        self.recipes: Iterator[Generator[Any, Any, T]] = iter(recipes)
        self.concurrency = concurrency

    def __repr__(self) -> str:
        return f"<Gather {self.concurrency} at once>"
