"""What is on the cluster of `tools/cluster` from the start."""

from __future__ import annotations

from typing import Any

from support.waiting import until

DOMAIN = "default"
GROUP_ID = "00000000-0000-4000-8000-0000000000aa"
"""UUID of the group `default`: everybody's sessions run there. (Groups that had any cannot be purged.)"""
AGENT = "i-cluster-agent"
HOST = "local:volume1"
IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
OTHER_IMAGE = "cr.backend.ai/stable/python:3.6-ubuntu18.04"
RESOURCES = {"cpu": 1, "mem": "256m"}
"""Enough for a session."""


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
