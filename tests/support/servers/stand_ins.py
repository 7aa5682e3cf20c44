"""Small HTTP servers for what the manager talks to and `tools/cluster` has not: an image registry, an app proxy."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

Answer = tuple[int, str, Any]
"""Status, content type, and what goes into the body as JSON."""

MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
JSON = "application/json"
LABELS = {
    "ai.backend.kernelspec": "1",
    "ai.backend.features": "batch query",
    "ai.backend.base-distro": "ubuntu",
    "ai.backend.runtime-type": "python",
    "ai.backend.runtime-path": "/usr/bin/python",
}
"""What the manager wants to read on an image."""


@contextlib.contextmanager
def serving(answer: Callable[[str, str], Answer]) -> Iterator[str]:
    """A server on loopback for a `with` block; the value is its URL.

    Args:
        answer: Gives the answer to a method and a path.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content_type, value = answer(self.command, self.path.partition("?")[0])
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = reply  # noqa: N815  # what `http.server` calls them

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def image_registry(*images: str) -> Callable[[str, str], Answer]:
    """A registry with images, each `name:tag`, that hold nothing."""
    tags: dict[str, list[str]] = {}
    for image in images:
        name, _, tag = image.partition(":")
        tags.setdefault(name, []).append(tag)

    def answer(_: str, path: str) -> Answer:
        name, _, rest = path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")
        if path == "/v2/":
            return 200, JSON, {}
        if path == "/v2/_catalog":
            return 200, JSON, {"repositories": list(tags)}
        if rest == "tags":
            return 200, JSON, {"name": name, "tags": tags[name]}
        if rest == "blobs":
            return 200, JSON, {"config": {"Labels": LABELS}}
        if path.endswith("/sha256:manifest"):
            return 200, MANIFEST, {"config": {"digest": "sha256:config", "size": 1}, "layers": []}
        platform = {"os": "linux", "architecture": "amd64"}
        return 200, MANIFEST_LIST, {"manifests": [{"digest": "sha256:manifest", "platform": platform}]}

    return answer


def app_proxy(_: str, path: str) -> Answer:
    """A coordinator of app proxies that takes every endpoint and gives every token, and proxies nothing."""
    if path.endswith("/token"):
        return 200, JSON, {"token": "a-token-for-the-endpoint"}
    return 200, JSON, {"endpoint": f"http://endpoint.example{path}"}
