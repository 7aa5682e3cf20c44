"""The clusters of `tools/cluster`: where they are, and what is on each from the start."""

from __future__ import annotations

import os
from typing import Any

from support.waiting import until

PREFIXES = {"23.09": "", "26.9": "CLUSTER_26_9_"}
"""What `tools/test --live` puts before the names of each release's `BACKEND_*` settings."""
CONNECTION = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")
DOMAIN = "default"
GROUP_ID = "00000000-0000-4000-8000-0000000000aa"
"""UUID of the group `default`: everybody's sessions run there. (Groups that had any cannot be purged.)"""
AGENT = "i-cluster-agent"
HOST = "local:volume1"
IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
OTHER_IMAGE = "cr.backend.ai/stable/python:3.6-ubuntu18.04"
RESOURCES = {"cpu": 1, "mem": "256m"}
"""Enough for a session."""


def variable(release: str, name: str) -> str:
    """The environment variable that holds a setting: `variable("26.9", "ENDPOINT")`."""
    return f"{PREFIXES[release]}BACKEND_{name}"


def missing(release: str) -> list[str]:
    """The variables that have to be set for tests on a release's cluster, and are not."""
    names = [variable(release, name) for name in CONNECTION]
    return [name for name in names if not os.environ.get(name)]


def connection(release: str) -> dict[str, str]:
    """The options of a configuration for the superadmin of a release's cluster."""
    return {name.lower(): os.environ[variable(release, name)] for name in CONNECTION}


def delete_folder(caller: Any, name: str) -> None:
    """Delete a virtual folder, and wait until it is gone."""
    caller.VFolder(name).delete()
    until_deleted(caller, name)


def until_deleted(caller: Any, name: str) -> None:
    """Wait until a virtual folder is gone.

    While 23.09 still deletes one, the next change to folders fails now and then: of two transactions on the same
    table the manager gives one up, and answers 500.
    """
    until(lambda: name not in [folder["name"] for folder in caller.VFolder.list()], f"{name} is gone", 30.0)
