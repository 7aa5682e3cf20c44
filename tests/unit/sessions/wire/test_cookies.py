"""The web session's cookies: kept, written as text for their owner's eyes only, and never unpickled."""

from __future__ import annotations

import http.cookiejar
import os
import pickle
import stat
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3
from requests.cookies import RequestsCookieJar

from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import InvalidArgument
from ai.backend.client.request import Request
from ai.backend.client.sessions.wire.cookies import WebCookies
from ai.backend.client.sessions.wire.prepare import Preparer
from support.waiting import LIMIT

URL = "http://web.example:8080"
LOGIN = "AIOHTTP_SESSION=abc123; Path=/; HttpOnly"


@pytest.fixture
def attempt(endpoint):
    """`attempt(url, path)`: a prepared request of a web session."""

    def make(url=URL, path="/auth"):
        return Preparer(APIConfig(endpoint=url, endpoint_type="session")).prepare(
            Request("GET", path), endpoint(url), "v7.20230615"
        )

    return make


def answer(*lines):
    return SimpleNamespace(headers=urllib3.HTTPHeaderDict([("Set-Cookie", line) for line in lines]))


class Bomb:
    """Whoever loads its pickle has run it."""

    def __reduce__(self):
        return (Path.touch, (Path(os.environ["BOMB"]),))


def test_a_cookie_that_was_set_is_sent_back(attempt):
    cookies = WebCookies(None)
    assert cookies.header(attempt()) is None
    cookies.keep(attempt(), answer(LOGIN))
    assert cookies.header(attempt()) == "AIOHTTP_SESSION=abc123"
    assert [(cookie.name, cookie.value) for cookie in cookies.jar] == [("AIOHTTP_SESSION", "abc123")]


def test_cookies_change_and_go_as_the_server_says(attempt):
    cookies = WebCookies(None)
    cookies.keep(attempt(), answer(LOGIN, "other=1; Path=/"))
    cookies.keep(attempt(), answer("AIOHTTP_SESSION=def456; Path=/", "other=; Path=/; Max-Age=0"))
    assert cookies.header(attempt()) == "AIOHTTP_SESSION=def456"


def test_an_answer_without_cookies_changes_nothing_and_writes_nothing(attempt, tmp_path):
    cookies = WebCookies(str(tmp_path / "cookies"))
    cookies.keep(attempt(), answer())
    cookies.keep(attempt(), SimpleNamespace(headers={}))
    assert list(tmp_path.iterdir()) == []


def test_cookies_stay_with_their_host_and_path(attempt):
    cookies = WebCookies(None)
    cookies.keep(attempt(path="/deep/x"), answer("a=1; Path=/func/deep"))
    assert cookies.header(attempt(path="/deep/y")) == "a=1"
    assert cookies.header(attempt(path="/flat")) is None
    assert cookies.header(attempt("http://other.example:8080", "/deep/y")) is None


def test_a_secure_cookie_is_not_sent_in_the_clear(attempt):
    cookies = WebCookies(None)
    cookies.keep(attempt("https://web.example"), answer("a=1; Path=/; Secure"))
    assert cookies.header(attempt("https://web.example")) == "a=1"
    assert cookies.header(attempt("http://web.example")) is None


@pytest.mark.parametrize(
    "line", ["", "=", ";;;", "no equals sign", "a=b; Expires=never", "a=" + "b" * 10_000, "\x00=\x01"]
)
def test_a_strange_cookie_breaks_nothing(attempt, tmp_path, line):
    path = tmp_path / "cookies"
    cookies = WebCookies(str(path))
    cookies.keep(attempt(), answer(line, LOGIN))
    assert "AIOHTTP_SESSION=abc123" in cookies.header(attempt())
    if path.exists():
        assert "AIOHTTP_SESSION=abc123" in WebCookies(str(path)).header(attempt())


# -- the file ---------------------------------------------------------------------------------------------------------


