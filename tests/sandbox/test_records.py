"""Configuration, presets, templates, dotfiles and error logs of the sandbox."""

from __future__ import annotations

import json

import pytest

from ai.backend.client.exceptions import BackendAPIError
from support.cluster import IMAGE


def test_configuration_is_a_tree(session):
    session.EtcdConfig.set("box/a", "1")
    session.EtcdConfig.set("box", {"b": {"c": "2"}, "d": "3"})
    assert session.EtcdConfig.get("box/a") == "1"
    assert session.EtcdConfig.get("box/nothing") is None
    assert session.EtcdConfig.get("box", prefix=True) == {"a": "1", "b": {"c": "2"}, "d": "3"}
    session.EtcdConfig.delete("box", prefix=True)
    assert session.EtcdConfig.get("box", prefix=True) == {}


def test_configuration_is_for_superadmins(user):
    with pytest.raises(BackendAPIError) as caught:
        user.EtcdConfig.get("box")
    assert caught.value.status == 401


def test_slots_types_registries(any_session):
    assert any_session.Resource.get_resource_slots() == {"cpu": "count", "mem": "bytes"}
    assert any_session.Resource.get_vfolder_types() == ["user", "group"]
    assert any_session.Resource.get_docker_registries() == {"cr.backend.ai": "https://cr.backend.ai/"}


def test_presets_follow_what_is_used(session, name):
    assert [preset["name"] for preset in session.Resource.list()["presets"]] == ["cpu1", "cpu2"]
    before = session.Resource.check_presets()
    session.Kernel.get_or_create(IMAGE, name=name, resources={"cpu": 7})
    try:
        after = session.Resource.check_presets()
    finally:
        session.Kernel(name).destroy()
    assert float(before["scaling_group_remaining"]["cpu"]) - float(after["scaling_group_remaining"]["cpu"]) == 7
    allocatable = {preset["name"]: preset["allocatable"] for preset in after["presets"]}
    assert allocatable == {"cpu1": True, "cpu2": False}


def test_dotfiles(session):
    session.Dotfile.create("data", ".boxrc", "644")
    with pytest.raises(BackendAPIError) as caught:
        session.Dotfile.create("data", ".boxrc", "644")
    assert caught.value.data["title"] == "Dotfile already exists."
    assert session.Dotfile.list_dotfiles() == [{"path": ".boxrc", "permission": "644", "data": "data"}]
    session.Dotfile(".boxrc").update("new", "600")
    assert session.Dotfile(".boxrc").get() == {"path": ".boxrc", "perm": "600", "data": "new"}
    session.Dotfile(".boxrc").delete()
    assert session.Dotfile.list_dotfiles() == []


def test_session_templates(session):
    template = {
        "api_version": "6",
        "kind": "taskTemplate",
        "metadata": {"name": "box", "tag": None},
        "spec": {"session_type": "interactive", "kernel": {"image": IMAGE, "environ": {}}},
    }
    made = session.SessionTemplate.create(json.dumps([{"template": template}]))
    assert [item["name"] for item in session.SessionTemplate.list_templates()] == ["box"]
    assert IMAGE in str(made.get())
    kernel = session.Kernel.create_from_template(made.template_id, name="from-a-template")
    try:
        assert kernel.get_info()["image"] == IMAGE
    finally:
        kernel.destroy()
    made.delete()
    assert session.SessionTemplate.list_templates() == []
    with pytest.raises(BackendAPIError) as caught:
        made.delete()
    assert caught.value.data["title"] == "No such task template."


def test_error_logs(session):
    assert session.ServerLog.list() == {"logs": [], "count": 0}


def test_images_are_looked_for_again_in_the_background(session):
    outcome = session.Image.rescan_images("cr.backend.ai")
    assert outcome["ok"]
    with session.BackgroundTask(outcome["task_id"]).listen_events() as events:
        assert next(event.event for event in events) == "bgtask_done"


def test_an_unknown_task(session):
    task = session.BackgroundTask("00000000-0000-4000-8000-000000000000")
    with pytest.raises(BackendAPIError) as caught, task.listen_events():
        pass
    assert caught.value.status == 404


def test_usage_statistics_are_not_there(session):
    with pytest.raises(BackendAPIError) as caught:
        session.Resource.user_monthly_stats()
    assert caught.value.status == 501
