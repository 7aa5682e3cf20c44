"""Virtual folders. ``F`` is ``/folders/{name}``.

======================  ====================================  =========================================  ====
Function                Request                               Body (or query, for GET)                   Since
======================  ====================================  =========================================  ====
create                  POST /folders                         ``name``, ``host``, ``group`` …
info                    GET F
rename                  POST F/rename                         ``new_name``
update_options          POST F/update-options                 ``permission``, ``cloneable``              v6
clone                   POST F/clone                          ``target_name``, ``target_host`` …         v6
delete                  DELETE F
delete_by_id            DELETE /folders                       ``id``
lists                   lists.py
files in it             content.py
their transfer          transfers.py
sharing                 sharing.py
hosts, mounts, quotas   hosts.py
======================  ====================================  =========================================  ====
"""

from __future__ import annotations

import uuid
from typing import Any

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import M, Recipe, api_class_function, api_function
from ai.backend.client.functions.folders.content import FolderContent
from ai.backend.client.functions.folders.hosts import FolderHosts
from ai.backend.client.functions.folders.identity import (
    FolderIdentity,
    check_permission,
    check_usage_mode,
    folder_body,
    new_folder,
)
from ai.backend.client.functions.folders.lists import FolderLists
from ai.backend.client.functions.folders.replies import FolderInfo, NewFolder
from ai.backend.client.functions.folders.sharing import FolderSharing
from ai.backend.client.functions.folders.transfers import FolderTransfers
from ai.backend.client.functions.toolkit.generations import V6
from ai.backend.client.functions.toolkit.inputs import changes, flag, given, optional, text, uuid_text
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.request import Request

__all__ = ["VFolder"]


