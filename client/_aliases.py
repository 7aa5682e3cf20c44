"""Names that have another home: import paths of the vendor's client, and what ground modules re-export from above.

:data:`ALIASES` is one table of import paths, for 19.09 and for later releases.

``from ai.backend.client.kernel import Kernel`` and ``import ai.backend.client.func.session`` find modules that are made
from the table when ``ai.backend.client`` is first imported. They hold nothing: each name is looked up in its home, and
the home is imported, when the name is first asked for.

Modules whose path is the same here (``auth``, ``config``, ``exceptions``, ``helper``, ``request``, ``session``,
``types``, ``utils``, ``versioning``) are ordinary files and not in the table. Left out on purpose, as parts of the
vendor's program rather than of its interface: ``load_balancing`` (never connected to anything; here endpoints are
chosen by their health, see ``sessions/wire/endpoints.py``), and whatever prints (``cli``, formatters and output
handlers).

:data:`REEXPORTS` are names of ground modules that live on a higher floor. Users import them from here
(``from ai.backend.client.auth import Auth``), as with the vendor's client; the modules themselves must not import
upwards. They resolve on first use.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

PACKAGE: Final = "ai.backend.client"

ALIASES: Final[Mapping[str, Mapping[str, str]]] = {
    # 19.09
    "admin": {".functions.cluster.admin": "Admin"},
    "agent": {".functions.cluster.agent": "Agent AgentWatcher"},
    "base": {".functions.base": "BaseFunction api_function", "builtins": "APIFunctionMeta=type"},
    "cli": {},
    "cli.pretty": {".utils": "ProgressReportingReader"},
    "compat": {
        "secrets": "token_bytes token_hex",
        "asyncio": "all_tasks asyncio_run=run current_loop=get_running_loop",
        ".sessions.forever": "asyncio_run_forever",
    },
    "domain": {".functions.accounts.domain": "Domain"},
    "etcd": {".functions.cluster.etcd": "EtcdConfig"},
    "group": {".functions.accounts.group": "Group"},
    "image": {".functions.cluster.image": "Image"},
    "kernel": {".functions.compute.kernel": "Kernel", ".functions.compute.sockets": "StreamPty"},
    "keypair": {".functions.accounts.keypair": "KeyPair"},
    "keypair_resource_policy": {".functions.accounts.keypair_resource_policy": "KeypairResourcePolicy"},
    "manager": {".functions.cluster.manager": "Manager"},
    "resource": {".functions.cluster.resource": "Resource"},
    "scaling_group": {".functions.cluster.scaling_group": "ScalingGroup"},
    "user": {".functions.accounts.user": "User"},
    "vfolder": {".functions.folders.vfolder": "VFolder"},
    # 20.03 to 23.09
    "func": {},
    "func.acl": {".functions.accounts.permission": "Permission"},
    "func.admin": {".functions.cluster.admin": "Admin"},
    "func.agent": {".functions.cluster.agent": "Agent AgentWatcher"},
    "func.auth": {".functions.accounts.auth": "Auth"},
    "func.base": {".functions.base": "BaseFunction api_function", "builtins": "APIFunctionMeta=type"},
    "func.bgtask": {".functions.cluster.background_task": "BackgroundTask"},
    "func.domain": {".functions.accounts.domain": "Domain"},
    "func.dotfile": {".functions.accounts.dotfile": "Dotfile"},
    "func.etcd": {".functions.cluster.etcd": "EtcdConfig"},
    "func.group": {".functions.accounts.group": "Group"},
    "func.image": {".functions.cluster.image": "Image"},
    "func.keypair": {".functions.accounts.keypair": "KeyPair"},
    "func.keypair_resource_policy": {".functions.accounts.keypair_resource_policy": "KeypairResourcePolicy"},
    "func.manager": {".functions.cluster.manager": "Manager"},
    "func.model": {".functions.folders.model": "Model"},
    "func.resource": {".functions.cluster.resource": "Resource"},
    "func.scaling_group": {".functions.cluster.scaling_group": "ScalingGroup"},
    "func.server_log": {".functions.cluster.server_log": "ServerLog"},
    "func.service": {".functions.compute.service": "Service"},
    "func.session": {
        ".functions.compute.kernel": "ComputeSession",
        ".functions.compute.inference_session": "InferenceSession",
        ".functions.compute.sockets": "StreamPty",
    },
    "func.session_template": {".functions.compute.session_template": "SessionTemplate"},
    "func.storage": {".functions.cluster.storage": "Storage"},
    "func.system": {".functions.cluster.system": "System"},
    "func.user": {".functions.accounts.user": "User", ".functions.accounts.roles": "UserRole UserStatus"},
    "func.vfolder": {".functions.folders.vfolder": "VFolder"},
    "output": {},
    "output.fields": {
        ".functions.toolkit.fields": "agent_fields=AGENT container_fields=CONTAINER domain_fields=DOMAIN "
        "group_fields=GROUP image_fields=IMAGE keypair_fields=KEYPAIR "
        "keypair_resource_policy_fields=KEYPAIR_RESOURCE_POLICY "
        "permission_fields=PERMISSION routing_fields=ROUTING scaling_group_fields=SCALING_GROUP "
        "service_fields=ENDPOINT session_fields=COMPUTE_SESSION storage_fields=STORAGE user_fields=USER "
        "vfolder_fields=VFOLDER",
    },
    "output.types": {".functions.toolkit.fields": "FieldSet FieldSpec", ".functions.toolkit.pages": "PaginatedResult"},
    "pagination": {
        ".functions.toolkit.paginated_query": (
            "execute_paginated_query fetch_paginated_result generate_paginated_results"
        ),
        ".functions.toolkit.pages": "MAX_PAGE_SIZE",
    },
}
"""Old path → home → names, as ``old=new`` where the name differs. A home with a dot in front is one of ours."""


REEXPORTS: Final[Mapping[str, Mapping[str, str]]] = {
    f"{PACKAGE}": {
        "APIConfig": f"{PACKAGE}.config",
        "AsyncSession": f"{PACKAGE}.sessions.facade",
        "BaseSession": f"{PACKAGE}.sessions.facade",
        "Request": f"{PACKAGE}.request",
        "Response": f"{PACKAGE}.request",
        "Session": f"{PACKAGE}.sessions.facade",
        "get_config": f"{PACKAGE}.config",
        "set_config": f"{PACKAGE}.config",
    },
    f"{PACKAGE}.auth": {"Auth": f"{PACKAGE}.functions.accounts.auth"},
    f"{PACKAGE}.request": {
        "SSEContextManager": f"{PACKAGE}.functions.streams.events",
        "SSEMessage": f"{PACKAGE}.functions.streams.events",
        "SSEResponse": f"{PACKAGE}.functions.streams.events",
        "WebSocketContextManager": f"{PACKAGE}.functions.streams.websocket",
        "WebSocketResponse": f"{PACKAGE}.functions.streams.websocket",
    },
}
"""Ground module → public name → module that defines it."""


def resolve(module: str, attribute: str) -> Any:
    """Find a name that a ground module offers and another module defines; for use in a module's ``__getattr__``.

    Args:
        module: Full name of the ground module.
        attribute: The name asked for.

    Returns:
        The object.

    Raises:
        AttributeError: The table has no such name.
    """
    try:
        target = REEXPORTS[module][attribute]
    except KeyError:
        raise AttributeError(f"module {module!r} has no attribute {attribute!r}") from None
    return getattr(importlib.import_module(target), attribute)


class AliasModule(ModuleType):
    """A module under an old path, whose names are looked up when they are asked for.

    Args:
        path: Its full path.
        homes: Home → names, as in :data:`ALIASES`; a module without any is a package.
    """

    def __init__(self, path: str, homes: Mapping[str, str]) -> None:
        super().__init__(path, "Another path of names that have their home elsewhere.")
        self.__spec__ = ModuleSpec(path, None, is_package=not homes)
        if not homes:
            self.__path__: list[str] = []
        self._homes = homes

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            found: Any = list(self._targets())
        else:
            try:
                home, attribute = self._targets()[name]
            except KeyError:
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
            found = getattr(importlib.import_module(home), attribute)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), "__all__", *self._targets()})

    def _targets(self) -> dict[str, tuple[str, str]]:
        """Name → home and name there."""
        targets = {}
        for home, names in self._homes.items():
            for name in names.split():
                old, _, new = name.partition("=")
                targets[old] = (f"{PACKAGE}{home}" if home[0] == "." else home, new or old)
        return targets


def enter_aliases() -> None:
    """Make the modules of the table importable. Called when the package is imported."""
    for path, homes in ALIASES.items():
        full = f"{PACKAGE}.{path}"
        module = sys.modules.setdefault(full, AliasModule(full, homes))
        parent, _, leaf = full.rpartition(".")
        setattr(sys.modules[parent], leaf, module)  # as an import of a submodule does
