"""Compute sessions that serve models, under the vendor's name for them (23.09).

They are compute sessions in all respects, and the functions of
:class:`~ai.backend.client.functions.compute.kernel.Kernel` work on them. Only the list is narrower.
"""

from __future__ import annotations

import uuid
from typing import Any

from ai.backend.client.functions.base import M, Recipe
from ai.backend.client.functions.compute import records
from ai.backend.client.functions.compute.identity import SessionIdentity
from ai.backend.client.functions.compute.kernel import Kernel
from ai.backend.client.functions.toolkit.fields import Fields
from ai.backend.client.functions.toolkit.generations import V6_FILTER
from ai.backend.client.functions.toolkit.inputs import optional, text
from ai.backend.client.functions.toolkit.pages import PaginatedResult, api_page_function

__all__ = ["InferenceSession"]


def paginated_list(
    cls: type[SessionIdentity[Any]],
    status: str | None = None,
    access_key: str | None = None,
    *,
    fields: Fields | None = None,
    page_offset: int = 0,
    page_size: int = 20,
    filter: str | None = None,
    order: str | None = None,
    domain_name: str | None = None,
    group_id: str | uuid.UUID | None = None,
) -> Recipe[PaginatedResult]:
    """One page of the inference sessions that the caller may see.

    Args:
        cls: The proxy class; bound.
        status: As for the list of all sessions, and so are the others.
        access_key: See there.
        fields: See there.
        page_offset: See there.
        page_size: See there.
        filter: Further condition.
        order: See there.
        domain_name: See there.
        group_id: See there.

    Returns:
        ``total_count``, ``items`` and ``fields``.

    Raises:
        InvalidArgument: A value is unusable.
        BackendAPIVersionError: The server is older than v6.20210815.

    Idempotent. GraphQL ``compute_session_list`` with filter ``type == "INFERENCE"``.
    """
    cls.server.generation.require("a list of inference sessions", since=V6_FILTER)
    condition = '(type == "INFERENCE")'
    if optional(text, "filter", filter) is not None:
        condition = f"({filter}) & {condition}"
    return (
        yield from records.paginated_list(
            cls,
            status,
            access_key,
            fields=fields,
            page_offset=page_offset,
            page_size=page_size,
            filter=condition,
            order=order,
            domain_name=domain_name,
            group_id=group_id,
        )
    )


class InferenceSession(Kernel[M]):
    """A compute session of type ``inference``. Not an attribute of sessions: ``session.bind(InferenceSession)``."""

    paginated_list = api_page_function(paginated_list)
