"""``Session`` and ``AsyncSession``, under the path that users import them from."""

from __future__ import annotations

from ai.backend.client._current import api_session
from ai.backend.client.sessions.facade import AsyncSession, BaseSession, Session
from ai.backend.client.sessions.legacy import is_legacy_server

__all__ = ["AsyncSession", "BaseSession", "Session", "api_session", "is_legacy_server"]
