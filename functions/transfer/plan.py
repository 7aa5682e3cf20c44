"""What the files of one upload or download have in common: limits, progress, patience, the way to the storage proxy.

Since 20.09 the manager only opens a door: it hands out the address of a storage proxy and a token, and the bytes go
there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from ai.backend.client._checks import is_utf8
from ai.backend.client.auth import redact_url
from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendClientError,
    BackendError,
    CallTimeout,
    ConnectionFailed,
    InvalidArgument,
    InvalidReply,
    ProtocolError,
)
from ai.backend.client.functions.base import Pause, Recipe
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.transfer.progress import Meter
from ai.backend.client.request import Request, Response
from ai.backend.client.transfer import Transfer, path_of_url

T = TypeVar("T")

CONCURRENCY = 8
"""Files that one call moves at once, by default. With 10,000 small files more of them gained nothing on a machine with
two cores (``tools/bench/transfer``)."""

MAX_CONCURRENCY = 256

BUDGET = 16 << 20
"""Bytes that one call holds in memory, whatever the number and size of its files: 16 MiB."""

SMALLEST_PIECE, LARGEST_PIECE = 16 << 10, 1 << 20

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 5.0
"""Seconds after a break, doubled with each further one: the vendor's values in 23.09."""

DOUBLINGS = 8
"""After so many the pause is the longest."""

BUSY = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses after which the same may work later."""

TOKEN_REFUSED = frozenset({400, 401, 403})
"""How a storage proxy answers to a token that is expired, or not its own: 23.09 with 400."""

NOT_FOUND = 404

STUMBLED = "/vfolder-operation-failed"
"""End of the ``type`` of the manager's answer (400) when the storage proxy failed. That of 23.09 does so now and then
while several files go up: one that ends removes the directory of the unfinished, which another is about to use."""

DOOR_RETRIES = 8
"""How often in a row that is taken for such a stumble."""


@dataclass
class Plan:
    """One call of upload or download.

    Attributes:
        base: Path of the folder in the API.
        name: The folder's name.
        identity: What distinguishes the folder from every other one.
        is_proxied: Whether there is a storage proxy: from v6.20200815 on.
        address_map: The storage proxy's address as the manager tells it → the one to use.
        chunk_size: Bytes of one request of an upload.
        concurrency: Files at once.
        max_retries: Breaks in a row, without a byte between them, that are survived.
        meter: Who is told of progress.
        arrived: How many files are complete.
    """

    base: str
    name: str
    identity: str
    is_proxied: bool
    address_map: Mapping[str, str]
    chunk_size: int
    concurrency: int
    max_retries: int
    meter: Meter
    arrived: int = 0

    @property
    def piece(self) -> int:
        """Bytes of a file that are handled at a time; up to four such pieces of each are in memory."""
        share = min(max(BUDGET // (4 * self.concurrency), SMALLEST_PIECE), LARGEST_PIECE)
        return min(share, self.chunk_size)


def told(plan: Plan, recipe: Recipe[T], verb: str, name: str, files: int = 1) -> Recipe[T]:
    """The recipe of one file or several, whose errors say which they are."""
    try:
        value = yield from recipe
    except (BackendError, OSError) as error:
        error.add_note(f"while {name!r} was {verb}; {plan.arrived} files had arrived")
        raise
    plan.arrived += files
    return value


class Door(NamedTuple):
    """Where the bytes go, and what opens it."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"<Door {redact_url(self.url)}>"


def open_door(plan: Plan, action: str, body: Mapping[str, Any]) -> Recipe[Door]:
    """Ask the manager for the storage proxy's address and a token.

    Args:
        plan: The call.
        action: ``request-upload`` or ``request-download``.
        body: What is to be moved.

    Raises:
        BackendClientError: The address is none of the map's.
        InvalidReply: The answer has no usable address or token.
    """
    response = yield from _patiently(plan, action, body)
    try:
        reply = expect_object(response)
    except InvalidReply:
        reply = {}  # nobody is shown what came: the token may be in it
    url, token = reply.get("url"), reply.get("token")
    if not isinstance(token, str) or not token or not is_utf8(token):
        raise InvalidReply("the answer's 'token' is no text", response.status)
    return Door(_usable(url, plan.address_map, response), token)


def _patiently(plan: Plan, action: str, body: Mapping[str, Any]) -> Recipe[Response]:
    patience = Patience(DOOR_RETRIES)
    while True:
        try:
            # Not safe in the sense of HTTP, but repeating it leaves nothing but an empty temporary file on the server.
            response: Response = yield Request("POST", f"{plan.base}/{action}", json=body, idempotent=True)
        except BackendAPIError as error:
            if not error.type.endswith(STUMBLED):
                raise
            yield patience.after(error, is_break=True)
        else:
            return response


def _usable(url: object, address_map: Mapping[str, str], response: Response) -> str:
    if not isinstance(url, str):
        raise InvalidReply("the answer's 'url' is no text", response.status)
    if address_map:
        known = max((told for told in address_map if _is_at(url, told)), key=len, default=None)
        if known is None:
            raise BackendClientError(f"the storage proxy {redact_url(url)} is not in the address map")
        url = address_map[known] + url[len(known) :]
    try:
        path_of_url(url)
    except InvalidArgument as error:
        told = f"the storage proxy's address {redact_url(url)!r:.80} {error.reason}"
        raise InvalidReply(told, response.status) from None
    return url


def _is_at(url: str, address: str) -> bool:
    """Whether an address is a URL's, whole or up to the end of a path segment."""
    return url == address or url.startswith(address if address.endswith("/") else f"{address}/")


class Patience:
    """How often in a row a transfer may break.

    Args:
        breaks: That often.
        rng: Random number in [0, 1).
    """

    def __init__(self, breaks: int, rng: Callable[[], float] = random.random) -> None:
        self._breaks = breaks
        self._rng = rng
        self._count = 0

    def renew(self) -> None:
        """Bytes have arrived since the latest break."""
        self._count = 0

    def after(self, error: BackendError, is_break: bool | None = None) -> Pause:
        """What to do after a break: wait.

        Args:
            error: What happened.
            is_break: Whether it is one; default: as :func:`may_pass` says.

        Raises:
            BackendError: It is none, or there were too many.
        """
        if self._count >= self._breaks or not (may_pass(error) if is_break is None else is_break):
            raise error
        pause = min(FIRST_PAUSE * 2 ** min(self._count, DOUBLINGS), LONGEST_PAUSE)
        self._count += 1
        return Pause(pause * (0.5 + self._rng() / 2))


def may_pass(error: BackendError) -> bool:
    """Whether the same may work later."""
    if isinstance(error, BackendAPIError):
        return error.status in BUSY
    return isinstance(error, ConnectionFailed | CallTimeout | ProtocolError) and not isinstance(error, InvalidReply)


def proxied(plan: Plan, door: Door, method: str, **options: Any) -> Transfer:
    """A request to the storage proxy."""
    params = {"token": door.token, **options.pop("params", {})}
    return Transfer(method, url=door.url, params=params, piece=plan.piece, **options)
