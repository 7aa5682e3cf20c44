"""Signatures of API functions: as proxies have them, as data has them, and whether calls of one fit the other."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping
from inspect import Parameter
from typing import Any, Generic, NamedTuple

from ai.backend.client.functions.base import ApiFunction, BaseFunction

DEFAULT_SELECTION = "fields"
"""The parameter whose default is not compared: None and any list mean the default selection of the function."""


class Marker(enum.Enum):
    """Names that signatures in data use where Python has no literal."""

    UNSET = "the release has a marker of its own for 'not given'"
    FIELDS = "the release has a list of fields here"
    CHUNK_SIZE = "the configuration's chunk size of the release"


NAMES = {marker.name: marker for marker in Marker}


class Offered(NamedTuple):
    """A function of a proxy, as callers see it: `class` or `instance`, and its signature without `cls` or `self`."""

    kind: str
    signature: inspect.Signature


def offered(proxy: type) -> dict[str, Offered]:
    """The public functions of a proxy class, by name: those that send something, and those that make objects."""
    found: dict[str, Offered] = {}
    for owner in proxy.__mro__:
        if owner in (object, Generic, BaseFunction):
            continue
        for name, member in vars(owner).items():
            if name.startswith("_") or name in found:
                continue
            if isinstance(member, ApiFunction):
                found[name] = _offered("class" if member.on_class else "instance", member.recipe)
            elif isinstance(member, classmethod | staticmethod):
                found[name] = _offered("class", member.__func__)
            elif inspect.isfunction(member):
                found[name] = _offered("instance", member)
    return found


def _offered(kind: str, function: Any) -> Offered:
    signature = inspect.signature(function)
    parameters = [one for one in list(signature.parameters.values())[1:] if not one.name.startswith("_")]
    return Offered(kind, signature.replace(parameters=parameters))


def read_signature(text: str) -> inspect.Signature:
    """The signature that a text such as ``(name, *, is_active=True)`` stands for."""
    scope: dict[str, Any] = {}
    exec(f"def function{' '.join(text.split())}: ...", dict(NAMES), scope)
    return inspect.signature(scope["function"])


def differences(theirs: inspect.Signature, ours: inspect.Signature) -> dict[str, str]:
    """Where calls that fit `theirs` would not fit `ours`, or mean something else: parameter → how it differs."""
    found: dict[str, str] = {}
    takes_any_keyword = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in ours.parameters.values())
    places = {name: place for place, name in enumerate(_positional(ours.parameters))}
    for place, parameter in enumerate(theirs.parameters.values()):
        name, mine = parameter.name, ours.parameters.get(parameter.name)
        if parameter.kind is Parameter.VAR_KEYWORD:
            if not takes_any_keyword:
                found[name] = "arbitrary keywords are not taken"
        elif mine is None:
            if parameter.kind is not Parameter.KEYWORD_ONLY or not takes_any_keyword:
                found[name] = "is missing"
        elif parameter.kind is not Parameter.KEYWORD_ONLY and places.get(name) != place:
            found[name] = "is keyword-only" if name not in places else f"is at place {places[name]}, not {place}"
        elif (difference := _default_differs(parameter, mine)) is not None:
            found[name] = difference
    for name, mine in ours.parameters.items():
        if name not in theirs.parameters and _is_required(mine):
            found[name] = "is required, and not there in the release"
    return found


def _positional(parameters: Mapping[str, Parameter]) -> list[str]:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in parameters.items() if parameter.kind in kinds]


def _is_required(parameter: Parameter) -> bool:
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return parameter.default is Parameter.empty and parameter.kind not in variable


def _default_differs(theirs: Parameter, ours: Parameter) -> str | None:
    wanted, has = theirs.default, ours.default
    if wanted is Parameter.empty or has is wanted:
        return None  # what must be given there may have become optional
    if has is Parameter.empty:
        return "is required"
    if theirs.name == DEFAULT_SELECTION:
        return None
    if wanted is Marker.CHUNK_SIZE:
        return None if has is None or isinstance(has, int) else f"is {has!r} by default, not a number of bytes"
    if wanted is Marker.UNSET:
        wanted = None
    plain = has.value if isinstance(has, enum.Enum) else has
    return None if (type(plain), plain) == (type(wanted), wanted) else f"is {has!r} by default, not {wanted!r}"
