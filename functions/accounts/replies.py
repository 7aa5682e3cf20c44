"""Replies about logins, accounts and their settings.

As those of :mod:`~ai.backend.client.functions.toolkit.replies`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from ai.backend.client.functions.toolkit.replies import MutationResult


class Login(TypedDict):
    """What the web server answers to a login.

    Attributes:
        authenticated: Whether the session is logged in now.
        data: ``access_key``, ``role`` and ``status``; or ``type``, ``title`` and ``details`` of the refusal.
        cookies: The session's cookies.
        config: ``{"username": user_id}``.
    """

    authenticated: bool
    data: dict[str, Any]
    cookies: Any
    config: dict[str, str]


class LoginState(TypedDict):
    """What the web server knows of the session.

    Attributes:
        authenticated: Whether it is logged in.
        data: ``access_key``, ``role`` and ``status`` if it is.
        session_id: The web session's id.
    """

    authenticated: bool
    data: dict[str, Any] | None
    session_id: NotRequired[str | None]


class Echo(TypedDict):
    """The answer to a test of the credentials: ``authorized`` is ``yes``."""

    authorized: str
    echo: str


class Roles(TypedDict):
    """What the caller may do.

    Attributes:
        global_role: ``superadmin`` or ``user``.
        domain_role: ``admin`` or ``user``.
        group_role: ``user`` in the group that was asked for, None if none was.
    """

    global_role: str
    domain_role: str
    group_role: str | None


class NewKeyPair(TypedDict):
    """The keypair of a new account."""

    access_key: str
    secret_key: str


class PasswordChange(TypedDict):
    """A changed password: when, ISO 8601."""

    password_changed_at: str


class PasswordChangeInSession(TypedDict):
    """What the web server answers to a change of a password.

    Attributes:
        data: None; or ``type``, ``title`` and ``details`` of the refusal.
        password_changed_at: When it was done, ISO 8601; None or missing if it was refused.
    """

    data: dict[str, Any] | None
    password_changed_at: NotRequired[str | None]


class SSHPublicKey(TypedDict):
    """The public half of the keypair's SSH key, in OpenSSH's form; None when there is no key."""

    ssh_public_key: str | None


class SSHKeyPair(TypedDict):
    """An SSH key: the public half in OpenSSH's form, the private half as PEM."""

    ssh_public_key: str
    ssh_private_key: str


class DotfileItem(TypedDict):
    """A dotfile, in a list; ``permission`` is three octal digits."""

    path: str
    permission: str
    data: str


class DotfileContent(TypedDict):
    """A dotfile; ``perm`` is three octal digits."""

    path: str
    perm: str
    data: str


class DomainResult(MutationResult):
    """The outcome of a change of a domain.

    Attributes:
        domain: What was asked for of the domain; None when it was not done, or there is none. Absent when nothing was
            asked for.
    """

    domain: NotRequired[dict[str, Any] | None]


class GroupResult(MutationResult):
    """The outcome of a change of a group.

    Attributes:
        group: As ``domain`` of :class:`DomainResult`.
    """

    group: NotRequired[dict[str, Any] | None]


class UserResult(MutationResult):
    """The outcome of a change of a user.

    Attributes:
        user: As ``domain`` of :class:`DomainResult`.
    """

    user: NotRequired[dict[str, Any] | None]


class KeyPairResult(MutationResult):
    """The outcome of a change of a key pair.

    Attributes:
        keypair: As ``domain`` of :class:`DomainResult`.
    """

    keypair: NotRequired[dict[str, Any] | None]


class ResourcePolicyResult(MutationResult):
    """The outcome of a change of a resource policy.

    Attributes:
        resource_policy: As ``domain`` of :class:`DomainResult`.
    """

    resource_policy: NotRequired[dict[str, Any] | None]
