"""What compute sessions can be given: presets, slots, and how much was used.

======================  =================================  ===============================  ==========
Function                Request                            Body (or query, for GET)         Role
======================  =================================  ===============================  ==========
list                    GET /resource/presets                                               user
check_presets           POST /resource/check-presets       ``group``, ``scaling_group``     user
get_preset              GraphQL ``resource_preset``                                         user
create_preset           GraphQL ``create_resource_preset``                                  superadmin
modify_preset           GraphQL ``modify_resource_preset``                                  superadmin
delete_preset           GraphQL ``delete_resource_preset``                                  superadmin
get_resource_slots      GET /config/resource-slots                                          public
get_slot_details        GET /config/resource-slots/details ``sgroup``                       public
get_vfolder_types       GET /config/vfolder-types                                           public
get_docker_registries   GET /config/docker-registries                                       superadmin
usage_per_month         GET /resource/usage/month          body: ``month``, ``group_ids``   superadmin
usage_per_period        GET /resource/usage/period         ``group_id``, dates              superadmin
recalculate_usage       POST /resource/recalculate-usage                                    superadmin
user_monthly_stats      GET /resource/stats/user/month                                      user
admin_monthly_stats     GET /resource/stats/admin/month                                     superadmin
======================  =================================  ===============================  ==========
"""

from __future__ import annotations

import builtins
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function
from ai.backend.client.functions.cluster.replies import PresetCheck, Presets, SlotDetails, StatsPoint, UsageByGroup
from ai.backend.client.functions.toolkit import graphql
from ai.backend.client.functions.toolkit.fields import RESOURCE_PRESET, Fields
from ai.backend.client.functions.toolkit.generations import V5, V6_LOWER_CASE, in_query
from ai.backend.client.functions.toolkit.graphql import Variable
from ai.backend.client.functions.toolkit.inputs import (
    changes,
    given,
    json_object_text,
    matching,
    optional,
    text,
    uuid_text,
    uuid_texts,
)
from ai.backend.client.functions.toolkit.reading import expect_list, expect_object
from ai.backend.client.functions.toolkit.replies import MutationResult
from ai.backend.client.request import Request

__all__ = ["Resource"]

PRESET_FIELDS: Final = ("name", "resource_slots", "shared_memory")
MAX_DAYS: Final = 100
"""Days that a period may have: the manager answers 400 beyond (``usage_per_period`` of 23.09)."""
_MONTH = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])")
_DATE = re.compile(r"[0-9]{8}")
_UNITS: Final = "kmgtpe"
_SIZE = re.compile(rf"([0-9]+(?:\.[0-9]+)?)([{_UNITS}])(?:i?b)?", re.IGNORECASE)


