"""What the sandbox knows, as tables. Attribute names are the GraphQL fields' names where there is one."""

# ruff: noqa: D101  # a table's name says what it holds
from __future__ import annotations

import datetime
import uuid
from typing import Any, Final

from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

LIVE: Final = ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "RESTARTING", "TERMINATING")
OCCUPYING: Final = ("SCHEDULED", "PREPARING", "RUNNING", "RESTARTING", "TERMINATING")
DEAD: Final = ("TERMINATED", "CANCELLED", "ERROR")


def now() -> datetime.datetime:
    """This moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)


class Instant(TypeDecorator[datetime.datetime]):
    """A moment in UTC; SQLite itself keeps no time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it as it is
        datetime.datetime: Instant,
        uuid.UUID: Uuid,
        str: String,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        bytes: LargeBinary,
    }


class Domain(Base):
    __tablename__ = "domains"
    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str | None] = mapped_column(default="")
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    modified_at: Mapped[datetime.datetime] = mapped_column(default=now, onupdate=now)
    total_resource_slots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    allowed_vfolder_hosts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    allowed_docker_registries: Mapped[list[Any]] = mapped_column(default=list)
    integration_id: Mapped[str | None]
    dotfiles: Mapped[list[Any]] = mapped_column(default=list)


class Group(Base):
    __tablename__ = "groups"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str]
    description: Mapped[str | None] = mapped_column(default="")
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    modified_at: Mapped[datetime.datetime] = mapped_column(default=now, onupdate=now)
    domain_name: Mapped[str]
    total_resource_slots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    allowed_vfolder_hosts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    integration_id: Mapped[str | None]
    resource_policy: Mapped[str] = mapped_column(default="default")
    dotfiles: Mapped[list[Any]] = mapped_column(default=list)
    type: Mapped[str] = mapped_column(default="general")


class Membership(Base):
    """That a user is in a group."""

    __tablename__ = "memberships"
    group_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class User(Base):
    __tablename__ = "users"
    uuid: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]
    need_password_change: Mapped[bool | None] = mapped_column(default=False)
    full_name: Mapped[str | None] = mapped_column(default="")
    description: Mapped[str | None] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="active")
    status_info: Mapped[str | None] = mapped_column(default="admin-requested")
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    modified_at: Mapped[datetime.datetime] = mapped_column(default=now, onupdate=now)
    domain_name: Mapped[str]
    role: Mapped[str] = mapped_column(default="user")
    resource_policy: Mapped[str] = mapped_column(default="default")
    allowed_client_ip: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    totp_activated: Mapped[bool | None] = mapped_column(default=False)
    totp_activated_at: Mapped[datetime.datetime | None]
    sudo_session_enabled: Mapped[bool] = mapped_column(default=False)
    main_access_key: Mapped[str | None]
    integration_id: Mapped[str | None]


class KeyPair(Base):
    __tablename__ = "keypairs"
    access_key: Mapped[str] = mapped_column(primary_key=True)
    secret_key: Mapped[str]
    user_id: Mapped[str]
    user: Mapped[uuid.UUID]
    is_active: Mapped[bool] = mapped_column(default=True)
    is_admin: Mapped[bool] = mapped_column(default=False)
    resource_policy: Mapped[str] = mapped_column(default="default")
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    last_used: Mapped[datetime.datetime | None]
    rate_limit: Mapped[int] = mapped_column(default=30000)
    ssh_public_key: Mapped[str | None]
    ssh_private_key: Mapped[str | None]
    dotfiles: Mapped[list[Any]] = mapped_column(default=list)
    bootstrap_script: Mapped[str] = mapped_column(default="")


class KeyPairResourcePolicy(Base):
    __tablename__ = "keypair_resource_policies"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    default_for_unspecified: Mapped[str] = mapped_column(default="UNLIMITED")
    total_resource_slots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    max_session_lifetime: Mapped[int] = mapped_column(default=0)
    max_concurrent_sessions: Mapped[int] = mapped_column(default=30)
    max_concurrent_sftp_sessions: Mapped[int] = mapped_column(default=1)
    max_containers_per_session: Mapped[int] = mapped_column(default=1)
    max_vfolder_count: Mapped[int | None] = mapped_column(default=0)
    max_vfolder_size: Mapped[int | None] = mapped_column(default=0)
    max_quota_scope_size: Mapped[int | None] = mapped_column(default=0)
    idle_timeout: Mapped[int] = mapped_column(default=1800)
    allowed_vfolder_hosts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class UserResourcePolicy(Base):
    __tablename__ = "user_resource_policies"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    max_vfolder_count: Mapped[int | None]
    max_quota_scope_size: Mapped[int | None] = mapped_column(default=-1)
    max_session_count_per_model_session: Mapped[int | None] = mapped_column(default=0)


class ProjectResourcePolicy(Base):
    __tablename__ = "project_resource_policies"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    max_vfolder_count: Mapped[int | None]
    max_quota_scope_size: Mapped[int | None] = mapped_column(default=-1)


