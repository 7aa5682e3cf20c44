"""Configuration: arguments, the environment and defaults, checked once, when an :class:`APIConfig` is made.

An argument wins over the environment, which wins over the default. ``None`` means "not given"; every other value,
``0``, ``""`` and ``False`` too, means itself. The environment variables of a key are ``BACKEND_<key>``, then
``SORNA_<key>``. No file is read, in particular no ``.env`` of the working directory.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, TypeVar

from ai.backend.client._checks import (
    at_least,
    bool_env,
    check_access_key,
    check_address_map,
    check_ca_bundle,
    check_client_cert,
    check_endpoints,
    check_flag,
    check_handler,
    check_hash_type,
    check_header_text,
    check_names,
    check_path,
    check_proxy_url,
    check_seconds,
    check_secret_key,
    check_text,
    one_of,
    parse_flag,
    parse_number,
    plain,
)
from ai.backend.client._endpoint_url import EndpointURL
from ai.backend.client._version import get_user_agent
from ai.backend.client.auth import redact_url
from ai.backend.client.exceptions import InvalidArgument, type_of
from ai.backend.client.versioning import API_VERSION, MIN_API_VERSION, format_api_version, parse_api_version

__all__ = [
    "API_VERSION",
    "DEFAULT_CHUNK_SIZE",
    "MAX_INFLIGHT_CHUNKS",
    "MIN_API_VERSION",
    "APIConfig",
    "bool_env",
    "get_config",
    "get_env",
    "local_cache_path",
    "local_state_path",
    "parse_api_version",
    "set_config",
]

T = TypeVar("T")

DEFAULT_CHUNK_SIZE: Final = 16 * 2**20
"""Bytes of a file that one step of an upload or download moves: 16 MiB, as in the vendor's 23.09."""

MAX_INFLIGHT_CHUNKS: Final = 4
"""Chunks of one download that may wait to be written, as in the vendor's 23.09."""

WEB_SESSION_KEY: Final = "dummy"
"""Both keys in session mode, where the web server signs with the keypair that it keeps (the vendor's value)."""

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "endpoint": "ENDPOINT",
        "endpoint_type": "ENDPOINT_TYPE",
        "domain": "DOMAIN",
        "group": "GROUP",
        "access_key": "ACCESS_KEY",
        "secret_key": "SECRET_KEY",
        "vfolder_mounts": "VFOLDER_MOUNTS",
        "skip_sslcert_validation": "SKIP_SSLCERT_VALIDATION",
        "connection_timeout": "CONNECTION_TIMEOUT",
        "read_timeout": "READ_TIMEOUT",
        "storage_proxy_address_map": "OVERRIDE_STORAGE_PROXY",
    }
)
"""Argument of :class:`APIConfig` → its environment key."""


_READ_ONLY: Final = "{} is read-only: an APIConfig never changes, make another one"
_NO_DEFAULT: Final = object()
_PROXY_KEYS: Final = frozenset({"http", "https", "all", "no_proxy"})


def _xdg_path(variable: str, fallback: str) -> Path:
    given = Path(os.environ.get(variable, ""))
    if not given.is_absolute():  # a relative one counts as unset: XDG base directories 0.8
        given = Path(os.path.expanduser(fallback))  # noqa: PTH111  # Path.expanduser raises for users without a home
    return given / "backend.ai"


local_state_path: Final = _xdg_path("XDG_STATE_HOME", "~/.local/state")
"""Where the vendor's command line keeps ``cookie.dat`` and ``config.json``."""

local_cache_path: Final = _xdg_path("XDG_CACHE_HOME", "~/.cache")
"""Where the vendor's command line keeps what it can fetch again."""


