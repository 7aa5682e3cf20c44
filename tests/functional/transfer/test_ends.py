"""Transfers that are cancelled, closed, late or killed: what is left can be taken up."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ai.backend.client.exceptions import DeadlineExceeded, SessionClosed
from support.moving import KIB, MIB, content, in_session, leftovers
from support.runtimes.scripts import Script, run_script
from support.servers.faults import unused_port
from support.servers.storage import folder
from support.waiting import LIMIT, NEVER, at_some_pace, until

PLAIN_AND_PATCHED = pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
LONG = bool(os.environ.get("BACKEND_TEST_LONG"))
LARGE = (2048 if LONG else 192) * MIB
GROWTH_MIB = 64
LONGEST = 600 if LONG else 2 * LIMIT

# -- in this process --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["up", "down"])
@in_session
def test_a_cancelled_transfer_stops_and_can_be_taken_up(runtime, session, storage, local, direction):
    size = 4 * MIB
    here, there = local / "file", storage.folder / "file"
    if direction == "down":
        here, there = there, here
    here.write_bytes(content(size))
    method = "PATCH" if direction == "up" else "GET"
    storage.fault(method, name="file", slow=0.02)
    function = getattr(folder(session), f"{direction}load")
    future = function.submit(["file"])
    storage.until_moved(method, 2 * 65536)
    assert future.cancel()
    until(lambda: not session._core.runtime._supervisor.known_calls(), "nothing is in flight")
    assert not there.exists()
    runtime.wait(function.submit(["file"]))
    assert there.read_bytes() == content(size)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_session_s_end_ends_its_transfers(runtime, storage, local, make_config, direction):
    source = local if direction == "up" else storage.folder
    names = [f"{number}" for number in range(8)]
    for name in names:
        (source / name).write_bytes(content(MIB))
    session = runtime.make(make_config(storage))
    method = "PATCH" if direction == "up" else "GET"
    for name in names:
        storage.fault(method, name=name, slow=0.2)
    future = getattr(folder(session), f"{direction}load").submit(names)
    storage.until_seen(method, "load", 4)
    runtime.close(session, timeout=0)
    with pytest.raises(SessionClosed):
        runtime.wait(future)


def test_a_session_that_closes_in_peace_lets_transfers_end(runtime, storage, local, make_config):
    names = [f"{number}" for number in range(30)]
    for name in names:
        (storage.folder / name).write_bytes(content(KIB))
    storage.fault("GET", name="7", slow=0.2)
    session = runtime.make(make_config(storage))
    future = folder(session).download.submit(names, concurrency=3)
    storage.until_seen("GET", "/download")
    runtime.close(session)
    assert runtime.wait(future) == [str(local / name) for name in names]


def test_the_session_s_deadline_counts_from_the_latest_byte(runtime, storage, local, make_config):
    (storage.folder / "file").write_bytes(content(20 * 65536))
    (local / "up").write_bytes(content(24 * MIB))  # the kernel takes some MiB at once, which is no progress

    def check(pace):
        storage.fault("GET", name="file", slow=0.08 * pace)
        storage.fault("PATCH", name="up", slow=0.004 * pace)
        with runtime.session(make_config(storage, deadline=pace)) as session:
            runtime.value(lambda: folder(session).download(["file"], overwrite=True))
            runtime.value(lambda: folder(session).upload(["up"], chunk_size=64 * MIB))
        assert (local / "file").read_bytes() == content(20 * 65536)
        assert (storage.folder / "up").read_bytes() == content(24 * MIB)

    at_some_pace(check)


def test_many_files_may_take_longer_than_the_session_s_deadline(runtime, storage, local, make_config):
    names = [f"{number}" for number in range(8)]
    for name in names:
        (storage.folder / name).write_bytes(b"x")

    def check(pace):
        for name in names:
            storage.fault("request-download", name=name, stall=0.2 * pace)
        with runtime.session(make_config(storage, deadline=pace)) as session:
            runtime.value(lambda: folder(session).download(names, concurrency=1, overwrite=True))

    at_some_pace(check)


def test_without_progress_the_session_s_deadline_holds(runtime, storage, local, make_config):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", after=MIB, hang=NEVER)
    with runtime.session(make_config(storage, deadline=1)) as session, pytest.raises(DeadlineExceeded):
        runtime.value(lambda: folder(session).download(["file"]))


@in_session
def test_a_deadline_that_was_asked_for_holds(runtime, session, storage, local):
    (storage.folder / "file").write_bytes(content(2 * MIB))
    storage.fault("GET", name="file", slow=0.1)
    with pytest.raises(DeadlineExceeded):
        runtime.value(lambda: folder(session.with_options(deadline=0.5)).download(["file"]))


# -- other processes --------------------------------------------------------------------------------------------------

MOVE = """
direction, basedir, *options = sys.argv[2:]
folder = session(read_timeout=10).VFolder("data")
mark("moved", getattr(folder, direction + "load")(["file"], basedir=basedir, **eval(options[0] if options else "{}")))
"""


def killed_at(script: Script, condition: Callable[[], object], what: str) -> None:
    """Let a script run until something is true, then kill it: no clean-up of any kind."""
    until(condition, what)
    script.kill()


def test_a_download_of_a_killed_process_is_continued_by_another(storage, local):
    size = 8 * MIB
    (storage.folder / "file").write_bytes(content(size))
    storage.fault("GET", name="file", slow=0.01)
    parts = lambda: list(local.glob("*.part"))  # noqa: E731  # it is polled
    killed_at(
        Script(MOVE, storage.url, "down", local),
        lambda: parts() and parts()[0].stat().st_size > 2 * MIB,
        "a part of the file is there",
    )
    assert not (local / "file").exists()
    have = parts()[0].stat().st_size
    storage.forget()
    run_script(MOVE, storage.url, "down", local).assert_clean()
    [entry] = storage.log("GET", "/download")
    assert entry["headers"]["range"] == f"bytes={have}-"
    assert entry["sent"] == size - have
    assert (local / "file").read_bytes() == content(size)
    assert leftovers(local) == []


def test_an_upload_of_a_killed_process_is_continued_by_another(storage, local, tmp_path):
    size = 8 * MIB
    (local / "file").write_bytes(content(size))
    records = tmp_path / "records"
    options = f"dict(chunk_size={MIB}, resume_dir={str(records)!r})"
    for _ in range(8):
        storage.fault("PATCH", name="file", slow=0.005)
    killed_at(
        Script(MOVE, storage.url, "up", local, options),
        lambda: sum(patch["received"] for patch in storage.log("PATCH")) > 3 * MIB,
        "a part of the file is there",
    )
    [record] = records.iterdir()
    assert (records.stat().st_mode & 0o777, record.stat().st_mode & 0o777) == (0o700, 0o600)
    assert not (storage.folder / "file").exists()
    storage.reset_faults()
    run_script(MOVE, storage.url, "up", local, options).assert_clean()
    assert len(storage.log("POST", "request-upload")) == 1
    assert sum(patch["received"] for patch in storage.log("PATCH")) == size, "nothing is sent twice"
    assert (storage.folder / "file").read_bytes() == content(size)
    assert list(records.iterdir()) == []


def test_an_upload_of_another_file_is_not_continued(storage, local, tmp_path):
    records = tmp_path / "records"
    options = f"dict(chunk_size={MIB}, resume_dir={str(records)!r})"
    for size in (3 * MIB, 3 * MIB + 1):
        (local / "file").write_bytes(content(size))
        storage.fault("PATCH", name="file", slow=0.02)
        if size == 3 * MIB:
            killed_at(Script(MOVE, storage.url, "up", local, options), lambda: storage.log("PATCH"), "it has begun")
    storage.forget()
    run_script(MOVE, storage.url, "up", local, options).assert_clean()
    assert len(storage.log("POST", "request-upload")) == 1
    assert (storage.folder / "file").read_bytes() == content(3 * MIB + 1)


def test_a_record_whose_token_has_expired_is_replaced(storage, local, tmp_path):
    (local / "file").write_bytes(content(3 * MIB))
    options = f"dict(chunk_size={MIB}, resume_dir={str(tmp_path / 'records')!r})"
    storage.fault("PATCH", name="file", slow=0.02)
    killed_at(Script(MOVE, storage.url, "up", local, options), lambda: storage.log("PATCH"), "it has begun")
    storage.expire()
    run_script(MOVE, storage.url, "up", local, options).assert_clean()
    assert (storage.folder / "file").read_bytes() == content(3 * MIB)


def test_a_record_whose_storage_proxy_is_gone_is_replaced(storage, local, tmp_path):
    (local / "file").write_bytes(content(3 * MIB))
    records = tmp_path / "records"
    options = f"dict(chunk_size={MIB}, resume_dir={str(records)!r})"
    storage.fault("PATCH", name="file", slow=0.02)
    killed_at(Script(MOVE, storage.url, "up", local, options), lambda: storage.log("PATCH"), "it has begun")
    [record] = records.iterdir()
    record.write_text(record.read_text().replace(storage.proxy, f"http://127.0.0.1:{unused_port()}"))
    run_script(MOVE, storage.url, "up", local, options).assert_clean()
    assert (storage.folder / "file").read_bytes() == content(3 * MIB)


@PLAIN_AND_PATCHED
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_fork_leaves_the_parent_s_transfer_alone(storage, local, direction, patched):
    """The child ends what it inherited, and whatever it does reaches neither the files nor the parent."""
    source = local if direction == "up" else storage.folder
    names = [f"{number}" for number in range(6)]
    for name in names:
        (source / name).write_bytes(content(MIB))
        storage.fault("PATCH" if direction == "up" else "GET", name=name, slow=0.02)
    result = run_script(
        """
        import gc, signal
        direction, basedir = sys.argv[2:]
        s = session(read_timeout=10)
        names, moved = [str(n) for n in range(6)], []
        move = getattr(s.VFolder("data"), direction + "load")
        future = move.submit(names, basedir=basedir, on_progress=lambda *told: moved.append(told))
        until(lambda: moved, "bytes move")
        pid = os.fork()
        if pid == 0:
            signal.alarm(int(LIMIT))
            code = 1
            try:
                code = 0 if kind_of(lambda: future.result(LIMIT)) == "SessionClosed" else 2
                s.close(timeout=0)
                del s, future
                gc.collect()
            finally:
                os._exit(code)
        mark("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        mark("moved", len(future.result(LIMIT)))
        s.close()
        """,
        storage.url,
        direction,
        local,
        patched=patched,
    )
    result.assert_clean()
    assert (result.value("child"), result.value("moved")) == ("0", "6")
    target = storage.folder if direction == "up" else local
    assert all((target / name).read_bytes() == content(MIB) for name in names)
    assert leftovers(local) == []


@PLAIN_AND_PATCHED
@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_interpreter_may_end_during_a_transfer(storage, local, direction, patched):
    source = local if direction == "up" else storage.folder
    (source / "file").write_bytes(content(4 * MIB))
    storage.fault("PATCH" if direction == "up" else "GET", name="file", slow=0.2)
    result = run_script(
        """
        s = session(read_timeout=10)
        moved = []
        move = getattr(s.VFolder("data"), sys.argv[2] + "load")
        future = move.submit(["file"], basedir=sys.argv[3], on_progress=lambda *told: moved.append(told))
        until(lambda: moved, "bytes move")
        mark("end")
        """,
        storage.url,
        direction,
        local,
        patched=patched,
    )
    assert result.code == 0, str(result)
    assert "Fatal" not in result.err, str(result)
    result.assert_ended_soon("end")


@PLAIN_AND_PATCHED
def test_cancelled_transfers_leave_no_thread_and_no_descriptor(storage, local, patched):
    for path in (local / "up", storage.folder / "down"):
        with path.open("wb") as stream:
            stream.truncate(LARGE)
    for _ in range(10):  # a minute each, from where a download was left too: none ends before it is cancelled
        storage.fault("PATCH", slow=0.02)
        storage.fault("GET", name="down", slow=0.02)
    result = run_script(
        """
        s = session(read_timeout=10)
        f = s.VFolder("data")
        def round():
            moved = set()
            def note(name, *_): moved.add(name)
            up = f.upload.submit(["up"], basedir=sys.argv[2], on_progress=note)
            down = f.download.submit(["down"], basedir=sys.argv[2] + "/out", on_progress=note)
            until(lambda: len(moved) == 2 or up.done() or down.done(), "bytes move")
            for one in (up, down):
                if one.done(): raise AssertionError(f"it ended before: {one.exception()!r}")
                one.cancel()
            until(lambda: not s._core.runtime._supervisor.known_calls(), "nothing is in flight")
        round()
        before = held()
        for _ in range(8): round()
        until_back_to(before, spare=1)
        s.close()
        """,
        storage.url,
        local,
        patched=patched,
    )
    result.assert_clean()


def test_waiting_for_another_download_of_the_file_leaves_no_descriptor(storage, local):
    """In a patched process a thread must not sleep as greenlets do."""
    with (storage.folder / "file").open("wb") as stream:
        stream.truncate(LARGE)
    for _ in range(8):  # four rounds of two
        storage.fault("GET", name="file", slow=0.02)  # a minute each, but they are cancelled
    result = run_script(
        """
        import pathlib
        from ai.backend.client.functions.transfer import partial_file
        partial_file.LOCK_PATIENCE = 0.1
        s = session(read_timeout=10)
        download = s.VFolder("data").download
        def round():
            parts = pathlib.Path(sys.argv[2]).glob
            for part in parts(".*.part"): part.unlink()
            first = download.submit(["file"], basedir=sys.argv[2], overwrite=True)
            until(lambda: any(part.stat().st_size for part in parts(".*.part")), "it has begun")
            second = kind_of(lambda: download(["file"], basedir=sys.argv[2], overwrite=True))
            first.cancel()
            until(lambda: not s._core.runtime._supervisor.known_calls(), "nothing is in flight")
            return second
        round()
        before = held()
        mark("kinds", [round() for _ in range(3)])
        until_back_to(before, spare=2)
        s.close()
        """,
        storage.url,
        local,
        patched=True,
    )
    result.assert_clean()
    assert eval(result.value("kinds")) == ["TransferError"] * 3


@pytest.mark.timeout(LONGEST + 20)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_memory_does_not_grow_with_the_file(storage, local, direction):
    source = local if direction == "up" else storage.folder
    with (source / "file").open("wb") as stream:
        stream.truncate(LARGE)
    result = run_script(
        """
        from pathlib import Path
        def status(field):
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
        s = session(read_timeout=60)
        f = s.VFolder("data")
        f.list_files()
        idle = memory()
        Path("/proc/self/clear_refs").write_text("5")
        getattr(f, sys.argv[2] + "load")(["file"], basedir=sys.argv[3])
        mark("growth", status("VmHWM") - idle)
        s.close()
        """,
        storage.url,
        direction,
        local,
        limit=LONGEST,
    )
    result.assert_clean()
    assert (storage.folder / "file").stat().st_size == (local / "file").stat().st_size == LARGE
    assert float(result.value("growth")) < GROWTH_MIB
