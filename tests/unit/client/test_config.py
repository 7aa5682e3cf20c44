"""Configuration: where a value comes from, what is refused, and that no secret gets out."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ai.backend.client import config as module
from ai.backend.client._checks import MAX_SECONDS
from ai.backend.client.config import (
    API_VERSION,
    DEFAULT_CHUNK_SIZE,
    ENVIRONMENT,
    APIConfig,
    bool_env,
    get_config,
    get_env,
    set_config,
)
from ai.backend.client.exceptions import InvalidArgument

SECRET = "wJalrXUtnFEMI-hunter2"

SetVariable = Callable[[str, str], None]


class URL:
    """What ``yarl.URL`` looks like to us."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> SetVariable:
    """Clear the environment of all that a config reads; sets single variables."""
    for key in ENVIRONMENT.values():
        monkeypatch.delenv(f"BACKEND_{key}", raising=False)
        monkeypatch.delenv(f"SORNA_{key}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_process_wide", {})
    return monkeypatch.setenv


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "some.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    return path


def made(**arguments: Any) -> APIConfig:
    """A config of arguments whose types only the parameters of a test know."""
    return APIConfig(**arguments)


def refused(**arguments: Any) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        made(**arguments)
    return caught.value


# Defaults.


def test_the_defaults_are_those_of_the_newest_manager() -> None:
    config = APIConfig()
    assert config.endpoint == "https://api.cloud.backend.ai"
    assert config.endpoints == ("https://api.cloud.backend.ai",)
    assert (config.endpoint_type, config.domain, config.group) == ("api", "default", "default")
    assert (config.version, config.parsed_version) == ("v9.20250722", API_VERSION)
    assert config.user_agent.startswith("Backend.AI Client for Python ")
    assert (config.access_key, config.secret_key, config.is_anonymous) == ("", "", True)
    assert config.hash_type == "sha256"
    assert config.vfolder_mounts == []
    assert config.skip_sslcert_validation is False
    assert config.storage_proxy_address_map == {}
    assert config.announcement_handler is None
    assert DEFAULT_CHUNK_SIZE == 16 * 1024 * 1024


def test_every_limit_is_finite_by_default() -> None:
    config = APIConfig()
    assert (config.connection_timeout, config.read_timeout, config.deadline) == (10.0, 60.0, 120.0)
    assert (config.lanes, config.in_flight, config.when_full, config.retries) == (512, 10_000, "wait", 2)


def test_nothing_is_set_by_default_for_tls_proxies_and_cookies() -> None:
    config = APIConfig()
    assert (config.ca_bundle, config.client_cert, config.cookie_file) == (None, None, None)
    assert (config.proxies, config.no_proxy) == ({}, "")


def test_the_table_of_defaults_says_what_a_config_has() -> None:
    config = APIConfig()
    assert {name: getattr(config, name) for name in APIConfig.DEFAULTS} == {
        **APIConfig.DEFAULTS,
        "vfolder_mounts": [],
    }


# Where a value comes from.

FROM_ENVIRONMENT = [
    ("endpoint", "http://h:8081/", "http://h:8081"),
    ("endpoint_type", "session", "session"),
    ("domain", "d", "d"),
    ("group", "g", "g"),
    ("access_key", "AK", "AK"),
    ("secret_key", "SK", "SK"),
    ("vfolder_mounts", "a, b", ["a", "b"]),
    ("skip_sslcert_validation", "yes", True),
    ("connection_timeout", "1.5", 1.5),
    ("read_timeout", "7", 7.0),
    ("storage_proxy_address_map", "A=B,C=D", {"A": "B", "C": "D"}),
]


@pytest.mark.parametrize(("name", "text", "value"), FROM_ENVIRONMENT)
def test_the_environment_replaces_the_default(variable: SetVariable, name: str, text: str, value: object) -> None:
    variable("SORNA_SECRET_KEY", "beside an access key")
    variable(f"SORNA_{ENVIRONMENT[name]}", text)
    assert getattr(APIConfig(), name) == value
    assert type(getattr(APIConfig(), name)) is type(value) or name in {"storage_proxy_address_map", "endpoint"}


