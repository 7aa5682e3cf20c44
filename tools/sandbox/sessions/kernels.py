"""Processes of compute sessions, and the runs in them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import uuid
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ai.backend.client.sandbox.sessions import janitor

RUNNER: Final = Path(__file__).with_name("runner.py")
PYTHONS: Final = ("python", "python3")
FLUSH_SECONDS: Final = 2.0
"""How long one call waits for output."""

MAX_LINE: Final = 2**26
MAX_RECORDS: Final = 4096
COMPLETION_SECONDS: Final = 10.0
START_SECONDS: Final = 30.0
DIED: Final = 130
"""Exit code of a run whose session died."""

CONSOLE_KINDS: Final = ("stdout", "stderr", "media", "html", "log")
ENDED: Final = ("finished", "exec-timeout")


class Run:
    """One run of code: a query or a batch, over as many calls as it takes."""

    def __init__(self, run_id: str, work: tuple[str, Any]) -> None:
        self.id = run_id
        self.work = work
        self._records: deque[tuple[str, Any]] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False
        self.abandoned = False

    def put(self, kind: str, content: Any) -> None:
        """Something happened in it."""
        self._records.append((kind, content))
        self._more.set()
        if len(self._records) >= MAX_RECORDS:  # never, once it was abandoned
            self._room.clear()

    async def room(self) -> None:
        """Wait until what happened has been taken."""
        await self._room.wait()

    def abandon(self) -> None:
        """Keep nothing of what happens from now on."""
        self._records = deque(maxlen=0)
        self._room.set()
        self.abandoned = True

    def limit(self, seconds: float) -> None:
        """End it in ``exec-timeout`` some time from now."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.put, "exec-timeout", None)

    def stop_limit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def next(self, seconds: float) -> dict[str, Any]:
        """What happened since the last time: at once when it waits for something or has ended, else after a while."""
        deadline = asyncio.get_running_loop().time() + seconds
        console: list[list[Any]] = []
        while True:
            while self._records:
                kind, content = self._records.popleft()
                if kind in CONSOLE_KINDS:
                    _add(console, kind, content)
                else:
                    return self._result(kind, content, console)
            self._more.clear()
            self._room.set()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._more.wait()
            except TimeoutError:
                return self._result("continued", None, console)

    def _result(self, kind: str, content: Any, console: list[list[Any]]) -> dict[str, Any]:
        self.ended = kind in ENDED
        return {
            "status": kind,
            "runId": self.id,
            "exitCode": None if kind == "waiting-input" else content,
            "options": content if kind == "waiting-input" else None,
            "files": [],
            "console": console,
        }


def _add(console: list[list[Any]], kind: str, content: Any) -> None:
    if console and kind in ("stdout", "stderr") and console[-1][0] == kind:
        console[-1][1] += content
    else:
        console.append([kind, content])


