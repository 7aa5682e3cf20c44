"""Replies about the cluster: manager, agents, images, resources, logs.

As those of :mod:`~ai.backend.client.functions.toolkit.replies`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from ai.backend.client.functions.toolkit.replies import MutationResult


class Announcement(TypedDict):
    """The manager's announcement.

    Attributes:
        enabled: Whether it is to be shown.
        message: Its text.
    """

    enabled: bool
    message: str


class ManagerNode(TypedDict):
    """One process group of the manager.

    Attributes:
        heartbeat_timeout: Seconds.
        api_version: Major version and date.
    """

    id: str
    num_proc: int
    service_addr: str
    heartbeat_timeout: float
    ssl_enabled: bool
    active_sessions: int
    status: str
    version: str
    api_version: list[Any]


class ManagerStatus(TypedDict):
    """The manager's state.

    Attributes:
        nodes: Its nodes.
        status: ``running`` or ``frozen``.
        active_sessions: How many compute sessions run.
    """

    nodes: list[ManagerNode]
    status: str
    active_sessions: int


class Preset(TypedDict):
    """A resource preset.

    Attributes:
        resource_slots: Slot → amount, as text.
        shared_memory: As text, None for none; since 20.03.
        allocatable: Whether the caller could use it now; in ``check_presets`` only.
    """

    name: str
    resource_slots: dict[str, str]
    shared_memory: NotRequired[str | None]
    allocatable: NotRequired[bool]


class Presets(TypedDict):
    """The resource presets."""

    presets: list[Preset]


class SlotUse(TypedDict):
    """What is used and left of a scaling group: slot → amount, as text."""

    using: dict[str, str]
    remaining: dict[str, str]


class PresetCheck(TypedDict):
    """What the caller could use now: slot → amount, as text (``Infinity`` and ``NaN`` too), and the presets."""

    keypair_limits: dict[str, str]
    keypair_using: dict[str, str]
    keypair_remaining: dict[str, str]
    group_limits: NotRequired[dict[str, str]]
    group_using: NotRequired[dict[str, str]]
    group_remaining: NotRequired[dict[str, str]]
    scaling_group_remaining: dict[str, str]
    scaling_groups: dict[str, SlotUse]
    presets: list[Preset]


class NumberFormat(TypedDict):
    """How to write an amount: powers of 1024 or 1000, and digits behind the point."""

    binary: bool
    round_length: int


class SlotDetails(TypedDict):
    """How to show a kind of resources."""

    slot_name: str
    human_readable_name: str
    description: str
    display_unit: str
    number_format: NumberFormat
    display_icon: str


class UsageByGroup(TypedDict):
    """What a group used: ``g_...`` sums, and its containers in ``c_infos``. Older releases send fewer keys."""

    domain_name: str
    g_id: str
    g_name: str
    g_cpu_allocated: NotRequired[Any]
    g_cpu_used: NotRequired[Any]
    g_mem_allocated: NotRequired[Any]
    g_mem_used: NotRequired[Any]
    g_shared_memory: NotRequired[Any]
    g_disk_allocated: NotRequired[Any]
    g_disk_used: NotRequired[Any]
    g_io_read: NotRequired[Any]
    g_io_write: NotRequired[Any]
    g_device_type: NotRequired[Any]
    g_smp: NotRequired[Any]
    g_gpu_mem_allocated: NotRequired[Any]
    g_gpu_allocated: NotRequired[Any]
    c_infos: list[dict[str, Any]]


class Measure(TypedDict):
    """An amount and its unit: ``count``, ``bytes`` or the like."""

    value: float
    unit_hint: str


class StatsPoint(TypedDict):
    """Use of resources in 15 minutes. ``date`` is seconds since 1970."""

    date: float
    num_sessions: Measure
    cpu_allocated: Measure
    mem_allocated: Measure
    gpu_allocated: Measure
    io_read_bytes: Measure
    io_write_bytes: Measure
    disk_used: Measure


class LogEntry(TypedDict):
    """An error that was logged on the server.

    Attributes:
        created_at: Seconds since 1970.
        severity: ``critical``, ``error`` or ``warning``.
        is_cleared: For administrators.
    """

    log_id: str
    created_at: float
    severity: str
    source: str
    user: str | None
    is_read: bool
    message: str
    context_lang: str
    context_env: Any
    request_url: str | None
    request_status: int | None
    traceback: str | None
    is_cleared: NotRequired[bool | None]


class LogPage(TypedDict):
    """One page of the error log, newest first; ``count`` is that of all pages."""

    logs: list[LogEntry]
    count: int


class EtcdResult(TypedDict):
    """The outcome of a change of the cluster's configuration: ``ok``."""

    result: str


class ScalingGroupResult(MutationResult):
    """The outcome of a change of a scaling group.

    Attributes:
        scaling_group: What was asked for of the scaling group; None when it was not done, or there is none. Absent when
            nothing was asked for.
    """

    scaling_group: NotRequired[dict[str, Any] | None]


class TaskResult(MutationResult):
    """The outcome of a mutation that starts a background task.

    Attributes:
        task_id: The task's UUID; None when none was started, absent up to v4.
    """

    task_id: NotRequired[str | None]


class AgentPage(TypedDict):
    """One page of agents, as the 19.09 function gives it.

    Attributes:
        items: The agents.
        total_count: How many there are in all.
    """

    items: list[dict[str, Any]]
    total_count: int


class AvailableScalingGroup(TypedDict):
    """A scaling group that sessions may run in."""

    name: str


class AvailableScalingGroups(TypedDict):
    """The scaling groups that sessions may run in."""

    scaling_groups: list[AvailableScalingGroup]


class WSProxyVersion(TypedDict):
    """Version of a scaling group's app proxy, for example ``v1``."""

    wsproxy_version: str


class ImportTask(TypedDict):
    """The session and the background task that build an image."""

    sessionId: str
    taskId: str


class ImportedImage(TypedDict):
    """What builds an image."""

    importTask: ImportTask


class QuotaScopeResult(TypedDict):
    """The outcome of a change of a quota scope.

    Attributes:
        quota_scope: What was asked for of the scope.
    """

    quota_scope: dict[str, Any] | None
