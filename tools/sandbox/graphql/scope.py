"""Root fields of GraphQL queries: who may ask what, and pages of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.problems import Problem, invalid
from ai.backend.client.sandbox.graphql.fields import value
from ai.backend.client.sandbox.graphql.filtering import filtered, ordered

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context


Resolver = Callable[..., Any]


MAX_PAGE: Final = 100


def superadmins(resolver: Resolver) -> Resolver:
    """Only they may ask."""

    def resolve(context: Context, **arguments: Any) -> Any:
        if not context.caller.is_superadmin:
            raise Problem("generic-forbidden", "superadmin privilege required")
        return resolver(context, **arguments)

    return resolve


def scoped(key: str, *, autofill: bool = False) -> Callable[[Resolver], Resolver]:
    """Keep domain administrators in their domain, and users with their own things.

    Args:
        key: The argument that names the owner: ``access_key``, ``email`` or ``user_id``.
        autofill: Without that argument, administrators mean themselves too.
    """

    def decorate(resolver: Resolver) -> Resolver:
        def resolve(context: Context, **arguments: Any) -> Any:
            caller = context.caller
            own: Any = {"access_key": caller.access_key, "email": caller.email}.get(key, caller.user_id)
            asked = arguments.get(key)
            if caller.role not in ("superadmin", "admin", "user"):
                raise invalid("Unknown client role")
            if not caller.is_superadmin:
                if arguments.get("domain_name") not in (None, caller.domain):
                    raise Problem("generic-forbidden")
                arguments["domain_name"] = caller.domain
            if caller.role == "user":
                if asked is not None and str(asked) != str(own):
                    raise Problem("generic-forbidden")
                asked = own
            elif autofill and asked is None:
                asked = own
            arguments[key] = asked
            return resolver(context, **arguments)

        return resolve

    return decorate


class Word(str):
    """A word of a fixed list; filters may write it in any case."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.casefold() == other.casefold()

    def __ne__(self, other: object) -> bool:
        return not self == other


_WORDS: Final = {("User", "role"), ("User", "status"), ("VirtualFolder", "status"), ("VirtualFolder", "permission")}


_TABLES: Final[Mapping[str, Any]] = {
    "User": model.User,
    "KeyPair": model.KeyPair,
    "ComputeSession": model.Session,
    "ComputeContainer": model.Session,
    "LegacyComputeSession": model.Session,
    "VirtualFolder": model.VFolder,
}


_EXTRA: Final[Mapping[tuple[str, str], str]] = {
    **{("Agent", name): name for name in ("id", "status", "region", "scaling_group", "schedulable", "first_contact")},
    ("ComputeSession", "user_email"): "user_email",
    ("ComputeSession", "group_name"): "group_name",
    ("ComputeSession", "session_id"): "session_id",
    ("User", "is_active"): "is_active",
    ("KeyPair", "full_name"): "full_name",
    ("KeyPair", "email"): "user_id",
}


def page(
    context: Context,
    kind: str,
    items: list[Any],
    limit: int,
    offset: int,
    filter_: str | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    """A page of objects."""
    if limit > MAX_PAGE:
        raise ValueError("Too large page size")

    def get(item: Any, field: str) -> Any:
        if item is None:
            if not hasattr(_TABLES.get(kind, object), field) and (kind, field) not in _EXTRA:
                raise ValueError(f"('Unknown/unsupported field name', '{field}')")
            return None
        found_value = value(context, kind, _EXTRA.get((kind, field), field), item)
        return Word(found_value) if (kind, field) in _WORDS else found_value

    found = ordered(filtered(items, filter_, get), order, get)
    return {"items": found[offset : offset + limit], "total_count": len(found)}


def statuses(status: str | None) -> list[str] | None:
    return [name.strip().upper() for name in status.split(",")] if status else None
