"""Files that are put into every session of a keypair, group or domain, and the keypair's bootstrap script.

=======================  ======================================  ==============================================
Function                 Request                                 Body (or query, for GET and DELETE)
=======================  ======================================  ==============================================
create                   POST D                                  ``data``, ``path``, ``permission``, and the scope
list_dotfiles            GET D                                   the scope
get                      GET D                                   ``path``, and the scope
update                   PATCH D                                 ``data``, ``path``, ``permission``, and the scope
delete                   DELETE D                                ``path``, and the scope
get_bootstrap_script     GET /user-config/bootstrap-script
update_bootstrap_script  POST /user-config/bootstrap-script      ``script``
=======================  ======================================  ==============================================

The scope says whose files they are: of a group (``D`` is ``/group-config/dotfiles``), of a domain
(``/domain-config/dotfiles``; both since v6.20200815), or of a keypair (``/user-config/dotfiles``, since v5.20191215).
"""

from __future__ import annotations

import builtins
import re
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.accounts.replies import DotfileContent, DotfileItem
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_factory, api_function
from ai.backend.client.functions.server import Server
from ai.backend.client.functions.toolkit.generations import V5, V6
from ai.backend.client.functions.toolkit.inputs import free_text, given, is_uuid, matching, optional, text
from ai.backend.client.functions.toolkit.reading import expect_list, expect_object
from ai.backend.client.functions.toolkit.replies import Success
from ai.backend.client.request import Request

__all__ = ["Dotfile"]

MAX_SIZE: Final = 64 * 1024
"""Characters of a file or script: what the manager takes. All files of a scope together have as many bytes there."""
_PERMISSION = re.compile(r"[0-7]{3}")
_SCRIPT_PATH = "/user-config/bootstrap-script"


