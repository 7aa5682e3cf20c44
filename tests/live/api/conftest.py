"""What the scenarios share: who calls, and from where."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.session import Session
from support.runtimes.calling import RUNTIMES, Runtime, is_patched
from support.runtimes.driver import driving
from support.team import Member, Team, founded, remove_sessions


@pytest.fixture(params=[] if is_patched() else ["thread", "asyncio", "gevent"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """The kinds of callers that the table of coverage has; the main job runs in the others, too."""
    return RUNTIMES[request.param]()


@pytest.fixture(scope="session")
def _team() -> Iterator[Team]:
    with founded(APIConfig()) as team:
        yield team


@pytest.fixture
def team(_team: Team) -> Team:
    """A domain admin, users, and a group of theirs."""
    return _team


@pytest.fixture
def tokens(team: Team, live_config: Callable[..., Any]) -> Iterator[Callable[[], str]]:
    """Names for compute sessions; whatever the team still runs at the end of the test is destroyed."""
    yield lambda: f"live-{secrets.token_hex(6)}"
    with Session(config=live_config()) as admin:
        for member in (team.chief, team.anna, team.bob):
            remove_sessions(admin, member)


@pytest.fixture
def driven(runtime: Runtime, live_config: Callable[..., Any]) -> Callable[..., Any]:
    """Open sessions: `with driven() as admin`, `with driven(team.anna, team.bob) as (anna, bob)`; None: superadmin."""

    def make(*people: Member | None) -> contextlib.AbstractContextManager[Any]:
        configs = [live_config() if person is None else person.config() for person in people or (None,)]
        return driving(runtime, *configs)

    return make


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """Names that nothing on the cluster has: `fresh("domain")`."""
    return lambda kind: f"{kind}-{secrets.token_hex(4)}"
