"""Sandboxes that tests share, and signed requests that no function of the client would make."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator
from typing import Any

import requests

from ai.backend.client.auth import generate_signature
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.sandbox import Sandbox
from ai.backend.client.session import Session

LEFT = """
query($status: String) {
  compute_session_list(limit: 100, offset: 0, status: $status) { items { %s access_key } }
}
"""


def left_over(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Names of the compute sessions that wait or run, with their owners' access keys."""
    name = "sess_id" if sandbox.api.startswith("v4.") else "name"
    found: list[tuple[str, str]] = []
    with Session(config=sandbox.config()) as session:
        for status in ("PENDING", "RUNNING"):
            answer = session.Admin.query(LEFT % name, {"status": status})
            found += [(item[name], item["access_key"]) for item in answer["compute_session_list"]["items"]]
    return found


@contextlib.contextmanager
def emptied(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox without compute sessions afterwards: those of a test that failed would leave no room for the next."""
    try:
        yield sandbox
    finally:
        left = left_over(sandbox)
        with Session(config=sandbox.config()) as session:
            for name, owner in left:
                with contextlib.suppress(BackendAPIError):  # it has ended by itself
                    session.Kernel(name, owner_access_key=owner).destroy(forced=True)


def signed(
    config: APIConfig,
    method: str,
    path: str,
    body: Any = None,
    *,
    content: bytes | None = None,
    content_type: str | None = None,
    **options: Any,
) -> requests.Response:
    """One signed request, past everything that the client's own functions check.

    Args:
        config: Whose, and where to.
        method: HTTP method.
        path: Path below the endpoint.
        body: What is sent as JSON.
        content: What is sent as it is, instead.
        content_type: Its type; what follows a semicolon is not signed.
        options: Further arguments of `requests.request`.
    """
    date = datetime.datetime.now(datetime.UTC)
    if body is not None:
        content, content_type = json.dumps(body).encode(), "application/json"
    content_type = content_type or "text/plain"
    endpoint = str(config.endpoint)
    headers, _ = generate_signature(
        method=method,
        version=config.version,
        endpoint=endpoint,
        date=date,
        rel_url=path,
        content_type=content_type.partition(";")[0],
        access_key=config.access_key,
        secret_key=config.secret_key,
        hash_type="sha256",
    )
    headers |= {"Date": date.isoformat(), "X-BackendAI-Version": config.version, "Content-Type": content_type}
    url = endpoint.rstrip("/") + path
    return requests.request(method, url, data=content, headers=headers, timeout=60, **options)
