"""What is on the cluster of `tools/cluster` from the start."""

from __future__ import annotations

DOMAIN = "default"
GROUP_ID = "00000000-0000-4000-8000-0000000000aa"
"""UUID of the group `default`: everybody's sessions run there. (Groups that had any cannot be purged.)"""
AGENT = "i-cluster-agent"
HOST = "local:volume1"
IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"
OTHER_IMAGE = "cr.backend.ai/stable/python:3.6-ubuntu18.04"
RESOURCES = {"cpu": 1, "mem": "256m"}
"""Enough for a session."""
