"""The API's functions, one module per proxy: recipes that say what to send and how to read the answer."""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions.admin import Admin
from ai.backend.client.functions.agent import Agent, AgentWatcher
from ai.backend.client.functions.auth import Auth
from ai.backend.client.functions.base import BaseFunction
from ai.backend.client.functions.domain import Domain
from ai.backend.client.functions.group import Group
from ai.backend.client.functions.image import Image
from ai.backend.client.functions.kernel import ComputeSession, Kernel
from ai.backend.client.functions.keypair import KeyPair
from ai.backend.client.functions.keypair_resource_policy import KeypairResourcePolicy
from ai.backend.client.functions.manager import Manager
from ai.backend.client.functions.resource import Resource
from ai.backend.client.functions.scaling_group import ScalingGroup
from ai.backend.client.functions.user import User
from ai.backend.client.functions.vfolder import VFolder

__all__ = [
    "PROXIES",
    "Admin",
    "Agent",
    "AgentWatcher",
    "Auth",
    "ComputeSession",
    "Domain",
    "Group",
    "Image",
    "Kernel",
    "KeyPair",
    "KeypairResourcePolicy",
    "Manager",
    "Resource",
    "ScalingGroup",
    "User",
    "VFolder",
]

PROXIES: Final[dict[str, type[BaseFunction[Any]]]] = {
    "Admin": Admin,
    "Agent": Agent,
    "AgentWatcher": AgentWatcher,
    "Auth": Auth,
    "ComputeSession": ComputeSession,
    "Domain": Domain,
    "Group": Group,
    "Image": Image,
    "Kernel": Kernel,
    "KeyPair": KeyPair,
    "KeypairResourcePolicy": KeypairResourcePolicy,
    "Manager": Manager,
    "Resource": Resource,
    "ScalingGroup": ScalingGroup,
    "User": User,
    "VFolder": VFolder,
}
"""Attribute of a session → the class behind it. ``ComputeSession`` and ``Kernel`` are one."""
