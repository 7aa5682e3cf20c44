"""Requests to a storage proxy, and the tickets that they need.

Since 20.09 the manager does not take the bytes itself: it hands out a ticket, the address of a storage proxy and a
token, and the bytes go there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ai.backend.client._checks import is_utf8
from ai.backend.client.auth import redact_url
from ai.backend.client.exceptions import BackendAPIError, BackendClientError, InvalidArgument, InvalidReply
from ai.backend.client.functions.base import Recipe
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.patience import Patience
from ai.backend.client.request import Request, Response
from ai.backend.client.transfer import Transfer, path_of_url

TOKEN_REFUSED = frozenset({400, 401, 403})
"""How a storage proxy answers to a token that is expired, or not its own: 23.09 with 400."""

NOT_FOUND = 404

STUMBLED = "/vfolder-operation-failed"
"""End of the ``type`` of the manager's answer (400) when the storage proxy failed. That of 23.09 does so now and then
while several files go up: one that ends removes the directory of the unfinished, which another is about to use."""

TICKET_RETRIES = 8
"""How often in a row that is taken for such a stumble."""


class ProxyTicket(NamedTuple):
    """Where the bytes go, and what opens it."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"<ProxyTicket {redact_url(self.url)}>"


def request_ticket(context: TransferContext, action: str, body: Mapping[str, Any]) -> Recipe[ProxyTicket]:
    """Ask the manager for the storage proxy's address and a token.

    Args:
        context: The call.
        action: ``request-upload`` or ``request-download``.
        body: What is to be moved.

    Raises:
        BackendClientError: The address is none of the map's.
        InvalidReply: The answer has no usable address or token.
    """
    response = yield from _patiently(context, action, body)
    try:
        reply = expect_object(response)
    except InvalidReply:
        reply = {}  # what came is not shown: the token may be in it
    url, token = reply.get("url"), reply.get("token")
    if not isinstance(token, str) or not token or not is_utf8(token):
        raise InvalidReply("the answer's 'token' is no text", response.status)
    return ProxyTicket(_usable(url, context.address_map, response), token)


def _patiently(context: TransferContext, action: str, body: Mapping[str, Any]) -> Recipe[Response]:
    patience = Patience(TICKET_RETRIES)
    while True:
        try:
            # Not safe in the sense of HTTP, but repeating it leaves nothing but an empty temporary file on the server.
            response: Response = yield Request("POST", f"{context.base}/{action}", json=body, idempotent=True)
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
        known = max((address for address in address_map if _is_at(url, address)), key=len, default=None)
        if known is None:
            raise BackendClientError(f"the storage proxy {redact_url(url)} is not in the address map")
        url = address_map[known] + url[len(known) :]
    try:
        path_of_url(url)
    except InvalidArgument as error:
        reason = f"the storage proxy's address {redact_url(url)!r:.80} {error.reason}"
        raise InvalidReply(reason, response.status) from None
    return url


def _is_at(url: str, address: str) -> bool:
    """Whether an address is a URL's, whole or up to the end of a path segment."""
    return url == address or url.startswith(address if address.endswith("/") else f"{address}/")


def proxy_transfer(context: TransferContext, ticket: ProxyTicket, method: str, **options: Any) -> Transfer:
    """A request to the storage proxy."""
    params = {"token": ticket.token, **options.pop("params", {})}
    return Transfer(method, url=ticket.url, params=params, piece=context.piece, **options)
