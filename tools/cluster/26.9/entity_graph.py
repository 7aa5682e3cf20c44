"""Put the rows that the fixtures wrote into the permission graph of manager 26.9.

Permissions (RBAC) look at nodes and edges that `mgr fixture populate` writes only in part, and every user
needs a personal project. The manager's own migrations contain both steps for databases that come from older
releases; this runs them on the fresh one. Usage: entity_graph.py HOST PORT
"""

import asyncio
import importlib.util
import pathlib
import sys

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import ai.backend.manager.models.alembic as alembic_package

VERSIONS = pathlib.Path(alembic_package.__file__).parent / "versions"

ROSTER = """
INSERT INTO entity_memberships (virtual_entity_id, member_entity_id, capped)
SELECT p.id, u.id, TRUE
FROM association_groups_users a
JOIN virtual_entities p ON p.entity_type = 'project' AND p.entity_id = a.group_id
JOIN virtual_entities u ON u.entity_type = 'user' AND u.entity_id = a.user_id
ON CONFLICT (virtual_entity_id, member_entity_id) DO NOTHING
"""


def migration(revision: str):
    path = next(VERSIONS.glob(f"{revision}_*.py"))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(conn) -> None:
    migration("c7a4f1e9b023").backfill(conn)
    graph = migration("dafe06a6c763").put_every_entity_in_the_graph
    graph(conn)
    conn.execute(sa.text(ROSTER))
    graph(conn)  # the rosters' caps and roles


async def main(host: str, port: str) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://postgres:develove@{host}:{port}/backend")
    async with engine.begin() as conn:
        await conn.run_sync(fill)
    await engine.dispose()


asyncio.run(main(*sys.argv[1:3]))
