"""Where virtual folders are: hosts, mounts, quotas, owners.

=========================  =================================  ==========================================  ============
Function                   Request                            Body (or query, for GET)                    Role
=========================  =================================  ==========================================  ============
list_hosts                 GET /folders/_/hosts                                                           user
list_all_hosts             GET /folders/_/all_hosts                                                       superadmin
list_allowed_types         GET /folders/_/allowed_types                                                   user
get_performance_metric     GET /folders/_/perf-metric         ``folder_host``                             superadmin
get_fstab_contents         GET /folders/_/fstab               ``agent_id``, ``fstab_path``                superadmin
list_mounts                GET /folders/_/mounts                                                          superadmin
mount_host                 POST /folders/_/mounts             ``name``, ``fs_location`` …                 superadmin
umount_host                DELETE /folders/_/mounts           ``name``, ``edit_fstab`` …                  superadmin
get_quota                  GET /folders/_/quota               ``folder_host``, ``id``                     user
update_quota               POST /folders/_/quota              ``folder_host``, ``id``, ``input``          user
get_usage                  GET /folders/_/usage               ``folder_host``, ``id``                     superadmin
get_used_bytes             GET /folders/_/used-bytes          ``folder_host``, ``id``                     superadmin
change_vfolder_ownership   POST /folders/_/change-ownership   ``vfolder``, ``user_email``                 superadmin
=========================  =================================  ==========================================  ============

``all_hosts`` and ``allowed_types`` are the spellings that every manager serves (20.09 added some with a dash).
"""

from __future__ import annotations

import builtins
import uuid
from typing import Any

from ai.backend.client.functions.base import M, Recipe, api_class_function
from ai.backend.client.functions.folders.identity import FolderIdentity
from ai.backend.client.functions.folders.replies import (
    FolderMounts,
    FolderQuota,
    FolderUsage,
    FolderUsedBytes,
    FstabContents,
    HostList,
    MountOutcome,
)
from ai.backend.client.functions.toolkit.generations import V6, V6_FILTER, V6_LOWER_CASE
from ai.backend.client.functions.toolkit.inputs import flag, given, optional, text, uuid_text, whole
from ai.backend.client.functions.toolkit.reading import expect_list, expect_object
from ai.backend.client.request import Request


