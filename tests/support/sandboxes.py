"""Signed requests that no function of the client would make."""

from __future__ import annotations

import datetime
import json
from typing import Any

import requests

from ai.backend.client.auth import generate_signature
from ai.backend.client.config import APIConfig


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
