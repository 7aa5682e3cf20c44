"""Images and their aliases."""

from __future__ import annotations

from support.cluster import IMAGE, OTHER_IMAGE
from support.runtimes.driver import done, failed, refused
from support.servers.stand_ins import image_registry, serving
from support.waiting import until


def test_images_are_there_to_see(driven, team):
    with driven(None, team.anna) as (admin, anna):
        for caller in (admin, anna):
            found = [(image["name"], image["tag"]) for image in caller.Image.list()]
            assert ("stable/python", "3.9-ubuntu20.04") in found
        assert anna.Image.detail(IMAGE, fields=["name", "tag"]) == {"name": "stable/python", "tag": "3.9-ubuntu20.04"}
        with refused(400, "graphql-error"):
            anna.Image.detail("no-such-image")


def test_the_life_of_an_alias(driven, team, fresh):
    alias = fresh("alias")
    with driven(None, team.anna) as (admin, anna):
        done(admin.Image.alias_image(alias, IMAGE, "x86_64"))
        assert alias in admin.Image.detail(IMAGE, fields=["aliases"])["aliases"]
        assert anna.Image.detail(alias, fields=["tag"]) == {"tag": "3.9-ubuntu20.04"}
        with refused(400, "graphql-error"):
            admin.Image.alias_image(alias, IMAGE)
        done(admin.Image.dealias_image(alias))
        assert alias not in admin.Image.detail(IMAGE, fields=["aliases"])["aliases"]
        with refused(400, "graphql-error"):
            admin.Image.dealias_image(alias)


def test_what_the_manager_knows_about_an_image_changes(driven):
    with driven() as admin:
        fields = ["size_bytes", "resource_limits { key min max }"]
        before = admin.Image.detail(OTHER_IMAGE, fields=fields)
        done(admin.Image.modify_image(OTHER_IMAGE, size_bytes=before["size_bytes"] + 1))
        try:
            after = admin.Image.detail(OTHER_IMAGE, fields=fields)
            assert after == {**before, "size_bytes": before["size_bytes"] + 1}
        finally:
            done(admin.Image.modify_image(OTHER_IMAGE, size_bytes=before["size_bytes"]))


def test_images_of_a_registry_come_and_go(driven, fresh):
    registry = f"{fresh('registry')}.example"
    one, two = (f"{registry}/science/{name}:1.0-ubuntu20.04" for name in ("one", "two"))
    with (
        driven() as admin,
        serving(image_registry("science/one:1.0-ubuntu20.04", "science/two:1.0-ubuntu20.04")) as url,
    ):

        def known() -> set[str]:
            found = admin.Image.list(fields=["registry", "name", "tag"])
            images = (f"{image['registry']}/{image['name']}:{image['tag']}" for image in found)
            return {image for image in images if image.startswith(registry)}

        admin.EtcdConfig.set(f"config/docker/registry/{registry}", {"": url, "type": "docker"})
        try:
            assert registry in admin.Resource.get_docker_registries()
            assert done(admin.Image.rescan_images(registry))["task_id"]
            until(lambda: known() == {one, two}, "the images are known")
            done(admin.Image.forget_image(one))
            assert known() == {two}
            done(admin.Image.clear_images(registry))
            assert known() == set()
            with refused(400, "graphql-error"):
                admin.Image.forget_image(one)
        finally:
            admin.EtcdConfig.delete(f"config/docker/registry/{registry}", prefix=True)
        assert registry not in admin.Resource.get_docker_registries()


def test_agents_do_not_fetch_images_ahead(driven):
    with driven() as admin:
        failed(admin.Image.preload_image([OTHER_IMAGE], ["i-cluster-agent"]), "Not implemented")
        failed(admin.Image.unload_image([OTHER_IMAGE], ["i-cluster-agent"]), "Not implemented")


def test_the_import_of_images(driven, team):
    with driven(team.chief, team.anna) as (chief, anna):
        groups = chief.Image.get_image_import_form()["fieldGroups"]
        assert "src" in [field["name"] for group in groups for field in group["fields"]]
        with refused(401, "auth-failed"):
            anna.Image.get_image_import_form()
        wanted = {
            "src": IMAGE,
            "target": "cr.backend.ai/stable/imported:1.0-ubuntu20.04",
            "architecture": "x86_64",
            "launchOptions": {"scalingGroup": "default", "group": "default"},
            "brand": "Imported",
            "baseDistro": "ubuntu",
            "minCPU": 1,
            "minMemory": "64m",
            "preferredSharedMemory": "64m",
            "supportedAccelerators": [],
            "runtimeType": "python",
            "runtimePath": "/usr/bin/python3",
            "CPUCountEnvs": ["OMP_NUM_THREADS"],
            "servicePorts": [{"name": "jupyter", "protocol": "http", "ports": [8080]}],
        }
        with refused(404, "object-not-found", title="No such environment image.", msg="importer"):
            chief.Image.build(**wanted)  # the image that does the work is not on this cluster
        with refused(400, "invalid-api-params"):
            chief.Image.build(**{**wanted, "baseDistro": "no-such-distribution"})
