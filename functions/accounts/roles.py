"""Roles and states of accounts.

Up to v4 an account is active or not; from v5 on it has a status, which says more.
"""

from __future__ import annotations

import enum
import uuid
from typing import Any

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.toolkit.generations import V5, Generation
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import choice, flag, optional, text, uuid_text


class UserRole(enum.StrEnum):
    """What a user may do."""

    SUPERADMIN = "superadmin"
    ADMIN = "admin"
    USER = "user"
    MONITOR = "monitor"


class UserStatus(enum.StrEnum):
    """State of an account."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DELETED = "deleted"
    BEFORE_VERIFICATION = "before-verification"


def check_agreement(is_active: bool | None, status: UserStatus | str | None) -> None:
    """Refuse a pair of arguments of which one denies the other.

    Args:
        is_active: Whether the account is active; None: not given.
        status: Its status; None: not given.

    Raises:
        InvalidArgument: The status is unknown, or contradicts ``is_active``.
    """
    if status is not None:
        active = choice("status", status, list(UserStatus)) == UserStatus.ACTIVE
        if is_active is not None and is_active != active:
            raise InvalidArgument("status", str(status), f"contradicts is_active={is_active}")


def account_state(generation: Generation, is_active: bool | None, status: UserStatus | str | None) -> dict[str, Any]:
    """The state of an account as one version writes it.

    Args:
        generation: How the server is spoken to.
        is_active: Whether it is active; counts if there is no status.
        status: Its status.

    Returns:
        ``{"status": text}`` from v5 on, ``{"is_active": bool}`` before; empty when neither was given.

    Raises:
        InvalidArgument: The status is unknown.
        BackendAPIVersionError: Servers of the version do not have the status.
    """
    if status is not None:
        wanted = choice("status", status, list(UserStatus))
    elif is_active is not None:
        wanted = UserStatus.ACTIVE if is_active else UserStatus.INACTIVE
    else:
        return {}
    if generation.has(V5):
        return {"status": str(wanted)}
    if wanted not in (UserStatus.ACTIVE, UserStatus.INACTIVE):
        generation.require(f"the status {wanted}", since=V5)
    return {"is_active": wanted == UserStatus.ACTIVE}


def account_filters(
    generation: Generation,
    is_active: bool | None,
    status: UserStatus | str | None,
    group: str | uuid.UUID | None,
    domain_name: str | None,
) -> dict[str, Variable]:
    """Arguments of the lists of users. The group's UUID is written into the document: its type differs between servers.

    Raises:
        InvalidArgument: An argument is unusable, or ``is_active`` contradicts ``status``.
        BackendAPIVersionError: As :func:`account_state`.
    """
    check_agreement(optional(flag, "is_active", is_active), status)
    state = {"is_active": is_active} if status is None else account_state(generation, None, status)
    return {
        "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
        "group_id": Variable(None, optional(uuid_text, "group", group)),
        "is_active": Variable("Boolean", state.get("is_active")),
        "status": Variable("String", state.get("status")),
    }
