"""Root fields of GraphQL queries, all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ai.backend.client.sandbox.graphql import people, things, work
from ai.backend.client.sandbox.graphql.scope import Resolver

READS: Final[Mapping[str, Resolver]] = {**people.READS, **things.READS, **work.READS}
"""Root field → resolver. What is not here is not implemented."""
