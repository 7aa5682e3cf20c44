"""The cluster's configuration, versions, dotfiles, templates, and the error log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.cluster import IMAGE
from support.runtimes.driver import done, refused


def test_configuration_of_the_cluster(driven, team, fresh):
    key = f"tests/{fresh('key')}"
    with driven(None, team.chief) as (admin, chief):
        assert admin.EtcdConfig.get(key) is None
        assert admin.EtcdConfig.set(key, "one") == {"result": "ok"}
        assert admin.EtcdConfig.get(key) == "one"
        admin.EtcdConfig.set(key, {"": "two", "below": {"deeper": "three"}})
        assert admin.EtcdConfig.get(key) == "two"
        assert admin.EtcdConfig.get(f"{key}/", prefix=True) == {"below": {"deeper": "three"}}
        assert admin.EtcdConfig.delete(f"{key}/", prefix=True) == {"result": "ok"}
        assert admin.EtcdConfig.get(f"{key}/below/deeper") is None
        assert admin.EtcdConfig.get(key) == "two"
        admin.EtcdConfig.delete(key)
        assert admin.EtcdConfig.get(key) is None
        for call in (lambda: chief.EtcdConfig.get(key), lambda: chief.EtcdConfig.set(key, "mine")):
            with refused(401, "auth-failed"):
                call()


def test_versions(driven, team):
    with driven(team.anna) as anna:
        versions = anna.System.get_versions()
        assert versions == {"version": "v7.20230615", "manager": "23.09.10"}
        assert anna.System.get_manager_version() == versions["manager"]
        assert anna.System.get_api_version() == versions["version"]


@pytest.mark.parametrize("scope", ["user", "group", "domain"])
def test_the_life_of_a_dotfile(driven, team, fresh, scope):
    path, domain = f".{fresh('file')}", fresh("domain")
    of: dict[str, str] = {"user": {}, "group": {"group": team.group}, "domain": {"domain": domain}}[scope]
    with driven(None, team.chief, team.anna) as (admin, chief, anna):
        owner = {"user": anna, "group": chief, "domain": admin}[scope]
        done(admin.Domain.create(domain))
        dotfile = owner.Dotfile.create("colour = blue\n", path, "600", **of)
        try:
            assert dotfile.get() == {"path": path, "perm": "600", "data": "colour = blue\n"}
            with refused(400, "generic-bad-request", title="Dotfile already exists."):
                owner.Dotfile.create("colour = blue\n", path, "600", **of)
            assert dotfile.update("colour = red\n", "644") == {}
            listed = owner.Dotfile.list_dotfiles(**of)
            assert {"path": path, "permission": "644", "data": "colour = red\n"} in listed
            if scope != "user":
                with refused(401, "auth-failed"):
                    anna.Dotfile.create("mine\n", path, "600", **of)
        finally:
            assert dotfile.delete() == {"success": True}
        with refused(404, "object-not-found", title="No such dotfile."):
            dotfile.get()
        done(admin.Domain.purge(domain))


def test_the_bootstrap_script(driven, team):
    with driven(team.anna) as anna:
        assert anna.Dotfile.get_bootstrap_script() == ""
        assert anna.Dotfile.update_bootstrap_script("echo hello\n") == {}
        assert anna.Dotfile.get_bootstrap_script() == "echo hello"
        anna.Dotfile.update_bootstrap_script("")
        assert anna.Dotfile.get_bootstrap_script() == ""


def task(name: str, colour: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "taskTemplate",
        "metadata": {"name": name, "tag": "from-template"},
        "spec": {
            "kernel": {"image": IMAGE, "environ": {"COLOUR": colour}},
            "resources": {"cpu": "1", "mem": "256m"},
            "scaling_group": "default",
        },
    }


def test_the_life_of_a_session_template(driven, team, fresh):
    """As superadmin: 23.09 deletes templates by hiding them, and cannot purge a user who had one."""
    name = fresh("template")
    with driven() as admin:
        template = admin.SessionTemplate.create(json.dumps([{"template": task(name, "blue")}]))
        found = json.loads(template.get("json"))
        assert (found["name"], found["template"]["spec"]["kernel"]["environ"]) == (name, {"COLOUR": "blue"})
        assert name in [item["name"] for item in admin.SessionTemplate.list_templates()]
        assert template.put(json.dumps([{"template": task(name, "red")}])) == {"success": True}
        assert json.loads(template.get())["template"]["spec"]["kernel"]["environ"] == {"COLOUR": "red"}

        token = fresh("session")
        kernel = admin.Kernel.create_from_template(
            template.template_id, name=token, type_="batch", startup_command="true", starts_at="1h", enqueue_only=True
        )
        try:
            assert (kernel.name, kernel.status, kernel.created) == (token, "PENDING", True)
            info = kernel.get_info()
            assert (info["image"], info["tag"]) == (IMAGE, "from-template")
            assert "'COLOUR': 'red'" in info["environ"]
        finally:
            kernel.destroy()

        cluster = {
            "apiVersion": "v1",
            "kind": "clusterTemplate",
            "mode": "single-node",
            "metadata": {"name": name},
            "spec": {"nodes": [{"role": "main", "session_template": template.template_id}]},
        }
        stored = admin.ClusterTemplate.create(json.dumps(cluster))
        assert name in [item["name"] for item in admin.ClusterTemplate.list_templates()]
        assert stored.put(json.dumps({**cluster, "metadata": {"name": f"{name}-2"}})) == {"success": True}
        assert f"{name}-2" in [item["name"] for item in admin.ClusterTemplate.list_templates()]
        with refused(500, "internal-server-error"):  # 23.09 decodes the template twice
            stored.get()
        assert stored.delete() == {"success": True}
        with refused(404, "object-not-found", title="No such task template."):
            stored.delete()

        assert template.delete() == {"success": True}
        assert name not in [item["name"] for item in admin.SessionTemplate.list_templates()]
        with refused(404, "object-not-found", title="No such task template."):
            template.delete()


def test_the_error_log(driven, team, fresh):
    message = fresh("it failed")
    with driven(None, team.chief, team.bob) as (admin, chief, bob):
        for number in range(3):
            answer = bob.ServerLog.append(
                "error", "a test", f"{message} {number}", "python", {"version": "3.11"}, request_status=500
            )
            assert answer == {"success": True}
        page = bob.ServerLog.list(page_size=2)
        assert [entry["message"] for entry in page["logs"]] == [f"{message} 2", f"{message} 1"]
        assert page["logs"][0]["is_read"] is False
        bob.ServerLog.list(mark_read=True, page_size=1)
        assert bob.ServerLog.list(page_size=1)["logs"][0]["is_read"] is True
        assert len(bob.ServerLog.paginated_list.everything(page_size=2)) == page["count"]
        for entry in page["logs"]:
            assert bob.ServerLog.clear(entry["log_id"]) == {"success": True}
        assert bob.ServerLog.list()["count"] == page["count"] - 2
        seen = [entry for entry in admin.ServerLog.list(page_size=100)["logs"] if entry["message"] == f"{message} 2"]
        assert [(entry["user"], entry["is_cleared"]) for entry in seen] == [(team.bob.uuid, True)]
        with refused(500, "internal-server-error"):  # 23.09 asks for a column by the wrong name
            chief.ServerLog.list()