class Resource(BaseFunction[M]):
    """What sessions can be given, and what they used."""

    # -- Presets ------------------------------------------------------------------------------------------------------

    @api_class_function
    def list(cls) -> Recipe[Presets]:
        """The resource presets.

        Returns:
            ``{"presets": [...]}``.

        Idempotent. ``GET /resource/presets``.
        """
        response = yield Request("GET", "/resource/presets")
        return expect_object(response, shape=Presets)

    @api_class_function
    def check_presets(cls, *, group: str | None = None, scaling_group: str | None = None) -> Recipe[PresetCheck]:
        """How much the caller could use now, and which presets fit into that.

        Args:
            group: Name of the group whose limits count; default: the configuration's. (The server's own default is the
                group ``default``, which refuses callers who are not in it.)
            scaling_group: Only this resource group; default: all that the caller may use.

        Returns:
            Limits, use and rest of keypair, group and resource groups, and ``presets`` with ``allocatable``. Amounts
            are text, ``Infinity`` and ``NaN`` among them.

        Raises:
            InvalidArgument: A name is no text, or empty.
            BackendAPIError: 400 or 500 for a group that is unknown, or that the caller is not in.

        Idempotent. ``POST /resource/check-presets``.
        """
        body = {
            "group": text("group", cls.server.config.group if group is None else group),
            **given(scaling_group=optional(text, "scaling_group", scaling_group)),
        }
        response = yield Request("POST", "/resource/check-presets", json=body, idempotent=True)
        return expect_object(response, shape=PresetCheck)

    @api_class_function
    def get_preset(cls, name: str, fields: Fields | None = None) -> Recipe[dict[str, Any] | None]:
        """One resource preset.

        Args:
            name: Its name.
            fields: What to tell about it. ``resource_slots`` comes as JSON text.

        Returns:
            Field → value, or None when it is unknown.

        Raises:
            InvalidArgument: No name, or fields that a preset does not have.

        Idempotent. GraphQL ``resource_preset``.
        """
        row: dict[str, Any] | None = yield from graphql.select(
            "resource_preset",
            _preset_fields(cls, fields),
            {"name": Variable("String", text("name", name))},
            known=RESOURCE_PRESET,
        )
        return row

    @api_class_function
    def create_preset(
        cls, name: str, resource_slots: Mapping[str, Any] | str, shared_memory: str | None = None
    ) -> Recipe[MutationResult]:
        """Make a resource preset.

        Args:
            name: Its name.
            resource_slots: Slot → amount, for example ``{"cpu": "2", "mem": "4g"}``, or that as JSON text.
            shared_memory: For example ``1g``. From v5 on.

        Returns:
            ``{"ok": bool, "msg": text}``; a name that is taken is ``ok: false``.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIVersionError: ``shared_memory`` on an older server.
            BackendAPIError: 400 unless the caller is a superadmin (managers of 23.09 let everybody).

        Not idempotent. GraphQL ``create_resource_preset``.
        """
        return (yield from _change_preset(cls, "create", name, resource_slots, shared_memory))

    @api_class_function
    def modify_preset(
        cls, name: str, resource_slots: Mapping[str, Any] | str | None = None, shared_memory: str | None = None
    ) -> Recipe[MutationResult]:
        """Change a resource preset.

        Args:
            name: Its name.
            resource_slots: See :meth:`create_preset`; what is not given stays.
            shared_memory: See there.

        Returns:
            ``{"ok": bool, "msg": text}``; an unknown preset is ``ok: false``.

        Raises:
            InvalidArgument: A value is of the wrong kind, or nothing is to be changed.
            BackendAPIVersionError: ``shared_memory`` on an older server.
            BackendAPIError: As :meth:`create_preset`.

        Never sent twice by itself. GraphQL ``modify_resource_preset``.
        """
        changes(resource_slots=resource_slots, shared_memory=shared_memory)
        return (yield from _change_preset(cls, "modify", name, resource_slots, shared_memory))

    @api_class_function
    def delete_preset(cls, name: str) -> Recipe[MutationResult]:
        """Remove a resource preset.

        Args:
            name: Its name.

        Returns:
            ``{"ok": bool, "msg": text}``; an unknown preset is ``ok: false``.

        Raises:
            InvalidArgument: It is no text, or empty.
            BackendAPIError: As :meth:`create_preset`.

        Not idempotent. GraphQL ``delete_resource_preset``.
        """
        arguments = {"name": Variable("String!", text("name", name))}
        return (yield from graphql.mutate("delete_resource_preset", arguments))

    # -- Configuration ------------------------------------------------------------------------------------------------

    @api_class_function
    def get_resource_slots(cls) -> Recipe[dict[str, str]]:
        """The kinds of resources that the cluster knows. Public.

        Returns:
            Slot → unit, for example ``{"cpu": "count", "mem": "bytes"}``.

        Idempotent. ``GET /config/resource-slots``.
        """
        response = yield Request("GET", "/config/resource-slots")
        return expect_object(response)

    @api_class_function
    def get_slot_details(cls, scaling_group: str | None = None) -> Recipe[dict[str, SlotDetails]]:
        """How to show the kinds of resources. Public.

        Args:
            scaling_group: Only what the agents of this resource group have.

        Returns:
            Slot → name, description, unit, number format and icon.

        Raises:
            InvalidArgument: It is no text, or empty.
            BackendAPIVersionError: The server is older than v6.20230315.

        Idempotent. ``GET /config/resource-slots/details`` with query ``sgroup``.
        """
        cls.server.generation.require("get_slot_details", since=V6_LOWER_CASE)
        params = given(sgroup=optional(text, "scaling_group", scaling_group))
        response = yield Request("GET", "/config/resource-slots/details", params=params)
        return expect_object(response)

    @api_class_function
    def get_vfolder_types(cls) -> Recipe[builtins.list[str]]:
        """Who may own folders. Public.

        Returns:
            For example ``["user", "group"]``.

        Idempotent. ``GET /config/vfolder-types``.
        """
        response = yield Request("GET", "/config/vfolder-types")
        return expect_list(response, item=str)

    @api_class_function
    def get_docker_registries(cls) -> Recipe[dict[str, str]]:
        """Where the cluster gets images from.

        Returns:
            Name → URL.

        Raises:
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /config/docker-registries``.
        """
        response = yield Request("GET", "/config/docker-registries")
        return expect_object(response)

    # -- Use ----------------------------------------------------------------------------------------------------------

    @api_class_function
    def usage_per_month(
        cls, month: str, group_ids: Iterable[str | uuid.UUID] | None
    ) -> Recipe[builtins.list[UsageByGroup]]:
        """What groups used in a month, in the server's time zone.

        Args:
            month: ``yyyymm``.
            group_ids: UUIDs of groups; None or an empty list: all groups that used anything.

        Returns:
            One object per group, with its containers.

        Raises:
            InvalidArgument: A value is of the wrong kind.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /resource/usage/month``, up to manager 26.2 with a body, since it has a list; never with null
        for it, which 23.09 answers with status 500. From 26.3 on with a query.
        """
        body = {
            "month": matching("month", month, _MONTH, "must be a month as yyyymm"),
            "group_ids": uuid_texts("group_ids", () if group_ids is None else group_ids),
        }
        response = yield Request("GET", "/resource/usage/month", **in_query(cls.server.generation, body))
        return expect_list(response, item=UsageByGroup)

    @api_class_function
    def usage_per_period(
        cls, group_id: str | uuid.UUID | None, start_date: str, end_date: str
    ) -> Recipe[builtins.list[UsageByGroup]]:
        """What groups used in a period, in the server's time zone.

        Args:
            group_id: UUID of a group; None: all groups that used anything.
            start_date: First day, ``yyyymmdd``.
            end_date: Last day, ``yyyymmdd``; the period has at most 100 days.

        Returns:
            One object per group, with its containers.

        Raises:
            InvalidArgument: A value is of the wrong kind, or the period ends before it begins, or is too long.
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /resource/usage/period`` with a query; up to manager 26.2 in the body for all groups, which
        the server wants as an explicit null.
        """
        dates = _period(start_date, end_date)
        if group_id is None:
            place = in_query(cls.server.generation, {"group_id": None, **dates})
            response = yield Request("GET", "/resource/usage/period", **place)
        else:
            params = {"group_id": uuid_text("group_id", group_id), **dates}
            response = yield Request("GET", "/resource/usage/period", params=params)
        return expect_list(response, item=UsageByGroup)

    @api_class_function
    def recalculate_usage(cls) -> Recipe[dict[str, Any]]:
        """Have the manager count again what is in use, when its books are wrong.

        Returns:
            ``{}``.

        Raises:
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``POST /resource/recalculate-usage``.
        """
        response = yield Request("POST", "/resource/recalculate-usage", idempotent=True)
        return expect_object(response)

    @api_class_function
    def user_monthly_stats(cls) -> Recipe[builtins.list[StatsPoint]]:
        """What the caller used in the last 30 days.

        Returns:
            2880 points, one for every 15 minutes.

        Idempotent. ``GET /resource/stats/user/month``.
        """
        response = yield Request("GET", "/resource/stats/user/month")
        return expect_list(response, item=StatsPoint)

    @api_class_function
    def admin_monthly_stats(cls) -> Recipe[builtins.list[StatsPoint]]:
        """What everybody used in the last 30 days.

        Returns:
            2880 points, one for every 15 minutes.

        Raises:
            BackendAPIError: 401 or 403 unless the caller is a superadmin.

        Idempotent. ``GET /resource/stats/admin/month``.
        """
        response = yield Request("GET", "/resource/stats/admin/month")
        return expect_list(response, item=StatsPoint)


