"""Compute sessions. ``Kernel`` is the proxy's name in 19.09, ``ComputeSession`` since 20.03: one class.

========================  ==========================================  ====================================
Function                  Request                                     Returns
========================  ==========================================  ====================================
hello                     GET /                                       ``{version, manager}``
get_or_create             POST /kernel/create; POST /session (v5)     Kernel
create_from_template      POST /session/_/create-from-template (v5)   Kernel
destroy                   DELETE P                                    ``{"stats": ...}``
restart                   PATCH P                                     None
rename                    POST P/rename (v6.20210815)                   None
execute                   POST P                                      the run's result
interrupt                 POST P/interrupt                            None
complete                  POST P/complete                             ``{"result": ...}``
files                     files.py
services, commit          app_services.py
records, lists            records.py
streams, tunnel, run      streams.py
========================  ==========================================  ====================================

``P`` is ``/kernel/{name}`` up to v4 and ``/session/{name}`` from v5 on. With ``owner_access_key`` the object acts for
another owner, where the server can: create, destroy, restart and logs on 23.09.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from ai.backend.client.exceptions import InvalidArgument, InvalidReply
from ai.backend.client.functions.base import M, Recipe, api_class_function, api_factory, api_function
from ai.backend.client.functions.compute import app_services, files, records
from ai.backend.client.functions.compute.creation import (
    DEFAULT_TYPE,
    HOLD_UNLIMITED,
    SessionSpec,
    check_name,
    chosen_name,
    create_body,
    hold_seconds,
)
from ai.backend.client.functions.compute.execution import check_mode, complete_body, run_body
from ai.backend.client.functions.compute.identity import request_about
from ai.backend.client.functions.compute.replies import Completions, RunStep
from ai.backend.client.functions.compute.streams import KernelStreams
from ai.backend.client.functions.toolkit.generations import RESTART, V5, V6_FILTER, V6_LOWER_CASE, in_body
from ai.backend.client.functions.toolkit.inputs import either
from ai.backend.client.functions.toolkit.pages import api_page_function
from ai.backend.client.functions.toolkit.reading import expect_object, field
from ai.backend.client.functions.toolkit.replies import VersionInfo
from ai.backend.client.request import Request, Response

__all__ = ["ComputeSession", "Kernel"]


class Kernel(KernelStreams[M]):
    """A compute session.

    ``session.Kernel("my-session")`` is an object for a session that exists; :meth:`get_or_create` finds or makes one.
    See :class:`~ai.backend.client.functions.compute.identity.SessionIdentity` for its attributes.
    """

    @api_class_function
    def hello(cls) -> Recipe[VersionInfo]:
        """The server's versions.

        Returns:
            ``{"version": API version, "manager": release}``.

        Idempotent. ``GET /``.
        """
        response = yield Request("GET", "/")
        return expect_object(response, shape=VersionInfo)

    @api_factory
    def get_or_create(
        cls,
        image: str,
        *,
        client_token: str | None = None,
        type_: str | None = None,
        enqueue_only: bool = False,
        max_wait: int = 0,
        no_reuse: bool = False,
        mounts: Iterable[str] | None = None,
        envs: Mapping[str, str] | None = None,
        startup_command: str | None = None,
        resources: Mapping[str, Any] | None = None,
        resource_opts: Mapping[str, Any] | None = None,
        cluster_size: int = 1,
        domain_name: str | None = None,
        group_name: str | None = None,
        tag: str | None = None,
        scaling_group: str | None = None,
        owner_access_key: str | None = None,
        name: str | None = None,
        type: str | None = None,
        starts_at: str | None = None,
        mount_map: Mapping[str, str] | None = None,
        bootstrap_script: str | None = None,
        preopen_ports: Iterable[int] | None = None,
        cluster_mode: str | None = None,
        dependencies: Iterable[str | uuid.UUID] | None = None,
        callback_url: str | None = None,
        architecture: str | None = None,
        assign_agent: str | Iterable[str] | None = None,
    ) -> Recipe[Any]:
        """Start a session, or find the one of that name.

        Args:
            image: The image to run, by its alias (``python``) or its name with the registry
                (``cr.backend.ai/stable/python:3.9-ubuntu20.04``).
            client_token: The session's name: 4 to 64 of ``A-Z a-z 0-9 _ - .``; default: a random one.
            type_: ``interactive`` (default), ``batch`` (needs ``startup_command``) or, on later servers, ``inference``.
            enqueue_only: Return when the session is queued, without waiting for it to run.
            max_wait: Seconds to wait for it to run; 0 waits as long as the server does (at most 900 s).
            no_reuse: Fail when there is a session of that name.
            mounts: Names of folders to mount; those of the configuration's ``vfolder_mounts`` are added. Code finds a
                folder under its name in the session's working directory, ``/home/work`` on a manager.
            envs: Environment variables.
            startup_command: What a batch session runs.
            resources: Slot → amount, for example ``{"cpu": 1, "mem": "1g"}``; default: the image's.
            resource_opts: For example ``{"shmem": "64m"}``.
            cluster_size: Number of containers.
            domain_name: Default: the configuration's.
            group_name: Default: the configuration's.
            tag: A free text to find the session by.
            scaling_group: Resource group to run in; default: the server's choice.
            owner_access_key: Start it for this owner (administrators only).
            name: Another spelling of ``client_token``.
            type: Another spelling of ``type_``.
            starts_at: When a batch session starts: ISO time or a duration such as ``10m``. From v5 on.
            mount_map: Folder name → path in the container. From v5 on.
            bootstrap_script: Script to run first, as base64 text. From v5 on.
            preopen_ports: Ports 1024 to 65535 to open. From v5 on.
            cluster_mode: ``single-node`` (default) or ``multi-node``. From v6.20200815 on.
            dependencies: UUIDs of sessions that must succeed first. From v6.20220315 on.
            callback_url: URL to call when the session changes state. From v6.20220315 on.
            architecture: Of the image; default: ``x86_64``. From v6.20220315 on.
            assign_agent: Id of the agent to run on, or a list of them (superadmins only). From v6.20210815 on.

        Returns:
            The session's object, with ``created``, ``status``, ``service_ports``, ``domain`` and ``group`` set.
            ``status`` is ``RUNNING``, ``PENDING``, ``TIMEOUT`` (``max_wait`` is over), or another state if the session
            was found.

        Raises:
            InvalidArgument: A value that no server takes, or two spellings that contradict each other.
            BackendAPIVersionError: An argument that the negotiated version does not have.
            BackendAPIError: 400 for an unknown image or a name that is taken (``no_reuse``), 412 when a quota is used
                up.

        Idempotent unless ``no_reuse``: a repeated attempt carries the same name and finds what the first one made. The
        server may hold the answer for ``max_wait`` seconds. ``POST /kernel/create`` up to v4, ``POST /session`` from v5
        on.
        """
        generation, config = cls.server.generation, cls.server.config
        spec = SessionSpec(
            name=chosen_name(client_token, name),
            image=image,
            type=either("type_", type_, "type", type) or DEFAULT_TYPE,
            enqueue_only=enqueue_only,
            max_wait=max_wait,
            no_reuse=no_reuse,
            mounts=_with_configured(mounts, config.vfolder_mounts),
            mount_map=mount_map,
            envs=envs,
            startup_command=startup_command,
            resources=resources,
            resource_opts=resource_opts,
            cluster_size=cluster_size,
            cluster_mode=cluster_mode,
            domain_name=domain_name or config.domain,
            group_name=group_name or config.group,
            tag=tag,
            scaling_group=scaling_group,
            owner_access_key=owner_access_key or None,
            starts_at=starts_at,
            bootstrap_script=bootstrap_script,
            preopen_ports=preopen_ports,
            dependencies=dependencies,
            callback_url=callback_url,
            architecture=architecture,
            assign_agent=assign_agent,
        )
        path = "/kernel/create" if not generation.has(V5) else "/session"
        response = yield _create_request(path, create_body(generation, spec), spec)
        return _created(cls, spec, response)

    @api_factory
    def create_from_template(
        cls,
        template_id: str | uuid.UUID,
        *,
        name: str | None = None,
        type_: str | None = None,
        starts_at: str | None = None,
        enqueue_only: bool | None = None,
        max_wait: int | None = None,
        dependencies: Iterable[str | uuid.UUID] | None = None,
        callback_url: str | None = None,
        no_reuse: bool | None = None,
        image: str | None = None,
        mounts: Iterable[str] | None = None,
        mount_map: Mapping[str, str] | None = None,
        envs: Mapping[str, str] | None = None,
        startup_command: str | None = None,
        resources: Mapping[str, Any] | None = None,
        resource_opts: Mapping[str, Any] | None = None,
        cluster_size: int | None = None,
        cluster_mode: str | None = None,
        domain_name: str | None = None,
        group_name: str | None = None,
        bootstrap_script: str | None = None,
        tag: str | None = None,
        scaling_group: str | None = None,
        owner_access_key: str | None = None,
        client_token: str | None = None,
        type: str | None = None,
    ) -> Recipe[Any]:
        """Start a session from a stored template, or find the one of that name.

        Args:
            template_id: The template's UUID.
            name: As ``client_token`` of :meth:`get_or_create`, and so are the other arguments; what is given replaces
                the template's value, what is not is left to the template.
            type_: See there.
            starts_at: See there.
            enqueue_only: See there.
            max_wait: See there.
            dependencies: See there.
            callback_url: See there.
            no_reuse: See there.
            image: See there.
            mounts: See there; the configuration's folders are added only when it is given.
            mount_map: See there.
            envs: See there.
            startup_command: See there.
            resources: See there.
            resource_opts: See there.
            cluster_size: See there.
            cluster_mode: See there.
            domain_name: See there.
            group_name: See there.
            bootstrap_script: See there.
            tag: See there.
            scaling_group: See there.
            owner_access_key: See there.
            client_token: Another spelling of ``name``.
            type: Another spelling of ``type_``.

        Returns:
            The session's object, as :meth:`get_or_create`.

        Raises:
            InvalidArgument: A value that no server takes.
            BackendAPIVersionError: The server is older than v5.20191215, or than an argument needs.
            BackendAPIError: 404 for an unknown template; 500 from 23.09 for a template without scaling group when
                ``scaling_group`` is not given either; else as :meth:`get_or_create`.

        Idempotent unless ``no_reuse``. ``POST /session/_/create-from-template``.
        """
        generation = cls.server.generation
        generation.require("create_from_template", since=V5)
        if template_id is None:
            raise InvalidArgument("template_id", template_id, "must be a UUID")
        spec = SessionSpec(
            template_id=template_id,
            name=chosen_name(client_token, name),
            image=image,
            type=either("type_", type_, "type", type),
            enqueue_only=enqueue_only,
            max_wait=max_wait,
            no_reuse=no_reuse,
            mounts=None if mounts is None else _with_configured(mounts, cls.server.config.vfolder_mounts),
            mount_map=mount_map,
            envs=envs,
            startup_command=startup_command,
            resources=resources,
            resource_opts=resource_opts,
            cluster_size=cluster_size,
            cluster_mode=cluster_mode,
            domain_name=domain_name,
            group_name=group_name,
            tag=tag,
            scaling_group=scaling_group,
            owner_access_key=owner_access_key or None,
            starts_at=starts_at,
            bootstrap_script=bootstrap_script,
            dependencies=dependencies,
            callback_url=callback_url,
        )
        response = yield _create_request("/session/_/create-from-template", create_body(generation, spec), spec)
        return _created(cls, spec, response)

    @api_function
    def destroy(self, *, forced: bool = False, recursive: bool = False) -> Recipe[Any]:
        """End the session.

        Args:
            forced: End it even when it hangs in a state between two others.
            recursive: End the sessions that depend on it too. From v6.20230315 on.

        Returns:
            ``{"stats": {...}}`` with the last statistics and ``status`` (``terminated`` or ``cancelled``); with
            ``recursive`` a list of such statistics; None when the server has none.

        Raises:
            BackendAPIVersionError: ``recursive`` on an older server.
            BackendAPIError: 404 for an unknown session, 403 for one that is ended already.

        Not idempotent: a second call finds the session gone. The server may take minutes. ``DELETE P``, honours
        ``owner_access_key``.
        """
        params = {}
        if forced:
            params["forced"] = "true"
        if recursive:
            self.server.generation.require("destroy(recursive=True)", since=V6_LOWER_CASE)
            params["recursive"] = "true"
        response = yield request_about(self, "DELETE", params=params, hold=HOLD_UNLIMITED)
        return response.json() if response.status == 200 else None

    @api_function
    def restart(self) -> Recipe[None]:
        """Restart the session's containers; files in them are kept, running code is lost.

        Raises:
            BackendAPIVersionError: The server's release is 26.4 or later.
            BackendAPIError: 404 for an unknown session.

        Not idempotent; the server may take minutes. ``PATCH P``, honours ``owner_access_key``.
        """
        self.server.generation.require("restart", gone=RESTART)
        yield request_about(self, "PATCH", hold=HOLD_UNLIMITED)

    @api_function
    def rename(self, new_id: str) -> Recipe[None]:
        """Give the running session another name; this object takes it on.

        Args:
            new_id: The new name, by the rules of :meth:`get_or_create`.

        Raises:
            InvalidArgument: The name breaks them, or the object has an ``owner_access_key`` (the server refuses it
                here).
            BackendAPIVersionError: The server is older than v6.20210815.
            BackendAPIError: 400 when the session is not running, 404 when it is unknown.

        Not idempotent. ``POST P/rename`` with query ``name`` (from 26.3 on in the body), with the UUID in place of the
        old name where it is known.
        """
        self.server.generation.require("rename", since=V6_FILTER)
        place = in_body(self.server.generation, {"name": check_name("new_id", new_id)})
        yield request_about(self, "POST", "/rename", among_ended=True, for_owner=False, **place)
        self.kernel_id = new_id

    @api_function
    def execute(
        self,
        run_id: str | None = None,
        code: str | None = None,
        mode: str = "query",
        opts: Mapping[str, Any] | None = None,
    ) -> Recipe[RunStep]:
        """Run code, one step at a time. Errors in the user's code are part of the result.

        Args:
            run_id: None for the first step of a run; then the ``runId`` of the result before.
            code: The code (``query``), ``""`` (``continue``), the user's answer (``input``), the line to complete
                (``complete``).
            mode: ``query``; ``batch`` runs build commands instead of ``code``; ``continue`` and ``input`` take the run
                on; ``complete`` suggests how the line goes on, as :meth:`complete` does.
            opts: For ``batch``: shell commands ``clean``, ``build``, ``exec`` (``"*"`` is the image's default, left out
                skips the step) and ``buildLog`` (bool). For ``complete``: see there.

        Returns:
            The result: ``runId``, ``status``, ``exitCode``, ``options``, ``files``, ``console`` (a list of ``[type,
            data]``). While ``status`` is ``continued``, ``clean-finished`` or ``build-finished``, go on with
            ``continue``; when it is ``waiting-input``, with ``input``; else the run is over. In mode ``complete``:
            ``status`` and ``completions``.

        Raises:
            InvalidArgument: Unknown mode, no code, no ``run_id`` to go on from, or unknown options.
            BackendAPIError: 404 for an unknown session, 500 when the agent failed.

        Not idempotent. One call waits about two seconds for output. ``POST P``, or ``POST P/complete``. From v6 on the
        server ignores ``owner_access_key`` here.
        """
        check_mode(mode)
        if mode == "complete":
            response = yield request_about(self, "POST", "/complete", json=complete_body(code, opts), idempotent=True)
        else:
            body = run_body(self.server.generation, run_id, code, mode, opts)
            response = yield request_about(self, "POST", json=body)
        return expect_object(response, "result", shape=RunStep)

    @api_function
    def interrupt(self) -> Recipe[None]:
        """Stop the code that runs, as Ctrl-C would.

        Raises:
            BackendAPIError: 404 for an unknown session.

        Not idempotent (it may hit what runs next). ``POST P/interrupt``. From v6 on the server ignores
        ``owner_access_key`` here.
        """
        yield request_about(self, "POST", "/interrupt")

    @api_function
    def complete(self, code: str, opts: Mapping[str, Any] | None = None) -> Recipe[Completions]:
        """Suggest how a line of code goes on.

        Args:
            code: The line up to the cursor.
            opts: ``row`` and ``col`` (numbers, from 0), ``line`` (the whole line) and ``post`` (what follows the
                cursor).

        Returns:
            ``{"result": {"status": "finished", "completions": [text, ...]}}``.

        Raises:
            InvalidArgument: No code, or unknown options.
            BackendAPIError: 404 for an unknown session; 500 from runners that do not answer (23.09).

        Idempotent. ``POST P/complete``. From v6 on the server ignores ``owner_access_key`` here.
        """
        response = yield request_about(self, "POST", "/complete", json=complete_body(code, opts), idempotent=True)
        return expect_object(response, shape=Completions)

    # Files
    upload = api_function(files.upload)
    download = api_function(files.download)
    download_single = api_function(files.download_single)
    list_files = api_function(files.list_files)

    # Services and commits
    start_service = api_function(app_services.start_service)
    shutdown_service = api_function(app_services.shutdown_service)
    get_direct_access_info = api_function(app_services.get_direct_access_info)
    commit = api_function(app_services.commit)
    get_commit_status = api_function(app_services.get_commit_status)

    # Records and lists
    get_info = api_function(records.get_info)
    get_logs = api_function(records.get_logs)
    get_dependency_graph = api_function(records.get_dependency_graph)
    get_abusing_report = api_function(records.get_abusing_report)
    get_status_history = api_function(records.get_status_history)
    match = api_class_function(records.match)
    paginated_list = api_page_function(records.paginated_list)
    paginated_containers = api_page_function(records.paginated_containers)


ComputeSession = Kernel


def _create_request(path: str, body: dict[str, Any], spec: SessionSpec) -> Request:
    return Request(
        "POST", path, json=body, idempotent=not spec.no_reuse, hold=hold_seconds(spec.max_wait, spec.enqueue_only)
    )


def _created(cls: Any, spec: SessionSpec, response: Response) -> Any:
    """The object for a create call's answer. Up to v4 the server repeats the name only; later ones add a UUID."""
    reply = expect_object(response)
    if not cls.server.generation.has(V5):
        kernel = cls(spec.name, spec.owner_access_key)
    else:
        session_id = field(reply, "sessionId", response)
        try:
            session_id = uuid.UUID(session_id)
        except (ValueError, TypeError, AttributeError):
            raise InvalidReply("sessionId is not a UUID", response.status, response.content) from None
        kernel = cls(spec.name, spec.owner_access_key, id=session_id)
    kernel.created = reply.get("created", True)
    kernel.status = reply.get("status", "RUNNING")
    kernel.service_ports = _service_ports(reply)
    kernel.domain, kernel.group = spec.domain_name, spec.group_name
    return kernel


def _service_ports(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The services of a create answer. A session that was found has them under other names than one that was made."""
    found = reply.get("servicePorts") or reply.get("service_ports") or []
    ports = [port for port in found if isinstance(port, dict)] if isinstance(found, list) else []
    return [{**port, "ports": port.get("ports", port.get("container_ports"))} for port in ports]


def _with_configured(mounts: Iterable[str] | None, configured: Iterable[str] | None) -> Any:
    """A new list: the caller's folders, then those of the configuration that are not among them."""
    if mounts is not None and (isinstance(mounts, str | bytes) or not isinstance(mounts, Iterable)):
        raise InvalidArgument("mounts", mounts, "must be a list of folder names")
    given = list(mounts or ())
    return given + [name for name in configured or () if name not in given]
