"""What the sandbox demands of a request: version, date, signature, key, role, rate; and how it refuses."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import requests

from ai.backend.client.auth import generate_signature
from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.sandbox import Sandbox
from ai.backend.client.session import Session

PREFIX = "https://api.backend.ai/probs/"
VERSION = "v7.20230615"


class URL(str):
    """What the signing function wants of an endpoint."""


def headers_for(sandbox: Sandbox, path: str, **changes: Any) -> dict[str, str]:
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=changes.get("late", 0))
    version = changes.get("version", VERSION)
    access_key, secret_key = changes.get("keys", sandbox.keys())
    headers, _ = generate_signature(
        method="GET",
        version=version,
        endpoint=sandbox.endpoint,
        date=date,
        rel_url=path,
        content_type="text/plain",
        access_key=access_key,
        secret_key=secret_key,
        hash_type=changes.get("hash_type", "sha256"),
    )
    return {
        **headers,
        "Date": date.isoformat(),
        "X-BackendAI-Version": version,
        "Content-Type": "text/plain",
    }


def get(sandbox: Sandbox, path: str = "/auth?echo=hi", **changes: Any) -> requests.Response:
    return requests.get(sandbox.endpoint + path, headers=headers_for(sandbox, path, **changes), timeout=10)


def refusal(response: requests.Response) -> tuple[int, str, str | None]:
    assert response.headers["Content-Type"].startswith("application/problem+json")
    body = response.json()
    assert body["title"]
    return response.status_code, body["type"].removeprefix(PREFIX), body.get("msg")


def test_a_signed_call_is_let_in_and_counted(sandbox):
    response = get(sandbox)
    assert response.json() == {"authorized": "yes", "echo": "hi"}
    assert response.headers["X-RateLimit-Limit"] == "30000"
    assert 0 <= int(response.headers["X-RateLimit-Remaining"]) < 30000
    assert response.headers["X-RateLimit-Window"] == "900"


@pytest.mark.parametrize("hash_type", ["sha1", "sha512", "md5"])
def test_other_hashes_are_taken_too(sandbox, hash_type):
    assert get(sandbox, hash_type=hash_type).status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"keys": ("AKIANOSUCHKEY0000000", "s")}, (401, "auth-failed", "Access key not found")),
        ({"version": "v9.20300101"}, (400, "generic-bad-request", "Unsupported API version.")),
        (
            {"late": -16},
            (400, "invalid-auth-params", "Date/time sync error"),
        ),
        (
            {"late": 16},
            (400, "invalid-auth-params", "Date/time sync error"),
        ),
    ],
)
def test_what_does_not_fit_is_refused(sandbox, changes, expected):
    assert refusal(get(sandbox, **changes)) == expected


def test_a_wrong_secret_is_refused(sandbox):
    access_key, _ = sandbox.keys()
    assert refusal(get(sandbox, keys=(access_key, "wrong"))) == (401, "auth-failed", "Signature mismatch")


def test_a_changed_query_breaks_the_signature(sandbox):
    headers = headers_for(sandbox, "/auth?echo=hi")
    response = requests.get(sandbox.endpoint + "/auth?echo=ho", headers=headers, timeout=10)
    assert refusal(response) == (401, "auth-failed", "Signature mismatch")


def test_no_signature_is_refused_where_one_is_needed(sandbox):
    headers = headers_for(sandbox, "/auth")
    del headers["Authorization"]
    response = requests.get(sandbox.endpoint + "/auth", headers=headers, timeout=10)
    assert refusal(response) == (401, "auth-failed", "Unauthorized access")


def test_a_malformed_signature_is_a_bad_request(sandbox):
    headers = headers_for(sandbox, "/auth") | {"Authorization": "Basic abc"}
    response = requests.get(sandbox.endpoint + "/auth", headers=headers, timeout=10)
    assert refusal(response)[:2] == (400, "invalid-auth-params")


def test_unknown_paths_and_methods(sandbox):
    response = requests.get(sandbox.endpoint + "/nothing", timeout=10)
    assert refusal(response) == (404, "url-not-found", None)
    assert response.json()["data"] == "/nothing"
    assert refusal(requests.delete(sandbox.endpoint + "/", timeout=10))[:2] == (405, "method-not-allowed")


def test_unknown_and_missing_parameters_are_named(sandbox):
    body = get(sandbox, "/auth?ecko=hi").json()
    assert body["data"] == {"ecko": "ecko is not allowed key", "echo": "is required"}


def test_roles(sandbox, user):
    with pytest.raises(BackendAPIError) as caught:
        user.Manager.freeze()
    assert (caught.value.status, caught.value.data["msg"]) == (401, "Unauthorized access")


def test_what_was_looked_up_before_a_change_is_looked_up_again(sandbox, session, user2, name):
    def presets() -> list[str]:
        return [preset["name"] for preset in user2.Resource.list()["presets"]]

    assert name not in presets()
    session.Resource.create_preset(name, {"cpu": "1", "mem": "1073741824"})
    assert name in presets()
    session.Resource.delete_preset(name)
    assert name not in presets()
    key, _ = sandbox.keys("user2")
    session.KeyPair.deactivate(key)
    with pytest.raises(BackendAPIError) as caught:
        presets()
    assert caught.value.status == 401
    session.KeyPair.activate(key)
    assert name not in presets()


def test_a_frozen_manager_refuses_changes_and_answers_questions(sandbox, session):
    session.Manager.freeze()
    try:
        assert session.Manager.status()["status"] == "frozen"
        with pytest.raises(BackendAPIError) as caught:
            session.Kernel.get_or_create("python", name="frozen")
        assert caught.value.status == 503
        assert caught.value.data["type"] == PREFIX + "server-frozen"
    finally:
        session.Manager.unfreeze()
    assert session.Manager.status()["status"] == "running"


def test_over_the_rate_limit():
    with Sandbox(rate_limit=3) as sandbox:
        answers = [get(sandbox) for _ in range(4)]
        assert [answer.headers.get("X-RateLimit-Remaining") for answer in answers] == ["2", "1", "0", None]
        assert refusal(answers[3])[:2] == (429, "rate-limit-exceeded")
        other = get(sandbox, keys=sandbox.keys("user"))
        assert other.status_code == 200


def test_announcements(session):
    assert session.Manager.get_announcement() == {"enabled": False, "message": ""}
    session.Manager.update_announcement(message="hello")
    assert session.Manager.get_announcement() == {"enabled": True, "message": "hello"}
    session.Manager.update_announcement(enabled=False)


def test_a_method_can_be_overridden(sandbox):
    headers = headers_for(sandbox, "/auth?echo=hi") | {"X-Method-Override": "GET"}
    response = requests.post(sandbox.endpoint + "/auth?echo=hi", headers=headers, timeout=10)
    assert response.json() == {"authorized": "yes", "echo": "hi"}


def test_19_09_has_its_own_paths_types_and_versions(sandboxes):
    sandbox = sandboxes("v4.20190615")
    with Session(config=sandbox.config()) as session:
        assert session.Kernel.hello() == {"version": "v4.20190615", "manager": "19.09.27"}
        with pytest.raises(BackendAPIError) as caught:
            session.Kernel("no-such-session").get_info()
        assert caught.value.data["type"] == PREFIX + "kernel-not-found"
    assert refusal(get(sandbox))[2] == "Unsupported API version."


def test_a_password_becomes_keys(sandbox, session):
    email, password = (sandbox.environment[f"BACKEND_USER_{name}"] for name in ("EMAIL", "PASSWORD"))
    token = session.User.authorize(email, password)
    assert (token.content["access_key"], token.content["secret_key"]) == sandbox.keys("user")
    with pytest.raises(BackendAPIError) as caught:
        session.User.authorize(email, "wrong")
    assert (caught.value.status, caught.value.data["msg"]) == (401, "User credential mismatch.")
