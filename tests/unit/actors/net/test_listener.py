"""Listening on the hub."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from ai.backend.client.actors.net import listener as module
from ai.backend.client.actors.net import sockets
from ai.backend.client.actors.net.listener import Listener


@pytest.fixture
def listen(on_hub, hub):
    """`listen(accepted, host, port)`: a listener on the hub."""
    made = []

    def start(accepted, host="127.0.0.1", port=0):
        made.append(on_hub(lambda: Listener(hub, host, port, accepted)))
        return made[-1]

    yield start
    for listener in made:
        on_hub(listener.close)


def echo(start_lane):
    def accepted(connection):
        def serve():
            while data := connection.recv(100):
                connection.sendall(data)
            connection.close()

        start_lane(serve)

    return accepted


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_are_accepted(listen, start_lane, host):
    listener = listen(echo(start_lane), host)
    assert listener.address[0] == host
    for _ in range(3):
        with socket.create_connection(listener.address, 5) as client:
            client.sendall(b"hello")
            assert client.recv(10) == b"hello"


def test_a_taken_port_is_an_error(listen, on_hub, hub):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        on_hub(lambda: Listener(hub, "127.0.0.1", other.getsockname()[1], print))


def test_after_the_close_nobody_is_accepted(listen, on_hub):
    listener = listen(lambda connection: connection.close())
    on_hub(listener.close)
    on_hub(listener.close)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.address, 5)


def test_the_end_of_the_hub_s_connections_is_its_end(listen, on_hub, hub):
    listener = listen(lambda connection: connection.close())
    on_hub(lambda: sockets.close_all(hub))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.address, 5)


def test_a_failure_to_accept_is_waited_out(listen, on_hub, start_lane, monkeypatch):
    """Out of descriptors: the loop must not spin, and goes on later."""
    monkeypatch.setattr(module, "ACCEPT_REST", 0.05)
    listener = listen(echo(start_lane))
    accept, failures = listener._raw.accept, []

    class Raw:
        def __getattr__(self, name):
            return getattr(real, name)

        def accept(self):
            if len(failures) < 3:
                failures.append(1)
                raise OSError(errno.EMFILE, "too many open files")
            return accept()

    real = listener._raw
    on_hub(lambda: setattr(listener, "_raw", Raw()))
    with socket.create_connection(listener.address, 5) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    assert len(failures) == 3
    on_hub(lambda: setattr(listener, "_raw", real))


def test_a_forked_child_drops_its_copy(listen, hub):
    """And the parent's goes on. (In the parent itself the loop would come upon a closed descriptor.)"""
    listener = listen(lambda connection: connection.close())
    child = os.fork()
    if child == 0:
        sockets.drop_all(hub)
        os._exit(listener._raw.fileno() != -1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    socket.create_connection(listener.address, 5).close()
