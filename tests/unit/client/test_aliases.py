"""Every name of the vendor's client that programs import, under the path where they import it."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys

import pytest

from ai.backend.client._aliases import ALIASES, PACKAGE
from support.waiting import LIMIT

# 19.09: module → names
OLD = {
    "": ("BackendError BackendAPIError BackendClientError BaseSession Session AsyncSession __version__ get_user_agent"),
    "session": "BaseSession Session AsyncSession is_legacy_server",
    "config": ("get_config set_config APIConfig get_env bool_env DEFAULT_CHUNK_SIZE local_state_path local_cache_path"),
    "exceptions": "BackendError BackendAPIError BackendClientError",
    "request": (
        "Request Response AttachedFile RequestContent ExtendedJSONEncoder FetchContextManager WebSocketResponse "
        "WebSocketContextManager SSEResponse SSEContextManager"
    ),
    "auth": "Auth AuthToken AuthTokenTypes generate_signature",
    "base": "APIFunctionMeta BaseFunction api_function",
    "compat": "token_bytes token_hex current_loop all_tasks asyncio_run asyncio_run_forever",
    "helper": "is_admin",
    "kernel": "Kernel StreamPty",
    "admin": "Admin",
    "agent": "Agent AgentWatcher",
    "domain": "Domain",
    "etcd": "EtcdConfig",
    "group": "Group",
    "image": "Image",
    "keypair": "KeyPair",
    "keypair_resource_policy": "KeypairResourcePolicy",
    "manager": "Manager",
    "resource": "Resource",
    "scaling_group": "ScalingGroup",
    "user": "User",
    "vfolder": "VFolder",
    "cli.pretty": "ProgressReportingReader",
}
# 20.03 to 23.09
LATER = {
    "func.acl": "Permission",
    "func.admin": "Admin",
    "func.agent": "Agent AgentWatcher",
    "func.auth": "Auth",
    "func.base": "APIFunctionMeta BaseFunction api_function",
    "func.bgtask": "BackgroundTask",
    "func.domain": "Domain",
    "func.dotfile": "Dotfile",
    "func.etcd": "EtcdConfig",
    "func.group": "Group",
    "func.image": "Image",
    "func.keypair": "KeyPair",
    "func.keypair_resource_policy": "KeypairResourcePolicy",
    "func.manager": "Manager",
    "func.model": "Model",
    "func.resource": "Resource",
    "func.scaling_group": "ScalingGroup",
    "func.server_log": "ServerLog",
    "func.service": "Service",
    "func.session": "ComputeSession InferenceSession StreamPty",
    "func.session_template": "SessionTemplate",
    "func.storage": "Storage",
    "func.system": "System",
    "func.user": "User UserRole UserStatus",
    "func.vfolder": "VFolder",
    "versioning": "get_naming get_id_or_name apply_version_aware_fields",
    "types": "Sentinel Undefined sentinel undefined set_if_set",
    "utils": "ProgressReportingReader",
    "pagination": "execute_paginated_query generate_paginated_results fetch_paginated_result MAX_PAGE_SIZE",
    "output.fields": (
        "agent_fields domain_fields group_fields image_fields keypair_fields keypair_resource_policy_fields "
        "scaling_group_fields session_fields container_fields storage_fields user_fields vfolder_fields "
        "permission_fields service_fields routing_fields"
    ),
    "output.types": "FieldSpec FieldSet PaginatedResult",
    "exceptions": "APIVersionWarning NoItems BackendAPIVersionError",
    "config": "parse_api_version API_VERSION MIN_API_VERSION MAX_INFLIGHT_CHUNKS",
    "session": "api_session",
}
NAMES = [
    (f"{PACKAGE}.{module}".rstrip("."), name)
    for names in (OLD, LATER)
    for module, text in names.items()
    for name in text.split()
]
LEFT_OUT = {
    "load_balancing": "never connected to anything in the vendor's client; here endpoints are chosen by their health",
}
"""Modules of the vendor's client that programs might import and do not find here, and why."""


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_name_imports(module, name) -> None:
    scope: dict[str, object] = {}
    exec(f"from {module} import {name}", scope)
    assert scope[name] is getattr(importlib.import_module(module), name)


