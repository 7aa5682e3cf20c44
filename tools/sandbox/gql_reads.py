"""Root fields of GraphQL queries, all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ai.backend.client.sandbox import gql_people, gql_things, gql_work
from ai.backend.client.sandbox.gql_scope import Resolver

READS: Final[Mapping[str, Resolver]] = {**gql_people.READS, **gql_things.READS, **gql_work.READS}
"""Root field → resolver. What is not here is not implemented."""
