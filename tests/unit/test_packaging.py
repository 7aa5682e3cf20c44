"""What is shipped: the folders, all of them and nothing else, under names that are written down here."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ai.backend
import ai.backend.client

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "ai/backend/client": "client",
    "ai/backend/client/actors": "actors",
    "ai/backend/client/functions": "functions",
    "ai/backend/client/sessions": "sessions",
    "ai/backend/client/sandbox": "tools/sandbox",
}
DISTRIBUTION = "backend.ai-actor-client"

PUBLIC = {
    "ai.backend.client": [
        "APIConfig",
        "AsyncSession",
        "BackendAPIError",
        "BackendAPIVersionError",
        "BackendClientError",
        "BackendError",
        "BaseSession",
        "InvalidArgument",
        "Request",
        "Response",
        "Session",
        "__version__",
        "get_config",
        "get_user_agent",
        "set_config",
    ],
    "ai.backend.client.session": ["AsyncSession", "BaseSession", "Session", "api_session", "is_legacy_server"],
    "ai.backend.client.auth": [
        "Auth",
        "AuthToken",
        "AuthTokenTypes",
        "authorization",
        "body_hash",
        "day_key",
        "generate_signature",
        "host_header",
        "redact_url",
        "sign",
    ],
    "ai.backend.client.progress": ["ProgressBar", "ProgressListener", "listener"],
    "ai.backend.client.config": [
        "API_VERSION",
        "APIConfig",
        "DEFAULT_CHUNK_SIZE",
        "MAX_INFLIGHT_CHUNKS",
        "MIN_API_VERSION",
        "bool_env",
        "get_config",
        "get_env",
        "local_cache_path",
        "local_state_path",
        "parse_api_version",
        "set_config",
    ],
    "ai.backend.client.exceptions": [
        "APIVersionWarning",
        "ActorCrashed",
        "BackendAPIError",
        "BackendAPIVersionError",
        "BackendClientError",
        "BackendError",
        "CallTimeout",
        "ConnectTimeout",
        "ConnectionFailed",
        "ConnectionLost",
        "DeadlineExceeded",
        "InvalidArgument",
        "InvalidReply",
        "NeverSent",
        "NoItems",
        "Overloaded",
        "ProtocolError",
        "ReadTimeout",
        "SessionClosed",
        "SourceChanged",
        "StreamClosed",
        "TLSError",
        "TargetExists",
        "TransferError",
    ],
    "ai.backend.client.request": [
        "AsyncResponse",
        "AttachedFile",
        "ExtendedJSONEncoder",
        "FetchContextManager",
        "Request",
        "RequestContent",
        "Response",
        "segment",
    ],
    "ai.backend.client.helper": ["is_admin"],
    "ai.backend.client.sandbox": ["Sandbox", "SandboxError"],
    "ai.backend.client.types": ["Sentinel", "Undefined", "sentinel", "set_if_set", "undefined"],
    "ai.backend.client.utils": ["ProgressReportingReader"],
    "ai.backend.client.versioning": [
        "API_VERSION",
        "ApiVersion",
        "KNOWN_VERSIONS",
        "MIN_API_VERSION",
        "NEWEST_RELEASE",
        "Negotiated",
        "Release",
        "apply_version_aware_fields",
        "format_api_version",
        "get_id_or_name",
        "get_naming",
        "negotiate",
        "parse_api_version",
        "parse_release",
        "release_of",
    ],
    "ai.backend.client.functions": [
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
        "PROXIES",
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
    ],
}
"""What users may import, module by module. A name that goes from here breaks somebody's program."""


def in_tree():
    """The files that have to be shipped: path in the package → path in the repository."""
    return {
        f"{target}/{path.relative_to(ROOT / folder)}": path
        for target, folder in FOLDERS.items()
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".graphql") or path.name == "py.typed"
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The content of the wheel, from a copy of the tree in which an earlier build left what is gone by now."""
    pytest.importorskip("setuptools")
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    stale = copy / "build" / "lib" / "ai" / "backend" / "client" / "gone.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    for name in (*FOLDERS.values(), "tests", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    # The step of a wheel's making that takes everything there is below the build folder.
    command = [sys.executable, "setup.py", "-q", "install_lib", "--no-compile", "--install-dir", str(out)]
    run = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    assert [path for path in (copy / "build").rglob("*") if path.is_file()] == [stale]
    return out


def test_the_wheel_holds_the_folders_byte_by_byte_and_nothing_else(built):
    found = {str(path.relative_to(built)): path for path in built.rglob("*") if path.is_file()}
    expected = in_tree()
    assert found.keys() == expected.keys()
    for name, path in expected.items():
        assert found[name].read_bytes() == path.read_bytes(), name


def test_the_wheel_says_that_it_is_typed(built):
    assert (built / "ai/backend/client/py.typed").is_file()


def test_the_wheel_leaves_the_namespaces_to_others(built):
    assert not (built / "ai/__init__.py").exists()
    assert not (built / "ai/backend/__init__.py").exists()


def test_every_folder_that_holds_modules_is_a_package():
    """Without an `__init__.py` it would be missing from the wheel."""
    for folder in FOLDERS.values():
        inside = {path.parent for path in (ROOT / folder).rglob("*.py")}
        assert [path for path in inside if not (path / "__init__.py").exists()] == []


def test_the_namespaces_are_namespaces_here_too():
    for package in (ai, ai.backend):
        assert package.__file__ is None


def test_what_is_installed_is_the_tree():
    for target in FOLDERS:
        module = importlib.import_module(target.replace("/", "."))
        assert Path(module.__file__).read_bytes() == (ROOT / FOLDERS[target] / "__init__.py").read_bytes()
        assert module.__name__ == target.replace("/", ".")


def test_the_version_is_written_once():
    assignments = []
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Assign) and any(
                    ast.unparse(target) == "__version__" for target in node.targets
                ):
                    assignments.append((path.name, ast.literal_eval(node.value)))
    assert assignments == [("_version.py", ai.backend.client.__version__)]
    assert importlib.metadata.version(DISTRIBUTION) == ai.backend.client.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(a|b|rc|dev|post)\d+)?", ai.backend.client.__version__)


def test_what_the_distribution_needs_is_in_ranges_and_not_pinned():
    needed = [line for line in importlib.metadata.requires(DISTRIBUTION) if "extra ==" not in line]
    names = {re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in needed}
    assert names >= {"pykka", "requests", "urllib3", "gevent", "structlog"}
    assert not any("==" in line for line in needed)
    metadata = importlib.metadata.metadata(DISTRIBUTION)
    assert metadata["Requires-Python"] == ">=3.11"


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_offers_exactly_what_is_written_down(module):
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(PUBLIC[module])
    for name in found.__all__:
        assert getattr(found, name) is not None, name
