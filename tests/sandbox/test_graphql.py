"""GraphQL on the sandbox: what administrators see and change, and what others may not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from graphql import build_schema, lexicographic_sort_schema, print_schema

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.sandbox.core.seed import ROLES
from ai.backend.client.sandbox.graphql import filtering
from ai.backend.client.session import Session
from support.cluster import IMAGE
from support.sandboxes import signed

SCHEMA = Path(__file__).parents[1] / "data" / "schema-23.09.10.graphql"
PACKAGED = Path(__file__).parents[2] / "tools" / "sandbox" / "graphql" / "schema-23.09.graphql"


def bare(text: str) -> str:
    """A schema without descriptions and deprecations."""
    without = re.sub(r'""".*?"""|@deprecated\(reason: "[^"]*"\)', "", text, flags=re.DOTALL)
    return print_schema(lexicographic_sort_schema(build_schema(without)))


def test_the_types_are_the_managers_own():
    assert bare(PACKAGED.read_text()) == bare(SCHEMA.read_text())


def test_the_accounts_that_are_there(any_session):
    emails = {user["email"]: user["role"] for user in any_session.User.list()}
    assert {"admin@sandbox.example", "user@sandbox.example"} <= emails.keys()
    assert emails["admin@sandbox.example"] == "superadmin"
    assert [domain["name"] for domain in any_session.Domain.list()] == ["default"]
    assert any_session.Agent.list_with_limit(10, 0)["total_count"] == 1
    assert {image["tag"] for image in any_session.Image.list()} == {"3.9-ubuntu20.04", "3.6-ubuntu18.04"}


def test_the_life_of_a_user(any_session, name):
    email = f"{name}@example.com"
    made = any_session.User.create("default", email, "pw", username=name, full_name="One")
    assert made["ok"]
    assert made["user"]["email"] == email
    token = any_session.User.authorize(email, "pw")
    assert token.content["access_key"].startswith("AKIA")
    assert any_session.User.update(email, full_name="Two")["ok"]
    assert any_session.User.detail(email, fields=["full_name"])["full_name"] == "Two"
    assert any_session.User.delete(email)["ok"]
    with pytest.raises(BackendAPIError, match="credential mismatch"):
        any_session.User.authorize(email, "pw")


def test_a_new_users_key_works(sandbox, session, name):
    email = f"{name}@example.com"
    group = session.Group.list("default", fields=["id"])[0]["id"]
    session.User.create("default", email, "pw", username=name, group_ids=[group])
    keys = session.User.authorize(email, "pw").content
    config = sandbox.config(access_key=keys["access_key"], secret_key=keys["secret_key"])
    with Session(config=config) as own:
        assert own.User.detail()["email"] == email
        own.Kernel.get_or_create(IMAGE, name=name).destroy()
        session.KeyPair.deactivate(keys["access_key"])
        with pytest.raises(BackendAPIError, match="Access key not found"):
            own.User.detail()


def test_the_life_of_a_group(any_session, name):
    made = any_session.Group.create("default", name)
    assert made["ok"]
    gid = made["group"]["id"]
    user = any_session.User.detail("user@sandbox.example", fields=["uuid"])["uuid"]
    assert any_session.Group.add_users(gid, [user])["ok"]
    fields = ["groups { name }"]
    assert {"name": name} in any_session.User.detail("user@sandbox.example", fields=fields)["groups"]
    assert any_session.Group.remove_users(gid, [user])["ok"]
    assert any_session.Group.update(gid, description="d")["ok"]
    assert any_session.Group.detail(gid)["description"] == "d"
    assert any_session.Group.delete(gid)["ok"]
    assert any_session.Group.detail(gid)["is_active"] is False


def test_what_does_not_work_is_ok_false(session):
    assert session.Domain.create("default")["ok"] is False
    assert "integrity error" in session.Domain.create("default")["msg"]
    assert session.Group.delete("00000000-0000-4000-8000-000000000000")["ok"] is False
    own = session.KeyPair.list(fields=["access_key"])[0]["access_key"]
    assert "main access key" in session.KeyPair.delete(own)["msg"]


def test_others_may_not(user):
    with pytest.raises(BackendAPIError, match="superadmin privilege required"):
        user.Domain.list()
    with pytest.raises(BackendAPIError, match="Insufficient privilege"):
        user.User.list()
    assert user.Domain.create("mine") == {
        "ok": False,
        "msg": "no permission to execute create_domain",
        "domain": None,
    }
    assert user.User.detail()["email"] == "user@sandbox.example"
    assert [pair["access_key"] for pair in user.KeyPair.list()] == [user.config.access_key]


def test_an_unknown_field_is_a_graphql_error(any_session):
    with pytest.raises(BackendAPIError) as caught:
        any_session.Admin.query("query { nope }")
    assert caught.value.status == 400
    assert caught.value.data["type"].endswith("graphql-error")
    assert "Cannot query field 'nope'" in caught.value.data["data"][0]["message"]


def test_what_is_not_implemented_says_so(session):
    with pytest.raises(BackendAPIError) as caught:
        session.Admin.query("query { container_registries { hostname } }")
    assert caught.value.status == 501


def test_sessions_are_listed(session, name):
    session.Kernel.get_or_create(IMAGE, name=name)
    try:
        page = session.Kernel.paginated_list(filter=f'name == "{name}"')
        assert [(item["name"], item["status"]) for item in page.items] == [(name, "RUNNING")]
    finally:
        session.Kernel(name).destroy()


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (None, "abcd"),
        ('name == "a"', "a"),
        ("(n > 1) & (n <= 3)", "bc"),
        ('name in ["a", "d"] | n == 2', "abd"),
        ("!(n == 1)", "bcd"),
        ('text ilike "X%"', "ac"),
        ('text like "X%"', "a"),
        ("none is null", "abcd"),
        ("none isnot null", ""),
        ('tags contains "t"', "b"),
        ('text != "xenon"', "abd"),
    ],
)
def test_filters(expression, found):
    items = [
        SimpleNamespace(name="a", n=1, text="Xavier", none=None, tags=[]),
        SimpleNamespace(name="b", n=2, text="y", none=None, tags=["t"]),
        SimpleNamespace(name="c", n=3, text="xenon", none=None, tags=[]),
        SimpleNamespace(name="d", n=4, text="z", none=None, tags=[]),
    ]

    def get(item, field):
        return getattr(item or items[0], field)

    assert "".join(item.name for item in filtering.filtered(items, expression, get)) == found


@pytest.mark.parametrize("expression", ["name ==", "== 1", "name ~ 1", "(name == 1", "name == [1"])
def test_filters_that_cannot_be_read(expression):
    with pytest.raises(ValueError, match="parsing error"):
        filtering.filtered([], expression, lambda item, field: None)


def test_orders():
    items = [SimpleNamespace(a=a, b=b) for a, b in ((1, "x"), (2, "x"), (1, "y"))]
    found = filtering.ordered(items, "+b,-a", lambda item, field: getattr(item, field))
    assert [(item.a, item.b) for item in found] == [(2, "x"), (1, "x"), (1, "y")]


def test_pages(session):
    page = session.User.paginated_list(page_size=2, order="email")
    assert len(page.items) == 2
    assert page.total_count >= len(ROLES)


def test_scaling_groups_and_who_may_use_them(session, user, name):
    assert session.ScalingGroup.create(name, driver="static", scheduler="fifo")["ok"]
    assert name not in str(user.ScalingGroup.list_available("default"))
    assert session.ScalingGroup.associate_domain(name, "default")["ok"]
    assert name in str(user.ScalingGroup.list_available("default"))
    assert session.ScalingGroup.dissociate_domain(name, "default")["ok"]
    assert session.ScalingGroup.delete(name)["ok"]


def test_policies(session, name):
    made = session.KeypairResourcePolicy.create(
        name,
        default_for_unspecified="LIMITED",
        total_resource_slots={"cpu": "1"},
        max_concurrent_sessions=1,
        max_containers_per_session=1,
        idle_timeout=60,
    )
    assert made["ok"]
    assert name in [policy["name"] for policy in session.KeypairResourcePolicy.list()]
    assert session.KeypairResourcePolicy.delete(name)["ok"]


def test_image_aliases(session, name):
    assert session.Image.alias_image(name, IMAGE)["ok"]
    session.Kernel.get_or_create(name, name=name).destroy()
    assert session.Image.dealias_image(name)["ok"]
    with pytest.raises(BackendAPIError):
        session.Kernel.get_or_create(name, name=name)


def test_json_and_times_are_text_on_the_wire(session, name):
    text = 'query { domain(name: "default") { allowed_vfolder_hosts created_at } groups { id } }'
    answer = signed(session.config, "POST", "/admin/gql", {"query": text}).json()["data"]
    assert json.loads(answer["domain"]["allowed_vfolder_hosts"])["local:volume1"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", answer["domain"]["created_at"])
    assert session.Domain.create(name, total_resource_slots={"cpu": "3"})["ok"]
    text = f'query {{ domain(name: "{name}") {{ total_resource_slots }} }}'
    answer = signed(session.config, "POST", "/admin/gql", {"query": text}).json()["data"]
    assert json.loads(answer["domain"]["total_resource_slots"]) == {"cpu": "3"}
    assert session.Domain.purge(name)["ok"]
