"""Root fields of GraphQL queries: compute sessions, virtual folders, storage."""

# ruff: noqa: A002  # arguments are called what the schema calls them
from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.parameters import as_uuid
from ai.backend.client.sandbox.folders.access import accessible, content_of
from ai.backend.client.sandbox.folders.handlers import usage as folder_usage
from ai.backend.client.sandbox.graphql.scope import Resolver, page, scoped, statuses, superadmins

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context


def _sessions(
    context: Context,
    access_key: str | None = None,
    domain_name: str | None = None,
    group_id: Any = None,
    status: str | None = None,
) -> list[model.Session]:
    query = context.database.query(model.Session).order_by(model.Session.created_at.desc())
    if access_key is not None:
        query = query.filter_by(access_key=access_key)
    if domain_name is not None:
        query = query.filter_by(domain_name=domain_name)
    if group_id is not None:
        query = query.filter_by(group_id=uuid.UUID(str(group_id)))
    wanted = statuses(status)
    return query.filter(model.Session.status.in_(wanted)).all() if wanted else query.all()


def _session_list(kind: str) -> Resolver:
    @scoped("access_key")
    def resolve(
        context: Context, limit: int, offset: int, filter: str | None = None, order: str | None = None,
        order_key: str | None = None, order_asc: bool | None = None, **arguments: Any,
    ) -> dict[str, Any]:  # fmt: skip
        if order_key:
            order = ("-" if order_asc is False else "+") + order_key
        return page(context, kind, _sessions(context, **arguments), limit, offset, filter, order)

    return resolve


@scoped("access_key")
def compute_session(context: Context, id: uuid.UUID, **scope: Any) -> model.Session | None:
    return next((session for session in _sessions(context, **scope) if session.id == id), None)


@scoped("access_key")
def compute_container(context: Context, id: uuid.UUID, **scope: Any) -> model.Session | None:
    return next((session for session in _sessions(context, **scope) if session.kernel_id == id), None)


@scoped("access_key")
def compute_container_list(
    context: Context, limit: int, offset: int, session_id: Any, role: str | None = None,
    filter: str | None = None, order: str | None = None, **scope: Any,
) -> dict[str, Any]:  # fmt: skip
    found = [
        session
        for session in _sessions(context, **scope)
        if str(session.id) == str(session_id) and role in (None, "main")
    ]
    return page(context, "ComputeContainer", found, limit, offset, filter, order)


@scoped("access_key")
def legacy_compute_session(context: Context, sess_id: str, **scope: Any) -> model.Session | None:
    return next((session for session in _sessions(context, **scope) if session.name == sess_id), None)


@scoped("access_key")
def compute_sessions(context: Context, **scope: Any) -> list[model.Session]:
    """Only in 19.09."""
    return _sessions(context, **scope)


def _folders(which: Callable[[Context, model.VFolder], bool]) -> Resolver:
    def resolve(
        context: Context, limit: int, offset: int, filter: str | None = None, order: str | None = None,
        domain_name: str | None = None, group_id: Any = None, **_scope: Any,
    ) -> dict[str, Any]:  # fmt: skip
        query = context.database.query(model.VFolder).order_by(model.VFolder.created_at.desc())
        if domain_name is not None:
            query = query.filter_by(domain_name=domain_name)
        if group_id is not None:
            query = query.filter_by(group=uuid.UUID(str(group_id)))
        found = [folder for folder in query if which(context, folder)]
        return page(context, "VirtualFolder", found, limit, offset, filter, order)

    return scoped("user_id")(resolve)


def _may_list(context: Context, folder: model.VFolder) -> bool:
    return context.caller.role != "user" or folder.user == context.caller.user_id


def _is_invited(context: Context, folder: model.VFolder) -> bool:
    return context.database.get(model.VFolderPermission, (folder.id, context.caller.user_id)) is not None


def _is_in_project(context: Context, folder: model.VFolder) -> bool:
    return folder.group is not None and folder in [
        found.folder for found in accessible(context.database, context.caller)
    ]


@superadmins
def vfolder(context: Context, id: str | None = None) -> model.VFolder | None:
    number = as_uuid(id or "")
    return context.database.get(model.VFolder, number) if number else None


@scoped("access_key")
def vfolders(
    context: Context, access_key: str | None = None, domain_name: str | None = None, group_id: str | None = None
) -> list[model.VFolder]:
    query = context.database.query(model.VFolder).order_by(model.VFolder.created_at.desc())
    if access_key is not None:
        owner = context.database.query(model.KeyPair.user).filter_by(access_key=access_key)
        query = query.filter(model.VFolder.user.in_(owner))
    if domain_name is not None:
        query = query.filter_by(domain_name=domain_name)
    return query.filter_by(group=as_uuid(group_id)).all() if group_id else query.all()


def _volume(context: Context) -> dict[str, Any]:
    usage = shutil.disk_usage(context.sandbox.folders)
    return {
        "id": seed.VFOLDER_HOST,
        "backend": "vfs",
        "fsprefix": ".",
        "path": str(context.sandbox.folders),
        "capabilities": ["vfolder"],
        "hardware_metadata": {"status": "healthy", "status_info": None, "metadata": {}},
        "performance_metric": {},
        "usage": {"capacity_bytes": usage.total, "used_bytes": usage.used},
    }


@superadmins
def storage_volume(context: Context, id: str | None = None) -> dict[str, Any] | None:
    if id != seed.VFOLDER_HOST:
        raise ValueError(f"no such storage volume: {id}")
    return _volume(context)


@superadmins
def storage_volume_list(context: Context, limit: int, offset: int, **_arguments: Any) -> dict[str, Any]:
    return {"items": [_volume(context)][offset : offset + limit], "total_count": 1}


def quota_scope(context: Context, storage_host_name: str, quota_scope_id: str) -> dict[str, Any]:
    if storage_host_name != seed.VFOLDER_HOST:
        raise ValueError(f"no such storage volume: {storage_host_name}")
    found = context.database.query(model.VFolder).filter_by(quota_scope_id=quota_scope_id)
    amounts = [folder_usage(content_of(context.sandbox, folder)) for folder in found]
    return {
        "id": f"QuotaScope:{storage_host_name}/{quota_scope_id}",
        "quota_scope_id": quota_scope_id,
        "storage_host_name": storage_host_name,
        "details": {
            "usage_bytes": sum(used for _, used in amounts),
            "usage_count": sum(count for count, _ in amounts),
            "hard_limit_bytes": None,
        },
    }


READS: Final[Mapping[str, Resolver]] = {
    "vfolder_own_list": _folders(lambda context, folder: folder.user == context.caller.user_id),
    "vfolder": vfolder,
    "vfolders": vfolders,
    "storage_volume": storage_volume,
    "storage_volume_list": storage_volume_list,
    "quota_scope": quota_scope,
    "vfolder_list": _folders(_may_list),
    "vfolder_invited_list": _folders(_is_invited),
    "vfolder_project_list": _folders(_is_in_project),
    "vfolder_host_permissions": lambda _context: {"vfolder_host_permission_list": list(seed.HOST_PERMISSIONS)},
    "compute_session": compute_session,
    "compute_session_list": _session_list("ComputeSession"),
    "compute_container": compute_container,
    "compute_container_list": compute_container_list,
    "legacy_compute_session": legacy_compute_session,
    "legacy_compute_session_list": _session_list("LegacyComputeSession"),
    "compute_sessions": compute_sessions,
}
"""Root field → resolver."""