def keep(cookies, attempt, raw):
    """As the transport does it."""
    assert cookies.keep(attempt, raw)
    cookies.save()


def test_the_file_is_text_in_a_known_format_for_its_owner_only(attempt, tmp_path):
    path = tmp_path / "folder" / "cookies"
    old = os.umask(0)
    try:
        keep(WebCookies(str(path)), attempt(), answer(LOGIN))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text("utf-8")
    assert text.startswith("#LWP-Cookies-2.0\n")
    assert "abc123" in text
    jar = http.cookiejar.LWPCookieJar(str(path))
    jar.load(ignore_discard=True)
    assert [cookie.name for cookie in jar] == ["AIOHTTP_SESSION"]
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_was_readable_by_all_is_not_any_more(attempt, tmp_path):
    path = tmp_path / "cookies"
    keep(WebCookies(str(path)), attempt(), answer(LOGIN))
    path.chmod(0o644)
    keep(WebCookies(str(path)), attempt(), answer("other=1; Path=/"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_kept_comes_back_in_the_next_session(attempt, tmp_path):
    path = tmp_path / "cookies"
    keep(WebCookies(str(path)), attempt(), answer(LOGIN, "lang=ko; Path=/; Max-Age=3600"))
    again = WebCookies(str(path))
    assert sorted(again.header(attempt()).split("; ")) == ["AIOHTTP_SESSION=abc123", "lang=ko"]
    keep(again, attempt(), answer("AIOHTTP_SESSION=; Path=/; Max-Age=0"))
    assert WebCookies(str(path)).header(attempt()) == "lang=ko"


def test_no_file_is_no_cookies(attempt, tmp_path):
    assert WebCookies(str(tmp_path / "missing")).header(attempt()) is None


def pickled_jar():
    jar = RequestsCookieJar()
    jar.set("AIOHTTP_SESSION", "from the pickle")
    return jar


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [Bomb, pickled_jar], ids=["bomb", "jar"])
def test_a_pickle_is_refused_and_never_loaded(tmp_path, monkeypatch, content, protocol):
    path, mark = tmp_path / "cookie.dat", tmp_path / "exploded"
    monkeypatch.setenv("BOMB", str(mark))
    data = pickle.dumps(content(), protocol)
    path.write_bytes(data)
    with pytest.raises(InvalidArgument, match="cookie_file"):
        WebCookies(str(path))
    assert not mark.exists()
    assert path.read_bytes() == data
    if content is Bomb:  # it would have
        pickle.loads(data)
        assert mark.exists()


@pytest.mark.parametrize("data", [b"", b"\n", b"#LWP-Cookies-2.0", b"garbage\n", b"\xff\xfe\x00"])
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path, data):
    path = tmp_path / "cookies"
    path.write_bytes(data)
    if data == b"#LWP-Cookies-2.0":
        assert len(WebCookies(str(path)).jar) == 0
    else:
        with pytest.raises(InvalidArgument, match="cookie_file"):
            WebCookies(str(path))
    assert path.read_bytes() == data


def test_a_folder_in_the_file_s_place_is_refused_as_an_argument(tmp_path):
    with pytest.raises(InvalidArgument, match="cookie_file"):
        WebCookies(str(tmp_path))


def test_a_file_that_cannot_be_written_leaves_nothing_half_done(attempt, tmp_path, monkeypatch):
    path = tmp_path / "cookies"
    keep(WebCookies(str(path)), attempt(), answer(LOGIN))
    before = path.read_bytes()
    monkeypatch.setattr(
        http.cookiejar.LWPCookieJar, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        keep(WebCookies(str(path)), attempt(), answer("other=1; Path=/"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_jar_may_be_read_while_cookies_come_in(attempt):
    cookies = WebCookies(None)
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            seen.append(len(list(cookies.jar)))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        for number in range(200):
            cookies.keep(attempt(), answer(f"cookie{number}=1; Path=/"))
    finally:
        stop.set()
        reading.join(LIMIT)
    assert len(list(cookies.jar)) == 200
