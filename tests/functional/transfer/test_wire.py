"""Transfers over TLS, through HTTP proxies, in mocks; and no token leaves the process."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import responses
import trustme

from ai.backend.client.exceptions import BackendError, ConnectionLost, TLSError
from ai.backend.client.session import Session
from support.moving import CHUNK, MIB, content, in_session
from support.runtimes.calling import is_patched
from support.servers.forward_proxy import ForwardProxy
from support.servers.storage import StorageServer, folder

unpatched = pytest.mark.skipif(is_patched(), reason="once is enough")

ENDPOINT = "http://manager.mock.example"
PROXY = "http://proxy.mock.example"


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def tls_storage(ca: trustme.CA, tmp_path: Path) -> Iterator[StorageServer]:
    """A storage proxy that speaks TLS; its manager does not."""
    path = tmp_path / "server.pem"
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    with StorageServer(tmp_path / "cluster", "--certificate", str(path)) as server:
        yield server


def test_files_travel_over_tls(runtime, tls_storage, ca_file, local, make_config):
    (local / "file").write_bytes(content(3 * MIB))
    tls_storage.fault("PATCH", name="file", after=CHUNK)
    tls_storage.fault("GET", name="file", after=2 * MIB)
    with runtime.session(make_config(tls_storage, ca_bundle=ca_file)) as session:
        runtime.value(lambda: folder(session).upload(["file"], chunk_size=MIB))
        runtime.value(lambda: folder(session).download(["file"], basedir="out"))
    assert (tls_storage.folder / "file").read_bytes() == content(3 * MIB)
    assert (local / "out" / "file").read_bytes() == content(3 * MIB)


@unpatched
def test_a_storage_proxy_that_nobody_vouches_for_gets_nothing(tls_storage, local, make_config):
    (local / "file").write_bytes(b"x")
    with Session(config=make_config(tls_storage)) as session, pytest.raises(TLSError) as caught:
        folder(session).upload(["file"])
    assert caught.value.endpoint == tls_storage.proxy
    assert tls_storage.log("PATCH") == []


@unpatched
def test_a_name_that_the_certificate_does_not_have_is_refused(tls_storage, ca_file, local, make_config):
    (local / "file").write_bytes(b"x")
    other = tls_storage.proxy.replace("localhost", "127.0.0.1")
    with Session(config=make_config(tls_storage, ca_bundle=ca_file)) as session, pytest.raises(TLSError):
        folder(session).upload(["file"], address_map={tls_storage.proxy: other})


@unpatched
def test_certificates_are_not_looked_at_where_the_configuration_says_so(tls_storage, local, make_config):
    (local / "file").write_bytes(b"x")
    with Session(config=make_config(tls_storage, skip_sslcert_validation=True)) as session:
        folder(session).upload(["file"])
    assert (tls_storage.folder / "file").read_bytes() == b"x"


# -- HTTP proxies -----------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy:
        yield proxy


@unpatched
def test_files_travel_through_an_http_proxy(storage, proxy, local, make_config):
    (local / "file").write_bytes(content(3 * MIB))
    with Session(config=make_config(storage, proxies={"http": proxy.url})) as session:
        folder(session).upload(["file"], chunk_size=MIB)
        folder(session).download(["file"], basedir="out")
    assert (local / "out" / "file").read_bytes() == content(3 * MIB)
    assert len([line for line in proxy.lines if line.startswith(f"PATCH {storage.proxy}/upload?token=")]) == 3
    assert len(storage.log("PATCH")) == 3
    assert all(len(patch["headers"]["content-length"]) > 4 for patch in storage.log("PATCH"))


@unpatched
def test_files_travel_through_a_tunnel(tls_storage, ca_file, proxy, local, make_config):
    (local / "file").write_bytes(content(3 * MIB))
    tls_storage.fault("GET", name="file", after=2 * MIB)
    with Session(config=make_config(tls_storage, ca_bundle=ca_file, proxies={"https": proxy.url})) as session:
        folder(session).upload(["file"], chunk_size=MIB)
        folder(session).download(["file"], basedir="out")
    assert (local / "out" / "file").read_bytes() == content(3 * MIB)
    assert {line.split(" ")[0] for line in proxy.lines} == {"CONNECT"}


@unpatched
@pytest.mark.parametrize("fault", [{"after": 0}, {"after": MIB // 2}, {"after": MIB // 2, "reset": True}], ids=str)
def test_an_upload_that_breaks_behind_a_proxy_is_lost_not_unsent(storage, proxy, local, make_config, fault):
    """What the server may have must not be sent again unasked."""
    (local / "file").write_bytes(content(MIB))
    storage.fault("PATCH", name="file", **fault)
    config = make_config(storage, proxies={"http": proxy.url})
    with Session(config=config) as session, pytest.raises(ConnectionLost):
        folder(session).upload(["file"], max_retries=0)
    assert len(storage.log("PATCH")) == 1


@unpatched
def test_an_upload_that_breaks_behind_a_proxy_goes_on(storage, proxy, local, make_config):
    (local / "file").write_bytes(content(3 * MIB))
    storage.fault("PATCH", name="file", after=MIB // 2)
    storage.fault("GET", name="file", after=2 * MIB)
    with Session(config=make_config(storage, proxies={"http": proxy.url})) as session:
        folder(session).upload(["file"], chunk_size=MIB)
        folder(session).download(["file"], basedir="out")
    assert (storage.folder / "file").read_bytes() == content(3 * MIB)
    assert (local / "out" / "file").read_bytes() == content(3 * MIB)


# -- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(caplog):
    """Everything that anyone logs, at the finest level."""
    caplog.set_level(logging.DEBUG)
    for name in ("ai.backend.client", "urllib3", "requests", "pykka", "concurrent.futures"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def all_of(error):
    """All that a program might print of an error."""
    seen = error
    while seen is not None:
        yield repr(seen) + repr(seen.args) + repr(vars(seen))
        seen = seen.__cause__ or seen.__context__
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())


@in_session
def test_errors_repeat_no_token(upload, download, storage, local):
    """The server's answers here repeat the URL that they are about."""
    (local / "file").write_bytes(b"x")
    (storage.folder / "file").write_bytes(b"x")
    storage.fault("PATCH", status=403)
    storage.fault("GET", name="file", status=403)
    for move in (upload, lambda names: download(names, basedir="out")):
        with pytest.raises(BackendError) as caught:
            move(["file"])
        assert "token=***" in repr(caught.value)


