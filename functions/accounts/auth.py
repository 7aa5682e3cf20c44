"""Logging in, passwords, the caller's role and SSH key.

==================================  =====================================  ===============================
Function                            Request                                Body (or query, for GET)
==================================  =====================================  ===============================
login                               POST /server/login (unsigned)          ``username``, ``password``, ``otp``
token_login                         POST /server/token-login (unsigned)    the token, ``extra_args``
login_check                         POST /server/login-check (unsigned)
logout                              POST /server/logout
echo                                GET /auth                              ``echo``
get_role                            GET /auth/role                         ``group``
signup                              POST /auth/signup (unsigned)           ``domain``, ``email`` and more
signout                             POST /auth/signout                     ``email``, ``password``
update_full_name                    POST /auth/update-full-name            ``email``, ``full_name``
update_password                     POST /auth/update-password             the three arguments
update_password_no_auth             POST /auth/update-password-no-auth     ``domain``, ``username``, and the
                                    (unsigned)                             two passwords
update_password_no_auth_in_session  POST /server/update-password-no-auth   ``username``, and the two passwords
                                    (unsigned)
get_ssh_keypair                     GET /auth/ssh-keypair
generate_ssh_keypair                PATCH /auth/ssh-keypair
upload_ssh_keypair                  POST /auth/ssh-keypair                 ``pubkey``, ``privkey``
==================================  =====================================  ===============================

``/server/...`` exists on web servers only (``endpoint_type="session"``). :meth:`User.authorize
<ai.backend.client.functions.accounts.user.User.authorize>` turns a password into a keypair.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.accounts.replies import (
    Echo,
    Login,
    LoginState,
    NewKeyPair,
    PasswordChange,
    PasswordChangeInSession,
    Roles,
    SSHKeyPair,
    SSHPublicKey,
)
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.toolkit.generations import V6_FILTER, V6_LOWER_CASE
from ai.backend.client.functions.toolkit.inputs import free_text, given, mapping, optional, secret, text, uuid_text
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.request import Request

__all__ = ["Auth"]

DEFAULT_TOKEN_NAME: Final = "sToken"  # noqa: S105  # the name of a key
"""``auth_token_name`` of web servers that do not set it (23.09)."""


class Auth(BaseFunction[M]):
    """Who the caller is."""

    # -- The web server's session -------------------------------------------------------------------------------------

    @api_class_function
    def login(cls, user_id: str, password: str, otp: str | None = None) -> Recipe[Login]:
        """Log in at the web server; the session keeps the cookie and is logged in from then on.

        Args:
            user_id: The user's e-mail address or name.
            password: The password.
            otp: One-time password, where the server asks for one.

        Returns:
            The server's answer, ``{"authenticated": True, "data": {"access_key", "role", "status"}}`` or
            ``{"authenticated": False, "data": {"type", "title", "details"}}`` (wrong passwords raise nothing: check
            ``authenticated``), plus ``cookies`` (the session's cookies) and ``config`` (``{"username": user_id}``).

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIError: 400 when the session is logged in already, 429 after too many failures.

        Not idempotent. ``POST /server/login``, unsigned.
        """
        body = {"username": text("user_id", user_id), "password": secret("password", password)}
        if otp:
            body["otp"] = secret("otp", otp)
        response = yield Request("POST", "/server/login", json=body, anonymous=True)
        return _logged_in(cls, expect_object(response), user_id)

    @api_class_function
    def token_login(
        cls, token: str, *, token_name: str = DEFAULT_TOKEN_NAME, extra_args: Mapping[str, Any] | None = None
    ) -> Recipe[Login]:
        """Log in at the web server with a token of another service, where the cluster has a plugin for it (23.09).

        Args:
            token: The token.
            token_name: What the web server calls it: ``auth_token_name`` of its configuration.
            extra_args: More keys for the body, which the plugin reads.

        Returns:
            As :meth:`login`; ``username`` in ``config`` is empty.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIError: 400 when the session is logged in already, 404 from servers without the function.

        Not idempotent. ``POST /server/token-login``, unsigned.
        """
        extra = optional(mapping, "extra_args", extra_args) or {}
        body = {**extra, text("token_name", token_name): secret("token", token)}
        response = yield Request("POST", "/server/token-login", json=body, anonymous=True)
        return _logged_in(cls, expect_object(response), "")

    @api_class_function
    def login_check(cls) -> Recipe[LoginState]:
        """Whether the session is logged in at the web server.

        Returns:
            ``authenticated``, ``data`` and the web session's ``session_id``.

        Raises:
            BackendAPIError: 404 from servers without the function (it is there on 23.09), and from managers.

        Idempotent. ``POST /server/login-check``, unsigned.
        """
        response = yield Request("POST", "/server/login-check", anonymous=True, idempotent=True)
        return expect_object(response, shape=LoginState)

    @api_class_function
    def logout(cls) -> Recipe[None]:
        """Log out at the web server.

        Not idempotent. ``POST /server/logout``.
        """
        yield Request("POST", "/server/logout")

    # -- The account --------------------------------------------------------------------------------------------------

    @api_class_function
    def echo(cls, message: str = "hello") -> Recipe[Echo]:
        """Have the manager check the signature, and nothing else.

        Args:
            message: A text to send back.

        Returns:
            ``{"authorized": "yes", "echo": message}``.

        Raises:
            InvalidArgument: It is no text, or empty.
            BackendAPIError: 401 when the signature, or the keypair, is not accepted.

        Idempotent. ``GET /auth`` with query ``echo``, from manager 26.3 on ``POST /auth``.
        """
        said = {"echo": text("message", message)}
        if cls.server.generation.echoes_by_post:
            response = yield Request("POST", "/auth", json=said, idempotent=True)
        else:
            response = yield Request("GET", "/auth", params=said)
        return expect_object(response, shape=Echo)

    @api_class_function
    def get_role(cls, group: str | uuid.UUID | None = None) -> Recipe[Roles]:
        """What the caller may do.

        Args:
            group: UUID of a group to tell the role in.

        Returns:
            ``global_role``, ``domain_role`` and ``group_role``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIError: 404 when the caller is not in the group.

        Idempotent. ``GET /auth/role`` with query ``group``.
        """
        params = given(group=optional(uuid_text, "group", group))
        response = yield Request("GET", "/auth/role", params=params)
        return expect_object(response, shape=Roles)

    @api_class_function
    def signup(
        cls,
        email: str,
        password: str,
        *,
        domain: str | None = None,
        username: str | None = None,
        full_name: str | None = None,
        description: str | None = None,
        extra_args: Mapping[str, Any] | None = None,
    ) -> Recipe[NewKeyPair]:
        """Make an account for oneself. Clusters may refuse it by a plugin (400 ``rejected-by-hook``).

        Args:
            email: The new user's e-mail address.
            password: Their password.
            domain: Their domain; default: the configuration's.
            username: Default: the e-mail address.
            full_name: Default: empty.
            description: Default: empty.
            extra_args: More keys for the body, which plugins read.

        Returns:
            The keypair of the new account; it is not used by this session. On 23.09 it does not authenticate (401)
            until an administrator makes it the account's main one: ``User.update(email, main_access_key=...)``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIError: 400 when there is such a user already.

        Not idempotent. ``POST /auth/signup``, unsigned.
        """
        body = {
            **(optional(mapping, "extra_args", extra_args) or {}),
            "domain": text("domain", cls.server.config.domain if domain is None else domain),
            "email": text("email", email),
            "password": secret("password", password),
            **given(
                username=optional(text, "username", username),
                full_name=optional(free_text, "full_name", full_name),
                description=optional(free_text, "description", description),
            ),
        }
        response = yield Request("POST", "/auth/signup", json=body, anonymous=True)
        return expect_object(response, shape=NewKeyPair)

    @api_class_function
    def signout(cls, email: str, password: str) -> Recipe[dict[str, Any]]:
        """Give up the caller's own account: it and its keypairs become inactive.

        Args:
            email: The caller's e-mail address.
            password: The caller's password.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIError: 403 for somebody else's account, 400 for a wrong password.

        Not idempotent: the keypair is not accepted afterwards. ``POST /auth/signout``.
        """
        body = {"email": text("email", email), "password": secret("password", password)}
        response = yield Request("POST", "/auth/signout", json=body)
        return expect_object(response)

    @api_class_function
    def update_full_name(cls, email: str, full_name: str) -> Recipe[dict[str, Any]]:
        """Change the caller's own full name.

        Args:
            email: The caller's e-mail address. (Servers want it and then change the caller's name, whatever it says.)
            full_name: The new name, not empty.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIVersionError: The server is older than v6.20210815.

        Idempotent. ``POST /auth/update-full-name``.
        """
        cls.server.generation.require("update_full_name", since=V6_FILTER)
        body = {"email": text("email", email), "full_name": text("full_name", full_name)}
        response = yield Request("POST", "/auth/update-full-name", json=body, idempotent=True)
        return expect_object(response)

    # -- Passwords ----------------------------------------------------------------------------------------------------

    @api_class_function
    def update_password(cls, old_password: str, new_password: str, new_password2: str) -> Recipe[dict[str, Any]]:
        """Change the caller's password.

        Args:
            old_password: The one in use.
            new_password: The new one.
            new_password2: The new one again.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIError: 401 for a wrong old password; 400 with ``data == {"error_msg": "new password mismatch"}``
                when the new ones differ.

        Not idempotent. ``POST /auth/update-password``.
        """
        body = {
            "old_password": secret("old_password", old_password),
            "new_password": secret("new_password", new_password),
            "new_password2": secret("new_password2", new_password2),
        }
        response = yield Request("POST", "/auth/update-password", json=body)
        return expect_object(response)

    @api_class_function
    def update_password_no_auth(
        cls, domain: str, user_id: str, current_password: str, new_password: str
    ) -> Recipe[PasswordChange]:
        """Change an expired password, without being logged in.

        Args:
            domain: The user's domain.
            user_id: The user's e-mail address or name.
            current_password: The expired one.
            new_password: The new one.

        Returns:
            ``{"password_changed_at": time}``.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 401 for a wrong password; 400 from clusters where passwords do not expire.

        Not idempotent. ``POST /auth/update-password-no-auth``, unsigned.
        """
        cls.server.generation.require("update_password_no_auth", since=V6_LOWER_CASE)
        body = {"domain": text("domain", domain), **_password_change(user_id, current_password, new_password)}
        response = yield Request("POST", "/auth/update-password-no-auth", json=body, anonymous=True)
        return expect_object(response, shape=PasswordChange)

    @api_class_function
    def update_password_no_auth_in_session(
        cls, user_id: str, current_password: str, new_password: str
    ) -> Recipe[PasswordChangeInSession]:
        """Change an expired password through the web server, without being logged in (23.09).

        Args:
            user_id: The user's e-mail address or name.
            current_password: The expired one.
            new_password: The new one.

        Returns:
            ``{"data": None, "password_changed_at": time}``, or with ``data`` as ``{"type", "title", "details"}`` and no
            time: a wrong password raises nothing.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIError: 404 from servers without the function.

        Not idempotent. ``POST /server/update-password-no-auth``, unsigned.
        """
        body = _password_change(user_id, current_password, new_password)
        response = yield Request("POST", "/server/update-password-no-auth", json=body, anonymous=True)
        return expect_object(response, shape=PasswordChangeInSession)

    # -- The SSH key that sessions of the keypair accept --------------------------------------------------------------

    @api_class_function
    def get_ssh_keypair(cls) -> Recipe[SSHPublicKey]:
        """The public half of the SSH key of the caller's keypair; the private half cannot be read back.

        Idempotent. ``GET /auth/ssh-keypair``.
        """
        response = yield Request("GET", "/auth/ssh-keypair")
        return expect_object(response, shape=SSHPublicKey)

    @api_class_function
    def generate_ssh_keypair(cls) -> Recipe[SSHKeyPair]:
        """Replace the SSH key of the caller's keypair by a new one that the server makes.

        Returns:
            Both halves. This is the only time that the private one is shown.

        Not idempotent. ``PATCH /auth/ssh-keypair``.
        """
        response = yield Request("PATCH", "/auth/ssh-keypair")
        return expect_object(response, shape=SSHKeyPair)

    @api_class_function
    def upload_ssh_keypair(cls, pubkey: str, privkey: str) -> Recipe[SSHKeyPair]:
        """Replace the SSH key of the caller's keypair by one of the caller's.

        Args:
            pubkey: The public half, in OpenSSH's form.
            privkey: The private half, as PEM.

        Returns:
            Both halves, as stored.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIVersionError: The server is older than v6.20230315.

        Idempotent. ``POST /auth/ssh-keypair``.
        """
        cls.server.generation.require("upload_ssh_keypair", since=V6_LOWER_CASE)
        if not free_text("pubkey", pubkey).strip():
            raise InvalidArgument("pubkey", pubkey, "must not be empty")
        body = {"pubkey": pubkey, "privkey": _private_key(privkey)}
        response = yield Request("POST", "/auth/ssh-keypair", json=body, idempotent=True)
        return expect_object(response, shape=SSHKeyPair)


def _logged_in(auth: Any, reply: dict[str, Any], user_id: str) -> Login:
    cookies = getattr(auth.session, "cookies", None)
    # The keys of the reply are the server's promise; mypy cannot see them.
    return {**reply, "cookies": cookies, "config": {"username": user_id}}  # type: ignore[typeddict-item]  # see above


def _password_change(user_id: str, current_password: str, new_password: str) -> dict[str, str]:
    return {
        "username": text("user_id", user_id),
        "current_password": secret("current_password", current_password),
        "new_password": secret("new_password", new_password),
    }


def _private_key(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgument("privkey", "(not shown)", "must be a non-empty string")
    return value
