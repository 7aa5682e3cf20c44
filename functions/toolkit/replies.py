"""The shapes of replies that are the same for every caller: typed dictionaries.

Objects that a ``fields`` argument shapes (GraphQL) are plain ``dict[str, Any]``. Keys that only some releases send are
``NotRequired``. Replies are handed on as they came: a type here is a promise of the API, not a check. Times are text as
the server writes it unless said otherwise, sizes are bytes.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class VersionInfo(TypedDict):
    """What a server says of itself.

    Attributes:
        version: Latest API version, for example ``v7.20230615``.
        manager: Release, for example ``23.09.10``.
    """

    version: str
    manager: NotRequired[str]


class MutationResult(TypedDict):
    """The outcome of a GraphQL mutation.

    Attributes:
        ok: Whether it was done.
        msg: Why not, or ``success``.
    """

    ok: bool
    msg: str


class Success(TypedDict):
    """The outcome of a call that has nothing else to tell."""

    success: bool


class Message(TypedDict):
    """The outcome of a call, in words."""

    msg: str


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


# -- Accounts ---------------------------------------------------------------------------------------------------------


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


# -- Resources --------------------------------------------------------------------------------------------------------


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


# -- Compute sessions -------------------------------------------------------------------------------------------------


class RunStep(TypedDict):
    """One step of a run, or (``completions``) suggestions how a line goes on.

    Attributes:
        runId: For every following step of the run.
        status: ``continued``, ``clean-finished``, ``build-finished``, ``waiting-input``, ``finished`` or
            ``exec-timeout``.
        exitCode: Exit status, None while there is none; 130 when the session died.
        options: ``{"is_password": bool}`` when input is waited for.
        console: ``[type, data]`` each; types ``stdout``, ``stderr``, ``html``, ``log`` (text) and ``media``
            (``[mime, data]``).
    """

    runId: NotRequired[str]
    status: str
    exitCode: NotRequired[int | None]
    options: NotRequired[dict[str, Any] | None]
    files: NotRequired[list[Any] | None]
    console: NotRequired[list[list[Any]]]
    completions: NotRequired[list[str]]


class Completions(TypedDict):
    """Suggestions how a line goes on."""

    result: RunStep


class SessionFiles(TypedDict):
    """A directory of a session. ``files`` is JSON text: ``mode``, ``size``, times and ``filename`` of each file."""

    files: str
    errors: str
    abspath: str


class FileNames(TypedDict):
    """The names of what was downloaded."""

    file_names: list[str]


class ServiceAccess(TypedDict):
    """The way to a service of a session through the app proxy at ``wsproxy_addr``."""

    token: str
    wsproxy_addr: str


class DirectAccess(TypedDict, total=False):
    """The way to a system session; empty for ordinary ones."""

    kernel_role: str
    public_host: str
    sshd_ports: list[int]


class CommitStatus(TypedDict):
    """Whether a commit of a session's kernel (UUID) is ``ongoing``, or could start (``ready``)."""

    status: str
    kernel: str


class Commit(TypedDict):
    """A commit that was started: its background task's UUID, and the path of the archive on the agent."""

    bgtask_id: NotRequired[str]
    kernel: NotRequired[str]
    path: NotRequired[str]


# -- Model services ---------------------------------------------------------------------------------------------------


class ServiceItem(TypedDict):
    """A model service, in a list."""

    id: str
    name: str
    desired_session_count: int
    active_route_count: int
    service_endpoint: str | None
    is_public: bool


class ServiceRoute(TypedDict):
    """A session that serves requests of a model service."""

    route_id: str
    session_id: str
    traffic_ratio: float


class ServiceInfo(TypedDict):
    """A model service."""

    endpoint_id: str
    name: str
    desired_session_count: int
    active_routes: list[ServiceRoute]
    service_endpoint: str | None
    is_public: bool


class NewService(TypedDict):
    """A model service that was just made; ``endpoint_id`` is what :class:`Service` takes."""

    endpoint_id: str
    name: str
    desired_session_count: int
    active_route_count: int
    service_endpoint: str | None
    is_public: bool


class ServiceScale(TypedDict):
    """How many sessions a model service has, and is to have."""

    current_route_count: int
    target_count: int


class ServiceToken(TypedDict):
    """A token that lets requests through to a model service."""

    token: str


class ServiceErrors(TypedDict):
    """Sessions of a model service that failed to start (``session_id``, ``error``), and how often it was tried."""

    errors: list[dict[str, Any]]
    retries: int


# -- Records ----------------------------------------------------------------------------------------------------------


class TemplateItem(TypedDict):
    """A session or cluster template, in a list."""

    name: str
    id: str
    created_at: str
    is_owner: bool
    user: str | None
    group: str | None
    user_email: str | None
    group_name: str | None
    domain_name: NotRequired[str]
    type: NotRequired[str]
    template: NotRequired[Any]


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


class ScalingGroupResult(MutationResult):
    """The outcome of a change of a scaling group.

    Attributes:
        scaling_group: As ``domain`` of :class:`DomainResult`.
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
