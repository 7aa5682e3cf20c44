"""Sockets for lanes: what a library believes to be a blocking socket, while only the calling lane waits.

A :class:`HubSocket` is a non-blocking socket with one I/O watcher that stays armed for the connection's life. That
saves two system calls per exchange against gevent's own sockets, and it notices when the server closes an idle
connection (:attr:`HubSocket.stale`) without asking before each send.
"""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gevent
import gevent.monkey
import gevent.socket
import greenlet

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.originals import getaddrinfo

if TYPE_CHECKING:
    from ai.backend.client.actors.net.listener import Listener

Socket: Any = gevent.monkey.get_original("socket", "socket")

_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only

READ, WRITE = 1, 2
KEEP_ALIVE_IDLE, KEEP_ALIVE_STEP, KEEP_ALIVE_COUNT = 30, 10, 3
"""Seconds of silence before the first probe, seconds between probes, and how many may stay without an answer.

The system's own (two hours, on Linux) keep no entry of a NAT alive, which may forget after a minute. A peer that has
vanished is noticed within a minute, also by who waits long for an answer or an event."""

UNREAD_LIMIT = 60.0
"""Seconds for which a peer may leave what was sent to it without an acknowledgement: as long as the probes above take.

Linux's own limit is 15 minutes. To Linux a peer that has no room for more is one that does not acknowledge; what may
wait for a slow reader says so (:meth:`HubSocket.set_unread_limit`)."""

ROOM = 65536
"""Bytes of one write that a peer has room for, if it reads at all: the smallest receive buffer in common use."""

SocketOptions = Iterable[tuple[int, int, int | bytes]]


def connect(
    hub: Hub,
    address: tuple[str, int],
    timeout: float | None,
    options: SocketOptions | None = None,
    source_address: tuple[str, int] | None = None,
) -> HubSocket:
    """Open a TCP connection from a lane.

    Args:
        hub: The hub that the lane lives on.
        address: Host (a name, or a numeric address, which is not looked up) and port.
        timeout: Seconds, for all the host's addresses together; None: no limit.
        options: Socket options to set before connecting.
        source_address: Local address to bind to.

    Raises:
        TimeoutError: No connection in time.
        OSError: Refused, unreachable or unknown (``socket.gaierror``).
    """
    limit = gevent.Timeout.start_new(timeout) if timeout is not None else None
    try:
        error: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL), address[0])
        for family, kind, protocol, _, target in _resolve(hub, *address):
            raw = Socket(family, kind, protocol)
            watcher = hub.loop.io(raw.fileno(), WRITE, ref=False)
            connecting = _connecting.setdefault(hub, set())
            connecting.add((raw, watcher))
            try:
                raw.setblocking(False)
                for option in options or ():
                    raw.setsockopt(*option)
                if source_address:
                    raw.bind(source_address)
                code = raw.connect_ex(target)
                if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                    hub.gevent_hub.wait(watcher)
                    code = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, os.strerror(code))
                sock = HubSocket(hub, raw)
                keep_alive(raw)
                sock.set_unread_limit()
                return sock
            except OSError as failure:
                raw.close()
                error = failure
            except BaseException:
                raw.close()
                raise
            finally:
                watcher.close()
                connecting.discard((raw, watcher))
        raise error
    except gevent.Timeout as expired:
        if expired is not limit:
            raise
        raise TimeoutError("connection timed out") from None
    finally:
        if limit is not None:
            limit.close()


def _resolve(hub: Hub, host: str, port: int) -> list[tuple[Any, ...]]:
    # Not gevent's resolver: its pool leaves objects behind when its hub goes, and holds up the end of the hub.
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        target = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", target)]
    return hub.offload(getaddrinfo, host, port, 0, socket.SOCK_STREAM)