class APIConfig:
    """How to reach a Backend.AI manager, and within which limits.

    A config never changes: it may be shared by any number of sessions and threads. It does not pickle, because a pickle
    would hold the secret key in the clear: make a new one in the other process. Each argument is also a read-only
    attribute.

    Args:
        endpoint: Absolute http or https URL of the manager or web server, or several separated by commas, with nothing
            but a path behind the host. A string or any object whose ``str()`` is a single URL (``yarl.URL``). Default
            ``https://api.cloud.backend.ai``.
        endpoint_type: ``api`` (a manager; the default) or ``session`` (a web server, which signs for its logged-in
            user).
        domain: Domain to act in, default ``default``. It is a header, therefore latin-1.
        group: Group (project) to act in, default ``default``.
        version: Upper bound of the API version, default ``v9.20250722``. Not read from the environment.
        user_agent: ``User-Agent`` header.
        access_key: Access key; empty (the default) sends requests unsigned. ``dummy`` in session mode, whatever is
            given.
        secret_key: Secret key, likewise. Not to be missing beside an access key.
        hash_type: Algorithm of the signature: one that :mod:`hashlib` guarantees, default ``sha256``. Any case.
        vfolder_mounts: Names of virtual folders that every new compute session mounts; empty text is none. Those given
            come first, then those of the environment (separated by commas), each once.
        skip_sslcert_validation: Accept any certificate. Default False. In the environment: y yes t true 1, n no f false
            0.
        connection_timeout: Seconds to wait for a connection, default 10. 0 waits without limit.
        read_timeout: Seconds that a server may be silent, default 60. 0 waits without limit.
        deadline: Seconds for a call as a whole, queueing and retries included, default 120. 0 waits without limit.
        lanes: How many requests a session has on the wire at once, at most. Default 512.
        in_flight: How many calls a session accepts before earlier ones end. Default 10,000.
        streams: How many streams (events, terminals, tunnelled connections) a session has open at once, at most; they
            take none of the ``lanes``. Default 1,024.
        when_full: What a call does when ``in_flight`` is reached: ``wait`` (the default) or raise ``error``
            :class:`~ai.backend.client.exceptions.Overloaded`.
        retries: How often a failed request is sent again, at most. Default 2. Not counted: passing over an endpoint
            that cannot be reached, and replacing, once, a connection that the server had given up.
        decoded_limit: Bytes that the body of an answer may have which comes compressed, although nobody asked for that:
            a few KB can stand for a GB. Default 64 MiB.
        ca_bundle: PEM file, or folder in OpenSSL's form, with the certificate authorities to trust. By default that of
            ``REQUESTS_CA_BUNDLE``, else ``CURL_CA_BUNDLE``, else None: those of the HTTP library.
        client_cert: PEM file with client certificate and key, or a pair of two files. Default None.
        proxies: Proxy URL (http or https, user information allowed) by scheme of the request: ``http``, ``https`` or
            ``all``; under ``no_proxy`` a comma list of hosts to reach directly. ``{}`` for none. By default as in the
            environment: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, in small letters too;
            ``HTTP_PROXY`` is ignored in a CGI process, where a request could set it. Only ``http`` and ``https`` are
            keys of the attribute.
        cookie_file: File that keeps the web session's cookie in session mode. Default None: the cookie lives as long as
            the session.
        announcement_handler: Called with the text of the server's announcement, if there is one, when a session is
            opened.
        storage_proxy_address_map: Storage proxy address as the manager tells it → the one to use, as a mapping or as
            text ``A=B,C=D``.

    Attributes:
        endpoints: The endpoints as normalised URLs without a trailing slash, in the order given.
        endpoint_is_default: Whether neither the argument nor the environment names an endpoint.
        parsed_version: ``version`` as a pair, for example ``(7, "20230615")``.
        no_proxy: Comma list of the hosts to reach directly; may be empty.

    Raises:
        InvalidArgument: A value is not usable. The error names the argument and its value, but neither a key nor user
            information.
    """

    DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
        {
            "endpoint": "https://api.cloud.backend.ai",
            "endpoint_type": "api",
            "domain": "default",
            "group": "default",
            "version": format_api_version(API_VERSION),
            "user_agent": get_user_agent(),
            "access_key": "",
            "secret_key": "",
            "hash_type": "sha256",
            "vfolder_mounts": (),
            "skip_sslcert_validation": False,
            "connection_timeout": 10.0,
            "read_timeout": 60.0,
            "deadline": 120.0,
            "lanes": 512,
            "in_flight": 10_000,
            "streams": 1024,
            "when_full": "wait",
            "retries": 2,
            "decoded_limit": 64 << 20,
            "storage_proxy_address_map": MappingProxyType({}),
        }
    )
    """Values of arguments that neither the caller nor the environment gives; an argument that is missing here has
    none."""

    def __init__(
        self,
        *,
        endpoint: object = None,
        endpoint_type: str | None = None,
        domain: str | None = None,
        group: str | None = None,
        version: str | None = None,
        user_agent: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        hash_type: str | None = None,
        vfolder_mounts: Iterable[str] | None = None,
        skip_sslcert_validation: bool | None = None,
        connection_timeout: float | None = None,
        read_timeout: float | None = None,
        deadline: float | None = None,
        lanes: int | None = None,
        in_flight: int | None = None,
        streams: int | None = None,
        when_full: Literal["wait", "error"] | None = None,
        retries: int | None = None,
        decoded_limit: int | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        client_cert: str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        proxies: Mapping[str, str | None] | None = None,
        cookie_file: str | os.PathLike[str] | None = None,
        announcement_handler: Callable[[str], object] | None = None,
        storage_proxy_address_map: Mapping[str, str] | str | None = None,
    ) -> None:
        self.endpoints: Final = _setting("endpoint", endpoint, check_endpoints)
        self.endpoint_is_default: Final = endpoint is None and _environment_variable(ENVIRONMENT["endpoint"]) is None
        self.endpoint_type: Final = _setting("endpoint_type", endpoint_type, one_of("api", "session"))
        self.domain: Final = _setting("domain", domain, check_header_text)
        self.group: Final = _setting("group", group, check_text)
        self.parsed_version: Final = _setting("version", version, lambda _, value: parse_api_version(value))
        self.version: Final = format_api_version(self.parsed_version)
        self.user_agent: Final = _setting("user_agent", user_agent, check_header_text)
        in_session_mode = self.endpoint_type == "session"
        self.access_key: Final = (
            WEB_SESSION_KEY if in_session_mode else _setting("access_key", access_key, check_access_key)
        )
        self.secret_key: Final = (
            WEB_SESSION_KEY if in_session_mode else _setting("secret_key", secret_key, check_secret_key)
        )
        if self.access_key and not self.secret_key:
            raise InvalidArgument("secret_key", "", "is missing beside the access key: set BACKEND_SECRET_KEY too")
        self.hash_type: Final = _setting("hash_type", hash_type, check_hash_type)
        self._vfolder_mounts: Final = _vfolder_mounts(vfolder_mounts)
        self.skip_sslcert_validation: Final = _setting(
            "skip_sslcert_validation", skip_sslcert_validation, check_flag, parse_flag
        )
        self.connection_timeout: Final = _setting("connection_timeout", connection_timeout, check_seconds, parse_number)
        self.read_timeout: Final = _setting("read_timeout", read_timeout, check_seconds, parse_number)
        self.deadline: Final = _setting("deadline", deadline, check_seconds)
        self.lanes: Final = _setting("lanes", lanes, at_least(1))
        self.in_flight: Final = _setting("in_flight", in_flight, at_least(1))
        self.streams: Final = _setting("streams", streams, at_least(1))
        self.when_full: Final = _setting("when_full", when_full, one_of("wait", "error"))
        self.retries: Final = _setting("retries", retries, at_least(0))
        self.decoded_limit: Final = _setting("decoded_limit", decoded_limit, at_least(1))
        self.ca_bundle: Final = _ca_bundle(ca_bundle)
        self.client_cert: Final = check_client_cert(client_cert)
        by_scheme, direct = _proxies(proxies)
        self.proxies: Final = by_scheme
        self.no_proxy: Final = direct
        self.cookie_file: Final = None if cookie_file is None else check_path("cookie_file", cookie_file)
        self.announcement_handler: Final = check_handler(announcement_handler)
        self.storage_proxy_address_map: Final = _setting(
            "storage_proxy_address_map", storage_proxy_address_map, check_address_map
        )
        self._complete: Final = True

    def __setattr__(self, name: str, value: object) -> None:
        if "_complete" in self.__dict__:
            raise AttributeError(_READ_ONLY.format(name))
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(_READ_ONLY.format(name))

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {','.join(self.endpoints)} endpoint_type={self.endpoint_type!r} "
            f"domain={self.domain!r} group={self.group!r} version={self.version!r} is_anonymous={self.is_anonymous}>"
        )

    def __copy__(self) -> APIConfig:
        return self

    def __deepcopy__(self, memo: object) -> APIConfig:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an APIConfig does not pickle, because it holds a secret key: make it in the process that uses it"
        )

    @property
    def endpoint(self) -> EndpointURL:
        """The first endpoint: a text with the parts of a URL, as ``yarl.URL`` calls them."""
        return EndpointURL(self.endpoints[0])

    @property
    def is_anonymous(self) -> bool:
        """Whether requests are sent unsigned, because there is no access key."""
        return self.access_key == ""

    @property
    def vfolder_mounts(self) -> list[str]:
        """Names of the virtual folders that every new compute session mounts: a fresh list."""
        return list(self._vfolder_mounts)

    def load_balance_endpoints(self) -> None:
        """Nothing, as the vendor's method of this name: a session chooses among the endpoints by itself."""

    def rotate_endpoints(self) -> APIConfig:
        """Make the second endpoint the first.

        The vendor's method of this name changed the config, and so all sessions that shared it. Sessions here fail over
        by themselves.

        Returns:
            Another config, equal but for the order of its endpoints; this one stays as it is.
        """
        rotated = object.__new__(type(self))
        rotated.__dict__.update(self.__dict__, endpoints=self.endpoints[1:] + self.endpoints[:1])
        return rotated


