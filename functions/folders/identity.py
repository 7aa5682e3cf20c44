"""Which virtual folder an object stands for, how its requests address it, and the body of a request for a new one."""

from __future__ import annotations

import uuid
from typing import Any, Final

from ai.backend.client._checks import plain
from ai.backend.client.exceptions import BackendAPIError, InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe
from ai.backend.client.functions.folders.replies import NewFolder
from ai.backend.client.functions.server import Server
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.generations import V5, V6, Generation
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import choice, flag, given, is_uuid, optional, text
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.request import Request, segment

PERMISSIONS: Final = ("ro", "rw", "wd")
"""Reading; writing too; deleting too."""
USAGE_MODES: Final = ("general", "model", "data")


class FolderIdentity(BaseFunction[M]):
    """The state of a folder object: what its functions are built on.

    Args:
        name: The folder's name. The server looks for it among all folders that the caller can use.

    Attributes:
        name: As given; follows a rename through the object.

    Raises:
        InvalidArgument: It is no name.
    """

    name: str

    def __init__(self, name: str) -> None:
        segment(name)
        self.name = plain(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r}>"

    def _path(self, suffix: str = "") -> str:
        return f"/folders/{segment(self.name)}{suffix}"


def folder_body(generation: Generation, **arguments: Any) -> dict[str, Any]:
    """The body of a request for a new folder: what was given and is not what servers take anyway.

    Args:
        generation: How the server is spoken to.
        arguments: As for :meth:`VFolder.create <ai.backend.client.functions.folders.vfolder.VFolder.create>`.

    Raises:
        InvalidArgument: A value that no server takes.
        BackendAPIVersionError: An argument that the version does not have.
    """
    text("name", arguments["name"])
    values = given(**{name: optional(_CHECKS[name], name, value) for name, value in arguments.items()})
    body = {name: value for name, value in values.items() if value != _DEFAULTS.get(name)}
    generation.require_arguments("VFolder.create", body, _SINCE)
    return body


def new_folder(server: Server, body: dict[str, Any]) -> Recipe[NewFolder]:
    """Make a folder.

    Args:
        server: The session's server.
        body: From :func:`folder_body`. A group is told by its UUID from 26.3 on: that of a name is looked up in the
            configured domain.

    Raises:
        BackendAPIError: 404 for a group that is not there; else as the server says.
    """
    group = body.get("group")
    if group is not None and server.generation.wants_group_ids and not is_uuid(group):
        arguments = {"name": Variable("String!", group), "domain_name": Variable("String", server.config.domain)}
        found = yield from graphql.select_list("groups_by_name", ["id"], arguments)
        if not found:
            problem = {"type": "https://api.backend.ai/probs/object-not-found", "title": "No such group."}
            raise BackendAPIError(404, "Not Found", problem)
        body = {**body, "group": field(found[0], "id")}
    response = yield Request("POST", "/folders", json=body)
    return expect_object(response, shape=NewFolder)


def check_permission(argument: str, value: object) -> str:
    """One of :data:`PERMISSIONS`."""
    return choice(argument, value, PERMISSIONS)


def check_usage_mode(argument: str, value: object) -> str:
    """One of :data:`USAGE_MODES`."""
    return choice(argument, value, USAGE_MODES)


def _group(argument: str, value: object) -> str:
    return str(value) if isinstance(value, uuid.UUID) else text(argument, value)


def _absolute_path(argument: str, value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise InvalidArgument(argument, value, "must be an absolute path")
    return value


_CHECKS: Final = {
    "name": text,
    "host": text,
    "group": _group,
    "unmanaged_path": _absolute_path,
    "usage_mode": check_usage_mode,
    "permission": check_permission,
    "quota": text,
    "cloneable": flag,
}
_DEFAULTS: Final = {"usage_mode": "general", "permission": "rw", "quota": "0", "cloneable": False}
"""What servers take when it is not said, so that it is not sent."""
_SINCE: Final = {"unmanaged_path": V5, "usage_mode": V5, "permission": V5, "quota": V6, "cloneable": V6}
