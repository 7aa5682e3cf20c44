"""Logging in and passwords. ``/server/...`` exists on web servers only (``endpoint_type="session"``).

===================================  ========================================  =========================================
Function                             Request                                   Body
===================================  ========================================  =========================================
login                                POST /server/login, unsigned              ``username``, ``password``, ``otp``
logout                               POST /server/logout
update_password                      POST /auth/update-password                the three arguments
update_password_no_auth              POST /auth/update-password-no-auth,       ``domain``, ``username``,
                                     unsigned                                  ``current_password``, ``new_password``
update_password_no_auth_in_session   POST /server/update-password-no-auth,     ``username``, ``current_password``,
                                     unsigned                                  ``new_password``
===================================  ========================================  =========================================
"""

from __future__ import annotations

from typing import Any

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, expect_object
from ai.backend.client.request import Request

__all__ = ["Auth"]

_HIDDEN = "***"
"""Stands for a password in an error."""


class Auth(BaseFunction[M]):
    """Who the caller is."""

    @api_class_function
    def login(cls, user_id: str, password: str, otp: str | None = None) -> Recipe[dict[str, Any]]:
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

        Not idempotent. ``POST /server/login``.
        """
        body = {"username": _text("user_id", user_id), "password": _secret("password", password)}
        if otp:
            body["otp"] = _secret("otp", otp)
        response = yield Request("POST", "/server/login", json=body, anonymous=True)
        return {
            **expect_object(response),
            "cookies": getattr(cls.session, "cookies", None),
            "config": {"username": user_id},
        }

    @api_class_function
    def logout(cls) -> Recipe[None]:
        """Log out at the web server.

        Not idempotent. ``POST /server/logout``.
        """
        yield Request("POST", "/server/logout")

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
            "old_password": _secret("old_password", old_password),
            "new_password": _secret("new_password", new_password),
            "new_password2": _secret("new_password2", new_password2),
        }
        response = yield Request("POST", "/auth/update-password", json=body)
        return expect_object(response)

    @api_class_function
    def update_password_no_auth(
        cls, domain: str, user_id: str, current_password: str, new_password: str
    ) -> Recipe[dict[str, Any]]:
        """Change an expired password, without being logged in (23.09).

        Args:
            domain: The user's domain.
            user_id: The user's e-mail address or name.
            current_password: The expired one.
            new_password: The new one.

        Returns:
            ``{"password_changed_at": time}``.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIError: 401 for a wrong password, 404 from servers without the function.

        Not idempotent. ``POST /auth/update-password-no-auth``, unsigned.
        """
        body = {"domain": _text("domain", domain), **_password_change(user_id, current_password, new_password)}
        response = yield Request("POST", "/auth/update-password-no-auth", json=body, anonymous=True)
        return expect_object(response)

    @api_class_function
    def update_password_no_auth_in_session(
        cls, user_id: str, current_password: str, new_password: str
    ) -> Recipe[dict[str, Any]]:
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

        Not idempotent. ``POST /server/update-password-no-auth``.
        """
        body = _password_change(user_id, current_password, new_password)
        response = yield Request("POST", "/server/update-password-no-auth", json=body, anonymous=True)
        return expect_object(response)


def _password_change(user_id: str, current_password: str, new_password: str) -> dict[str, str]:
    return {
        "username": _text("user_id", user_id),
        "current_password": _secret("current_password", current_password),
        "new_password": _secret("new_password", new_password),
    }


def _text(argument: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgument(argument, value, "must be a non-empty string")
    return value


def _secret(argument: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgument(argument, _HIDDEN, "must be a non-empty string")
    return value