_process_wide: Final[dict[Literal["config"], APIConfig]] = {}


def get_config() -> APIConfig:
    """The process-wide config; sessions made without a config use it.

    Returns:
        What :func:`set_config` was given, else a config of environment and defaults, made on the first call. Concurrent
        first calls get the same one. Safe from any thread.

    Raises:
        InvalidArgument: A value in the environment is not usable.
    """
    config = _process_wide.get("config")
    return config if config is not None else _process_wide.setdefault("config", APIConfig())


def set_config(conf: APIConfig | None) -> None:
    """Replace the process-wide config; sessions that exist keep theirs. Safe from any thread.

    Args:
        conf: The config, or None to let the next :func:`get_config` read the environment again.

    Raises:
        InvalidArgument: It is something else.
    """
    if conf is None:
        _process_wide.pop("config", None)
    elif isinstance(conf, APIConfig):
        _process_wide["config"] = conf
    else:
        raise InvalidArgument("conf", type_of(conf), "must be an APIConfig")


def get_env(key: str, default: Any = _NO_DEFAULT, *, clean: Callable[[Any], Any] = lambda value: value) -> Any:
    """Read an environment variable: ``BACKEND_<key>``, else ``SORNA_<key>``.

    Args:
        key: Name without its prefix, for example ``ENDPOINT``.
        default: What to take when neither is set.
        clean: Applied to what was found, and to the default.

    Returns:
        What ``clean`` returns.

    Raises:
        KeyError: Neither is set, and there is no default.
    """
    found = _environment_variable(key)
    if found is None and default is _NO_DEFAULT:
        raise KeyError(key)
    return clean(default if found is None else found[1])