def test_a_proxy_is_one_class_under_all_its_paths() -> None:
    import ai.backend.client.func.session as later
    from ai.backend.client import functions
    from ai.backend.client.kernel import Kernel

    assert Kernel is later.ComputeSession is functions.Kernel


@pytest.mark.parametrize("path", ALIASES)
def test_the_table_names_what_exists(path) -> None:
    module = importlib.import_module(f"{PACKAGE}.{path}")
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)


@pytest.mark.parametrize("path", [path for path in ALIASES if ALIASES[path]])
def test_a_star_import_takes_all_names(path) -> None:
    scope: dict[str, object] = {}
    exec(f"from {PACKAGE}.{path} import *", scope)
    assert scope.keys() >= set(importlib.import_module(f"{PACKAGE}.{path}").__all__)


@pytest.mark.parametrize("path", ALIASES)
def test_no_file_is_shadowed(path) -> None:
    """A module of this package has its path for itself."""
    from pathlib import Path

    import ai.backend.client

    below = Path(ai.backend.client.__file__).parent / path.replace(".", "/")
    assert not below.with_suffix(".py").exists()


def test_unknown_names_and_modules_are_import_errors() -> None:
    with pytest.raises(ImportError, match="NoSuchName"):
        from ai.backend.client.kernel import NoSuchName  # noqa: F401  # it raises
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(f"{PACKAGE}.kernel").no_such_name  # noqa: B018  # it raises
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module(f"{PACKAGE}.func.no_such_module")
    with pytest.raises(ModuleNotFoundError, match="not a package"):
        importlib.import_module(f"{PACKAGE}.kernel.below")


@pytest.mark.parametrize("module", LEFT_OUT)
def test_what_is_left_out_is_not_found(module) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{PACKAGE}.{module}")


def test_classes_are_pickled_under_their_home() -> None:
    from ai.backend.client.func.vfolder import VFolder

    assert pickle.loads(pickle.dumps(VFolder)) is VFolder
    assert VFolder.__module__ == f"{PACKAGE}.functions.folders.vfolder"


def test_modules_have_specifications() -> None:
    spec = importlib.util.find_spec(f"{PACKAGE}.func.session")
    assert spec is not None
    assert spec.name == f"{PACKAGE}.func.session"


@pytest.mark.parametrize(
    "source",
    [
        "from ai.backend.client.kernel import Kernel",
        "import ai.backend.client.func.session as s; s.ComputeSession",
        "import ai.backend.client.func.session; ai.backend.client.func.session.ComputeSession",
        "from ai.backend.client.func import session; session.ComputeSession",
        "from ai.backend.client import kernel; kernel.Kernel",
        "import importlib; importlib.import_module('ai.backend.client.func.user').User",
        "from ai.backend.client.output.fields import *; agent_fields['id']",
        "from ai.backend.client.compat import token_hex; assert len(token_hex(4)) == 8",
    ],
)
def test_in_a_fresh_interpreter(source) -> None:
    """As the first thing that is imported."""
    run = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", source], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert run.returncode == 0, run.stderr


def test_pitfall_the_package_can_be_star_imported() -> None:
    """19.09 has a list of tuples there, and fails."""
    scope: dict[str, object] = {}
    exec(f"from {PACKAGE} import *", scope)
    assert scope.keys() >= set(OLD[""].split())


def test_pitfall_objects_are_instances_of_the_imported_class() -> None:
    """In 19.09 they are not, and `vars()` of them fails."""
    from ai.backend.client.config import APIConfig
    from ai.backend.client.kernel import Kernel
    from ai.backend.client.session import Session

    session = Session(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    kernel = session.Kernel("mine")
    assert isinstance(kernel, Kernel)
    assert vars(kernel)["kernel_id"] == "mine"
    assert kernel.session is session


def test_pitfall_importing_a_proxy_imports_no_command_line() -> None:
    source = (
        "import sys; from ai.backend.client.kernel import Kernel; from ai.backend.client.vfolder import VFolder; "
        "print(*(sys.modules.keys() & {'click', 'tabulate', 'tqdm', 'aiohttp', 'yarl'}))"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", source], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert run.stdout.split() == []


def test_importing_the_package_imports_no_home() -> None:
    source = (
        "import sys, ai.backend.client.func.session, ai.backend.client.kernel; "
        "print(*[name for name in sys.modules if name.startswith('ai.backend.client.functions')])"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", source], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert run.stdout.split() == []