class FolderHosts(FolderIdentity[M]):
    """Administration of the hosts that folders are on, and of folders by UUID."""

    @api_class_function
    def list_hosts(cls) -> Recipe[HostList]:
        """The hosts that the caller may have folders on.

        Idempotent. ``GET /folders/_/hosts``.
        """
        response = yield Request("GET", "/folders/_/hosts")
        return expect_object(response, shape=HostList)

    @api_class_function
    def list_all_hosts(cls) -> Recipe[HostList]:
        """All hosts of the cluster.

        Raises:
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /folders/_/all_hosts``.
        """
        response = yield Request("GET", "/folders/_/all_hosts")
        return expect_object(response, shape=HostList)

    @api_class_function
    def list_allowed_types(cls) -> Recipe[builtins.list[str]]:
        """Who may own folders: ``user``, ``group`` or both.

        Idempotent. ``GET /folders/_/allowed_types``.
        """
        response = yield Request("GET", "/folders/_/allowed_types")
        return expect_list(response, item=str)

    @api_class_function
    def get_performance_metric(cls, folder_host: str) -> Recipe[dict[str, Any]]:
        """How busy a host is.

        Args:
            folder_host: The host, ``proxy:volume``.

        Returns:
            What its storage tells, for example IOPS and throughput; by kind of storage.

        Raises:
            InvalidArgument: It is no text, or empty.
            BackendAPIVersionError: The server is older than v6.20200815.
            BackendAPIError: 400 for storage that cannot tell (``vfs``); 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /folders/_/perf-metric`` with query ``folder_host``.
        """
        cls.server.generation.require("get_performance_metric", since=V6)
        params = {"folder_host": text("folder_host", folder_host)}
        response = yield Request("GET", "/folders/_/perf-metric", params=params)
        return expect_object(response)

    @api_class_function
    def get_fstab_contents(cls, agent_id: str | None = None, *, fstab_path: str | None = None) -> Recipe[FstabContents]:
        """The file that says what a node mounts.

        Args:
            agent_id: An agent; default: the manager's node, of which managers from 20.09 on send a placeholder.
            fstab_path: The file; default: ``/etc/fstab``.

        Returns:
            ``content``, ``node`` (``agent`` or ``manager``) and ``node_id``.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIError: 500 when the agent's watcher does not answer; 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /folders/_/fstab`` with a query.
        """
        params = given(
            agent_id=optional(text, "agent_id", agent_id), fstab_path=optional(text, "fstab_path", fstab_path)
        )
        response = yield Request("GET", "/folders/_/fstab", params=params)
        return expect_object(response, shape=FstabContents)

    @api_class_function
    def list_mounts(cls) -> Recipe[FolderMounts]:
        """What is mounted on the nodes.

        Returns:
            ``manager``, ``agents`` by id and, from 20.09 on, ``storage-proxy``: ``{"success", "mounts", "message"}``
            each.

        Raises:
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /folders/_/mounts``.
        """
        response = yield Request("GET", "/folders/_/mounts")
        return expect_object(response, shape=FolderMounts)

    @api_class_function
    def mount_host(
        cls,
        name: str,
        fs_location: str,
        options: str | None = None,
        edit_fstab: bool = False,
        *,
        fs_type: str | None = None,
        scaling_group: str | None = None,
        fstab_path: str | None = None,
    ) -> Recipe[MountOutcome]:
        """Mount a file system on the nodes, to have folders on it.

        Args:
            name: Name of the host that it becomes.
            fs_location: The file system, for example ``10.0.0.1:/exports``.
            options: Mount options.
            edit_fstab: Write it into the nodes' ``/etc/fstab`` too.
            fs_type: Its type; default: ``nfs``.
            scaling_group: Only on the agents of this resource group.
            fstab_path: The file to write it into; default: ``/etc/fstab``.

        Returns:
            ``manager`` and ``agents`` by id: ``{"success", "message"}`` each. Nothing is raised when a node fails.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Not idempotent. ``POST /folders/_/mounts``.
        """
        body = {
            "name": text("name", name),
            "fs_location": text("fs_location", fs_location),
            "edit_fstab": flag("edit_fstab", edit_fstab),
            **given(
                options=optional(text, "options", options),
                fs_type=optional(text, "fs_type", fs_type),
                scaling_group=optional(text, "scaling_group", scaling_group),
                fstab_path=optional(text, "fstab_path", fstab_path),
            ),
        }
        response = yield Request("POST", "/folders/_/mounts", json=body)
        return expect_object(response, shape=MountOutcome)

    @api_class_function
    def umount_host(
        cls,
        name: str,
        edit_fstab: bool = False,
        *,
        scaling_group: str | None = None,
        fstab_path: str | None = None,
    ) -> Recipe[MountOutcome]:
        """Unmount a host that :meth:`mount_host` mounted.

        Args:
            name: The host's name.
            edit_fstab: Take it out of the nodes' ``/etc/fstab`` too.
            scaling_group: Only on the agents of this resource group.
            fstab_path: The file to take it out of; default: ``/etc/fstab``.

        Returns:
            As :meth:`mount_host`.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIError: 409 when a session uses it; 401 or 403 unless the caller is a superadmin. Managers of 23.09
                answer 500, always.

        Not idempotent. ``DELETE /folders/_/mounts``.
        """
        body = {
            "name": text("name", name),
            "edit_fstab": flag("edit_fstab", edit_fstab),
            **given(
                scaling_group=optional(text, "scaling_group", scaling_group),
                fstab_path=optional(text, "fstab_path", fstab_path),
            ),
        }
        response = yield Request("DELETE", "/folders/_/mounts", json=body)
        return expect_object(response, shape=MountOutcome)

    @api_class_function
    def get_quota(cls, folder_host: str, id: str | uuid.UUID) -> Recipe[FolderQuota]:
        """How large a folder may become.

        Args:
            folder_host: The folder's host, ``proxy:volume``.
            id: The folder's UUID.

        Returns:
            ``{"size_bytes": n}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 404 for an unknown folder. Managers of 23.09 answer 500, always.

        Idempotent. ``GET /folders/_/quota`` with a query, since 21.03.
        """
        cls.server.generation.require("get_quota", since=V6_FILTER)
        response = yield Request("GET", "/folders/_/quota", params=_folder(folder_host, id))
        return expect_object(response, shape=FolderQuota)

    @api_class_function
    def update_quota(cls, folder_host: str, id: str | uuid.UUID, size_bytes: int) -> Recipe[FolderQuota]:
        """Change how large a folder may become.

        Args:
            folder_host: The folder's host, ``proxy:volume``.
            id: The folder's UUID.
            size_bytes: The limit, in bytes; 0 for as much as the resource policy allows.

        Returns:
            ``{"size_bytes": n}``: the limit that holds now.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 404 for an unknown folder. Managers of 23.09 answer 500, always.

        Idempotent. ``POST /folders/_/quota``, since 21.03.
        """
        cls.server.generation.require("update_quota", since=V6_FILTER)
        body = {**_folder(folder_host, id), "input": {"size_bytes": whole("size_bytes", size_bytes)}}
        response = yield Request("POST", "/folders/_/quota", json=body, idempotent=True)
        return expect_object(response, shape=FolderQuota)

    @api_class_function
    def get_usage(cls, folder_host: str, id: str | uuid.UUID) -> Recipe[FolderUsage]:
        """How many files a folder has, and how large they are.

        Args:
            folder_host: The folder's host, ``proxy:volume``.
            id: The folder's UUID.

        Returns:
            ``{"file_count": n, "used_bytes": n}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 404 for an unknown folder; 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /folders/_/usage`` with a query, since 21.03.
        """
        cls.server.generation.require("get_usage", since=V6_FILTER)
        response = yield Request("GET", "/folders/_/usage", params=_folder(folder_host, id))
        return expect_object(response, "data" if cls.server.generation.wraps_usage else None, shape=FolderUsage)

    @api_class_function
    def get_used_bytes(cls, folder_host: str, id: str | uuid.UUID) -> Recipe[FolderUsedBytes]:
        """How large a folder is.

        Args:
            folder_host: The folder's host, ``proxy:volume``.
            id: The folder's UUID.

        Returns:
            ``{"used_bytes": n}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown folder; 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /folders/_/used-bytes`` with a query.
        """
        cls.server.generation.require("get_used_bytes", since=V6_LOWER_CASE)
        response = yield Request("GET", "/folders/_/used-bytes", params=_folder(folder_host, id))
        return expect_object(response, "data" if cls.server.generation.wraps_usage else None, shape=FolderUsedBytes)

    @api_class_function
    def change_vfolder_ownership(cls, vfolder: str | uuid.UUID, user_email: str) -> Recipe[dict[str, Any]]:
        """Give a user's folder to another user.

        Args:
            vfolder: The folder's UUID.
            user_email: The new owner's e-mail address.

        Returns:
            ``{}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown user, 400 when they may not use the folder's host; 401 or 403 unless the
                caller is a superadmin.

        Idempotent. ``POST /folders/_/change-ownership``.
        """
        cls.server.generation.require("change_vfolder_ownership", since=V6_LOWER_CASE)
        body = {"vfolder": uuid_text("vfolder", vfolder), "user_email": text("user_email", user_email)}
        response = yield Request("POST", "/folders/_/change-ownership", json=body, idempotent=True)
        return expect_object(response)


def _folder(folder_host: object, id: object) -> dict[str, str]:
    return {"folder_host": text("folder_host", folder_host), "id": uuid_text("id", id)}
