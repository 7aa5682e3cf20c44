"""The fields of the API's objects: what queries select by default, and which names a ``fields`` argument may use.

Names are the union of what managers from 19.09 to 23.09 have, so that a misspelt one is refused before it is
sent. Raw queries (``session.Admin.query``) are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ai.backend.client.exceptions import InvalidArgument

_TITLES: Final[dict[str, str]] = {
    "id": "ID", "uuid": "UUID", "group_id": "Group ID", "user_id": "User ID", "fsprefix": "FS Prefix",
}  # fmt: skip


class HasFieldRef(Protocol):
    """Anything that says what to put into the query."""

    @property
    def field_ref(self) -> str:
        """The text to put into the query."""


Fields = Iterable[str | HasFieldRef]
"""What to select: texts such as ``"name"`` or ``"groups { id name }"``, or objects with a ``field_ref``."""


@dataclass(frozen=True)
class FieldSpec:
    """A field of an object, and how to present it.

    Attributes:
        field_ref: The text to put into the query; may hold a nested selection.
        humanized_name: A title for people; made from the name by default.
        field_name: The field's name; the first word of ``field_ref`` by default.
        alt_name: Its key in a :class:`FieldSet`; the name by default.
        formatter: For presentations of your own; not used here.
        subfields: Fields of the nested object; they become part of ``field_ref``.
    """

    field_ref: str
    humanized_name: str = ""
    field_name: str = ""
    alt_name: str = ""
    formatter: Any = None
    subfields: FieldSet | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        name = self.field_name or self.field_ref.partition(" ")[0]
        object.__setattr__(self, "field_name", name)
        object.__setattr__(self, "alt_name", self.alt_name or name)
        object.__setattr__(self, "humanized_name", self.humanized_name or _title(name))
        if self.subfields:
            nested = " ".join(dict.fromkeys(spec.field_ref for spec in self.subfields.values()))
            object.__setattr__(self, "field_ref", f"{name} {{ {nested} }}")


class FieldSet(Mapping[str, FieldSpec]):
    """The fields of an object, by name, by ``alt_name`` and by ``field_ref``.

    Args:
        fields: The fields.
        kind: What the object is called in messages.
    """

    def __init__(self, fields: Iterable[FieldSpec], kind: str = "object") -> None:
        self.kind = kind
        specs = list(fields)
        self._specs = {spec.alt_name: spec for spec in specs}
        self._known = {**{spec.field_name: spec for spec in specs}, **{spec.field_ref: spec for spec in specs}}

    def __getitem__(self, name: str) -> FieldSpec:
        try:
            return self._specs[name]
        except KeyError:
            return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: object) -> bool:
        return name in self._specs or name in self._known

    def __repr__(self) -> str:
        return f"<FieldSet {self.kind}: {' '.join(self._specs)}>"


def chosen(fields: Fields | None, default: Fields) -> Fields:
    """What a caller asked for, or the default selection where that is None."""
    return default if fields is None else fields


def field_texts(fields: Fields, known: FieldSet | None = None) -> tuple[str, ...]:
    """The text of each field.

    Args:
        fields: What a caller asked for.
        known: The object's fields; None leaves names unchecked.

    Returns:
        At least one text. A bare name of a known field that is an object has become a selection.

    Raises:
        InvalidArgument: There is none; one is neither text nor has a ``field_ref``; one is no selection; or the object
            has no such field.
    """
    if isinstance(fields, str) or not isinstance(fields, Iterable):
        raise InvalidArgument("fields", fields, "must be a list of fields")
    texts: tuple[Any, ...] = tuple(
        item if isinstance(item, str) else getattr(item, "field_ref", None) for item in fields
    )
    if not texts:
        raise InvalidArgument("fields", texts, "must name at least one field")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise InvalidArgument("fields", text, "must hold field names or objects with a field_ref")
        for name in _selected(text):
            if known is not None and name not in known and not name.startswith("__"):
                raise InvalidArgument("fields", name, f"is no field of {known.kind}: {', '.join(known)}")
    return tuple(known[text].field_ref if known is not None and text in known else text for text in texts)


_TOKENS: Final = re.compile(r'\s*([_A-Za-z][_0-9A-Za-z]*|\.\.\.|[{}():]|"[^"\n]*"|-?[0-9.]+|[$,\[\]@!])')
_CLOSING: Final = {")": "(", "}": "{"}


def _selected(text: str) -> list[str]:
    """The names that a selection selects at its top level."""
    names: list[str] = []
    open_: list[str] = []
    position = 0
    plain = text.strip()
    while position < len(plain):
        match = _TOKENS.match(plain, position)
        if match is None:
            raise InvalidArgument("fields", text, "is no GraphQL selection")
        position = match.end()
        mark = match[1]
        if mark in "({":
            open_.append(mark)
        elif mark in _CLOSING:
            if not open_ or open_.pop() != _CLOSING[mark]:
                raise InvalidArgument("fields", text, "has brackets that do not match")
        elif not open_ and mark == ":" and names:
            names.pop()  # that was an alias
        elif not open_ and (mark[0] == "_" or mark[0].isalpha()):
            names.append(mark)
        elif not open_:
            raise InvalidArgument("fields", text, "is no GraphQL selection")
    if open_ or not names:
        raise InvalidArgument("fields", text, "is no GraphQL selection")
    return names


def _title(name: str) -> str:
    if name in _TITLES:
        return _TITLES[name]
    words = " ".join(word.capitalize() for word in name.removeprefix("is_").split("_"))
    return f"{words}?" if name.startswith("is_") else words


def _object(kind: str, names: str, **nested: str) -> FieldSet:
    """A field set from names; ``nested`` gives the selection of fields that are objects, ``alias=name`` another key."""
    specs = []
    for entry in names.split():
        alias, _, name = entry.rpartition("=")
        specs.append(FieldSpec(f"{name} {{ {nested[name]} }}" if name in nested else name, alt_name=alias))
    return FieldSet(specs, kind)


CONTAINER: Final = _object(
    "a container",
    "id idx role hostname cluster_idx local_rank cluster_role cluster_hostname session_id image architecture registry "
    "status status_changed status_info status_data created_at terminated_at starts_at scheduled_at abusing_report "
    "agent agent_addr container_id resource_opts occupied_slots live_stat last_stat preopen_ports kernel_id=id",
)
_CONTAINER: Final = "id role hostname session_id image registry status agent container_id"
"""What every manager from 20.03 on has of a container."""
AGENT: Final = _object(
    "an agent",
    "id status status_changed region scaling_group schedulable available_slots occupied_slots addr architecture "
    "first_contact lost_at live_stat version compute_plugins hardware_metadata auto_terminate_abusing_kernel "
    "local_config container_count mem_slots cpu_slots gpu_slots tpu_slots used_mem_slots used_cpu_slots used_gpu_slots "
    "used_tpu_slots cpu_cur_pct mem_cur_bytes compute_containers computations",
    compute_containers=_CONTAINER,
    computations="sess_id status",
)
AGENT_SUMMARY: Final = _object(
    "an agent summary", "id status scaling_group schedulable available_slots occupied_slots architecture"
)
COMPUTE_SESSION: Final = _object(
    "a compute session",
    "id session_id main_kernel_id tag name type main_kernel_role image architecture registry "
    "cluster_template cluster_mode cluster_size domain_name group_name group_id user_email full_name user_id "
    "access_key created_user_email created_user_id status status_changed status_info status_data status_history "
    "created_at terminated_at starts_at scheduled_at startup_command result commit_status abusing_reports idle_checks "
    "agent_ids agents resource_opts scaling_group service_ports mounts vfolder_mounts occupying_slots occupied_slots "
    "num_queries containers dependencies inference_metrics sess_id sess_type session_name session_type role user_uuid "
    "agent container_id occupied_shares live_stat last_stat lang mem_slot cpu_slot gpu_slot tpu_slot cpu_used "
    "cpu_using mem_max_bytes mem_cur_bytes net_rx_bytes net_tx_bytes io_read_bytes io_write_bytes io_max_scratch_size "
    "io_cur_scratch_size workers",
    containers=_CONTAINER,
    dependencies="id name",
    workers="id role status",
)
DOMAIN: Final = _object(
    "a domain",
    "name description is_active created_at modified_at total_resource_slots allowed_vfolder_hosts "
    "allowed_docker_registries integration_id scaling_groups",
)
ENDPOINT: Final = _object(
    "an endpoint",
    "id endpoint_id image image_object domain project resource_group resource_slots url model model_mount_destiation "
    "created_user created_user_email created_user_id session_owner session_owner_email session_owner_id tag "
    "startup_command bootstrap_script callback_url environ name resource_opts desired_session_count cluster_mode "
    "cluster_size open_to_public created_at destroyed_at routings retries status lifecycle_stage errors",
    image_object="name registry tag",
    routings="routing_id session status traffic_ratio",
    errors="session_id errors { src name repr }",
)
GROUP: Final = _object(
    "a group",
    "id name description is_active created_at modified_at domain_name total_resource_slots allowed_vfolder_hosts "
    "integration_id resource_policy scaling_groups",
)
IMAGE: Final = _object(
    "an image",
    "id name humanized_name tag registry architecture is_local digest labels aliases size_bytes resource_limits "
    "supported_accelerators installed installed_agents hash",
    labels="key value",
    resource_limits="key min max",
)
KEYPAIR: Final = _object(
    "a keypair",
    "id user_id full_name access_key secret_key is_active is_admin resource_policy created_at last_used rate_limit "
    "num_queries user projects ssh_public_key vfolders compute_sessions concurrency_used user_info concurrency_limit",
    user_info="email full_name",
    vfolders="name",
    compute_sessions="id",
)
KEYPAIR_RESOURCE_POLICY: Final = _object(
    "a keypair resource policy",
    "name created_at default_for_unspecified total_resource_slots max_session_lifetime max_concurrent_sessions "
    "max_containers_per_session idle_timeout allowed_vfolder_hosts max_vfolder_count max_vfolder_size "
    "max_quota_scope_size",
)
PROJECT_RESOURCE_POLICY: Final = _object(
    "a project resource policy", "id name created_at max_vfolder_count max_quota_scope_size max_vfolder_size"
)
USER_RESOURCE_POLICY: Final = _object(
    "a user resource policy",
    "id name created_at max_vfolder_count max_quota_scope_size max_vfolder_size max_session_count_per_model_session",
)
PERMISSION: Final = _object("the folder permissions", "vfolder_host_permission_list")
QUOTA_SCOPE: Final = _object(
    "a quota scope",
    "id quota_scope_id storage_host_name details",
    details="hard_limit_bytes usage_bytes usage_count",
)
RESOURCE_PRESET: Final = _object("a resource preset", "name resource_slots shared_memory")
ROUTING: Final = _object("a routing", "id routing_id endpoint session status traffic_ratio created_at error_data")
SCALING_GROUP: Final = _object(
    "a scaling group",
    "name description is_active is_public created_at wsproxy_addr wsproxy_api_token driver driver_opts scheduler "
    "scheduler_opts use_host_network",
)
STORAGE: Final = _object(
    "a storage volume", "id backend fsprefix path capabilities hardware_metadata performance_metric usage"
)
USER: Final = _object(
    "a user",
    "id uuid username email password need_password_change full_name description is_active status status_info "
    "created_at modified_at domain_name role resource_policy allowed_client_ip totp_activated totp_activated_at "
    "sudo_session_enabled main_access_key groups",
    groups="id name",
)
VFOLDER: Final = _object(
    "a folder",
    "id host quota_scope_id name user user_email group group_name creator unmanaged_path usage_mode permission "
    "ownership_type max_files max_size created_at last_used num_files cur_size cloneable status user_id=user "
    "group_id=group",
)
