"""Starting, spoiling and watching a storage server (see `support.servers.storage_server`)."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.waiting import LIMIT, until

SERVER = Path(__file__).with_name("storage_server.py")


class StorageServer:
    """Handle on the server's process.

    Attributes:
        url: The manager's endpoint.
        proxy: The storage proxy's address.
        folder: Where the files of the virtual folder `data` are.
    """

    def __init__(self, root: Path, *arguments: str) -> None:
        self.folder = root / "data"
        self.folder.mkdir(parents=True)
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SERVER), str(root), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        ports = self._process.stdout.readline().split()
        assert ports, "the storage server did not start"
        self._port = int(ports[0])
        self.url = f"http://127.0.0.1:{self._port}"
        self.proxy = f"{'https' if '--certificate' in arguments else 'http'}://localhost:{int(ports[1])}"

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.terminate()
        self._process.wait(LIMIT)
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> StorageServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _control(self, method: str, order: Any = None) -> dict[str, Any]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT)) as connection:
            connection.request(method, "/_control", None if order is None else json.dumps(order))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer

    def fault(self, on: str, **fault: Any) -> None:
        """Spoil the next request that fits."""
        self._control("POST", {"fault": {"on": on, **fault}})

    def expire(self) -> None:
        """No token that was handed out is good any more."""
        self._control("POST", {"expire": True})

    def reset_faults(self) -> None:
        """Spoil nothing any more."""
        self._control("POST", {"heal": True})

    def reset(self) -> None:
        """As after its start, with an empty folder."""
        self._control("POST", {"begin": True, "forget": True, "expire": True, "heal": True})
        shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=True)

    def forget(self) -> None:
        """Forget the log."""
        self._control("POST", {"forget": True})

    def tokens(self) -> list[str]:
        """Every token that is good."""
        tokens: list[str] = self._control("GET")["tokens"]
        return tokens

    @property
    def peak(self) -> int:
        """Connections that were open at the same time."""
        peak: int = self._control("GET")["peak"]
        return peak

    def log(self, method: str | None = None, path: str = "") -> list[dict[str, Any]]:
        """The requests that came, in order: those of a method, whose path ends so."""
        log = self._control("GET")["log"]
        return [entry for entry in log if method in (None, entry["method"]) and entry["path"].endswith(path)]

    def until_seen(self, method: str, path: str = "", times: int = 1) -> None:
        """Wait until so many such requests have come."""
        until(lambda: len(self.log(method, path)) >= times, f"the server gets {method} {path}")

    def until_moved(self, method: str, count: int) -> None:
        """Wait until a body has moved that far."""
        key = {"GET": "sent", "PATCH": "received", "POST": "received"}[method]
        until(lambda: any(entry[key] >= count for entry in self.log(method)), f"{count} bytes have moved with {method}")

    def assert_all_faults_used(self) -> None:
        assert self._control("GET")["faults"] == []


def folder(session: Any, name: str = "data") -> Any:
    """The virtual folder that the server has."""
    return session.VFolder(name)
