"""Files through the real manager and storage proxy: the same bytes come back, in bounded memory, also after a kill.

`BACKEND_TEST_LONG=1` moves 2 GiB and 10,000 files instead of 64 MiB and 200.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client.exceptions import BackendAPIError, TargetExists
from ai.backend.client.session import Session
from support.cluster import delete_folder, until_deleted
from support.moving import leftovers
from support.runtimes.scripts import Script
from support.waiting import until

LONG = bool(os.environ.get("BACKEND_TEST_LONG"))
MIB = 1 << 20
LARGE = (2048 if LONG else 64) * MIB
MANY = 10_000 if LONG else 200
LIMIT = 1800 if LONG else 90
GROWTH_MIB = 64
"""What a transfer may need above an idle session, however much it moves."""

MOVE = """
from pathlib import Path
from ai.backend.client.session import Session
def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
direction, folder, basedir, listing, options = sys.argv[1:]
names = Path(listing).read_text().splitlines()
with Session() as s:
    f = s.VFolder(folder)
    f.list_files()
    idle = memory()
    Path("/proc/self/clear_refs").write_text("5")
    begin = time.monotonic()
    moved = getattr(f, direction + "load")(names, basedir=basedir, **eval(options))
    mark("seconds", round(time.monotonic() - begin, 2))
    mark("moved", len(moved))
    mark("growth", round(status("VmHWM") - idle, 1))
"""


@pytest.fixture
def folder(live_config: Callable[..., Any]) -> Iterator[str]:
    """A virtual folder of this test's own."""
    name = f"live-{secrets.token_hex(6)}"
    with Session(config=live_config()) as session:
        session.VFolder.create(name)
        try:
            yield name
        finally:
            delete_folder(session, name)


@pytest.fixture
def move(folder: str, tmp_path: Path) -> Callable[..., Script]:
    """`move(direction, basedir, names, **options)`: a process that moves files of the folder."""

    def start(direction: str, basedir: Path, names: list[str], **options: Any) -> Script:
        listing = tmp_path / f"{secrets.token_hex(4)}.list"
        listing.write_text("\n".join(names))
        environment = {name: value for name, value in os.environ.items() if name.startswith("BACKEND_")}
        return Script(MOVE, direction, folder, basedir, listing, repr(options), limit=LIMIT, env=environment)

    return start


def sparse(path: Path, size: int) -> None:
    """A file with something in it every 64 MiB, and at its end."""
    with path.open("wb") as stream:
        for offset in (*range(0, size - 4096, 64 * MIB), size - 4096):
            stream.seek(offset)
            stream.write(random.randbytes(4096))


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def moved(script: Script, count: int) -> None:
    result = script.finish()
    result.assert_clean()
    assert result.value("moved") == str(count)
    assert float(result.value("growth")) < GROWTH_MIB, str(result)
    print(result.out)  # noqa: T201  # shown with -s: the figures


def test_files_of_all_kinds_come_back_the_same(runtime, live_config, folder, tmp_path):
    files = {
        "empty": b"",
        "one": b"1",
        "ü/ñ %20 'q\" #?&+": random.randbytes(1000),
        "sub/large": random.randbytes(3 * MIB + 1),
        "sub/.hidden": b"h",
    }
    source = tmp_path / "source"
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    (source / "hollow").mkdir()
    with runtime.session(live_config()) as session:
        vfolder = session.VFolder(folder)
        up = runtime.value(lambda: vfolder.upload(["."], basedir=source, recursive=True, dst_dir="to", chunk_size=MIB))
        assert sorted(up) == sorted(f"to/{name}" for name in files)
        down = runtime.value(lambda: vfolder.download(["to"], basedir=tmp_path, recursive=True))
        assert sorted(down) == sorted(str(tmp_path / "to" / name) for name in files)
        assert {name: (tmp_path / "to" / name).read_bytes() for name in files} == files
        assert (tmp_path / "to" / "hollow").is_dir()
        with pytest.raises(TargetExists):
            runtime.value(lambda: vfolder.download(["to/one"], basedir=tmp_path))
        assert (
            runtime.value(lambda: vfolder.upload(list(files), basedir=source, dst_dir="to", skip_existing=True)) == []
        )
        [archive] = runtime.value(lambda: vfolder.download(["to"], basedir=tmp_path, archive=True))
        with zipfile.ZipFile(archive) as opened:
            assert {name: opened.read(name) for name in files} == files
        with pytest.raises(BackendAPIError) as caught:
            runtime.value(lambda: vfolder.download(["nothing"], basedir=tmp_path))
        assert caught.value.status == 404
        reply = runtime.value(lambda: vfolder.request_download("to/one"))
        assert reply["url"].startswith("http")
        assert reply["token"]
    assert leftovers(tmp_path) == []


@pytest.mark.timeout(3 * LIMIT)
def test_a_large_file_moves_in_little_memory(move, tmp_path):
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "file", LARGE)
    moved(move("up", tmp_path / "source", ["file"]), 1)
    moved(move("down", tmp_path / "target", ["file"]), 1)
    assert digest(tmp_path / "target" / "file") == digest(tmp_path / "source" / "file")


@pytest.mark.timeout(3 * LIMIT)
def test_many_files_move_in_little_memory(move, tmp_path):
    names = [f"{number % 10}/{number:06}" for number in range(MANY)]
    for name in names:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(random.randrange(4096)))
    moved(move("up", tmp_path / "source", names), MANY)
    moved(move("down", tmp_path / "target", names), MANY)
    for name in names:
        assert (tmp_path / "target" / name).read_bytes() == (tmp_path / "source" / name).read_bytes()


