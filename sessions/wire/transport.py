"""The transport: one attempt after the other until a request has its answer or has failed for good."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import requests
import urllib3.exceptions as u3
from urllib3.util import Timeout

from ai.backend.client import log
from ai.backend.client.actors.call import Call
from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.lanes import Lanes
from ai.backend.client.actors.net import sockets
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.actors.steps import Offload, Pause
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import (
    BackendAPIError,
    BackendError,
    ConnectionLost,
    ConnectTimeout,
    InvalidArgument,
    InvalidReply,
    NeverSent,
    TLSError,
)
from ai.backend.client.request import AttachedFile, Request, Response
from ai.backend.client.sessions.locating import locate_call
from ai.backend.client.sessions.wire.adapter import HubAdapter
from ai.backend.client.sessions.wire.bodies import Origin, SourceFailed
from ai.backend.client.sessions.wire.cookies import WebCookies
from ai.backend.client.sessions.wire.decoding import IDENTITY, codings, decode
from ai.backend.client.sessions.wire.endpoints import Endpoints
from ai.backend.client.sessions.wire.failures import FAILURES, translate
from ai.backend.client.sessions.wire.pool import BODY_LIMIT, MalformedAnswer
from ai.backend.client.sessions.wire.prepare import PreparedAttempt, Preparer, with_cookies
from ai.backend.client.sessions.wire.retry import RetryPolicy, was_not_handled
from ai.backend.client.sessions.wire.transfers import SinkFailed, outcome, outgoing, stream_to_sink
from ai.backend.client.transfer import Transfer

_NO_HEADERS: Mapping[str, str] = {}

UNAUTHORIZED = 401
NOT_SERVED = frozenset({404, 405, 501})
"""How web servers answer paths and methods that they do not know."""

NO_VERSION = "told no API version"
STRANGER = f"the server {NO_VERSION}: it may be no Backend.AI manager"
PROGRESS_STEP = 0.05
"""Seconds between two notes that a body moves, at least."""

Deliver = Callable[[Call, Any, BaseException | None], object]
"""Where answers go: back to the recipe."""


class Transport:
    """The session's pooled connections and what happens on them. Hub side only.

    Args:
        hub: Where its lanes live.
        config: The session's configuration.
        deliver: Called with a call and the answer, or the error, of its current step.
        failed: Called when the transport itself is broken.
    """

    def __init__(self, hub: Hub, config: APIConfig, cookies: WebCookies | None, deliver: Deliver, failed: Any) -> None:
        self._hub = hub
        self._config = config
        self._cookies = cookies
        self._deliver = deliver
        self.version = ""  # the X-BackendAI-Version header, once negotiated
        self.is_strange = False  # whether the server was asked for its version, and told none
        self._endpoints = Endpoints(config.endpoints)
        self._preparer = Preparer(config)
        self._adapter = HubAdapter(hub, config)
        self._origins: dict[str, Origin] = {}
        self.progressed: Callable[[Call], object] = _ignore  # told of transfers that get on
        self._retry = RetryPolicy()
        self._lanes = Lanes(hub, config.lanes, self._work, failed)
        self._timeouts: dict[float | None, Timeout] = {}
        self._log = log.get_logger("sessions.transport")
        self._is_heard = log.level_check("sessions.transport")

    def run(self, call: Call, step: Request | Offload[Any] | Pause) -> None:
        """Do a step of a recipe; its outcome is delivered later."""
        call.attempts = 0
        call.may_have_acted = False
        if step.__class__ is Pause:
            call.timer = self._hub.later(step.seconds, lambda: self._pause_over(call))
        else:
            self._lanes.run(call, step)

    def _pause_over(self, call: Call) -> None:
        call.timer = None
        self._deliver(call, None, None)

    def abandon(self, call: Call) -> None:
        """Give up what a call has under way: its connection is closed, never reused half-read."""
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        else:
            self._lanes.abandon(call)

    def stop(self) -> None:
        """Begin nothing more: every call is about to be abandoned, and lanes must not turn to the next one."""
        self._lanes.stop()

    def close(self) -> None:
        """Close lanes and connections."""
        self._lanes.close()
        self._adapter.close()
        sockets.close_all(self._hub)

    # -- on a lane ----------------------------------------------------------------------------------------------------

    def _work(self, call: Call, step: Any) -> None:
        if step.__class__ is not Request:
            if isinstance(step, Offload):
                self._offload(call, step)
                return
            if isinstance(step, Transfer):
                self._transfer(call, step)
                return
        request: Request = step
        if request.files is not None and not self._read_files(call, request):
            return
        call.attempts += 1
        headers = _NO_HEADERS
        try:
            raw = self._exchange(call, request)
            headers = raw.headers if raw.status_code >= 400 else _NO_HEADERS
            answer = self._read(raw, request)
        except FAILURES as error:
            failure = translate(error, self._adapter.proxy_name(call.sent_to))
            self._attempt_failed(call, request, failure, headers)
            return
        if call.sent_to is not None:
            call.sent_to.succeeded()
        self._retry.quota.give()
        self._deliver(call, answer, None)

    def _transfer(self, call: Call, request: Transfer) -> None:
        call.attempts += 1
        headers = _NO_HEADERS
        to_sink = False
        try:
            moved = self._mover(call, request)
            body, length = outgoing(self._hub, request, moved)
            raw = self._exchange_transfer(call, request, body, length)
            if length is not None and request.source is not None:
                moved(length)
            headers = raw.headers if raw.status_code >= 400 else _NO_HEADERS
            to_sink = request.sink is not None and 200 <= raw.status_code < 300
            answer = stream_to_sink(self._hub, raw, request, moved) if to_sink else self._read_transfer(raw, request)
        except (SourceFailed, SinkFailed) as failed:
            self._deliver(call, None, failed.error)
            return
        except FAILURES as error:
            failure = translate(error, self._adapter.proxy_name(call.sent_to))
            failure.args = tuple(request.without_secrets(arg) if isinstance(arg, str) else arg for arg in failure.args)
            self._attempt_failed(call, request, failure, headers, final=to_sink)
            return
        call.sent_to.succeeded()
        self._retry.quota.give()
        self.progressed(call)
        self._deliver(call, answer, None)

    def _mover(self, call: Call, request: Transfer) -> Callable[[int], None]:
        """What is told how many bytes of a body have moved."""
        on_bytes = request.on_bytes
        told = monotonic()

        def moved(count: int) -> None:
            nonlocal told
            if on_bytes is not None:
                on_bytes(count, call.run_callbacks)
            now = monotonic()
            if now - told >= PROGRESS_STEP:
                told = now
                self.progressed(call)

        return moved

    def _exchange_transfer(self, call: Call, request: Transfer, body: Any, length: int | None) -> requests.Response:
        if request.url is None:
            endpoint = call.sent_to = self._endpoints.choose(call.sent_to if call.attempts > 1 else None)
            origin = self._origin(endpoint.url)
        else:
            origin = call.sent_to = self._origin("/".join(request.url.split("/", 3)[:3]))
        hides = self._adapter.is_proxied(origin)
        attempt = self._preparer.prepare_transfer(request, origin, self.version, body, length, hides)
        return self._send(call, request, attempt, self._cookies if request.url is None else None)

    def _origin(self, url: str) -> Origin:
        origin = self._origins.get(url)
        if origin is None:
            origin = self._origins[url] = Origin(url)
        return origin

    def _offload(self, call: Call, step: Offload[Any]) -> None:
        value, error = self._hub.offload(outcome, step.function, step.args)
        self._deliver(call, value, error)

    def _read_files(self, call: Call, request: Request) -> bool:
        """Read the streams of an upload once, so that every attempt sends the same."""
        if all(isinstance(file.stream, bytes) for file in request.files or ()):
            return True
        files, error = self._hub.offload(outcome, _read_streams, (request.files,))
        if error is None:
            request.files = files
            return True
        self._deliver(call, None, error)
        return False

    def _exchange(self, call: Call, request: Request) -> requests.Response:
        endpoint = call.sent_to = self._endpoints.choose(call.sent_to if call.attempts > 1 else None)
        attempt = self._preparer.prepare(request, endpoint, self.version)
        if request.stream is not None:
            attempt.headers.update(request.stream.headers())
        return self._send(call, request, attempt, self._cookies)

    def _send(
        self, call: Call, request: Request, attempt: PreparedAttempt, cookies: WebCookies | None
    ) -> requests.Response:
        if cookies is not None:
            with_cookies(attempt, cookies.header(attempt))
        # Looked up for each call: mocking libraries replace HTTPAdapter.send later than we are made.
        timeout: Any = self._timeout(call, request)  # the stubs forget that it may be a Timeout
        raw: requests.Response = self._adapter.send(attempt, timeout=timeout)
        if cookies is not None and cookies.keep(attempt, raw.raw):
            _, error = self._hub.offload(outcome, cookies.save, ())
            if error is not None:  # the answer is good all the same
                self._say(self._log.warning, "the cookie file could not be written", error=type(error).__name__)
        if self._is_heard(logging.DEBUG):
            self._say(self._log.debug, "answered", call, request, status=raw.status_code)
        return raw

    def _timeout(self, call: Call, request: Request) -> Timeout:
        read = call.options.timeout
        if request.hold is not None and not call.options.explicit and read is not None:
            read = max(read, request.hold)
        timeout = self._timeouts.get(read)
        if timeout is None:
            if len(self._timeouts) > 64:
                self._timeouts.clear()
            timeout = self._timeouts[read] = Timeout(connect=self._config.connection_timeout or None, read=read)
        return timeout

    def _read(self, raw: requests.Response, request: Request) -> Response:
        if request.stream is not None and request.stream.expects(raw.status_code):
            opened: Response = request.stream.adopt(raw)
            return opened
        content = self._read_body(raw)
        if not request.check_status or 200 <= raw.status_code < 400:
            return Response(raw.status_code, content, raw)
        error = BackendAPIError(raw.status_code, raw.reason or "", content)
        if self.is_strange and error.status in NOT_SERVED and not error.is_problem:
            raise InvalidReply(
                f"this is no Backend.AI manager: it {NO_VERSION}, nor has it what was asked for", error.status, content
            )
        raise error

    def _read_body(self, raw: requests.Response) -> bytes:
        if getattr(raw, "_content_consumed", False):
            return raw.content
        try:
            names = codings(raw.headers.get("Content-Encoding", IDENTITY))
            content = _read_parts(raw)
        except ValueError as error:  # http.client's arithmetic on odd framing
            raise MalformedAnswer("its framing is broken") from error
        if names:
            decoded, failure = self._hub.offload(outcome, decode, (content, names, self._config.decoded_limit))
            if failure is not None:
                raise failure
            content = decoded
        raw._content = content  # so that raw_response.content works for users too
        raw._content_consumed = True  # type: ignore[attr-defined]  # as its own reading does
        return content

    def _read_transfer(self, raw: requests.Response, request: Transfer) -> Response:
        """An answer that is not for a sink."""
        content = request.without_secrets(self._read_body(raw))
        if request.sink is None and 200 <= raw.status_code < 400:
            return Response(raw.status_code, content, raw)
        raise BackendAPIError(raw.status_code, request.without_secrets(raw.reason or ""), content)

    def _attempt_failed(
        self, call: Call, request: Request, error: BackendError, headers: Mapping[str, str], final: bool = False
    ) -> None:
        if call.ended:
            return
        endpoints = self._endpoints
        endpoint = call.sent_to
        if endpoint is not None and isinstance(error, NeverSent | ConnectTimeout):
            endpoints.failed(endpoint)
        wait = None
        if not final:
            choices = 1 if isinstance(endpoint, Origin) else len(endpoints.all)
            wait = self._retry.delay(request, error, call.attempts, call.options.retries, choices, headers)
        if wait is not None and call.deadline is not None and monotonic() + wait >= call.deadline:
            wait = None
        if self._is_heard(logging.INFO):
            verdict = "giving up" if wait is None else f"trying again in {wait:.2f} s"
            self._say(self._log.info, f"attempt failed, {verdict}", call, request, error=type(error).__name__)
        if not was_not_handled(error):
            call.may_have_acted = True
        elif wait is None and call.may_have_acted and isinstance(error, NeverSent | ConnectTimeout):
            error = _lost_before(error)
        if wait is None:
            locate_call(error, call)
            error.hint = self._hint(error)
            self._deliver(call, None, error)
        else:
            # Waiting needs no lane.
            call.timer = self._hub.later(wait, lambda: self._again(call, request))

    def _hint(self, error: BackendError) -> str | None:
        """What may be the reason of a failure: settings that are missing, or a server that is something else."""
        config = self._config
        refused = isinstance(error, BackendAPIError) and error.status == UNAUTHORIZED
        hints = []
        if config.endpoint_is_default and (refused or isinstance(error, NeverSent | ConnectTimeout | TLSError)):
            hints.append("BACKEND_ENDPOINT is not set: this is the default endpoint, the vendor's cloud")
        if refused and config.is_anonymous:
            hints.append("the session has no access key: set BACKEND_ACCESS_KEY and BACKEND_SECRET_KEY")
        if self.is_strange and isinstance(error, BackendAPIError) and not error.is_problem:
            hints.append(STRANGER)
        return "; ".join(hints) or None

    def _again(self, call: Call, request: Request) -> None:
        call.timer = None
        self._lanes.run(call, request)

    def _say(
        self, log: Callable[..., object], event: str, call: Call | None = None, request: Any = None, **more: Any
    ) -> None:
        """Log, where the handlers of the host program hold up no lane."""
        if call is None:
            self._hub.emit(lambda: log(event, **more))
        elif not (call.parent or call).quiet:
            context = {**self._context(call, request), **more}
            self._hub.emit(lambda: log(event, **context))

    def _context(self, call: Call, request: Request) -> dict[str, Any]:
        return {
            "call": id(call),
            "function": call.full_name,
            "method": request.method,
            "path": "/" + request.path,
            "endpoint": getattr(call.sent_to, "url", None),
            "attempt": call.attempts,
        }


def _lost_before(error: BackendError) -> ConnectionLost:
    """What a call fails with that the server did not get this time, but may have got before."""
    lost = ConnectionLost(f"an earlier attempt broke off after it was sent; then: {error.args[0]}")
    lost.__cause__ = error
    return lost


def _ignore(_: Call) -> None:
    return None


def _read_streams(files: list[AttachedFile]) -> list[AttachedFile]:
    read = []
    for file in files:
        data = file.stream if isinstance(file.stream, bytes) else file.stream.read()
        if not isinstance(data, bytes):
            raise InvalidArgument("files", file.filename, "must be binary files: the stream gave text")
        read.append(file._replace(stream=data))
    return read


def _read_parts(raw: requests.Response) -> bytes:
    """The body as it came. Past ``iter_content``, which decodes without a limit and takes a part for the whole."""
    parts: list[bytes] = []
    size = 0
    try:
        for part in raw.raw.stream(1 << 16, decode_content=False):
            size += len(part)
            if size > BODY_LIMIT:
                raw.close()
                raise MalformedAnswer(f"its body is longer than {BODY_LIMIT} bytes")
            parts.append(part)
    except u3.ProtocolError as error:
        if "exceeded" in str(error):  # urllib3 has no type of its own for an endless chunk size
            raise MalformedAnswer("a chunk's size has no end") from error
        raise
    return b"".join(parts)
