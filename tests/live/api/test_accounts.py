"""Domains, groups, users and key pairs: made, read back, changed, and gone, by who may and by who may not."""

from __future__ import annotations

import json

from support.cluster import DOMAIN, GROUP_ID
from support.runtimes.driver import done, driving, failed, refused

FORBIDDEN = "no permission to execute"


def test_the_life_of_a_domain(driven, team, fresh):
    name = fresh("domain")
    with driven(None, team.chief, team.anna) as (admin, chief, anna):
        made = done(
            admin.Domain.create(name, "of science", total_resource_slots={"cpu": 4}, fields=["name", "is_active"])
        )
        assert made["domain"] == {"name": name, "is_active": True}
        failed(admin.Domain.create(name), "already exists")
        found = admin.Domain.detail(name)
        assert (found["description"], json.loads(found["total_resource_slots"])) == ("of science", {"cpu": "4"})

        done(admin.Domain.update(name, description="of arts", allowed_docker_registries=["cr.backend.ai"]))
        found = admin.Domain.detail(name)
        assert (found["description"], found["allowed_docker_registries"]) == ("of arts", ["cr.backend.ai"])
        assert json.loads(found["total_resource_slots"]) == {"cpu": "4"}  # not given, so left as it was
        hosts = {"local:volume1": ["mount-in-session"]}
        done(admin.Domain.update(name, allowed_vfolder_hosts=hosts))
        assert json.loads(admin.Domain.detail(name, ["allowed_vfolder_hosts"])["allowed_vfolder_hosts"]) == hosts
        assert name in [domain["name"] for domain in admin.Domain.list()]

        for caller in (chief, anna):
            assert caller.Domain.detail(DOMAIN, ["name"]) == {"name": DOMAIN}
            with refused(400, "graphql-error"):
                caller.Domain.list()

        later = fresh("domain")
        done(admin.Domain.update(name, new_name=later))
        assert admin.Domain.detail(name) is None
        done(admin.Domain.delete(later))
        assert admin.Domain.detail(later, ["is_active"]) == {"is_active": False}
        done(admin.Domain.purge(later))
        assert admin.Domain.detail(later) is None
        failed(admin.Domain.purge(later), "no matching")


def test_the_life_of_a_group(driven, team, fresh):
    name = fresh("group")
    with driven(None, team.chief, team.anna) as (admin, chief, anna):
        failed(anna.Group.create(DOMAIN, name), FORBIDDEN)
        made = done(chief.Group.create(DOMAIN, name, "of readers", total_resource_slots={"cpu": 2}))
        gid = made["group"]["id"]
        failed(chief.Group.create(DOMAIN, name), "already exists")
        found = chief.Group.detail(gid)
        assert (found["name"], found["description"], found["domain_name"]) == (name, "of readers", DOMAIN)
        assert [group["id"] for group in chief.Group.from_name(name, domain_name=DOMAIN)] == [gid]

        later = fresh("group")
        done(chief.Group.update(gid, name=later, description="of writers"))
        found = chief.Group.detail(gid)
        assert (found["name"], found["description"]) == (later, "of writers")
        assert json.loads(found["total_resource_slots"]) == {"cpu": "2"}

        done(admin.Group.add_users(gid, [team.anna.uuid]))
        assert gid in [group["id"] for group in anna.Group.list(DOMAIN)]
        done(admin.Group.remove_users(gid, [team.anna.uuid]))
        assert gid not in [group["id"] for group in anna.Group.list(DOMAIN)]
        assert gid in [group["id"] for group in chief.Group.list(DOMAIN)]

        done(chief.Group.delete(gid))
        assert chief.Group.detail(gid, ["is_active"]) == {"is_active": False}
        done(chief.Group.purge(gid))
        assert admin.Group.detail(gid) is None


def test_a_domain_admin_rules_one_domain_only(driven, team, fresh):
    name = fresh("domain")
    with driven(None, team.chief) as (admin, chief):
        done(admin.Domain.create(name))
        gid = done(admin.Group.create(name, fresh("group")))["group"]["id"]
        failed(chief.Group.create(name, fresh("group")), FORBIDDEN)
        failed(chief.Group.update(gid, description="mine"), FORBIDDEN)
        failed(chief.Group.purge(gid), FORBIDDEN)
        with refused(400, "graphql-error"):
            chief.Group.list(name)
        done(admin.Group.purge(gid))
        done(admin.Domain.purge(name))