@pytest.mark.timeout(3 * LIMIT)
def test_a_killed_upload_is_continued_by_another_process(move, live_config, folder, tmp_path):
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "file", LARGE)
    records = tmp_path / "records"
    options = {"resume_dir": str(records), "chunk_size": 128 << 10}  # small chunks: time to be killed in
    with Session(config=live_config()) as session:
        vfolder = session.VFolder(folder)

        def half() -> bool:
            unfinished = [entry for entry in listing(vfolder, ".") if entry["filename"] == ".upload"]
            return bool(unfinished) and any(entry["size"] > LARGE // 8 for entry in listing(vfolder, ".upload"))

        killed = move("up", tmp_path / "source", ["file"], **options)
        until(half, "a part is there", limit=LIMIT)
        killed.kill()
        killed.process.communicate()
        assert len(list(records.iterdir())) == 1
        [session_file] = listing(vfolder, ".upload")
        assert LARGE // 8 < session_file["size"] < LARGE, "it was killed half-way"
        moved(move("up", tmp_path / "source", ["file"], **options), 1)
        assert [entry["filename"] for entry in listing(vfolder, ".")] == ["file"], "it was the same upload"
    assert list(records.iterdir()) == []
    moved(move("down", tmp_path / "target", ["file"]), 1)
    assert digest(tmp_path / "target" / "file") == digest(tmp_path / "source" / "file")


def listing(vfolder: Any, path: str) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(vfolder.list_files(path)["files"])
    return files


@pytest.mark.timeout(3 * LIMIT)
def test_a_killed_download_is_continued_by_another_process(move, tmp_path):
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "file", LARGE)
    moved(move("up", tmp_path / "source", ["file"]), 1)
    target = tmp_path / "target"
    killed = move("down", target, ["file"], chunk_size=64 << 10)  # small pieces: time to be killed in

    def have() -> int:
        return max((path.stat().st_size for path in target.glob("*.part")), default=0)

    until(lambda: have() > LARGE // 4, "a part is there", limit=LIMIT)
    killed.kill()
    killed.process.communicate()
    [part] = target.glob("*.part")
    before = part.stat()
    assert LARGE // 4 < before.st_size < LARGE, "it was killed half-way"
    moved(move("down", target, ["file"]), 1)
    assert (target / "file").stat().st_ino == before.st_ino, "it was continued"
    assert digest(target / "file") == digest(tmp_path / "source" / "file")
    assert leftovers(target) == []


def test_a_record_with_a_token_that_the_proxy_refuses_is_replaced(live_config, folder, tmp_path):
    (tmp_path / "file").write_bytes(random.randbytes(3 * MIB))
    records = tmp_path / "records"
    with Session(config=live_config()) as session:
        vfolder = session.VFolder(folder)
        call = vfolder.upload.submit(["file"], basedir=tmp_path, resume_dir=records, chunk_size=MIB // 4)
        until(lambda: records.is_dir() and list(records.iterdir()), "a record is there")
        call.cancel()
        [record] = records.iterdir()
        content = json.loads(record.read_text())
        record.write_text(json.dumps({**content, "token": content["token"][:-4] + "AAAA"}))
        assert vfolder.upload(["file"], basedir=tmp_path, resume_dir=records, chunk_size=MIB // 4) == ["file"]
        assert vfolder.download(["file"], basedir=tmp_path / "out")
    assert digest(tmp_path / "out" / "file") == digest(tmp_path / "file")


def test_a_folder_of_somebody_else_is_not_found(live_config, folder, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    keys = {name: os.environ.get(f"BACKEND_USER_{name.upper()}") for name in ("access_key", "secret_key")}
    if not all(keys.values()):
        pytest.skip("needs the keys of a plain user")
    with Session(config=live_config(**keys)) as session, pytest.raises(BackendAPIError) as caught:
        session.VFolder(folder).upload(["file"], basedir=tmp_path)
    assert caught.value.status == 404


def test_the_web_server_opens_the_doors_too(live_config, tmp_path):
    """In session mode the manager is asked through the web server; the bytes go to the storage proxy all the same."""
    login = [os.environ.get(f"BACKEND_SESSION_{name}") for name in ("ENDPOINT", "USER", "PASSWORD")]
    if not all(login):
        pytest.skip("no web server: BACKEND_SESSION_* not set")
    endpoint, user, password = login
    name = f"live-{secrets.token_hex(6)}"
    (tmp_path / "file").write_bytes(random.randbytes(3 * MIB))
    with Session(config=live_config(endpoint=endpoint, endpoint_type="session")) as session:
        session.Auth.login(user, password)
        session.VFolder.create(name)
        try:
            assert session.VFolder(name).upload(["file"], basedir=tmp_path, chunk_size=MIB) == ["file"]
            assert session.VFolder(name).download(["file"], basedir=tmp_path / "out")
        finally:
            session.VFolder(name).delete()
    # Past the web server, which garbles a request without a body now and then.
    keys = {key: os.environ[f"BACKEND_USER_{key.upper()}"] for key in ("access_key", "secret_key")}
    with Session(config=live_config(**keys)) as same_user:
        until_deleted(same_user, name)
    assert digest(tmp_path / "out" / "file") == digest(tmp_path / "file")
