"""What a setting may be. Each check takes an argument's name and a value, and returns the value to keep.

They raise :class:`~ai.backend.client.exceptions.InvalidArgument`, which names the argument, and its value unless that
is a secret.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, SupportsFloat, SupportsIndex, TypeVar
from urllib.parse import quote, urlsplit

from ai.backend.client.auth import host_header, redact_url
from ai.backend.client.exceptions import InvalidArgument

HIDDEN: Final = "<hidden>"
"""Stands for a key in error messages."""

MAX_SECONDS: Final = 1e9
"""Longest time limit, about 31 years: what the time arithmetic of sockets and event loops holds on every platform."""

ABOVE_0: Final = "above 0, up"


T = TypeVar("T")


def plain(value: T) -> T:
    """A text or number without its subclass: what an enum member, or another one, writes of itself may be anything.

    Everything that is given by users passes here once, before it is used. Other values are returned as they are.
    """
    for kind, made in _PLAIN:
        if isinstance(value, kind):
            return value if value.__class__ in (kind, bool) else made(value)
    return value


_PLAIN: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def check_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(name, value, "must be a string")
    text = plain(value)
    if not text.isprintable():
        raise InvalidArgument(name, text, "must consist of printable characters")
    return text


def is_utf8(text: str) -> bool:
    """Whether a text can be sent: half a surrogate pair cannot, nor a name that the disk has in another encoding."""
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True


_MEDIA_TYPE: Final = re.compile(r"[\x20-\x7e\xa0-\xff]*").fullmatch


def check_media_type(name: str, value: object) -> str:
    if not isinstance(value, str) or not _MEDIA_TYPE(value):
        raise InvalidArgument(name, value, "must be printable latin-1 text")
    return plain(value)


def check_header_text(name: str, value: object) -> str:
    text = check_text(name, value)
    if any(character > "\xff" for character in text):
        raise InvalidArgument(name, text, "must consist of latin-1 characters, because it is sent as a header")
    if text != text.strip():
        raise InvalidArgument(name, text, "must not begin or end with a space")
    return text


def check_access_key(name: str, value: object) -> str:
    return without_value(check_header_text, name, value)


def check_secret_key(name: str, value: object) -> str:
    return without_value(check_text, name, value)


def without_value(check: Callable[[str, object], str], name: str, value: object) -> str:
    try:
        return check(name, value)
    except InvalidArgument as error:
        reason = error.reason
    raise InvalidArgument(name, HIDDEN, reason)  # outside of the handler, lest the value hang on as context


def one_of(*choices: str) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if isinstance(value, str) and plain(value) in choices:
            return plain(value)
        raise InvalidArgument(name, value, f"must be one of {', '.join(choices)}")

    return check


def check_hash_type(name: str, value: object) -> str:
    algorithm = check_text(name, value).lower()
    # The digest of the shake family has no length of its own, so HMAC cannot use it.
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
        raise InvalidArgument(name, value, "must be a hash algorithm that Python guarantees, for example sha256")
    return algorithm


def check_names(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidArgument(name, value, "must be an iterable of names")
    names = tuple(check_text(name, each) for each in value)
    if "" in names:
        raise InvalidArgument(name, names, "must not contain an empty name")
    return names


def check_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(name, value, "must be True or False; in the environment y yes t true 1 n no f false 0")
    return value


def bool_env(v: str) -> bool:
    """Read a switch as people write it in the environment.

    Args:
        v: y, yes, t, true or 1; n, no, f, false or 0; in any case.

    Raises:
        InvalidArgument: (a :class:`ValueError`) It is another word.
    """
    word = v.strip().lower()
    if word in {"y", "yes", "t", "true", "1"}:
        return True
    if word in {"n", "no", "f", "false", "0"}:
        return False
    raise InvalidArgument("v", v, "must be one of y yes t true 1 n no f false 0")


def parse_flag(text: str) -> object:
    try:
        return bool_env(text)
    except ValueError:
        return text  # the check names it


def check_seconds(name: str, value: object, rule: str = "from 0 (no limit)") -> float:
    """A number of seconds from 0 to :data:`MAX_SECONDS`.

    Args:
        name: The argument.
        value: What was given.
        rule: Where the range begins, in the words of the error.
    """
    try:
        given = plain(value)
        seconds = float(given) if isinstance(given, SupportsFloat) and not isinstance(given, bool) else -1.0
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds <= MAX_SECONDS:  # also refuses NaN
        raise InvalidArgument(name, value, f"must be a number of seconds {rule} to {MAX_SECONDS:.0e}")
    return seconds


def check_seconds_above_0(name: str, value: object) -> float:
    seconds = check_seconds(name, value, ABOVE_0)
    if seconds == 0:
        raise InvalidArgument(name, value, f"must be a number of seconds {ABOVE_0} to {MAX_SECONDS:.0e}")
    return seconds


def parse_number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text  # the check names it


def at_least(minimum: int) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        given = plain(value)
        number = int(given) if isinstance(given, SupportsIndex) and not isinstance(given, bool) else None
        if number is None or number < minimum:
            raise InvalidArgument(name, value, f"must be a whole number, at least {minimum}")
        return number

    return check


def check_path(name: str, value: object, note: str = "") -> str:
    """An absolute path, so that a later ``chdir`` does not change its meaning."""
    path = plain(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidArgument(name, value, f"must be a path{note}")
    return str(Path(path).absolute())


def check_file(name: str, value: object, note: str = "") -> str:
    path = check_path(name, value, note)
    if not (os.access(path, os.R_OK) and Path(path).is_file()):
        raise InvalidArgument(name, value, f"must be an existing, readable file{note}")
    return path


def check_ca_bundle(name: str, value: object, note: str = "") -> str:
    path = check_path(name, value, note)
    if not (os.access(path, os.R_OK) and (Path(path).is_file() or Path(path).is_dir())):
        raise InvalidArgument(name, value, f"must be an existing, readable file or folder{note}")
    return path


def check_client_cert(given: object) -> str | tuple[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, tuple | list):
        return check_file("client_cert", given)
    if len(given) != 2:
        raise InvalidArgument("client_cert", given, "must be a path, or a pair of paths: certificate and key")
    certificate, key = given
    return check_file("client_cert", certificate), check_file("client_cert", key)


def check_handler(given: Callable[[str], object] | None) -> Callable[[str], object] | None:
    if given is not None and not callable(given):
        raise InvalidArgument("announcement_handler", given, "must be callable")
    return given


def check_address_map(name: str, value: object) -> Mapping[str, str]:
    reason = "must be a mapping of addresses, or text like A=B,C=D"
    pairs: Iterable[tuple[object, object]]
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, str):
        pairs = [
            (told.strip(), use.strip())
            for told, _, use in (part.partition("=") for part in plain(value).split(",") if part.strip())
        ]
    else:
        raise InvalidArgument(name, value, reason)
    addresses = {check_text(name, told): check_text(name, use) for told, use in pairs}
    if not all(addresses) or not all(addresses.values()):
        raise InvalidArgument(name, value, reason)
    return MappingProxyType(addresses)


def check_endpoints(name: str, value: object) -> tuple[str, ...]:
    text = str(plain(value))
    if "@" in text:  # before anything else: a comma in a password would look like the end of an endpoint
        raise InvalidArgument(
            name, redact_url(text), "must not contain user information: keys are signed with, not sent"
        )
    try:
        return tuple(
            check_endpoint_url(part.strip()) for part in (text.split(",") if isinstance(value, str) else (text,))
        )
    except ValueError as error:
        raise InvalidArgument(name, redact_url(text), str(error)) from None


def check_endpoint_url(url: str) -> str:
    """Normalise an endpoint: what stands behind the host is sent, and signed, exactly as it is written here."""
    host = host_header(url)
    if "?" in url or "#" in url:
        raise ValueError("must not have a query or fragment")
    parts = urlsplit(url)
    path = quote(parts.path.rstrip("/"), safe="/%!$&'()*+,;=:-._~")
    if re.search("%(?![0-9A-Fa-f]{2})", path):
        raise ValueError("must not have a '%' in its path that does not begin an escape")
    if not {"", ".", ".."}.isdisjoint(path.split("/")[1:]):
        raise ValueError("must not have an empty or dot segment in its path")
    path = re.sub("%..", lambda escape: escape[0].upper(), path)
    return f"{parts.scheme}://{host}{path}"


def check_proxy_url(url: str) -> str:
    """Normalise a proxy's URL, user information included; ``host:port`` means http, as with curl and requests."""
    if "://" not in url:
        url = f"http://{url}"
    if url.lower().startswith("socks"):
        raise ValueError("must be http:// or https:// proxies: SOCKS is not supported")
    host = host_header(url)
    parts = urlsplit(url)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must be proxy URLs without a path")
    credentials, at, _ = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{credentials}{at}{host}"