class Dotfile(BaseFunction[M]):
    """A file that is put into every session.

    Args:
        path: Its path, relative to the home directory.
        owner_access_key: Access key of its owner, for administrators who act for others.
        group: Name or UUID of the group that it is for.
        domain: Name of the domain that it is for; with the name of a group, that group's domain, by default the
            configuration's.

    Attributes:
        path: As given.
        owner_access_key: As given, None when empty.
        group: As given, None when empty.
        domain: As given, None when empty.

    Raises:
        InvalidArgument: A value is no text, or the path is empty.
    """

    path: str
    owner_access_key: str | None
    group: str | None
    domain: str | None

    def __init__(
        self,
        path: str,
        owner_access_key: str | None = None,
        group: str | None = None,
        domain: str | None = None,
    ) -> None:
        self.path = text("path", path)
        self.owner_access_key = optional(text, "owner_access_key", owner_access_key or None)
        self.group = optional(text, "group", group or None)
        self.domain = optional(text, "domain", domain or None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}>"

    @api_factory
    def create(
        cls,
        data: str,
        path: str,
        permission: str,
        owner_access_key: str | None = None,
        domain: str | None = None,
        group: str | None = None,
    ) -> Recipe[Any]:
        """Store a file.

        Args:
            data: Its text, at most 64 KiB.
            path: Its path, relative to the home directory.
            permission: Three octal digits, for example ``644``.
            owner_access_key: See the class.
            domain: See the class (administrators).
            group: See the class (administrators).

        Returns:
            The file's object.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server has no such files.
            BackendAPIError: 400 for a path that is taken or reserved, or when there is no room left; 401 or 403 for
                others' files.

        Not idempotent. ``POST D``.
        """
        made: Any = cls
        dotfile = made(path, owner_access_key, group, domain)
        address, scope = _scope(cls.server, dotfile)
        yield Request("POST", address, json={**_content(data, permission), "path": dotfile.path, **scope})
        return dotfile

    @api_class_function
    def list_dotfiles(
        cls, owner_access_key: str | None = None, domain: str | None = None, group: str | None = None
    ) -> Recipe[builtins.list[DotfileItem]]:
        """The files of a scope.

        Args:
            owner_access_key: See the class. Managers up to 23.09 list the caller's own files nevertheless.
            domain: See the class.
            group: See the class.

        Returns:
            ``{"path", "permission", "data"}`` each.

        Raises:
            InvalidArgument: A value is no text.
            BackendAPIVersionError: The server has no such files.
            BackendAPIError: 403 or 404 for others' groups and domains.

        Idempotent. ``GET D`` with a query.
        """
        address, scope = _scope(cls.server, Dotfile("-", owner_access_key, group, domain))
        response = yield Request("GET", address, params=scope)
        return expect_list(response, item=DotfileItem)

    @api_function
    def get(self) -> Recipe[DotfileContent]:
        """The file.

        Returns:
            ``{"path", "perm", "data"}``: ``perm`` here, ``permission`` in lists.

        Raises:
            BackendAPIVersionError: The server has no such files.
            BackendAPIError: 404 for an unknown file.

        Idempotent. ``GET D`` with a query.
        """
        address, scope = _scope(self.server, self)
        response = yield Request("GET", address, params={"path": self.path, **scope})
        return expect_object(response, shape=DotfileContent)

    @api_function
    def update(self, data: str, permission: str) -> Recipe[dict[str, Any]]:
        """Replace the file.

        Args:
            data: Its text, at most 64 KiB.
            permission: Three octal digits.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server has no such files.
            BackendAPIError: 404 for an unknown file, 400 when there is no room left.

        Idempotent. ``PATCH D``.
        """
        address, scope = _scope(self.server, self)
        body = {**_content(data, permission), "path": self.path, **scope}
        response = yield Request("PATCH", address, json=body, idempotent=True)
        return expect_object(response)

    @api_function
    def delete(self) -> Recipe[Success]:
        """Remove the file.

        Returns:
            ``{"success": True}``.

        Raises:
            BackendAPIVersionError: The server has no such files.
            BackendAPIError: 404 for an unknown file.

        Not idempotent. ``DELETE D`` with a query.
        """
        address, scope = _scope(self.server, self)
        response = yield Request("DELETE", address, params={"path": self.path, **scope})
        return expect_object(response, shape=Success)

    @api_class_function
    def get_bootstrap_script(cls) -> Recipe[str]:
        """The script that runs first in every session of the caller's keypair; empty when there is none.

        Raises:
            BackendAPIVersionError: The server is older than v5.20191215.

        Idempotent. ``GET /user-config/bootstrap-script``.
        """
        cls.server.generation.require("get_bootstrap_script", since=V5)
        response = yield Request("GET", _SCRIPT_PATH)
        script: str = response.json()
        return script

    @api_class_function
    def update_bootstrap_script(cls, script: str) -> Recipe[dict[str, Any]]:
        """Replace that script.

        Args:
            script: Its text, at most 64 KiB; empty removes it.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: It is no text, or too long.
            BackendAPIVersionError: The server is older than v5.20191215.

        Idempotent. ``POST /user-config/bootstrap-script``.
        """
        cls.server.generation.require("update_bootstrap_script", since=V5)
        body = {"script": _short("script", script)}
        response = yield Request("POST", _SCRIPT_PATH, json=body, idempotent=True)
        return expect_object(response)


def _scope(server: Server, dotfile: Dotfile[Any]) -> tuple[str, dict[str, str]]:
    """Where the files of a scope are, and the parameters that say which."""
    if dotfile.group is not None:
        server.generation.require("dotfiles of groups", since=V6)
        domain = dotfile.domain or (None if is_uuid(dotfile.group) else server.config.domain)
        return "/group-config/dotfiles", {"group": dotfile.group, **given(domain=domain)}
    if dotfile.domain is not None:
        server.generation.require("dotfiles of domains", since=V6)
        return "/domain-config/dotfiles", {"domain": dotfile.domain}
    server.generation.require("dotfiles", since=V5)
    return "/user-config/dotfiles", given(owner_access_key=dotfile.owner_access_key)


def _content(data: object, permission: object) -> dict[str, str]:
    content = _short("data", data)
    if not content:
        raise InvalidArgument("data", data, "must not be empty")
    return {
        "data": content,
        "permission": matching("permission", permission, _PERMISSION, "must be three octal digits, for example 644"),
    }


def _short(argument: str, value: object) -> str:
    content = free_text(argument, value)
    if len(content) > MAX_SIZE:
        raise InvalidArgument(argument, f"{len(content)} characters", f"must have at most {MAX_SIZE} characters")
    return content
