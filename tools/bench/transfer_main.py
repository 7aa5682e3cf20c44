"""Runs every row of `tools/bench/transfer` for both clients in turn, compares the files, and prints a table."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ai.backend.client.session import Session

CLIENT = Path(__file__).with_name("transfer_client.py")
RUN_SECONDS = 3600.0
MEMORY_BAR = 64.0
"""MiB above idle that our client may need."""
MIB = 1 << 20
LINE = "{:<34}{:>10}{:>11}{:>14}{:>13}{:>12}{:>14}{:>16}"


@dataclass
class Job:
    """Files that travel together."""

    title: str
    names: list[str]
    bytes: int


def make_large(folder: Path, size: int) -> Job:
    """One sparse file with something in it every 64 MiB."""
    path = folder / "large"
    with path.open("wb") as stream:
        for offset in range(0, size, 64 * MIB):
            stream.seek(offset)
            stream.write(random.randbytes(4096)[: size - offset])
        stream.truncate(size)
    return Job(f"one file of {size // MIB} MiB", ["large"], size)


def make_small(folder: Path, count: int) -> Job:
    """Many files of up to 4 KiB. None is empty: the vendor's client never sends such a one."""
    names, total = [], 0
    (folder / "small").mkdir()
    for number in range(count):
        name, content = f"small/{number:06}", random.randbytes(random.randrange(1, 4096))
        (folder / name).write_bytes(content)
        names.append(name)
        total += len(content)
    return Job(f"{count} files, {total / MIB:.1f} MiB", names, total)


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def measure(python: str, direction: str, folder: str, basedir: Path, job: Job) -> tuple[float, float, float]:
    """Seconds, MiB above idle and CPU seconds of one run in a fresh process."""
    with tempfile.NamedTemporaryFile("w") as listing:
        listing.write("\n".join(job.names))
        listing.flush()
        command = [python, "-P", str(CLIENT), direction, folder, str(basedir), listing.name]
        run = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if run.returncode:
        sys.exit(f"{direction} of {job.title} failed:\n{run.stderr[-3000:]}")
    seconds, growth, cpu = map(float, run.stdout.split())
    return seconds, growth, cpu


@contextlib.contextmanager
def new_folder() -> Iterator[str]:
    """A virtual folder."""
    name = f"bench-{secrets.token_hex(4)}"
    with Session() as session:
        session.VFolder.create(name)
        try:
            yield name
        finally:
            session.VFolder(name).delete()


def run_job(python: str, source: Path, job: Job) -> dict[str, tuple[float, float, float]]:
    """Up and down again; the files must be the same."""
    target = source.parent / "target"
    (target / "small").mkdir(parents=True)  # the vendor's client makes no directory
    try:
        with new_folder() as folder:
            found = {direction: measure(python, direction, folder, base, job)
                     for direction, base in (("up", source), ("down", target))}  # fmt: skip
        for name in job.names:
            if digest(source / name) != digest(target / name):
                sys.exit(f"{name} came back changed")
    finally:
        shutil.rmtree(target)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vendor-python", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the large file (default 2048)")
    parser.add_argument("--files", type=int, default=1000, help="number of small files (default 1000)")
    parser.add_argument("--reps", type=int, default=3, help="repetitions; medians are shown (default 3)")
    options = parser.parse_args()

    pythons = {"ours": sys.executable, "vendor": options.vendor_python}
    missed = False
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as work:
        source = Path(work) / "source"
        source.mkdir()
        jobs = [make_large(source, options.size * MIB), make_small(source, options.files)]
        columns = ("ours, s", "vendor, s", "times faster", "ours, MiB/s", "ours, +MiB", "vendor, +MiB", "CPU s")
        print(LINE.format("", *columns))
        for job in jobs:
            runs: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
            for _ in range(options.reps):
                for side, python in pythons.items():
                    for direction, figures in run_job(python, source, job).items():
                        runs.setdefault((direction, side), []).append(figures)
            for direction in ("up", "down"):
                title = f"{job.title}, {direction}"
                missed |= not report(title, job.bytes / MIB, runs[direction, "ours"], runs[direction, "vendor"])
    return int(missed)


def report(
    title: str, size: float, ours: list[tuple[float, float, float]], vendor: list[tuple[float, float, float]]
) -> bool:
    """One line of the table; returns whether it is as it should be."""
    mine, theirs = (statistics.median(run[0] for run in runs) for runs in (ours, vendor))
    growth, their_growth = (max(run[1] for run in runs) for runs in (ours, vendor))
    cpu, their_cpu = (statistics.median(run[2] for run in runs) for runs in (ours, vendor))
    passed = mine <= theirs and growth < MEMORY_BAR
    figures = [f"{value:.2f}" for value in (mine, theirs, theirs / mine)]
    figures += [f"{value:.1f}" for value in (size / mine, growth, their_growth)]
    print(LINE.format(title, *figures, f"{cpu:.1f} / {their_cpu:.1f}"), " pass" if passed else " FAIL", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
