"""What the vendor's 19.09 ``session`` module offers besides sessions."""

from __future__ import annotations

from ai.backend.client.exceptions import InvalidReply
from ai.backend.client.sessions.facade import Session
from ai.backend.client.versioning import parse_api_version

__all__ = ["is_legacy_server"]

LAST_LEGACY = (4, "20181215")


def is_legacy_server() -> bool:
    """Whether the server of the default configuration speaks v4.20181215 or older.

    Returns:
        True for such a server. Versions are compared as versions, not as text.

    Raises:
        InvalidReply: The server does not tell its version.
        BackendError: As any call.

    Opens a session of its own, and closes it. Not for a running event loop: it waits. ``GET /``.
    """
    with Session() as session:
        version = session.Kernel.hello().get("version")
    try:
        return parse_api_version(version) <= LAST_LEGACY
    except ValueError:
        raise InvalidReply(f"the server told no API version but {version!r:.60}") from None