def test_the_table_of_environment_keys_is_covered() -> None:
    assert {name for name, _, _ in FROM_ENVIRONMENT} == set(ENVIRONMENT)


def test_backend_variables_win_over_sorna_variables(variable: SetVariable) -> None:
    variable("SORNA_DOMAIN", "old")
    variable("BACKEND_DOMAIN", "new")
    assert APIConfig().domain == "new"


def test_an_argument_wins_over_the_environment(variable: SetVariable) -> None:
    variable("BACKEND_DOMAIN", "environment")
    assert APIConfig(domain="argument").domain == "argument"


@pytest.mark.parametrize("name", [*APIConfig.DEFAULTS, "ca_bundle", "client_cert", "proxies", "cookie_file"])
def test_none_means_not_given(name: str) -> None:
    assert getattr(made(**{name: None}), name) == getattr(APIConfig(), name)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("access_key", "AK", ""),
        ("secret_key", "SK", ""),
        ("domain", "d", ""),
        ("group", "g", ""),
        ("skip_sslcert_validation", "yes", False),
        ("connection_timeout", "5", 0),
        ("read_timeout", "5", 0),
        ("storage_proxy_address_map", "A=B", {}),
    ],
)
def test_a_falsy_argument_wins_over_the_environment(variable: SetVariable, name: str, text: str, value: object) -> None:
    variable(f"BACKEND_{ENVIRONMENT[name]}", text)
    assert getattr(made(**{name: value}), name) == value


def test_an_empty_variable_means_itself(variable: SetVariable) -> None:
    variable("BACKEND_ACCESS_KEY", "")
    variable("SORNA_ACCESS_KEY", "AK")
    variable("BACKEND_VFOLDER_MOUNTS", "")
    config = APIConfig()
    assert config.is_anonymous
    assert config.vfolder_mounts == []


def test_an_access_key_needs_a_secret_key(variable: SetVariable) -> None:
    """A signature without one would be refused by the server, as if the key were wrong."""
    variable("BACKEND_ACCESS_KEY", "AK")
    for options in ({}, {"access_key": "OTHER"}, {"secret_key": ""}):
        error = refused(**options)
        assert error.argument == "secret_key"
        assert "BACKEND_SECRET_KEY" in str(error)
    assert made(access_key="").is_anonymous
    variable("BACKEND_SECRET_KEY", SECRET)
    assert not APIConfig().is_anonymous


def test_the_version_is_not_read_from_the_environment(variable: SetVariable) -> None:
    variable("BACKEND_VERSION", "v4.20190615")
    assert APIConfig().version == "v9.20250722"


def test_no_env_file_of_the_working_directory_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BACKEND_DOMAIN=trap\n")
    monkeypatch.chdir(tmp_path)
    assert APIConfig().domain == "default"
    assert get_env("DOMAIN", "default") == "default"


def test_the_environment_is_read_only_when_a_config_is_made(variable: SetVariable) -> None:
    config = APIConfig()
    variable("BACKEND_DOMAIN", "late")
    variable("HTTP_PROXY", "http://late:1")
    assert (config.domain, config.proxies) == ("default", {})


def test_mounts_are_those_given_then_those_of_the_environment_each_once(variable: SetVariable) -> None:
    variable("BACKEND_VFOLDER_MOUNTS", "e1,shared,,e2")
    assert APIConfig(vfolder_mounts=iter(["z", "shared", "a"])).vfolder_mounts == ["z", "shared", "a", "e1", "e2"]


def test_session_mode_has_dummy_keys_whatever_is_given(variable: SetVariable) -> None:
    variable("BACKEND_SECRET_KEY", "bad\nkey")
    config = APIConfig(endpoint_type="session", access_key="AK")
    assert (config.access_key, config.secret_key, config.is_anonymous) == ("dummy", "dummy", False)


# Good values.