def keep_alive(raw: Any) -> None:
    """Have the system ask a silent peer whether it is still there, as far as this system can."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE),
        ("TCP_KEEPALIVE", KEEP_ALIVE_IDLE),  # what macOS calls it
        ("TCP_KEEPINTVL", KEEP_ALIVE_STEP),
        ("TCP_KEEPCNT", KEEP_ALIVE_COUNT),
    ):
        if hasattr(socket, name):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class HubSocket:
    """A connected TCP socket, for one lane at a time; one greenlet may write while another reads.

    Has those methods of :class:`socket.socket` that urllib3 and http.client use. ``recv`` and ``sendall`` keep to
    ``settimeout``.

    Its watchers end with it, whoever waits: libev takes the process down (an assertion) when it finds one whose
    descriptor is closed.

    Attributes:
        stale: Something came (data, or the end of the stream) while nobody was reading. On an idle connection that
            means that it must not be used for another request.
    """

    def __init__(self, hub: Hub, raw: Any) -> None:
        self._hub = hub
        self._raw = raw
        self._timeout: float | None = None
        self._reader: Any = None
        self._timer: Any = None
        self._write_watcher: Any = None
        self._files = 0
        self._closing = False
        self._unread_limit: float | None = None
        self.stale = False
        self.when_stale: Callable[[], object] | None = None
        # ref=False: an idle connection must not keep the caller's hub alive.
        # The priority lets it run before the drain in the same turn of the loop, so that `stale` is as new as the
        # latest poll.
        self._watcher = hub.loop.io(raw.fileno(), READ, ref=False, priority=hub.loop.MAXPRI)
        self._watcher.start(self._readable)
        open_sockets.setdefault(hub, set()).add(self)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        self._hub.in_turn = True
        reader = self._reader
        if reader is not None:
            reader.switch(True)  # it clears _reader itself, so that an interrupt here leaves it to be called again
        else:
            self._watcher.stop()
            self.stale = True
            if self.when_stale is not None:
                self._hub.call(self.when_stale)

    def _expired(self) -> None:
        self._hub.in_turn = True
        reader = self._reader
        if reader is not None:
            reader.switch(False)

    def _wait_readable(self) -> None:
        if self.stale:  # the watcher is stopped, and there is something to read
            return
        if not self._watcher.active:  # gevent stops a watcher whose handler fails, as Ctrl-C may make it
            self._watcher.start(self._readable)
        timer = self._timer
        if self._timeout is not None:
            if timer is None:
                timer = self._timer = self._hub.loop.timer(self._timeout, repeat=self._timeout, ref=False)
            timer.again(self._expired)  # start() would go on with what the latest wait left
        self._reader = greenlet.getcurrent()
        try:
            ready = self._hub.park()
        finally:
            self._reader = None
            if timer is not None:
                timer.stop()
        if not ready:
            raise TimeoutError("timed out")

    def recv(self, size: int) -> bytes:
        """Read at most ``size`` bytes; empty at the end of the stream."""
        while True:
            self._wait_readable()
            try:
                data: bytes | None = self._raw.recv(size)
            except BlockingIOError:
                data = None
            except TimeoutError as error:  # the system gave the peer up: not our timeout
                raise _vanished(error) from None
            self.rearm()  # the next read waits for the loop, which has others to serve: a peer may never pause
            if data is not None:
                return data

    def has_news(self) -> bool:
        """Ask the kernel whether something came, or the peer closed.

        For a connection that has been idle since the loop's latest poll.
        """
        try:
            self._raw.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def rearm(self) -> None:
        """Watch again, after a read or at the end of an exchange."""
        if self.stale and self._raw.fileno() >= 0:
            self.stale = False
            self._watcher.start(self._readable)

    def recv_into(self, buffer: Any, nbytes: int = 0) -> int:
        """Read into a buffer."""
        view = memoryview(buffer)
        data = self.recv(min(nbytes, len(view)) if nbytes else len(view))
        view[: len(data)] = data
        return len(data)

    def makefile(self, mode: str = "rb", buffering: int | None = None, **_: Any) -> Any:
        """A buffered reader, or a raw one with ``buffering=0``.

        As with any socket, :meth:`close` takes effect when it is closed too.
        """
        self._files += 1
        return _Reader(self) if buffering == 0 else io.BufferedReader(_Reader(self))

    # -- writing ------------------------------------------------------------------------------------------------------

    def send_some(self, data: bytes | memoryview) -> int:
        """Hand bytes to the kernel without waiting.

        Returns:
            How many it took; 0 when its buffer is full.
        """
        return self._send_raw(data)

    def _send_raw(self, data: bytes | memoryview) -> int:
        if len(data) > ROOM and self._unread_limit == UNREAD_LIMIT:
            self._wait_for_slow_reader()
        try:
            sent: int = self._raw.send(data)
        except BlockingIOError:
            return 0
        except TimeoutError as error:
            raise _vanished(error) from None
        return sent

    def _wait_for_slow_reader(self) -> None:
        """Who allows a write more time than :data:`UNREAD_LIMIT` gets it."""
        self.set_unread_limit(None if self._timeout is None else max(self._timeout + 1, UNREAD_LIMIT))

    def set_unread_limit(self, limit: float | None = UNREAD_LIMIT) -> None:
        """Set for how long the peer may leave unread, or not acknowledge, what is sent to it.

        Args:
            limit: Seconds; None: as long as the system allows, which never ends for a peer that only reads slowly.
        """
        if limit != self._unread_limit:
            self._unread_limit = limit
            if _USER_TIMEOUT is not None and self._raw.fileno() >= 0:
                self._raw.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, 0 if limit is None else int(limit * 1000))

    def _wait_writable(self) -> None:
        if self._unread_limit == UNREAD_LIMIT:
            self._wait_for_slow_reader()
        if self._write_watcher is None:
            self._write_watcher = self._hub.loop.io(self._raw.fileno(), WRITE, ref=False)
        gevent.socket.wait(self._write_watcher, timeout=self._timeout, timeout_exc=TimeoutError("timed out"))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write everything."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        sent = self._send_raw(view)
        if sent < len(view):
            view = memoryview(view)
            while sent < len(view):
                self._wait_writable()
                sent += self._send_raw(view[sent:])

    def send(self, data: Any, flags: int = 0) -> int:
        """Write everything, and say so."""
        self.sendall(data)
        return len(data)

    # -- the rest -----------------------------------------------------------------------------------------------------

    def settimeout(self, timeout: float | None) -> None:
        """Set how long a read or write may wait, in seconds; None: no limit."""
        if timeout != self._timeout:
            self._timeout = timeout
            if self._timer is not None:
                self._timer.stop()
                self._timer.close()
                self._timer = None

    def gettimeout(self) -> float | None:
        """The timeout in seconds."""
        return self._timeout

    def setsockopt(self, *option: Any) -> None:
        """Set a socket option."""
        self._raw.setsockopt(*option)

    def fileno(self) -> int:
        """The descriptor, -1 when closed."""
        number: int = self._raw.fileno()
        return number

    def getpeername(self) -> Any:
        """Address of the peer."""
        return self._raw.getpeername()

    def shutdown(self, how: int) -> None:
        """Shut the connection down."""
        self._raw.shutdown(how)

    def reset_on_close(self) -> None:
        """Have the close tell the other side of a failure: it resets the connection."""
        if self._raw.fileno() >= 0:
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        """Close, once no reader made by :meth:`makefile` is open any more."""
        self._closing = True
        if self._files <= 0:
            self._really_close()

    def _reader_closed(self) -> None:
        self._files -= 1
        if self._closing and self._files <= 0:
            self._really_close()

    def _really_close(self) -> None:
        if self._raw.fileno() < 0:
            return
        open_sockets.get(self._hub, set()).discard(self)
        for watcher in (self._watcher, self._write_watcher, self._timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._timer = None
        self._raw.close()
        self.stale = True

    def drop(self) -> None:
        """Close this process's copy of the descriptor and nothing else: for a forked child."""
        if not self._hub.own_thread:
            for watcher in (self._watcher, self._write_watcher, self._timer):
                if watcher is not None:
                    watcher.stop()
        self._raw.close()
        self.stale = True


def _vanished(error: OSError) -> ConnectionResetError:
    """What the system says of a peer that is not there any more, told apart from a timeout of ours."""
    return ConnectionResetError(error.errno, error.strerror)


class _Reader(io.RawIOBase):
    """The raw end of a buffered reader over a socket."""

    def __init__(self, sock: HubSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock._reader_closed()


open_sockets: dict[Hub, set[HubSocket | Listener]] = {}
"""What each hub has open, so that its end and a forked child can close it."""

_connecting: dict[Hub, set[Any]] = {}


def drop_all(hub: Hub) -> None:
    """In a forked child: let go of the parent's connections."""
    for raw, watcher in list(_connecting.pop(hub, ())):
        if not hub.own_thread:
            watcher.stop()
        raw.close()
    for sock in list(open_sockets.pop(hub, ())):
        sock.drop()


def close_all(hub: Hub) -> None:
    """Close every connection of a hub, on the hub."""
    for sock in list(open_sockets.pop(hub, ())):
        sock._files = 0
        sock.close()
    _connecting.pop(hub, None)
