"""Templates of compute sessions and of clusters. ``T`` is ``/template/session/{id}``.

==============  ========================  ==============================================================
Function        Request                   Body (or query, for GET and DELETE)
==============  ========================  ==============================================================
create          POST /template/session    ``payload``, ``group_name``, ``domain_name``, ``owner_access_key``
list_templates  GET /template/session     ``all``
get             GET T                     ``format``, ``owner_access_key``
put             PUT T                     ``payload``, ``owner_access_key``
delete          DELETE T                  ``owner_access_key``
==============  ========================  ==============================================================

Session templates are there since v5.20191215, cluster templates (``/template/cluster``) since v6.20200815.
"""

from __future__ import annotations

import builtins
import uuid
from typing import Any, ClassVar

from ai.backend.client._checks import plain
from ai.backend.client.exceptions import InvalidArgument, InvalidReply
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, api_factory, api_function
from ai.backend.client.functions.compute.replies import TemplateItem
from ai.backend.client.functions.toolkit.generations import V5, V6, V6_FILTER
from ai.backend.client.functions.toolkit.inputs import choice, flag, given, optional, script, text, uuid_text
from ai.backend.client.functions.toolkit.reading import expect_list, expect_object, field
from ai.backend.client.functions.toolkit.replies import Success
from ai.backend.client.request import Request, Response
from ai.backend.client.versioning import ApiVersion

__all__ = ["ClusterTemplate", "SessionTemplate"]

FORMATS = ("yaml", "json")


