"""An endpoint as programs read it that know ``yarl.URL``, which the vendor's configuration has there."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote, urlsplit

from ai.backend.client.auth import DEFAULT_PORTS

_SAFE: Final = "/%!$&'()*+,;=:@-._~"


class EndpointURL(str):
    """A normalised endpoint: http or https, host, perhaps a port and a path, and nothing else.

    It is its text, and has the parts of a URL under the names of ``yarl.URL``. What makes another one returns the same
    kind.
    """

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return urlsplit(self).scheme

    @property
    def host(self) -> str:
        """The host, an IPv6 address without its brackets."""
        return urlsplit(self).hostname or ""

    @property
    def explicit_port(self) -> int | None:
        """The port that is written; None: that of the scheme."""
        return urlsplit(self).port

    @property
    def port(self) -> int:
        """The port."""
        return self.explicit_port or DEFAULT_PORTS[self.scheme]

    @property
    def authority(self) -> str:
        """Host and port as they are written."""
        return urlsplit(self).netloc

    @property
    def raw_path(self) -> str:
        """The path as it is sent; ``/`` when there is none."""
        return urlsplit(self).path or "/"

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.raw_path)

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]

    def is_absolute(self) -> bool:
        """It is."""
        return True

    def is_default_port(self) -> bool:
        """Whether the port is that of the scheme."""
        return self.port == DEFAULT_PORTS[self.scheme]

    def origin(self) -> EndpointURL:
        """Scheme, host and port."""
        return EndpointURL(f"{self.scheme}://{self.authority}")

    def with_path(self, path: str) -> EndpointURL:
        """The same server with another path."""
        quoted = quote(path, safe=_SAFE)
        return EndpointURL(f"{self.origin()}{'' if quoted.startswith('/') or not quoted else '/'}{quoted}")

    def joinpath(self, *segments: str) -> EndpointURL:
        """With segments behind the path."""
        path = "/".join([urlsplit(self).path.rstrip("/"), *(segment.strip("/") for segment in segments)])
        return self.with_path(path)

    def __truediv__(self, segment: str) -> EndpointURL:
        return self.joinpath(segment) if isinstance(segment, str) else NotImplemented

    def human_repr(self) -> str:
        """Its text."""
        return str(self)
