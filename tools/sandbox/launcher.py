"""Starts a sandbox as a process of its own, and ends it."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from ai.backend.client.config import APIConfig

LAST_LINE: Final = "BACKEND_ENDPOINT"
START_SECONDS: Final = 30.0
END_SECONDS: Final = 10.0
DEFAULT_API: Final = "v7.20230615"
ACCOUNTS: Final = ("admin", "domain_admin", "user", "user2", "monitor")


class SandboxError(RuntimeError):
    """A sandbox did not start. Its message ends with what the process printed."""


class Sandbox:
    """A sandbox manager, as a context manager.

    Args:
        api: Protocol generation: ``v7.20230615`` (as manager 23.09) or ``v4.20190615`` (as manager 19.09).
        faults: What goes wrong, each as the command's ``--fault`` takes it: ``"latency=0.2"``, ``"503@0.1"``.
        exec_timeout: Longest time for one run of code, in seconds; 0 is no limit.
        rate_limit: Calls per key and 15 minutes.

    Attributes:
        environment: The ``BACKEND_*`` variables that name it, once it runs: its endpoint, and keys, e-mail address and
            password of each account.

    May be used once, from any thread. It ends with the ``with`` block, and also when this process ends in any way;
    nothing of it stays. Raises :class:`SandboxError` on entering when it does not start within 30 s.
    """

    def __init__(
        self,
        api: str = DEFAULT_API,
        *,
        faults: Iterable[str] = (),
        exec_timeout: float = 0.0,
        rate_limit: int | None = None,
    ) -> None:
        self._options = ["--api", api, "--exec-timeout", str(exec_timeout)]
        for fault in faults:
            self._options += ["--fault", fault]
        if rate_limit is not None:
            self._options += ["--rate-limit", str(rate_limit)]
        self.api = api
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: io.FileIO | None = None

    def __repr__(self) -> str:
        return f"<Sandbox {self.api} {self.environment.get(LAST_LINE, 'not started')}>"

    @property
    def endpoint(self) -> str:
        """Its URL."""
        self._check_started()
        return self.environment["BACKEND_ENDPOINT"]

    @property
    def pid(self) -> int:
        """The id of its process."""
        if self._process is None:
            raise RuntimeError("the sandbox does not run")
        return self._process.pid

    def _check_started(self) -> None:
        if not self.environment:
            raise RuntimeError("the sandbox was not started: use `with Sandbox() as sandbox`, or start()")

    def keys(self, account: str = "admin") -> tuple[str, str]:
        """Access key and secret key of an account.

        Args:
            account: ``admin`` (a superadmin), ``domain_admin``, ``user``, ``user2`` or ``monitor``.
        """
        self._check_started()
        if account not in ACCOUNTS:
            raise ValueError(f"account={account!r}: must be one of {', '.join(ACCOUNTS)}")
        prefix = "" if account == "admin" else account.upper() + "_"
        return (
            self.environment[f"BACKEND_{prefix}ACCESS_KEY"],
            self.environment[f"BACKEND_{prefix}SECRET_KEY"],
        )

    def config(self, account: str = "admin", **options: Any) -> APIConfig:
        """A configuration for a session of this client.

        Args:
            account: As for :meth:`keys`.
            **options: Further arguments of :class:`~ai.backend.client.config.APIConfig`.
        """
        access_key, secret_key = self.keys(account)
        given = {
            "endpoint": self.endpoint,
            "access_key": access_key,
            "secret_key": secret_key,
            "version": self.api,
            **options,
        }
        return APIConfig(**given)

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            SandboxError: It did not start.
        """
        reading, writing = os.pipe()
        # A file, because in patched processes gevent's `os.close` closes only when its loop turns.
        self._lifeline = io.FileIO(writing, "w")
        # A file and not a pipe: nobody reads it while the sandbox runs, and a full pipe would stop it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `stop`
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ai.backend.client.sandbox", "--lifeline", str(reading), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=(reading,),
                start_new_session=True,
            )
        finally:
            os.close(reading)
        try:
            self._read_environment(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def _read_environment(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        end, text = time.monotonic() + START_SECONDS, b""
        while f"\n{LAST_LINE}=".encode() not in text or not text.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
            data = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not data:
                process.kill()
                process.wait()
                raise SandboxError("the sandbox did not start:\n" + self._printed())
            text += data
        self.environment = dict(line.split("=", 1) for line in text.decode().splitlines())

    def stop(self) -> None:
        """End it. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._lifeline is not None:
            self._lifeline.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._errors.close()

    def _printed(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
