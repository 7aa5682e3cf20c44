"""The web session's cookies (``endpoint_type="session"``), kept by the session and, on request, in a file.

The file is text in the format of libwww-perl (:class:`http.cookiejar.LWPCookieJar`), readable by its owner only. The
vendor's command line keeps a pickle under a similar name; that is never loaded, since loading a pickle runs whatever it
says.
"""

from __future__ import annotations

import email.message
import http.cookiejar
import os
import tempfile
from pathlib import Path
from typing import Any

import requests
from requests.cookies import MockRequest, MockResponse, RequestsCookieJar, get_cookie_header

from ai.backend.client.exceptions import InvalidArgument


class WebCookies:
    """A cookie jar for one session. Hub side only, except :attr:`jar`, which is safe to read anywhere.

    Args:
        path: Where to keep the cookies between processes; None: nowhere.

    Raises:
        InvalidArgument: The file exists and is no cookie file of this kind.
    """

    def __init__(self, path: str | None) -> None:
        self.jar = RequestsCookieJar()
        self._path = None if path is None else Path(path)
        if self._path is not None and self._path.exists():
            stored = http.cookiejar.LWPCookieJar(path)
            try:
                stored.load(ignore_discard=True)
            except (OSError, UnicodeDecodeError):  # LoadError is an OSError
                raise InvalidArgument("cookie_file", path, "is not a cookie file in LWP text format") from None
            self.jar.update(stored)

    def header(self, prepared: requests.PreparedRequest) -> str | None:
        """The ``Cookie`` header for a request."""
        text: str | None = get_cookie_header(self.jar, prepared)  # type: ignore[no-untyped-call]  # stubs without it
        return text

    def keep(self, prepared: requests.PreparedRequest, raw: Any) -> bool:
        """Take the cookies that an answer sets, or unsets.

        Returns:
            Whether :meth:`save` has something to write.
        """
        lines = raw.headers.getlist("Set-Cookie") if hasattr(raw.headers, "getlist") else []
        if not lines:
            return False
        message = email.message.Message()
        for line in lines:
            message["Set-Cookie"] = line
        # As requests itself does it.
        self.jar.extract_cookies(MockResponse(message), MockRequest(prepared))  # type: ignore[arg-type]  # stand-ins
        return self._path is not None

    def save(self) -> None:
        """Write the file. Blocks.

        Raises:
            OSError: It cannot be written.
        """
        if self._path is None:
            return
        stored = http.cookiejar.LWPCookieJar()
        for cookie in self.jar:
            stored.set_cookie(cookie)
        folder = self._path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".cookies-")  # mode 0600
        os.close(handle)
        try:
            stored.save(name, ignore_discard=True)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink()
            raise
