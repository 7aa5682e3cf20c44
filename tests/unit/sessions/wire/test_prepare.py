"""One attempt, ready to be sent: its URL, its headers, its body and its signature."""

from __future__ import annotations

import datetime
import email.parser
import email.policy
import hashlib
import hmac
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.log import masked
from ai.backend.client.request import AttachedFile, Request, segment
from ai.backend.client.sessions.wire.prepare import Preparer, with_cookies

NOW = 1575192615.125
DATE = "2019-12-01T09:30:15.125000+00:00"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
URL = "http://api.example.com:8081"
VERSION = "v7.20230615"


@pytest.fixture
def prepare(endpoint):
    """`prepare(request, url, version, **config)`: one attempt."""

    def make(request, url=URL, version=VERSION, now=NOW, **options):
        config = APIConfig(**{"endpoint": url, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, **options})
        return Preparer(config, lambda: now).prepare(request, endpoint(url), version)

    return make


def sent_headers(attempt):
    """The header lines as they would be sent."""
    return [(name.lower(), value) for name, value in attempt.headers.items()]


# -- URLs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "mode", "path", "target"),
    [
        ("http://h", "api", "/admin/graphql", "/admin/graphql"),
        ("http://h/", "api", "admin/graphql", "/admin/graphql"),
        ("http://h/prefix", "api", "/admin/graphql", "/prefix/admin/graphql"),
        ("http://h/prefix/", "api", "/admin/graphql", "/prefix/admin/graphql"),
        ("http://h/a/b/", "api", "/x", "/a/b/x"),
        ("http://h", "api", "/", "/"),
        ("http://h/prefix", "api", "/", "/prefix/"),
        ("http://h", "api", "/server/login", "/server/login"),
        ("http://h", "session", "/admin/graphql", "/func/admin/graphql"),
        ("http://h/prefix", "session", "/admin/graphql", "/prefix/func/admin/graphql"),
        ("http://h", "session", "/", "/func/"),
        ("http://h/prefix", "session", "/", "/prefix/func/"),
        ("http://h", "session", "/server/login", "/server/login"),
        ("http://h/prefix/", "session", "/server/login", "/prefix/server/login"),
        ("http://h", "session", "/stream/session/_/events", "/func/stream/session/_/events"),
    ],
)
def test_the_url_follows_from_endpoint_mode_and_path(prepare, url, mode, path, target):
    attempt = prepare(Request("GET", path), url, endpoint_type=mode)
    assert attempt.target == attempt.path_url == target
    assert attempt.url == "http://h" + target


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/session/한글 name", "/session/%ED%95%9C%EA%B8%80%20name"),
        ("/session/" + segment("한글 name"), "/session/%ED%95%9C%EA%B8%80%20name"),
        ("/session/" + segment("a/b?c#d"), "/session/a%2Fb%3Fc%23d"),
        ("/session/" + segment("100%"), "/session/100%25"),
        ("/session/a?b=c", "/session/a%3Fb=c"),
        ("/session/a#b", "/session/a%23b"),
        ("/session/_/match", "/session/_/match"),
        ("/x/!$&'()*+,;=:@-._~", "/x/!$&'()*+,;=:@-._~"),
        ("/x/a\r\nEvil: 1", "/x/a%0D%0AEvil:%201"),
        ('/x/"<>\\^`{|}', "/x/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("/x/%41%2f", "/x/%41%2f"),
    ],
)
def test_a_path_is_quoted_once_and_stays_a_path(prepare, path, target):
    assert prepare(Request("GET", path)).target == target


@pytest.mark.parametrize(
    ("params", "query"),
    [
        (None, ""),
        ({}, ""),
        ({"a": "1"}, "?a=1"),
        ({"a": "1", "b": "2"}, "?a=1&b=2"),
        ({"name": "한글 + &=?#/"}, None),
        ({"empty": ""}, "?empty="),
        ({"evil": "a\r\nb"}, None),
    ],
)
def test_parameters_become_the_query_and_come_back_as_they_were(prepare, params, query):
    attempt = prepare(Request("GET", "/auth", params=params))
    if query is not None:
        assert attempt.target == "/auth" + query
    assert re.fullmatch(r"[\x21-\x7e]+", attempt.target)
    parts = urlsplit(attempt.url)
    assert dict(parse_qsl(parts.query, keep_blank_values=True)) == (params or {})
    assert parts.path == "/auth"