def _preset_fields(resource: Any, fields: Fields | None) -> Fields:
    """The default selection leaves out what servers before v5 do not have."""
    if fields is not None:
        return fields
    return PRESET_FIELDS if resource.server.generation.has(V5) else PRESET_FIELDS[:-1]


def _change_preset(
    resource: Any, verb: str, name: str, resource_slots: Mapping[str, Any] | str | None, shared_memory: str | None
) -> Recipe[MutationResult]:
    if shared_memory is not None:
        resource.server.generation.require("shared_memory of resource presets", since=V5)
    if verb == "create":
        json_object_text("resource_slots", resource_slots)
    slots = optional(json_object_text, "resource_slots", resource_slots)
    if slots is not None and verb == "modify" and resource.server.generation.reads_slots_as_numbers:
        slots = json.dumps({slot: _in_bytes(amount) for slot, amount in json.loads(slots).items()})
    props = given(
        resource_slots=slots,
        shared_memory=optional(text, "shared_memory", shared_memory),
    )
    arguments = {
        "name": Variable("String!", text("name", name)),
        "props": Variable(f"{verb.capitalize()}ResourcePresetInput!", props),
    }
    return (yield from graphql.mutate(f"{verb}_resource_preset", arguments))


def _in_bytes(amount: Any) -> Any:
    """An amount such as ``64m`` without its unit; anything else as it is."""
    match = _SIZE.fullmatch(amount) if isinstance(amount, str) else None
    return amount if match is None else str(int(Decimal(match[1]) * 1024 ** (_UNITS.index(match[2].lower()) + 1)))


def _period(start_date: str, end_date: str) -> dict[str, str]:
    start, end = _day("start_date", start_date), _day("end_date", end_date)
    if end < start:
        raise InvalidArgument("end_date", end_date, "must not be before start_date")
    if (end - start).days >= MAX_DAYS:
        raise InvalidArgument("end_date", end_date, f"must be less than {MAX_DAYS} days after start_date")
    return {"start_date": start_date, "end_date": end_date}


def _day(argument: str, value: object) -> date:
    rule = "must be a day as yyyymmdd"
    digits = matching(argument, value, _DATE, rule)
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise InvalidArgument(argument, value, rule) from None
