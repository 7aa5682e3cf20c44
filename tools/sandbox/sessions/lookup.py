"""Finding what a request names, and whom it acts for."""

from __future__ import annotations

import datetime
import re
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model
from ai.backend.client.sandbox.core.access import owner_of
from ai.backend.client.sandbox.core.parameters import as_uuid
from ai.backend.client.sandbox.core.problems import invalid, not_found
from ai.backend.client.sandbox.core.web import Call

NAME: Final = r"^(?=.{4,64}$)\w[\w.-]*\w$"
"""What a session may be called."""

# Built once: putting a statement together takes longer than running it.
_STALE: Final = (
    select(model.Session)
    .where(model.Session.access_key == bindparam("access_key"))
    .where((model.Session.name == bindparam("name")) | (model.Session.id == bindparam("id")))
    .order_by(model.Session.status.in_(model.DEAD), model.Session.created_at.desc())
)
_LIVE: Final = _STALE.where(model.Session.status.in_(model.LIVE))


def session_named(call: Call, owner: str | None = None, *, stale: bool = False) -> model.Session:
    """The session of the name or id in the path, to look at.

    Args:
        call: The request.
        owner: Its owner's key; default: the caller's.
        stale: Take a dead one if there is no other.

    Raises:
        Problem: 404, or what :func:`owner_of` refuses.
    """
    sandbox = call.sandbox
    return sandbox.recall(find, call.path("name"), sandbox.recall(owner_of, call.caller, owner), stale)


def find(database: Database, name: str, access_key: str, stale: bool = False) -> model.Session:
    """A session by its name or id.

    Args:
        database: Where to look.
        name: Its name or UUID.
        access_key: Its owner's key.
        stale: Take a dead one if there is no other.

    Raises:
        Problem: 404.
    """
    values = {"access_key": access_key, "name": name, "id": as_uuid(name)}
    found = database.scalars(_STALE if stale else _LIVE, values).first()
    if found is not None:
        return found
    raise not_found("session", f"Session (id={name}) does not exist.")


def start_time(value: str) -> datetime.datetime:
    """When a batch session is to start.

    Args:
        value: ISO time, or a duration such as ``10m``, ``1d1hr`` or ``300`` (seconds).

    Raises:
        Problem: 400.
    """
    try:
        moment = datetime.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    except ValueError:
        parts = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)hr?)?(?:(\d+)m)?(?:(\d+)s?)?", value)
        if parts is None or not any(parts.groups()):
            raise invalid(f"not a time: {value}") from None
        days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        return model.now() + datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
