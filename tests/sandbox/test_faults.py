"""Faults on demand: each kind does what it says, by option and by header."""

from __future__ import annotations

import time

import pytest
import requests

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.sandbox import Sandbox
from ai.backend.client.sandbox.core import faults
from ai.backend.client.session import Session


def get(sandbox, fault):
    return requests.get(sandbox.endpoint + "/", headers={faults.HEADER: fault}, timeout=10)


def test_latency(sandbox):
    start = time.monotonic()
    assert get(sandbox, "latency=0.3").status_code == 200
    assert time.monotonic() - start >= 0.3


def test_drip(sandbox):
    start = time.monotonic()
    assert get(sandbox, "drip=0.005").json()["version"] == sandbox.api
    assert time.monotonic() - start >= 0.2


def test_reset(sandbox):
    with pytest.raises(requests.ConnectionError):
        get(sandbox, "reset")


def test_truncate(sandbox):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(sandbox, "truncate")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors(sandbox, status):
    response = get(sandbox, str(status))
    assert response.status_code == status
    assert response.json()["type"].startswith("https://api.backend.ai/probs/")


def test_too_many_requests(sandbox):
    response = get(sandbox, "429=7")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")


def test_a_header_that_cannot_be_read(sandbox):
    assert get(sandbox, "gremlins").status_code == 400


def test_faults_of_the_whole_sandbox_and_only_where_they_belong():
    with Sandbox(faults=["503:/manager"]) as sandbox, Session(config=sandbox.config(version=sandbox.api)) as session:
        options = session.with_options(retries=0)
        with pytest.raises(BackendAPIError) as caught:
            options.Manager.status()
        assert caught.value.status == 503
        assert options.Kernel.hello()["version"] == sandbox.api


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency=0.5", faults.Fault("latency", 0.5)),
        ("503@0.1", faults.Fault("503", None, 0.1)),
        ("429=3@0.5:/session", faults.Fault("429", 3.0, 0.5, "/session")),
    ],
)
def test_how_faults_are_written(text, fault):
    assert faults.parse(text) == fault


@pytest.mark.parametrize("text", ["", "404", "latency", "503@2", "reset@x", "drip="])
def test_what_is_no_fault(text):
    with pytest.raises(ValueError, match="fault"):
        faults.parse(text)