def _environment_variable(key: str) -> tuple[str, str] | None:
    """Name and text of the variable that holds a key."""
    for variable in (f"BACKEND_{key}", f"SORNA_{key}"):
        text = os.environ.get(variable)
        if text is not None:
            return variable, text
    return None


# Where a value comes from. A check takes the argument's name and a value, and returns the value to keep or raises
# InvalidArgument.


def _setting(
    name: str, given: object, check: Callable[[str, object], T], from_text: Callable[[str], object] = lambda text: text
) -> T:
    if given is not None:
        return check(name, given)
    found = _environment_variable(ENVIRONMENT[name]) if name in ENVIRONMENT else None
    if found is None:
        return check(name, APIConfig.DEFAULTS[name])
    variable, text = found
    try:
        return check(name, from_text(text))
    except InvalidArgument as error:
        raise InvalidArgument(name, error.value, f"{error.reason} (read from {variable})") from None


def _vfolder_mounts(given: object) -> tuple[str, ...]:
    from_environment = _setting(
        "vfolder_mounts", None, check_names, lambda text: [name.strip() for name in text.split(",") if name.strip()]
    )
    return tuple(
        dict.fromkeys((*check_names("vfolder_mounts", () if given in (None, "") else given), *from_environment))
    )


def _ca_bundle(given: object) -> str | None:
    if given is not None:
        return check_ca_bundle("ca_bundle", given)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            return check_ca_bundle("ca_bundle", path, f" (read from {variable})")
    return None


def _proxies(given: object) -> tuple[Mapping[str, str], str]:
    """Proxy URLs by scheme, and the hosts to reach directly."""
    if given is None:
        note = " (read from the environment; proxies={} uses none)"
        found: Mapping[str, object] = urllib.request.getproxies_environment()
        found = {**found, "no_proxy": found.get("no")}
    elif isinstance(given, Mapping) and given.keys() <= _PROXY_KEYS:
        note, found = "", given
    else:
        shown = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise InvalidArgument(
            "proxies", shown, f"must be a mapping without keys other than {', '.join(sorted(_PROXY_KEYS))}"
        )
    proxies = {}
    for scheme in ("http", "https"):
        url = plain(found.get(scheme, found.get("all")))
        if url:
            try:
                proxies[scheme] = check_proxy_url(str(url))
            except ValueError as error:
                raise InvalidArgument("proxies", redact_url(str(url)), f"{error}{note}") from None
    return MappingProxyType(proxies), check_text("proxies", found.get("no_proxy") or "")
