"""Who the caller is, and the caller's own account."""

from __future__ import annotations

import os

import pytest

from support.cluster import DOMAIN
from support.runtimes.driver import done, driving, refused

WEB = ("BACKEND_SESSION_ENDPOINT", "BACKEND_SESSION_USER", "BACKEND_SESSION_PASSWORD")


def test_every_role_is_told_as_it_is(driven, team):
    with driven(None, team.chief, team.anna) as (admin, chief, anna):
        for caller, role, domain_role in (
            (admin, "superadmin", "admin"),
            (chief, "user", "admin"),
            (anna, "user", "user"),
        ):
            assert caller.Auth.echo("anybody there?") == {"authorized": "yes", "echo": "anybody there?"}
            roles = caller.Auth.get_role()
            assert (roles["global_role"], roles["domain_role"]) == (role, domain_role)
        assert anna.Auth.get_role(team.group_id)["group_role"] == "user"
        with refused(404, "object-not-found"):
            anna.Auth.get_role("00000000-0000-4000-8000-00000000dead")


def test_an_account_of_ones_own(driven, team, fresh, runtime, live_config):
    name = fresh("guest")
    email = f"{name}@{DOMAIN}.example"
    with driven(None) as admin:
        made = admin.Auth.signup(email, "pass-word-1", username=name, full_name="A Guest", description="just looking")
        try:
            with refused(400, "generic-bad-request"):
                admin.Auth.signup(email, "pass-word-1", username=name)
            config = live_config(access_key=made["access_key"], secret_key=made["secret_key"])
            with driving(runtime, config) as guest:
                with refused(
                    401, "auth-failed", msg="Unauthorized access"
                ):  # 23.09 forgets to make the key the main one
                    guest.Auth.echo()
                done(admin.User.update(email, main_access_key=made["access_key"]))
                assert guest.User.detail(fields=["email", "full_name"]) == {"email": email, "full_name": "A Guest"}
                assert guest.Auth.update_full_name(email, "Another Guest") == {}
                assert guest.User.detail(fields=["full_name"]) == {"full_name": "Another Guest"}

                with refused(401, "auth-failed"):
                    guest.Auth.update_password("not-the-password", "pass-word-2", "pass-word-2")
                with refused(400, "", error_msg="new password mismatch"):
                    guest.Auth.update_password("pass-word-1", "pass-word-2", "pass-word-3")
                assert guest.Auth.update_password("pass-word-1", "pass-word-2", "pass-word-2") == {}
                with refused(401, "auth-failed"):
                    guest.User.authorize(email, "pass-word-1")
                assert guest.User.authorize(email, "pass-word-2").content["access_key"] == made["access_key"]
                with refused(400, "generic-bad-request", msg="Unsupported function."):  # passwords do not expire here
                    guest.Auth.update_password_no_auth(DOMAIN, email, "pass-word-2", "pass-word-4")

                with refused(403, "generic-forbidden"):
                    guest.Auth.signout(team.anna.email, "pass-word-2")
                assert guest.Auth.signout(email, "pass-word-2") == {}
                with refused(401, "auth-failed"):
                    guest.Auth.echo()
            assert admin.User.detail(email, ["status"]) == {"status": "inactive"}
        finally:
            done(admin.User.purge(email))


def test_the_ssh_key_of_a_key_pair(driven, team):
    with driven(team.bob) as bob:
        made = bob.Auth.generate_ssh_keypair()
        assert made["ssh_public_key"].startswith("ssh-rsa ")
        assert bob.Auth.get_ssh_keypair() == {"ssh_public_key": made["ssh_public_key"]}
        again = bob.Auth.generate_ssh_keypair()
        assert again["ssh_public_key"] != made["ssh_public_key"]
        assert bob.Auth.upload_ssh_keypair(made["ssh_public_key"], made["ssh_private_key"])["ssh_public_key"]
        assert bob.Auth.get_ssh_keypair()["ssh_public_key"].strip() == made["ssh_public_key"].strip()


@pytest.mark.skipif(not all(map(os.environ.get, WEB)), reason="no web server: BACKEND_SESSION_* not set")
def test_a_web_session(driven, team, runtime, live_config):
    config = live_config(endpoint=os.environ["BACKEND_SESSION_ENDPOINT"], endpoint_type="session")
    with driving(runtime, config) as web:
        assert web.Auth.login_check()["authenticated"] is False
        answer = web.Auth.update_password_no_auth_in_session(team.anna.email, team.anna.password, "pass-word-2")
        assert answer["data"]["type"].endswith("/probs/generic-bad-request")  # passwords do not expire here
        answer = web.Auth.token_login("no-such-token")
        assert answer["authenticated"] is False
        assert web.Auth.login(team.anna.email, team.anna.password)["authenticated"] is True
        assert web.Auth.login_check()["authenticated"] is True
        with refused(400, "generic-bad-request"):
            web.Auth.login(team.anna.email, team.anna.password)
        assert web.User.detail(fields=["email"]) == {"email": team.anna.email}
        web.Auth.logout()
        assert web.Auth.login_check()["authenticated"] is False
