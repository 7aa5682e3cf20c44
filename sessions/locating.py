"""Where an error learns where it happened, and what a crash looks like to the caller."""

from __future__ import annotations

from ai.backend.client.actors.call import Call
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.exceptions import ActorCrashed, BackendError
from ai.backend.client.request import Request


def locate(error: BaseException, request: object, endpoint: str | None, attempts: int | None, since: float) -> None:
    """Say where an error happened, as far as it does not say so yet. Other libraries' errors stay as they are.

    Args:
        error: The error.
        request: What was to be done; nothing is said of anything else than a request.
        endpoint: Where it was sent; None: nowhere.
        attempts: How often it was sent; None: that is not counted.
        since: When it began (monotonic seconds).
    """
    if not isinstance(error, BackendError):
        return
    if error.method is None and isinstance(request, Request):
        error.method, error.path, error.endpoint = request.method, "/" + request.path, endpoint
    if error.attempts is None:
        error.attempts = attempts
    error.elapsed = monotonic() - since


def locate_call(error: BaseException, call: Call) -> None:
    """Say where a call failed: at its latest step."""
    step = call.step
    attempts = None if step is None else call.attempts
    locate(error, step, getattr(call.sent_to, "url", None), attempts, call.accepted)


def crash_error(where: str, cause: BaseException) -> ActorCrashed:
    """What the caller of something is told that crashed.

    Args:
        where: What failed: an actor, a stream.
        cause: How.
    """
    error = ActorCrashed(f"{where} failed: {type(cause).__name__}")
    error.__cause__ = cause
    return error


def for_another_caller(error: BaseException) -> BaseException:
    """One error for each of the calls that fail of it: each gets an object of its own to raise."""
    if not isinstance(error, BackendError):
        return error
    twin = type(error)(*error.args)
    twin.__cause__ = error.__cause__
    twin.method, twin.path, twin.endpoint, twin.attempts = error.method, error.path, error.endpoint, error.attempts
    twin.hint = error.hint
    return twin