def test_a_list_repeats_its_name_in_the_query(prepare):
    assert prepare(Request("GET", "/x", params={"files": ["a b", "c"], "n": 1})).target == "/x?files=a+b&files=c&n=1"
    assert prepare(Request("GET", "/x", params={"files": []})).target.rstrip("?") == "/x"


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/x/\udcff"),
        Request("GET", "/x", params={"a": "\udcff"}),
        Request("GET", "/x", params={"a\udcff": "b"}),
    ],
    ids=["path", "value", "name"],
)
def test_text_that_cannot_be_sent_is_refused_as_an_argument(prepare, request_):
    """Anything else would count as a crash of our own, and ten of those end the session."""
    with pytest.raises(InvalidArgument):
        prepare(request_)


# -- headers ----------------------------------------------------------------------------------------------------------


def test_a_request_carries_the_standard_headers(prepare):
    attempt = prepare(Request("GET", "/auth"), domain="research", user_agent="agent/1")
    headers = dict(sent_headers(attempt))
    authorization = headers.pop("authorization")
    assert headers == {
        "host": "api.example.com:8081",
        "user-agent": "agent/1",
        "x-backendai-domain": "research",
        "x-backendai-version": VERSION,
        "date": DATE,
        "content-type": "text/plain",
    }
    assert authorization.startswith(f"BackendAI signMethod=HMAC-SHA256, credential={ACCESS_KEY}:")


def test_the_version_probe_tells_who_asks_and_no_more(prepare):
    attempt = prepare(Request("GET", "/", anonymous=True), version="")
    assert {name for name, _ in sent_headers(attempt)} == {"host", "user-agent"}


@pytest.mark.parametrize(
    ("request_", "content_type", "length"),
    [
        (Request("GET", "/x"), "text/plain", None),
        (Request("DELETE", "/x"), "text/plain", None),
        (Request("POST", "/x"), "text/plain", "0"),
        (Request("PUT", "/x"), "text/plain", "0"),
        (Request("PATCH", "/x"), "text/plain", "0"),
        (Request("POST", "/x", "text ü"), "text/plain", "7"),
        (Request("POST", "/x", b"\0\1"), "application/octet-stream", "2"),
        (Request("POST", "/x", b""), "application/octet-stream", "0"),
        (Request("POST", "/x", json={"a": 1}), "application/json", "8"),
        (Request("GET", "/x", json={"a": 1}), "application/json", "8"),
        (Request("DELETE", "/x", json=None), "application/json", "4"),
        (
            Request("POST", "/x", b"{}", content_type="application/merge-patch+json"),
            "application/merge-patch+json",
            "2",
        ),
    ],
)
def test_type_and_length_follow_from_the_body(prepare, request_, content_type, length):
    attempt = prepare(request_)
    assert attempt.headers["Content-Type"] == content_type
    assert attempt.headers.get("Content-Length") == length
    assert attempt.body == request_.body


def test_headers_are_found_in_any_case(prepare):
    headers = prepare(Request("GET", "/auth")).headers
    for name in ("Date", "date", "DATE", "dAtE"):
        assert headers[name] == headers.get(name) == DATE
        assert name in headers
    assert "missing" not in headers
    assert headers.get("missing") is None
    assert headers.get("missing", "default") == "default"
    with pytest.raises(KeyError):
        headers["missing"]


@pytest.mark.parametrize("name", ["X-Extra", "x-extra"])
def test_a_header_of_the_caller_s_is_sent_too(prepare, name):
    request = Request("GET", "/auth")
    request.headers[name] = "välue"
    assert ("x-extra", "välue") in sent_headers(prepare(request))


@pytest.mark.parametrize("name", ["user-agent", "USER-AGENT", "User-Agent", "content-type"])
def test_no_header_is_sent_twice_in_whatever_case_it_is_given(prepare, name):
    request = Request("GET", "/auth")
    request.headers[name] = "mine"
    names = [name for name, _ in sent_headers(prepare(request))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "value"), [("Content-Length", "3"), ("content-length", "0"), ("Transfer-Encoding", "chunked")]
)
def test_a_header_of_the_caller_s_cannot_contradict_the_body_s_length(prepare, name, value):
    """The rest of the body would be read as the next request on the connection, by whoever is in between."""
    request = Request("POST", "/auth", b"0123456789")
    request.headers[name] = value
    try:
        headers = dict(sent_headers(prepare(request)))
    except InvalidArgument:
        return
    assert headers["content-length"] == "10"
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Evil", "a\r\nAuthorization: stolen"),
        ("X-Evil", "a\nb"),
        ("X-Evil", "a\rb"),
        ("X-Evil", "a\0b"),
        ("X-Evil", "a\x7fb"),
        ("X-Evil", "€"),
        ("X-Evil", "\udcff"),
        ("X-Evil", 5),
        ("X-Evil", None),
        ("X-Evil", b"bytes"),
        ("X Evil", "a"),
        ("X-Evil:", "a"),
        ("X-Evil\r\nX-Other", "a"),
        ("", "a"),
        ("X-ü", "a"),
    ],
)
def test_a_header_that_would_smuggle_another_is_refused(prepare, name, value):
    request = Request("GET", "/auth")
    request.headers[name] = value
    with pytest.raises(InvalidArgument, match="headers"):
        prepare(request)


