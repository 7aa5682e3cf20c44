"""Compute sessions beyond the main job: names, records, dependencies, services, commit, and acting for others."""

from __future__ import annotations

from typing import Any

import pytest

from support.cluster import IMAGE, RESOURCES
from support.runtimes.driver import refused
from support.waiting import until


def create(caller: Any, token: str, **options: Any) -> Any:
    return caller.Kernel.get_or_create(IMAGE, client_token=token, resources=RESOURCES, **options)


def is_gone(kernel: Any) -> bool:
    """The manager forgets an ended session a moment later."""
    name = kernel.name or str(kernel.id)
    return all(found["status"] in ("TERMINATED", "CANCELLED") for found in kernel.match(name)["matches"])


PENDING = {"type": "batch", "startup_command": "true", "enqueue_only": True}


@pytest.mark.timeout(120)
def test_names_records_and_services_of_a_session(driven, team, tokens, tmp_path):
    name, later = tokens(), tokens()
    with driven(None, team.anna) as (admin, anna):
        kernel = create(anna, name, tag="first", envs={"COLOUR": "blue"})
        assert (kernel.name, kernel.status, kernel.created) == (name, "RUNNING", True)
        # The runner of 23.09 never answers, and the manager gives up after ten seconds: the rest is done meanwhile.
        completion = kernel.complete.submit("impo")

        assert anna.Kernel.match(name)["matches"] == [{"id": str(kernel.id), "name": name, "status": "RUNNING"}]
        page = anna.Kernel.paginated_list("RUNNING", team.anna.access_key, fields=("id", "name", "tag"))
        assert {"id": str(kernel.id), "name": name, "tag": "first"} in page.items
        hers = admin.Kernel.paginated_list.everything("RUNNING", team.anna.access_key, fields=("name",), page_size=1)
        assert {"name": name} in hers
        page = anna.Kernel.paginated_containers(kernel.id, "main", fields=("cluster_role", "status"))
        assert page.items == [{"cluster_role": "main", "status": "RUNNING"}]
        assert "'COLOUR': 'blue'" in kernel.get_info()["environ"]
        assert kernel.get_abusing_report() == {}
        assert kernel.get_direct_access_info() == {}  # that is for system sessions

        (tmp_path / "code.py").write_text("print('one file')\n")
        kernel.upload([tmp_path / "code.py"], basedir=tmp_path)
        assert kernel.download_single("code.py") == b"print('one file')\n"

        assert "httpd" in [app["name"] for app in kernel.stream_app_info()]
        services = {service["name"]: service for service in kernel.service_ports}
        way = kernel.start_service("httpd", port=services["httpd"]["ports"][0])
        assert way["token"]
        assert way["wsproxy_addr"].startswith("http://")
        with refused(404, "object-not-found", title="No such app service."):
            kernel.start_service("no-such-service")
        assert kernel.shutdown_service("httpd") is None

        assert kernel.run("print(6 * 7)").stdout == "42\n"
        committed = kernel.commit("my-image")
        assert committed["bgtask_id"]
        until(lambda: kernel.get_commit_status()["status"] == "ready", "the commit is done")
        assert kernel.get_commit_status()["kernel"] == committed["kernel"]

        kernel.rename(later)
        assert (kernel.name, kernel.get_info()["status"]) == (later, "RUNNING")
        with refused(404, "object-not-found", title="No such session."):
            anna.Kernel(name).get_info()

        dependent = create(anna, tokens(), dependencies=[kernel.id], **PENDING)
        assert (dependent.status, dependent.created) == ("PENDING", True)
        graph = dependent.get_dependency_graph()
        assert graph["session_name"] == dependent.name
        assert [found["session_id"] for found in graph["depends_on"]] == [str(kernel.id)]

        with refused(500, "kernel-execution-failed") as caught:
            completion()
        assert caught.value.data["agent-details"]["type"] == "https://api.backend.ai/probs/agent-timeout"

        with kernel.stream_events() as events:
            assert [stats["status"] for stats in kernel.destroy(recursive=True)] == ["terminated", "terminated"]
            ended = next(event for event in events if event.event == "session_terminated")
        assert ended.json()["sessionId"] == str(kernel.id)
        until(lambda: is_gone(kernel) and is_gone(dependent), "both sessions have ended")
        assert "CANCELLED" in dependent.get_status_history()
        history = anna.Kernel.from_session_id(kernel.id).get_status_history()
        assert history["PENDING"] < history["RUNNING"] < history["TERMINATED"]
        assert isinstance(kernel.get_logs()["result"]["logs"], str)
        with refused(404, "object-not-found", title="No such session."):
            kernel.interrupt()


def test_who_may_act_for_the_owner_of_a_session(driven, team, tokens):
    name, for_anna = tokens(), {"owner_access_key": team.anna.access_key}
    with driven(team.chief, team.anna, team.bob) as (chief, anna, bob):
        kernel = create(anna, name, starts_at="1h", **PENDING)
        with refused(404, "object-not-found"):
            bob.Kernel(name).get_info()
        with refused(403, "generic-forbidden"):
            bob.Kernel(name, **for_anna).destroy()
        assert anna.Kernel.match(name)["matches"][0]["status"] == "PENDING"
        chief.Kernel(name, **for_anna).destroy()  # a domain admin may
        until(lambda: is_gone(kernel), "the session has ended")
