"""Signed requests that no function of the client would make."""

from __future__ import annotations

import datetime
import json
from typing import Any

import requests

from ai.backend.client.auth import generate_signature
from ai.backend.client.config import APIConfig


def signed(config: APIConfig, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
    """One signed request, past everything that the client's own functions check."""
    date = datetime.datetime.now(datetime.UTC)
    content_type = "text/plain" if body is None else "application/json"
    endpoint = str(config.endpoint)
    headers, _ = generate_signature(
        method=method,
        version=config.version,
        endpoint=endpoint,
        date=date,
        rel_url=path,
        content_type=content_type,
        access_key=config.access_key,
        secret_key=config.secret_key,
        hash_type="sha256",
    )
    headers |= {"Date": date.isoformat(), "X-BackendAI-Version": config.version, "Content-Type": content_type}
    data = None if body is None else json.dumps(body)
    url = endpoint.rstrip("/") + path
    return requests.request(method, url, data=data, headers=headers, timeout=60, **options)
