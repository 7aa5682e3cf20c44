"""Streams of a compute session.

====================  ====================================================  ======================  =====
Function              Request                                               Yields                  Since
====================  ====================================================  ======================  =====
listen_events         SSE GET /events/session (v4: .../_/events)            SSEMessage
stream_execute        WebSocket GET /stream P/execute                       WSMessage, results
stream_pty            WebSocket GET /stream P/pty                           WSMessage, bytes
stream_app_info       GET /stream P/apps                                    (a list)                v5
tunnel                WebSocket GET /stream P/tcpproxy, for a connection    (a local port)
get_task_logs         GET /session/_/logs                                   bytes
run                   run.py
====================  ====================================================  ======================  =====

``P`` is ``/kernel/{name}`` up to v4 and ``/session/{name}`` from v5 on.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client._checks import plain
from ai.backend.client._current import session_of
from ai.backend.client.exceptions import InvalidArgument, InvalidReply
from ai.backend.client.functions.base import M, Recipe, api_function
from ai.backend.client.functions.compute import run as kernel_run
from ai.backend.client.functions.compute.identity import SessionIdentity, request_about
from ai.backend.client.functions.compute.sockets import StreamExecute, StreamPty, execute_message, interrupting
from ai.backend.client.functions.streams.byte_stream import BytesSpec, ByteStream
from ai.backend.client.functions.streams.events import EventsSpec, SSEMessage, SSEResponse
from ai.backend.client.functions.streams.stream import NO_TYPE
from ai.backend.client.functions.streams.tunnel import Tunnel, TunnelSpec
from ai.backend.client.functions.streams.websocket import WebSocketSpec
from ai.backend.client.functions.toolkit import inputs
from ai.backend.client.functions.toolkit.generations import V5, V6
from ai.backend.client.request import Request
from ai.backend.client.versioning import get_naming

__all__ = ["KernelStreams"]

SCOPES: Final = ("*", "session", "kernel")
PROTOCOLS: Final = ("tcp", "http")
ANY_PORT: Final = 65535


class KernelStreams(SessionIdentity[M]):
    """The streams of a compute session; a part of :class:`~ai.backend.client.functions.compute.kernel.Kernel`."""

    def listen_events(self, scope: str = "*") -> SSEResponse[M]:
        """Listen to what happens to the session.

        An object named ``*`` listens to all of the caller's sessions.

        Args:
            scope: ``session`` or ``kernel``: events of that kind only. From v6 on.

        Returns:
            A stream of events, for ``with`` and ``for``. Names of events from v5 on: ``session_enqueued``,
            ``session_scheduled``, ``session_started``, ``session_terminating``, ``session_terminated``,
            ``session_cancelled``, ``session_success``, ``session_failure``, ``kernel_preparing``, ``kernel_pulling``,
            ``kernel_creating``, ``kernel_started``, ``kernel_terminating``, ``kernel_terminated``,
            ``kernel_cancelled`` (up to v4 all begin with ``kernel_``). Data: ``sessionName``, ``ownerAccessKey``,
            ``sessionId``, ``reason``, ``exitCode``, and ``kernelId`` and more for kernels. Managers of 23.09 never send
            the first three.

        Raises:
            InvalidArgument: Unknown scope.

        When it is opened: 403 for another's ``owner_access_key`` without being an administrator.
        ``GET /events/session`` with ``sessionId`` where the UUID is known, else ``sessionName``. Managers from 26.3 on
        answer ``sessionId`` with the events of all of the caller's sessions; those of others are dropped here.
        """
        inputs.choice("scope", scope, SCOPES)
        return self._events(scope, "listen_events")

    def stream_events(self) -> SSEResponse[M]:
        """:meth:`listen_events` under its older name, for events of every kind."""
        return self._events("*", "stream_events")

    def _events(self, scope: str, function: str) -> SSEResponse[M]:
        kernel = self._identity()
        spec = EventsSpec(
            function=function,
            actor=type(self).__name__,
            request=lambda: events_request(kernel, scope),
            wanted=None if kernel.id is None else lambda event: is_about(kernel, event),
        )
        return SSEResponse(session_of(self), spec)

    def stream_execute(
        self, code: str = "", *, mode: str = "query", opts: Mapping[str, Any] | None = None
    ) -> StreamExecute[M]:
        """Run code over a WebSocket: output comes as it is written.

        Args:
            code: The code, for ``query``.
            mode: ``query``, or ``batch`` for build commands.
            opts: For ``batch``, as for ``execute``: ``clean``, ``build``, ``buildLog``, ``exec``.

        Returns:
            The run, for ``with`` and ``for``: see :meth:`StreamExecute.results`. Closing it early interrupts the code.

        Raises:
            InvalidArgument: Unknown mode or options.

        When it is opened: 404 for an unknown session. From v6 on the server ignores ``owner_access_key`` here.
        """
        kernel = self._identity()
        spec = WebSocketSpec(
            function="stream_execute",
            actor=type(self).__name__,
            request=lambda: request_about(kernel, "GET", "/execute", area="/stream", content_type=NO_TYPE),
            first_message=execute_message(code, mode, opts),
            shutdown=interrupting(kernel),
        )
        return StreamExecute(session_of(self), spec)

    def stream_pty(self) -> StreamPty[M]:
        """Open the session's terminal over a WebSocket.

        Returns:
            The terminal, for ``with`` and ``for``.

        When it is opened: 404 for an unknown session. From v6 on the server ignores ``owner_access_key`` here.
        """
        kernel = self._identity()
        spec = WebSocketSpec(
            function="stream_pty",
            actor=type(self).__name__,
            request=lambda: request_about(kernel, "GET", "/pty", area="/stream", content_type=NO_TYPE),
        )
        return StreamPty(session_of(self), spec)

    def tunnel(
        self,
        app: str,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        app_port: int | None = None,
        protocol: str = "tcp",
        envs: Mapping[str, str] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Tunnel[M]:
        """Open a local port that leads to one of the session's services.

        Args:
            app: The service, as :meth:`stream_app_info` lists them, for example ``sshd``.
            port: Local port; 0: any that is free.
            host: Local address to listen on, numeric. On any other than a loopback address the service is open to
                whoever reaches it: connections are made with this session's credentials.
            app_port: Which of the service's container ports, 1024 to 65535; default: its first.
            protocol: ``tcp`` or ``http``: the manager's name for the way; both carry bytes as they are.
            envs: Environment variables for the service, if this starts it.
            arguments: Its command line arguments, likewise: option → value, list of values, or None.

        Returns:
            The tunnel, for ``with`` or ``async with``; its ``address`` is where it listens.

        Raises:
            InvalidArgument: A value of the wrong kind, or the object has an ``owner_access_key``.

        When it is opened: 404 for an unknown session, :class:`InvalidArgument` for a service that it does not have
        (from v5 on) or a port that cannot be listened on. ``GET /stream P/apps``, then for each connection the
        WebSocket ``GET /stream P/tcpproxy`` or ``httpproxy`` with ``app``, ``port``, ``envs``, ``arguments``.
        """
        inputs.text("app", app)
        params = inputs.given(
            app=app,
            port=None if app_port is None else str(inputs.port("app_port", app_port)),
            envs=None if envs is None else json.dumps(inputs.text_mapping("envs", envs)),
            arguments=None if arguments is None else inputs.json_object_text("arguments", arguments),
        )
        suffix = f"/{inputs.choice('protocol', protocol, PROTOCOLS)}proxy"
        kernel = self._identity()
        spec = TunnelSpec(
            function="tunnel",
            actor=type(self).__name__,
            request=lambda: request_about(
                kernel, "GET", suffix, params=params, for_owner=False, area="/stream", content_type=NO_TYPE
            ),
            check=lambda: _check_app(kernel, app),
            host=_numeric("host", host),
            port=inputs.whole("port", port, 0, ANY_PORT),
        )
        return Tunnel(session_of(self), spec)

    @api_function
    def stream_app_info(self) -> Recipe[list[dict[str, Any]]]:
        """The session's services.

        Returns:
            ``{"name", "protocol", "ports"}`` each, and ``url_template``, ``allowed_arguments``, ``allowed_envs`` where
            they have them.

        Raises:
            BackendAPIVersionError: The server is older than v5.20191215.
            BackendAPIError: 404 for an unknown session.

        Idempotent. ``GET /stream P/apps``; the server ignores ``owner_access_key`` here.
        """
        return (yield from app_info(self))

    @classmethod
    def get_task_logs(cls, task_id: str | uuid.UUID, *, chunk_size: int = 8192) -> ByteStream[M]:
        """Read the log of a batch task from the caller's folder ``.logs``.

        Args:
            task_id: UUID of the kernel that ran the task.
            chunk_size: Bytes to yield at a time, at most.

        Returns:
            A stream of ``bytes``, for ``for`` and ``async for``.

        Raises:
            InvalidArgument: It is no UUID, or ``chunk_size`` no positive number.

        When it is opened: 404 when there is no such folder or file. ``GET /session/_/logs`` (up to v4
        ``/kernel/_/logs``) with query ``taskId``.
        """
        params = {"taskId": inputs.uuid_text("task_id", task_id)}
        server = cls.server
        spec = BytesSpec(
            function="get_task_logs",
            actor=cls.__name__,
            request=lambda: Request("GET", f"/{get_naming(server.generation.version, 'path')}/_/logs", params=params),
            chunk_size=inputs.count("chunk_size", chunk_size),
        )
        return ByteStream(session_of(cls), spec)

    run = kernel_run.api_run_function(kernel_run.run)


def events_request(kernel: SessionIdentity[Any], scope: str) -> Request:
    """The request that opens the event stream of a compute session."""
    generation = kernel.server.generation
    path = get_naming(generation.version, "session_events_path")
    params = {}
    if not generation.has(V6):
        if scope != "*":
            generation.require("listen_events(scope=...)", since=V6)
        if kernel.kernel_id is None:
            generation.require("listening to a session of which only the UUID is known", since=V6)
        params[get_naming(generation.version, "event_name_arg")] = kernel.kernel_id
    else:
        named = {"sessionName": kernel.kernel_id} if kernel.id is None else {"sessionId": str(kernel.id)}
        params.update(named, scope=scope)
    if kernel.owner_access_key is not None:
        params["ownerAccessKey"] = kernel.owner_access_key
    return Request("GET", path, params=params, content_type=NO_TYPE)


def is_about(kernel: SessionIdentity[Any], event: SSEMessage) -> bool:
    """Whether an event is of a session of which the UUID is known, and not of another one of the caller's."""
    if not kernel.server.generation.mixes_events:
        return True
    try:
        told = json.loads(event.data)
    except (ValueError, RecursionError):
        return True
    return not isinstance(told, dict) or told.get("sessionId") in (None, str(kernel.id))


def app_info(kernel: SessionIdentity[Any]) -> Recipe[list[dict[str, Any]]]:
    """See :meth:`KernelStreams.stream_app_info`."""
    kernel.server.generation.require("stream_app_info", since=V5)
    response = yield request_about(kernel, "GET", "/apps", area="/stream")
    apps = response.json()
    if not isinstance(apps, list):
        raise InvalidReply("the answer is not a list of services", response.status, response.content)
    return apps


def _check_app(kernel: SessionIdentity[Any], app: str) -> Recipe[None]:
    """Refuse a service that the session does not have, where the server can tell."""
    if not kernel.server.generation.has(V5):
        return
    names = [one.get("name") for one in (yield from app_info(kernel)) if isinstance(one, dict)]
    if not names:
        raise InvalidArgument("app", app, "the session offers no services")
    if app not in names:
        raise InvalidArgument("app", app, f"must be one of the session's services: {', '.join(map(str, names))}")


def _numeric(argument: str, value: object) -> str:
    try:
        return str(ipaddress.ip_address(plain(value)))  # type: ignore[arg-type]  # refuses what it cannot read
    except ValueError:
        raise InvalidArgument(argument, value, "must be a numeric address, for example 127.0.0.1") from None
