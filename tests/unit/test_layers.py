"""The house: imports only go down the floors, and who may use what is proved by reading the source.

A *floor* is one of our packages, a *room* a folder or a single module in it. Rooms have floors of their own.
"""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ai.backend.client._aliases import PACKAGE, REEXPORTS
from support.waiting import LIMIT

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("client", "actors", "functions", "sessions")
MAY_IMPORT = {
    "client": {"client"},
    "actors": {"actors"},
    "functions": {"client", "actors", "functions"},
    "sessions": {"client", "actors", "functions", "sessions"},
}
NAMES_ONLY = "client/session.py"
"""Names only: it may look up, and nothing of ours may import it."""
RUNTIME_ONLY = {"gevent", "greenlet", "threading", "_thread", "queue"}
"""Only the runtime (`actors/`) spawns, locks or waits."""
FORBIDDEN = {
    "client": RUNTIME_ONLY | {"asyncio", "socket", "select", "pykka", "urllib3"},
    "actors": {"requests", "urllib3", "http"},
    "functions": RUNTIME_ONLY | {"asyncio", "socket", "select", "ssl", "pykka", "requests", "urllib3"},
    "sessions": RUNTIME_ONLY | {"pykka"},
}
REST = "*"
"""Every room of a package that is not named."""
ROOMS = {
    "functions": (
        ("base",),
        ("toolkit", "streams"),
        ("server",),
        ("transfer",),
        ("compute", "folders", "accounts", "cluster"),
        ("__init__",),
    ),
    "sessions": (("locating",), ("wire",), ("streams",), (REST,)),
    "tools/sandbox": (("core",), ("accounts", "folders"), ("sessions",), ("graphql",), (REST,)),
}
"""The floors inside a package, from the ground up. Folders of one floor do not know each other; modules of it may."""
UPWARD = {
    "functions/base.py": ("functions.server", "Server"),  # what every proxy carries, and the session makes
    "tools/sandbox/core/state.py": ("sandbox.sessions.lifecycle", "Kernels"),  # the one state that all handlers share
}
"""Modules that name the type of what they are handed, and load nothing of it."""

