"""Routes that managers have and the sandbox has not: each answers 501, and docs/sandbox.md lists it."""

from __future__ import annotations

from typing import Final

from ai.backend.client.sandbox.core.state import Sandbox
from ai.backend.client.sandbox.core.web import Routes, missing

IMPORT: Final = "importing images"
GAPS: Final = {
    IMPORT: ("GET /image/import", "POST /image/import"),
    "model services": (
        "GET /services",
        "POST /services",
        "POST /services/_/try",
        "GET /services/{id}",
        "DELETE /services/{id}",
        "GET /services/{id}/errors",
        "POST /services/{id}/errors/clear",
        "POST /services/{id}/scale",
        "POST /services/{id}/sync",
        "POST /services/{id}/token",
        "PUT /services/{id}/routings/{route}",
        "DELETE /services/{id}/routings/{route}",
    ),
}
"""What it is → routes."""


def routes(sandbox: Sandbox) -> Routes:
    """The routes; 19.09 has but the first."""
    table = Routes()
    for what, paths in GAPS.items():
        if sandbox.v9 and what == IMPORT:
            continue  # gone since 24.03
        table.add(*paths)(missing(what))
        if sandbox.v4:
            break
    return table
