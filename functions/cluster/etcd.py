"""The cluster's configuration, key by key. For superadmins.

========  ====================  ======================
Function  Request               Body
========  ====================  ======================
get       POST /config/get      ``key``, ``prefix``
set       POST /config/set      ``key``, ``value``
delete    POST /config/delete   ``key``, ``prefix``
========  ====================  ======================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument, type_of
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import EtcdResult
from ai.backend.client.functions.toolkit.inputs import flag, free_text, text
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.request import Request

__all__ = ["EtcdConfig"]

MAX_LEAVES: Final = 16
"""Keys that one ``set`` may write: the manager answers 400 "Too large update" beyond."""


class EtcdConfig(BaseFunction[M]):
    """Raw access to the configuration that the cluster keeps in etcd.

    A prefix is that of the *text* of a key: ``some/key1`` is one of ``some/key12`` too. End it with ``/`` to mean what
    is below it.
    """

    @api_class_function
    def get(cls, key: str, prefix: bool = False) -> Recipe[Any]:
        """Read a value.

        Args:
            key: Its key, with ``/`` between the parts.
            prefix: Read everything whose key begins so.

        Returns:
            The text, or None when there is none; with ``prefix`` a nested dict.

        Raises:
            InvalidArgument: The key is no text, or empty.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /config/get``.
        """
        response = yield Request("POST", "/config/get", json=_body(key, prefix), idempotent=True)
        return field(expect_object(response), "result", response)

    @api_class_function
    def set(cls, key: str, value: str | Mapping[str, Any]) -> Recipe[EtcdResult]:
        """Write a value.

        Args:
            key: Its key, with ``/`` between the parts.
            value: A text; or a mapping of parts of keys (``""`` is the key itself) to texts or further mappings, at
                most 16 texts in all.

        Returns:
            ``{"result": "ok"}``.

        Raises:
            InvalidArgument: The key is no text, or empty; the value is none, or has too many texts.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /config/set``.
        """
        body = {"key": text("key", key), "value": _value(value)}
        if isinstance(value, Mapping) and (leaves := _count(value)) > MAX_LEAVES:
            raise InvalidArgument("value", f"{leaves} texts", f"must have at most {MAX_LEAVES} texts")
        response = yield Request("POST", "/config/set", json=body, idempotent=True)
        return expect_object(response, shape=EtcdResult)

    @api_class_function
    def delete(cls, key: str, prefix: bool = False) -> Recipe[EtcdResult]:
        """Remove a value; one that is not there is no error.

        Args:
            key: Its key, with ``/`` between the parts.
            prefix: Remove everything whose key begins so.

        Returns:
            ``{"result": "ok"}``.

        Raises:
            InvalidArgument: The key is no text, or empty.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /config/delete``.
        """
        response = yield Request("POST", "/config/delete", json=_body(key, prefix), idempotent=True)
        return expect_object(response, shape=EtcdResult)


def _body(key: object, prefix: object) -> dict[str, Any]:
    return {"key": text("key", key), "prefix": flag("prefix", prefix)}


def _value(value: object) -> Any:
    """A copy of a value; errors do not show it, since it may be a secret."""
    if isinstance(value, Mapping):
        if not all(isinstance(part, str) for part in value):
            raise InvalidArgument("value", "(not shown)", "must have keys that are texts")
        return {part: _value(below) for part, below in value.items()}
    if not isinstance(value, str):
        raise InvalidArgument("value", type_of(value), "must be a text, or a mapping of texts")
    return free_text("value", value)


def _count(value: Mapping[str, Any]) -> int:
    return sum(_count(below) if isinstance(below, Mapping) else 1 for below in value.values())
