"""The same calls to a sandbox and to a real manager, and what their answers look like."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from ai.backend.client.config import APIConfig
from support.cluster import IMAGE
from support.sandboxes import signed

Shape = Any
ABSENT = "(absent)"
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
STANDARD_TEMPLATE = {
    "api_version": "6",
    "kind": "taskTemplate",
    "metadata": {"name": "parity", "tag": None},
    "spec": {"session_type": "interactive", "kernel": {"image": IMAGE, "environ": {}}},
}


def shape(value: Any) -> Shape:
    """Keys and types of a value; the values themselves are left out."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        merged: list[Shape] = []
        for item in map(shape, value):
            if item not in merged:
                merged.append(item)
        return merged
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "null" if value is None else "text"


def described(response: requests.Response) -> Shape:
    """What an answer looks like: status, media type, error type and title, keys and types of its body."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    body: Any = None
    if "json" in kind and response.content:
        content = response.json()
        body = shape(content)
        if kind == "application/problem+json":
            body = {**body, "type": content["type"], "title": content["title"]}
    return {"status": response.status_code, "media type": kind, "body": body}


def differences(real: Shape, box: Shape, place: str = "") -> Iterator[tuple[str, str, str]]:
    """Where two shapes differ: place, in the manager, in the sandbox."""
    if isinstance(real, dict) and isinstance(box, dict):
        for key in sorted(real.keys() | box.keys()):
            inner = f"{place}.{key}" if place else key
            yield from differences(real.get(key, ABSENT), box.get(key, ABSENT), inner)
    elif isinstance(real, list) and isinstance(box, list):
        if len(real) == len(box) == 1:
            yield from differences(real[0], box[0], place + "[]")
        elif real and box and not any(item in box for item in real):  # what else there is, is not the same there
            yield place, _short(real), _short(box)
        elif bool(real) != bool(box):
            yield place, "items" if real else "empty", "items" if box else "empty"
    elif real != box:
        yield place, _short(real), _short(box)


def _short(value: Shape) -> str:
    return str(value) if isinstance(value, (str, int)) else json.dumps(value)


@dataclass
class Caller:
    """Makes the calls to one server, and keeps what came back."""

    admin: APIConfig
    user: APIConfig
    name: str
    emails: tuple[str, str]
    seen: dict[str, Shape] = field(default_factory=dict)

    @property
    def is_typed(self) -> bool:
        """Whether the manager is one of those since 26.3, whose routes read the query or the body, never either."""
        return self.admin.version >= "v9"

    def call(self, label: str, method: str, path: str, body: Any = None, *, user: bool = False) -> Any:
        """One call; its JSON, or None."""
        if self.is_typed:
            method, path, body = since_26_3(method, path, body)
        response = signed(self.user if user else self.admin, method, path, body)
        self.seen[label] = described(response)
        return response.json() if response.content and "json" in response.headers.get("Content-Type", "") else None

    def query(self, label: str, text: str, variables: Any = None, *, user: bool = False) -> Any:
        """One GraphQL request."""
        answer = self.call(label, "POST", "/admin/gql", {"query": text, "variables": variables}, user=user)
        return answer and answer.get("data")

    def raw(self, label: str, method: str, url: str, **options: Any) -> None:
        """One call without a signature."""
        self.seen[label] = described(requests.request(method, url, timeout=30, **options))


BAD_NAME = "x"
"""Of a session: too short."""
QUERY_OF_POST = re.compile(r"/session/[^/]+/(download|download_single|shutdown-service|commit)")


def since_26_3(method: str, path: str, body: Any) -> tuple[str, str, Any]:
    """A call of 23.09 as a manager since 26.3 wants it: another verb, another place, another key."""
    if path.startswith("/session/") and path.endswith(("/download", "/download_single")):
        method = "POST"
    if "/rename?name=" in path:
        path, _, name = path.partition("?name=")
        body = {"name": name}
    if isinstance(body, dict) and "runId" in body:
        body = {**body, "run_id": body["runId"]}
    if body is not None and (method == "GET" or QUERY_OF_POST.fullmatch(path)):
        path, body = f"{path}?{urllib.parse.urlencode(body, doseq=True)}", None
    return method, path, body


def everything(caller: Caller) -> None:
    """Every call of the suite, in order; what it makes is gone at the end."""
    try:
        _basics(caller)
        _queries(caller)
        _accounts(caller)
        _sessions(caller)
        _folders(caller)
        _records(caller)
    finally:
        # What 23.09 refuses, newer managers may do; the others only where it stopped half-way.
        for name in (caller.name, caller.name + "-new", caller.name + "-x", BAD_NAME):
            for config in (caller.admin, caller.user):
                signed(config, "DELETE", f"/session/{name}?forced=true")
            signed(caller.user, "DELETE", f"/folders/{name}")


def _basics(caller: Caller) -> None:
    caller.call("hello", "GET", "/")
    caller.call("auth", "POST", "/auth", {"echo": "hi"})
    caller.call("auth: unknown key", "POST", "/auth", {"ecko": "hi"})
    caller.call("auth: not JSON", "GET", "/auth")
    caller.call("role", "GET", "/auth/role")
    caller.call("role: unknown group", "GET", "/auth/role?group=00000000-0000-4000-8000-000000000009")
    caller.call("unknown path", "GET", "/nothing")
    caller.call("wrong method", "DELETE", "/")
    wrong = {"type": "keypair", "domain": "default", "username": "nobody", "password": "x"}
    caller.call("authorize: wrong", "POST", "/auth/authorize", wrong)
    caller.call("authorize: jwt", "POST", "/auth/authorize", {**wrong, "type": "jwt"})
    passwords = {"old_password": "x", "new_password": "y", "new_password2": "y"}
    caller.call("password: wrong", "POST", "/auth/update-password", passwords, user=True)
    caller.call("manager status", "GET", "/manager/status")
    caller.call("manager status: as user", "PUT", "/manager/status", {"status": "running"}, user=True)
    caller.call("manager status: wrong", "PUT", "/manager/status", {"status": "melted"})
    caller.call("announcement", "GET", "/manager/announcement")
    caller.call("announcement: empty", "POST", "/manager/announcement", {"enabled": True})
    caller.call(
        "scheduler: unknown agent",
        "POST",
        "/manager/scheduler/operation",
        {"op": "include-agents", "args": ["i-nobody"]},
    )
    caller.call("slots", "GET", "/config/resource-slots")
    caller.call("slot details", "GET", "/config/resource-slots/details")
    caller.call("vfolder types", "GET", "/config/vfolder-types")
    caller.call("registries", "GET", "/config/docker-registries")
    caller.call("registries: as user", "GET", "/config/docker-registries", user=True)
    caller.call("presets", "GET", "/resource/presets")
    caller.call("check presets", "POST", "/resource/check-presets")
    caller.call("recalculate", "POST", "/resource/recalculate-usage")
    caller.call("scaling groups", "GET", "/scaling-groups?group=default")
    caller.call("scaling groups: no group", "GET", "/scaling-groups")
    caller.call("wsproxy version", "GET", "/scaling-groups/default/wsproxy-version?group=default")
    caller.call("acl", "GET", "/acl")
    caller.call("ssh key", "GET", "/auth/ssh-keypair", user=True)


FIELDS = {
    "domains": "name description is_active created_at total_resource_slots allowed_vfolder_hosts scaling_groups",
    "groups": "id name is_active created_at domain_name total_resource_slots allowed_vfolder_hosts resource_policy",
    "users": "uuid username email role status created_at domain_name groups { id name } main_access_key",
    "keypairs": "access_key secret_key is_active is_admin resource_policy rate_limit num_queries user_id",
    "images": "id name tag registry architecture digest size_bytes aliases labels { key value } "
    "resource_limits { key min max } installed installed_agents hash",
    "keypair_resource_policies": "name default_for_unspecified total_resource_slots max_concurrent_sessions "
    "max_containers_per_session idle_timeout allowed_vfolder_hosts max_vfolder_count",
    "user_resource_policies": "id name created_at max_vfolder_count max_quota_scope_size",
    "project_resource_policies": "id name created_at max_vfolder_count max_quota_scope_size",
    "resource_presets": "name resource_slots shared_memory",
    "scaling_groups": "name description is_active is_public created_at driver driver_opts scheduler scheduler_opts "
    "use_host_network wsproxy_addr",
    "agents": "id status region scaling_group schedulable available_slots occupied_slots architecture first_contact",
}


def _queries(caller: Caller) -> None:
    for root, fields in FIELDS.items():
        caller.query(f"query {root}", f"query {{ {root} {{ {fields} }} }}")
        if root not in ("agents", "keypairs", "images"):
            caller.query(f"query {root}: as user", f"query {{ {root} {{ {fields.split()[0]} }} }}", user=True)
    for root, fields in (
        ("user_list", FIELDS["users"]),
        ("keypair_list", FIELDS["keypairs"]),
        ("agent_list", FIELDS["agents"]),
    ):
        text = f"query {{ {root}(limit: 2, offset: 0) {{ items {{ {fields} }} total_count }} }}"
        caller.query(f"query {root}", text)
    caller.query("query domain", 'query { domain(name: "default") { name } }')
    caller.query("query domain: unknown", 'query { domain(name: "nowhere") { name } }')
    caller.query("query user", "query { user { email role } }", user=True)
    caller.query("query user: another", 'query { user(email: "a@b.c") { email } }', user=True)
    caller.query("query: unknown field", "query { nope }")
    caller.query("query: syntax", "query {")
    caller.query(
        "query: unknown filter field", 'query { user_list(limit: 1, offset: 0, filter: "nope == 1") { total_count } }'
    )
    caller.query("query: unreadable filter", 'query { user_list(limit: 1, offset: 0, filter: "((") { total_count } }')
    caller.query(
        "query: filter and order",
        "query($f: String, $o: String) { user_list(limit: 1, offset: 0, filter: $f, "
        "order: $o) { items { email } total_count } }",
        {"f": 'role == "SUPERADMIN"', "o": "-email"},
    )
    caller.call("query: the older path", "POST", "/admin/graphql", {"query": "query { domains { name } }"})
    caller.call("query: error on the older path", "POST", "/admin/graphql", {"query": "query { nope }"})
    caller.call("query: no query", "POST", "/admin/gql", {})


def _accounts(caller: Caller) -> None:
    name = caller.name
    email = f"{name}@example.com"
    user = {
        "username": name,
        "password": "secret-1",
        "need_password_change": False,
        "domain_name": "default",
        "full_name": "P",
        "group_ids": [],
    }
    create = (
        "mutation($e: String!, $p: UserInput!) { create_user(email: $e, props: $p) { ok msg user { uuid email } } }"
    )
    caller.query("create user", create, {"e": email, "p": user})
    caller.query("create user: again", create, {"e": email, "p": user})
    credentials = {"type": "keypair", "domain": "default", "username": email, "password": "secret-1"}
    caller.call("authorize", "POST", "/auth/authorize", credentials)
    modify = "mutation($e: String!, $p: ModifyUserInput!) { modify_user(email: $e, props: $p) { ok msg } }"
    caller.query("modify user", modify, {"e": email, "p": {"full_name": "Q"}})
    caller.query("modify user: nothing", modify, {"e": email, "p": {}})
    caller.query("modify user: as user", modify, {"e": email, "p": {"full_name": "Q"}}, user=True)
    caller.query("delete user", "mutation($e: String!) { delete_user(email: $e) { ok msg } }", {"e": email})
    purge = "mutation($e: String!) { purge_user(email: $e, props: {purge_shared_vfolders: true}) { ok msg } }"
    caller.query("purge user", purge, {"e": email})
    group = 'mutation($n: String!) { create_group(name: $n, props: {domain_name: "default"}) { ok msg group { id } } }'
    made = caller.query("create group", group, {"n": f"{name}-g"})
    caller.query("create group: again", group, {"n": f"{name}-g"})
    gid = made["create_group"]["group"]["id"]
    caller.query("query group", "query($g: UUID!) { group(id: $g) { name is_active } }", {"g": gid})
    change = 'mutation($g: UUID!) { modify_group(gid: $g, props: {description: "d"}) { ok msg } }'
    caller.query("modify group", change, {"g": gid})
    caller.query("delete group", "mutation($g: UUID!) { delete_group(gid: $g) { ok msg } }", {"g": gid})
    caller.query("purge group", "mutation($g: UUID!) { purge_group(gid: $g) { ok msg } }", {"g": gid})
    domain = 'mutation($n: String!) { create_domain(name: $n, props: {description: "d"}) { ok msg domain { name } } }'
    caller.query("create domain", domain, {"n": name})
    caller.query("create domain: again", domain, {"n": name})
    caller.query("create domain: as user", domain, {"n": name}, user=True)
    caller.query("delete domain", "mutation($n: String!) { delete_domain(name: $n) { ok msg } }", {"n": name})
    caller.query("purge domain", "mutation($n: String!) { purge_domain(name: $n) { ok msg } }", {"n": name})
    preset = (
        "mutation($n: String!) { create_resource_preset(name: $n, props: {resource_slots: "
        '"{\\"cpu\\": 1, \\"mem\\": \\"1073741824\\"}", '
        'shared_memory: "64m"}) { ok msg resource_preset { name shared_memory } } }'
    )
    caller.query("create preset", preset, {"n": name})
    caller.query("delete preset", "mutation($n: String!) { delete_resource_preset(name: $n) { ok msg } }", {"n": name})
    alias = "mutation($a: String!, $t: String!) { alias_image(alias: $a, target: $t) { ok msg } }"
    caller.query("alias image", alias, {"a": name, "t": IMAGE})
    caller.query("alias image: unknown", alias, {"a": name, "t": "no/such:image"})
    caller.query("dealias image", "mutation($a: String!) { dealias_image(alias: $a) { ok msg } }", {"a": name})


def _sessions(caller: Caller) -> None:
    name = caller.name
    one = f"/session/{name}"
    body = {
        "name": name,
        "image": IMAGE,
        "type": "interactive",
        "group": "default",
        "domain": "default",
        "config": {"resources": {"cpu": 1, "mem": "256m"}},
    }
    made = caller.call("create session", "POST", "/session", body)
    caller.call("create session: again", "POST", "/session", body)
    caller.call("create session: no reuse", "POST", "/session", {**body, "reuseIfExists": False})
    other = {**body, "name": name + "-x"}
    caller.call("create session: unknown image", "POST", "/session", {**other, "image": "no/such:image"})
    caller.call("create session: bad name", "POST", "/session", {**other, "name": BAD_NAME})
    caller.call("create session: unknown key", "POST", "/session", {**other, "nope": 1})
    caller.call("create session: unknown config key", "POST", "/session", {**other, "config": {"nope": 1}})
    caller.call("create session: too small", "POST", "/session", {**other, "config": {"resources": {"mem": "1k"}}})
    caller.call("create session: unknown slot", "POST", "/session", {**other, "config": {"resources": {"gold": 1}}})
    caller.call("create session: batch without command", "POST", "/session", {**other, "type": "batch"})
    caller.call("create session: starts_at", "POST", "/session", {**other, "starts_at": "10m"})
    caller.call("create session: unknown group", "POST", "/session", {**other, "group": "nowhere"})
    caller.call("create session: unknown folder", "POST", "/session", {**other, "config": {"mounts": ["nowhere"]}})
    caller.call(
        "create session: agent as user", "POST", "/session", {**other, "config": {"agent_list": ["i-x"]}}, user=True
    )
    caller.call("session", "GET", one)
    caller.call("session: by id", "GET", f"/session/{made['sessionId']}")
    caller.call("session: unknown", "GET", "/session/no-such-session")
    caller.call("session: another user's", "GET", one, user=True)
    run = {"mode": "query", "code": "a = 1\na + 1", "runId": None}
    caller.call("execute", "POST", one, run)
    caller.call("execute: stderr", "POST", one, {**run, "code": "import sys; print('x', file=sys.stderr)"})
    asked = caller.call("execute: input", "POST", one, {**run, "code": "print(input('? '))"})
    caller.call("execute: answer", "POST", one, {"mode": "input", "code": "x", "runId": asked["result"]["runId"]})
    slow = caller.call("execute: slow", "POST", one, {**run, "code": "import time\ntime.sleep(3)"})
    caller.call("execute: continue", "POST", one, {"mode": "continue", "code": "", "runId": slow["result"]["runId"]})
    caller.call("execute: no mode", "POST", one, {"runId": None, "code": "1"})
    caller.call("execute: wrong mode", "POST", one, {**run, "mode": "dance"})
    caller.call("execute: no run id", "POST", one, {"mode": "query", "code": "1"})
    caller.call("execute: unknown session", "POST", "/session/no-such-session", run)
    caller.call("interrupt", "POST", f"{one}/interrupt")
    if not caller.is_typed:  # whose agents lose a batch's end, after which the session takes no other code
        _batch(caller, one)
    caller.call("files", "GET", f"{one}/files", {"path": "."})
    caller.call("files: unknown", "GET", f"{one}/files", {"path": "nowhere"})
    caller.call("files: outside", "GET", f"{one}/files", {"path": "../.."})
    caller.call("execute: write", "POST", one, {**run, "code": "open('f', 'w').write('x');"})
    caller.call("download", "GET", f"{one}/download", {"files": ["f"]})
    caller.call("download: unknown", "GET", f"{one}/download", {"files": ["nowhere"]})
    caller.call("download single", "GET", f"{one}/download_single", {"file": "f"})
    caller.call("download single: outside", "GET", f"{one}/download_single", {"file": "../../etc/passwd"})
    caller.call("logs", "GET", f"{one}/logs")
    caller.call("match", "GET", f"/session/_/match?id={name[:6]}")
    caller.call("direct access", "GET", f"{one}/direct-access-info")
    caller.call("abusing report", "GET", f"{one}/abusing-report")
    caller.call("dependency graph", "GET", f"{one}/dependency-graph")
    caller.call("commit status", "GET", f"{one}/commit")
    caller.call("apps", "GET", f"/stream/session/{name}/apps")
    caller.call("task logs: none", "GET", "/session/_/logs?taskId=00000000-0000-4000-8000-000000000009")
    fields = (
        "id session_id name type status status_info status_data image architecture cluster_mode cluster_size "
        "domain_name group_name access_key user_email created_at terminated_at starts_at scheduled_at result "
        "scaling_group service_ports occupying_slots resource_opts mounts containers { id role status } "
        "dependencies { name } num_queries commit_status"
    )
    listed = (
        f"query($f: String) {{ compute_session_list(limit: 1, offset: 0, filter: $f) {{ items {{ {fields} }} "
        "total_count } }"
    )
    caller.query("query sessions", listed, {"f": f'name == "{name}"'})
    caller.query(
        "query session", f"query($i: UUID!) {{ compute_session(id: $i) {{ {fields} }} }}", {"i": made["sessionId"]}
    )
    containers = (
        "query($i: ID!) { compute_container_list(limit: 1, offset: 0, session_id: $i) { items { id idx role "
        "cluster_role status image occupied_slots } total_count } }"
    )
    caller.query("query containers", containers, {"i": made["sessionId"]})
    caller.call("rename session", "POST", f"{one}/rename?name={name}-new")
    caller.call("restart", "PATCH", f"/session/{name}-new")
    caller.call("destroy", "DELETE", f"/session/{name}-new?forced=true")
    caller.call("destroy: unknown", "DELETE", "/session/no-such-session")


def _batch(caller: Caller, one: str) -> None:
    batch = {"mode": "batch", "code": "", "runId": None, "options": {"build": "echo b", "exec": "echo e"}}
    step = caller.call("batch: clean", "POST", one, batch)
    follow = {"mode": "continue", "code": "", "runId": step["result"]["runId"]}
    caller.call("batch: build", "POST", one, follow)
    caller.call("batch: exec", "POST", one, follow)


def _folders(caller: Caller) -> None:
    name = caller.name
    one = f"/folders/{name}"
    caller.call("create folder", "POST", "/folders", {"name": name, "host": "local:volume1"}, user=True)
    caller.call("create folder: again", "POST", "/folders", {"name": name, "host": "local:volume1"}, user=True)
    if not caller.is_typed:  # which makes it, and then has no path for it
        caller.call("create folder: bad name", "POST", "/folders", {"name": "a/b"}, user=True)
    caller.call("create folder: reserved", "POST", "/folders", {"name": ".ssh"}, user=True)
    caller.call("create folder: no host", "POST", "/folders", {"name": name + "-x", "host": "no:where"}, user=True)
    caller.call(
        "create folder: of a group, as user", "POST", "/folders", {"name": name + "-x", "group": "default"}, user=True
    )
    caller.call("folders", "GET", "/folders", user=True)
    caller.call("folders: all", "GET", "/folders?all=true", user=True)
    caller.call("hosts", "GET", "/folders/_/hosts")
    caller.call("all hosts", "GET", "/folders/_/all-hosts")
    caller.call("all hosts: as user", "GET", "/folders/_/all-hosts", user=True)
    caller.call("allowed types", "GET", "/folders/_/allowed-types")
    caller.call("folder", "GET", one, user=True)
    caller.call("folder: unknown", "GET", "/folders/no-such-folder", user=True)
    caller.call("mkdir", "POST", f"{one}/mkdir", {"path": "d"}, user=True)
    caller.call("mkdir: again", "POST", f"{one}/mkdir", {"path": "d"}, user=True)
    caller.call("mkdir: outside", "POST", f"{one}/mkdir", {"path": "../x"}, user=True)
    grant = caller.call("request upload", "POST", f"{one}/request-upload", {"path": "d/f", "size": 3}, user=True)
    query = {"token": grant["token"]}
    caller.raw("tus options", "OPTIONS", grant["url"])
    caller.raw("tus head", "HEAD", grant["url"], params=query)
    caller.raw("tus patch", "PATCH", grant["url"], params=query, data=b"abc", headers={**TUS, "Upload-Offset": "0"})
    caller.raw("tus head: done", "HEAD", grant["url"], params=query)
    caller.raw("tus: bad token", "PATCH", grant["url"], params={"token": "nonsense"}, data=b"")
    grant = caller.call("request download", "POST", f"{one}/request-download", {"path": "d/f"}, user=True)
    query = {"token": grant["token"]}
    caller.raw("fetch", "GET", grant["url"], params=query)
    caller.raw("fetch: range", "GET", grant["url"], params=query, headers={"Range": "bytes=1-"})
    grant = caller.call("request download: unknown", "POST", f"{one}/request-download", {"path": "nowhere"}, user=True)
    if grant and "url" in grant:
        caller.raw("fetch: unknown", "GET", grant["url"], params={"token": grant["token"]})
    caller.call("list folder", "GET", f"{one}/files", {"path": "d"}, user=True)
    caller.call("list folder: unknown", "GET", f"{one}/files", {"path": "nowhere"}, user=True)
    caller.call("rename file", "POST", f"{one}/rename-file", {"target_path": "d/f", "new_name": "g"}, user=True)
    caller.call("rename file: unknown", "POST", f"{one}/rename-file", {"target_path": "no", "new_name": "g"}, user=True)
    caller.call("move file", "POST", f"{one}/move-file", {"src": "d/g", "dst": "h"}, user=True)
    caller.call("delete files: directory", "DELETE", f"{one}/delete-files", {"files": ["d"]}, user=True)
    caller.call("delete files", "DELETE", f"{one}/delete-files", {"files": ["d"], "recursive": True}, user=True)
    caller.call("update options", "POST", f"{one}/update-options", {"cloneable": True}, user=True)
    admin_email = caller.emails[0]
    caller.call("invite", "POST", f"{one}/invite", {"perm": "ro", "emails": [admin_email]}, user=True)
    caller.call("invite: nobody", "POST", f"{one}/invite", {"perm": "ro", "emails": ["a@b.c"]}, user=True)
    caller.call("sent invitations", "GET", "/folders/invitations/list-sent", user=True)
    pending = caller.call("invitations", "GET", "/folders/invitations/list")
    mine = next(item for item in pending["invitations"] if item["vfolder_name"] == name)
    caller.call("accept", "POST", "/folders/invitations/accept", {"inv_id": mine["id"]})
    caller.call("accept: again", "POST", "/folders/invitations/accept", {"inv_id": mine["id"]})
    caller.call("shared folder", "GET", one)
    caller.call("shared folders", "GET", "/folders/_/shared", user=True)
    caller.call("leave", "POST", f"{one}/leave", {})
    fields = "id host name user user_email group group_name creator usage_mode permission ownership_type status"
    listed = (
        f"query($f: String) {{ vfolder_list(limit: 1, offset: 0, filter: $f) {{ items {{ {fields} }} total_count }} }}"
    )
    caller.query("query folders", listed, {"f": f'name == "{name}"'})
    caller.call("rename folder", "POST", f"{one}/rename", {"new_name": name + "-new"}, user=True)
    caller.call("delete folder", "DELETE", f"/folders/{name}-new", user=True)
    caller.call("delete folder: unknown", "DELETE", "/folders/no-such-folder", user=True)


def _records(caller: Caller) -> None:
    name = caller.name
    caller.call("config set", "POST", "/config/set", {"key": f"parity/{name}/a", "value": "1"})
    caller.call("config set: tree", "POST", "/config/set", {"key": f"parity/{name}", "value": {"b": {"c": "2"}}})
    caller.call("config get", "POST", "/config/get", {"key": f"parity/{name}/a"})
    caller.call("config get: none", "POST", "/config/get", {"key": f"parity/{name}/nothing"})
    caller.call("config get: tree", "POST", "/config/get", {"key": f"parity/{name}", "prefix": True})
    caller.call("config delete", "POST", "/config/delete", {"key": f"parity/{name}", "prefix": True})
    caller.call("config: as user", "POST", "/config/get", {"key": "parity"}, user=True)
    dotfile = {"path": f".{name}", "data": "x", "permission": "644"}
    caller.call("create dotfile", "POST", "/user-config/dotfiles", dotfile)
    caller.call("create dotfile: again", "POST", "/user-config/dotfiles", dotfile)
    caller.call("dotfiles", "GET", "/user-config/dotfiles")
    caller.call("dotfile", "GET", f"/user-config/dotfiles?path=.{name}")
    caller.call("dotfile: unknown", "GET", "/user-config/dotfiles?path=.nowhere")
    caller.call("update dotfile", "PATCH", "/user-config/dotfiles", {**dotfile, "data": "y"})
    caller.call("delete dotfile", "DELETE", f"/user-config/dotfiles?path=.{name}")
    caller.call("delete dotfile: again", "DELETE", f"/user-config/dotfiles?path=.{name}")
    caller.call("bootstrap script", "GET", "/user-config/bootstrap-script", user=True)
    script = base64.b64encode(b"true").decode()
    caller.call("set bootstrap script", "POST", "/user-config/bootstrap-script", {"script": script}, user=True)
    caller.call("unset bootstrap script", "POST", "/user-config/bootstrap-script", {"script": ""}, user=True)
    payload = {"payload": json.dumps([{"template": STANDARD_TEMPLATE}])}
    made = caller.call("create template", "POST", "/template/session", payload)
    one = f"/template/session/{made[0]['id']}"
    caller.call("templates", "GET", "/template/session")
    caller.call("template", "GET", one)
    caller.call("put template", "PUT", one, payload)
    caller.call("delete template", "DELETE", one)
    caller.call("delete template: again", "DELETE", one)
    entry = {"severity": "error", "source": "webui", "message": "m", "context_lang": "js", "context_env": "{}"}
    caller.call("append log", "POST", "/logs/error", entry, user=True)
    caller.call("logs of errors", "GET", "/logs/error?page_size=1", user=True)
