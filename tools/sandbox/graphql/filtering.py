"""The small languages of paginated queries: ``filter`` and ``order``.

A filter compares fields with values, ``(status == "RUNNING") & (name ilike "a%")``; an order names fields,
``+name,-created_at``.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

Getter = Callable[[Any, str], Any]
Test = Callable[[Any], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>[+-]?\d+(?:\.\d+)?)"""
    r"""|(?P<operator>==|!=|>=|<=|>|<)|(?P<mark>[()\[\],&|!])|(?P<word>[A-Za-z_]\w*))"""
)
_WORDS: Final = {"null": None, "true": True, "false": False}
_ORDER: Final = re.compile(r"\s*([+-]?)\s*([A-Za-z_]\w*)\s*")


def filtered(items: Iterable[Any], expression: str | None, get: Getter) -> list[Any]:
    """The items that a filter lets through.

    Args:
        items: The items.
        expression: The filter; None or empty lets all through.
        get: Gives an item's field; raises ``ValueError`` for one that there is not.

    Raises:
        ValueError: It cannot be read, or names an unknown field.
    """
    if not expression:
        return list(items)
    test = _Parser(expression, get).parse()
    return [item for item in items if test(item)]


def ordered(items: list[Any], expression: str | None, get: Getter) -> list[Any]:
    """The items in an order; arguments as for :func:`filtered`."""
    if not expression:
        return items
    for part in reversed(expression.split(",")):
        match = _ORDER.fullmatch(part)
        if match is None:
            raise ValueError(f"Query ordering parsing error: {part}")
        sign, field = match.groups()
        items = sorted(items, key=lambda item: _sortable(get(item, field)), reverse=sign == "-")
    return items


def _sortable(value: Any) -> tuple[bool, Any]:
    if isinstance(value, (int, float, datetime.datetime)):
        return (True, value)
    return (value is not None, "" if value is None else str(value))


class _Parser:
    def __init__(self, expression: str, get: Getter) -> None:
        self._get = get
        self._tokens: list[tuple[str, str]] = []
        position = 0
        expression = expression.rstrip()
        while position < len(expression):
            match = _TOKEN.match(expression, position)
            if match is None:
                raise ValueError(f"Query filter parsing error: {expression[position:]}")
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()
        self._position = 0

    def parse(self) -> Test:
        test = self._expression()
        if self._position < len(self._tokens):
            raise ValueError(f"Query filter parsing error: {self._tokens[self._position][1]}")
        return test

    def _take(self) -> tuple[str, str]:
        if self._position >= len(self._tokens):
            raise ValueError("Query filter parsing error: it ends too early")
        self._position += 1
        return self._tokens[self._position - 1]

    def _next_is(self, *texts: str) -> bool:
        return self._position < len(self._tokens) and self._tokens[self._position][1] in texts

    def _expression(self) -> Test:
        left = self._term()
        while self._next_is("&", "|"):
            _, mark = self._take()
            right = self._term()
            left = _both(left, right) if mark == "&" else _either(left, right)
        return left

    def _term(self) -> Test:
        kind, text = self._take()
        if text == "!":
            inner = self._term()
            return lambda item: not inner(item)
        if text == "(":
            inner = self._expression()
            if self._take()[1] != ")":
                raise ValueError("Query filter parsing error: ) is missing")
            return inner
        if kind != "word":
            raise ValueError(f"Query filter parsing error: {text}")
        return self._comparison(text)

    def _comparison(self, field: str) -> Test:
        _, name = self._take()
        compare = _OPERATORS.get(name)
        if compare is None:
            raise ValueError(f"Query filter parsing error: {name}")
        value, get = self._value(), self._get
        get(None, field)
        return lambda item: compare(_comparable(get(item, field), value), value)

    def _value(self) -> Any:
        kind, text = self._take()
        if kind == "string":
            return json.loads(text)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if text in _WORDS:
            return _WORDS[text]
        if text != "[":
            raise ValueError(f"Query filter parsing error: {text}")
        values: list[Any] = []
        while not self._next_is("]"):
            values.append(self._value())
            if self._next_is(","):
                self._take()
        self._take()
        return values


def _both(left: Test, right: Test) -> Test:
    return lambda item: left(item) and right(item)


def _either(left: Test, right: Test) -> Test:
    return lambda item: left(item) or right(item)


def _comparable(found: Any, value: Any) -> Any:
    """What was found, in the form that the value has."""
    if isinstance(value, list) and value:
        return _comparable(found, value[0])
    if isinstance(value, str) and found is not None and not isinstance(found, (str, list)):
        return found.isoformat() if isinstance(found, datetime.datetime) else str(found)
    return found


def _like(flags: int = 0) -> Callable[[Any, Any], bool]:
    def compare(found: Any, value: Any) -> bool:
        pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in str(value))
        return found is not None and re.fullmatch(pattern, str(found), flags | re.DOTALL) is not None

    return compare


def _known(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    """As in SQL: nothing compares with null."""
    return lambda found, value: found is not None and value is not None and bool(compare(found, value))


_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": _known(lambda found, value: value in found if isinstance(found, list) else found == value),
    "!=": _known(lambda found, value: found != value),
    ">": _known(lambda found, value: found > value),
    ">=": _known(lambda found, value: found >= value),
    "<": _known(lambda found, value: found < value),
    "<=": _known(lambda found, value: found <= value),
    "contains": _known(lambda found, value: value in found),
    "in": _known(lambda found, value: found in value),
    "is": lambda found, value: found is value,
    "isnot": lambda found, value: found is not value,
    "like": _like(),
    "ilike": _like(re.IGNORECASE),
}
