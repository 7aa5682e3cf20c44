"""How GraphQL mutations are written: what they return and refuse, and rows that are made, changed and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import seed
from ai.backend.client.sandbox.core.slots import size

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context

Resolver = Callable[..., Any]
Outcome = dict[str, Any]


class RefusedError(Exception):
    """A change that is not made; its text is the outcome's ``msg``."""


def done(**items: Any) -> Outcome:
    """The outcome of a change that was made, with what it returns."""
    return {"ok": True, "msg": "success", **items}


def mutation(work: Callable[..., Outcome], name: str, *, admins: bool = False) -> Resolver:
    """Run a change in a transaction of its own, if the caller may make it.

    Args:
        work: Gets the context, the database and the mutation's arguments.
        name: What refusals call it.
        admins: Domain administrators may make it too, in their domain.
    """

    def resolve(context: Context, **arguments: Any) -> Outcome:
        allowed = context.caller.is_superadmin or (admins and context.caller.role == "admin")
        if not allowed:
            return {"ok": False, "msg": f"no permission to execute {name}"}
        if context.sandbox.v4 and "props" in arguments:  # where null means "not given"
            arguments["props"] = {name: value for name, value in arguments["props"].items() if value is not None}
        try:
            with context.sandbox.write() as database:
                return work(context, database, **arguments)
        except (IntegrityError, RefusedError) as error:
            message = f"integrity error: {error.orig}" if isinstance(error, IntegrityError) else str(error)
            if context.sandbox.v9:
                raise ValueError(message) from None
            return {"ok": False, "msg": message}

    return resolve


def create(table: Any, item: str, key: str = "name") -> Callable[..., Outcome]:
    """Add a row; the outcome has it under the name ``item``."""

    def work(_context: Context, database: Database, props: Mapping[str, Any], **arguments: Any) -> Outcome:
        row = table(**{key: arguments[key], **prepared(table, props)})
        database.add(row)
        database.flush()
        return done(**{item: row})

    return work


def modify(table: Any, label: str, item: str = "") -> Callable[..., Outcome]:
    """Change a row; refusals call it ``label``."""

    def work(_context: Context, database: Database, name: str, props: Mapping[str, Any]) -> Outcome:
        row = database.get(table, name)
        if row is None:
            raise RefusedError(f"no matching {label}")
        update(row, prepared(table, props))
        database.flush()
        return done(**{item: row} if item else {})

    return work


def delete(table: Any, label: str) -> Callable[..., Outcome]:
    """Delete a row; refusals call it ``label``."""

    def work(_context: Context, database: Database, name: str) -> Outcome:
        row = database.get(table, name)
        if row is None:
            raise RefusedError(f"no matching {label}")
        database.delete(row)
        return done()

    return work


def update(row: Any, values: Mapping[str, Any]) -> None:
    """Set columns of a row."""
    for name, value in values.items():
        setattr(row, name, value)


def prepared(table: Any, props: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that an input has values for. A null for one that must have a value is an integrity error."""
    values = {name: value for name, value in props.items() if hasattr(table, name)}
    hosts = values.get("allowed_vfolder_hosts")
    if isinstance(hosts, list):  # in 19.09
        values["allowed_vfolder_hosts"] = {host: list(seed.HOST_PERMISSIONS) for host in hosts}
    for name, value in values.items():
        if isinstance(value, str) and isinstance(getattr(table, name).type, JSON):
            values[name] = json.loads(value)  # a default of the schema, which is text
    if isinstance(values.get("shared_memory"), str):
        values["shared_memory"] = size(values["shared_memory"])
    return values
