"""Resource policies of key pairs.

========  ====================================  ===========
Function  GraphQL                               For
========  ====================================  ===========
create    ``create_keypair_resource_policy``    superadmins
update    ``modify_keypair_resource_policy``    superadmins
delete    ``delete_keypair_resource_policy``    superadmins
list      ``keypair_resource_policies``         everybody
info      ``keypair_resource_policy``           everybody
========  ====================================  ===========
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.functions.accounts.host_permissions import Hosts, host_permissions
from ai.backend.client.functions.accounts.replies import ResourcePolicyResult
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import KEYPAIR_RESOURCE_POLICY, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V6_DEPENDENCIES, V7, Generation
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable, returning
from ai.backend.client.functions.toolkit.inputs import (
    as_it_is,
    changes,
    checked,
    choice,
    int32,
    json_object_text,
    text,
    whole,
)
from ai.backend.client.functions.toolkit.replies import MutationResult

__all__ = ["KeypairResourcePolicy"]

FIELDS: Final = (
    "name", "created_at", "total_resource_slots", "max_concurrent_sessions", "max_vfolder_count", "max_vfolder_size",
    "idle_timeout",
)  # fmt: skip
CREATE_FIELDS: Final = ("name",)
UNSPECIFIED: Final = ("LIMITED", "UNLIMITED")
SINCE: Final = {
    "max_session_lifetime": V6_DEPENDENCIES,
    "max_concurrent_sftp_sessions": V7,
    "max_quota_scope_size": V7,
}
REQUIRED: Final = (
    "default_for_unspecified", "total_resource_slots", "max_concurrent_sessions", "max_containers_per_session",
    "idle_timeout",
)  # fmt: skip
"""What every manager demands of a new policy."""
FOLDER_LIMITS: Final = ("max_vfolder_count", "max_vfolder_size")
"""What managers demand, too, up to v6."""
NO_LIMIT: Final = 0
"""What managers take as "no limit" for lifetime, folder count and folder size."""


class KeypairResourcePolicy(BaseFunction[M]):
    """Limits of what the holder of a key pair may use.

    Args:
        access_key: An access key. No function uses it: it is the vendor's signature.
    """

    access_key: str

    def __init__(self, access_key: str) -> None:
        self.access_key = access_key

    @api_class_function
    def create(
        cls,
        name: str,
        default_for_unspecified: str,
        total_resource_slots: Mapping[str, Any] | str,
        max_concurrent_sessions: int,
        max_containers_per_session: int,
        max_vfolder_count: int | None = None,
        max_vfolder_size: int | None = None,
        idle_timeout: int | None = None,
        allowed_vfolder_hosts: Hosts | None = None,
        fields: Fields | None = None,
        *,
        vfolder_host_perms: Hosts | None = None,
        max_session_lifetime: int | None = None,
        max_concurrent_sftp_sessions: int | None = None,
        max_quota_scope_size: int | None = None,
    ) -> Recipe[ResourcePolicyResult]:
        """Make a policy.

        Args:
            name: Its name.
            default_for_unspecified: ``LIMITED`` or ``UNLIMITED``: what holds for slots that ``total_resource_slots``
                does not name.
            total_resource_slots: What all sessions of a key pair together may use, such as ``{"cpu": 8, "mem":
                "64g"}``, or JSON text of it.
            max_concurrent_sessions: Sessions at a time. Manager 23.09 takes it for file-transfer sessions, too.
            max_containers_per_session: Containers in a session.
            max_vfolder_count: Folders at most; must be given up to v6. Later servers do without: policies of users and
                projects have such limits there.
            max_vfolder_size: Bytes in a folder; as ``max_vfolder_count``.
            idle_timeout: Seconds without use until a session ends; must be given.
            allowed_vfolder_hosts: Folder hosts that may be used: names (with all permissions), or host → permissions,
                or JSON text of that; default: none.
            fields: What to tell about the new policy; default: its name.
            vfolder_host_perms: ``allowed_vfolder_hosts`` under its later name.
            max_session_lifetime: Seconds that a session may last; needs v6.20220315. Default: no limit.
            max_concurrent_sftp_sessions: File-transfer sessions at a time; needs v7.20230615. 23.09.10 stores the other
                number instead: use :meth:`update`.
            max_quota_scope_size: Bytes; needs v7.20230615, and 23.09.10 ignores it.

        Returns:
            ``{"ok", "msg", "resource_policy"}``.

        Raises:
            InvalidArgument: An argument is unusable or missing, or both names of the hosts were given and differ.
            BackendAPIVersionError: An argument that the server is too old for.

        Not idempotent: a second call finds the name taken (``ok: false``). GraphQL ``create_keypair_resource_policy``.
        """
        generation = cls.server.generation
        props = _props(
            generation,
            "create",
            default_for_unspecified=default_for_unspecified,
            total_resource_slots=total_resource_slots,
            max_concurrent_sessions=max_concurrent_sessions,
            max_containers_per_session=max_containers_per_session,
            max_vfolder_count=max_vfolder_count,
            max_vfolder_size=max_vfolder_size,
            idle_timeout=idle_timeout,
            allowed_vfolder_hosts=host_permissions(generation, allowed_vfolder_hosts, vfolder_host_perms),
            max_session_lifetime=max_session_lifetime,
            max_concurrent_sftp_sessions=max_concurrent_sftp_sessions,
            max_quota_scope_size=max_quota_scope_size,
        )
        arguments = {
            "name": Variable("String!", text("name", name)),
            "props": Variable("CreateKeyPairResourcePolicyInput!", _completed(generation, props)),
        }
        result = returning("resource_policy", chosen(fields, CREATE_FIELDS), KEYPAIR_RESOURCE_POLICY)
        return (
            yield from graphql.mutate("create_keypair_resource_policy", arguments, result, shape=ResourcePolicyResult)
        )

    @api_class_function
    def update(
        cls,
        name: str,
        default_for_unspecified: str | None = None,
        total_resource_slots: Mapping[str, Any] | str | None = None,
        max_concurrent_sessions: int | None = None,
        max_containers_per_session: int | None = None,
        max_vfolder_count: int | None = None,
        max_vfolder_size: int | None = None,
        idle_timeout: int | None = None,
        allowed_vfolder_hosts: Hosts | None = None,
        *,
        vfolder_host_perms: Hosts | None = None,
        max_session_lifetime: int | None = None,
        max_concurrent_sftp_sessions: int | None = None,
        max_quota_scope_size: int | None = None,
    ) -> Recipe[MutationResult]:
        """Change a policy. What is not given stays as it is.

        Args:
            name: Its name.
            default_for_unspecified: As in :meth:`create`.
            total_resource_slots: As in :meth:`create`.
            max_concurrent_sessions: As in :meth:`create`.
            max_containers_per_session: As in :meth:`create`.
            max_vfolder_count: As in :meth:`create`.
            max_vfolder_size: As in :meth:`create`.
            idle_timeout: As in :meth:`create`.
            allowed_vfolder_hosts: As in :meth:`create`; replaces what was allowed.
            vfolder_host_perms: ``allowed_vfolder_hosts`` under its later name.
            max_session_lifetime: As in :meth:`create`.
            max_concurrent_sftp_sessions: File-transfer sessions at a time; needs v7.20230615.
            max_quota_scope_size: As in :meth:`create`.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, there is nothing to change, or both names of the hosts were given
                and differ.
            BackendAPIVersionError: An argument that the server is too old for.

        Repeatable, but not repeated by itself. GraphQL ``modify_keypair_resource_policy``.
        """
        generation = cls.server.generation
        props = _props(
            generation,
            "update",
            default_for_unspecified=default_for_unspecified,
            total_resource_slots=total_resource_slots,
            max_concurrent_sessions=max_concurrent_sessions,
            max_containers_per_session=max_containers_per_session,
            max_vfolder_count=max_vfolder_count,
            max_vfolder_size=max_vfolder_size,
            idle_timeout=idle_timeout,
            allowed_vfolder_hosts=host_permissions(generation, allowed_vfolder_hosts, vfolder_host_perms),
            max_session_lifetime=max_session_lifetime,
            max_concurrent_sftp_sessions=max_concurrent_sftp_sessions,
            max_quota_scope_size=max_quota_scope_size,
        )
        arguments = {
            "name": Variable("String!", text("name", name)),
            "props": Variable("ModifyKeyPairResourcePolicyInput!", props),
        }
        return (yield from graphql.mutate("modify_keypair_resource_policy", arguments))

    @api_class_function
    def delete(cls, name: str) -> Recipe[MutationResult]:
        """Remove a policy that no key pair has.

        Args:
            name: Its name.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The name is empty.

        Not idempotent: a second call finds nothing (``ok: false``). GraphQL ``delete_keypair_resource_policy``.
        """
        arguments = {"name": Variable("String!", text("name", name))}
        return (yield from graphql.mutate("delete_keypair_resource_policy", arguments))

    @api_class_function
    def list(cls, fields: Fields | None = None) -> Recipe[Rows]:
        """All policies that the caller may see.

        Args:
            fields: What to tell about each.

        Returns:
            One object per policy.

        Raises:
            InvalidArgument: A field is unknown.

        Idempotent. GraphQL ``keypair_resource_policies``.
        """
        selection = chosen(fields, FIELDS)
        return (yield from graphql.select_list("keypair_resource_policies", selection, known=KEYPAIR_RESOURCE_POLICY))

    @api_function
    def info(self, name: str, fields: Fields | None = None) -> Recipe[Row | None]:
        """One policy.

        Args:
            name: Its name.
            fields: What to tell about it.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``keypair_resource_policy``.
        """
        arguments = {"name": Variable("String", text("name", name))}
        selection = chosen(fields, FIELDS)
        return (
            yield from graphql.select_object("keypair_resource_policy", selection, arguments, KEYPAIR_RESOURCE_POLICY)
        )


def _unspecified(argument: str, value: object) -> str:
    return choice(argument, value, UNSPECIFIED)


_CHECKS: Final[Mapping[str, Any]] = {
    "default_for_unspecified": _unspecified,
    "total_resource_slots": json_object_text,
    "max_concurrent_sessions": int32,
    "max_containers_per_session": int32,
    "max_vfolder_count": int32,
    "max_vfolder_size": whole,
    "idle_timeout": whole,
    "allowed_vfolder_hosts": as_it_is,
    "max_session_lifetime": int32,
    "max_concurrent_sftp_sessions": int32,
    "max_quota_scope_size": whole,
}


def _props(generation: Generation, function: str, **values: Any) -> dict[str, Any]:
    """The input object with what was given."""
    props = checked(_CHECKS, **changes(**values))
    generation.require_arguments(f"KeypairResourcePolicy.{function}", props, SINCE)
    return props


def _completed(generation: Generation, props: dict[str, Any]) -> dict[str, Any]:
    """The input object of a new policy: with what managers cannot do without, although their schema may say so.

    23.09 fails without hosts and limits of folders, servers from 22.03 to 23.03 without a lifetime.
    """
    for name in REQUIRED if generation.has(V7) else REQUIRED + FOLDER_LIMITS:
        _CHECKS[name](name, props.get(name))
    filled: dict[str, Any] = {"allowed_vfolder_hosts": host_permissions(generation, ())}
    if generation.has(V6_DEPENDENCIES):
        filled["max_session_lifetime"] = NO_LIMIT
    if generation.has(V7):
        filled |= dict.fromkeys(FOLDER_LIMITS, NO_LIMIT)
    return filled | props
