"""What tests against a sandbox share: the image, running code to its end, and signed requests of their own."""

from __future__ import annotations

import datetime
import json
from typing import Any

import requests

from ai.backend.client.auth import generate_signature
from ai.backend.client.config import APIConfig

IMAGE = "cr.backend.ai/stable/python:3.9-ubuntu20.04"


def finish(kernel: Any, result: dict[str, Any], answers: list[str] | None = None) -> tuple[str, str, dict[str, Any]]:
    """Follow a run to its end: what it wrote to stdout and stderr, and its last result."""
    waiting = iter(answers or [])
    text = {"stdout": "", "stderr": ""}
    while True:
        for kind, data in result["console"]:
            if kind in text:
                text[kind] += data
        if result["status"] in ("finished", "exec-timeout"):
            return text["stdout"], text["stderr"], result
        asked = result["status"] == "waiting-input"
        result = kernel.execute(result["runId"], next(waiting) if asked else "", mode="input" if asked else "continue")


def run(kernel: Any, code: str, answers: list[str] | None = None) -> tuple[str, str, dict[str, Any]]:
    """Run code to its end."""
    return finish(kernel, kernel.execute(code=code), answers)


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
