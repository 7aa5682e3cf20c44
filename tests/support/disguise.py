"""Values in disguise: of a subclass that says something else wherever it is written."""

from __future__ import annotations

import enum
from typing import Any, NoReturn

WRONG = "a name in place of the value"


class Text(str):
    """As an enum member with a text, and worse: whatever writes it must have made it plain before."""

    __slots__ = ()

    def __str__(self) -> str:
        return WRONG

    def __format__(self, spec: str) -> str:
        return WRONG

    def encode(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a text was encoded that should have been made plain")


class Whole(int):
    """The same of a number."""

    def __str__(self) -> str:
        return WRONG

    def __format__(self, spec: str) -> str:
        return WRONG


class Fraction(float):
    """The same of a number that need not be whole."""

    def __str__(self) -> str:
        return WRONG

    def __format__(self, spec: str) -> str:
        return WRONG


def disguised(value: Any) -> Any:
    """The value, and what is in it, in subclasses; a bool has none."""
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Whole(value)
    if isinstance(value, float):
        return Fraction(value)
    return value


def member(value: Any) -> Any:
    """An enum member with this value, of the kind that is a text or a number itself."""
    if value is None or isinstance(value, bool | bytes):
        return value
    kind = type(value)
    made: Any = enum.Enum("Member", {"ONE": value}, type=kind)
    made.__repr__ = kind.__repr__  # messages show values with repr(), which tells more of a member than its value
    return made.ONE
