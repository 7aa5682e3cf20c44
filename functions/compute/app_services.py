"""What runs in a compute session besides its code: services, access, commit.

=======================  =============================  =======================================  ===========
Function                 Request                        Body                                     Since
=======================  =============================  =======================================  ===========
start_service            POST P/start-service           app, port, envs, arguments, ...          v6.20210815
shutdown_service         POST P/shutdown-service        service_name                             v5
get_direct_access_info   GET P/direct-access-info                                                v6.20230315
commit                   POST P/commit                  filename                                 v6.20230315
get_commit_status        GET P/commit                                                            v6.20230315
=======================  =============================  =======================================  ===========

``P`` is ``/session/{name}``. From 26.3 on what shutdown_service and commit say is in the query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ai.backend.client.exceptions import InvalidArgument, type_of
from ai.backend.client.functions.base import Recipe
from ai.backend.client.functions.compute.creation import HOLD_UNLIMITED
from ai.backend.client.functions.compute.identity import SessionIdentity, request_about
from ai.backend.client.functions.compute.replies import Commit, CommitStatus, DirectAccess, ServiceAccess
from ai.backend.client.functions.toolkit.generations import V5, V6_DEPENDENCIES, V6_FILTER, V6_LOWER_CASE, in_query
from ai.backend.client.functions.toolkit.inputs import given, optional, secret, text
from ai.backend.client.functions.toolkit.inputs import port as port_number
from ai.backend.client.functions.toolkit.reading import expect_object


def start_service(
    kernel: SessionIdentity[Any],
    app: str,
    *,
    port: int | None = None,
    envs: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    login_session_token: str | None = None,
) -> Recipe[ServiceAccess]:
    """Start one of the session's services (or find it running) and get a way to it through the app proxy.

    Args:
        kernel: The session; bound by the proxy class.
        app: Name of the service, as in ``service_ports``.
        port: Which of its container ports, 1024 to 65535; default: its first.
        envs: Environment variables for it.
        arguments: Command line arguments for it: option → value, list of values, or None.
        login_session_token: Token of the web server's login session. From v6.20220315 on.

    Returns:
        ``{"token": text, "wsproxy_addr": URL}``.

    Raises:
        InvalidArgument: A value of the wrong kind, or the object has an ``owner_access_key`` (the server refuses it
            here).
        BackendAPIVersionError: The server is older than v6.20210815.
        BackendAPIError: 404 for an unknown session or app, 503 when the resource group has no app proxy.

    Not idempotent. ``POST P/start-service``.
    """
    generation = kernel.server.generation
    if login_session_token is not None:
        generation.require("the argument login_session_token of start_service", since=V6_DEPENDENCIES)
    generation.require("start_service", since=V6_FILTER)
    text("app", app)
    body = given(
        app=app,
        port=optional(port_number, "port", port),
        envs=optional(_json_text, "envs", envs),
        arguments=optional(_json_text, "arguments", arguments),
        login_session_token=optional(secret, "login_session_token", login_session_token),
    )
    response = yield request_about(kernel, "POST", "/start-service", json=body, for_owner=False)
    return expect_object(response, shape=ServiceAccess)


def shutdown_service(kernel: SessionIdentity[Any], service_name: str) -> Recipe[None]:
    """Stop one of the session's services.

    Args:
        kernel: The session; bound by the proxy class.
        service_name: Its name, as in ``service_ports``.

    Raises:
        InvalidArgument: It is no name, or the object has an ``owner_access_key`` (the server refuses it here).
        BackendAPIVersionError: The server is older than v5.20191215.
        BackendAPIError: 404 for an unknown session.

    Not idempotent. ``POST P/shutdown-service``.
    """
    kernel.server.generation.require("shutdown_service", since=V5)
    place = in_query(kernel.server.generation, {"service_name": text("service_name", service_name)})
    yield request_about(kernel, "POST", "/shutdown-service", for_owner=False, **place)


def get_direct_access_info(kernel: SessionIdentity[Any]) -> Recipe[DirectAccess]:
    """How to reach a system session (SFTP, SSH) without the app proxy.

    Returns:
        ``{"kernel_role", "public_host", "sshd_ports"}``; empty for ordinary sessions.

    Raises:
        BackendAPIVersionError: The server is older than v6.20230315.
        BackendAPIError: 404 for an unknown session.

    Idempotent. ``GET P/direct-access-info``; the server ignores ``owner_access_key`` here.
    """
    kernel.server.generation.require("get_direct_access_info", since=V6_LOWER_CASE)
    response = yield request_about(kernel, "GET", "/direct-access-info")
    return expect_object(response, shape=DirectAccess)


def commit(kernel: SessionIdentity[Any], filename: str | None = None) -> Recipe[Commit]:
    """Save the session's container as an image archive on its agent.

    Args:
        kernel: The session; bound by the proxy class.
        filename: Name of the archive; default: the server's choice.

    Returns:
        The server's answer, for example with ``bgtask_id`` and ``path``.

    Raises:
        InvalidArgument: The name is no text, or empty; or the object has an ``owner_access_key`` (the server refuses it
            here).
        BackendAPIVersionError: The server is older than v6.20230315.
        BackendAPIError: 404 for an unknown session.

    Not idempotent; the server may take minutes. ``POST P/commit``.
    """
    kernel.server.generation.require("commit", since=V6_LOWER_CASE)
    place: dict[str, Any] = {}
    if filename is not None:
        place = in_query(kernel.server.generation, {"filename": text("filename", filename)})
    response = yield request_about(kernel, "POST", "/commit", hold=HOLD_UNLIMITED, for_owner=False, **place)
    return expect_object(response, shape=Commit)


def get_commit_status(kernel: SessionIdentity[Any]) -> Recipe[CommitStatus]:
    """Whether a commit of the session is under way.

    Returns:
        ``{"status": "ready" | "ongoing", "kernel": UUID}``.

    Raises:
        InvalidArgument: The object has an ``owner_access_key`` (the server refuses it here).
        BackendAPIVersionError: The server is older than v6.20230315.
        BackendAPIError: 404 for an unknown session.

    Idempotent. ``GET P/commit``.
    """
    kernel.server.generation.require("get_commit_status", since=V6_LOWER_CASE)
    response = yield request_about(kernel, "GET", "/commit", for_owner=False)
    return expect_object(response, shape=CommitStatus)


def _json_text(argument: str, value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(value))
    except (TypeError, ValueError, RecursionError):  # the message would show values, which may be secrets
        raise InvalidArgument(argument, type_of(value), "must be a mapping that can be written as JSON") from None
