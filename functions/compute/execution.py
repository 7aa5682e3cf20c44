"""How code is run, over HTTP and over WebSockets: bodies of execute and complete calls, and the statuses of results.

What a result's status means, on every protocol generation::

    continued, clean-finished, build-finished    the run goes on by itself
    waiting-input                                it goes on when it gets a line of input
    error, server-restarting                     the server gave it up: no result of the code's (WebSockets only)
    finished, exec-timeout, and any other        it is over
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ai.backend.client.exceptions import BackendClientError, InvalidArgument, type_of
from ai.backend.client.functions.toolkit.generations import Generation

CODE_MODES: Final = ("query", "continue", "input")
CONTINUING_MODES: Final = ("continue", "input")
MODES: Final = (*CODE_MODES, "batch", "complete")

BATCH_OPTIONS: Final[Mapping[str, Any]] = {"clean": None, "build": None, "buildLog": False, "exec": None}
COMPLETE_OPTIONS: Final[Mapping[str, Any]] = {"row": 0, "col": 0, "line": "", "post": ""}

STEP_ENDS: Final[Mapping[str, str]] = {"clean-finished": "clean", "build-finished": "build"}
"""Status at the end of a step of a batch, with more to come → the step."""

GOING_ON: Final = frozenset({"continued", *STEP_ENDS})
WAITING: Final = "waiting-input"
GIVEN_UP: Final = frozenset({"error", "server-restarting"})


def is_over(status: str) -> bool:
    """Whether a result of this status is the last one of its run."""
    return status != WAITING and status not in GOING_ON


def given_up(result: Mapping[str, Any]) -> BackendClientError | None:
    """The error that a result stands for: the server will not end the run as runs end. None for a result of the code's.

    It is raised wherever results are read for the user; ``execute`` and the messages of a socket show what was sent.
    """
    status = result["status"]
    if status not in GIVEN_UP:
        return None
    return BackendClientError(f"the server gave the run up: {result.get('msg') or status}")


def check_mode(mode: object) -> None:
    """Refuse what is no execution mode.

    Raises:
        InvalidArgument: It is not one of :data:`MODES`.
    """
    if mode not in MODES:
        raise InvalidArgument("mode", mode, f"Invalid execution mode: {mode}; must be one of {', '.join(MODES)}")


def run_body(
    generation: Generation, run_id: str | None, code: str | None, mode: str, opts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The body of one step of a run, in any mode but ``complete``.

    The run's id is always there; null starts a run, but the server takes no null to continue one.

    Raises:
        InvalidArgument: No code, no run to continue, or unknown options.
    """
    if run_id is not None and (not isinstance(run_id, str) or not run_id):
        raise InvalidArgument("run_id", run_id, "must be the runId of the result before, or None for a new run")
    if mode in CONTINUING_MODES and run_id is None:
        raise InvalidArgument("run_id", run_id, f"must be the runId of the result before in mode {mode!r}")
    content = code_and_options(code, mode, opts)
    named = {"runId": run_id, "run_id": run_id} if generation.names_run_id else {"runId": run_id}
    return {"mode": mode, "code": content.pop("code"), **named, **content}


def code_and_options(code: str | None, mode: str, opts: Mapping[str, Any] | None) -> dict[str, Any]:
    """What to run: the code, and the options of a batch.

    Raises:
        InvalidArgument: No code, or unknown options.
    """
    if mode != "batch":
        return {"code": _code(code)}
    options = _options(opts, BATCH_OPTIONS)
    options["buildLog"] = bool(options["buildLog"])
    return {"code": code or "", "options": options}


def complete_body(code: str | None, opts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The body of a request for completions.

    Raises:
        InvalidArgument: No code, or unknown options.
    """
    return {"code": _code(code), "options": _options(opts, COMPLETE_OPTIONS)}


def _code(code: str | None) -> str:
    if code is None:
        raise InvalidArgument("code", code, "must be given, by its name where run_id comes first: execute(code=...)")
    if not isinstance(code, str):
        raise InvalidArgument("code", type_of(code), "must be text")
    return code


def _options(opts: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    given: Any = opts or {}
    if not isinstance(given, Mapping):
        raise InvalidArgument("opts", opts, "must be a mapping")
    for key in given:
        if key not in defaults:
            raise InvalidArgument("opts", key, f"must have no other keys than {', '.join(defaults)}")
    return {**defaults, **given}