@pytest.mark.parametrize(
    ("endpoint", "endpoints"),
    [
        ("https://h", ["https://h"]),
        ("https://h/", ["https://h"]),
        ("HTTPS://Manager.Example:443/Base/", ["https://manager.example/Base"]),
        ("http://h:8081/a/b//", ["http://h:8081/a/b"]),
        ("http://[::1]:8081", ["http://[::1]:8081"]),
        ("http://h/한글", ["http://h/%ED%95%9C%EA%B8%80"]),
        ("http://h/a%2fb~", ["http://h/a%2Fb~"]),
        ("http://b, http://a:1/x ,http://b", ["http://b", "http://a:1/x", "http://b"]),
        (URL("http://h:8081/p"), ["http://h:8081/p"]),
    ],
    ids=str,
)
def test_endpoints_are_normalised_and_keep_their_order(endpoint: object, endpoints: list[str]) -> None:
    config = APIConfig(endpoint=endpoint)
    assert list(config.endpoints) == endpoints
    assert config.endpoint == endpoints[0]


@pytest.mark.parametrize("name", ["connection_timeout", "read_timeout", "deadline"])
@pytest.mark.parametrize(
    ("value", "seconds"), [(0, 0.0), (0.25, 0.25), (3, 3.0), (Fraction(1, 2), 0.5), (MAX_SECONDS, 1e9)]
)
def test_time_limits_are_floats_and_zero_means_zero(name: str, value: object, seconds: float) -> None:
    limit = getattr(made(**{name: value}), name)
    assert limit == seconds
    assert type(limit) is float


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("hash_type", "SHA512", "sha512"),
        ("version", "v4.20190615", "v4.20190615"),
        ("domain", "Zürich", "Zürich"),
        ("group", "연구", "연구"),
        ("lanes", 1, 1),
        ("decoded_limit", 1, 1),
        ("in_flight", 1, 1),
        ("retries", 0, 0),
        ("when_full", "error", "error"),
        ("storage_proxy_address_map", "http://a:1 = http://b:2?x=y", {"http://a:1": "http://b:2?x=y"}),
        ("announcement_handler", print, print),
    ],
)
def test_a_good_value_is_kept(name: str, given: object, kept: object) -> None:
    assert getattr(made(**{name: given}), name) == kept


def test_paths_stay_valid_after_a_change_of_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pem: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    config = APIConfig(ca_bundle=pem.name, client_cert=(Path(pem.name), str(pem)), cookie_file="cookies.json")
    assert config.ca_bundle == str(pem)
    assert config.client_cert == (str(pem), str(pem))
    assert config.cookie_file == str(tmp_path / "cookies.json")


def test_the_ca_bundle_falls_back_to_that_of_requests_then_curl(
    variable: SetVariable, tmp_path: Path, pem: Path
) -> None:
    other = tmp_path / "other.pem"
    other.touch()
    variable("CURL_CA_BUNDLE", str(other))
    assert APIConfig().ca_bundle == str(other)
    variable("REQUESTS_CA_BUNDLE", str(pem))
    assert APIConfig().ca_bundle == str(pem)
    assert APIConfig(ca_bundle=other).ca_bundle == str(other)


# Bad values.


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "api.example.com",
        "api.example.com:8081",
        "/relative",
        "//h",
        "ftp://h",
        "https://",
        "https:///path",
        "https://h:port",
        "https://h:99999",
        "https://[::1",
        "https://a,",
        "https://a,b",
        "https://a b",
        "https://h/\r\nX-Evil: 1",
        "https://h/?a=b",
        "https://h/#top",
        "https://h/100%",
        "https://h/a/../b",
        "https://h//a",
        b"https://h",
        ["https://h"],
        URL("https://a,https://b"),
    ],
    ids=str,
)
def test_a_relative_or_malformed_endpoint_is_refused(endpoint: object) -> None:
    error = refused(endpoint=endpoint)
    assert error.argument == "endpoint"
    assert error.reason.startswith("must ")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://me:hunter2@h",
        "https://me:hunter2@",
        "me:hunter2@h",
        "https://me:a,hunter2@h",
        "https://me:hunter2@a,https://b",
        "https://me:a/hunter2@h",
        "https://me:a?#hunter2@h",
        "https://me:hunter2%40h",
        "https://h/?token=hunter2",
        URL("https://me:hunter2@h"),
    ],
    ids=str,
)
def test_user_information_in_an_endpoint_is_refused_and_never_repeated(endpoint: object) -> None:
    error = refused(endpoint=endpoint)
    assert error.argument == "endpoint"
    assert "hunter2" not in "".join(traceback.format_exception_only(error)) + repr(error.args)