@unpatched
@pytest.mark.parametrize("through", ["nothing", "a proxy"])
@pytest.mark.parametrize(
    "fault", [{"status": 403}, {"after": 0}, {"after": 10, "reset": True}, {"status": 503}, {}], ids=str
)
def test_no_token_is_logged_or_shown(storage, proxy, local, make_config, log, tmp_path, through, fault):
    (local / "file").write_bytes(content(2 * MIB))
    (storage.folder / "down").write_bytes(content(2 * MIB))
    if fault:
        storage.fault("PATCH", **fault)
        storage.fault("HEAD", status=500)
        storage.fault("GET", name="down", **fault)
    proxies = {"http": proxy.url} if through == "a proxy" else {}
    tries = 0 if fault else 5  # the proxy may close a connection that it has just kept
    shown = []
    with Session(config=make_config(storage, proxies=proxies, retries=tries)) as session:
        records = tmp_path / "records"
        for move in (
            lambda: folder(session).upload(["file"], max_retries=tries, chunk_size=MIB, resume_dir=records),
            lambda: folder(session).download(["down"], max_retries=tries),
        ):
            try:
                move()
            except BackendError as error:
                shown += all_of(error)
    tokens = storage.tokens()
    assert len(tokens) >= 2
    for token in tokens:
        assert token not in log.text
        assert not any(token in text for text in shown)
    assert bool(shown) is bool(fault)


# -- mocks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        mock.get(f"{ENDPOINT}/", json={"version": "v7.20230615", "manager": "23.09.10"})
        yield mock


def test_a_mocked_upload(runtime, mock, local, make_config):
    (local / "file").write_bytes(content(CHUNK + 1))
    bodies = []

    def patch(request):
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body)
        bodies.append((request.url, request.headers["Upload-Offset"], len(body)))
        return 204, {"Upload-Offset": str(int(request.headers["Upload-Offset"]) + len(body))}, ""

    mock.post(f"{ENDPOINT}/folders/data/request-upload", json={"token": "t0k", "url": f"{PROXY}/upload"})
    mock.add_callback("PATCH", re.compile(f"{PROXY}/upload"), patch)
    with runtime.session(make_config(ENDPOINT)) as session:
        assert runtime.value(lambda: folder(session).upload(["file"], chunk_size=CHUNK)) == ["file"]
    assert json.loads(mock.calls[1].request.body) == {"path": "file", "size": CHUNK + 1}
    assert bodies == [(f"{PROXY}/upload?token=t0k", "0", CHUNK), (f"{PROXY}/upload?token=t0k", str(CHUNK), 1)]


def test_a_mocked_download(runtime, mock, local, make_config):
    mock.post(f"{ENDPOINT}/folders/data/request-download", json={"token": "t0k", "url": f"{PROXY}/download"})
    mock.get(f"{PROXY}/download", body=content(3 * MIB))
    with runtime.session(make_config(ENDPOINT)) as session:
        assert runtime.value(lambda: folder(session).download(["file"])) == [str(local / "file")]
    assert (local / "file").read_bytes() == content(3 * MIB)


@unpatched
def test_a_mocked_failure_is_translated(mock, local, make_config):
    mock.post(f"{ENDPOINT}/folders/data/request-download", json={"token": "t0k", "url": f"{PROXY}/download"})
    mock.get(f"{PROXY}/download", body=ConnectionResetError("peer"))
    with Session(config=make_config(ENDPOINT, retries=0)) as session, pytest.raises(ConnectionLost):
        folder(session).download(["file"], max_retries=0)