@pytest.mark.parametrize("content_type", ["text/plain\r\nX-Evil: 1", "text/plain\nX-Evil: 1", "text/€", "text/\0"])
def test_a_content_type_that_would_smuggle_a_header_is_refused(prepare, content_type):
    with pytest.raises(InvalidArgument):
        prepare(Request("POST", "/auth", b"x", content_type=content_type))


def test_every_attempt_has_a_date_and_a_signature_of_its_own(endpoint):
    times = iter([NOW, NOW + 0.25, NOW + 86400])
    config = APIConfig(endpoint=URL, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    preparer = Preparer(config, lambda: next(times))
    target = endpoint(URL)
    attempts = [preparer.prepare(Request("GET", "/auth"), target, VERSION) for _ in range(3)]
    dates = [attempt.headers["Date"] for attempt in attempts]
    assert dates == [DATE, DATE.replace(".125000", ".375000"), DATE.replace("12-01", "12-02")]
    assert len({attempt.headers["Authorization"] for attempt in attempts}) == 3
    for attempt in attempts:
        assert attempt.headers["Authorization"] == signature_of(attempt)


@pytest.mark.parametrize("now", [1.5, 951782400.0, NOW, 4102444799.75])
def test_the_date_is_what_isoformat_writes(prepare, now):
    attempt = prepare(Request("GET", "/auth"), now=now)
    assert datetime.datetime.fromisoformat(attempt.headers["Date"]).timestamp() == now
    assert attempt.headers["Date"].endswith("+00:00")


# -- signatures -------------------------------------------------------------------------------------------------------


def signature_of(attempt, version=VERSION, hash_name="sha256", secret=SECRET_KEY, access=ACCESS_KEY):
    """The `Authorization` header, computed from what is sent, step by step as the protocol describes it."""
    headers = dict(sent_headers(attempt))
    media_type = headers["content-type"].split(";")[0].strip().lower()
    covered = b"" if version >= "v4.20181215" or media_type.startswith("multipart/") else attempt.body or b""
    date = headers["date"]
    text = "\n".join(
        [
            attempt.method,
            attempt.target,
            date,
            f"host:{headers['host']}",
            f"content-type:{media_type}",
            f"x-backendai-version:{version}",
            hashlib.new(hash_name, covered).hexdigest(),
        ]
    )
    key = secret.encode()
    for part in (date[:10].replace("-", "").encode(), headers["host"].encode()):
        key = hmac.new(key, part, hash_name).digest()
    signature = hmac.new(key, text.encode(), hash_name).hexdigest()
    return f"BackendAI signMethod=HMAC-{hash_name.upper()}, credential={access}:{signature}"


FILES = [AttachedFile("a.txt", b"content", "text/plain")]


@pytest.mark.parametrize("version", ["v3.20170615", "v4.20181215", "v4.20190615", "v5.20191215", VERSION])
@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/auth", params={"echo": "hi there ü+"}),
        Request("POST", "/auth", json={"echo": "hello"}),
        Request("POST", "/auth", "text"),
        Request("DELETE", "/session/" + segment("한글 name")),
        Request("POST", "/session/abcd/upload", files=FILES),
        Request("PATCH", "/x", b"{}", content_type="Application/JSON; charset=utf-8"),
    ],
    ids=lambda request: request.content_type,
)
def test_the_signature_is_that_of_what_is_sent(prepare, request_, version):
    attempt = prepare(request_, version=version)
    assert attempt.headers["Authorization"] == signature_of(attempt, version)


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "http://h:80",
        "https://H.example:443/base",
        "http://[::1]:8081/base/",
        "https://api.example.com:8443",
    ],
)
def test_the_signature_covers_the_host_that_is_sent(prepare, url):
    attempt = prepare(Request("GET", "/auth"), url)
    assert attempt.headers["Authorization"] == signature_of(attempt)
    assert attempt.url.startswith(f"{urlsplit(url).scheme}://{attempt.headers['Host']}/")


