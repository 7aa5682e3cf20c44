"""Small questions to the server, under the path that the vendor's client has them."""

from __future__ import annotations

from typing import Any

from ai.backend.client.exceptions import InvalidReply

__all__ = ["is_admin"]


def is_admin(session: Any) -> bool:
    """Whether the session's keypair is an administrator's.

    Args:
        session: A session of either kind. With an ``AsyncSession`` do not call it in a running event loop: it waits.

    Returns:
        ``is_admin`` of the caller's own keypair, which the server tells by the request, also in session mode.

    Raises:
        InvalidReply: The server did not tell.
        BackendError: As any call.

    Idempotent. GraphQL ``keypair { is_admin }``.
    """
    data = session.Admin.query.submit("query { keypair { is_admin } }").result()
    try:
        return bool(data["keypair"]["is_admin"])
    except (KeyError, TypeError):
        raise InvalidReply("the answer has no keypair") from None
