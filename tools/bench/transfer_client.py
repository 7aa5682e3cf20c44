"""One upload or download in a process of its own, for `tools/bench/transfer`. Runs with either client.

Prints seconds, and how many MiB the process had more at its peak than before. What the clients print goes elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from pathlib import Path

from ai.backend.client.session import Session

WARM_UP = "warm-up"


def memory(field: str) -> float:
    """A line of the process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def main() -> None:
    direction, folder, basedir, listing = sys.argv[1:]
    names = Path(listing).read_text().splitlines()
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), Session() as session:
        session.VFolder.list_hosts()  # both clients import half of themselves with the first call
        idle = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        start = time.perf_counter()
        if direction == "up":
            session.VFolder(folder).upload([Path(basedir) / name for name in names], basedir=Path(basedir))
        else:
            session.VFolder(folder).download(names, basedir=basedir)
        seconds = time.perf_counter() - start
        peak = memory("VmHWM")
    usage = os.times()
    print(seconds, peak - idle, usage.user + usage.system)


if __name__ == "__main__":
    main()
