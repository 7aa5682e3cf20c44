"""Small things of the vendor's client that are no API functions."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from ai.backend.client import types
from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.helper import is_admin
from ai.backend.client.utils import ProgressReportingReader
from support.waiting import LIMIT

# types


def test_markers_count_as_false_and_are_single() -> None:
    assert not types.undefined
    assert not types.sentinel
    assert types.undefined is types.Undefined.TOKEN
    assert types.sentinel is types.Sentinel.TOKEN
    assert types.undefined != types.sentinel


def test_set_if_set() -> None:
    target: dict[str, object] = {}
    types.set_if_set(target, "a", types.undefined)
    types.set_if_set(target, "b", None)
    types.set_if_set(target, "c", "1", clean_func=int)
    types.set_if_set(target, "d", types.undefined, clean_func=int)
    assert target == {"b": None, "c": 1}


# helper


def asked(answer):
    """A session whose raw queries are answered so; and what was asked."""
    queries: list[str] = []

    def submit(query):
        queries.append(query)
        return SimpleNamespace(result=lambda: answer)

    return SimpleNamespace(Admin=SimpleNamespace(query=SimpleNamespace(submit=submit))), queries


@pytest.mark.parametrize(("value", "expected"), [(True, True), (False, False), (None, False)])
def test_is_admin_asks_for_the_callers_own_keypair(value, expected) -> None:
    session, queries = asked({"keypair": {"is_admin": value}})
    assert is_admin(session) is expected
    assert queries == ["query { keypair { is_admin } }"]


@pytest.mark.parametrize("answer", [None, {}, {"keypair": None}])
def test_is_admin_needs_an_answer(answer) -> None:
    with pytest.raises(InvalidReply):
        is_admin(asked(answer)[0])


# utils


class Bar:
    """A bar that counts."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def update(self, count: int) -> None:
        self.steps.append(count)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_every_way_of_reading_moves_the_bar(path) -> None:
    bar = Bar()
    with ProgressReportingReader(path, tqdm_instance=bar) as reader:
        assert reader.tqdm is bar
        assert reader.read(2) == b"01"
        assert reader.read1(2) == b"23"
        buffer = bytearray(3)
        assert reader.readinto(buffer) == 3
        assert bytes(buffer) == b"456"
        assert reader.readinto1(buffer) == 3
        assert reader.read() == b""
    assert bar.steps == [2, 2, 3, 3, 0]
    assert reader.closed


def test_pitfall_readinto_tells_how_much_it_read(path) -> None:
    """Buffered readers are built on it."""
    reader = ProgressReportingReader(str(path), tqdm_instance=Bar())
    with io.BufferedReader(reader) as buffered:  # type: ignore[type-var]  # a reader is enough at run time
        assert buffered.read() == b"0123456789"
    assert reader.closed


def test_a_bar_of_its_own_is_closed_with_the_file(path, monkeypatch) -> None:
    tqdm = pytest.importorskip("tqdm")
    made = []

    class Own(Bar):
        def __init__(self, **options) -> None:
            super().__init__()
            made.append(options)
            self.closed = False

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(tqdm, "tqdm", Own)
    with ProgressReportingReader(path) as reader:
        reader.read()
    assert made == [{"unit": "bytes", "unit_scale": True, "total": 10}]
    assert reader.tqdm.steps == [10]
    assert reader.tqdm.closed


def test_a_bar_of_the_callers_stays_open(path) -> None:
    ProgressReportingReader(path, tqdm_instance=Bar()).close()  # Bar has no close()


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        ProgressReportingReader(tmp_path / "nothing")


# compat


def test_asyncio_run_forever_leaves_its_context_on_an_interrupt() -> None:
    source = """
    import asyncio, os, signal
    from ai.backend.client.compat import asyncio_run_forever

    class Server:
        async def __aenter__(self):
            print("entered", asyncio.get_running_loop().get_debug(), flush=True)
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)

        async def __aexit__(self, kind, error, trace):
            await asyncio.sleep(0)
            print("left", kind.__name__, flush=True)

    try:
        asyncio_run_forever(Server(), debug=True)
    except KeyboardInterrupt:
        print("interrupted")
    """
    run = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert run.stdout.split("\n")[:3] == ["entered True", "left CancelledError", "interrupted"], run.stderr


def test_asyncio_run_forever_passes_errors_on() -> None:
    from ai.backend.client.compat import asyncio_run_forever

    class Failing(contextlib.AbstractAsyncContextManager):
        async def __aenter__(self):
            raise ValueError("no")

        async def __aexit__(self, *_):
            raise AssertionError("was not entered")

    with pytest.raises(ValueError, match="no"):
        asyncio_run_forever(Failing())


# session


@pytest.mark.parametrize(
    ("version", "legacy"),
    [
        ("v4.20181215", True),
        ("v3.20170615", True),
        ("v4.20190115", False),
        ("v7.20230615", False),
        ("v10.20300101", False),
    ],
)
def test_is_legacy_server_compares_versions_and_no_text(version, legacy, monkeypatch, recwarn) -> None:
    assert hello(version, monkeypatch) is legacy


def test_is_legacy_server_needs_a_version(monkeypatch, recwarn) -> None:
    with pytest.raises(InvalidReply, match="no API version"):
        hello(None, monkeypatch)


def hello(version, monkeypatch):
    """`is_legacy_server()` with the manager of this version as that of the environment."""
    import responses

    from ai.backend.client.config import set_config
    from ai.backend.client.session import is_legacy_server

    monkeypatch.setenv("BACKEND_ENDPOINT", "http://manager.example")
    set_config(None)
    try:
        with responses.RequestsMock() as mock:
            mock.add(responses.GET, "http://manager.example/", body=json.dumps({"version": version}))
            return is_legacy_server()
    finally:
        set_config(None)
