"""How to send: one stock :class:`requests.adapters.HTTPAdapter` with its public hooks overridden.

``send`` itself is not touched, so what replaces ``HTTPAdapter.send`` (the ``responses`` library, for example) sees
every request.
"""

from __future__ import annotations

import ssl
import urllib.parse
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import should_bypass_proxies

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.net import tls
from ai.backend.client.auth import redact_url
from ai.backend.client.config import APIConfig
from ai.backend.client.sessions.wire.bodies import Origin, TLSTransferPool, TransferPool
from ai.backend.client.sessions.wire.endpoints import Endpoint
from ai.backend.client.sessions.wire.pool import (
    HubPool,
    PlainReply,
    ProxiedPool,
    TLSHubPool,
    TLSProxiedPool,
    connection_classes,
)
from ai.backend.client.sessions.wire.prepare import PreparedAttempt


class PlainResponse(requests.Response):
    """A :class:`requests.Response` over a finished answer. Headers and cookies are made when somebody asks."""

    history: list[requests.Response] = []  # noqa: RUF012  # as in the base class; never changed, redirects are off
    encoding = "utf-8"
    _content_consumed = True
    _next = None

    def __init__(self, request: Any, reply: PlainReply, connection: Any) -> None:
        # The base class's attributes would cost 2 µs, its cookie jar another 2.
        self.status_code = reply.status
        self.reason = reply.reason
        self.raw = reply
        self._content = reply.data
        self.url = request.url
        self.request = request
        self.connection = connection

    @property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]  # an attribute there
        """The answer's headers."""
        headers: CaseInsensitiveDict[str] | None = self.__dict__.get("_lazy_headers")
        if headers is None:
            headers = self.__dict__["_lazy_headers"] = CaseInsensitiveDict(self.raw.headers)
        return headers

    @property
    def cookies(self) -> Any:  # type: ignore[override]  # an attribute there
        """Always empty: cookies are the session's business."""
        return requests.cookies.RequestsCookieJar()


class HubAdapter(HTTPAdapter):
    """The session's adapter.

    Pools are per endpoint, made when first needed; they hold as many connections as there are lanes.

    Args:
        hub: Where the connections live.
        config: TLS and proxy settings, read once.
    """

    def __init__(self, hub: Hub, config: APIConfig) -> None:
        super().__init__(max_retries=0)
        self._hub = hub
        self._config = config
        self._pools: list[Any] = []
        self._proxy_managers: dict[tuple[str, str], urllib3.ProxyManager] = {}
        self._classes = connection_classes(hub)
        self._context: Any = None

    # -- requests' hooks ----------------------------------------------------------------------------------------------

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Requests' hook: the pool for a request."""
        endpoint: Endpoint = request.endpoint
        if endpoint.pool is None:
            endpoint.pool = self._make_pool(endpoint)
        return endpoint.pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Requests' hook: nothing, the pool's TLS context was made with the session's settings."""

    def request_url(self, request: Any, proxies: Any) -> str:
        """Requests' hook: what stands on the request line."""
        attempt: PreparedAttempt = request
        if attempt.endpoint.scheme == "http" and getattr(attempt.endpoint.pool, "proxy", None) is not None:
            return attempt.url or ""
        return attempt.target

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Requests' hook: wrap an answer."""
        if resp.__class__ is PlainReply:
            return PlainResponse(req, resp, self)
        return super().build_response(req, resp)

    def close(self) -> None:
        """Close every pool."""
        for pool in self._pools:
            pool.close()
        for manager in self._proxy_managers.values():
            manager.clear()
        super().close()

    # -- pools --------------------------------------------------------------------------------------------------------

    def _make_pool(self, endpoint: Endpoint) -> Any:
        options: dict[str, Any] = {"maxsize": self._config.lanes, "block": False}
        if endpoint.scheme == "https":
            options["ssl_context"] = self._tls_context()
        proxy = self._proxy_for(endpoint)
        if proxy is not None:
            pool = self._proxy_manager(proxy, endpoint.scheme, options).connection_from_host(
                endpoint.host_name, endpoint.port, endpoint.scheme
            )
            pool.ConnectionCls = self._classes[endpoint.scheme == "https"]
        else:
            plain, secure = (TransferPool, TLSTransferPool) if isinstance(endpoint, Origin) else (HubPool, TLSHubPool)
            pool = (secure if endpoint.scheme == "https" else plain)(endpoint.host_name, endpoint.port, **options)
            pool.ConnectionCls = self._classes[endpoint.scheme == "https"]
        self._pools.append(pool)
        return pool

    def is_proxied(self, endpoint: Endpoint) -> bool:
        """Whether requests to an endpoint go through a proxy."""
        return self._proxy_for(endpoint) is not None

    def proxy_name(self, endpoint: Endpoint | None) -> str | None:
        """The URL of the proxy that requests to an endpoint go through, without its password; None without a proxy."""
        proxy = None if endpoint is None else self._proxy_for(endpoint)
        return None if proxy is None else redact_url(proxy)

    def _proxy_for(self, endpoint: Endpoint) -> str | None:
        proxy = self._config.proxies.get(endpoint.scheme)
        if proxy is None or (self._config.no_proxy and should_bypass_proxies(endpoint.url, self._config.no_proxy)):
            return None
        return proxy

    def _proxy_manager(self, proxy: str, scheme: str, options: dict[str, Any]) -> urllib3.ProxyManager:
        manager = self._proxy_managers.get((proxy, scheme))
        if manager is None:
            context = self._tls_context() if urllib.parse.urlsplit(proxy).scheme == "https" else None
            manager = self._proxy_managers[proxy, scheme] = urllib3.ProxyManager(
                proxy,
                proxy_headers=self.proxy_headers(proxy),
                proxy_ssl_context=context,
                **options,
            )
            manager.pool_classes_by_scheme = {"http": ProxiedPool, "https": TLSProxiedPool}
        return manager

    def _tls_context(self) -> Any:
        if self._context is None:
            config = self._config
            context = tls.tls_context()
            if config.skip_sslcert_validation:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE  # asked for by skip_sslcert_validation
            else:
                bundle = Path(config.ca_bundle or DEFAULT_CA_BUNDLE_PATH)
                context.load_verify_locations(**{"capath" if bundle.is_dir() else "cafile": str(bundle)})
            if config.client_cert is not None:
                pair = config.client_cert
                context.load_cert_chain(*((pair,) if isinstance(pair, str) else pair))
            self._context = context
        return self._context
