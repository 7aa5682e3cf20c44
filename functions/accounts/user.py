"""Users.

==============  ===========================  ==================================
Function        Request                      For
==============  ===========================  ==================================
authorize       POST /auth/authorize         everybody, signed or not
list            GraphQL ``users``            admins: their domain's
paginated_list  GraphQL ``user_list``        admins: their domain's; since v5
detail          GraphQL ``user``             everybody: themselves
detail_by_uuid  GraphQL ``user_from_uuid``   everybody: themselves
create          GraphQL ``create_user``      superadmins
update          GraphQL ``modify_user``      superadmins
delete          GraphQL ``delete_user``      superadmins
purge           GraphQL ``purge_user``       superadmins
==============  ===========================  ==================================

Up to v4 an account is active or not. From v5 on it has a status, of which ``is_active`` is the older name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ai.backend.client.auth import AuthToken, AuthTokenTypes
from ai.backend.client.functions.accounts.replies import UserResult
from ai.backend.client.functions.accounts.roles import (
    UserRole,
    UserStatus,
    account_filters,
    account_state,
    check_agreement,
)
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import USER, Fields, chosen
from ai.backend.client.functions.toolkit.generations import V5, V6_SUMMARIES, V7
from ai.backend.client.functions.toolkit.graphql import Row, Rows, Variable, returning
from ai.backend.client.functions.toolkit.inputs import (
    changes,
    checked,
    choice,
    flag,
    free_text,
    given,
    mapping,
    optional,
    secret,
    text,
    texts,
    uuid_text,
    uuid_texts,
)
from ai.backend.client.functions.toolkit.pages import PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.toolkit.replies import MutationResult
from ai.backend.client.request import Request

__all__ = ["User", "UserRole", "UserStatus"]

FIELDS: Final = ("uuid", "username", "email", "need_password_change", "is_active", "created_at", "domain_name", "role")
PAGE_FIELDS: Final = (
    "uuid", "role", "username", "email", "need_password_change", "status", "status_info", "created_at", "domain_name",
    "groups { id name }",
)  # fmt: skip
CREATE_FIELDS: Final = ("domain_name", "email", "username")
SINCE: Final = {
    "allowed_client_ip": V6_SUMMARIES,
    "totp_activated": V6_SUMMARIES,
    "resource_policy": V7,
    "sudo_session_enabled": V7,
    "main_access_key": V7,
}


def _role(argument: str, value: object) -> str:
    return choice(argument, value, list(UserRole))


CHECKS: Final = {
    "username": text,
    "password": secret,
    "full_name": free_text,
    "role": _role,
    "need_password_change": flag,
    "description": free_text,
    "domain_name": text,
    "group_ids": uuid_texts,
    "allowed_client_ip": texts,
    "totp_activated": flag,
    "sudo_session_enabled": flag,
    "resource_policy": text,
    "main_access_key": text,
}
"""Key of the input objects → check."""


class User(BaseFunction[M]):
    """People with accounts."""

    @api_class_function
    def authorize(
        cls,
        username: str,
        password: str,
        *,
        token_type: AuthTokenTypes | str = AuthTokenTypes.KEYPAIR,
        extra_args: Mapping[str, Any] | None = None,
    ) -> Recipe[AuthToken]:
        """Check a password, in the configured domain, and get a credential for it. Needs no keys in the configuration.

        Args:
            username: The user's e-mail address.
            password: The password.
            token_type: Kind of the credential. No manager serves ``jwt`` so far.
            extra_args: Further keys of the body, which hooks of the manager may ask for, such as one-time passwords.

        Returns:
            The token; its ``content`` has ``access_key``, ``secret_key``, ``role`` and, from 23.09 on, ``status``.

        Raises:
            InvalidArgument: An argument is empty or unknown.
            BackendAPIError: 401 ``auth-failed`` (wrong password, e-mail address not verified, no key pair), 401
                ``password-expired``, 400 for a kind that the manager does not serve.

        Not repeated by itself: managers may count failures. ``POST /auth/authorize``.
        """
        kind = choice("token_type", token_type, [member.value for member in AuthTokenTypes])
        body = {
            "type": kind,
            "domain": cls.server.config.domain,
            "username": text("username", username),
            "password": secret("password", password),
            **(optional(mapping, "extra_args", extra_args) or {}),
        }
        response = yield Request("POST", "/auth/authorize", json=body)
        return AuthToken(AuthTokenTypes(kind), expect_object(response, "data"))

    @api_class_function
    def list(
        cls,
        is_active: bool | None = None,
        fields: Fields | None = None,
        *,
        status: UserStatus | str | None = None,
        group: str | uuid.UUID | None = None,
        domain_name: str | None = None,
    ) -> Recipe[Rows]:
        """Users; for domain admins those of their domain.

        Args:
            is_active: Only active (True) or all other (False) ones.
            fields: What to tell about each.
            status: Only those in this state.
            group: Only members of the group with this UUID.
            domain_name: Only those of this domain.

        Returns:
            One object per user.

        Raises:
            InvalidArgument: An argument is unusable, or ``is_active`` contradicts ``status``.
            BackendAPIVersionError: A state that servers before v5.20191215 cannot tell from others.

        Idempotent. GraphQL ``users``.
        """
        arguments = account_filters(cls.server.generation, is_active, status, group, domain_name)
        return (yield from graphql.select_list("users", chosen(fields, FIELDS), arguments, USER))

    @api_page_function
    def paginated_list(
        cls,
        status: UserStatus | str | None = None,
        group: str | uuid.UUID | None = None,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
        is_active: bool | None = None,
        domain_name: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the users; for domain admins those of their domain.

        Args:
            status: As in :meth:`list`.
            group: As in :meth:`list`.
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language; needs v6.20210815.
            order: For example ``+email``; needs v6.20210815.
            is_active: As in :meth:`list`.
            domain_name: As in :meth:`list`.

        Returns:
            The page; ``.iterate(...)`` gives the items of all pages.

        Raises:
            InvalidArgument: An argument is unusable, or ``is_active`` contradicts ``status``.
            BackendAPIVersionError: The server is older than v5.20191215, or than what ``filter`` and ``order`` need.

        Idempotent. GraphQL ``user_list``.
        """
        generation = cls.server.generation
        generation.require("User.paginated_list", since=V5)
        return (
            yield from graphql.select_page(
                generation,
                "user_list",
                chosen(fields, PAGE_FIELDS),
                account_filters(generation, is_active, status, group, domain_name),
                page_offset=page_offset,
                page_size=page_size,
                filter=filter,
                order=order,
                known=USER,
            )
        )

    @api_class_function
    def detail(cls, email: str | None = None, fields: Fields | None = None) -> Recipe[Row | None]:
        """One user.

        Args:
            email: Their e-mail address; default: the caller.
            fields: What to tell about them.

        Returns:
            Field → value, or None when they are unknown.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``user``.
        """
        arguments = {"email": Variable("String", optional(text, "email", email))}
        return (yield from graphql.select_object("user", chosen(fields, FIELDS), arguments, USER))

    @api_class_function
    def detail_by_uuid(
        cls, user_uuid: str | uuid.UUID | None = None, fields: Fields | None = None
    ) -> Recipe[Row | None]:
        """One user, by UUID.

        Args:
            user_uuid: Their UUID; default: the caller.
            fields: What to tell about them.

        Returns:
            Field → value, or None when they are unknown.

        Raises:
            InvalidArgument: An argument is unusable.

        Idempotent. GraphQL ``user_from_uuid``, or ``user`` for the caller. The UUID is written into the document: its
        type differs between servers.
        """
        root = "user" if user_uuid is None else "user_from_uuid"
        arguments = {"user_id": Variable(None, optional(uuid_text, "user_uuid", user_uuid))}
        return (yield from graphql.select_object(root, chosen(fields, FIELDS), arguments, USER))

    @api_class_function
    def create(
        cls,
        domain_name: str,
        email: str,
        password: str,
        username: str | None = None,
        full_name: str | None = None,
        role: UserRole | str = UserRole.USER,
        is_active: bool = True,
        need_password_change: bool = False,
        description: str = "",
        group_ids: Iterable[str | uuid.UUID] | None = None,
        fields: Fields | None = None,
        *,
        status: UserStatus | str | None = None,
        allowed_client_ip: Iterable[str] | None = None,
        totp_activated: bool = False,
        sudo_session_enabled: bool = False,
        resource_policy: str | None = None,
    ) -> Recipe[UserResult]:
        """Make a user. From v5 on the manager gives them a key pair, which becomes their main one.

        Args:
            domain_name: The domain that they belong to.
            email: Their e-mail address.
            password: Their password.
            username: Their name for logging in; default: the e-mail address.
            full_name: Their name.
            role: What they may do.
            is_active: Whether they may log in.
            need_password_change: They must set another password first.
            description: A text.
            group_ids: UUIDs of the groups that they become members of.
            fields: What to tell about the new user; default: ``domain_name``, ``email`` and ``username``.
            status: State of the account, which says more than ``is_active``.
            allowed_client_ip: Addresses that they may come from; needs v6.20220615. Default: any.
            totp_activated: They use one-time passwords; needs v6.20220615.
            sudo_session_enabled: Their sessions let them become root; needs v7.20230615 (23.09).
            resource_policy: Name of a user resource policy; needs v7.20230615. Default: ``default``.

        Returns:
            ``{"ok", "msg", "user"}``.

        Raises:
            InvalidArgument: An argument is unusable, or ``is_active=False`` contradicts ``status``. Passwords are not
                repeated in it.
            BackendAPIVersionError: An argument that the server is too old for.

        Not idempotent: a second call finds the address taken (``ok: false``). GraphQL ``create_user``.
        """
        generation = cls.server.generation
        active = flag("is_active", is_active)
        if not active:
            check_agreement(active, status)
        props = checked(
            CHECKS,
            username=username or text("email", email),
            password=secret("password", password),
            full_name=full_name,
            role=role,
            need_password_change=flag("need_password_change", need_password_change),
            description=description,
            domain_name=text("domain_name", domain_name),
            group_ids=group_ids,
            allowed_client_ip=allowed_client_ip,
            totp_activated=totp_activated or None,
            sudo_session_enabled=sudo_session_enabled or None,
            resource_policy=resource_policy,
        )
        props |= account_state(generation, active, status)
        generation.require_arguments("User.create", props, SINCE)
        arguments = {"email": Variable("String!", email), "props": Variable("UserInput!", props)}
        result = returning("user", chosen(fields, CREATE_FIELDS), USER)
        return (yield from graphql.mutate("create_user", arguments, result, shape=UserResult))

    @api_class_function
    def update(
        cls,
        email: str,
        password: str | None = None,
        username: str | None = None,
        full_name: str | None = None,
        domain_name: str | None = None,
        role: UserRole | str | None = None,
        is_active: bool | None = None,
        need_password_change: bool | None = None,
        description: str | None = None,
        group_ids: Iterable[str | uuid.UUID] | None = None,
        fields: Fields | None = None,
        *,
        status: UserStatus | str | None = None,
        allowed_client_ip: Iterable[str] | None = None,
        totp_activated: bool | None = None,
        sudo_session_enabled: bool | None = None,
        resource_policy: str | None = None,
        main_access_key: str | None = None,
    ) -> Recipe[UserResult]:
        """Change a user. What is not given stays as it is.

        Args:
            email: Their e-mail address.
            password: As in :meth:`create`.
            username: As in :meth:`create`.
            full_name: As in :meth:`create`.
            domain_name: As in :meth:`create`; takes them out of the groups of the domain before.
            role: As in :meth:`create`.
            is_active: As in :meth:`create`.
            need_password_change: As in :meth:`create`.
            description: As in :meth:`create`.
            group_ids: As in :meth:`create`; replaces the groups they were in.
            fields: What to tell about the changed user; default: nothing.
            status: As in :meth:`create`.
            allowed_client_ip: As in :meth:`create`; replaces what was allowed.
            totp_activated: As in :meth:`create`.
            sudo_session_enabled: As in :meth:`create`.
            resource_policy: As in :meth:`create`.
            main_access_key: Which of their key pairs authenticates; needs v7.20230615 (23.09).

        Returns:
            ``{"ok", "msg"}``, and ``user`` if ``fields`` were given.

        Raises:
            InvalidArgument: An argument is unusable, there is nothing to change, or ``is_active`` contradicts
                ``status``. Passwords are not repeated in it.
            BackendAPIVersionError: An argument that the server is too old for.

        Repeatable, but not repeated by itself. GraphQL ``modify_user``. Up to manager 24.09 a document without a status
        has a null for ``is_active``, the only one: 23.09 takes its absence for False, and the null for nothing.
        """
        generation = cls.server.generation
        check_agreement(optional(flag, "is_active", is_active), status)
        state = account_state(generation, is_active, status)
        props = (given if state else changes)(
            username=username,
            password=password,
            full_name=full_name,
            role=role,
            need_password_change=need_password_change,
            description=description,
            domain_name=domain_name,
            group_ids=group_ids,
            allowed_client_ip=allowed_client_ip,
            totp_activated=totp_activated,
            sudo_session_enabled=sudo_session_enabled,
            resource_policy=resource_policy,
            main_access_key=main_access_key,
        )
        generation.require_arguments("User.update", props, SINCE)
        unset = {} if generation.keeps_unset_state else {"is_active": None}
        props = checked(CHECKS, **props) | (state or unset)
        arguments = {"email": Variable("String!", text("email", email)), "props": Variable("ModifyUserInput!", props)}
        result = "" if fields is None else returning("user", fields, USER)
        return (yield from graphql.mutate("modify_user", arguments, result, shape=UserResult))

    @api_class_function
    def delete(cls, email: str) -> Recipe[MutationResult]:
        """Close an account and deactivate its key pairs; it stays, in state ``deleted`` (up to v4: inactive).

        Args:
            email: The user's e-mail address.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: The address is empty.

        Repeatable, but not repeated by itself. GraphQL ``delete_user``.
        """
        return (yield from graphql.mutate("delete_user", {"email": Variable("String!", text("email", email))}))

    @api_class_function
    def purge(cls, email: str, purge_shared_vfolders: bool = False) -> Recipe[MutationResult]:
        """Remove a user for good, with key pairs, sessions' records and folders.

        Args:
            email: The user's e-mail address.
            purge_shared_vfolders: Remove also the folders that they share with others; else those become the caller's.

        Returns:
            ``{"ok", "msg"}``.

        Raises:
            InvalidArgument: An argument is unusable.
            BackendAPIError: 400 when a session of theirs runs or a folder is mounted, and from 19.09 servers before
                they had the function.

        Not idempotent. GraphQL ``purge_user``.
        """
        props = {"purge_shared_vfolders": flag("purge_shared_vfolders", purge_shared_vfolders)}
        arguments = {"email": Variable("String!", text("email", email)), "props": Variable("PurgeUserInput!", props)}
        return (yield from graphql.mutate("purge_user", arguments))
