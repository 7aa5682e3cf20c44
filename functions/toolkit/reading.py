"""How an answer is read: what the API promises to be there, or :class:`InvalidReply`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.request import Response

S = TypeVar("S")


@overload
def expect_object(response: Response, key: str | None = None) -> dict[str, Any]: ...


@overload
def expect_object(response: Response, key: str | None = None, *, shape: type[S]) -> S: ...


def expect_object(response: Response, key: str | None = None, *, shape: Any = dict) -> Any:  # noqa: ARG001  # for type checkers
    """The body of an answer that must be a JSON object, or the object under one of its keys.

    Args:
        response: The answer.
        key: Where the object is; None: the body itself.
        shape: Its type, for type checkers: one of a ``replies`` module. Keys are not checked.

    Returns:
        The object.

    Raises:
        InvalidReply: It is no object.
    """
    return _expect(response, key, dict, "object")


def expect_list(response: Response, key: str | None = None, *, item: type[S]) -> list[S]:
    """The body of an answer that must be a JSON array, or the array under one of its keys.

    Args:
        response: The answer.
        key: Where the array is; None: the body itself.
        item: Type of its items: ``str``, or one of a ``replies`` module. Keys are not checked.

    Returns:
        The array.

    Raises:
        InvalidReply: It is no array, or one of something else.
    """
    found: list[S] = _expect(response, key, list, "array")
    kind, what = (str, "text") if item is str else (dict, "object")
    if not all(isinstance(one, kind) for one in found):
        raise InvalidReply(f"the answer's array holds something that is no {what}", response.status, response.content)
    return found


def _expect(response: Response, key: str | None, kind: type, what: str) -> Any:
    value = response.json() if key is None else field(response.json(), key, response)
    if not isinstance(value, kind):
        name = "the answer" if key is None else f"the answer's {key!r}"
        raise InvalidReply(f"{name} is not a JSON {what}", response.status, response.content)
    return value


def field(reply: Mapping[str, Any], key: str, response: Response | None = None) -> Any:
    """A key that the API promises.

    Args:
        reply: A decoded answer.
        key: The key.
        response: The answer, for the error.

    Raises:
        InvalidReply: The answer is no mapping, or lacks the key.
    """
    try:
        return reply[key]
    except (KeyError, TypeError, IndexError):
        status, body = (None, b"") if response is None else (response.status, response.content)
        raise InvalidReply(f"the answer has no {key!r}", status, body) from None