class VFolder(
    FolderLists[M], FolderContent[M], FolderTransfers[M], FolderSharing[M], FolderHosts[M], FolderIdentity[M]
):
    """A folder that sessions can mount.

    ``session.VFolder("data")`` is an object for a folder that exists; :meth:`create` makes one.
    """

    @api_class_function
    def create(
        cls,
        name: str,
        host: str | None = None,
        group: str | uuid.UUID | None = None,
        unmanaged_path: str | None = None,
        usage_mode: str = "general",
        permission: str = "rw",
        quota: str = "0",
        cloneable: bool = False,
    ) -> Recipe[NewFolder]:
        """Make a folder.

        Args:
            name: Its name: ASCII letters, digits, ``.``, ``_`` and ``-``. One with a dot in front is private, and
                mounted into every session of the owner.
            host: The host to put it on, ``proxy:volume`` from 20.09 on; default: the cluster's.
            group: Name or UUID of the group to make it for (administrators); default: for the caller. (The later vendor
                clients have ``unmanaged_path`` before ``group``: name them.)
            unmanaged_path: Absolute path of a directory on the agents that the folder is to stand for
                (administrators). From v5 on.
            usage_mode: ``general``, ``model`` or ``data``. From v5 on.
            permission: ``ro``, ``rw`` or ``wd``. From v5 on.
            quota: How large it may become, for example ``10g``; ``0``: no limit. From v6.20200815 on.
            cloneable: Whether others may clone it. From v6.20200815 on.

        Returns:
            The folder's properties, ``id`` and ``host`` among them.

        Raises:
            InvalidArgument: A value that no server takes.
            BackendAPIVersionError: An argument that the negotiated version does not have.
            BackendAPIError: 400 ``vfolder-already-exists`` for a name that is taken, 400 without any host, 403 for a
                group unless the caller administers it.

        Not idempotent. ``POST /folders``; from manager 26.3 on, which knows groups by UUID only, after GraphQL
        ``groups_by_name`` for the name of a group.
        """
        body = folder_body(
            cls.server.generation,
            name=name,
            host=host,
            group=group,
            unmanaged_path=unmanaged_path,
            usage_mode=usage_mode,
            permission=permission,
            quota=quota,
            cloneable=cloneable,
        )
        return (yield from new_folder(cls.server, body))

    @api_function
    def info(self) -> Recipe[FolderInfo]:
        """This folder's properties.

        Returns:
            ``name``, ``id``, ``host``, ``numFiles``, ``created``, ``permission`` and more by release.

        Raises:
            BackendAPIError: 404 for an unknown folder, or for a name that several folders have.

        Idempotent. ``GET F``.
        """
        response = yield Request("GET", self._path())
        return expect_object(response, shape=FolderInfo)

    @api_function
    def rename(self, new_name: str) -> Recipe[str]:
        """Give the folder another name; this object takes it on.

        Args:
            new_name: The new name, by the rules of :meth:`create`.

        Returns:
            The answer's text, which is empty.

        Raises:
            InvalidArgument: It is no name.
            BackendAPIError: 400 for a name that is taken, or a folder that is not the caller's; 404 for an unknown one.

        Not idempotent. ``POST F/rename``.
        """
        response = yield Request("POST", self._path("/rename"), json={"new_name": text("new_name", new_name)})
        self.name = new_name
        answer: str = response.text()
        return answer

    @api_function
    def update_options(
        self, name: str | None = None, permission: str | None = None, cloneable: bool | None = None
    ) -> Recipe[str]:
        """Change what may be done with the folder.

        Args:
            name: The folder's name, again: the vendor's client wants it and does not look at it. Another name than the
                object's is refused.
            permission: ``ro``, ``rw`` or ``wd``; what is not given stays.
            cloneable: Whether others may clone it; what is not given stays.

        Returns:
            The answer's text, which is empty.

        Raises:
            InvalidArgument: Another folder's name, or a value that no server takes.
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: 400 unless the caller owns the folder.

        Idempotent. ``POST F/update-options``.
        """
        self.server.generation.require("update_options", since=V6)
        if name is not None and name != self.name:
            raise InvalidArgument("name", name, f"must be the folder's own name, {self.name!r}")
        body = changes(
            permission=optional(check_permission, "permission", permission),
            cloneable=optional(flag, "cloneable", cloneable),
        )
        response = yield Request("POST", self._path("/update-options"), json=body, idempotent=True)
        answer: str = response.text()
        return answer

    @api_function
    def clone(
        self,
        target_name: str,
        target_host: str | None = None,
        usage_mode: str = "general",
        permission: str = "rw",
        *,
        cloneable: bool | None = None,
    ) -> Recipe[NewFolder]:
        """Make a copy of the folder, in the background.

        Args:
            target_name: The copy's name.
            target_host: The host to put it on, of the same proxy; default: the cluster's default host, which is asked
                for first (21.03 to 23.09 fail with status 500 when the host is left to them).
            usage_mode: As for :meth:`create`.
            permission: As for :meth:`create`.
            cloneable: Whether the copy may be cloned.

        Returns:
            The copy's properties, and ``bgtask_id``: the copy is complete when that background task is done.

        Raises:
            InvalidArgument: A value that no server takes, or no host and the cluster has no default one.
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: 403 when the folder may not be cloned, 400 for a name that is taken.

        Not idempotent. ``POST F/clone``, after ``GET /folders/_/hosts`` if no host was given.
        """
        self.server.generation.require("clone", since=V6)
        body = {
            "target_name": text("target_name", target_name),
            "usage_mode": check_usage_mode("usage_mode", usage_mode),
            "permission": check_permission("permission", permission),
            **given(cloneable=optional(flag, "cloneable", cloneable)),
        }
        host = optional(text, "target_host", target_host)
        if host is None:
            response = yield Request("GET", "/folders/_/hosts")
            host = field(response.json(), "default", response)
            if host is None:
                raise InvalidArgument("target_host", None, "must be given: the cluster has no default host")
        response = yield Request("POST", self._path("/clone"), json={**body, "target_host": host})
        return expect_object(response, shape=NewFolder)

    @api_function
    def delete(self) -> Recipe[dict[str, Any]]:
        """Remove the folder and everything in it. The server takes its time for that after the answer.

        Returns:
            ``{}``.

        Raises:
            BackendAPIError: 404 for an unknown folder, 400 for one that is not the caller's, or is in use.

        Not idempotent. ``DELETE F``.
        """
        yield Request("DELETE", self._path())
        return {}

    @api_class_function
    def delete_by_id(cls, oid: str | uuid.UUID) -> Recipe[dict[str, Any]]:
        """Remove anybody's folder, by UUID.

        Args:
            oid: The folder's UUID.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIError: 401 or 403 unless the caller is a superadmin; 404 for an unknown folder, 400 for one in
                use.

        Not idempotent. ``DELETE /folders``.
        """
        yield Request("DELETE", "/folders", json={"id": uuid_text("oid", oid)})
        return {}