@pytest.mark.parametrize("hash_name", ["sha1", "sha512", "SHA384"])
def test_other_hashes_sign_too(prepare, hash_name):
    attempt = prepare(Request("GET", "/auth"), hash_type=hash_name)
    assert attempt.headers["Authorization"] == signature_of(attempt, hash_name=hash_name.lower())


def test_two_endpoints_of_one_session_have_signatures_of_their_own(endpoint):
    config = APIConfig(endpoint="http://a,http://b", access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    preparer = Preparer(config, lambda: NOW)
    ends = [endpoint("http://a"), endpoint("http://b")]
    for _ in range(2):
        for end in ends:
            attempt = preparer.prepare(Request("GET", "/auth"), end, VERSION)
            assert attempt.headers["Authorization"] == signature_of(attempt)
            assert attempt.headers["Host"] == end.host


@pytest.mark.parametrize(
    ("options", "anonymous"),
    [({"access_key": "", "secret_key": ""}, False), ({"endpoint_type": "session"}, False), ({}, True)],
    ids=["no key", "session mode", "anonymous request"],
)
def test_there_are_calls_without_a_signature(prepare, options, anonymous):
    attempt = prepare(Request("GET", "/auth", anonymous=anonymous), **options)
    assert "Authorization" not in attempt.headers
    assert attempt.headers["Date"] == DATE


# -- files ------------------------------------------------------------------------------------------------------------


def parts_of(attempt):
    """The form's parts, as a mail parser reads them."""
    head = f"Content-Type: {attempt.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + attempt.body)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def test_files_become_a_form_with_one_part_each(prepare):
    files = [
        AttachedFile("a.txt", b"text", "text/plain"),
        AttachedFile("dir/b.bin", bytes(range(256)), "application/octet-stream"),
        AttachedFile("empty", b""),
    ]
    attempt = prepare(Request("POST", "/upload", files=files))
    assert parts_of(attempt) == [
        ("src", "a.txt", "text/plain", b"text"),
        ("src", "dir/b.bin", "application/octet-stream", bytes(range(256))),
        ("src", "empty", "application/octet-stream", b""),
    ]
    assert attempt.headers["Content-Length"] == str(len(attempt.body))


@pytest.mark.parametrize("name", ['a"; filename="b', "a\r\nX-Evil: 1", "한글.txt"])
def test_a_file_s_name_cannot_leave_its_header(prepare, name):
    attempt = prepare(Request("POST", "/upload", files=[AttachedFile(name, b"content")]))
    parts = parts_of(attempt)
    assert len(parts) == 1
    assert parts[0][0] == "src"
    assert parts[0][3] == b"content"
    assert b"\nX-Evil" not in attempt.body


def test_a_file_s_type_cannot_leave_its_header():
    with pytest.raises(InvalidArgument, match="content_type"):
        Request("POST", "/upload", files=[AttachedFile("a", b"content", "text/plain\r\nX-Evil: 1")])


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_cookies_are_added_where_there_are_any(prepare):
    attempt = prepare(Request("GET", "/auth"), endpoint_type="session")
    with_cookies(attempt, None)
    with_cookies(attempt, "")
    assert "Cookie" not in attempt.headers
    with_cookies(attempt, "a=b")
    assert attempt.headers["cookie"] == "a=b"


def test_a_copy_is_equal_and_independent(prepare):
    attempt = prepare(Request("POST", "/auth", json={}))
    twin = attempt.copy()
    assert sent_headers(twin) == sent_headers(attempt)
    assert (twin.url, twin.body, twin.method) == (attempt.url, attempt.body, attempt.method)
    twin.headers["X-Other"] = "1"
    assert "X-Other" not in attempt.headers


def test_neither_an_attempt_nor_its_headers_show_the_signature(prepare):
    attempt = prepare(Request("GET", "/auth"))
    signature = attempt.headers["Authorization"].rpartition(":")[2]
    for text in (repr(attempt), str(attempt), repr(masked(attempt.headers))):
        assert signature not in text
    assert masked({"COOKIE": "x", "authorization": "y", "Date": "z"}) == {
        "COOKIE": "[secure]",
        "authorization": "[secure]",
        "Date": "z",
    }
