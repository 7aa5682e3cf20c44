"""Resource policies of key pairs, users and projects; hosts, their permissions and quotas."""

from __future__ import annotations

import json

import pytest

from support.cluster import HOST, delete_folder
from support.runtimes.driver import done, failed, refused


def test_the_life_of_a_policy_of_key_pairs(driven, team, fresh):
    name = fresh("policy")
    with driven(None, team.anna) as (admin, anna):
        policies = admin.KeypairResourcePolicy
        done(
            policies.create(
                name, "LIMITED", {"cpu": 2}, 3, 1, idle_timeout=60, vfolder_host_perms={HOST: ["mount-in-session"]}
            )
        )
        failed(policies.create(name, "LIMITED", {"cpu": 2}, 3, 1, idle_timeout=60), "already exists")
        info = policies("").info
        fields = ["max_concurrent_sessions", "idle_timeout", "total_resource_slots", "allowed_vfolder_hosts"]
        found = info(name, fields)
        assert (found["max_concurrent_sessions"], found["idle_timeout"]) == (3, 60)
        assert json.loads(found["total_resource_slots"]) == {"cpu": "2"}
        done(policies.update(name, max_concurrent_sessions=4))
        assert info(name, fields) == {**found, "max_concurrent_sessions": 4}
        assert name in [policy["name"] for policy in policies.list()]
        assert [policy["name"] for policy in anna.KeypairResourcePolicy.list()] == ["default"]  # her own
        done(policies.delete(name))
        assert info(name) is None
        failed(policies.delete(name), "no matching")


@pytest.mark.parametrize("kind", ["UserResourcePolicy", "ProjectResourcePolicy"])
def test_the_life_of_another_policy(driven, team, fresh, kind):
    name = fresh("policy")
    with driven(None, team.anna) as (admin, anna):
        policies = getattr(admin, kind)
        done(policies.create(name))
        found = policies.detail(name)
        assert (found["name"], found["max_quota_scope_size"]) == (name, -1)
        assert name in [policy["name"] for policy in policies.list(["name"])]
        done(policies.update(name, max_quota_scope_size=2**30))
        assert policies.detail(name)["max_quota_scope_size"] == 2**30
        done(policies.delete(name))
        assert policies.detail(name) is None
        for caller in (admin, anna):
            assert getattr(caller, kind).detail("default", ["name"]) == {"name": "default"}


def test_volumes_and_quotas(driven, team):
    scope = f"user:{team.anna.uuid}"
    with driven(None, team.chief, team.anna) as (admin, chief, anna):
        page = admin.Storage.paginated_list()
        assert page.items == [{"id": HOST, "backend": "vfs", "capabilities": ["vfolder"]}]
        assert admin.Storage.detail(HOST)["path"].endswith("/volume1")
        with refused(400, "graphql-error"):
            anna.Storage.paginated_list()
        assert "mount-in-session" in anna.Permission.list()["vfolder_host_permission_list"]

        anna.VFolder.create("quota-test")
        try:
            assert anna.QuotaScope.detail(HOST, scope)["details"]["hard_limit_bytes"] is None
            # The volume takes limits, and keeps none.
            assert admin.QuotaScope.set(HOST, scope, 2**20)["details"]["hard_limit_bytes"] is None
            assert admin.QuotaScope.unset(HOST, scope)["quota_scope_id"] == scope
            with refused(400, "graphql-error") as caught:  # 23.09 fails on finding out whether a domain admin may
                chief.QuotaScope.set(HOST, scope, 2**20)
            assert "greenlet_spawn has not been called" in caught.value.data["data"][0]["message"]
        finally:
            delete_folder(anna, "quota-test")
