"""Running a piece of Python as a process of its own: exits, forks, signals and patching are only true there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.waiting import LIMIT

TESTS = Path(__file__).resolve().parents[2]
SCRIPT_LIMIT = 2 * LIMIT
PATCH = "from gevent import monkey; monkey.patch_all()\n"
PRELUDE = """
import faulthandler, os, sys, time
faulthandler.enable()
from support.runtimes.inside import *
"""
CLEAN = ("BACKEND_", "SORNA_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA", "CURL_CA")
ABORT_LIMIT = 10.0
"""Seconds until a script that hangs has told where."""
NOISE = ("Traceback", "Exception ignored", "Fatal Python error", "ResourceWarning", "Timeout (")


@dataclass(frozen=True)
class Result:
    """How the process ended."""

    code: int
    out: str
    err: str
    ended: float

    def after(self, marker: str) -> float:
        """Seconds from the moment when the script printed `marker <time.time()>` to its end."""
        line = next(line for line in self.out.splitlines() if line.startswith(marker + " "))
        return self.ended - float(line.split()[1])

    def assert_ended_soon(self, marker: str) -> None:
        """From the moment when it printed `marker` it waited for nothing: what an exit waits for has no end here."""
        assert self.after(marker) < LIMIT, str(self)

    def value(self, marker: str) -> str:
        """What follows `marker` in the output."""
        found = [line[len(marker) + 1 :] for line in self.out.splitlines() if line.startswith(marker + " ")]
        assert found, f"no line {marker!r} in: {self}"
        return found[-1]

    def assert_clean(self) -> None:
        """Exit status 0 and nothing that looks like a failure on stderr."""
        assert self.code == 0, f"exit status {self.code}\n{self}"
        assert not any(word in self.err for word in NOISE), str(self)

    def __str__(self) -> str:
        return f"--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Script:
    """A running script."""

    def __init__(
        self,
        source: str,
        *args: object,
        patched: bool = False,
        limit: float = SCRIPT_LIMIT,
        env: dict[str, str] | None = None,
    ) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.upper().startswith(CLEAN)}
        clean.update({"PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1", **(env or {})})
        text = (PATCH if patched else "") + PRELUDE + textwrap.dedent(source)
        self.limit = limit
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", text, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
            start_new_session=True,
        )

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> Result:
        """Wait for its end; whatever it has started is gone afterwards."""
        try:
            out, err = self.process.communicate(timeout=self.limit)
            ended = time.time()
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler tells what every thread was doing
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(ABORT_LIMIT)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            out, err = self.process.communicate()
            raise AssertionError(
                f"the script did not end in {self.limit} s\n--- stdout\n{out}\n--- stderr\n{err}"
            ) from None
        finally:
            self.kill()
        return Result(self.process.returncode, out, err, ended)

    def kill(self) -> None:
        """End the script's process group, forked children included, and leave nothing of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(ABORT_LIMIT)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def run_script(source: str, *args: object, **options: Any) -> Result:
    """Run `source` to its end. `support.runtimes.inside` is imported for it; `args` are its `sys.argv[1:]`."""
    return Script(source, *args, **options).finish()