class ScalingGroup(Base):
    __tablename__ = "scaling_groups"
    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str | None] = mapped_column(default="")
    is_active: Mapped[bool] = mapped_column(default=True)
    is_public: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    wsproxy_addr: Mapped[str | None]
    wsproxy_api_token: Mapped[str | None]
    driver: Mapped[str] = mapped_column(default="static")
    driver_opts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    scheduler: Mapped[str] = mapped_column(default="fifo")
    scheduler_opts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    use_host_network: Mapped[bool] = mapped_column(default=False)


class ScalingGroupUse(Base):
    """That a domain, a group or a keypair may use a scaling group."""

    __tablename__ = "scaling_group_uses"
    scaling_group: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)


class ResourcePreset(Base):
    __tablename__ = "resource_presets"
    name: Mapped[str] = mapped_column(primary_key=True)
    resource_slots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    shared_memory: Mapped[int | None]


class Image(Base):
    __tablename__ = "images"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    registry_name: Mapped[str]
    name: Mapped[str]
    tag: Mapped[str]
    architecture: Mapped[str] = mapped_column(default="x86_64")
    is_local: Mapped[bool] = mapped_column(default=False)
    digest: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(default=0)
    labels: Mapped[dict[str, Any]] = mapped_column(default=dict)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    accelerators: Mapped[str] = mapped_column(default="")

    @property
    def reference(self) -> str:
        return f"{self.registry_name}/{self.name}:{self.tag}"


class ImageAlias(Base):
    __tablename__ = "image_aliases"
    alias: Mapped[str] = mapped_column(primary_key=True)
    image: Mapped[uuid.UUID]


class Session(Base):
    """A compute session and its one container."""

    __tablename__ = "sessions"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kernel_id: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    name: Mapped[str] = mapped_column(index=True)
    type: Mapped[str] = mapped_column(default="interactive")
    access_key: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[uuid.UUID]
    domain_name: Mapped[str]
    group_id: Mapped[uuid.UUID]
    image: Mapped[str]
    architecture: Mapped[str] = mapped_column(default="x86_64")
    registry_name: Mapped[str]
    tag: Mapped[str | None]
    scaling_group: Mapped[str]
    status: Mapped[str] = mapped_column(default="PENDING", index=True)
    status_info: Mapped[str | None] = mapped_column(default="")
    status_data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status_history: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status_changed: Mapped[datetime.datetime] = mapped_column(default=now)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    terminated_at: Mapped[datetime.datetime | None]
    starts_at: Mapped[datetime.datetime | None]
    scheduled_at: Mapped[datetime.datetime | None]
    result: Mapped[str] = mapped_column(default="UNDEFINED")
    startup_command: Mapped[str | None]
    bootstrap_script: Mapped[str | None]
    callback_url: Mapped[str | None]
    environ: Mapped[dict[str, Any]] = mapped_column(default=dict)
    resource_opts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    requested_slots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    vfolder_mounts: Mapped[list[Any]] = mapped_column(default=list)
    service_ports: Mapped[list[Any]] = mapped_column(default=list)
    preopen_ports: Mapped[list[Any]] = mapped_column(default=list)
    num_queries: Mapped[int] = mapped_column(default=0)
    container_log: Mapped[bytes | None]


class VFolder(Base):
    __tablename__ = "vfolders"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    host: Mapped[str]
    quota_scope_id: Mapped[str]
    name: Mapped[str] = mapped_column(index=True)
    user: Mapped[uuid.UUID | None]
    group: Mapped[uuid.UUID | None]
    creator: Mapped[str]
    domain_name: Mapped[str]
    usage_mode: Mapped[str] = mapped_column(default="general")
    permission: Mapped[str] = mapped_column(default="rw")
    ownership_type: Mapped[str] = mapped_column(default="user")
    cloneable: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(default="ready")
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    last_used: Mapped[datetime.datetime | None]


class VFolderPermission(Base):
    """That a user who does not own a folder may use it."""

    __tablename__ = "vfolder_permissions"
    vfolder: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    permission: Mapped[str]


class VFolderInvitation(Base):
    __tablename__ = "vfolder_invitations"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    vfolder: Mapped[uuid.UUID]
    inviter: Mapped[str]
    invitee: Mapped[str]
    permission: Mapped[str]
    state: Mapped[str] = mapped_column(default="pending")
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    modified_at: Mapped[datetime.datetime | None]


class ConfigEntry(Base):
    """A key of the cluster's configuration (etcd)."""

    __tablename__ = "config"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class SessionTemplate(Base):
    __tablename__ = "session_templates"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str]
    type: Mapped[str] = mapped_column(default="task")
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    domain_name: Mapped[str]
    group_id: Mapped[uuid.UUID]
    user: Mapped[uuid.UUID]
    template: Mapped[dict[str, Any]]


class ErrorLog(Base):
    __tablename__ = "error_logs"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    severity: Mapped[str]
    source: Mapped[str]
    user: Mapped[uuid.UUID | None]
    is_read: Mapped[bool] = mapped_column(default=False)
    is_cleared: Mapped[bool] = mapped_column(default=False)
    message: Mapped[str]
    context_lang: Mapped[str]
    context_env: Mapped[dict[str, Any]] = mapped_column(default=dict)
    request_url: Mapped[str | None]
    request_status: Mapped[int | None]
    traceback: Mapped[str | None]
