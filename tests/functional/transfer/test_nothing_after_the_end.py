"""What a native thread does for a call that has ended: nothing takes its name any more."""

from __future__ import annotations

import contextlib
import io
import tarfile
import threading

import pytest

from ai.backend.client.actors.offload import commit
from ai.backend.client.exceptions import SessionClosed
from ai.backend.client.functions.compute import archive as archives
from support.servers.faults import raw
from support.waiting import until

FILES = 100
MOVED = 10
BOUNDARY = "a-boundary"
LIMIT = 10


def answer() -> bytes:
    """What a session answers that was asked for one folder of many files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(FILES):
            tar.addfile(tarfile.TarInfo(f"{number:05}"))
    body = f"--{BOUNDARY}\r\n\r\n".encode() + buffer.getvalue() + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"Content-Type: multipart/mixed; boundary={BOUNDARY}"
    return f"HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def disk(monkeypatch):
    """A disk that stops after some files, and goes on when it is told to."""

    class Disk:
        stopped, may_go_on, over = (threading.Event() for _ in range(3))
        moved = 0

        @contextlib.contextmanager
        def commit(self):
            if self.moved == MOVED:
                self.stopped.set()
                assert self.may_go_on.wait(LIMIT)
            try:
                with commit():
                    yield
                    self.moved += 1
            except BaseException:
                self.over.set()
                raise

    made = Disk()
    monkeypatch.setattr(archives, "commit", made.commit)
    return made


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_an_archive_that_is_being_moved_into_place(runtime, server, make_config, local, disk, end):
    server.script(raw(answer(), keep=True))
    session = runtime.make(make_config(server))
    try:
        runtime.open(session)
        future = session.Kernel("busy").download.submit(["folder"], str(local))
        assert disk.stopped.wait(LIMIT)
        if end == "cancel":
            assert future.cancel()
            until(lambda: not session._core.runtime._supervisor.known_calls(), "nothing is in flight")
        else:
            runtime.close(session, timeout=0)
            with pytest.raises(SessionClosed):
                runtime.wait(future)
        disk.may_go_on.set()
        assert disk.over.wait(LIMIT)
        assert disk.moved == MOVED
        until(lambda: len(list(local.iterdir())) == MOVED, "what was unpacked is removed, and nothing else came")
    finally:
        runtime.close(session, timeout=0)