NOT_SECONDS: list[object] = ["soon", "5", "", True, float("nan"), float("inf"), -1, -0.1, 1e10, 10**400, b"1", [], 1j]
NOT_A_COUNT: list[object] = ["5", 1.0, True, None.__class__, float("nan"), []]
HEADER_INJECTIONS: list[object] = ["a\r\nX-Evil: 1", "a\nb", "a\0b", "연구", "\ud800", " a", "a ", 5, b"a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint_type", "manager"),
        ("endpoint_type", "API"),
        ("endpoint_type", ""),
        ("endpoint_type", 1),
        ("version", "7"),
        ("version", ""),
        ("version", (7, "20230615")),
        ("version", "v7.20230615\r\n"),
        ("hash_type", "rot13"),
        ("hash_type", "shake_128"),
        ("hash_type", ""),
        ("hash_type", 256),
        ("vfolder_mounts", "name"),
        ("vfolder_mounts", 5),
        ("vfolder_mounts", ["a", None]),
        ("vfolder_mounts", [""]),
        ("skip_sslcert_validation", "no"),
        ("skip_sslcert_validation", 0),
        ("when_full", "drop"),
        ("group", "a\nb"),
        ("group", None.__class__),
        ("announcement_handler", "print"),
        ("ca_bundle", "/no/such/file"),
        ("ca_bundle", ""),
        ("ca_bundle", True),
        ("client_cert", "/no/such/file"),
        ("client_cert", ("a", "b", "c")),
        ("client_cert", ()),
        ("cookie_file", ""),
        ("cookie_file", "a\0b"),
        ("cookie_file", 5),
        ("storage_proxy_address_map", "A"),
        ("storage_proxy_address_map", "A=,B=C"),
        ("storage_proxy_address_map", {"A": 5}),
        ("storage_proxy_address_map", {"": "B"}),
        ("storage_proxy_address_map", 5),
        ("proxies", "http://proxy:3128"),
        ("proxies", {"ftp": "http://proxy:3128"}),
        ("proxies", {"http": "ftp://proxy"}),
        ("proxies", {"http": "http://proxy/path"}),
        ("proxies", {"http": "http://"}),
        ("proxies", {"http": "http://proxy\r\nX-Evil: 1"}),
        ("proxies", {"no_proxy": 5}),
        ("lanes", 0),
        ("decoded_limit", 0),
        ("in_flight", 0),
        ("retries", -1),
        *[(name, value) for name in ("connection_timeout", "read_timeout", "deadline") for value in NOT_SECONDS],
        *[(name, value) for name in ("lanes", "in_flight", "retries", "decoded_limit") for value in NOT_A_COUNT],
        *[(name, value) for name in ("user_agent", "domain", "access_key") for value in HEADER_INJECTIONS],
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_a_bad_value_is_refused_by_the_name_of_its_argument(name: str, value: object) -> None:
    error = refused(**{name: value})
    assert error.argument == name
    assert error.reason.startswith("must ")
    assert name in str(error)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("endpoint", "h"),
        ("endpoint_type", "x"),
        ("domain", "a\nb"),
        ("connection_timeout", "soon"),
        ("read_timeout", "nan"),
        ("read_timeout", ""),
        ("skip_sslcert_validation", "maybe"),
        ("storage_proxy_address_map", "A"),
    ],
)
def test_a_bad_variable_is_refused_by_its_name_and_value(variable: SetVariable, name: str, text: str) -> None:
    variable(f"SORNA_{ENVIRONMENT[name]}", text)
    error = refused()
    assert error.argument == name
    assert f"SORNA_{ENVIRONMENT[name]}" in error.reason
    assert str(error.value) == text


