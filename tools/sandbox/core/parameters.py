"""Parameters of requests, checked as strictly as the manager does: unknown keys are errors too."""

# ruff: noqa: TRY004  # a value that does not fit is a ValueError, whatever its type
from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ai.backend.client.sandbox.core.problems import invalid

Check = Callable[[Any], Any]
REQUIRED: Final = object()
LEFT_OUT: Final = object()
"""As a default: the key is missing from the result when it was not given."""

BITS: Final = 64
"""Of the database's whole numbers."""

_TRUE: Final = ("t", "true", "y", "yes", "on", "1")
_FALSE: Final = ("f", "false", "n", "no", "off", "0")


class Field(NamedTuple):
    """One parameter.

    Attributes:
        check: Returns the value to use, or raises ``ValueError`` with the reason.
        default: The value when it is not given; :data:`REQUIRED` or :data:`LEFT_OUT`.
        names: Every name it may have in a request; default: the name it is listed by.
    """

    check: Check
    default: Any = REQUIRED
    names: tuple[str, ...] = ()


Schema = Mapping[str, Field]


def checked(given: Any, schema: Schema, *, extra: bool = False) -> dict[str, Any]:
    """The parameters by the schema's names.

    Args:
        given: What the request has.
        schema: What it may have.
        extra: Let other keys pass, as they are.

    Raises:
        Problem: 400 with the reasons by key.
    """
    errors: dict[str, str] = {}
    values = checked_or_errors(given, schema, errors, extra=extra)
    if errors:
        raise invalid("Input validation error", errors)
    return values


def checked_or_errors(given: Any, schema: Schema, errors: dict[str, str], *, extra: bool = False) -> dict[str, Any]:
    """As :func:`checked`, but the reasons are put into ``errors``."""
    if not isinstance(given, Mapping):
        raise invalid("Input validation error", "value is not a dict")
    values: dict[str, Any] = {}
    known: set[str] = set()
    for name, field in schema.items():
        names = field.names or (name,)
        known.update(names)
        found = next((candidate for candidate in names if candidate in given), None)
        if found is None:
            if field.default is REQUIRED:
                errors[names[0]] = "is required"
            elif field.default is not LEFT_OUT:
                values[name] = field.default
            continue
        try:
            values[name] = field.check(given[found])
        except ValueError as error:
            errors[found] = str(error)
    for key in given:
        if key not in known:
            if extra:
                values[key] = given[key]
            else:
                errors[key] = f"{key} is not allowed key"
    return values


def anything(value: Any) -> Any:
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("value is not a string")
    if not value:
        raise ValueError("blank value is not allowed")
    return value


def blank_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("value is not a string")
    return value


def flag(value: Any) -> bool:
    """A boolean, or one of the words that stand for one."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("value can't be converted to Bool")


def whole(lowest: int | None = None, highest: int | None = None) -> Check:
    """Whole numbers, also as text."""

    def check(value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("value can't be converted to int") from None
        if isinstance(value, float) and not math.isclose(value, number):
            raise ValueError("value is not int")
        if number.bit_length() >= BITS:
            raise ValueError("value is too large")
        if lowest is not None and number < lowest:
            raise ValueError(f"value is less than {lowest}")
        if highest is not None and number > highest:
            raise ValueError(f"value is greater than {highest}")
        return number

    return check


def uuid_value(value: Any) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise ValueError("cannot convert value to UUID") from None


def choice(*options: str) -> Check:
    def check(value: Any) -> str:
        if value not in options:
            raise ValueError(f"value is not a valid member of {', '.join(options)}")
        return str(value)

    return check


def pattern(expression: str, flags: re.RegexFlag = re.ASCII) -> Check:
    compiled = re.compile(expression, flags)

    def check(value: Any) -> str:
        if not isinstance(value, str) or not compiled.match(value):
            raise ValueError(f"does not match pattern {expression}")
        return value

    return check


def optional(check: Check) -> Check:
    """The same, or null."""
    return lambda value: None if value is None else check(value)


def list_of(check: Check) -> Check:
    def check_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("value is not a list")
        return [check(item) for item in value]

    return check_list


def mapping_of(check: Check) -> Check:
    def check_mapping(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ValueError("value is not a dict")
        return {key: check(item) for key, item in value.items()}

    return check_mapping


def as_uuid(value: str) -> uuid.UUID | None:
    """The UUID that a text is, or None."""
    try:
        return uuid.UUID(value)
    except ValueError:
        return None
