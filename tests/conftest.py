"""Fixtures for every test: a quiet environment, servers and configurations for them, and the ways of calling."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The tests' own helpers are the package `support`; nothing else of this repository becomes importable by its bare name.
sys.path.insert(0, str(Path(__file__).parent))

import pytest

from ai.backend.client._current import current_session
from support.runtimes.calling import RUNTIMES, Runtime, available
from support.runtimes.scripts import CLEAN
from support.scheduling import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from support.servers.echo import EchoServer
from support.servers.faults import FaultServer

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Data that was recorded (what calls send, the manager's schema) can be recorded anew."""
    parser.addoption("--update-golden", action="store_true", help="write recorded test data anew instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C works in tests and in what they start, also when the run is in the background of a script."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # inherited by every process that is started from here
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tens of thousands of tests are no garbage: looking through them would make each `gc.collect()` half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether recorded data is to be written anew."""
    update = bool(request.config.getoption("--update-golden"))
    if update and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail("several processes would write the same files: run with `-n 0`")
    return update


@pytest.fixture(autouse=True)
def quiet_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no BACKEND_* variable of the developer's shell reaches a test, unless it is a live one."""
    if request.node.get_closest_marker("live"):
        return
    for name in os.environ:
        if name.upper().startswith(CLEAN):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_current_session() -> None:
    """No fixture that outlives a test, and no test before this one, left its session to the code that runs now."""
    assert current_session() is None, "a `with` block of an earlier session is still open in this context"


@pytest.fixture(scope="session")
def _echo_process() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture
def echo(_echo_process: EchoServer) -> EchoServer:
    """The echo server, its counters at zero."""
    _echo_process.reset()
    return _echo_process


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A fault server of this test's own."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def make_config() -> Callable[..., Any]:
    """Configurations: `make_config(url_or_server, **options)`."""

    def make(endpoint: Any, **options: Any) -> Any:
        from ai.backend.client.config import APIConfig

        url = endpoint if isinstance(endpoint, str) else endpoint.url
        return APIConfig(**{"endpoint": url, "access_key": "AK", "secret_key": "SK", **options})

    return make


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Names that no other test uses: `unique("d50")` is `d50-x17`."""

    def make(orders: str = "") -> str:
        return f"{orders}-x{next(_numbers)}".lstrip("-")

    return make


@pytest.fixture(params=available())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """How the callers run: a test that asks for it runs once per way of calling (see `support.runtimes.calling`)."""
    return RUNTIMES[request.param]()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Run a test's body in its runtime's home."""
    runtime = pyfuncitem.funcargs.get("runtime")
    if runtime is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    runtime.run(lambda: pyfuncitem.obj(**arguments))
    return True
