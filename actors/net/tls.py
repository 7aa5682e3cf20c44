"""TLS for lanes: over memory buffers, so that the handshake waits cooperatively with any ``ssl`` context."""

from __future__ import annotations

import ssl
from typing import Any

from ai.backend.client.actors.net.sockets import HubSocket, open_sockets

CHUNK = 65536
"""Bytes asked of the kernel at a time: one TLS record is at most 16 KiB, and most answers fit in one read."""


class TLSSocket(HubSocket):
    """TLS over a :class:`HubSocket`, which it takes over.

    The handshake is done by the constructor, on the calling lane.
    """

    def __init__(self, plain: HubSocket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        hub, raw, timeout, unread_limit = plain._hub, plain._raw, plain._timeout, plain._unread_limit
        plain._watcher.stop()
        plain._watcher.close()
        open_sockets.get(hub, set()).discard(plain)
        super().__init__(hub, raw)
        self._timeout = timeout
        self._unread_limit = unread_limit
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._flushing = False
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
            while not self._shake_hands():
                self._flush()
                self._fill()
            self._flush()
        except BaseException:
            try:
                self._flush()  # the alert that tells the peer why
            except OSError:
                pass
            self.close()
            raise

    def _flush(self) -> None:
        if self._flushing:  # a stream reads and writes in two greenlets: whoever is at it sends this, too
            return
        self._flushing = True
        try:
            while data := self._outgoing.read():
                super().sendall(data)
        finally:
            self._flushing = False

    def _fill(self) -> None:
        data = super().recv(CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def recv(self, size: int) -> bytes:
        """Read at most ``size`` decrypted bytes; empty at the end of the stream."""
        while True:
            data = self._read_decrypted(size)
            if data is not None:
                return data
            self._flush()
            self._fill()

    def _read_decrypted(self, size: int) -> bytes | None:
        """None: more has to come first. A method of its own, so that what fails later is not chained to "want read"."""
        try:
            return self._tls.read(size)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # with and without goodbye, as the ssl module's own sockets
            return b""

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def send_some(self, data: bytes | memoryview) -> int:
        """Encrypts and sends everything: with TLS there is no telling how much of a record left."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Encrypt and write everything."""
        view = memoryview(data)
        while len(view):
            view = view[self._tls.write(view[:CHUNK]) :]
            self._flush()

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The peer's certificate."""
        return self._tls.getpeercert(binary_form)

    def selected_alpn_protocol(self) -> str | None:
        """The protocol chosen by ALPN."""
        return self._tls.selected_alpn_protocol()

    def version(self) -> str | None:
        """The TLS version."""
        return self._tls.version()

    def cipher(self) -> Any:
        """The cipher suite."""
        return self._tls.cipher()


def tls_context(minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    """A client context whose ``wrap_socket`` makes a :class:`TLSSocket`. It trusts nobody yet and checks names."""

    class HubSSLContext(
        ssl.SSLContext
    ):  # made here, so that it derives from what ``ssl`` holds now: it may have been patched since
        def wrap_socket(self, sock: Any, *_: Any, server_hostname: Any = None, **__: Any) -> Any:
            return TLSSocket(sock, self, server_hostname)

    context = HubSSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = minimum
    return context
