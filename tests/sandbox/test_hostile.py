"""What nobody should send: it is answered, the sandbox goes on, and nothing is printed but a line at most."""

from __future__ import annotations

import contextlib
import datetime
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from ai.backend.client.exceptions import BackendAPIError
from support.cluster import IMAGE
from support.job import run
from support.sandboxes import signed
from support.waiting import LIMIT

DEEP = "[" * 100_000 + "]" * 100_000
LONG = "x" * 5000
MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def no_traceback(sandbox) -> Iterator[None]:
    """Nothing of what these tests do is an error of the sandbox's own."""
    before = len(sandbox._printed())
    yield
    assert "Traceback" not in sandbox._printed()[before:]
    assert requests.get(sandbox.endpoint, timeout=LIMIT).status_code == 200


def exchange(sandbox, data: bytes) -> bytes:
    """Send bytes; what comes back until the connection is closed or has sent a head."""
    url = urlsplit(sandbox.endpoint)
    with socket.create_connection((url.hostname, url.port), LIMIT) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while b"\r\n\r\n" not in answer and (received := connection.recv(65536)):
                answer += received
        except ConnectionError:  # it does not read all of it
            pass
        return answer


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\x16\x03\x01" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * MEBIBYTE + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: a\r\n" % number for number in range(50_000)) + b"\r\n",
        b"GET /" + b"a" * MEBIBYTE + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["noise", "long header", "many headers", "long path", "bad chunk", "bad length"],
)
def test_what_is_no_http_is_a_bad_request(sandbox, data):
    answer = exchange(sandbox, data)
    assert b" 400 " in answer.partition(b"\r\n")[0] or not answer


@pytest.mark.parametrize(
    ("method", "signature", "status"),
    [("HMAC-SHAKE_128", "x", 400), ("HMAC-SHA256", "\u00e9", 401), ("HMAC-SHA256", "x" * 5000, 401)],
)
def test_odd_signatures_are_refused(sandbox, method, signature, status):
    headers = {
        "Date": datetime.datetime.now(datetime.UTC).isoformat(),
        "X-BackendAI-Version": "v7.20230615",
        "Authorization": f"BackendAI signMethod={method}, credential={sandbox.keys()[0]}:{signature}".encode(),
    }
    assert requests.get(sandbox.endpoint + "/auth", headers=headers, timeout=LIMIT).status_code == status


@pytest.mark.parametrize("body", [None, [], 5, "text", {"mode": "query", "runId": [], "code": [1]}])
def test_bodies_that_do_not_fit_are_refused(sandbox, kernel, name, body):
    base = "/session" if "v7" in kernel.session.config.version else "/kernel"
    for path in ("", "/complete"):
        assert signed(kernel.session.config, "POST", f"{base}/{name}{path}", body).status_code == 400


def test_deep_and_broken_texts_are_refused(sandbox):
    config = sandbox.config()
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"a": deep}
    for path, body in (
        ("/config/set", {"key": "deep", "value": deep}),
        ("/config/get", {"key": "\ud800"}),
        ("/template/session", {"payload": DEEP}),
        ("/auth", {"echo": DEEP, "page": "x"}),
    ):
        assert (signed(config, "POST", path, body).status_code, path) == (400, path)
    assert requests.post(sandbox.endpoint + "/auth/authorize", data=DEEP, timeout=LIMIT).status_code == 400
    answer = signed(config, "POST", "/admin/gql", {"query": "{" + "a{" * 5000 + "b" + "}" * 5001})
    assert answer.json()["errors"]


def test_numbers_beyond_the_database_are_refused(sandbox):
    assert signed(sandbox.config(), "GET", "/logs/error?page_no=" + str(2**70)).status_code == 400


@pytest.fixture
def folder(session, name):
    session.VFolder.create(name)
    yield session.VFolder(name)
    session.VFolder(name).delete()


@pytest.mark.parametrize("path", [".", "d/..", "./d/../."])
def test_a_folder_is_not_deleted_moved_or_renamed_through_its_files(session, folder, name, path):
    folder.mkdir("d")
    for method, operation, body in (
        ("DELETE", "delete-files", {"files": [path], "recursive": True}),
        ("POST", "rename-file", {"target_path": path, "new_name": "y"}),
        ("POST", "move-file", {"src": path, "dst": "y"}),
    ):
        response = signed(session.config, method, f"/folders/{name}/{operation}", body)
        assert (response.status_code, operation) == (400, operation)
    assert [item["name"] for item in folder.list_files()["items"]] == ["d"]


