"""Error answers of the real manager arrive as documented errors: status, type, title, and what is in the data."""

from __future__ import annotations

import pytest

from support.cluster import IMAGE, delete_folder
from support.runtimes.driver import done, driving, refused

LATER = {"type": "batch", "startup_command": "true", "starts_at": "1h", "enqueue_only": True}
"""A session that does not start during the test."""


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"access_key": "AKIAUNKNOWN000000000"}, "Access key not found"),
        ({"secret_key": "not-the-secret"}, "Signature mismatch"),
        ({"access_key": ""}, "Unauthorized access"),  # anonymous
    ],
)
def test_401_for_who_cannot_be_told(runtime, team, wrong, reason):
    mismatch = refused(401, "auth-failed", title="Credential/signature mismatch.", msg=reason)
    with driving(runtime, team.anna.config(**wrong)) as caller, mismatch as caught:
        caller.VFolder.list()
    assert (caught.value.reason, caught.value.attempts, caught.value.path) == ("Unauthorized", 1, "/folders")
    assert team.anna.secret_key not in str(caught.value)


def test_403_for_what_is_not_the_callers(driven, team, fresh):
    forbidden = refused(403, "generic-forbidden", title="Forbidden operation.", msg="no permission")
    with driven(team.anna) as anna, forbidden:
        anna.VFolder.create(fresh("folder"), group=team.group)


def test_404_for_what_is_not_there(driven, team, fresh):
    name = fresh("nothing")
    with driven(team.anna) as anna:
        with refused(404, "object-not-found", title="No such virtual folder.", data=name):
            anna.VFolder(name).info()
        with refused(404, "object-not-found", title="No such session.", msg=name):
            anna.Kernel(name).get_info()
        with refused(404, "object-not-found", title="No such environment image.", msg="no-such-image"):
            anna.Kernel.get_or_create("no-such-image", client_token=name)


def test_400_for_what_is_there_already(driven, team, tokens, fresh):
    name = fresh("folder")
    with driven(team.anna) as anna:
        anna.VFolder.create(name)
        try:
            with refused(400, "vfolder-already-exists", title="already exists with the same name", data=name):
                anna.VFolder.create(name)
        finally:
            delete_folder(anna, name)
        token = tokens()
        kernel = anna.Kernel.get_or_create(IMAGE, client_token=token, **LATER)
        with refused(400, "session-already-exists", title="The session already exists") as caught:
            anna.Kernel.get_or_create(IMAGE, client_token=token, no_reuse=True, **LATER)
        assert caught.value.data["data"] == {"existingSessionId": str(kernel.id)}
        again = anna.Kernel.get_or_create(IMAGE, client_token=token, **LATER)
        assert (again.id, again.created) == (kernel.id, False)
        kernel.destroy()


def test_412_and_400_for_more_than_the_policy_allows(driven, team, tokens, fresh):
    owner = team.hire("user")
    policy = fresh("policy")
    with driven(None, owner) as (admin, caller):
        hosts = {"local:volume1": ["create-vfolder", "delete-vfolder"]}
        limits = {"max_vfolder_count": 1, "allowed_vfolder_hosts": hosts, "idle_timeout": 3600}
        done(admin.KeypairResourcePolicy.create(policy, "UNLIMITED", {}, 1, 2, **limits))
        done(admin.KeyPair.update(owner.access_key, resource_policy=policy))
        title = "You have reached your resource limit."
        with refused(412, "quota-exceeded", title=title, msg="more than 2 containers"):
            caller.Kernel.get_or_create(IMAGE, client_token=tokens(), cluster_size=3, **LATER)
        first, second = fresh("folder"), fresh("folder")
        caller.VFolder.create(first)
        with refused(400, "invalid-api-params", msg="You cannot create more vfolders."):
            caller.VFolder.create(second)
        team.dismiss(owner)
        done(admin.KeypairResourcePolicy.delete(policy))


def test_429_for_more_requests_than_the_key_pair_may_make(driven, runtime, team):
    owner = team.hire("user")
    with driven() as admin, driving(runtime, owner.config(retries=0)) as caller:
        assert caller.Auth.echo()["authorized"] == "yes"
        done(admin.KeyPair.update(owner.access_key, rate_limit=1))
        title = "You have reached your API query rate limit."
        with refused(429, "rate-limit-exceeded", title=title):
            caller.Auth.echo()
        done(admin.KeyPair.update(owner.access_key, rate_limit=1000))
        assert caller.Auth.echo()["authorized"] == "yes"
    team.dismiss(owner)


def test_500_for_what_the_manager_cannot_do(driven):
    with driven() as admin, refused(500, "internal-server-error", title="Internal server error.") as caught:
        admin.AgentWatcher.get_status("i-cluster-agent")
    assert caught.value.reason == "Internal Server Error"
