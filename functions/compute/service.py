"""Model services: endpoints that sessions serve. Since v6.20230315. ``S`` is ``/services/{id}``.

======================  ==================================  ==========================================
Function                Request                             Body (or query, for GET)
======================  ==================================  ==========================================
list                    GET /services                       ``name``
paginated_list          GraphQL ``endpoint_list``
detail                  GraphQL ``endpoint``
create                  POST /services                      see there
info                    GET S
delete                  DELETE S
sync                    POST S/sync
scale                   POST S/scale                        ``to``
generate_api_token      POST S/token                        ``duration`` or ``valid_until``
update_traffic_ratio    PUT S/routings/{route}              ``traffic_ratio``
downscale_single_route  DELETE S/routings/{route}
list_errors             GET S/errors
clear_errors            POST S/errors/clear
======================  ==================================  ==========================================
"""

from __future__ import annotations

import builtins
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_function
from ai.backend.client.functions.compute.creation import CLUSTER_MODES
from ai.backend.client.functions.compute.replies import (
    NewService,
    ServiceErrors,
    ServiceInfo,
    ServiceItem,
    ServiceScale,
    ServiceToken,
)
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import ENDPOINT, Fields
from ai.backend.client.functions.toolkit.generations import V6_LOWER_CASE, V7
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import (
    choice,
    count,
    flag,
    given,
    mapping,
    matching,
    number,
    optional,
    script,
    text,
    text_mapping,
    uuid_text,
    whole,
)
from ai.backend.client.functions.toolkit.pages import PaginatedResult, api_page_function
from ai.backend.client.functions.toolkit.reading import expect_list, expect_object, field
from ai.backend.client.functions.toolkit.replies import Success
from ai.backend.client.request import Request

__all__ = ["Service"]

FIELDS: Final = (
    "endpoint_id", "name", "image", "desired_session_count", "routings { routing_id session status traffic_ratio }",
    "session_owner", "open_to_public",
)  # fmt: skip
_NAME = re.compile(r"(?=.{4,24}\Z)\w[\w.-]*\w", re.ASCII)
_NAME_RULE = "must be 4 to 24 ASCII letters, digits, '_', '-' or '.', with a letter, digit or '_' at both ends"
"""What the manager takes as a service's name."""
_RANDOM_DIGITS = 12


