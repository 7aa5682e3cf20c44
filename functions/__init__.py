"""The API's functions, one module per proxy: recipes that say what to send and how to read the answer."""

from __future__ import annotations

from typing import Any, Final

from ai.backend.client.functions.accounts.auth import Auth
from ai.backend.client.functions.accounts.domain import Domain
from ai.backend.client.functions.accounts.dotfile import Dotfile
from ai.backend.client.functions.accounts.group import Group
from ai.backend.client.functions.accounts.keypair import KeyPair
from ai.backend.client.functions.accounts.keypair_resource_policy import KeypairResourcePolicy
from ai.backend.client.functions.accounts.permission import Permission
from ai.backend.client.functions.accounts.resource_policy import ProjectResourcePolicy, UserResourcePolicy
from ai.backend.client.functions.accounts.user import User
from ai.backend.client.functions.base import BaseFunction
from ai.backend.client.functions.cluster.admin import Admin
from ai.backend.client.functions.cluster.agent import Agent, AgentWatcher
from ai.backend.client.functions.cluster.background_task import BackgroundTask
from ai.backend.client.functions.cluster.etcd import EtcdConfig
from ai.backend.client.functions.cluster.image import Image
from ai.backend.client.functions.cluster.manager import Manager
from ai.backend.client.functions.cluster.resource import Resource
from ai.backend.client.functions.cluster.scaling_group import ScalingGroup
from ai.backend.client.functions.cluster.server_log import ServerLog
from ai.backend.client.functions.cluster.storage import QuotaScope, Storage
from ai.backend.client.functions.cluster.system import System
from ai.backend.client.functions.compute.kernel import ComputeSession, Kernel
from ai.backend.client.functions.compute.service import Service
from ai.backend.client.functions.compute.session_template import ClusterTemplate, SessionTemplate
from ai.backend.client.functions.folders.model import Model
from ai.backend.client.functions.folders.vfolder import VFolder

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
