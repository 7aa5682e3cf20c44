"""Models, and the services that serve them."""

from __future__ import annotations

from typing import Any

from support.cluster import IMAGE
from support.runtimes.driver import done, refused
from support.servers.stand_ins import app_proxy, serving
from support.waiting import until

DEFINITION = """models:
- name: a-model
  model_path: /models
  service:
    start_command: [python, -m, http.server, "8000"]
    port: 8000
"""


def test_the_life_of_a_model(driven, team, fresh):
    name = fresh("model")
    with driven(team.bob) as bob:
        made = bob.Model.create(name)
        assert made["usage_mode"] == "model"
        model, folder = bob.Model(name), bob.VFolder(name)
        try:
            assert model.info()["versions"] == []
            for version in ("1", "2"):
                folder.mkdir(f"versions/{version}")
            info = model.info()
            assert (info["id"], info["versions"]) == (made["id"], ["2", "1"])
            assert [found["name"] for found in bob.Model.list()] == [name]
            page = bob.Model.paginated_list(filter=f'name == "{name}"', fields=["name", "usage_mode"])
            assert page.items == [{"name": name, "usage_mode": "model"}]
        finally:
            assert model.delete() == {}
        until(lambda: bob.Model.list() == [], "the model is gone")
        with refused(404, "object-not-found", title="No such virtual folder."):
            model.info()


def test_the_life_of_a_service(driven, team, fresh, tmp_path):
    """In a resource group of its own, which has an app proxy and no agent: the sessions of the service wait for one."""
    group, model, name = fresh("serving"), fresh("model"), fresh("service")
    (tmp_path / "model-definition.yaml").write_text(DEFINITION)
    owner = team.hire("user")
    try:
        with driven(None, owner, team.anna) as (admin, caller, stranger), serving(app_proxy) as url:
            options = {"allowed_session_types": ["inference"]}
            done(admin.ScalingGroup.create(group, driver="static", scheduler="fifo", scheduler_opts=options))
            done(admin.ScalingGroup.associate_group(group, team.group_id))
            caller.Model.create(model)
            wanted = {"service_name": name, "group_name": team.group, "scaling_group": group}
            with refused(503, "service-unavailable", msg="No coordinator configured"):
                caller.Service.create(IMAGE, model, 1, **wanted)
            done(admin.ScalingGroup.update(group, wsproxy_addr=url, wsproxy_api_token="a-token"))
            with refused(400, "invalid-api-params", msg="Model definition YAML file not found"):
                caller.Service.create(IMAGE, model, 1, **wanted)
            caller.VFolder(model).upload(["model-definition.yaml"], basedir=tmp_path)
            made = caller.Service.create(
                IMAGE, model, 1, resources={"cpu": 1, "mem": "256m"}, envs={"COLOUR": "blue"}, **wanted
            )
            assert (made["name"], made["desired_session_count"], made["is_public"]) == (name, 1, False)
            service = caller.Service(made["endpoint_id"])
            try:
                play(admin, caller, stranger, service, name)
            finally:
                assert service.delete() == {"success": True}
                admin.Manager.scheduler_trigger("scale_services")
                until(lambda: caller.Service.list(name) == [], "the service is gone")
    finally:
        team.dismiss(owner)  # with the service's records, which refer to the group
        with driven() as admin:
            done(admin.ScalingGroup.delete(group))


def play(admin: Any, caller: Any, stranger: Any, service: Any, name: str) -> None:
    """What can be done with a service."""
    info = service.info()
    assert (info["name"], info["desired_session_count"], info["active_routes"]) == (name, 1, [])
    assert [found["id"] for found in caller.Service.list(name)] == [str(service.id)]
    page = caller.Service.paginated_list(filter=f'name == "{name}"', fields=["endpoint_id", "desired_session_count"])
    assert page.items == [{"endpoint_id": str(service.id), "desired_session_count": 1}]
    with refused(403, "generic-forbidden", msg="Only admins can perform operations on behalf of other users."):
        stranger.Service(service.id).info()

    assert service.scale(2) == {"current_route_count": 0, "target_count": 2}
    admin.Manager.scheduler_trigger("scale_services")
    until(lambda: len(routes(caller, service)) == 2, "the service has its routes")
    route = routes(caller, service)[0]
    assert route["status"] == "PROVISIONING"
    # Manager 23.09 uses a closed connection for the one, and reads an attribute that there is not for the other.
    with refused(500, "internal-server-error"):
        service.downscale_single_route(route["routing_id"])
    with refused(500, "internal-server-error"):
        service.update_traffic_ratio(route["routing_id"], 0.5)

    assert service.sync() == {"success": True}
    assert service.info()["service_endpoint"].startswith("http://endpoint.example/")
    assert service.generate_api_token("1h") == {"token": "a-token-for-the-endpoint"}
    assert service.list_errors() == {"errors": [], "retries": 0}
    assert service.clear_errors() is None


def routes(caller: Any, service: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.Service.detail(service.id, ["routings { routing_id status }"])["routings"]
    return found