class Kernel:
    """The process of one session."""

    def __init__(self, session_id: uuid.UUID, folder: Path, mark: str, environ: Mapping[str, str]) -> None:
        self.session_id = session_id
        self.folder = folder
        self.mark = f"{mark}:{session_id.hex}"
        self.work = folder / "work"
        self.log = folder / "container.log"
        self._commands = folder / "bin"
        self.exec_timeout = 0.0
        self.mounts: dict[Path, Path] = {}
        self._environ = dict(environ)
        self._runs: dict[str, Run] = {}
        self._line: deque[Run] = deque()
        self._completions: dict[int, asyncio.Future[list[str]]] = {}
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader_task: asyncio.Task[None] | None = None
        self.dead = asyncio.Event()

    async def start(self) -> None:
        """Start the process and wait until it listens."""
        self.work.mkdir(parents=True, exist_ok=True)
        self._make_commands()
        here, there = socket.socketpair()
        with there, self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  # takes milliseconds; asyncio's has a thread per process
                [sys.executable, "-u", str(RUNNER), str(there.fileno())],
                cwd=self.work,
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(there.fileno(),),
                start_new_session=True,
            )
        reader, self._writer = await asyncio.open_connection(sock=here, limit=MAX_LINE)
        async with asyncio.timeout(START_SECONDS):
            await reader.readline()
        self.dead = asyncio.Event()
        self._reader_task = asyncio.create_task(self._read(reader, self.dead))

    def _make_commands(self) -> None:
        """`python` in the session is this interpreter, whether the system has one of that name or not."""
        self._commands.mkdir(exist_ok=True)
        for name in PYTHONS:
            command = self._commands / name
            # No link: an environment is found by the path that its interpreter was started by.
            command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', "utf-8")
            command.chmod(0o700)

    def environ(self) -> dict[str, str]:
        """The environment of what runs in the session."""
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
        return {
            "LANG": "C.UTF-8",
            **kept,
            "PATH": os.pathsep.join([str(self._commands), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.work),
            "USER": "work",
            "TERM": "xterm",
            "PYTHONUNBUFFERED": "1",
            **self._environ,
            janitor.MARK_VARIABLE: self.mark,
        }

    async def _read(self, reader: asyncio.StreamReader, dead: asyncio.Event) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                kind, *content = json.loads(line)
                await self._received(kind, content)
        for run in self._line:
            run.put("finished", DIED)
        self._line.clear()
        dead.set()

    async def _received(self, kind: str, content: list[Any]) -> None:
        if kind == "completions":
            waiting = self._completions.pop(content[0], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(content[1])
            return
        if not self._line:  # output of a thread that outlived its run: it is in the log
            return
        run = self._line[0]
        if kind == "input":
            run.put("waiting-input", content[0])
        elif kind == "stage":
            run.put(f"{content[0]}-finished", content[1])
        elif kind == "done":
            run.stop_limit()
            run.put("finished", content[0])
            self._line.popleft()
            self._begin()
        else:
            run.put(kind, content[0])
            await run.room()

    def submit(self, kind: str, content: Any, run_id: str | None = None) -> Run:
        """Put a run behind those that are there."""
        run = Run(run_id or secrets.token_hex(16), (kind, content))
        self._runs[run.id] = run
        self._line.append(run)
        if len(self._line) == 1:
            self._begin()
        return run

    def _begin(self) -> None:
        while self._line and self._line[0].abandoned:
            self._line.popleft()
        if self._line:
            run = self._line[0]
            if self.exec_timeout > 0:
                run.limit(self.exec_timeout)
            self._send(*run.work)

    def _send(self, *message: Any) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def execute(
        self, mode: str, run_id: str | None, code: str, options: Mapping[str, Any], seconds: float = FLUSH_SECONDS
    ) -> dict[str, Any]:
        """One step of a run.

        Args:
            mode: ``query``, ``batch``, ``continue`` or ``input``.
            run_id: The run; None for a new one.
            code: The code, or the text that was asked for.
            options: Of a batch.
            seconds: How long to wait for output.

        Returns:
            The ``result`` of the API's answer.
        """
        run = self._runs.get(run_id) if run_id is not None else None
        if mode in ("query", "batch") and (run is None or run.ended):
            run = self.submit(mode, code if mode == "query" else dict(options), run_id)
        elif mode == "input":
            self._send("input", code)
        if run is None:
            await asyncio.sleep(seconds)
            return Run(run_id or "", ("", ""))._result("continued", None, [])
        result = await run.next(seconds)
        if result["status"] == "exec-timeout":
            self.interrupt()
        if run.ended:
            self._runs.pop(run.id, None)
        return result

    def forget(self, run_id: str) -> None:
        """Interrupt a run that nobody follows any more, if it is the one that runs; what it says is lost."""
        run = self._runs.pop(run_id, None)
        if run is None or run.ended:
            return
        run.abandon()
        if self._line and self._line[0] is run:
            self.interrupt()

    async def complete(self, line: str) -> list[str]:
        """Ways to go on from the end of a line of code."""
        number = next(self._numbers)
        waiting: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._completions[number] = waiting
        self._send("complete", number, line)
        try:
            async with asyncio.timeout(COMPLETION_SECONDS):
                return await waiting
        except TimeoutError:
            return []
        finally:
            self._completions.pop(number, None)

    def interrupt(self) -> None:
        """Interrupt the run, if there is one."""
        self._send("interrupt")

    async def end(self) -> None:
        """End the process and everything that it has started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._bury, process)
        if self._writer is not None:
            self._writer.close()
        if self._reader_task is not None:
            await self._reader_task
        self._runs.clear()

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        janitor.kill_marked(self.mark)

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def logs(self) -> str:
        """What its processes wrote."""
        try:
            return self.log.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
