"""Where to send: the endpoints of a session and their health."""

from __future__ import annotations

import random
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from ai.backend.client.actors.originals import monotonic
from ai.backend.client.auth import host_header
from ai.backend.client.backoff import Backoff

DOWN_BASE = 0.5
DOWN_CAP = 30.0
"""Seconds that an endpoint rests after its first failure, doubled with each further one up to the cap."""

REST = Backoff(DOWN_BASE, DOWN_CAP)


class Endpoint:
    """One manager (or web server): a parsed URL and what is known of its health.

    Attributes:
        url: Scheme, host and base path, without a trailing slash.
        origin: Scheme and host.
        base_path: Path in front of every API path; empty, or starts with a slash.
        host: The ``Host`` header, which the signature covers.
        pool: The transport's connection pool for it.
    """

    __slots__ = (
        "_down_until",
        "_failures",
        "base_path",
        "host",
        "host_name",
        "origin",
        "pool",
        "port",
        "prelude",
        "scheme",
        "signing",
        "url",
    )

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.scheme = parts.scheme
        self.host_name = (parts.hostname or "").lower()
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.host = host_header(url)
        self.base_path = parts.path.rstrip("/")
        self.origin = f"{self.scheme}://{self.host}"
        self.url = self.origin + self.base_path
        self.pool: Any = None
        self.prelude: tuple[str, str] = ("", "")  # API version and the headers that do not change
        self.signing: tuple[str, bytes] = ("", b"")  # day and its key
        self._failures = 0
        self._down_until = 0.0

    def __repr__(self) -> str:
        return f"<Endpoint {self.url}>"

    def succeeded(self) -> None:
        """It answered."""
        if self._failures:
            self._failures = 0
            self._down_until = 0.0

    def failed(self, now: float) -> None:
        """It could not be reached."""
        self._down_until = now + REST.wait(self._failures)
        self._failures += 1

    def is_resting(self, now: float) -> bool:
        """Whether it failed so recently that another one should be tried first."""
        return self._down_until > now


class Endpoints:
    """The session's endpoints, shuffled once; the caller's configuration is never touched.

    Args:
        urls: Absolute URLs.
        clock: Monotonic seconds.
        shuffle: Puts a list in random order, in place.
    """

    def __init__(
        self,
        urls: Iterable[str],
        clock: Callable[[], float] = monotonic,
        shuffle: Callable[[list[Any]], object] = random.shuffle,
    ) -> None:
        self._clock = clock
        self.all = [Endpoint(url) for url in urls]
        shuffle(self.all)

    def choose(self, avoid: Endpoint | None = None) -> Endpoint:
        """The endpoint for the next attempt.

        The first healthy one in the session's order; while all rest, the one whose rest ends first.

        Args:
            avoid: The endpoint that just failed: taken only when there is no other.
        """
        endpoints = self.all
        if len(endpoints) == 1:
            return endpoints[0]
        now = self._clock()
        for endpoint in endpoints:
            if endpoint is not avoid and not endpoint.is_resting(now):
                return endpoint
        others = [endpoint for endpoint in endpoints if endpoint is not avoid] or endpoints
        return min(others, key=lambda endpoint: endpoint._down_until)

    def failed(self, endpoint: Endpoint) -> None:
        """Record that an endpoint could not be reached."""
        endpoint.failed(self._clock())
