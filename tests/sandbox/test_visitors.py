"""Who may not drive the sandbox, which runs code as whoever started it: web pages, and whoever has no key."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
import requests

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import Session

LIMIT = 20.0
ORDER = {"domain": "default", "email": "new@example.com", "password": "a-password"}
PATHS = ["/", "/auth/signup", "/auth/authorize", "/session", "/admin/graphql", "/no/such/route", "/storage"]


@pytest.fixture
def signed_up(any_sandbox, name):
    """A configuration with the keys that anybody gets who signs up."""
    with Session(config=any_sandbox.config(access_key="", secret_key="")) as session:
        keys = session.Auth.signup(f"{name}@example.com", "a-password")
    return any_sandbox.config(access_key=keys["access_key"], secret_key=keys["secret_key"])


def test_nobody_gets_keys_that_are_good(signed_up):
    with Session(config=signed_up) as session:
        for call in (
            lambda: session.Kernel.get_or_create("python"),
            lambda: session.Admin.query("{ domains { name } }"),
        ):
            with pytest.raises(BackendAPIError) as caught:
                call()
            assert caught.value.status == 401


def test_an_administrator_makes_them_good(signed_up, any_session, name):
    any_session.User.update(f"{name}@example.com", status="active")
    with Session(config=signed_up) as session:
        assert session.Admin.query("{ user { email } }")["user"]["email"] == f"{name}@example.com"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8081"},
        {"Host": "localhost.evil.example"},
        {"Host": "10.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
    ids=str,
)
def test_web_pages_are_refused_on_every_route(sandbox, path, headers):
    answer = requests.post(f"{sandbox.endpoint}{path}", json=ORDER, headers=headers, timeout=LIMIT)
    assert answer.status_code == 403
    assert answer.json()["title"] == "Forbidden operation."


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_names_of_this_machine_are_good(sandbox, name):
    port = sandbox.endpoint.rpartition(":")[2]
    for headers in ({"Host": f"{name}:{port}"}, {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}):
        assert requests.get(f"{sandbox.endpoint}/", headers=headers, timeout=LIMIT).status_code == 200


def test_large_bodies_of_anybody_are_refused_before_they_are_read(sandbox):
    """Twelve at once, of 60 MiB each, all of whose memory could be asked for."""
    before = peak(sandbox)
    statuses = []

    def send():
        try:
            answer = requests.post(f"{sandbox.endpoint}/auth/authorize", data=b"x" * (60 << 20), timeout=LIMIT)
            statuses.append(answer.status_code)
        except requests.ConnectionError:  # it does not read all of it
            statuses.append(None)

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert len(statuses) == 12
    assert set(statuses) <= {400, 413, None}
    assert peak(sandbox) - before < 60 << 10


def peak(sandbox) -> int:
    """The most memory that its process ever had, in KiB."""
    status = Path(f"/proc/{sandbox.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def aliases(count: int) -> str:
    return "{" + " ".join(f"a{number}: domains {{ name }}" for number in range(count)) + "}"


def bomb(levels: int) -> str:
    """Each fragment repeats the one before ten times."""
    parts = ["fragment f0 on Domain { name }"]
    parts += [f"fragment f{level} on Domain {{ {' '.join([f'...f{level - 1}'] * 10)} }}" for level in range(1, levels)]
    return f"{{ domains {{ ...f{levels - 1} }} }} {' '.join(parts)}"


@pytest.mark.parametrize(
    "query",
    [
        aliases(20_000),
        aliases(2_000),
        bomb(30),
        "{ domains { " + "name " * 5_000 + "} }",
        "{ domains { name } } #" + "x" * 200_000,
    ],
    ids=["20,000 aliases", "2,000 aliases", "fragments", "one field often", "a long comment"],
)
def test_large_queries_are_refused_at_once(any_session, query):
    with pytest.raises(BackendAPIError) as caught:
        any_session.Admin.query(query)
    assert caught.value.status == 400


def test_a_query_of_ordinary_size_is_answered(any_session):
    answer = any_session.Admin.query(aliases(100))
    assert len(answer) == 100
