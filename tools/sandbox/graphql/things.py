"""Root fields of GraphQL queries: agents, images, presets, scaling groups."""

# ruff: noqa: A002  # arguments are called what the schema calls them
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.graphql.fields import Agent
from ai.backend.client.sandbox.graphql.scope import Resolver, page, statuses, superadmins
from ai.backend.client.sandbox.sessions.creation import find_image

if TYPE_CHECKING:
    from ai.backend.client.sandbox.graphql.context import Context


@superadmins
def agent(context: Context, agent_id: str) -> Agent | None:
    return Agent(context) if agent_id == seed.AGENT else None


def _agents(context: Context, scaling_group: str | None, status: str | None) -> list[Agent]:
    wanted = statuses(status)
    return [
        one
        for one in [Agent(context)]
        if scaling_group in (None, one.scaling_group) and (wanted is None or one.status in wanted)
    ]


@superadmins
def agents(context: Context, scaling_group: str | None = None, status: str | None = None) -> list[Agent]:
    return _agents(context, scaling_group, status)


@superadmins
def agent_list(
    context: Context, limit: int, offset: int, filter: str | None = None, order: str | None = None,
    scaling_group: str | None = None, status: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    return page(context, "Agent", _agents(context, scaling_group, status), limit, offset, filter, order)


def agent_summary(context: Context, agent_id: str) -> Agent | None:
    return Agent(context) if agent_id == seed.AGENT else None


def agent_summary_list(
    context: Context, limit: int, offset: int, filter: str | None = None, order: str | None = None,
    scaling_group: str | None = None, status: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    return page(context, "Agent", _agents(context, scaling_group, status), limit, offset, filter, order)


def image(context: Context, reference: str, architecture: str = "x86_64") -> model.Image:
    return find_image(context.database, reference, architecture)


def images(
    context: Context, is_installed: bool | None = None, is_operation: bool | None = None
) -> list[model.Image]:  # fmt: skip
    if is_installed is False or is_operation:  # everything is installed, nothing is for operation
        return []
    return context.database.query(model.Image).order_by(model.Image.name, model.Image.tag).all()


def resource_preset(context: Context, name: str | None = None) -> model.ResourcePreset | None:
    return context.database.get(model.ResourcePreset, name) if name else None


def resource_presets(context: Context) -> list[model.ResourcePreset]:
    return context.database.query(model.ResourcePreset).order_by(model.ResourcePreset.name).all()


@superadmins
def scaling_group(context: Context, name: str | None = None) -> model.ScalingGroup | None:
    return context.database.get(model.ScalingGroup, name) if name else None


@superadmins
def scaling_groups(
    context: Context, name: str | None = None, is_active: bool | None = None
) -> list[model.ScalingGroup]:  # fmt: skip
    query = context.database.query(model.ScalingGroup).order_by(model.ScalingGroup.name)
    if is_active is not None:
        query = query.filter_by(is_active=is_active)
    return query.filter_by(name=name).all() if name else query.all()


def _scaling_groups_for(kind: str, argument: str) -> Resolver:
    @superadmins
    def resolve(context: Context, is_active: bool | None = None, **arguments: Any) -> list[model.ScalingGroup]:
        uses = context.database.query(model.ScalingGroupUse.scaling_group).filter_by(
            kind=kind, target=str(arguments[argument])
        )
        found = scaling_groups(context, is_active=is_active)
        names = {name for (name,) in uses}
        return [one for one in found if one.name in names]

    return resolve


READS: Final[Mapping[str, Resolver]] = {
    "scaling_groups_for_domain": _scaling_groups_for("domain", "domain"),
    "scaling_groups_for_user_group": _scaling_groups_for("group", "user_group"),
    "scaling_groups_for_keypair": _scaling_groups_for("keypair", "access_key"),
    "agent": agent,
    "agents": agents,
    "agent_list": agent_list,
    "agent_summary": agent_summary,
    "agent_summary_list": agent_summary_list,
    "image": image,
    "images": images,
    "resource_preset": resource_preset,
    "resource_presets": resource_presets,
    "scaling_group": scaling_group,
    "scaling_groups": scaling_groups,
}
"""Root field → resolver."""
