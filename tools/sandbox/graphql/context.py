"""What the resolvers of a GraphQL request share."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session as Database

from ai.backend.client.sandbox.core.access import Identity
from ai.backend.client.sandbox.core.state import Sandbox


@dataclass
class Context:
    """What resolvers get."""

    sandbox: Sandbox
    caller: Identity
    database: Database
