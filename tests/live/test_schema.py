"""The saved GraphQL schemas, which documents are validated against, are those of the real managers."""

from __future__ import annotations

from ai.backend.client.session import Session
from support.golden import schema


def test_the_saved_schema_is_that_of_the_manager(live_config, update_golden) -> None:
    with Session(config=live_config()) as session:
        manager = session.Kernel.hello()["manager"]
        assert manager in schema.MANAGERS
        found = schema.fetch_schema(session)
    path = schema.path_of(manager)
    if update_golden:
        path.write_text(found, "utf-8")
    assert path.read_text("utf-8") == found, "run tools/refresh-schema"
