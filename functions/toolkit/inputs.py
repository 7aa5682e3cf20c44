"""Checks of arguments, before anything is sent.

Each takes the argument's name and what was given, and returns it in the plain form that its JSON needs, a copy where it
can be changed. :func:`optional` makes a check let None (not given) pass.
"""

from __future__ import annotations

import enum
import json
import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar

from ai.backend.client._checks import is_utf8, plain
from ai.backend.client.exceptions import InvalidArgument, type_of

T = TypeVar("T")

MAX_TEXT = 4096
"""Characters of a name or token at most. Not the server's limit (those differ by column and release), but
far above every one of them."""

INT32_MAX = 2**31 - 1
"""Largest ``Int`` of GraphQL (specification, section 3.5.1)."""

PORT_RANGE = range(1024, 65536)
"""Ports of services that anybody but root may open."""


def given(**values: Any) -> dict[str, Any]:
    """What was given: the arguments without the ones that are None."""
    return {name: value for name, value in values.items() if value is not None}


def changes(**values: Any) -> dict[str, Any]:
    """As :func:`given`, of an update: there must be something to change."""
    found = given(**values)
    if not found:
        raise InvalidArgument(", ".join(values), None, "one of them must be given")
    return found


def checked(checks: Mapping[str, Callable[[str, Any], Any]], **values: Any) -> dict[str, Any]:
    """As :func:`given`, each argument through its check."""
    return {name: checks[name](name, value) for name, value in given(**values).items()}


def as_it_is(argument: str, value: T) -> T:  # noqa: ARG001  # the form of a check
    """No check: for what was checked on another way."""
    return value


def is_uuid(value: str) -> bool:
    """Whether a text, for example one that may be a name, is a UUID."""
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def optional(check: Callable[[str, Any], T], argument: str, value: Any) -> T | None:
    """A check that lets None pass."""
    return None if value is None else check(argument, value)


def either(first: str, first_value: T | None, second: str, second_value: T | None) -> T | None:
    """The value of an argument that has two spellings.

    Raises:
        InvalidArgument: Both were given and differ.
    """
    if first_value is not None and second_value is not None and first_value != second_value:
        raise InvalidArgument(second, second_value, f"contradicts {first}={first_value!r}")
    return second_value if first_value is None else first_value


def text(argument: str, value: object) -> str:
    """A name or the like: not empty, at most :data:`MAX_TEXT` characters, without NUL."""
    if not isinstance(value, str) or not value:
        raise InvalidArgument(argument, value, "must be a non-empty string")
    if len(value) > MAX_TEXT:
        raise InvalidArgument(argument, f"{value[:40]}...", f"must have at most {MAX_TEXT} characters")
    return free_text(argument, value)


def free_text(argument: str, value: object) -> str:
    """A text of any length that can be encoded as UTF-8, without NUL; may be empty."""
    if not isinstance(value, str):
        raise InvalidArgument(argument, value, "must be a string")
    if "\0" in value:
        raise InvalidArgument(argument, f"{value[:40]!r}", "must not hold a NUL character")
    if not value.isascii() and not is_utf8(value):
        raise InvalidArgument(argument, ascii(value[:40]), "must be text that can be encoded as UTF-8")
    return plain(value)


def script(argument: str, value: object) -> str:
    """As :func:`free_text`, but not empty."""
    checked = free_text(argument, value)
    if not checked:
        raise InvalidArgument(argument, value, "must be a non-empty string")
    return checked


def secret(argument: str, value: object) -> str:
    """As :func:`text`, for what no message may repeat."""
    try:
        return text(argument, value)
    except InvalidArgument as error:
        reason = error.reason
    raise InvalidArgument(argument, "(not shown)", reason)  # out here: inside, that error would be this one's context


def flag(argument: str, value: object) -> bool:
    """A bool, nothing that merely counts as one."""
    if not isinstance(value, bool):
        raise InvalidArgument(argument, value, "must be True or False")
    return value


