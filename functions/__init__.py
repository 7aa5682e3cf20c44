"""The API's functions, one module per proxy: recipes that say what to send and how to read the answer."""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions.admin import Admin
from ai.backend.client.functions.agent import Agent, AgentWatcher
from ai.backend.client.functions.auth import Auth
from ai.backend.client.functions.background_task import BackgroundTask
from ai.backend.client.functions.base import BaseFunction
from ai.backend.client.functions.domain import Domain
from ai.backend.client.functions.dotfile import Dotfile
from ai.backend.client.functions.etcd import EtcdConfig
from ai.backend.client.functions.group import Group
from ai.backend.client.functions.image import Image
from ai.backend.client.functions.kernel import ComputeSession, Kernel
from ai.backend.client.functions.keypair import KeyPair
from ai.backend.client.functions.keypair_resource_policy import KeypairResourcePolicy
from ai.backend.client.functions.manager import Manager
from ai.backend.client.functions.model import Model
from ai.backend.client.functions.permission import Permission
from ai.backend.client.functions.resource import Resource
from ai.backend.client.functions.resource_policy import ProjectResourcePolicy, UserResourcePolicy
from ai.backend.client.functions.scaling_group import ScalingGroup
from ai.backend.client.functions.server_log import ServerLog
from ai.backend.client.functions.service import Service
from ai.backend.client.functions.session_template import ClusterTemplate, SessionTemplate
from ai.backend.client.functions.storage import QuotaScope, Storage
from ai.backend.client.functions.system import System
from ai.backend.client.functions.user import User
from ai.backend.client.functions.vfolder import VFolder

__all__ = [
    "PROXIES",
    "Admin",
    "Agent",
    "AgentWatcher",
    "Auth",
    "BackgroundTask",
    "ClusterTemplate",
    "ComputeSession",
    "Domain",
    "Dotfile",
    "EtcdConfig",
    "Group",
    "Image",
    "Kernel",
    "KeyPair",
    "KeypairResourcePolicy",
    "Manager",
    "Model",
    "Permission",
    "ProjectResourcePolicy",
    "QuotaScope",
    "Resource",
    "ScalingGroup",
    "ServerLog",
    "Service",
    "SessionTemplate",
    "Storage",
    "System",
    "User",
    "UserResourcePolicy",
    "VFolder",
]

PROXIES: Final[dict[str, type[BaseFunction[Any]]]] = {
    "Admin": Admin,
    "Agent": Agent,
    "AgentWatcher": AgentWatcher,
    "Auth": Auth,
    "BackgroundTask": BackgroundTask,
    "ClusterTemplate": ClusterTemplate,
    "ComputeSession": ComputeSession,
    "Domain": Domain,
    "Dotfile": Dotfile,
    "EtcdConfig": EtcdConfig,
    "Group": Group,
    "Image": Image,
    "Kernel": Kernel,
    "KeyPair": KeyPair,
    "KeypairResourcePolicy": KeypairResourcePolicy,
    "Manager": Manager,
    "Model": Model,
    "Permission": Permission,
    "ProjectResourcePolicy": ProjectResourcePolicy,
    "QuotaScope": QuotaScope,
    "Resource": Resource,
    "ScalingGroup": ScalingGroup,
    "ServerLog": ServerLog,
    "Service": Service,
    "SessionTemplate": SessionTemplate,
    "Storage": Storage,
    "System": System,
    "User": User,
    "UserResourcePolicy": UserResourcePolicy,
    "VFolder": VFolder,
}
"""Attribute of a session → the class behind it. ``ComputeSession`` and ``Kernel`` are one."""