class Service(BaseFunction[M]):
    """A model service.

    Args:
        id: Its UUID.

    Attributes:
        id: As given.

    Raises:
        InvalidArgument: It is no UUID.
    """

    id: uuid.UUID

    def __init__(self, id: str | uuid.UUID) -> None:
        self.id = uuid.UUID(uuid_text("id", id))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    @api_class_function
    def list(cls, name: str | None = None) -> Recipe[builtins.list[ServiceItem]]:
        """The caller's services.

        Args:
            name: Only the one of this name.

        Returns:
            One object per service.

        Raises:
            InvalidArgument: It is no text, or empty.
            BackendAPIVersionError: The server is older than v6.20230315.

        Idempotent. ``GET /services`` with query ``name``.
        """
        _require(cls)
        response = yield Request("GET", "/services", params=given(name=optional(text, "name", name)))
        return expect_list(response, item=ServiceItem)

    @api_page_function
    def paginated_list(
        cls,
        *,
        fields: Fields | None = None,
        page_offset: int = 0,
        page_size: int = 20,
        filter: str | None = None,
        order: str | None = None,
    ) -> Recipe[PaginatedResult]:
        """One page of the services that the caller may see.

        Args:
            fields: What to tell about each.
            page_offset: Index of the first item, from 0.
            page_size: Items at most, 1 to 100.
            filter: Condition in the manager's filter language.
            order: For example ``-created_at``.

        Returns:
            ``total_count``, ``items`` and ``fields``.

        Raises:
            InvalidArgument: A value is unusable.
            BackendAPIVersionError: The server is older than v6.20230315.

        Idempotent. GraphQL ``endpoint_list``.
        """
        _require(cls)
        return (
            yield from graphql.select_page(
                cls.server.generation,
                "endpoint_list",
                FIELDS if fields is None else fields,
                {},
                page_offset=page_offset,
                page_size=page_size,
                filter=filter,
                order=order,
                known=ENDPOINT,
            )
        )

    @api_class_function
    def detail(cls, service_id: str | uuid.UUID, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One service, as GraphQL tells it.

        Args:
            service_id: Its UUID.
            fields: What to tell about it.

        Returns:
            Field → value, or None where the server answers so.

        Raises:
            InvalidArgument: It is no UUID, or a service has no such fields.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 400 for an unknown service.

        Idempotent. GraphQL ``endpoint``.
        """
        _require(cls)
        arguments = {"endpoint_id": Variable("UUID!", uuid_text("service_id", service_id))}
        row: dict[str, Any] | None = yield from graphql.select(
            "endpoint", FIELDS if fields is None else fields, arguments, known=ENDPOINT
        )
        return row

    @api_class_function
    def create(
        cls,
        image: str,
        model_id_or_name: str | uuid.UUID,
        initial_session_count: int,
        *,
        service_name: str | None = None,
        model_version: str | None = None,
        dependencies: Iterable[str] | None = None,
        model_mount_destination: str | None = None,
        envs: Mapping[str, str] | None = None,
        startup_command: str | None = None,
        resources: Mapping[str, Any] | None = None,
        resource_opts: Mapping[str, Any] | None = None,
        cluster_size: int = 1,
        cluster_mode: str = "single-node",
        domain_name: str | None = None,
        group_name: str | None = None,
        bootstrap_script: str | None = None,
        tag: str | None = None,
        architecture: str | None = "x86_64",
        scaling_group: str | None = None,
        owner_access_key: str | None = None,
        expose_to_public: bool = False,
    ) -> Recipe[NewService]:
        """Start a model service.

        Args:
            image: The image that its sessions run.
            model_id_or_name: UUID or name of the folder of usage mode ``model`` with ``model-definition.yaml``.
            initial_session_count: How many sessions it has at first, 0 or more.
            service_name: 4 to 24 of ``A-Z a-z 0-9 _ - .``; default: a random one.
            model_version: Version of the model.
            dependencies: Refused: no server takes them.
            model_mount_destination: Path of the folder in the sessions; default: ``/models``.
            envs: Environment variables.
            startup_command: What its sessions run.
            resources: Slot → amount for each session.
            resource_opts: For example ``{"shmem": "64m"}``.
            cluster_size: Containers per session.
            cluster_mode: ``single-node`` or ``multi-node``.
            domain_name: Default: the configuration's.
            group_name: Default: the configuration's.
            bootstrap_script: Script to run first, as base64 text.
            tag: A free text.
            architecture: Of the image; None leaves it to the server.
            scaling_group: Resource group to run in; default: the server's choice.
            owner_access_key: Start it for this owner (administrators only).
            expose_to_public: Let everybody send requests, without a token.

        Returns:
            ``endpoint_id`` and ``name``; ``desired_session_count`` and ``is_public`` as asked for;
            ``active_route_count`` 0 and ``service_endpoint`` None, since nothing runs yet.

        Raises:
            InvalidArgument: A value that the server would refuse.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 400 for a name that is taken or a folder that is no model, 404 for an unknown folder, 503
                when the resource group has no app proxy.

        Not idempotent. ``POST /services``.
        """
        _require(cls)
        if dependencies is not None:
            raise InvalidArgument("dependencies", dependencies, "cannot be given: no server takes them")
        config = cls.server.config
        body = {
            "name": f"service-{uuid.uuid4().hex[:_RANDOM_DIGITS]}"
            if service_name is None
            else matching("service_name", service_name, _NAME, _NAME_RULE),
            "desired_session_count": whole("initial_session_count", initial_session_count),
            "image": text("image", image),
            "group": text("group_name", config.group if group_name is None else group_name),
            "domain": text("domain_name", config.domain if domain_name is None else domain_name),
            "cluster_size": count("cluster_size", cluster_size),
            "cluster_mode": choice("cluster_mode", cluster_mode, CLUSTER_MODES),
            "open_to_public": flag("expose_to_public", expose_to_public),
            **given(
                arch=optional(text, "architecture", architecture),
                tag=optional(text, "tag", tag),
                startup_command=optional(script, "startup_command", startup_command),
                bootstrap_script=optional(script, "bootstrap_script", bootstrap_script),
                owner_access_key=optional(text, "owner_access_key", owner_access_key),
            ),
            "config": {
                "model": text(
                    "model_id_or_name",
                    str(model_id_or_name) if isinstance(model_id_or_name, uuid.UUID) else model_id_or_name,
                ),
                **given(
                    model_version=optional(text, "model_version", model_version),
                    model_mount_destination=optional(text, "model_mount_destination", model_mount_destination),
                    environ=optional(text_mapping, "envs", envs),
                    scaling_group=optional(text, "scaling_group", scaling_group),
                    resources=optional(mapping, "resources", resources),
                    resource_opts=optional(mapping, "resource_opts", resource_opts),
                ),
            },
        }
        response = yield Request("POST", "/services", json=body)
        return {
            "endpoint_id": field(expect_object(response), "endpoint_id", response),
            "name": str(body["name"]),
            "desired_session_count": initial_session_count,
            "active_route_count": 0,
            "service_endpoint": None,
            "is_public": expose_to_public,
        }

    @api_function
    def info(self) -> Recipe[ServiceInfo]:
        """The service, with the sessions that serve it.

        Raises:
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service.

        Idempotent. ``GET S``.
        """
        response = yield _request(self, "GET")
        return expect_object(response, shape=ServiceInfo)

    @api_function
    def delete(self) -> Recipe[Success]:
        """End the service and its sessions.

        Returns:
            ``{"success": True}``; the sessions end afterwards.

        Raises:
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service.

        Not idempotent. ``DELETE S``.
        """
        response = yield _request(self, "DELETE")
        return expect_object(response, shape=Success)

    @api_function
    def sync(self) -> Recipe[Success]:
        """Tell the app proxy again which sessions serve.

        Returns:
            ``{"success": True}``.

        Raises:
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service, 500 when the app proxy does not answer.

        Idempotent. ``POST S/sync``.
        """
        response = yield _request(self, "POST", "/sync", idempotent=True)
        return expect_object(response, shape=Success)

    @api_function
    def scale(self, to: int) -> Recipe[ServiceScale]:
        """Change how many sessions serve.

        Args:
            to: Their number, 0 or more.

        Returns:
            ``current_route_count`` and ``target_count``; sessions start and end afterwards.

        Raises:
            InvalidArgument: It is no such number.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service, 400 for more than the resource policy allows.

        Idempotent. ``POST S/scale``.
        """
        response = yield _request(self, "POST", "/scale", json={"to": whole("to", to)}, idempotent=True)
        return expect_object(response, shape=ServiceScale)

    @api_function
    def generate_api_token(
        self, duration: str | None = None, *, valid_until: int | None = None
    ) -> Recipe[ServiceToken]:
        """Make a token that lets requests through to the service.

        Args:
            duration: How long it is valid, for example ``1h`` or ``30d``.
            valid_until: Instead, until when: seconds since 1970. From v7.20230615 on.

        Returns:
            ``{"token": text}``.

        Raises:
            InvalidArgument: Neither was given, or both.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service, 400 for a time that is over.

        Not idempotent. ``POST S/token``.
        """
        if (duration is None) == (valid_until is None):
            raise InvalidArgument("duration", duration, "must be given, or valid_until instead")
        if valid_until is not None:
            self.server.generation.require("the argument valid_until of generate_api_token", since=V7)
        body = given(
            duration=optional(text, "duration", duration), valid_until=optional(count, "valid_until", valid_until)
        )
        response = yield _request(self, "POST", "/token", json=body)
        return expect_object(response, shape=ServiceToken)

    @api_function
    def update_traffic_ratio(self, target_route_id: str | uuid.UUID, new_ratio: float) -> Recipe[Success]:
        """Change which share of the requests a session gets.

        Args:
            target_route_id: UUID of its route, as :meth:`info` tells.
            new_ratio: Its weight among the sessions, 0 or more.

        Returns:
            ``{"success": True}``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown route. Managers of 23.09 answer 500 for a known one and change nothing.

        Idempotent. ``PUT S/routings/{route}``.
        """
        route = uuid_text("target_route_id", target_route_id)
        body = {"traffic_ratio": number("new_ratio", new_ratio)}
        response = yield _request(self, "PUT", f"/routings/{route}", json=body, idempotent=True)
        return expect_object(response, shape=Success)

    @api_function
    def downscale_single_route(self, target_route_id: str | uuid.UUID) -> Recipe[Success]:
        """End one of the service's sessions; one less serves from then on.

        Args:
            target_route_id: UUID of its route, as :meth:`info` tells.

        Returns:
            ``{"success": True}``.

        Raises:
            InvalidArgument: It is no UUID.
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown route, 400 for one that starts yet. Managers of 23.09 answer 500 for a
                known one and change nothing.

        Not idempotent. ``DELETE S/routings/{route}``.
        """
        response = yield _request(self, "DELETE", f"/routings/{uuid_text('target_route_id', target_route_id)}")
        return expect_object(response, shape=Success)

    @api_function
    def list_errors(self) -> Recipe[ServiceErrors]:
        """Sessions of the service that failed to start, and how often it was tried.

        Raises:
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service.

        Idempotent. ``GET S/errors``.
        """
        response = yield _request(self, "GET", "/errors")
        return expect_object(response, shape=ServiceErrors)

    @api_function
    def clear_errors(self) -> Recipe[None]:
        """Forget these failures, so that it is tried anew.

        Raises:
            BackendAPIVersionError: The server is older than v6.20230315.
            BackendAPIError: 404 for an unknown service.

        Idempotent. ``POST S/errors/clear``.
        """
        yield _request(self, "POST", "/errors/clear", idempotent=True)


def _require(service: Any) -> None:
    service.server.generation.require("model services", since=V6_LOWER_CASE)


def _request(service: Service[Any], method: str, suffix: str = "", **options: Any) -> Request:
    _require(service)
    return Request(method, f"/services/{service.id}{suffix}", **options)