def whole(argument: str, value: object, least: int = 0, most: int | None = None) -> int:
    """A whole number from ``least`` to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        limits = f"{least} or more" if most is None else f"from {least} to {most}"
        raise InvalidArgument(argument, value, f"must be a whole number, {limits}")
    return plain(value)


def int32(argument: str, value: object) -> int:
    """A whole number, 0 or more, that GraphQL's ``Int`` holds."""
    return whole(argument, value, 0, INT32_MAX)


def number(argument: str, value: object, least: float = 0.0) -> float:
    """A finite number, ``least`` or more; an int becomes a float."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= float(plain(value)) < math.inf:
            return float(plain(value))
    except OverflowError:
        pass  # an int that no float holds
    raise InvalidArgument(argument, value, f"must be a number, {least:g} or more")


def count(argument: str, value: object) -> int:
    """A whole number, 1 or more."""
    return whole(argument, value, 1)


def port(argument: str, value: object) -> int:
    """A port of :data:`PORT_RANGE`."""
    return whole(argument, value, PORT_RANGE.start, PORT_RANGE.stop - 1)


def matching(argument: str, value: object, pattern: re.Pattern[str], rule: str) -> str:
    """A text that a pattern matches as a whole; ``rule`` says it in words."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise InvalidArgument(argument, value, rule)
    return plain(value)


def choice(argument: str, value: object, options: Iterable[str]) -> str:
    """One of some texts, or an enum member with such a value."""
    chosen = value.value if isinstance(value, enum.Enum) else value
    known = tuple(options)
    if not isinstance(chosen, str) or chosen not in known:
        raise InvalidArgument(argument, value, f"must be one of {', '.join(known)}")
    return plain(chosen)


def choices(argument: str, value: object, options: Iterable[str]) -> str:
    """One of some texts, or several with commas between; blanks around them, which the manager does not take, go."""
    known = tuple(options)
    parts = [value] if isinstance(value, enum.Enum) else text(argument, value).split(",")
    return ",".join(choice(argument, part.strip() if isinstance(part, str) else part, known) for part in parts)


def items(argument: str, value: Any) -> list[Any]:
    """A list, or any other iterable but a text or mapping."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidArgument(argument, value, "must be a list")
    return list(map(plain, value))


def texts(argument: str, value: object) -> list[str]:
    """A list of non-empty texts."""
    return [text(argument, item) for item in items(argument, value)]


def uuid_text(argument: str, value: object) -> str:
    """A UUID, as an object or as text in any of its spellings; returned with dashes."""
    try:
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(text(argument, value)))
    except ValueError:
        raise InvalidArgument(argument, value, "must be a UUID") from None


def uuid_texts(argument: str, value: object) -> list[str]:
    """A list of UUIDs."""
    return [uuid_text(argument, item) for item in items(argument, value)]


def mapping(argument: str, value: object) -> dict[Any, Any]:
    """A mapping; what is in it is not looked at, but made plain."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(argument, type_of(value), "must be a mapping")
    return {plain(key): plain(item) for key, item in value.items()}


def text_mapping(argument: str, value: object) -> dict[str, str]:
    """A mapping of texts to texts or paths. Errors name the key only: values may be secrets."""
    pairs = mapping(argument, value)
    for key, item in pairs.items():
        if not isinstance(key, str) or not isinstance(item, str | PurePath):
            raise InvalidArgument(argument, key, "must map text to text")
    return {key: str(item) for key, item in pairs.items()}


def json_object_text(argument: str, value: object) -> str:
    """A JSON object as text: what the manager calls ``JSONString``. Takes the object itself, or its text."""
    if isinstance(value, str):
        try:
            decoded = json.loads(value, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise InvalidArgument(argument, value[:80], "must be JSON text or a mapping") from None
        if not isinstance(decoded, dict):
            raise InvalidArgument(argument, value[:80], "must hold a JSON object")
        return plain(value)
    pairs = mapping(argument, value)
    try:
        return json.dumps(pairs, default=str, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(argument, type_of(value), f"cannot be written as JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
