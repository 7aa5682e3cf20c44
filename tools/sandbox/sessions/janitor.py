"""Cleans up behind a sandbox, however it ended. Also a program of its own: ``janitor.py FOLDER MARK``.

The program waits until its standard input is closed, which happens when the server's process is gone: killed, crashed
or ended. Then it ends every process that carries the mark in its environment, and removes the folder. It imports
nothing but the standard library, so that it is there before the server has anything to leave behind.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

MARK_VARIABLE = "BACKEND_SANDBOX_MARK"
SECONDS_TO_END = 10.0
SECONDS_BETWEEN_LOOKS = 0.02


def marked(mark: str) -> list[int]:
    """Processes that carry a mark, or one that begins like it.

    Args:
        mark: The value of ``BACKEND_SANDBOX_MARK``.

    Returns:
        Process ids; none where the system has no ``/proc``.
    """
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    try:
        numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        return []
    for number in numbers:
        try:
            variables = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if number != os.getpid() and any(variable.startswith(wanted) for variable in variables):
            found.append(number)
    return found


def kill_marked(mark: str) -> None:
    """Kill every process that carries a mark, also those that are started meanwhile."""
    end = time.monotonic() + SECONDS_TO_END
    while (numbers := marked(mark)) and time.monotonic() < end:
        for number in numbers:
            try:
                os.kill(number, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(SECONDS_BETWEEN_LOOKS)


def main(folder: str, mark: str) -> None:
    """Wait for the server's end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    kill_marked(mark)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