def test_a_ca_bundle_of_the_environment_that_is_missing_is_refused_by_its_variable(variable: SetVariable) -> None:
    variable("CURL_CA_BUNDLE", "/no/such/file")
    error = refused()
    assert (error.argument, error.value) == ("ca_bundle", "/no/such/file")
    assert "CURL_CA_BUNDLE" in error.reason


# Proxies.


def test_proxies_come_from_the_environment_in_either_case(variable: SetVariable) -> None:
    variable("HTTP_PROXY", "http://upper:1")
    variable("http_proxy", "http://lower:2/")
    variable("HTTPS_PROXY", "tunnel:3128")
    variable("NO_PROXY", "localhost,.example")
    config = APIConfig()
    assert config.proxies == {"http": "http://lower:2", "https": "http://tunnel:3128"}
    assert config.no_proxy == "localhost,.example"


def test_all_proxy_stands_in_for_the_schemes_without_their_own(variable: SetVariable) -> None:
    variable("ALL_PROXY", "https://all:1")
    variable("HTTP_PROXY", "http://own:2")
    assert APIConfig().proxies == {"http": "http://own:2", "https": "https://all:1"}


def test_http_proxy_is_ignored_in_a_cgi_process(variable: SetVariable) -> None:
    variable("REQUEST_METHOD", "GET")
    variable("HTTP_PROXY", "http://attacker:1")
    assert APIConfig().proxies == {}


def test_given_proxies_replace_those_of_the_environment(variable: SetVariable) -> None:
    variable("HTTPS_PROXY", "http://environment:1")
    variable("NO_PROXY", "localhost")
    assert (APIConfig(proxies={}).proxies, APIConfig(proxies={}).no_proxy) == ({}, "")
    config = APIConfig(proxies={"all": "http://a:1", "https": None, "no_proxy": "h"})
    assert (config.proxies, config.no_proxy) == ({"http": "http://a:1"}, "h")


def test_a_proxy_keeps_its_user_information() -> None:
    url = "http://me:hunter%402@Proxy:3128"
    assert APIConfig(proxies={"https": url}).proxies == {"https": "http://me:hunter%402@proxy:3128"}


def test_socks_is_named_as_unsupported_with_the_way_out(variable: SetVariable) -> None:
    variable("ALL_PROXY", "socks5h://me:hunter2@localhost:1080")
    error = refused()
    assert error.argument == "proxies"
    assert "SOCKS is not supported" in error.reason
    assert "proxies={}" in error.reason
    assert "hunter2" not in str(error)


# One config for all.


@pytest.mark.parametrize("name", [*APIConfig.DEFAULTS, "endpoints", "parsed_version", "no_proxy", "anything"])
def test_a_config_cannot_be_changed(name: str) -> None:
    config = APIConfig()
    with pytest.raises(AttributeError, match=r"never changes|no setter"):
        setattr(config, name, "x")
    with pytest.raises(AttributeError, match="never changes"):
        delattr(config, name)


def test_what_a_config_holds_cannot_be_changed_from_outside() -> None:
    mapping, mounts = {"A": "B"}, ["a"]
    config = APIConfig(storage_proxy_address_map=mapping, vfolder_mounts=mounts)
    mapping["C"] = "D"
    mounts.append("b")
    config.vfolder_mounts.append("c")
    assert config.storage_proxy_address_map == {"A": "B"}
    assert config.vfolder_mounts == ["a"]
    for held in (config.storage_proxy_address_map, config.proxies, APIConfig.DEFAULTS):
        with pytest.raises(TypeError):
            held["x"] = "y"  # type: ignore[index]  # it raises


def test_rotating_the_endpoints_makes_another_config() -> None:
    config = APIConfig(endpoint="http://a,http://b,http://c", secret_key=SECRET)
    rotated = config.rotate_endpoints()
    assert rotated.endpoints == ("http://b", "http://c", "http://a")
    assert rotated.secret_key == SECRET
    assert config.endpoints == ("http://a", "http://b", "http://c")
    with pytest.raises(AttributeError):
        rotated.endpoints = ()  # type: ignore[misc]  # it raises


