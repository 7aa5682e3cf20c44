"""Resource presets and slots.

==================  ================================
Function            Request
==================  ================================
list                GET /resource/presets
get_resource_slots  GET /config/resource-slots
==================  ================================
"""

from __future__ import annotations

from typing import Any

from ai.backend.client.functions.base import BaseFunction, M, Recipe, api_class_function, expect_object
from ai.backend.client.request import Request

__all__ = ["Resource"]


class Resource(BaseFunction[M]):
    """What sessions can be given."""

    @api_class_function
    def list(cls) -> Recipe[dict[str, Any]]:
        """The resource presets.

        Returns:
            ``{"presets": [{"name", "resource_slots", "shared_memory"}]}``.

        Idempotent. ``GET /resource/presets``.
        """
        response = yield Request("GET", "/resource/presets")
        return expect_object(response)

    @api_class_function
    def get_resource_slots(cls) -> Recipe[dict[str, str]]:
        """The kinds of resources that the cluster knows. Public.

        Returns:
            Slot → unit, for example ``{"cpu": "count", "mem": "bytes"}``.

        Idempotent. ``GET /config/resource-slots``.
        """
        response = yield Request("GET", "/config/resource-slots")
        return expect_object(response)
