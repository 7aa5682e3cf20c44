"""The files of a multipart form, as values."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from typing import IO, Any, NamedTuple

from ai.backend.client._checks import check_media_type, is_utf8, plain
from ai.backend.client.exceptions import InvalidArgument, type_of


class AttachedFile(NamedTuple):
    """One part of a multipart upload, sent as form field ``src``.

    Attributes:
        filename: Name that the server stores it under.
        stream: Its bytes, or a binary file object that is read once, when the request is sent.
        content_type: MIME type of the part.
    """

    filename: str
    stream: bytes | IO[bytes]
    content_type: str = "application/octet-stream"


_PLAIN_FILENAME = re.compile(r"[A-Za-z0-9 _./+~=@,-]+").fullmatch


def file_disposition(filename: str) -> str:
    """The ``Content-Disposition`` of a file in a form.

    Names beyond letters, digits and harmless signs are quoted for URLs, in the old form and in that of RFC 5987. The
    servers read the second; HTML's rules, which browsers follow, would leave them ``%22`` in a name for each ``"``.

    Args:
        filename: Name that the server stores it under.
    """
    if _PLAIN_FILENAME(filename):
        return f'form-data; name="src"; filename="{filename}"'
    quoted = urllib.parse.quote(filename, safe="")
    return f'form-data; name="src"; filename="{quoted}"; filename*=utf-8\'\'{quoted}'


def checked_file(file: Iterable[Any]) -> AttachedFile:
    try:
        attached = AttachedFile(*file)
    except TypeError:
        raise InvalidArgument("files", type_of(file), "must be AttachedFile(filename, stream, content_type)") from None
    if not isinstance(attached.filename, str) or not attached.filename:
        raise InvalidArgument("files", attached.filename, "must have file names that are non-empty strings")
    if not is_utf8(attached.filename):
        raise InvalidArgument("files", ascii(attached.filename), "must have file names that can be encoded as UTF-8")
    if not isinstance(attached.stream, bytes) and not callable(getattr(attached.stream, "read", None)):
        raise InvalidArgument("files", attached.filename, "must have bytes or a binary file object as stream")
    return AttachedFile(
        plain(attached.filename), attached.stream, check_media_type("content_type", attached.content_type)
    )
