"""Key pairs.

==============  ========================  ==================================
Function        GraphQL                   For
==============  ========================  ==================================
create          ``create_keypair``        superadmins
update          ``modify_keypair``        superadmins
activate        ``modify_keypair``        superadmins
deactivate      ``modify_keypair``        superadmins
delete          ``delete_keypair``        superadmins
list            ``keypairs``              users: their own
paginated_list  ``keypair_list``          admins: their domain's; since v5
info            ``keypair``               users: their own
==============  ========================  ==================================
"""

from __future__ import annotations

from typing import Final

from ai.backend.client.functions.accounts.replies import KeyPairResult
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import KEYPAIR, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V5
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable, returning
from ai.backend.client.functions.toolkit.inputs import changes, flag, int32, optional, text
from ai.backend.client.functions.toolkit.pages import PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.replies import MutationResult

__all__ = ["KeyPair"]

FIELDS: Final = ("access_key", "secret_key", "is_active", "is_admin")
PAGE_FIELDS: Final = ("user_id", "access_key", "secret_key", "is_active", "is_admin", "created_at")
CREATE_FIELDS: Final = ("access_key", "secret_key")


class KeyPair(BaseFunction[M]):
    """A user's access key and secret key.

    A user may have several. From 23.09 on only the main one authenticates; the others get 401 (``Unauthorized
    access``). It is ``main_access_key`` of the user, which ``User.update`` changes, and cannot be deleted.

    Args:
        access_key: The access key.

    Raises:
        InvalidArgument: It is empty or no text.
    """

    access_key: str

    def __init__(self, access_key: str) -> None:
        self.access_key = text("access_key", access_key)

    @api_class_function
    def create(
        cls,
        user_id: str | int,
        is_active: bool = True,
        is_admin: bool = False,
        resource_policy: str | None = None,
        rate_limit: int | None = None,
        fields: Fields | None = None,
    ) -> Recipe[KeyPairResult]:
        """Make another key pair for a user.

        Args:
            user_id: Their e-mail address; numbers, which managers before 19.09 had, are sent as text.
            is_active: Whether it may be used.
            is_admin: Whether it is an administrator's.
            resource_policy: Name of its resource policy. Must be given: managers have no default.
            rate_limit: Requests in 15 minutes at most. Must be given, too.
            fields: What to tell about the new key pair; default: ``access_key`` and ``secret_key``.

        Returns:
            ``{"ok", "msg", "keypair"}``.

        Raises:
            InvalidArgument: An argument is unusable or missing.

        Not idempotent. GraphQL ``create_keypair``.
        """
        arguments = {
            "user_id": Variable("String!", _owner("user_id", user_id)),
            "props": Variable(
                "KeyPairInput!",
                {
                    "is_active": flag("is_active", is_active),
                    "is_admin": flag("is_admin", is_admin),
                    "resource_policy": text("resource_policy", resource_policy),
                    "rate_limit": int32("rate_limit", rate_limit),
                },
            ),
        }
        result = returning("keypair", chosen(fields, CREATE_FIELDS), KEYPAIR)
        return (yield from graphql.mutate("create_keypair", arguments, result, shape=KeyPairResult))

    @api_class_function
    def update(
        cls,
        access_key: str,
        is_active: bool | None = None,
        is_admin: bool | None = None,
        resource_policy: str | None = None,
        rate_limit: int | None = None,
    ) -> Recipe[MutationResult]:
        """Change a key pair. What is not given stays as it is.

        Args:
            access_key: Its access key.
            is_active: As in :meth:`create`.
            is_admin: As in :meth:`create`.
            resource_policy: As in :meth:`create`.
            rate_limit: As in :meth:`create`.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable, or there is nothing to change.

        Repeatable, but not repeated by itself. GraphQL ``modify_keypair``.
        """
        arguments = {
            "access_key": Variable("String!", text("access_key", access_key)),
            "props": Variable(
                "ModifyKeyPairInput!",
                changes(
                    is_active=optional(flag, "is_active", is_active),
                    is_admin=optional(flag, "is_admin", is_admin),
                    resource_policy=optional(text, "resource_policy", resource_policy),
                    rate_limit=optional(int32, "rate_limit", rate_limit),
                ),
            ),
        }
        return (yield from graphql.mutate("modify_keypair", arguments))

    @api_class_function
    def activate(cls, access_key: str) -> Recipe[MutationResult]:
        """Let a key pair be used; nothing else of it changes.

        Args:
            access_key: Its access key.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: It is empty.

        Repeatable, but not repeated by itself. GraphQL ``modify_keypair``.
        """
        return (yield from _set_active(access_key, True))

    @api_class_function
    def deactivate(cls, access_key: str) -> Recipe[MutationResult]:
        """Refuse a key pair from now on; nothing else of it changes.

        Args:
            access_key: Its access key.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: It is empty.

        Repeatable, but not repeated by itself. GraphQL ``modify_keypair``.
        """
        return (yield from _set_active(access_key, False))

    @api_class_function
    def delete(cls, access_key: str) -> Recipe[MutationResult]:
        """Remove a key pair, unless it is its user's main one.

        Args:
            access_key: Its access key.

        Returns:
            ``{"ok", "msg"}``; ``ok: false`` for a main access key.

        Raises:
            InvalidArgument: It is empty.

        Not idempotent: a second call finds nothing (``ok: false``). GraphQL ``delete_keypair``.
        """
        arguments = {"access_key": Variable("String!", text("access_key", access_key))}
        return (yield from graphql.mutate("delete_keypair", arguments))

    @api_class_function
    def list(
        cls,
        user_id: str | int | None = None,
        is_active: bool | None = None,
        fields: Fields | None = None,
        *,
        domain_name: str | None = None,
    ) -> Recipe[Rows]:
        """Key pairs that the caller may see.

        Args:
            user_id: E-mail address of their owner; default: everybody's.
            is_active: Only active (True) or inactive (False) ones.
            fields: What to tell about each.
            domain_name: Only those of users of this domain.

        Returns:
            One object per key pair: at most 100 on 23.09, and none of users without a group; see
            :meth:`paginated_list`.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``keypairs``.
        """
        arguments = {
            "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
            "email": Variable("String", optional(_owner, "user_id", user_id)),
            "is_active": Variable("Boolean", optional(flag, "is_active", is_active)),
        }
        return (yield from graphql.select_list("keypairs", chosen(fields, FIELDS), arguments, KEYPAIR))

    @api_page_function
    def paginated_list(
        cls,
        is_active: bool | None = None,
        domain_name: str | None = None,
        *,
        user_id: str | int | None = None,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the key pairs that the caller may see.

        Args:
            is_active: As in :meth:`list`.
            domain_name: As in :meth:`list`.
            user_id: As in :meth:`list`.
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language; needs v6.20210815.
            order: For example ``-created_at``; needs v6.20210815.

        Returns:
            The page; ``.iterate(...)`` gives the items of all pages. On 23.09 it has none of users without a group.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIVersionError: The server is older than v5.20191215, or than what ``filter`` and ``order`` need.

        Idempotent. GraphQL ``keypair_list``.
        """
        generation = cls.server.generation
        generation.require("KeyPair.paginated_list", since=V5)
        return (
            yield from graphql.select_page(
                generation,
                "keypair_list",
                chosen(fields, PAGE_FIELDS),
                {
                    "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
                    "email": Variable("String", optional(_owner, "user_id", user_id)),
                    "is_active": Variable("Boolean", optional(flag, "is_active", is_active)),
                },
                page_offset=page_offset,
                page_size=page_size,
                filter=filter,
                order=order,
                known=KEYPAIR,
            )
        )

    @api_function
    def info(self, fields: Fields | None = None, *, domain_name: str | None = None) -> Recipe[Row | None]:
        """This key pair, also where it is not the one that signs.

        Args:
            fields: What to tell about it.
            domain_name: Look in this domain; default: the caller's, or any for superadmins.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``keypair``.
        """
        arguments = {
            "domain_name": Variable("String", optional(text, "domain_name", domain_name)),
            "access_key": Variable("String", self.access_key),
        }
        return (yield from graphql.select_object("keypair", chosen(fields, FIELDS), arguments, KEYPAIR))


def _owner(argument: str, value: object) -> str:
    """A user's address, as text whatever the caller has: the argument's type is not a number on any server."""
    return text(argument, str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _set_active(access_key: str, active: bool) -> Recipe[MutationResult]:
    arguments = {
        "access_key": Variable("String!", text("access_key", access_key)),
        "props": Variable("ModifyKeyPairInput!", {"is_active": active}),
    }
    return (yield from graphql.mutate("modify_keypair", arguments))
