"""The question for the server's version: which calls wait for its answer, and what the answer means. Hub side only."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import Any, NamedTuple

from ai.backend.client.actors.call import Call, Options
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import APIVersionWarning, BackendAPIError, InvalidReply
from ai.backend.client.functions.toolkit.generations import Generation
from ai.backend.client.request import Request
from ai.backend.client.versioning import negotiate


class Outcome(NamedTuple):
    """How a probe ended.

    Attributes:
        generation: How to speak to the server from now on; None: that is not known.
        error: Why not.
        tells_version: Whether the server told one; None: there was no answer.
        waiting: The calls that were held back for it.
    """

    generation: Generation | None
    error: BaseException | None
    tells_version: bool | None
    waiting: list[Call]


class Probe:
    """Asks the server for its version when the first call comes; that call and those that follow wait meanwhile.

    It may be asked again: a probe that reached nobody fails the calls that wait, and the next call starts another one.

    Args:
        config: The session's configuration.

    Attributes:
        call: The probe that is under way.
    """

    def __init__(self, config: APIConfig) -> None:
        self._configured = config.parsed_version
        # The session's own limits: those of the call that happens to come first are not everybody's.
        self._options = Options(config.read_timeout or None, config.deadline or None, config.retries)
        self._waiting: dict[Call, None] = {}
        self.call: Call | None = None

    def hold_back(self, call: Call) -> Call | None:
        """Have a call wait for the version.

        Returns:
            The probe to run, if none is under way.
        """
        self._waiting[call] = None
        if self.call is not None:
            return None
        self.call = Call(call.owner, "open", "Session", _ask_version(), self._options)
        self.call.future = CallFuture()
        return self.call

    def forget(self, call: Call) -> None:
        """A call waits no longer, if it did."""
        self._waiting.pop(call, None)

    def ended(self, answer: Any, error: BaseException | None) -> Outcome:
        """The probe has ended, with the server's answer or with an error."""
        self.call = None
        waiting, self._waiting = list(self._waiting), {}
        generation: Generation | None = None
        tells_version: bool | None = None
        if error is None or isinstance(error, BackendAPIError | InvalidReply):
            said = answer if isinstance(answer, dict) else {}
            tells_version = said.get("version") is not None
            version, release, warning = negotiate(self._configured, said.get("version"), said.get("manager"))
            error = _warn(warning)
            if error is None:
                generation = Generation(version, release)
        return Outcome(generation, error, tells_version, waiting)


def _ask_version() -> Generator[Request, Any, Any]:
    response = yield Request("GET", "/", anonymous=True)
    return response.json()


def _warn(text: str | None) -> BaseException | None:
    """Warn; where warnings are errors, the error."""
    if text is not None:
        try:
            warnings.warn(text, APIVersionWarning, stacklevel=2)
        except APIVersionWarning as error:
            return error
    return None
