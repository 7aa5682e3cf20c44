"""Backend.AI client: an actor-based runtime for driving a Backend.AI cluster.

``Session`` blocks, ``AsyncSession`` returns futures; both offer the same function proxies. See README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ai.backend.client._aliases import enter_aliases, resolve
from ai.backend.client._version import __version__, get_user_agent
from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendAPIVersionError,
    BackendClientError,
    BackendError,
    InvalidArgument,
)

if TYPE_CHECKING:
    from ai.backend.client.config import APIConfig, get_config, set_config
    from ai.backend.client.request import Request, Response
    from ai.backend.client.sessions.facade import AsyncSession, BaseSession, Session

__all__ = [
    "APIConfig",
    "AsyncSession",
    "BackendAPIError",
    "BackendAPIVersionError",
    "BackendClientError",
    "BackendError",
    "BaseSession",
    "InvalidArgument",
    "Request",
    "Response",
    "Session",
    "__version__",
    "get_config",
    "get_user_agent",
    "set_config",
]


def __getattr__(name: str) -> Any:
    return resolve(__name__, name)


enter_aliases()