def test_a_copy_of_a_config_is_the_config() -> None:
    config = APIConfig()
    assert copy.copy(config) is copy.deepcopy(config) is config


def test_the_process_wide_config_is_made_once_from_the_environment(variable: SetVariable) -> None:
    variable("BACKEND_DOMAIN", "d")
    config = get_config()
    assert config.domain == "d"
    variable("BACKEND_DOMAIN", "late")
    assert get_config() is config


def test_the_process_wide_config_can_be_replaced_and_forgotten(variable: SetVariable) -> None:
    config = APIConfig(domain="mine")
    set_config(config)
    assert get_config() is config
    set_config(None)
    variable("BACKEND_DOMAIN", "d")
    assert get_config().domain == "d"


def test_only_a_config_can_be_process_wide() -> None:
    with pytest.raises(InvalidArgument, match="conf"):
        set_config({})  # type: ignore[arg-type]  # a wrong call, on purpose


# Secrets.


def test_a_config_does_not_show_its_secrets() -> None:
    config = APIConfig(access_key="AK", secret_key=SECRET, proxies={"http": f"http://me:{SECRET}@p:1"})
    assert SECRET not in repr(config) + str(config) + f"{config}"
    assert "https://api.cloud.backend.ai" in repr(config)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_config_does_not_pickle(protocol: int) -> None:
    with pytest.raises(TypeError, match="does not pickle") as caught:
        pickle.dumps(APIConfig(secret_key=SECRET), protocol)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["access_key", "secret_key"])
@pytest.mark.parametrize("source", ["argument", "environment"])
@pytest.mark.parametrize("value", [f"{SECRET}\n", f"\ud800{SECRET}"], ids=ascii)
def test_a_bad_key_is_refused_without_a_trace_of_it(variable: SetVariable, name: str, source: str, value: str) -> None:
    if source == "environment":
        variable(f"BACKEND_{ENVIRONMENT[name]}", value.replace("\ud800", "\udc80"))
        error = refused()
    else:
        error = refused(**{name: value})
    assert error.argument == name
    shown: BaseException | None = error
    while shown is not None:
        assert SECRET not in repr(shown) + str(shown) + repr(shown.args)
        shown = shown.__context__
    assert SECRET.encode() not in pickle.dumps(error)


def test_a_key_that_is_no_text_is_refused_without_showing_it() -> None:
    assert SECRET not in str(refused(secret_key=SECRET.encode()))


# The small helpers.


@pytest.mark.parametrize("word", ["y", "yes", "t", "true", "1", "YES", "True", " 1 "])
def test_words_for_on(word: str) -> None:
    assert bool_env(word) is True


@pytest.mark.parametrize("word", ["n", "no", "f", "false", "0", "NO", "False"])
def test_words_for_off(word: str) -> None:
    assert bool_env(word) is False


@pytest.mark.parametrize("word", ["", "on", "2", "maybe"])
def test_other_words_are_a_value_error(word: str) -> None:
    with pytest.raises(ValueError, match="must be one of y yes t true 1 n no f false 0"):
        bool_env(word)


def test_get_env_takes_backend_then_sorna_then_the_default(variable: SetVariable) -> None:
    assert get_env("DOMAIN", "fallback", clean=str.upper) == "FALLBACK"
    assert get_env("DOMAIN", None) is None
    variable("SORNA_DOMAIN", "old")
    assert get_env("DOMAIN", "fallback") == "old"
    variable("BACKEND_DOMAIN", "new")
    assert get_env("DOMAIN", clean=str.upper) == "NEW"


def test_get_env_without_default_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="DOMAIN"):
        get_env("DOMAIN")


@pytest.mark.parametrize(
    ("given", "expected"), [("/xdg", Path("/xdg/backend.ai")), ("relative", Path("/home/me/.local/state/backend.ai"))]
)
def test_the_state_path_follows_the_xdg_rules(variable: SetVariable, given: str, expected: Path) -> None:
    variable("HOME", "/home/me")
    variable("XDG_STATE_HOME", given)
    assert module._xdg_path("XDG_STATE_HOME", "~/.local/state") == expected