MOST_MODULES = 20
"""In a folder; beyond, some of them have a reason in common, which is the name of a folder."""
MOST_ALIKE = 3
"""Files of a folder whose names begin with the same words; four are a folder of that name."""
HOUSE = ("client", "actors", "functions", "sessions", "tools/sandbox", "tests")


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` with an empty name."""

    module: str
    name: str
    line: int
    typing_only: bool


@functools.cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import of a file, those inside functions too."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        lazy = id(node) in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import("." * node.level + (node.module or ""), alias.name, node.lineno, lazy)


def floor_of(imported: Import) -> str | None:
    """Which of our packages an import reaches; None for anybody else's."""
    if imported.module != PACKAGE and not imported.module.startswith(PACKAGE + "."):
        return None
    below = f"{imported.module}.{imported.name}".removeprefix(PACKAGE + ".").split(".")[0]
    return below if below in FOLDERS else "client"


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    if folder == "tools":
        folder, *rest = rest
    parts = ([] if folder == "client" else [folder]) + [part for part in rest if part != "__init__"]
    return ".".join([PACKAGE, *parts])


every_module = pytest.mark.parametrize("path", sources(*FOLDERS), ids=relative)
every_module_below_the_top = pytest.mark.parametrize(
    "path", [path for path in sources(*FOLDERS) if relative(path) != NAMES_ONLY], ids=relative
)


@every_module_below_the_top
def test_imports_only_go_down(path):
    floor = relative(path).split("/")[0]
    for imported in imports(path):
        target = floor_of(imported)
        if target is None or target in MAY_IMPORT[floor]:
            continue
        allowed = imported.typing_only and imported.name in REEXPORTS.get(module_name(path), {})
        assert allowed, f"{relative(path)}:{imported.line} imports {imported.module} from above"


def room_of(package: str, path: Path) -> tuple[int, str]:
    """The floor inside its package that a module is on, and its room there."""
    room, *inside = path.relative_to(ROOT / package).parts
    room = room if inside else path.stem
    named = {name: floor for floor, names in enumerate(ROOMS[package]) for name in names}
    assert room in named or REST in named, f"{relative(path)}: its room is on no floor"
    return named.get(room, named.get(REST, 0)), f"{room}/" if inside else room


def upward(package: str) -> Iterator[tuple[Path, Import]]:
    """Every import of a package that reaches a higher floor of it, or another folder of the same one."""
    modules = {module_name(path): path for path in sources(package)}
    for path in modules.values():
        floor, room = room_of(package, path)
        for imported in imports(path):
            target = modules.get(f"{imported.module}.{imported.name}") or modules.get(imported.module)
            if target is None:
                continue
            below, other = room_of(package, target)
            if below > floor or (below == floor and room != other and (room[-1] == "/" or other[-1] == "/")):
                yield path, imported


@pytest.mark.parametrize("package", ROOMS)
def test_imports_only_go_down_from_room_to_room(package):
    for path, imported in upward(package):
        allowed = imported.typing_only and UPWARD.get(relative(path)) == (
            imported.module.removeprefix(PACKAGE + "."),
            imported.name,
        )
        assert allowed, f"{relative(path)}:{imported.line} imports {imported.module} from above, or from next door"


def test_no_exception_outlives_its_reason():
    assert {relative(path) for package in ROOMS for path, _ in upward(package)} == UPWARD.keys()


folders = sorted({path.parent for path in sources(*HOUSE)})
every_folder = pytest.mark.parametrize("folder", folders, ids=relative)


@every_folder
def test_a_folder_can_be_overlooked(folder):
    modules = [path for path in folder.glob("*.py") if path.stem != "__init__"]
    assert len(modules) <= MOST_MODULES
    has_rooms = any(other.parent == folder for other in folders)
    assert has_rooms or len(modules) > 1, f"{relative(folder)} holds one module: it belongs one folder up"


@every_folder
def test_names_that_begin_alike_are_a_folder(folder):
    beginnings = Counter[str]()
    for path in folder.glob("*.py"):
        words = path.stem.removeprefix("test_").strip("_").split("_")
        beginnings.update("_".join(words[:count]) for count in range(1, len(words)))
    assert {beginning for beginning, files in beginnings.items() if files > MOST_ALIKE} == set()


@every_module
def test_only_a_module_s_own_names_are_looked_up_on_the_top(path):
    """Inside of its functions that would be an import from above which nobody sees."""
    tree = ast.parse(path.read_text("utf-8"))
    allowed = {
        id(node)
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name == "__getattr__"
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "resolve":
            assert id(node) in allowed, f"{relative(path)}:{node.lineno}"


@every_module_below_the_top
def test_nothing_of_ours_imports_the_top(path):
    for imported in imports(path):
        assert f"{imported.module}.{imported.name}".rstrip(".") != f"{PACKAGE}.session", (
            f"{relative(path)}:{imported.line}"
        )
        assert imported.module != f"{PACKAGE}.session", f"{relative(path)}:{imported.line}"


@every_module
def test_a_floor_uses_only_what_it_is_for(path):
    floor = relative(path).split("/")[0]
    for imported in imports(path):
        top = imported.module.split(".")[0]
        if not imported.typing_only:
            assert top not in FORBIDDEN[floor], f"{relative(path)}:{imported.line} imports {imported.module}"


@every_module
def test_imports_are_absolute(path):
    assert [imported for imported in imports(path) if imported.module.startswith(".")] == []


@pytest.mark.parametrize("path", sources(*FOLDERS, "tests", "tools"), ids=relative)
def test_no_folder_is_imported_by_its_bare_name(path):
    """That would be a second copy of the package."""
    for imported in imports(path):
        assert imported.module.split(".")[0] not in FOLDERS, (
            f"{relative(path)}:{imported.line} imports {imported.module}"
        )


def test_no_folder_is_importable_by_its_bare_name_in_the_tests():
    assert [name for name in FOLDERS if name in sys.modules] == []


def test_the_top_holds_names_only():
    tree = ast.parse((ROOT / NAMES_ONLY).read_text("utf-8"))
    for node in tree.body:
        names_only = isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.If)
        names_only = names_only or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        names_only = names_only or (isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__"))
        assert names_only, f"{NAMES_ONLY}:{node.lineno}: {ast.unparse(node)[:60]}"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in REEXPORTS.items() for name in names])
def test_every_name_of_the_top_resolves(module, name):
    found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(REEXPORTS[module][name]), name)


@pytest.mark.parametrize("module", list(REEXPORTS))
def test_a_name_that_is_not_in_the_table_is_an_attribute_error(module):
    with pytest.raises(AttributeError, match="NoSuchName"):
        importlib.import_module(module).NoSuchName  # noqa: B018  # it raises


def loaded_by(*modules: str) -> set[str]:
    """What is in `sys.modules` after importing these in a fresh interpreter."""
    source = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", source], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    return set(run.stdout.split())


def ours(loaded: set[str], folder: str) -> list[str]:
    return [name for name in loaded if name == f"{PACKAGE}.{folder}" or name.startswith(f"{PACKAGE}.{folder}.")]


def test_importing_the_ground_floor_loads_nothing_above_it():
    ground = [module_name(path) for path in sources("client") if relative(path) != NAMES_ONLY]
    loaded = loaded_by(*ground)
    assert [ours(loaded, folder) for folder in ("actors", "functions", "sessions")] == [[], [], []]
    assert loaded & {"gevent", "pykka"} == set()


def test_importing_the_runtime_loads_nothing_above_it():
    loaded = loaded_by(*(module_name(path) for path in sources("actors")))
    assert [ours(loaded, folder) for folder in ("functions", "sessions")] == [[], []]
    assert loaded & {"requests", "urllib3"} == set()


def test_importing_the_functions_loads_no_session():
    loaded = loaded_by(*(module_name(path) for path in sources("functions")))
    assert ours(loaded, "sessions") == []


def test_importing_everything_patches_and_starts_nothing():
    modules = [module_name(path) for path in sources(*FOLDERS)]
    source = (
        f"import os, sys, {', '.join(modules)}\n"
        "from gevent import monkey\n"
        "print([name for name in ('socket', 'threading', 'ssl', 'time') if monkey.is_module_patched(name)])\n"
        "print(len(os.listdir('/proc/self/task')))\n"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", source], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert run.stdout.split("\n")[:2] == ["[]", "1"]


def test_the_installed_modules_are_those_of_the_tree():
    """Editable or built: the tests test this tree, and all of it."""
    for path in sources(*FOLDERS):
        module = importlib.import_module(module_name(path))
        assert module.__file__ is not None
        assert Path(module.__file__).read_bytes() == path.read_bytes(), module.__name__
