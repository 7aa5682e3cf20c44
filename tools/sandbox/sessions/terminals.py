"""Terminals by WebSocket: a shell in a compute session, on a pseudo-terminal of its own."""

from __future__ import annotations

import asyncio
import base64
import errno
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from typing import Final

from aiohttp import WSMsgType, web

from ai.backend.client.sandbox.core.web import Call
from ai.backend.client.sandbox.sessions.handlers import running
from ai.backend.client.sandbox.sessions.kernels import RUNNER, Kernel

SHELL: Final = ("/bin/bash", "--norc", "-i")
SIMPLE_SHELL: Final = ("/bin/sh", "-i")
READ_BYTES: Final = 65536
MAX_CELLS: Final = 65535
"""Rows and columns of a terminal at most: 16 bits each in the system's own call."""


async def terminal(call: Call) -> web.WebSocketResponse:
    """A shell on a pseudo-terminal of its own, in the session's folder."""
    kernel = running(call)
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(call.request)
    shell = Terminal(kernel)
    out = asyncio.create_task(_send_output(socket, shell))
    try:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            restarted = await _receive_input(call, shell, message.data)
            if restarted:
                shell.close()
                await out
                shell = Terminal(kernel)
                out = asyncio.create_task(_send_output(socket, shell))
    finally:
        shell.close()
        await out
    return socket


async def _receive_input(call: Call, shell: Terminal, text_: str) -> bool:
    """Handle a frame. True: the session was restarted, and the terminal with it."""
    try:
        frame = json.loads(text_)
        kind = frame["type"]
        if kind == "stdin":
            shell.write(base64.b64decode(frame["chars"], validate=True))
        elif kind == "resize":
            shell.resize(int(frame["rows"]), int(frame["cols"]))
        elif kind == "restart":
            await call.sandbox.kernels.restart(shell.kernel.session_id)
            return True
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, OSError):
        return False
    return False


async def _send_output(socket: web.WebSocketResponse, shell: Terminal) -> None:
    try:
        while data := await shell.read():
            await socket.send_json({"type": "out", "data": base64.b64encode(data).decode()})
    except (ConnectionError, RuntimeError):
        pass
    finally:
        if not shell.closed:  # the shell has ended by itself
            await socket.close()


class Terminal:
    """A shell and its pseudo-terminal."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.closed = False
        self._typed = bytearray()
        self._news = asyncio.Event()
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        shell = SHELL if os.access(SHELL[0], os.X_OK) else SIMPLE_SHELL
        try:
            # The runner makes the terminal the shell's own, which can only be done in the new process.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(RUNNER), "--terminal", *shell],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=kernel.work,
                env={**kernel.environ(), "TERM": "xterm-256color"},
            )
        finally:
            os.close(slave)

    async def read(self) -> bytes:
        """What the shell writes; empty at its end. Nothing is read ahead: a client that does not read stops it."""
        loop = asyncio.get_running_loop()
        while not self.closed:
            loop.add_reader(self._master, self._news.set)
            await self._news.wait()
            self._news.clear()
            if self.closed:
                break
            loop.remove_reader(self._master)
            try:
                return os.read(self._master, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.EIO:  # the way that a terminal says that nobody has it open
                    raise
                break
        return b""

    def write(self, data: bytes) -> None:
        """Type; what the terminal does not take yet waits until it does."""
        self._typed += data
        self._type()

    def _type(self) -> None:
        try:
            taken = os.write(self._master, self._typed)
        except BlockingIOError:
            taken = 0
        except OSError:  # the shell has ended
            taken = len(self._typed)
        del self._typed[:taken]
        if self._typed:
            asyncio.get_running_loop().add_writer(self._master, self._type)
        else:
            asyncio.get_running_loop().remove_writer(self._master)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the shell how large its window is.

        Raises:
            ValueError: Numbers that no terminal has.
        """
        if not (0 <= rows <= MAX_CELLS and 0 <= columns <= MAX_CELLS):
            raise ValueError(f"not the size of a terminal: {rows} x {columns}")
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """End the shell. Safe to repeat."""
        if self.closed:
            return
        self.closed = True
        self._news.set()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        os.close(self._master)  # hangs up on whatever runs on it
        self._process.kill()
        self._process.wait()
