"""Cooperative sockets against real ones on loopback: only the lane waits, and every end is noticed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import threading
import time

import gevent
import pytest
import trustme

from ai.backend.client.actors.net import sockets
from ai.backend.client.actors.net.sockets import HubSocket, connect
from ai.backend.client.actors.net.tls import TLSSocket, tls_context
from support.servers.faults import black_hole
from support.waiting import LIMIT, until

SHORT = 0.05
"""Seconds of a timeout that is meant to run out."""
LARGE = 10 * 2**20


def closing(function):
    """The function on a connection that is closed afterwards."""

    def run(hub, address, *args):
        sock = connect(hub, address, LIMIT)
        try:
            return function(sock, *args)
        finally:
            sock._files = 0
            sock.close()

    return run


def receive_exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def read_to_the_end(connection):
    while connection.recv(65536):
        pass


# -- connecting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_connection_carries_bytes_both_ways(hub, in_lane, serve, host):
    port = serve(echo)[1]

    @closing
    def talk(sock):
        sock.sendall(b"hello")
        return receive_exactly(sock, 5), sock.getpeername()[1], sock.fileno() >= 0

    assert in_lane(talk, hub, (host, port)) == (b"hello", port, True)


def test_a_numeric_ipv6_address_is_connected_to(hub, in_lane, serve):
    try:
        host, port = serve(echo, socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")

    @closing
    def talk(sock):
        sock.sendall(b"hello")
        return receive_exactly(sock, 5)

    assert in_lane(talk, hub, (host, port)) == b"hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_numeric_address_is_not_looked_up(monkeypatch, host):
    monkeypatch.setattr(sockets, "getaddrinfo", lambda *_: pytest.fail("looked up"))
    found = sockets._resolve(None, host, 80)
    assert [target[:2] for *_, target in found] == [(host, 80)]


def test_a_port_that_refuses_is_a_connection_refused(hub, in_lane):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        in_lane(connect, hub, address, LIMIT)


def test_no_connection_in_time_is_a_timeout(hub, in_lane):
    with black_hole() as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            in_lane(connect, hub, address, SHORT)
        assert SHORT * 0.9 <= time.monotonic() - start < LIMIT / 2


def test_an_unknown_host_is_an_address_error(hub, in_lane):
    with pytest.raises(socket.gaierror):
        in_lane(connect, hub, ("no-such-host.invalid", 80), LIMIT)


def test_the_addresses_of_a_host_are_tried_in_turn(hub, in_lane, serve, monkeypatch):
    address = serve(echo)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()
    kinds = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    monkeypatch.setattr(sockets, "_resolve", lambda *_: [(*kinds, dead), (*kinds, address)])
    assert in_lane(closing(lambda sock: sock.getpeername()), hub, ("both", 1)) == address
    monkeypatch.setattr(sockets, "_resolve", lambda *_: [(*kinds, dead), (*kinds, dead)])
    with pytest.raises(ConnectionRefusedError):
        in_lane(connect, hub, ("both", 1), LIMIT)


def test_options_and_the_local_address_are_set_before_connecting(hub, in_lane, serve):
    peers = []
    address = serve(lambda connection: (peers.append(connection.getpeername()), read_to_the_end(connection)))

    def talk():
        sock = connect(
            hub, address, LIMIT, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)], source_address=("127.0.0.2", 0)
        )
        option = sock._raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.close()
        return option

    assert in_lane(talk) != 0
    until(lambda: peers, "the server has seen the connection")
    assert peers[0][0] == "127.0.0.2"


@pytest.mark.parametrize("failure", ["refused", "timeout", "option", "abandoned"])
def test_a_connection_that_fails_leaves_no_descriptor(hub, in_lane, start_lane, failure):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count

    in_lane(lambda: gevent.sleep(0))
    with black_hole() as url, socket.create_server(("127.0.0.1", 0)) as listener:
        silent = ("127.0.0.1", int(url.rpartition(":")[2]))
        refusing = listener.getsockname()
        listener.close()
        before = descriptors()
        if failure == "abandoned":
            lane = []
            job = start_lane(lambda: (lane.append(gevent.getcurrent()), connect(hub, silent, LIMIT)))
            until(lambda: lane and descriptors() > before, "it is connecting")
            hub.call(lambda: lane[0].throw(KeyError("abandoned")))
            with pytest.raises(KeyError):
                job.result(LIMIT)
        else:
            arguments = {
                "refused": (refusing, LIMIT),
                "timeout": (silent, SHORT),
                "option": (silent, LIMIT, [(9999, 9999, 1)]),
            }[failure]
            with pytest.raises(OSError, match=r"."):
                in_lane(connect, hub, *arguments)
        assert descriptors() == before


def test_only_the_lane_waits_while_it_connects_and_reads(hub, start_lane, on_hub, serve):
    go_on = threading.Event()

    def late(connection):
        assert go_on.wait(LIMIT)
        connection.sendall(b"late")

    address = serve(late)
    reading = start_lane(closing(lambda sock: receive_exactly(sock, 4)), hub, address)
    with black_hole() as url:
        waiting = start_lane(connect, hub, ("127.0.0.1", int(url.rpartition(":")[2])), SHORT)
        for _ in range(20):
            on_hub(lambda: None)
        assert not reading.done()
        go_on.set()
        assert reading.result(LIMIT) == b"late"
        with pytest.raises(TimeoutError):
            waiting.result(LIMIT)


# -- reading ----------------------------------------------------------------------------------------------------------


def test_the_end_of_the_stream_reads_as_nothing_again_and_again(hub, in_lane, serve):
    address = serve(lambda connection: connection.sendall(b"bye"))

    @closing
    def read(sock):
        return receive_exactly(sock, 100), sock.recv(1), sock.recv(1)

    assert in_lane(read, hub, address) == (b"bye", b"", b"")


def test_a_read_that_brings_nothing_in_time_is_a_timeout_and_the_socket_stays_usable(hub, in_lane, serve):
    go_on = threading.Event()

    def late(connection):
        assert go_on.wait(LIMIT)
        connection.sendall(b"late")
        read_to_the_end(connection)

    @closing
    def read(sock):
        sock.settimeout(SHORT)
        outcomes = [sock.gettimeout()]
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                sock.recv(4)
            outcomes.append(SHORT * 0.9 <= time.monotonic() - start < LIMIT / 2)
        go_on.set()
        sock.settimeout(None)
        outcomes.append(receive_exactly(sock, 4))
        return outcomes

    assert in_lane(read, hub, serve(late)) == [SHORT, True, True, b"late"]


def test_every_read_has_the_whole_timeout(hub, in_lane, serve):
    """It limits silence, not the exchange, and even less the connection's whole life."""

    def drip(connection):
        for _ in range(6):
            threading.Event().wait(0.04)
            connection.sendall(b".")

    @closing
    def read(sock):
        sock.settimeout(0.15)
        return receive_exactly(sock, 6)

    assert in_lane(read, hub, serve(drip)) == b"......"