def test_a_name_that_no_file_can_have_is_an_error(session, folder, name):
    body = {"target_path": LONG, "new_name": "y"}
    answer = signed(session.config, "POST", f"/folders/{name}/rename-file", body)
    assert answer.json()["msg"] == "File name too long"


@pytest.mark.parametrize(("place", "status"), [("outer/inner", 501), (".", 400), ("./outer/", 400), ("../outer", 400)])
def test_folders_are_mounted_side_by_side(session, folder, name, place, status):
    other = name + "-other"
    session.VFolder.create(other)
    try:
        with pytest.raises(BackendAPIError) as caught:
            session.Kernel.get_or_create(
                IMAGE, name=name, mounts=[name, other], mount_map={name: "outer", other: place}
            )
        assert caught.value.status == status
    finally:
        session.VFolder(other).delete()


def upload(config, base: str, name: str, body: bytes) -> int:
    """Post a multipart body to a compute session, as it is."""
    form = "multipart/form-data; boundary=B"
    return signed(config, "POST", f"{base}/{name}/upload", content=body, content_type=form).status_code


def part(name: str) -> bytes:
    return f'--B\r\nContent-Disposition: form-data; name="src"; filename="{name}"\r\n\r\nx\r\n'.encode()


def test_uploads_that_cannot_be_read_or_written_are_refused(kernel, name):
    config = kernel.session.config
    base = "/session" if "v7" in config.version else "/kernel"
    run(kernel, "import os\nos.mkfifo('pipe')")
    # To open a named pipe would wait for ever: for whoever reads it.
    assert upload(config, base, name, part("pipe") + b"--B--") == 500
    for body in (b"", b"noise", part("a"), b"--B\r\nContent-Disp", part("a\0b") + b"--B--"):
        assert (upload(config, base, name, body), body) == (400, body)
    assert upload(config, base, name, part("a") + b"--B--") == 204


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_what_is_pasted_into_a_terminal_arrives_whole(kernel):
    with kernel.stream_pty() as terminal:
        terminal.write("stty raw -echo; echo re''ady; head -c 300000 | wc -c\n")  # quotes: not so in its echo
        shown = b""
        while b"ready" not in shown:
            shown += terminal.read()
        terminal.write(b"z" * 300_000)
        while b"300000\n" not in shown:
            shown += terminal.read()


def test_a_terminal_that_nobody_reads_waits(sandbox, session, name):
    kernel = session.Kernel.get_or_create(IMAGE, name=name)
    with kernel.stream_pty() as terminal:
        terminal.write("yes " + "x" * 100 + " | head -c 300000000; touch all\n")
        before = memory(sandbox.pid)
        run(kernel, "import time; time.sleep(1.5)")
        assert memory(sandbox.pid) - before < 50 * MEBIBYTE
        assert "all" not in kernel.list_files()["files"]
    kernel.destroy()


def test_sizes_that_no_terminal_has_are_ignored(kernel):
    with kernel.stream_pty() as terminal:
        for rows in ("-1", "65536", "1e999", "null", '"x"', "[]"):
            terminal.send_str(f'{{"type": "resize", "rows": {rows}, "cols": 80}}')
        terminal.resize(33, 99)
        terminal.write("stty size\n")
        shown = b""
        while b"33 99" not in shown:
            shown += terminal.read()


def test_many_connections_at_once(sandbox):
    url = urlsplit(sandbox.endpoint)

    def echoed(number: int) -> str:
        echo: str = signed(sandbox.config(), "GET", f"/auth?echo={number}").json()["echo"]
        return echo

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(200) as pool:
        address = (url.hostname, url.port)
        idle = [stack.enter_context(socket.create_connection(address, LIMIT)) for _ in range(300)]
        for half in idle[:100]:
            half.sendall(b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        assert list(pool.map(echoed, range(200))) == [str(number) for number in range(200)]
