"""The saved GraphQL schema, which documents are validated against, is the one of the real manager."""

from __future__ import annotations

from ai.backend.client.session import Session
from support.golden import schema


def test_the_saved_schema_is_that_of_the_manager(live_config, update_golden) -> None:
    with Session(config=live_config()) as session:
        assert session.Kernel.hello()["manager"] == schema.MANAGER
        found = schema.fetch_schema(session)
    if update_golden:
        schema.PATH.write_text(found, "utf-8")
    assert schema.PATH.read_text("utf-8") == found, "run tools/refresh-schema"
