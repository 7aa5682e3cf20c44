"""Replies about compute sessions, model services and templates.

As those of :mod:`~ai.backend.client.functions.toolkit.replies`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


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