class SessionTemplate(BaseFunction[M]):
    """A stored description of compute sessions, to start them from.

    Args:
        template_id: Its UUID.
        owner_access_key: Access key of its owner, for administrators who act for others.

    Attributes:
        template_id: As given.
        owner_access_key: As given, None when empty.
        template_ids: After :meth:`create`, the UUIDs of all templates that its text described.

    Raises:
        InvalidArgument: It is no UUID.
    """

    KIND: ClassVar[str] = "session"
    SINCE: ClassVar[ApiVersion] = V5
    SCOPED_SINCE: ClassVar[ApiVersion | None] = V6_FILTER

    template_id: str
    owner_access_key: str | None
    template_ids: tuple[str, ...]

    def __init__(self, template_id: str | uuid.UUID, owner_access_key: str | None = None) -> None:
        uuid_text("template_id", template_id)
        self.template_id = str(plain(template_id))
        self.owner_access_key = optional(text, "owner_access_key", owner_access_key or None)
        self.template_ids = (self.template_id,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.template_id}>"

    @api_factory
    def create(
        cls,
        template: str,
        domain_name: str | None = None,
        group_name: str | None = None,
        owner_access_key: str | None = None,
    ) -> Recipe[Any]:
        """Store a template.

        Args:
            template: YAML or JSON text, in the server's form. Up to 21.03, and for clusters always: the template
                itself. From 21.09 to 23.03: ``{"session_templates": [{"template": ..., "name": ...}]}``, the name being
                optional. 23.09: such a list in JSON, or one of its objects per document in YAML.
            domain_name: Default: the configuration's.
            group_name: Default: the configuration's.
            owner_access_key: Store it for this owner (administrators only).

        Returns:
            The template's object. A text that describes several makes several: the object is the first one, and
            ``template_ids`` of it tells all.

        Raises:
            InvalidArgument: A value is no text, or empty.
            BackendAPIVersionError: The server has no such templates.
            BackendAPIError: 400 for a template that the server does not understand.

        Not idempotent. ``POST /template/session``.
        """
        _require(cls)
        config = cls.server.config
        body = {
            "payload": script("template", template),
            "group_name": text("group_name", config.group if group_name is None else group_name),
            "domain_name": text("domain_name", config.domain if domain_name is None else domain_name),
            **given(owner_access_key=optional(text, "owner_access_key", owner_access_key or None)),
        }
        response = yield Request("POST", f"/template/{cls.KIND}", json=body)
        ids = _ids(response)
        made: Any = cls
        stored = made(ids[0], owner_access_key)
        stored.template_ids = tuple(ids)
        return stored

    @api_class_function
    def list_templates(cls, list_all: bool = False) -> Recipe[builtins.list[TemplateItem]]:
        """Templates that the caller can use.

        Args:
            list_all: Everybody's, where the server makes a difference (23.09 lists everybody's session templates).

        Returns:
            One object per template.

        Raises:
            InvalidArgument: It is no bool.
            BackendAPIVersionError: The server has no such templates.

        Idempotent. ``GET /template/session``, with query ``all``.
        """
        _require(cls)
        params = {"all": "true"} if flag("list_all", list_all) else {}
        response = yield Request("GET", f"/template/{cls.KIND}", params=params)
        return expect_list(response, item=TemplateItem)

    @api_function
    def get(self, body_format: str = "yaml") -> Recipe[str]:
        """The template's text.

        Args:
            body_format: ``yaml`` or ``json``. Managers from 21.09 on answer JSON for session templates, whatever it
                says.

        Returns:
            The text.

        Raises:
            InvalidArgument: Another format.
            BackendAPIVersionError: The server has no such templates.
            BackendAPIError: 404 for an unknown template (23.09 answers ``{}`` for session templates).

        Idempotent. ``GET T`` with a query.
        """
        _require(self)
        params = {"format": choice("body_format", body_format, FORMATS), **_owner(self)}
        response = yield Request("GET", _path(self), params=params)
        body: str = response.text()
        return body

    @api_function
    def put(self, template: str, *, domain_name: str | None = None, group_name: str | None = None) -> Recipe[Success]:
        """Replace the template.

        Args:
            template: As for :meth:`create`, with one template; on 23.09 in YAML too as a list.
            domain_name: From v6.20210815 on, where servers assign a session template to a domain and group anew, by
                default to those called ``default``.
            group_name: As ``domain_name``.

        Returns:
            ``{"success": True}``.

        Raises:
            InvalidArgument: A value is no text, or empty; or domain or group for a cluster template, which has none.
            BackendAPIVersionError: The server has no such templates, or does not take domain and group here.
            BackendAPIError: 404 for an unknown template, 400 for one that the server does not understand.

        Idempotent. ``PUT T``.
        """
        _require(self)
        scope = given(
            domain_name=optional(text, "domain_name", domain_name), group_name=optional(text, "group_name", group_name)
        )
        for argument, value in scope.items():
            if self.SCOPED_SINCE is None:
                raise InvalidArgument(argument, value, "is for session templates only")
            self.server.generation.require("domain and group of put", since=self.SCOPED_SINCE)
        body = {"payload": script("template", template), **scope, **_owner(self)}
        response = yield Request("PUT", _path(self), json=body, idempotent=True)
        return expect_object(response, shape=Success)

    @api_function
    def delete(self) -> Recipe[Success]:
        """Remove the template.

        Returns:
            ``{"success": True}``.

        Raises:
            BackendAPIVersionError: The server has no such templates.
            BackendAPIError: 404 for an unknown template.

        Not idempotent. ``DELETE T`` with query ``owner_access_key``.
        """
        _require(self)
        response = yield Request("DELETE", _path(self), params=_owner(self))
        return expect_object(response, shape=Success)


class ClusterTemplate(SessionTemplate[M]):
    """A stored description of clusters: as :class:`SessionTemplate`, at ``/template/cluster``.

    Managers of 23.09 answer ``get`` and ``list_templates(list_all=True)`` with status 500.
    """

    KIND = "cluster"
    SINCE = V6
    SCOPED_SINCE = None


def _require(template: Any) -> None:
    template.server.generation.require(f"{template.KIND} templates", since=template.SINCE)


def _ids(response: Response) -> list[str]:
    """The UUIDs of what was made: a list for sessions, one object for a cluster."""
    reply = response.json()
    ids = [str(field(made, "id", response)) for made in (reply if isinstance(reply, list) else [reply])]
    if not ids:
        raise InvalidReply("no template was made", response.status, response.content)
    return ids


def _path(template: SessionTemplate[Any]) -> str:
    return f"/template/{template.KIND}/{template.template_id}"


def _owner(template: SessionTemplate[Any]) -> dict[str, str]:
    return given(owner_access_key=template.owner_access_key)
