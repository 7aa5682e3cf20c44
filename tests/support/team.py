"""People for the tests on a real cluster: made through raw GraphQL, so that they do not lean on what is tested."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import Session
from support.cluster import DOMAIN, GROUP_ID

FOLDER_LIMIT = 10.0
"""Seconds within which the storage proxy has deleted somebody's few folders."""

CREATE_USER = "mutation($email: String!, $props: UserInput!) { create_user(email: $email, props: $props) { ok msg } }"
PURGE_USER = "mutation($email: String!) { purge_user(email: $email, props: {}) { ok msg } }"
DELETE_USER = "mutation($email: String!) { delete_user(email: $email) { ok msg } }"
USER = "query($email: String!) { user(email: $email) { uuid main_access_key } }"
SESSIONS = """query($key: String!) {
    compute_session_list(limit: 100, offset: 0, access_key: $key, status: "PENDING,PREPARING,RUNNING") {
        items { name }
    }
}"""
KEYPAIR = "query($key: String!) { keypair(access_key: $key) { access_key secret_key } }"
CREATE_GROUP = """mutation($name: String!, $domain: String!) {
    create_group(name: $name, props: {domain_name: $domain}) { ok msg group { id } }
}"""
PURGE_GROUP = "mutation($gid: UUID!) { purge_group(gid: $gid) { ok msg } }"


@dataclass(frozen=True)
class Member:
    """Somebody with an account.

    Attributes:
        email: Their e-mail address.
        uuid: Their UUID.
        password: Their password, when the account was made.
        access_key: Their main access key.
        secret_key: The secret that belongs to it.
    """

    email: str
    uuid: str
    password: str = field(repr=False)
    access_key: str
    secret_key: str = field(repr=False)

    def config(self, **options: Any) -> APIConfig:
        """A configuration that signs with their key."""
        return APIConfig(**{"access_key": self.access_key, "secret_key": self.secret_key, **options})


@dataclass(frozen=True)
class Team:
    """A group of the domain `default`, and its members.

    Attributes:
        group: Name of the group.
        group_id: Its UUID.
        chief: A domain admin.
        anna: A user.
        bob: Another one.
        hire: Makes another account, by role; it lives as long as the team at most.
        dismiss: Removes such an account earlier.
    """

    group: str
    group_id: str
    chief: Member
    anna: Member
    bob: Member
    hire: Callable[[str], Member]
    dismiss: Callable[[Member], None]


@contextlib.contextmanager
def founded(config: APIConfig) -> Iterator[Team]:
    """A team, disbanded at the end.

    Args:
        config: Configuration of a superadmin.
    """
    hired: list[Member] = []
    # Not `with session`: that would make it the current session of every test of the run.
    with contextlib.closing(Session(config=config)) as session:
        name = f"team-{secrets.token_hex(4)}"
        answer = mutate(session, CREATE_GROUP, name=name, domain=DOMAIN)
        group_id = answer["group"]["id"]

        def hire(role: str) -> Member:
            hired.append(_hire(session, role, [GROUP_ID, group_id]))
            return hired[-1]

        def dismiss(member: Member) -> None:
            hired.remove(member)
            _dismiss(session, member)

        try:
            yield Team(name, group_id, hire("admin"), hire("user"), hire("user"), hire, dismiss)
        finally:
            for member in hired:
                _dismiss(session, member)
            session.Admin.query(PURGE_GROUP, {"gid": group_id})


def mutate(session: Session, document: str, **variables: Any) -> dict[str, Any]:
    """Send a mutation that must succeed; the value of its root field."""
    [answer] = session.Admin.query(document, variables).values()
    assert answer["ok"], answer
    found: dict[str, Any] = answer
    return found


def _hire(session: Session, role: str, group_ids: list[str]) -> Member:
    name, password = f"{role}-{secrets.token_hex(4)}", secrets.token_hex(8)
    email = f"{name}@{DOMAIN}.example"
    props = {
        "username": name,
        "password": password,
        "need_password_change": False,
        "domain_name": DOMAIN,
        "role": role,
        "group_ids": group_ids,
    }
    mutate(session, CREATE_USER, email=email, props=props)
    user = session.Admin.query(USER, {"email": email})["user"]
    keypair = session.Admin.query(KEYPAIR, {"key": user["main_access_key"]})["keypair"]
    return Member(email, user["uuid"], password, keypair["access_key"], keypair["secret_key"])


def _dismiss(session: Session, member: Member) -> None:
    """Remove the account; who cannot be removed (23.09 keeps rows that refer to them) is deactivated."""
    remove_sessions(session, member)
    with contextlib.suppress(BackendAPIError), Session(config=member.config()) as theirs:
        remove_folders(theirs)
    if not session.Admin.query(PURGE_USER, {"email": member.email})["purge_user"]["ok"]:
        session.Admin.query(DELETE_USER, {"email": member.email})


def remove_sessions(session: Session, member: Member) -> None:
    """Destroy what somebody still runs or waits for.

    Args:
        session: A superadmin's.
        member: Whose.
    """
    found = session.Admin.query(SESSIONS, {"key": member.access_key})
    for item in found["compute_session_list"]["items"]:
        with contextlib.suppress(BackendAPIError):  # it may be ending by itself
            session.Kernel(item["name"], owner_access_key=member.access_key).destroy(forced=True)


def remove_folders(session: Session) -> None:
    """Delete the caller's own folders and wait until they are gone: a user with folders cannot be purged."""
    deadline = time.monotonic() + FOLDER_LIMIT
    while own := [folder for folder in session.VFolder.list() if folder["is_owner"] and folder["type"] == "user"]:
        for folder in own:
            if folder["status"] == "ready":
                with contextlib.suppress(BackendAPIError):  # the manager may be busy with it: there is another round
                    session.VFolder(folder["name"]).delete()
        assert time.monotonic() < deadline, own


def remove_folders_of(team: Team) -> None:
    """:func:`remove_folders` for everybody in a team."""
    for member in (team.chief, team.anna, team.bob):
        with Session(config=member.config()) as session:
            remove_folders(session)
