"""What recipes know about the server of their session. One object per session; the session keeps it up to date."""

from __future__ import annotations

from ai.backend.client.config import APIConfig
from ai.backend.client.functions.toolkit.generations import Generation


class Server:
    """A session's server: how it is configured, and how it is spoken to.

    Args:
        config: The session's configuration.

    Attributes:
        config: The session's configuration.
        generation: What the server has: that of the configured version until it has told its own.
    """

    __slots__ = ("config", "generation")

    def __init__(self, config: APIConfig) -> None:
        self.config = config
        self.generation = Generation.of(config.parsed_version)
