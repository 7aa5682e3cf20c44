"""What there is to use, and what was used: presets, slots, usage, agents, scaling groups."""

from __future__ import annotations

import datetime
import json

from support.cluster import AGENT, DOMAIN, GROUP_ID
from support.runtimes.driver import done, failed, refused

DAY = datetime.datetime.now(datetime.UTC)


def test_the_life_of_a_resource_preset(driven, team, fresh):
    name = fresh("preset")
    with driven(None, team.anna) as (admin, anna):
        done(admin.Resource.create_preset(name, {"cpu": "2", "mem": "1g"}, shared_memory="64m"))
        failed(admin.Resource.create_preset(name, {"cpu": "2", "mem": "1g"}), "already exists")
        found = admin.Resource.get_preset(name)
        assert json.loads(found["resource_slots"]) == {"cpu": "2", "mem": str(2**30)}
        [preset] = [preset for preset in anna.Resource.list()["presets"] if preset["name"] == name]
        assert preset["shared_memory"] == str(64 * 2**20)
        done(admin.Resource.modify_preset(name, {"cpu": "100000", "mem": "1g"}))
        [checked] = [preset for preset in anna.Resource.check_presets()["presets"] if preset["name"] == name]
        assert checked["allocatable"] is False
        done(admin.Resource.delete_preset(name))
        assert admin.Resource.get_preset(name) is None
        failed(admin.Resource.delete_preset(name), "no matching")


def test_slots_and_limits(driven, team):
    with driven(team.anna) as anna:
        check = anna.Resource.check_presets(group=team.group, scaling_group="default")
        assert list(check["scaling_groups"]) == ["default"]
        assert check["keypair_limits"]["cpu"] == "Infinity"
        slots = anna.Resource.get_resource_slots()
        assert (slots["cpu"], slots["mem"]) == ("count", "bytes")
        assert anna.Resource.get_slot_details("default")["cpu"]["display_unit"] == "Core"
        assert set(anna.Resource.get_vfolder_types()) == {"user", "group"}


def test_usage(driven, team):
    month, today = f"{DAY:%Y%m}", f"{DAY:%Y%m%d}"
    yesterday = f"{DAY - datetime.timedelta(days=1):%Y%m%d}"
    with driven(None, team.anna) as (admin, anna):
        assert admin.Resource.recalculate_usage() == {}
        # The agent of this cluster takes no statistics, and sessions without any are left out.
        assert admin.Resource.usage_per_month(month, [GROUP_ID]) == []
        assert admin.Resource.usage_per_period(GROUP_ID, yesterday, today) == []
        assert admin.Resource.usage_per_period(None, yesterday, today) == []
        assert len(anna.Resource.user_monthly_stats()) == 2880
        assert len(admin.Resource.admin_monthly_stats()) == 2880
        assert "cr.backend.ai" in admin.Resource.get_docker_registries()
        for private in (
            anna.Resource.get_docker_registries,
            anna.Resource.recalculate_usage,
            anna.Resource.admin_monthly_stats,
        ):
            with refused(401, "auth-failed"):
                private()


