"""The session's voice: silent unless the application asks the standard ``logging`` for ``ai.backend.client``.

structlog's wrapper carries the context (call, function, endpoint, attempt); nothing of structlog or logging is
configured globally, because an application may configure both its own way, and an unconfigured structlog prints to
standard output.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog

ROOT = "ai.backend.client"

logging.getLogger(ROOT).addHandler(logging.NullHandler())

SECRET_KEYS = frozenset(
    {
        "access_key",
        "secret_key",
        "password",
        "authorization",
        "cookie",
        "set-cookie",
        "proxy-authorization",
        "token",
        "secret",
    }
)


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a log, secrets replaced: keys, passwords, tokens, signatures, cookies."""
    return {key: _masked(key, value) for key, value in values.items()}


def _redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _masked(key: object, value: object) -> object:
    if isinstance(key, str) and key.lower() in SECRET_KEYS:
        return "[secure]"
    if isinstance(value, Mapping):
        return masked(value)
    return value


def _render(_: Any, __: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    text = str(event.pop("event", ""))
    error = event.pop("exc_info", None)
    pairs = " ".join(f"{key}={value!r}" for key, value in event.items())
    arguments: dict[str, Any] = {"extra": {"backend": dict(event)}}
    if error:
        arguments["exc_info"] = error
    return (f"{text} {pairs}".rstrip(),), arguments


def get_logger(name: str) -> Any:
    """A logger below ``ai.backend.client``.

    Args:
        name: Its name below that root, for example ``sessions.transport``.

    Returns:
        A bound structlog logger. Ask :func:`level_check` first on hot paths.
    """
    return structlog.wrap_logger(
        plain_logger(name),
        processors=[_redact, _render],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=False,
    )


class _Harmless(logging.LoggerAdapter[logging.Logger]):
    """A logger whose handlers, the host program's, may raise what they like."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        with contextlib.suppress(Exception):  # a call must not fail for it
            super().log(level, msg, *args, **kwargs)


def plain_logger(name: str) -> logging.LoggerAdapter[logging.Logger]:
    """The same without structlog, for texts with arguments."""
    return _Harmless(logging.getLogger(f"{ROOT}.{name}"))


def level_check(name: str) -> Callable[[int], bool]:
    """The function that tells whether anybody listens to a logger at a level; 0.1 µs when nobody does."""
    return logging.getLogger(f"{ROOT}.{name}").isEnabledFor
