"""TLS: who cannot prove who it is gets nothing, and the error says so."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time

import pytest
import trustme

from ai.backend.client.exceptions import BackendClientError, CallTimeout, ConnectTimeout, TLSError
from ai.backend.client.session import AsyncSession, Session
from support.servers.faults import FaultServer, black_hole, reply
from support.waiting import LIMIT

KERNEL = {"name": "kernel"}
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(ca, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def tls(ca):
    """A server that the CA vouches for."""
    with FaultServer(server_context(ca.issue_cert("127.0.0.1", "localhost"))) as server:
        server.script(reply(KERNEL))
        yield server


def ask(config, session_class=Session):
    with session_class(config=config) as session:
        return session.Kernel("kernel").get_info.submit().result(LIMIT)


@pytest.mark.parametrize("session_class", [Session, AsyncSession])
def test_a_trusted_server_is_talked_to(make_config, tls, ca_file, session_class):
    assert ask(make_config(tls, ca_bundle=ca_file), session_class) == KERNEL


def test_many_calls_over_tls_get_their_own_answers(make_config, tls, ca_file):
    tls.script(reply())
    with Session(config=make_config(tls, ca_bundle=ca_file, lanes=8)) as session:
        futures = [session.Kernel(f"kernel-{index}").get_info.submit() for index in range(200)]
        answers = [future.result(LIMIT)["target"] for future in futures]
    assert answers == [f"/session/kernel-{index}" for index in range(200)]
    assert tls.connections <= 8


def test_a_large_body_over_tls_arrives_whole(make_config, tls, ca_file):
    tls.script(reply({"text": "x" * 3_000_000}))
    assert len(ask(make_config(tls, ca_bundle=ca_file))["text"]) == 3_000_000


def refused(config, server):
    session = Session(config=config)
    with pytest.raises(TLSError) as caught:
        session.open()
    session.close()
    error = caught.value
    assert (error.method, error.path, error.endpoint, error.attempts) == ("GET", "/", server.url, 1)
    assert server.requests == []
    return error


def test_an_unknown_authority_is_refused(make_config, tls):
    assert "certificate" in str(refused(make_config(tls, retries=2), tls)).lower()


def test_a_wrong_host_name_is_refused(make_config, ca, ca_file):
    with FaultServer(server_context(ca.issue_cert("somewhere.example"))) as server:
        refused(make_config(server, ca_bundle=ca_file), server)


def test_an_expired_certificate_is_refused(make_config, ca, ca_file):
    certificate = ca.issue_cert(
        "127.0.0.1", not_before=NOW - datetime.timedelta(days=9), not_after=NOW - datetime.timedelta(days=1)
    )
    with FaultServer(server_context(certificate)) as server:
        assert "expired" in str(refused(make_config(server, ca_bundle=ca_file), server)).lower()


def test_a_server_that_speaks_no_tls_is_refused(make_config):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_in_clear_text():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer_in_clear_text)
        thread.start()
        session = Session(config=make_config(f"https://127.0.0.1:{listener.getsockname()[1]}", retries=0))
        with pytest.raises(TLSError):
            session.open()
        session.close()
        thread.join()


def test_a_server_that_never_shakes_hands_is_a_connect_timeout(make_config, server):
    url = server.url.replace("http:", "https:")
    session = Session(config=make_config(url, retries=0, connection_timeout=0.3))
    with pytest.raises(ConnectTimeout):
        session.open()
    session.close()


def test_verification_can_be_turned_off_for_a_session(make_config, tls):
    assert ask(make_config(tls, skip_sslcert_validation=True)) == KERNEL


def test_a_client_certificate_is_shown(make_config, ca, ca_file, tmp_path):
    context = server_context(ca.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    certificate = ca.issue_cert("client@example.com")
    both, cert, key = tmp_path / "both.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(both)
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    with FaultServer(context) as server:
        server.script(reply(KERNEL))
        assert ask(make_config(server, ca_bundle=ca_file, client_cert=both)) == KERNEL
        assert ask(make_config(server, ca_bundle=ca_file, client_cert=(cert, key))) == KERNEL


def test_a_missing_client_certificate_is_an_error(make_config, ca, ca_file):
    """With TLS 1.3 the refusal arrives after the handshake, with the answer."""
    context = server_context(ca.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    with FaultServer(context) as server:
        with pytest.raises(BackendClientError):
            ask(make_config(server, ca_bundle=ca_file, retries=0))
        assert server.requests == []


def test_a_silent_handshake_ends_in_time(make_config):
    """A listener that accepts nothing completes connections all the same; then nobody says hello."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        session = Session(config=make_config(url, retries=0, connection_timeout=0.3, read_timeout=0.3, deadline=30))
        start = time.monotonic()
        with pytest.raises((TLSError, CallTimeout)):
            session.open()
        assert time.monotonic() - start < LIMIT
        session.close()


def test_connecting_to_a_tls_endpoint_ends_in_time(make_config):
    with black_hole() as url:
        session = Session(config=make_config(url.replace("http:", "https:"), retries=0, connection_timeout=0.2))
        with pytest.raises(ConnectTimeout):
            session.open()
        session.close()


def test_two_sessions_with_different_trust_do_not_mix(make_config, tls, ca_file):
    """A connection that one session trusts is nothing to another."""
    with Session(config=make_config(tls, skip_sslcert_validation=True)) as careless:
        assert careless.Kernel("kernel").get_info() == KERNEL
        tls.requests.clear()
        refused(make_config(tls), tls)
        assert careless.Kernel("kernel").get_info() == KERNEL