def test_a_reset_is_an_error_of_the_connection(hub, in_lane, serve):
    def reset(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    @closing
    def read(sock):
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        return True

    assert in_lane(read, hub, serve(reset))


def test_recv_into_fills_a_buffer(hub, in_lane, serve):
    @closing
    def read(sock):
        buffer = bytearray(8)
        counts = [sock.recv_into(buffer, 3), sock.recv_into(memoryview(buffer)[3:])]
        return counts, bytes(buffer)

    assert in_lane(read, hub, serve(lambda c: c.sendall(b"abcdef"))) == ([3, 3], b"abcdef\0\0")


# -- idle connections -------------------------------------------------------------------------------------------------


@pytest.fixture
def idle(hub, in_lane, serve):
    """A connection that nobody reads, and the server's end of it."""
    ends = []
    release = threading.Event()

    def hold(connection):
        ends.append(connection)
        release.wait(LIMIT)

    sock = in_lane(connect, hub, serve(hold), LIMIT)
    until(lambda: ends, "the server has accepted")
    yield sock, ends[0]
    hub.call(sock.close)
    release.set()


@pytest.mark.parametrize("news", ["end", "data"])
def test_news_on_an_idle_connection_make_it_stale(idle, on_hub, news):
    sock, peer = idle
    assert not sock.stale
    assert on_hub(sock.has_news) is False
    if news == "end":
        peer.shutdown(socket.SHUT_RDWR)
    else:
        peer.sendall(b"nobody asked")
    until(lambda: sock.stale, "the hub has noticed")
    assert on_hub(sock.has_news) is True


def test_a_stale_connection_still_gives_what_came(idle, in_lane, on_hub):
    sock, peer = idle
    peer.sendall(b"news")
    until(lambda: sock.stale, "the hub has noticed")
    assert in_lane(sock.recv, 10) == b"news"


def test_a_reset_of_an_idle_connection_is_news(idle, on_hub):
    sock, peer = idle
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    until(lambda: sock.stale, "the hub has noticed")
    assert on_hub(sock.has_news) is True


def test_a_connection_that_is_watched_again_notices_the_next_news(idle, in_lane, on_hub):
    sock, peer = idle
    for _ in range(3):
        peer.sendall(b"x")
        until(lambda: sock.stale, "the hub has noticed")
        assert in_lane(sock.recv, 10) == b"x"
        on_hub(sock.rearm)
        assert not sock.stale
        assert on_hub(sock.has_news) is False


def test_watching_again_with_bytes_left_unread_is_stale_again_at_once(idle, in_lane, on_hub):
    sock, peer = idle
    peer.sendall(b"xy")
    until(lambda: sock.stale, "the hub has noticed")
    assert in_lane(sock.recv, 1) == b"x"
    on_hub(sock.rearm)
    until(lambda: sock.stale, "the rest has been noticed")


def test_a_stale_mark_without_anything_to_read_waits_as_any_read_does(idle, in_lane, start_lane, on_hub):
    sock, peer = idle
    peer.sendall(b"x")
    until(lambda: sock.stale, "the hub has noticed")
    assert in_lane(sock.recv, 10) == b"x"
    sock.stale = True
    reading = start_lane(sock.recv, 10)
    on_hub(lambda: None)
    assert not reading.done()
    peer.sendall(b"y")
    assert reading.result(LIMIT) == b"y"


def test_a_peer_that_never_pauses_leaves_the_others_their_turn(idle, hub, in_lane):
    """Also when it was ahead of its reader once: here all that is read has come before."""
    sock, peer = idle
    peer.sendall(b"x" * 1000)
    until(lambda: sock.stale, "the hub has noticed")
    read = []
    others = []

    def read_all():
        hub.call(lambda: others.append(len(read)))
        for _ in range(1000):
            read.append(sock.recv(1))

    in_lane(read_all)
    assert others[0] <= 1


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_ten_mebibytes_arrive_whole_while_the_hub_goes_on(hub, start_lane, on_hub, serve, kind):
    data = os.urandom(2**16) * (LARGE // 2**16)
    go_on = threading.Event()
    digest = hashlib.sha256()
    finished = threading.Event()

    def slow(connection):
        assert go_on.wait(LIMIT)
        while part := connection.recv(1 << 18):
            digest.update(part)
        finished.set()

    @closing
    def send(sock):
        sock.sendall(kind(data))
        return True

    sending = start_lane(send, hub, serve(slow))
    on_hub(lambda: None)
    assert not sending.done()  # the kernel does not take as much
    go_on.set()
    assert sending.result(LIMIT)
    assert finished.wait(LIMIT)
    assert digest.digest() == hashlib.sha256(data).digest()


def test_a_write_that_nobody_takes_is_a_timeout(hub, in_lane, serve):
    release = threading.Event()

    @closing
    def send(sock):
        sock.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(LARGE))
        return True

    assert in_lane(send, hub, serve(lambda _: release.wait(LIMIT)))
    release.set()


def test_a_full_buffer_takes_nothing_and_says_so(hub, in_lane, serve):
    release = threading.Event()

    @closing
    def send(sock):
        while sock.send_some(bytes(1 << 20)):
            pass
        return sock.send_some(b"more")

    assert in_lane(send, hub, serve(lambda _: release.wait(LIMIT))) == 0
    release.set()


def test_send_says_how_much_it_sent_and_sends_all(hub, in_lane, serve):
    @closing
    def send(sock):
        return sock.send(b"abc"), receive_exactly(sock, 3)

    assert in_lane(send, hub, serve(echo)) == (3, b"abc")


# -- the end ----------------------------------------------------------------------------------------------------------


def test_close_waits_for_the_last_reader_made_of_it(hub, in_lane, serve):
    address = serve(lambda connection: connection.sendall(b"line\nrest"))

    def talk():
        sock = connect(hub, address, LIMIT)
        one, other = sock.makefile("rb"), sock.makefile("rb")
        sock.close()
        open_still = sock.fileno() >= 0
        line = one.readline()
        one.close()
        one.close()
        open_for_other = sock.fileno() >= 0
        other.close()
        return line, open_still, open_for_other, sock.fileno()

    assert in_lane(talk) == (b"line\n", True, True, -1)


def test_readers_closed_first_leave_the_socket_open(hub, in_lane, serve):
    @closing
    def talk(sock):
        sock.makefile("rb").close()
        sock.sendall(b"x")
        return receive_exactly(sock, 1)

    assert in_lane(talk, hub, serve(echo)) == b"x"


def test_a_closed_socket_may_be_closed_again_and_is_stale(hub, in_lane, serve):
    def talk(address):
        sock = connect(hub, address, LIMIT)
        sock.settimeout(LIMIT)
        sock.sendall(b"x")
        receive_exactly(sock, 1)
        sock.close()
        sock.close()
        return sock.stale, sock.fileno()

    assert in_lane(talk, serve(echo)) == (True, -1)


def test_a_close_under_a_writer_stops_watching(hub, in_lane, start_lane, on_hub, serve):
    """libev takes the process down when it comes upon a watcher whose descriptor is closed."""
    held = threading.Event()
    sock = in_lane(connect, hub, serve(lambda _: held.wait(LIMIT)), LIMIT)
    in_lane(sock.settimeout, 0.3)
    writing = start_lane(sock.sendall, bytes(LARGE))
    until(lambda: on_hub(lambda: sock._write_watcher is not None and sock._write_watcher.active), "the writer waits")
    on_hub(sock.close)  # two watchers are on the descriptor, and one after the other lets go
    with pytest.raises(TimeoutError):
        writing.result(LIMIT)
    held.set()
    assert on_hub(lambda: "the hub goes on") == "the hub goes on"


def test_a_closed_socket_is_not_watched_again(hub, in_lane, on_hub, serve):
    sock = in_lane(connect, hub, serve(echo), LIMIT)
    on_hub(sock.close)
    in_lane(gevent.sleep, SHORT)
    on_hub(sock.rearm)
    in_lane(gevent.sleep, SHORT)
    assert sock.stale


def test_closing_all_of_a_hub_closes_even_what_has_readers_and_nothing_of_another(hub, in_lane, on_hub, serve):
    def open_two(address):
        one, other = connect(hub, address, LIMIT), connect(hub, address, LIMIT)
        other.makefile()
        return [one, other]

    address = serve(read_to_the_end)
    mine = in_lane(open_two, address)
    stranger = object()
    sockets.open_sockets[stranger] = {"theirs"}
    try:
        on_hub(sockets.close_all, hub)
        assert [sock.fileno() for sock in mine] == [-1, -1]
        assert hub not in sockets.open_sockets
        assert sockets.open_sockets[stranger] == {"theirs"}
        on_hub(sockets.close_all, hub)
    finally:
        del sockets.open_sockets[stranger]


def test_an_interrupted_read_leaves_the_socket_closable(hub, start_lane, on_hub, serve):
    lane, opened = [], []

    def read(address):
        lane.append(gevent.getcurrent())
        opened.append(connect(hub, address, LIMIT))
        opened[0].settimeout(LIMIT)
        try:
            opened[0].recv(1)
        finally:
            opened[0].close()

    reading = start_lane(read, serve(read_to_the_end))
    until(lambda: opened and opened[0]._reader is not None, "it reads")
    on_hub(lane[0].throw, KeyError("abandoned"))
    with pytest.raises(KeyError):
        reading.result(LIMIT)
    assert opened[0].fileno() == -1


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def serve_tls(serve, ca):
    """`serve_tls(handle)`: the same with TLS; `handle` gets the secured connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    def start(handle, **options):
        def secure(connection):
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                handle(secured)

        return serve(secure, **options)

    return start


@pytest.fixture
def trusting(ca):
    context = tls_context()
    ca.configure_trust(context)
    return context


def secured(function):
    """The function on a TLS connection that is closed afterwards."""

    def run(hub, address, context, name="127.0.0.1", timeout=LIMIT):
        plain = connect(hub, address, LIMIT)
        plain.settimeout(timeout)
        sock = context.wrap_socket(plain, server_hostname=name)
        try:
            return function(sock)
        finally:
            sock.close()

    return run


def test_tls_carries_bytes_both_ways_and_tells_about_the_peer(hub, in_lane, serve_tls, trusting):
    @secured
    def talk(sock):
        sock.sendall(b"hello")
        got = receive_exactly(sock, 5)
        return got, isinstance(sock, TLSSocket), sock.version(), bool(sock.getpeercert()), sock.gettimeout()

    assert in_lane(talk, hub, serve_tls(echo), trusting) == (b"hello", True, "TLSv1.3", True, LIMIT)


def test_a_context_trusts_nobody_checks_names_and_speaks_nothing_old():
    context = tls_context()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.get_ca_certs() == []


def test_a_peer_that_nobody_vouches_for_is_refused_and_the_socket_closed(hub, in_lane, serve_tls):
    def talk(address):
        plain = connect(hub, address, LIMIT)
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_context().wrap_socket(plain, server_hostname="127.0.0.1")
        return plain.fileno(), len(sockets.open_sockets.get(hub, ()))

    assert in_lane(talk, serve_tls(echo)) == (-1, 0)


def test_a_peer_with_another_name_is_refused(hub, in_lane, serve_tls, trusting):
    with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
        in_lane(secured(lambda sock: None), hub, serve_tls(echo), trusting, "other.example")


def test_a_handshake_that_is_not_answered_ends_in_time(hub, in_lane, serve, trusting):
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        in_lane(secured(lambda sock: None), hub, serve(read_to_the_end), trusting, "127.0.0.1", SHORT)
    assert SHORT * 0.9 <= time.monotonic() - start < LIMIT / 2


def test_a_peer_that_speaks_no_tls_is_refused(hub, in_lane, serve, trusting):
    address = serve(lambda connection: (connection.recv(1), connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
    with pytest.raises(ssl.SSLError):
        in_lane(secured(lambda sock: None), hub, address, trusting)


def test_a_peer_that_goes_during_the_handshake_is_an_error(hub, in_lane, serve, trusting):
    with pytest.raises(OSError, match=r"."):
        in_lane(secured(lambda sock: None), hub, serve(lambda connection: connection.recv(1)), trusting)


def test_a_read_over_tls_keeps_to_the_timeout_and_goes_on_afterwards(hub, in_lane, serve_tls, trusting):
    go_on = threading.Event()

    def late(connection):
        assert go_on.wait(LIMIT)
        connection.sendall(b"late")
        read_to_the_end(connection)

    @secured
    def read(sock):
        sock.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            sock.recv(4)
        go_on.set()
        sock.settimeout(LIMIT)
        return receive_exactly(sock, 4)

    assert in_lane(read, hub, serve_tls(late), trusting) == b"late"


def test_ten_mebibytes_over_tls_arrive_whole(hub, in_lane, serve_tls, trusting):
    data = os.urandom(2**16) * (LARGE // 2**16)
    digest = hashlib.sha256()

    def read(connection):
        left = len(data)
        while left:
            part = connection.recv(1 << 18)
            digest.update(part)
            left -= len(part)
        connection.sendall(b"done")

    @secured
    def send(sock):
        sock.sendall(data)
        return receive_exactly(sock, 4)

    assert in_lane(send, hub, serve_tls(read), trusting) == b"done"
    assert digest.digest() == hashlib.sha256(data).digest()


def test_a_large_answer_over_tls_is_read_to_its_end(hub, in_lane, serve_tls, trusting):
    data = os.urandom(2**16) * 32

    @secured
    def read(sock):
        return receive_exactly(sock, len(data))

    assert in_lane(read, hub, serve_tls(lambda c: c.sendall(data)), trusting) == data


def test_a_tls_peer_that_says_goodbye_is_the_end_of_the_stream(hub, in_lane, serve_tls, trusting):
    def goodbye(connection):
        connection.sendall(b"bye")
        with contextlib.suppress(OSError):
            connection.unwrap()

    @secured
    def read(sock):
        return receive_exactly(sock, 100), sock.recv(1)

    assert in_lane(read, hub, serve_tls(goodbye), trusting) == (b"bye", b"")


def test_a_tls_peer_that_goes_without_goodbye_is_the_end_of_the_stream_too(hub, in_lane, serve_tls, trusting):
    """As with the standard library's sockets; servers that drop an idle connection often do not say goodbye."""

    @secured
    def read(sock):
        return receive_exactly(sock, 100), sock.recv(1)

    assert in_lane(read, hub, serve_tls(lambda c: c.sendall(b"bye")), trusting) == (b"bye", b"")


def test_close_takes_effect_over_tls_too(hub, in_lane, serve_tls, trusting):
    ended = threading.Event()

    def watch(connection):
        with contextlib.suppress(OSError):
            read_to_the_end(connection)
        ended.set()

    def talk(address):
        sock = trusting.wrap_socket(connect(hub, address, LIMIT), server_hostname="127.0.0.1")
        reader = sock.makefile("rb")
        sock.close()
        open_still = sock.fileno() >= 0
        reader.close()
        return open_still, sock.fileno(), len(sockets.open_sockets.get(hub, ()))

    assert in_lane(talk, serve_tls(watch)) == (True, -1, 0)
    assert ended.wait(LIMIT)


def test_the_plain_socket_under_tls_is_taken_over_whole(hub, in_lane, serve_tls, trusting):
    def talk(address):
        plain = connect(hub, address, LIMIT)
        sock = trusting.wrap_socket(plain, server_hostname="127.0.0.1")
        held = sockets.open_sockets[hub]
        taken_over = held == {sock}
        sock.close()
        return taken_over, isinstance(plain, HubSocket), plain.fileno()

    assert in_lane(talk, serve_tls(read_to_the_end)) == (True, True, -1)


# -- peers that vanish, and peers that are slow -----------------------------------------------------------------------

linux = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")


def options_of(raw):
    return {
        name: raw.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        if hasattr(socket, name)
    }


@linux
def test_the_system_looks_after_a_connection_whose_peer_is_silent(hub, in_lane, serve):
    address = serve(read_to_the_end)

    @closing
    def look(sock):
        return sock._raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), options_of(sock._raw)

    kept_alive, options = in_lane(look, hub, address)
    assert kept_alive
    assert options == {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


def stalled(release):
    """A peer that reads nothing until it is told to, and then to the end."""

    def peer(connection):
        release.wait(LIMIT)
        read_to_the_end(connection)

    return peer


@linux
@pytest.mark.parametrize(
    ("timeout", "limit"), [(None, 0), (300.0, 301_000), (5.0, 60_000)], ids=["for ever", "long", "short"]
)
def test_a_write_that_waits_for_a_slow_reader_may_wait_as_long_as_its_timeout_says(
    hub, in_lane, start_lane, serve, timeout, limit
):
    release, seen = threading.Event(), []
    address = serve(stalled(release))

    @closing
    def write(sock):
        sock.settimeout(timeout)
        seen.append(sock)
        sock.sendall(bytes(LARGE))
        waited = sock._raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        sock.set_unread_limit()
        return waited, sock._raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    outcome = start_lane(lambda: write(hub, address))
    until(lambda: seen and seen[0]._write_watcher is not None, "the writer waits")
    release.set()
    assert outcome.result(LIMIT) == (limit, 60_000)


@linux
def test_a_slow_reader_outlives_the_limit_for_one_that_has_vanished(hub, in_lane, serve, monkeypatch):
    """To Linux a peer without room is one that does not acknowledge: it would end the connection."""
    monkeypatch.setattr(sockets, "UNREAD_LIMIT", 0.2)
    release = threading.Event()
    address = serve(stalled(release))

    @closing
    def write(sock):
        sock.settimeout(LIMIT)
        sock.set_unread_limit(sockets.UNREAD_LIMIT)
        threading.Timer(1.0, release.set).start()
        sock.sendall(bytes(LARGE))
        return True

    assert in_lane(write, hub, address)


@linux
def test_a_peer_that_the_system_gives_up_is_a_connection_that_broke_and_no_timeout(hub, in_lane, serve):
    release = threading.Event()
    address = serve(stalled(release))

    @closing
    def write(sock):
        sock.settimeout(LIMIT)
        sock.set_unread_limit(0.2)
        sock.sendall(bytes(LARGE))

    with pytest.raises(ConnectionResetError, match="timed out"):
        in_lane(write, hub, address)
    release.set()
