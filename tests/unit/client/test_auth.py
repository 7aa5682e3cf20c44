"""Signing: the published vectors, the historic interfaces, and the ``Host`` header that is signed."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ai.backend.client import auth
from ai.backend.client.auth import (
    AuthToken,
    AuthTokenTypes,
    authorization,
    body_hash,
    day_key,
    generate_signature,
    host_header,
    redact_url,
    sign,
)
from ai.backend.client.exceptions import InvalidArgument

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ENDPOINT = "http://api.example.com:8081"
HOST = "api.example.com:8081"
DATE = datetime(2019, 12, 1, 9, 30, 15, 123456, tzinfo=UTC)
DATE_TEXT = "2019-12-01T09:30:15.123456+00:00"

K1 = "9c2c8bbd5dfe6aee26018793ccad772a3b73e03282b5f70312e62d900c27dfb6"
K2 = "446357251398b95f9128eb6636eaa47d4901b9afbfa68b2b8282f5d5faa7f6f2"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BODY = b'{"echo": "hello"}'
BODY_SHA256 = "fe7a08f55fed2ca845f664205fe9667fa80a085c4668fd74386b7787d9f43a49"


@dataclass(frozen=True)
class Vector:
    """One published request and its signature."""

    method: str
    rel_url: str
    version: str
    content_type: str
    body: bytes
    signature: str


# fmt: off
VECTORS = [
    Vector("GET", "/auth?echo=hi", "v4.20190615", "text/plain", b"",
           "6e7fccc78d09ba614c89743a7df980b567ae1f36a3f1dc5c99c76dc13c5063f3"),
    Vector("POST", "/auth", "v4.20190615", "application/json", BODY,
           "1c13b45202efc3cdb56148a54bb850bd7f88ce92eed074f4f2e9b433fb215386"),
    Vector("POST", "/auth", "v6.20230315", "application/json", BODY,
           "bf5a2ee8f17e9a40c9b8bcab09b9b2b20b78538a04d2344fdab2d5a01e5354b3"),
    Vector("POST", "/auth", "v3.20170615", "application/json", BODY,
           "569b35336c73fa31a8dea625dbadf7938291bd92ed349999d56807b9ad227199"),
    Vector("POST", "/kernel/abcd/upload", "v4.20190615", "multipart/form-data; boundary=xyz", b"--xyz--",
           "64f826778db386950333ef7b3ffd52c5f0b735e62a0d83e5f273b287957c8a23"),
    Vector("GET", "/stream/kernel/abcd/pty", "v4.20190615", "", b"",
           "d5f05c75d27f228d9f4e69d8cfb02a3b5858f72cc668de9cfec2a24c4cd96502"),
]
# fmt: on
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector.version}-{vector.content_type}")


def test_the_day_key_goes_through_the_published_intermediate_key() -> None:
    k1 = hmac.digest(SECRET_KEY.encode(), b"20191201", "sha256")
    assert k1.hex() == K1
    assert hmac.digest(bytes.fromhex(K1), HOST.encode(), "sha256").hex() == K2
    assert day_key(SECRET_KEY, "20191201", HOST, "sha256").hex() == K2


@each_vector
def test_an_attempt_is_signed_as_published(vector: Vector) -> None:
    covered = body_hash(vector.version, vector.content_type, vector.body)
    signature = sign(
        bytes.fromhex(K2),
        vector.method,
        vector.rel_url,
        DATE_TEXT,
        HOST,
        vector.content_type,
        vector.version,
        "sha256",
        covered,
    )
    assert signature == vector.signature


@each_vector
def test_the_positional_interface_of_19_09_signs_as_published(vector: Vector) -> None:
    headers, signature = generate_signature(
        vector.method,
        vector.version,
        ENDPOINT,
        DATE,
        vector.rel_url,
        vector.content_type,
        vector.body,
        ACCESS_KEY,
        SECRET_KEY,
        "sha256",
    )
    assert signature == vector.signature
    assert headers == {"Authorization": f"BackendAI signMethod=HMAC-SHA256, credential={ACCESS_KEY}:{signature}"}


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector.version >= "v4"])
def test_the_keyword_interface_of_20_03_signs_as_published(vector: Vector) -> None:
    headers, signature = generate_signature(
        method=vector.method,
        version=vector.version,
        endpoint=ENDPOINT,
        date=DATE,
        rel_url=vector.rel_url,
        content_type=vector.content_type,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        hash_type="sha256",
    )
    assert signature == vector.signature
    assert headers["Authorization"].endswith(signature)


def test_the_signed_text_is_the_published_one() -> None:
    text = (
        f"GET\n/auth?echo=hi\n{DATE_TEXT}\nhost:{HOST}\ncontent-type:text/plain\n"
        f"x-backendai-version:v4.20190615\n{EMPTY_SHA256}"
    ).encode()
    assert len(text) == 197
    assert hmac.digest(bytes.fromhex(K2), text, "sha256").hex() == VECTORS[0].signature


@pytest.mark.parametrize(
    ("version", "content_type", "expected"),
    [
        ("v4.20181215", "application/json", EMPTY_SHA256),
        ("v7.20230615", "application/json", EMPTY_SHA256),
        ("v4.20181214", "application/json", BODY_SHA256),
        ("v3.20170615", "application/octet-stream", BODY_SHA256),
        ("v3.20170615", "multipart/form-data; boundary=x", EMPTY_SHA256),
    ],
)
def test_the_body_counts_only_before_v4_20181215(version: str, content_type: str, expected: str) -> None:
    assert body_hash(version, content_type, BODY) == expected


def test_parameters_and_case_of_the_content_type_are_not_signed() -> None:
    def signed(content_type: str) -> str:
        return sign(b"key", "GET", "/", DATE_TEXT, HOST, content_type, "v7.20230615")

    assert signed("Application/JSON; charset=utf-8") == signed("application/json")


def test_a_request_without_content_type_is_signed_as_octet_stream() -> None:
    def signed(content_type: str) -> str:
        return sign(b"key", "GET", "/", DATE_TEXT, HOST, content_type, "v7.20230615")

    assert signed("") == signed("application/octet-stream")


def test_the_day_is_that_of_the_dates_own_time_zone() -> None:
    seoul = DATE.replace(hour=20).astimezone(timezone(timedelta(hours=9)))  # 2 December there
    _, signature = generate_signature(
        "GET", "v7.20230615", ENDPOINT, seoul, "/", "text/plain", b"", ACCESS_KEY, SECRET_KEY, "sha256"
    )
    key = day_key(SECRET_KEY, "20191202", HOST)
    assert signature == sign(key, "GET", "/", seoul.isoformat(), HOST, "text/plain", "v7.20230615")


@pytest.mark.parametrize(
    "hash_type", sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake"))
)
def test_every_guaranteed_algorithm_signs(hash_type: str) -> None:
    headers, signature = generate_signature(
        "GET", "v7.20230615", ENDPOINT, DATE, "/", "text/plain", b"", ACCESS_KEY, SECRET_KEY, hash_type.upper()
    )
    assert len(signature) == 2 * hashlib.new(hash_type).digest_size
    assert f"signMethod=HMAC-{hash_type.upper()}," in headers["Authorization"]


def test_a_missing_key_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="secret_key"):
        generate_signature("GET", "v7.20230615", ENDPOINT, DATE, "/", None, b"", ACCESS_KEY)  # type: ignore[call-overload]  # a wrong call, on purpose


def test_signing_for_no_url_is_refused_without_repeating_credentials() -> None:
    with pytest.raises(InvalidArgument) as caught:
        generate_signature(
            "GET", "v7.20230615", "ftp://me:hunter2@h", DATE, "/", None, b"", ACCESS_KEY, SECRET_KEY, "sha256"
        )
    assert caught.value.argument == "endpoint"
    assert "hunter2" not in str(caught.value)
    assert SECRET_KEY not in str(caught.value)


def test_the_authorization_header_is_the_published_one() -> None:
    assert authorization(ACCESS_KEY, VECTORS[0].signature, "sha256") == (
        "BackendAI signMethod=HMAC-SHA256, credential=AKIAIOSFODNN7EXAMPLE:"
        "6e7fccc78d09ba614c89743a7df980b567ae1f36a3f1dc5c99c76dc13c5063f3"
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://api.example.com:8081", "api.example.com:8081"),
        ("http://h:80", "h"),
        ("https://h:443/base", "h"),
        ("http://h:443", "h:443"),
        ("https://h:80", "h:80"),
        ("HTTPS://API.Example.COM", "api.example.com"),
        ("http://h:", "h"),
        ("http://me:hunter2@h:8081", "h:8081"),
        ("http://127.0.0.1:8081", "127.0.0.1:8081"),
        ("http://[::1]", "[::1]"),
        ("https://[2001:DB8:0::1]:8443/x", "[2001:db8::1]:8443"),
        ("http://manager_1.local", "manager_1.local"),
        ("http://한국.example", "xn--3e0b707e.example"),
    ],
)
def test_the_host_header_is_lower_case_and_without_the_default_port(url: str, host: str) -> None:
    assert host_header(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "h:8081",
        "//h",
        "/path",
        "ftp://h",
        "http://",
        "http:///path",
        "http://:8081",
        "http://h:0",
        "http://h:65536",
        "http://h:port",
        "http://a b",
        "http://h\r\nX-Evil: 1",
        "http://h\t",
        "http://a..b",
        "http://-%41",
        "http://h\\evil",
        "http://[::1",
        "http://[h]",
        "http://[fe80::1%25eth0]",
    ],
)
def test_a_malformed_url_has_no_host_header(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        host_header(url)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("https://h:8081/base", "https://h:8081/base"),
        ("https://me:hunter2@h/base", "https://***@h/base"),
        ("me:hunter2@h", "***@h"),
        ("https://me:hun@ter2@h", "https://***@h"),
        ("https://me:hun/ter2?#@h", "https://***@h"),
        ("https://me:hunter2%40h", "https://***@h"),
        ("https://a,https://me:hunter2@h", "https://***@h"),
        ("https://me:hun\nter2@h", "https://***@h"),
        ("https://h/?token=hunter2", "https://h/?***"),
        ("https://h/#hunter2", "https://h/#***"),
    ],
)
def test_a_redacted_url_holds_nothing_that_may_be_a_credential(text: str, redacted: str) -> None:
    assert redact_url(text) == redacted


def test_a_token_defaults_to_an_empty_keypair() -> None:
    token = AuthToken()
    assert (token.type, token.content) == (AuthTokenTypes.KEYPAIR, None)
    assert AuthToken(AuthTokenTypes.JWT, "abc") == AuthToken(type=AuthTokenTypes.JWT, content="abc")
    assert [kind.value for kind in AuthTokenTypes] == ["keypair", "jwt"]


def test_a_token_does_not_show_its_content() -> None:
    assert "hunter2" not in repr(AuthToken(AuthTokenTypes.JWT, "hunter2"))


def test_an_unknown_name_of_the_module_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = auth.no_such_name