def test_agents(driven, team):
    with driven(None, team.anna) as (admin, anna):
        assert [agent["id"] for agent in admin.Agent.list("ALIVE", "default")] == [AGENT]
        page = admin.Agent.list_with_limit(10, 0, "ALIVE")
        assert (page["total_count"], page["items"][0]["id"]) == (1, AGENT)
        assert admin.Agent.list_with_limit(10, 0, "LOST")["items"] == []
        page = admin.Agent.paginated_list(scaling_group="default", filter=f'id == "{AGENT}"', order="+id")
        assert (page.total_count, page.items[0]["status"]) == (1, "ALIVE")
        assert [agent["id"] for agent in admin.Agent.paginated_list.everything(page_size=1)] == [AGENT]
        found = admin.Agent.detail(AGENT)
        assert (found["status"], json.loads(found["available_slots"])["cpu"]) == ("ALIVE", "8")
        assert admin.Agent.detail("i-nobody") is None

        try:
            done(admin.Agent.update(AGENT, schedulable=False))
            assert admin.Agent.detail(AGENT, ["schedulable"]) == {"schedulable": False}
        finally:
            done(admin.Agent.update(AGENT, schedulable=True))
        assert admin.Agent.detail(AGENT, ["schedulable"]) == {"schedulable": True}

        page = anna.Agent.paginated_summaries()
        assert (page.total_count, page.items[0]["id"]) == (1, AGENT)
        with refused(400, "graphql-error") as caught:
            anna.Agent.summary(AGENT)
        assert "unexpected keyword argument 'scaling_group'" in caught.value.data["data"][0]["message"]
        with refused(400, "graphql-error"):
            anna.Agent.list()
        failed(anna.Agent.update(AGENT, schedulable=False), "no permission to execute")


def test_no_watcher_runs_beside_the_agent(driven, team):
    with driven(None, team.anna) as (admin, anna):
        watcher = admin.AgentWatcher
        for call in (watcher.get_status, watcher.agent_start, watcher.agent_stop, watcher.agent_restart):
            with refused(500, "internal-server-error"):
                call(AGENT)
        with refused(401, "auth-failed"):
            anna.AgentWatcher.get_status(AGENT)


def test_the_version_of_the_app_proxy(driven, team):
    with driven(team.anna) as anna:
        assert anna.ScalingGroup.get_wsproxy_version("default", team.group) == {"wsproxy_version": "v2"}


def test_the_life_of_a_scaling_group(driven, team, fresh):
    name = fresh("scaling-group")
    with driven(None, team.anna) as (admin, anna):
        done(admin.ScalingGroup.create(name, "of fast ones", driver="static", scheduler="fifo"))
        failed(admin.ScalingGroup.create(name, driver="static", scheduler="fifo"), "already exists")
        done(admin.ScalingGroup.update(name, description="of slow ones", scheduler_opts={"pending_timeout": 60}))
        found = admin.ScalingGroup.detail(name)
        assert (found["description"], found["is_active"], found["driver"]) == ("of slow ones", True, "static")
        assert json.loads(found["scheduler_opts"])["pending_timeout"] == 60
        assert name in [group["name"] for group in admin.ScalingGroup.list()]

        def available() -> list[str]:
            return [group["name"] for group in anna.ScalingGroup.list_available(team.group)["scaling_groups"]]

        groups, key = admin.ScalingGroup, team.anna.access_key
        for associate, dissociate, listed, owner in (
            (groups.associate_domain, groups.dissociate_domain, groups.list_for_domain, DOMAIN),
            (groups.associate_group, groups.dissociate_group, groups.list_for_group, team.group_id),
            (groups.associate_keypair, groups.dissociate_keypair, groups.list_for_keypair, key),
        ):
            assert name not in available()
            done(associate(name, owner))
            assert name in available()
            assert name in [group["name"] for group in listed(owner, fields=["name"])]
            done(dissociate(name, owner))
        done(groups.associate_group(name, team.group_id))
        done(groups.dissociate_all_group(team.group_id))
        assert name not in available()
        domain = fresh("domain")
        done(admin.Domain.create(domain))
        done(admin.ScalingGroup.associate_domain(name, domain))
        assert admin.Domain.detail(domain, ["scaling_groups"]) == {"scaling_groups": [name]}
        done(admin.ScalingGroup.dissociate_all_domain(domain))
        assert admin.Domain.detail(domain, ["scaling_groups"]) == {"scaling_groups": []}
        done(admin.Domain.purge(domain))
        with refused(400, "graphql-error"):
            anna.ScalingGroup.list()

        done(admin.ScalingGroup.delete(name))
        assert admin.ScalingGroup.detail(name) is None
        failed(admin.ScalingGroup.delete(name), "no matching")
