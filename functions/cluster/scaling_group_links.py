"""Who may run sessions in which scaling group. For superadmins.

======================  ======================================================
Function                GraphQL
======================  ======================================================
list_for_domain         ``scaling_groups_for_domain``
list_for_group          ``scaling_groups_for_user_group``
list_for_keypair        ``scaling_groups_for_keypair``
associate_domain        ``associate_scaling_group_with_domain``
dissociate_domain       ``disassociate_scaling_group_with_domain``
dissociate_all_domain   ``disassociate_all_scaling_groups_with_domain``
associate_group         ``associate_scaling_group_with_user_group``
dissociate_group        ``disassociate_scaling_group_with_user_group``
dissociate_all_group    ``disassociate_all_scaling_groups_with_group``
associate_keypair       ``associate_scaling_group_with_keypair``
dissociate_keypair      ``disassociate_scaling_group_with_keypair``
======================  ======================================================

Functions of :class:`~ai.backend.client.functions.cluster.scaling_group.ScalingGroup`. UUIDs of groups are written into
the documents: their type differs between servers. Associating twice is refused (``ok: false``), dissociating what is
not associated, too; no function is repeated by itself.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from ai.backend.client.functions.base import Recipe
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import SCALING_GROUP, Fields, chosen
from ai.backend.client.functions.toolkit.graphql import Rows, Variable
from ai.backend.client.functions.toolkit.inputs import flag, optional, text, uuid_text
from ai.backend.client.functions.toolkit.replies import MutationResult

FIELDS: Final = ("name", "description", "is_active", "created_at", "driver", "scheduler")


def list_for_domain(
    _cls: Any,
    domain: str,
    is_active: bool | None = None,
    fields: Fields | None = None,
) -> Recipe[Rows]:
    """Scaling groups that a domain is associated with.

    Args:
        domain: The domain's name.
        is_active: Only active (True) or inactive (False) ones.
        fields: What to tell about each.

    Returns:
        One object per scaling group.

    Raises:
        InvalidArgument: An argument is unusable.

    Idempotent. GraphQL ``scaling_groups_for_domain``.
    """
    return (yield from _list("scaling_groups_for_domain", {"domain": _name("domain", domain)}, is_active, fields))


def list_for_group(
    _cls: Any,
    group_id: str | uuid.UUID,
    is_active: bool | None = None,
    fields: Fields | None = None,
) -> Recipe[Rows]:
    """Scaling groups that a group of users is associated with.

    Args:
        group_id: The group's UUID.
        is_active: Only active (True) or inactive (False) ones.
        fields: What to tell about each.

    Returns:
        One object per scaling group.

    Raises:
        InvalidArgument: An argument is unusable.

    Idempotent. GraphQL ``scaling_groups_for_user_group``.
    """
    return (yield from _list("scaling_groups_for_user_group", {"user_group": _group(group_id)}, is_active, fields))


def list_for_keypair(
    _cls: Any,
    access_key: str,
    is_active: bool | None = None,
    fields: Fields | None = None,
) -> Recipe[Rows]:
    """Scaling groups that a key pair is associated with.

    Args:
        access_key: The access key.
        is_active: Only active (True) or inactive (False) ones.
        fields: What to tell about each.

    Returns:
        One object per scaling group.

    Raises:
        InvalidArgument: An argument is unusable.

    Idempotent. GraphQL ``scaling_groups_for_keypair``.
    """
    owner = {"access_key": _name("access_key", access_key)}
    return (yield from _list("scaling_groups_for_keypair", owner, is_active, fields))


def associate_domain(_cls: Any, scaling_group: str, domain: str) -> Recipe[MutationResult]:
    """Let the users of a domain run sessions in a scaling group.

    Args:
        scaling_group: The scaling group's name.
        domain: The domain's name.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: A name is empty.

    Never sent twice by itself. GraphQL ``associate_scaling_group_with_domain``.
    """
    arguments = {"scaling_group": _name("scaling_group", scaling_group), "domain": _name("domain", domain)}
    return (yield from graphql.mutate("associate_scaling_group_with_domain", arguments))


def dissociate_domain(_cls: Any, scaling_group: str, domain: str) -> Recipe[MutationResult]:
    """Undo :func:`associate_domain`.

    Args:
        scaling_group: The scaling group's name.
        domain: The domain's name.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: A name is empty.

    Never sent twice by itself. GraphQL ``disassociate_scaling_group_with_domain``.
    """
    arguments = {"scaling_group": _name("scaling_group", scaling_group), "domain": _name("domain", domain)}
    return (yield from graphql.mutate("disassociate_scaling_group_with_domain", arguments))


def dissociate_all_domain(_cls: Any, domain: str) -> Recipe[MutationResult]:
    """Undo :func:`associate_domain` for every scaling group of a domain.

    Args:
        domain: The domain's name.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: The name is empty.

    Never sent twice by itself. GraphQL ``disassociate_all_scaling_groups_with_domain``.
    """
    return (
        yield from graphql.mutate("disassociate_all_scaling_groups_with_domain", {"domain": _name("domain", domain)})
    )


def associate_group(_cls: Any, scaling_group: str, group_id: str | uuid.UUID) -> Recipe[MutationResult]:
    """Let a group of users run sessions in a scaling group.

    Args:
        scaling_group: The scaling group's name.
        group_id: UUID of the group of users.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: The name is empty, or the id no UUID.

    Never sent twice by itself. GraphQL ``associate_scaling_group_with_user_group``.
    """
    arguments = {"scaling_group": _name("scaling_group", scaling_group), "user_group": _group(group_id)}
    return (yield from graphql.mutate("associate_scaling_group_with_user_group", arguments))


def dissociate_group(_cls: Any, scaling_group: str, group_id: str | uuid.UUID) -> Recipe[MutationResult]:
    """Undo :func:`associate_group`.

    Args:
        scaling_group: The scaling group's name.
        group_id: UUID of the group of users.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: The name is empty, or the id no UUID.

    Never sent twice by itself. GraphQL ``disassociate_scaling_group_with_user_group``.
    """
    arguments = {"scaling_group": _name("scaling_group", scaling_group), "user_group": _group(group_id)}
    return (yield from graphql.mutate("disassociate_scaling_group_with_user_group", arguments))


def dissociate_all_group(_cls: Any, group_id: str | uuid.UUID) -> Recipe[MutationResult]:
    """Undo :func:`associate_group` for every scaling group of a group of users.

    Args:
        group_id: UUID of the group of users.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: It is no UUID.

    Never sent twice by itself. GraphQL ``disassociate_all_scaling_groups_with_group``.
    """
    return (yield from graphql.mutate("disassociate_all_scaling_groups_with_group", {"user_group": _group(group_id)}))


def associate_keypair(_cls: Any, scaling_group: str, access_key: str) -> Recipe[MutationResult]:
    """Let the holder of a key pair run sessions in a scaling group.

    Args:
        scaling_group: The scaling group's name.
        access_key: The access key.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: A name is empty.

    Never sent twice by itself. GraphQL ``associate_scaling_group_with_keypair``.
    """
    arguments = {"scaling_group": _name("scaling_group", scaling_group), "access_key": _name("access_key", access_key)}
    return (yield from graphql.mutate("associate_scaling_group_with_keypair", arguments))


def dissociate_keypair(_cls: Any, scaling_group: str, access_key: str) -> Recipe[MutationResult]:
    """Undo :func:`associate_keypair`.

    Args:
        scaling_group: The scaling group's name.
        access_key: The access key.

    Returns:
        ``{"ok", "msg"}``.

    Raises:
        InvalidArgument: A name is empty.

    Never sent twice by itself. GraphQL ``disassociate_scaling_group_with_keypair``.
    """
    arguments = {"scaling_group": _name("scaling_group", scaling_group), "access_key": _name("access_key", access_key)}
    return (yield from graphql.mutate("disassociate_scaling_group_with_keypair", arguments))


def _name(argument: str, value: str) -> Variable:
    return Variable("String!", text(argument, value))


def _group(group_id: str | uuid.UUID) -> Variable:
    return Variable(None, uuid_text("group_id", group_id))


def _list(root: str, owner: dict[str, Variable], is_active: bool | None, fields: Fields | None) -> Recipe[Rows]:
    arguments = {**owner, "is_active": Variable("Boolean", optional(flag, "is_active", is_active))}
    return (yield from graphql.select_list(root, chosen(fields, FIELDS), arguments, SCALING_GROUP))
