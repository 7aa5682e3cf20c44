"""The command: what it takes, where its files are, and how it serves until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import gc
import ipaddress
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ai.backend.client.sandbox import admin
from ai.backend.client.sandbox.core import faults
from ai.backend.client.sandbox.core.seed import DOMAIN, GROUP
from ai.backend.client.sandbox.core.state import DEFAULT, RELEASES, Sandbox, Settings, new_sandbox
from ai.backend.client.sandbox.server import application
from ai.backend.client.sandbox.sessions import janitor
from ai.backend.client.sandbox.sessions.lifecycle import Kernels

WARNING: Final = (
    "WARNING: the sandbox runs the code that it is sent, as you, on this machine, without isolation. It listens on\n"
    "loopback only and has new random keys each time; whoever has them can do what you can do."
)
BACKLOG: Final = 1024
SHUTDOWN_SECONDS: Final = 0.5
"""For answers that are under way when it ends; then, as long again, for what waits for a peer that does not read."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="sandbox",
        description="A Backend.AI manager for trying, demonstrating and testing, without a cluster.",
        epilog=WARNING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--api",
        type=generation,
        default=DEFAULT,
        metavar="GENERATION",
        help=f"what manager to be like: {', '.join(map(_both_names, RELEASES))} (default {RELEASES[DEFAULT]})",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="permit a --host that other machines can reach: they can then run code as you if they get a key",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=_fault,
        metavar="KIND[=VALUE][@SHARE][:PATH]",
        help="something that goes wrong: latency=S, drip=S, reset, truncate, 429, 5xx; may be given several times",
    )
    parser.add_argument(
        "--exec-timeout", type=float, default=0.0, metavar="SECONDS", help="longest time for one run of code"
    )  # fmt: skip
    parser.add_argument(
        "--rate-limit", type=int, default=30000, metavar="CALLS", help="calls per key and 15 minutes (default 30000)"
    )
    parser.add_argument("--lifeline", type=int, metavar="FD", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if not options.allow_remote and not _is_loopback(options.host):
        parser.error(f"{options.host} is not a loopback address; see --allow-remote")
    return options


def generation(text: str) -> str:
    """The API version of a generation that may be named by it, or by its release: ``26.9``, ``26.9.6``."""
    for api, release in RELEASES.items():
        if text in (api, release, release.rpartition(".")[0]):
            return api
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(map(_both_names, RELEASES))}")


def _both_names(api: str) -> str:
    return f"{RELEASES[api].rpartition('.')[0]} ({api})"


def _fault(text: str) -> faults.Fault:
    try:
        return faults.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Place:
    """The sandbox's folder, and the janitor that removes it."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(16)
        self.folder = Path(tempfile.gettempdir()).resolve() / f"backendai-sandbox-{self.mark[:12]}"
        self._watch()
        self.folder.mkdir(mode=0o700)

    def _watch(self) -> None:
        reading, writing = os.pipe()
        # Started before there is anything to remove; it waits for the end of this pipe, which comes with this process'.
        self._janitor = subprocess.Popen(
            [sys.executable, "-I", "-S", janitor.__file__, str(self.folder), self.mark],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        os.close(reading)
        self._pipe = writing

    async def keep_watched(self) -> None:
        """Replace a janitor that was killed."""
        while True:
            await asyncio.sleep(1.0)
            if self._janitor.poll() is not None:
                os.close(self._pipe)
                self._watch()

    def leave(self) -> None:
        """Let the janitor do its work, and wait for it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._pipe)
        self._janitor.wait()


def environment(sandbox: Sandbox, endpoint: str) -> dict[str, str]:
    """What a client needs to know, as environment variables."""
    lines = {"BACKEND_ENDPOINT_TYPE": "api", "BACKEND_DOMAIN": DOMAIN, "BACKEND_GROUP": GROUP}
    names = {"admin": "", "user": "USER_", "user2": "USER2_", "domain-admin": "DOMAIN_ADMIN_", "monitor": "MONITOR_"}
    for account, prefix in names.items():
        keys = sandbox.accounts[account]
        lines[f"BACKEND_{prefix}ACCESS_KEY"] = keys.access_key
        lines[f"BACKEND_{prefix}SECRET_KEY"] = keys.secret_key
        lines[f"BACKEND_{prefix}EMAIL"] = keys.email
        lines[f"BACKEND_{prefix}PASSWORD"] = keys.password
    return {**lines, "BACKEND_ENDPOINT": endpoint}


def _cut(lifeline: int, stopped: asyncio.Event) -> None:
    """Whoever started the sandbox is gone, or wants it to end."""
    asyncio.get_running_loop().remove_reader(lifeline)  # its end could be read again and again
    stopped.set()


async def serve(options: argparse.Namespace, place: Place) -> None:
    """Serve until a signal or the end of the lifeline."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    if options.lifeline is not None:
        os.set_inheritable(options.lifeline, False)
        loop.add_reader(options.lifeline, _cut, options.lifeline, stopped)
    sandbox = new_sandbox(
        Settings(
            api=options.api,
            folder=place.folder,
            mark=place.mark,
            faults=tuple(options.fault),
            exec_timeout=options.exec_timeout,
            rate_limit=options.rate_limit,
            is_public=options.allow_remote,
        )
    )
    sandbox.kernels = Kernels(sandbox)
    runner = web.AppRunner(application(sandbox), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port, backlog=BACKLOG)
    await site.start()
    host, port = runner.addresses[0][:2]
    sandbox.endpoint = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    for name, value in environment(sandbox, sandbox.endpoint).items():
        print(f"{name}={value}")
    sys.stdout.flush()
    warming = asyncio.create_task(asyncio.to_thread(admin.warm, options.api))
    gc.freeze()  # what is there now stays
    gc.enable()
    watching = asyncio.create_task(place.keep_watched())
    await stopped.wait()
    watching.cancel()
    await warming
    sandbox.events.end()
    await sandbox.kernels.end_all()
    await runner.cleanup()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether to tell of an error: not of a request that is no HTTP, which was answered with a 400."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def main() -> int:
    options = arguments()
    logging.basicConfig(level=logging.WARNING, format="[sandbox] %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("aiohttp.server").addFilter(_is_news)
    print(WARNING, file=sys.stderr)
    place = Place()
    try:
        asyncio.run(serve(options, place))
    except OSError as error:
        print(f"[sandbox] ERROR: {error}", file=sys.stderr)
        return 1
    finally:
        place.leave()
    return 0
