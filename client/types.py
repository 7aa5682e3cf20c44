"""Markers for values that are not there, as the vendor's client has them since 20.03.

``undefined`` as an argument of an API function is the same as not giving the argument.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Literal

__all__ = ["Sentinel", "Undefined", "sentinel", "set_if_set", "undefined"]


class Sentinel(enum.Enum):
    """Type of :data:`sentinel`. Counts as false."""

    TOKEN = 0

    def __bool__(self) -> bool:
        return False


class Undefined(enum.Enum):
    """Type of :data:`undefined`. Counts as false."""

    TOKEN = 0

    def __bool__(self) -> bool:
        return False


sentinel: Final[Literal[Sentinel.TOKEN]] = Sentinel.TOKEN
"""Marks the end of a queue."""

undefined: Final[Literal[Undefined.TOKEN]] = Undefined.TOKEN
"""Stands for an argument that was not given, where None would mean something."""


def set_if_set(
    target_dict: MutableMapping[str, Any], key: str, value: Any, *, clean_func: Callable[[Any], Any] | None = None
) -> None:
    """Put a value into a mapping, unless it is :data:`undefined`.

    Args:
        target_dict: The mapping.
        key: The key.
        value: The value.
        clean_func: What to make of the value first.
    """
    if value is not undefined:
        target_dict[key] = value if clean_func is None else clean_func(value)
