"""``run``: a whole run of code in a compute session as one call.

Sends ``POST P`` (see :mod:`~ai.backend.client.functions.compute.kernel`, ``execute``) until the run is over::

    query | batch ──▶ continued, clean-finished, build-finished ──▶ continue ─┐
                      waiting-input ──▶ input ────────────────────────────────┤
                      finished, exec-timeout: the end        ◀────────────────┘

What each status means: :mod:`~ai.backend.client.functions.compute.execution`.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from ai.backend.client._checks import check_seconds_above_0
from ai.backend.client.actors.channel import following
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.exceptions import ActorCrashed, BackendError, DeadlineExceeded, InvalidArgument, InvalidReply
from ai.backend.client.functions.base import ApiFunction, BlockingFunction, BoundFunction, FutureFunction, Recipe
from ai.backend.client.functions.compute.execution import STEP_ENDS, WAITING, given_up, is_over, run_body
from ai.backend.client.functions.compute.identity import SessionIdentity, request_about
from ai.backend.client.functions.compute.run_callbacks import Answers, Control, OnOutput, Prompt, ask, tell
from ai.backend.client.functions.toolkit import inputs as _inputs
from ai.backend.client.functions.toolkit.reading import expect_object
from ai.backend.client.functions.toolkit.reading import field as promised
from ai.backend.client.request import Response

__all__ = ["OnOutput", "RunResult"]

MODES: Final = ("query", "batch")
STREAMS: Final = ("stdout", "stderr")
TYPES: Final[Mapping[str, type]] = {"stdout": str, "stderr": str, "media": tuple}
"""What the data of an item of the console is."""
STEP_HOLD: Final = 60.0
"""Seconds that one step may take: the server answers after about two, whatever the code does."""
LAST_WAIT: Final = 5.0
"""Seconds that Ctrl-C waits for the end of the code that it interrupts."""
LAST_STEPS: Final = 10
"""Steps that interrupted code gets to end, of about two seconds each."""


@dataclass(slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        status: ``finished``, or ``exec-timeout``.
        exit_code: None when the server told none. Of a batch it is the command's. Of a query it is 0, whatever the code
            raised: the traceback is in :attr:`stderr`.
        run_id: The run's id.
        console: Everything that was written, in order: ``(kind, data)`` with kinds ``stdout``, ``stderr`` and ``log``
            (text), ``html`` (text) and ``media`` (``(MIME type, data)``). Neighbours of one kind are merged.
        files: Files that the code produced, as the server lists them.
        exit_codes: Of the steps of a batch that came before the last: ``{"clean": ..., "build": ...}``.
    """

    run_id: str
    status: str = ""
    exit_code: int | None = None
    console: list[tuple[str, Any]] = field(default_factory=list)
    files: list[Any] = field(default_factory=list)
    exit_codes: dict[str, int | None] = field(default_factory=dict)

    @property
    def stdout(self) -> str:
        """All of the standard output."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """All of the standard error, the tracebacks of a query among it."""
        return self._text("stderr")

    @property
    def html(self) -> list[str]:
        """HTML that was shown."""
        return [data for kind, data in self.console if kind == "html"]

    @property
    def media(self) -> list[tuple[str, str]]:
        """Pictures and the like: ``(MIME type, data)``; raster images are data URIs, SVG is XML text."""
        return [data for kind, data in self.console if kind == "media"]

    def _text(self, stream: str) -> str:
        return "".join(data for kind, data in self.console if kind == stream)

    def add(self, kind: str, data: Any) -> None:
        """Take an item of the console."""
        if kind in STREAMS and self.console and self.console[-1][0] == kind:
            self.console[-1] = (kind, self.console[-1][1] + data)
        else:
            self.console.append((kind, data))


def run(
    kernel: SessionIdentity[Any],
    code: str = "",
    *,
    mode: str = "query",
    on_output: OnOutput | None = None,
    inputs: Iterable[str] | Prompt | None = None,
    clean: str | None = None,
    build: str | None = None,
    build_log: bool = False,
    exec: str | None = None,
    timeout: float | None = None,
    _control: Control | None = None,
) -> Recipe[RunResult]:
    """Run code to its end, and collect what comes of it. Errors in the user's code are part of the result.

    Args:
        kernel: The session; bound by the proxy class.
        code: The code; not for ``batch``.
        mode: ``query`` runs ``code`` in the session's interpreter; ``batch`` runs shell commands.
        on_output: Called with ``(kind, data)`` for each item of the console as it comes (see :class:`RunResult`), one
            after the other, in a native thread of the session's: not in the caller's.
        inputs: Answers for code that waits for input: an iterable of lines, or a function that is called with the
            prompt (the text written last), in such a thread too. An answer that takes longer than a minute needs
            ``session.with_options(deadline=None)``.
        clean: Batch: command to clean up with; ``"*"`` is the image's default, None skips the step.
        build: Batch: command to build with, likewise.
        build_log: Batch: report the build's output as items of kind ``log``.
        exec: Batch: command to run, likewise.
        timeout: Seconds for the run as a whole, input included; None: no limit. The deadline of the session does not
            apply, unless ``with_options`` set one.

    Returns:
        What came of it.

    Raises:
        InvalidArgument: Unknown mode, or an argument that the mode does not have.
        DeadlineExceeded: ``timeout`` is over; the code was interrupted.
        BackendClientError: The code waits for input and there is none left, or ``on_output`` or ``inputs`` failed
            (the cause is chained); the code was interrupted. Or the server gave the run up, and says why.
        BackendAPIError: 404 for an unknown session, 500 when the agent failed.

    Cancelling the call, or Ctrl-C, interrupts the code too, within two seconds, and hears the run out in the
    background: a run whose end nobody asks for blocks the session for later ones. Ctrl-C in a blocking call waits for
    that, 5 s at most, unless it comes again. Not idempotent. ``POST P`` again and again; ``POST P/interrupt`` where it
    says so.
    """
    options = _options(mode, code, clean, build, build_log, exec)
    timeout = _inputs.optional(check_seconds_above_0, "timeout", timeout)
    answers = Answers(inputs)
    result = RunResult(secrets.token_hex(8))
    progress = _Progress(run_body(kernel.server.generation, result.run_id, code, mode, options))
    limit = None if timeout is None else monotonic() + timeout
    control = _control or Control()
    if control.is_stopped:
        return result  # before anything was sent
    control.rest = lambda: _wind_up_elsewhere(kernel, progress, result)
    try:
        while not progress.over and not control.is_stopped:
            items = yield from _take_step(kernel, progress, result)
            if items and on_output is not None and not control.is_stopped:
                yield from tell(on_output, items)
            if progress.waiting and not control.is_stopped:
                progress.answer = yield from ask(answers, _prompt(result), control, limit)
            if limit is not None and monotonic() > limit and not progress.over:
                raise DeadlineExceeded(f"the code ran longer than {timeout:g} s; it was interrupted")
        yield from _wind_up(kernel, progress, result)
        if progress.failure is not None:
            raise progress.failure
    except BackendError as error:
        if not progress.over and error.method is None:  # not of an exchange: then nobody hears us
            yield from _wind_up(kernel, progress, result)
        raise
    return result


@dataclass(slots=True)
class _Progress:
    """How far a run is.

    Attributes:
        step: The body of the next request.
        over: Whether the run has ended.
        waiting: Whether the code waits for input.
        answer: What it gets.
        failure: Why the server gave it up, if it did.
    """

    step: dict[str, Any]
    over: bool = False
    waiting: bool = False
    answer: str = ""
    failure: BackendError | None = None


def _take_step(kernel: SessionIdentity[Any], progress: _Progress, result: RunResult) -> Recipe[list[tuple[str, Any]]]:
    """Take the run one step on. Returns what it wrote to the console meanwhile.

    Raises:
        InvalidReply: The server's answer is no result of a run.
    """
    if progress.waiting:
        progress.step = run_body(kernel.server.generation, result.run_id, progress.answer, "input", None)
        progress.waiting = False
    response = yield request_about(kernel, "POST", json=progress.step, hold=STEP_HOLD)
    reply = expect_object(response, "result")
    status = promised(reply, "status", response)
    if not isinstance(status, str):
        raise InvalidReply("the result's 'status' is no text", response.status, response.content)
    items = _console(reply, response)
    files = _list(reply, "files", response)
    progress.waiting = status == WAITING
    progress.over = is_over(status)
    progress.failure = given_up(reply)
    progress.step = run_body(kernel.server.generation, result.run_id, "", "continue", None)
    for kind, data in items:
        result.add(kind, data)
    result.files += files
    if progress.over:
        result.status, result.exit_code = status, reply.get("exitCode")
    elif status in STEP_ENDS:
        result.exit_codes[STEP_ENDS[status]] = reply.get("exitCode")
    return items


def _console(reply: Mapping[str, Any], response: Response) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for item in _list(reply, "console", response):
        match item:
            case ["media", list(data)]:
                items.append(("media", tuple(data)))
            case [str(kind), data] if kind not in TYPES or isinstance(data, TYPES[kind]):
                items.append((kind, data))
            case _:
                raise InvalidReply("an item of the result's 'console' is none", response.status, response.content)
    return items


def _list(reply: Mapping[str, Any], key: str, response: Response) -> list[Any]:
    found = reply.get(key) or []
    if not isinstance(found, list):
        raise InvalidReply(f"the result's {key!r} is no list", response.status, response.content)
    return found


def _wind_up(kernel: SessionIdentity[Any], progress: _Progress, result: RunResult) -> Recipe[None]:
    """Interrupt the code, and go on asking until the run has ended."""
    if progress.over:
        return
    yield request_about(kernel, "POST", "/interrupt")
    progress.answer = ""  # nobody waits for it any more but the server itself
    for _ in range(LAST_STEPS):
        yield from _take_step(kernel, progress, result)
        if progress.over:
            return


def _options(
    mode: str, code: str, clean: str | None, build: str | None, build_log: bool, execute: str | None
) -> dict[str, Any] | None:
    """The options of a batch; None for a query."""
    options = _inputs.given(clean=clean, build=build, exec=execute)
    if _inputs.choice("mode", mode, MODES) == "query":
        if options or build_log:
            raise InvalidArgument("mode", mode, "has no commands: clean, build and exec are for batch")
        return None
    if code:
        raise InvalidArgument("code", f"{code[:40]!r}", "is not for mode 'batch', which runs commands")
    options["buildLog"] = _inputs.flag("build_log", build_log)
    return options


def _prompt(result: RunResult) -> str:
    """What the code wrote last: the last line of its output."""
    return result.stdout.rpartition("\n")[2]


def _wind_up_elsewhere(kernel: SessionIdentity[Any], progress: _Progress, result: RunResult) -> Recipe[None]:
    """:func:`_wind_up` for a run that crashed, perhaps in a step that it had sent: that one is not sent again."""
    progress.step = run_body(kernel.server.generation, result.run_id, "", "continue", None)
    yield from _wind_up(kernel, progress, result)


P = ParamSpec("P")
T = TypeVar("T")


class _Stoppable(BoundFunction[P, T]):
    __slots__ = ()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> CallFuture[T]:
        """Start the run. Cancelling its future interrupts the code; the call behind it ends by itself.

        The call is not cut off in the middle of a step (of about two seconds): the server would go on with that step,
        and two steps at once confuse it.
        """
        return self._start(args, kwargs, Control())[1]

    def _start(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], control: Control
    ) -> tuple[CallFuture[T], CallFuture[T]]:
        """Start the run. Returns the future of the call behind it, and that of who wants to know."""
        options = {**kwargs, "_control": control}
        inputs = options.get("inputs")
        if isinstance(inputs, Iterator):
            options["inputs"] = lambda _: next(inputs, None)  # read when the code asks, not now
        submit: Any = super().submit
        call: CallFuture[T] = submit(*args, **options)
        return call, following(call, control.stop)


class BlockingRunFunction(_Stoppable[P, T], BlockingFunction[P, T]):
    """:func:`run` on a ``Session``."""

    __slots__ = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """:meth:`submit`, and wait. Ctrl-C waits for the end of the code that it interrupts, unless it comes again."""
        control = Control()
        call, future = self._start(args, kwargs, control)
        try:
            value: T = self._session._wait(future)
        except KeyboardInterrupt:
            # Most often the session is closed next, which would end the call as it is.
            with contextlib.suppress(TimeoutError, CancelledError, BackendError):
                # In a patched process the signal may strike the hub's own work on the call, which then has crashed.
                if isinstance(call.exception(LAST_WAIT), ActorCrashed) and control.rest is not None:
                    self._session._submit(self._function.__name__, self._proxy, control.rest()).exception(LAST_WAIT)
            raise
        return value


class FutureRunFunction(_Stoppable[P, T], FutureFunction[P, T]):
    """:func:`run` on an ``AsyncSession``."""

    __slots__ = ()


class RunFunction(ApiFunction[P, T]):
    """:func:`run` as an API function."""

    blocking_kind = BlockingRunFunction
    future_kind = FutureRunFunction


def api_run_function(recipe: Callable[Concatenate[Any, P], Recipe[T]]) -> RunFunction[P, T]:
    """Make :func:`run` an API function of instances."""
    return RunFunction(recipe, on_class=False)
