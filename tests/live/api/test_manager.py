"""The manager itself: state, announcement, scheduling."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from support.runtimes.driver import refused
from support.waiting import until

AGENT = 'query { agent(agent_id: "%s") { schedulable } }'


@contextlib.contextmanager
def frozen(admin: Any) -> Iterator[None]:
    """The manager does not stay frozen, whatever happens."""
    try:
        admin.Manager.freeze()
        until(lambda: admin.Manager.status()["status"] == "frozen", "the manager is frozen")
        yield
    finally:
        admin.Manager.unfreeze()
        until(lambda: admin.Manager.status()["status"] == "running", "the manager takes changes again")


def test_a_frozen_manager_can_be_read_but_takes_no_changes(driven, team):
    with driven(None, team.anna) as (admin, anna):
        for change in (anna.Manager.freeze, anna.Manager.unfreeze):
            with refused(401, "auth-failed"):
                change()
        with frozen(admin):
            with refused(503, "server-frozen", title="The server is frozen due to maintenance."):
                anna.Kernel.get_or_create("python", client_token="refused-by-frozen-server")
            assert anna.Resource.list()["presets"]


def test_an_announcement_is_for_everybody_to_read(driven, team):
    with driven(None, team.anna) as (admin, anna):
        before = admin.Manager.get_announcement()
        try:
            with refused(401, "auth-failed"):
                anna.Manager.update_announcement(message="not mine to say")
            admin.Manager.update_announcement(message="Down on Sunday.")
            assert anna.Manager.get_announcement() == {"enabled": True, "message": "Down on Sunday."}
            admin.Manager.update_announcement(enabled=False)
            assert anna.Manager.get_announcement() == {"enabled": False, "message": ""}
        finally:
            if before["enabled"]:
                admin.Manager.update_announcement(message=before["message"])


def test_an_agent_is_taken_out_of_scheduling_and_back(driven, team):
    with driven(None, team.chief) as (admin, chief):
        [agent] = admin.Admin.query("{ agents { id } }")["agents"]

        def schedulable() -> bool:
            return bool(admin.Admin.query(AGENT % agent["id"])["agent"]["schedulable"])

        with refused(401, "auth-failed"):
            chief.Manager.scheduler_op("exclude-agents", [agent["id"]])
        try:
            admin.Manager.scheduler_op("exclude-agents", [agent["id"]])
            assert not schedulable()
        finally:
            admin.Manager.scheduler_op("include-agents", [agent["id"]])
        assert schedulable()
        with refused(404, "object-not-found", title="No such agent instance."):
            admin.Manager.scheduler_op("include-agents", ["i-nobody"])


def test_the_scheduler_can_be_woken(driven, team):
    with driven(None, team.chief) as (admin, chief):
        for event in ("schedule", "prepare", "scale_services"):
            admin.Manager.scheduler_trigger(event)
        until(lambda: admin.Manager.scheduler_status()["schedule"], "the scheduler has run")
        assert admin.Manager.scheduler_status()["schedule"]["trigger_event"] == "do_schedule"
        with refused(401, "auth-failed"):
            chief.Manager.scheduler_trigger("schedule")
        with refused(401, "auth-failed"):
            chief.Manager.scheduler_status()


def test_raw_graphql_takes_variables_and_tells_errors(driven):
    with driven() as admin:
        answer = admin.Admin.query("query($email: String) { user(email: $email) { role } }", {"email": None})
        assert answer == {"user": {"role": "superadmin"}}
        with refused(400, "graphql-error", title="GraphQL-generated error") as caught:
            admin.Admin.query("{ user { no_such_field } }")
        assert "no_such_field" in caught.value.data["data"][0]["message"]
