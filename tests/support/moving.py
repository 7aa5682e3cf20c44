"""What tests that move files have in common."""

from __future__ import annotations

import collections
import functools
import inspect
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.servers.storage import StorageServer, folder
from support.waiting import until

KIB, MIB = 1 << 10, 1 << 20
CHUNK = 256 * KIB
"""Of uploads in tests, so that a small file takes several."""


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def leftovers(path: Path) -> list[str]:
    """Hidden files of unfinished downloads."""
    return sorted(found.name for found in path.rglob(".backendai-*"))


def told_progress(
    move: Callable[..., Any], sizes: dict[str, int], **options: Any
) -> list[list[tuple[int, int | None]]]:
    """Move files of these sizes with a hook, wait until the end of each was told, and return what was told of each."""
    told: dict[str, list[tuple[int, int | None]]] = collections.defaultdict(list)
    move(list(sizes), on_progress=lambda path, done, total: told[path].append((done, total)), **options)
    ends = {name: (size, size) for name, size in sizes.items()}
    until(lambda: {name: reports[-1] for name, reports in told.items()} == ends, "the end of every file is told")
    return list(told.values())


def in_session(test: Callable[..., None]) -> Callable[..., None]:
    """Open a session around a test, in the runtime's home.

    The test may ask for `session`, and for `upload` and `download`: the functions of the virtual folder, called as
    this runtime does, uploads with small chunks.
    """
    wanted = inspect.signature(test).parameters

    def run(runtime: Any, storage: StorageServer, make_config: Any, **fixtures: Any) -> None:
        with runtime.session(make_config(storage, read_timeout=10)) as session:

            def upload(*args: Any, **options: Any) -> Any:
                return runtime.value(lambda: folder(session).upload(*args, **{"chunk_size": CHUNK, **options}))

            def download(*args: Any, **options: Any) -> Any:
                return runtime.value(lambda: folder(session).download(*args, **options))

            given = {"session": session, "upload": upload, "download": download, **fixtures}
            given |= {"runtime": runtime, "storage": storage, "make_config": make_config}
            test(**{name: given[name] for name in wanted})

    functools.update_wrapper(run, test)
    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would look at its parameters
    names = dict.fromkeys(["runtime", "storage", "make_config", *wanted])
    shown = [name for name in names if name not in ("session", "upload", "download")]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    run.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in shown])  # type: ignore[attr-defined]  # pytest reads it
    return run