def test_the_life_of_a_user(driven, team, fresh):
    name = fresh("user")
    email = f"{name}@{DOMAIN}.example"
    with driven(None, team.chief, team.anna) as (admin, chief, anna):
        made = done(
            admin.User.create(DOMAIN, email, "pass-word-1", username=name, full_name="A New One", group_ids=[GROUP_ID])
        )
        assert made["user"] == {"domain_name": DOMAIN, "email": email, "username": name}
        failed(admin.User.create(DOMAIN, email, "pass-word-1", username=name), "already exists")
        fields = ["uuid", "full_name", "role", "status", "groups { id }"]
        found = admin.User.detail(email, fields)
        assert (found["full_name"], found["role"], found["status"]) == ("A New One", "user", "active")
        assert found["groups"] == [{"id": GROUP_ID}]
        assert admin.User.detail_by_uuid(found["uuid"], ["email"]) == {"email": email}

        done(admin.User.update(email, full_name="Another Name", group_ids=[GROUP_ID, team.group_id]))
        found = admin.User.detail(email, fields)
        assert (found["full_name"], found["status"]) == ("Another Name", "active")
        assert {group["id"] for group in found["groups"]} == {GROUP_ID, team.group_id}
        assert email in [user["email"] for user in chief.User.list()]
        assert email in [user["email"] for user in admin.User.list(status="active", group=team.group_id)]
        page = admin.User.paginated_list(filter=f'email == "{email}"', fields=["email"])
        assert (page.total_count, page.items) == (1, [{"email": email}])
        team_emails = {user["email"] for user in admin.User.paginated_list.everything(group=team.group_id, page_size=2)}
        assert {email, team.anna.email, team.bob.email} <= team_emails

        assert anna.User.detail(fields=["email"]) == {"email": team.anna.email}
        assert anna.User.detail_by_uuid(fields=["email"]) == {"email": team.anna.email}

        done(admin.User.delete(email))
        assert admin.User.detail(email, ["status"]) == {"status": "deleted"}
        with refused(401, "auth-failed"):
            anna.User.authorize(email, "pass-word-1")
        done(admin.User.purge(email))
        assert admin.User.detail(email) is None


def test_the_manager_takes_most_mutations_from_anybody(driven, team, fresh):
    """A flaw of 23.09: it compares the operation with a text that it never equals, and so never looks at the role."""
    name = fresh("domain")
    with driven(team.anna) as anna:
        done(anna.Domain.create(name))
        done(anna.Domain.purge(name))
        failed(anna.Group.create(DOMAIN, name), FORBIDDEN)  # those of groups look for themselves


def test_a_password_becomes_a_key_pair(driven, team, runtime):
    with driven(team.anna) as anna:
        token = anna.User.authorize(team.anna.email, team.anna.password)
        assert token.content["access_key"] == team.anna.access_key
        assert token.content["secret_key"] == team.anna.secret_key
        assert token.content["role"] == "user"
        with refused(401, "auth-failed", title="Credential/signature mismatch."):
            anna.User.authorize(team.anna.email, "wrong-password")


def test_the_life_of_a_key_pair(driven, team):
    bob = team.bob
    with driven(None, bob) as (admin, his):
        made = done(admin.KeyPair.create(bob.email, resource_policy="tiny", rate_limit=1234))
        access_key = made["keypair"]["access_key"]
        fields = ["access_key", "is_active", "is_admin", "resource_policy", "rate_limit"]
        pair = {"access_key": access_key, "is_active": True, "is_admin": False, "resource_policy": "tiny"}

        def found() -> object:
            return next(
                (row for row in admin.KeyPair.list(bob.email, fields=fields) if row["access_key"] == access_key), None
            )

        assert found() == {**pair, "rate_limit": 1234}
        done(admin.KeyPair.update(access_key, rate_limit=2345))
        assert found() == {**pair, "rate_limit": 2345}
        done(admin.KeyPair.deactivate(access_key))
        assert found() == {**pair, "rate_limit": 2345, "is_active": False}
        done(admin.KeyPair.activate(access_key))
        assert found() == {**pair, "rate_limit": 2345}
        page = admin.KeyPair.paginated_list(user_id=bob.email, fields=["access_key"])
        assert {row["access_key"] for row in page.items} == {access_key, bob.access_key}
        assert len(admin.KeyPair.paginated_list.everything(user_id=bob.email, page_size=1)) == 2
        assert his.KeyPair(bob.access_key).info(["access_key", "is_admin"]) == {
            "access_key": bob.access_key,
            "is_admin": False,
        }

        failed(admin.KeyPair.delete(bob.access_key), "used as main access key")
        done(admin.KeyPair.delete(access_key))
        assert found() is None


def test_only_the_main_key_of_a_user_signs(driven, team, runtime, live_config):
    with driven() as admin:
        pair = done(admin.KeyPair.create(team.bob.email, resource_policy="default", rate_limit=1000))["keypair"]
        with driving(runtime, live_config(**{key: pair[key] for key in ("access_key", "secret_key")})) as second:
            with refused(401, "auth-failed"):
                second.Manager.update_announcement(enabled=False)
            with refused(401, "auth-failed", title="Credential/signature mismatch.", msg="Unauthorized access"):
                second.VFolder.list()
        done(admin.KeyPair.delete(pair["access_key"]))
