"""Fields of GraphQL objects that are not columns: computed, renamed, or of another table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.slots import total
from ai.backend.client.sandbox.core.state import RELEASES

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context

Resolver = Callable[["Context", Any], Any]


class Agent:
    """The one agent, which is the sandbox itself."""

    def __init__(self, context: Context) -> None:
        with_slots = context.database.query(model.Session).filter(model.Session.status.in_(model.OCCUPYING)).all()
        used = total(session.requested_slots for session in with_slots)
        self.id = seed.AGENT
        self.status = "ALIVE"
        self.status_changed = self.first_contact = context.sandbox.started_at
        self.region = "local"
        self.scaling_group = seed.SCALING_GROUP
        self.schedulable = context.sandbox.kernels.schedulable
        self.available_slots = {"cpu": str(seed.CPUS), "mem": str(seed.MEMORY)}
        self.occupied_slots = {slot: str(used.get(slot, Decimal())) for slot in self.available_slots}
        self.addr = context.sandbox.endpoint.replace("http", "tcp", 1)
        self.architecture = "x86_64"
        self.lost_at = None
        self.live_stat: dict[str, Any] = {"node": {}, "devices": {}}
        self.version = RELEASES[context.sandbox.settings.api]
        self.compute_plugins: dict[str, Any] = {"cpu": {}, "mem": {}}
        self.hardware_metadata: dict[str, Any] = {}
        self.auto_terminate_abusing_kernel = False
        self.local_config = {"agent": {"auto_terminate_abusing_kernel": False}}
        self.container_count = len(with_slots)
        self.mem_slots = seed.MEMORY // 2**20
        self.cpu_slots = float(seed.CPUS)
        self.gpu_slots = self.tpu_slots = self.used_gpu_slots = self.used_tpu_slots = 0.0
        self.used_mem_slots = int(used.get("mem", 0)) // 2**20
        self.used_cpu_slots = float(used.get("cpu", 0))
        self.cpu_cur_pct = 0.0
        self.mem_cur_bytes = 0.0
        self.compute_containers = [session for session in with_slots if session.status == "RUNNING"]


def value(context: Context, kind: str, name: str, source: Any, _arguments: Mapping[str, Any] | None = None) -> Any:
    """A field of an object.

    Args:
        context: What resolvers get.
        kind: The GraphQL type.
        name: The field.
        source: The object: a row, a mapping or an :class:`Agent`.

    Returns:
        Its value, or None for one that the sandbox has nothing to say about.
    """
    if isinstance(source, Mapping):
        return source.get(name)
    resolver = COMPUTED.get((kind, name))
    if resolver is not None:
        return resolver(context, source)
    found: Any = getattr(source, name, None)
    if name in ("status_data", "status_info") and context.sandbox.v9 and isinstance(source, model.Session):
        return found or None
    # 19.09 knows the hosts, but no permissions on them.
    return list(found) if name == "allowed_vfolder_hosts" and context.sandbox.v4 else found


def _user(context: Context, session: Any) -> model.User:
    return context.database.get_one(model.User, session.user_id)


def _group_name(context: Context, source: Any) -> str | None:
    group_id = source.group_id if isinstance(source, model.Session) else source.group
    group = context.database.get(model.Group, group_id) if group_id else None
    return group.name if group else None


def _groups(context: Context, user: model.User) -> list[model.Group]:
    return (
        context.database.query(model.Group)
        .join(model.Membership, model.Membership.group_id == model.Group.id)
        .filter(model.Membership.user_id == user.uuid)
        .all()
    )


def _scaling_groups(kind: str, key: str) -> Resolver:
    def resolve(context: Context, source: Any) -> list[str]:
        uses = context.database.query(model.ScalingGroupUse).filter_by(kind=kind, target=str(getattr(source, key)))
        return [use.scaling_group for use in uses]

    return resolve


def _owner(context: Context, keypair: model.KeyPair) -> model.User | None:
    return context.database.get(model.User, keypair.user)


def _sessions_of(context: Context, keypair: model.KeyPair) -> list[model.Session]:
    return context.database.query(model.Session).filter_by(access_key=keypair.access_key).all()


def _using(context: Context, keypair: model.KeyPair) -> int:
    return sum(session.status in model.OCCUPYING for session in _sessions_of(context, keypair))


def _folder_user(context: Context, folder: model.VFolder) -> str | None:
    user = context.database.get(model.User, folder.user) if folder.user else None
    return user.email if user else None


def _aliases(context: Context, image: model.Image) -> list[str]:
    return [alias.alias for alias in context.database.query(model.ImageAlias).filter_by(image=image.id)]


def _limits(context: Context, image: model.Image) -> list[dict[str, Any]]:
    unlimited = "Infinity" if context.sandbox.v9 else None
    return [
        {"key": slot, "min": limits["min"], "max": limits["max"] or unlimited} for slot, limits in image.limits.items()
    ]


def _mount_names(_context: Context, session: model.Session) -> list[str]:
    return [mount["name"] for mount in session.vfolder_mounts]


def _occupied(_context: Context, session: model.Session) -> dict[str, Any]:
    return session.requested_slots if session.status in model.OCCUPYING else {}


def _of_user(name: str) -> Resolver:
    return lambda context, session: getattr(_user(context, session), name)


def _attribute(name: str) -> Resolver:
    return lambda _context, source: getattr(source, name)


def _constant(constant: Any) -> Resolver:
    return lambda _context, _source: constant


_SESSION: Final[dict[str, Resolver]] = {
    "registry": _attribute("registry_name"),
    "group_name": _group_name,
    "user_email": _of_user("email"),
    "full_name": _of_user("full_name"),
    "num_queries": lambda context, session: (
        context.sandbox.kernels.queries.get(session.id) or session.num_queries
    ),
    "occupied_slots": _occupied,
}  # fmt: skip
_COMPUTE_SESSION: Final[dict[str, Resolver]] = {
    **_SESSION,
    "sess_id": _attribute("name"),
    "sess_type": lambda _context, session: session.type.upper(),
    "session_id": _attribute("id"),
    "main_kernel_id": _attribute("kernel_id"),
    "main_kernel_role": _constant("COMPUTE"),
    "cluster_mode": _constant("SINGLE_NODE"),
    "cluster_size": _constant(1),
    "created_user_email": _of_user("email"),
    "created_user_id": _attribute("user_id"),
    "commit_status": _constant("ready"),
    "abusing_reports": _constant([]),
    "idle_checks": _constant({}),
    "agent_ids": lambda _context, session: [seed.AGENT] if session.scheduled_at else [],
    "agents": lambda _context, session: [seed.AGENT] if session.scheduled_at else [],
    "mounts": _mount_names,
    "vfolder_mounts": lambda _context, session: [mount["id"] for mount in session.vfolder_mounts],
    "occupying_slots": _occupied,
    "containers": lambda _context, session: [session],
    "dependencies": _constant([]),
}
_CONTAINER: Final[dict[str, Resolver]] = {
    **_SESSION,
    "id": _attribute("kernel_id"),
    "idx": _constant(1),
    "role": _constant("main"),
    "hostname": _constant("main1"),
    "cluster_idx": _constant(1),
    "local_rank": _constant(0),
    "cluster_role": _constant("main"),
    "cluster_hostname": _constant("main1"),
    "session_id": _attribute("id"),
    "agent": lambda _context, session: seed.AGENT if session.scheduled_at else None,
    "agent_addr": lambda context, _session: context.sandbox.endpoint.replace("http", "tcp", 1),
    "container_id": lambda _context, session: session.kernel_id.hex * 2,
}
_LEGACY_SESSION: Final[dict[str, Resolver]] = {
    **_SESSION,
    "id": _attribute("kernel_id"),
    "sess_id": _attribute("name"),
    "sess_type": lambda _context, session: session.type.upper(),
    "session_name": _attribute("name"),
    "session_type": lambda _context, session: session.type.upper(),
    "role": _constant("main"),
    "user_uuid": _attribute("user_id"),
    "lang": _attribute("image"),
    "agent": lambda _context, session: seed.AGENT if session.scheduled_at else None,
    "container_id": lambda _context, session: session.kernel_id.hex * 2,
    "mounts": lambda _context, session: [
        [mount["name"], mount["host"], mount["id"]] for mount in session.vfolder_mounts
    ],
    "occupied_shares": _constant({}),
    "mem_slot": lambda _context, session: int(session.requested_slots.get("mem", 0)) // 2**20,
    "cpu_slot": lambda _context, session: float(session.requested_slots.get("cpu", 0)),
    "gpu_slot": _constant(0.0),
    "tpu_slot": _constant(0.0),
}


def _table(kind: str, fields: Mapping[str, Resolver]) -> dict[tuple[str, str], Resolver]:
    return {(kind, name): resolver for name, resolver in fields.items()}


COMPUTED: Final[Mapping[tuple[str, str], Resolver]] = {
    **_table("Domain", {"scaling_groups": _scaling_groups("domain", "name")}),
    **_table("Group", {"scaling_groups": _scaling_groups("group", "id")}),
    **_table(
        "User",
        {
            "id": _attribute("uuid"),
            "is_active": lambda _context, user: user.status == "active",
            "groups": _groups,
        },
    ),
    **_table(
        "KeyPair",
        {
            "id": _attribute("access_key"),
            "full_name": lambda context, keypair: getattr(_owner(context, keypair), "full_name", None),
            "projects": lambda context, keypair: [
                group.name for group in _groups(context, owner)
            ] if (owner := _owner(context, keypair)) else [],
            "num_queries": lambda context, keypair: context.sandbox.queries_of(keypair.access_key),
            "compute_sessions": _sessions_of,
            "concurrency_used": _using,
            "user_info": _owner,
        },
    ),
    **_table("UserResourcePolicy", {"id": _attribute("name"), "max_vfolder_size": _attribute("max_quota_scope_size")}),
    **_table(
        "ProjectResourcePolicy", {"id": _attribute("name"), "max_vfolder_size": _attribute("max_quota_scope_size")}
    ),
    **_table(
        "Image",
        {
            "registry": _attribute("registry_name"),
            "humanized_name": _attribute("name"),
            "hash": _attribute("digest"),
            "labels": lambda _context, image: [{"key": key, "value": label} for key, label in image.labels.items()],
            "aliases": _aliases,
            "resource_limits": _limits,
            "supported_accelerators": lambda _context, image: image.accelerators.split(","),
            "installed": _constant(True),
            "installed_agents": _constant([seed.AGENT]),
        },
    ),
    **_table(
        "VirtualFolder",
        {
            "user_email": _folder_user,
            "group_name": _group_name,
            "max_files": _constant(0),
            "num_files": _constant(0),
            "cur_size": _constant(0),
        },
    ),
    **_table("ComputeSession", _COMPUTE_SESSION),
    **_table("ComputeContainer", _CONTAINER),
    **_table("LegacyComputeSession", _LEGACY_SESSION),
    **_table("LegacySession", _LEGACY_SESSION),
}  # fmt: skip
