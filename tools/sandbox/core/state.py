"""What one running sandbox shares: database, folder, keys, events, compute sessions."""

from __future__ import annotations

import datetime
import secrets
import sqlite3
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session as Database
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool

from ai.backend.client.sandbox.core import model, seed
from ai.backend.client.sandbox.core.events import EventHub
from ai.backend.client.sandbox.core.faults import Fault
from ai.backend.client.sandbox.core.tasks import Tasks

if TYPE_CHECKING:
    from ai.backend.client.sandbox.sessions.lifecycle import Kernels

V4: Final = "v4.20190615"
V7: Final = "v7.20230615"
V9: Final = "v9.20250722"
RELEASES: Final = {V4: "19.09.27", V7: "23.09.10", V9: "26.9.6"}
"""API version that is served → release of the manager that it is modelled on."""
DEFAULT: Final = V7

ACCEPTED: Final = {
    V4: frozenset(
        {"v1.20160915", "v2.20170315", "v3.20170615", "v4.20181215", "v4.20190115", "v4.20190315", "v4.20190615"}
    ),
    V7: frozenset(
        {
            "v4.20181215", "v4.20190115", "v4.20190315", "v4.20190615", "v5.20191215", "v6.20200815", "v6.20210815",
            "v6.20220315", "v6.20220615", "v6.20230315", "v7.20230615",
        }
    ),
    V9: frozenset(
        {
            "v4.20181215", "v4.20190115", "v4.20190315", "v4.20190615", "v5.20191215", "v6.20200815", "v6.20220315",
            "v6.20220615", "v6.20221201", "v6.20230315", "v7.20230615", "v8.20240315", "v8.20240915", "v9.20250722",
        }
    ),
}  # fmt: skip
"""API version that is served → what the version header may say."""

MAX_RECALLED: Final = 10000
"""Answers of look-ups that are kept."""

Found = TypeVar("Found")
What = TypeVarTuple("What")


@dataclass(frozen=True)
class Settings:
    """What a sandbox is started with.

    Attributes:
        api: The protocol generation: a key of :data:`RELEASES`.
        folder: Where everything is kept.
        mark: Value of an environment variable that every process of every session has.
        faults: What goes wrong, and how often.
        exec_timeout: Seconds after which a run ends in ``exec-timeout``; 0 means never.
        rate_limit: Calls per 15 minutes and key.
        is_public: Whether other machines may come.
    """

    api: str
    folder: Path
    mark: str
    faults: tuple[Fault, ...] = ()
    exec_timeout: float = 0.0
    rate_limit: int = 30000
    is_public: bool = False


@dataclass
class Sandbox:
    """The state behind the handlers. Database blocks never wait, so they cannot interleave."""

    settings: Settings
    databases: sessionmaker[Database]
    accounts: dict[str, seed.Account]
    kernels: Kernels = field(init=False)
    tasks: Tasks = field(init=False)
    events: EventHub = field(default_factory=EventHub)
    token_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    status: str = "running"
    endpoint: str = ""
    started_at: datetime.datetime = field(default_factory=model.now)
    queries_of: Callable[[str], int] = lambda _access_key: 0
    _recalled: dict[Hashable, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tasks = Tasks(self.events)

    @property
    def v4(self) -> bool:
        """Whether it serves the names of 19.09."""
        return self.settings.api == V4

    @property
    def v9(self) -> bool:
        """Whether it behaves as 26.9: typed parameters, wrapped GraphQL, a trash for folders."""
        return self.settings.api == V9

    @property
    def folders(self) -> Path:
        """Where the content of virtual folders is."""
        return self.settings.folder / "vfolders"

    @contextmanager
    def read(self) -> Iterator[Database]:
        """Look something up. Objects stay usable after the block."""
        with self.databases() as database:
            yield database

    @contextmanager
    def write(self) -> Iterator[Database]:
        """Change something: kept when the block ends, forgotten when it raises."""
        try:
            with self.databases.begin() as database:
                yield database
        finally:
            self._recalled.clear()

    def recall(self, look_up: Callable[[Database, *What], Found], *what: *What) -> Found:
        """What a look-up finds; the database is asked only if something was written since the last time.

        A query costs three times as much as everything else about a small call (``tools/bench/sandbox``).

        Args:
            look_up: Gets the database and ``what``. Nobody may change what it returns.
            *what: What to look up.

        Raises:
            Problem: What ``look_up`` raises; that is not remembered.
        """
        key = (look_up, *what)
        found: Found
        try:
            found = self._recalled[key]
        except KeyError:
            with self.read() as database:
                found = look_up(database, *what)
            if len(self._recalled) >= MAX_RECALLED:
                self._recalled.clear()
            self._recalled[key] = found
        return found


def new_sandbox(settings: Settings) -> Sandbox:
    """An empty sandbox in the folder of the settings."""
    for name in ("vfolders", "sessions", "uploads"):
        (settings.folder / name).mkdir(parents=True)
    # One connection: database blocks never overlap.
    engine = create_engine(f"sqlite:///{settings.folder / 'state.sqlite'}", poolclass=StaticPool)
    event.listen(engine, "connect", _prepare)
    model.Base.metadata.create_all(engine)
    databases = sessionmaker(engine, expire_on_commit=False)
    with databases.begin() as database:
        accounts = seed.fill(database, settings.rate_limit, v9=settings.api == V9)
    return Sandbox(settings, databases, accounts)


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The file lives as long as the process: nothing has to survive a crash.
    for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "case_sensitive_like=ON"):
        connection.execute(f"PRAGMA {pragma}")
