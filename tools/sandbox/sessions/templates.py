"""Session templates."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.access import owner_of
from ai.backend.client.sandbox.core.parameters import Field, as_uuid, choice, flag, optional, text
from ai.backend.client.sandbox.core.problems import Problem, invalid, not_found
from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Call, Routes, answer, missing

OWNER: Final = Field(optional(text), None)
TEMPLATE_SCOPE: Final = {
    "group": Field(text, seed.GROUP, ("group", "groupName", "group_name")),
    "domain": Field(text, seed.DOMAIN, ("domain", "domainName", "domain_name")),
    "payload": Field(text),
    "owner_access_key": OWNER,
}


def routes(sandbox: Sandbox) -> Routes:
    """The routes; 19.09 has none of them."""
    table = Routes()
    if sandbox.v4:
        return table
    table.add("POST /template/session")(create_template)
    table.add("GET /template/session")(list_templates)
    table.add("GET /template/session/{id}")(get_template)
    table.add("PUT /template/session/{id}")(put_template)
    table.add("DELETE /template/session/{id}", reads_query=True)(delete_template)
    for method in ("GET", "POST"):
        table.add(f"{method} /template/cluster")(missing("cluster templates"))
    for method in ("GET", "PUT", "DELETE"):
        table.add(f"{method} /template/cluster/{{id}}")(missing("cluster templates"))
    return table


def _payload(payload: str) -> list[Mapping[str, Any]]:
    """The templates in a request: JSON or YAML text of a list of ``{"template": ...}``.

    Raises:
        Problem: 400.
    """
    import yaml  # not before it is needed: starts are quicker

    try:
        body = yaml.safe_load(payload)  # JSON is YAML, too
    except yaml.YAMLError:
        raise invalid("Malformed payload") from None
    if not isinstance(body, list) or not all(isinstance(item, Mapping) and "template" in item for item in body):
        raise Problem("internal-server-error")
    return body


def _checked_template(raw: Any) -> dict[str, Any]:
    """A template with the defaults of what it leaves out.

    Raises:
        Problem: 400 when something that must be there is not.
    """
    try:
        metadata, spec = dict(raw["metadata"]), dict(raw["spec"])
        kernel = dict(spec["kernel"])
        template: dict[str, Any] = {
            **raw,
            "api_version": raw.get("api_version") or raw["apiVersion"],
            "metadata": {"tag": None, **metadata, "name": metadata["name"]},
            "spec": {
                "scaling_group": None,
                "mounts": {},
                "resources": None,
                "agent_list": None,
                **spec,
                "session_type": spec.get("session_type") or spec.get("sessionType") or "interactive",
                "kernel": {
                    "architecture": "x86_64",
                    "environ": {},
                    "run": None,
                    "git": None,
                    **kernel,
                    "image": kernel["image"],
                },
            },
        }
    except (KeyError, TypeError, ValueError) as error:
        raise invalid("Input validation error", str(error)) from None
    template.pop("apiVersion", None)
    return template


def _template_row(call: Call, database: Database, number: str) -> model.SessionTemplate:
    key = as_uuid(number)
    row = database.get(model.SessionTemplate, key) if key else None
    if row is None or not row.is_active:
        raise not_found("session template" if call.sandbox.v9 else "task template")
    return row


async def create_template(call: Call) -> web.Response:
    given = await call.parameters(TEMPLATE_SCOPE)
    made = []
    with call.sandbox.write() as database:
        owner = database.get_one(model.KeyPair, owner_of(database, call.caller, given["owner_access_key"]))
        group = database.query(model.Group).filter_by(domain_name=given["domain"], name=given["group"]).first()
        if group is None:
            raise invalid("Invalid group")
        for item in _payload(given["payload"]):
            template = _checked_template(item["template"])
            row = model.SessionTemplate(
                id=uuid.uuid4(),
                name=item.get("name") or template["metadata"]["name"],
                domain_name=given["domain"],
                group_id=group.id,
                user=owner.user,
                template=template,
            )
            database.add(row)
            made.append({"id": row.id.hex, "user": row.user.hex})
    return answer(made)


async def list_templates(call: Call) -> web.Response:
    await call.parameters({"all": Field(flag, False), "group_id": Field(optional(text), None, ("group_id", "groupId"))})
    items = []
    with call.sandbox.read() as database:
        for row in database.query(model.SessionTemplate).filter_by(is_active=True):
            user, group = database.get(model.User, row.user), database.get(model.Group, row.group_id)
            items.append(
                {
                    "name": row.name,
                    "id": row.id.hex,
                    "created_at": str(row.created_at),
                    "is_owner": row.user == call.caller.user_id,
                    "user": str(row.user),
                    "group": str(row.group_id),
                    "user_email": user.email if user else None,
                    "group_name": group.name if group else None,
                    "domain_name": call.caller.domain,
                    "type": row.type,
                    "template": row.template,
                }
            )
    return answer(items)


async def get_template(call: Call) -> web.Response:
    await call.parameters({"format": Field(choice("yaml", "json"), "json"), "owner_access_key": OWNER})
    with call.sandbox.read() as database:
        row = _template_row(call, database, call.path("id"))
    return answer(
        {
            "template": row.template,
            "name": row.name,
            "user_uuid": str(row.user),
            "group_id": str(row.group_id),
            "domain_name": call.caller.domain,
        }
    )


async def put_template(call: Call) -> web.Response:
    given = await call.parameters(TEMPLATE_SCOPE)
    with call.sandbox.write() as database:
        row = _template_row(call, database, call.path("id"))
        for item in _payload(given["payload"]):
            row.template = _checked_template(item["template"])
            row.name = item.get("name") or row.template["metadata"]["name"]
    return answer({"success": True})


async def delete_template(call: Call) -> web.Response:
    await call.parameters({"owner_access_key": OWNER})
    with call.sandbox.write() as database:
        _template_row(call, database, call.path("id")).is_active = False
    return answer({"success": True})
