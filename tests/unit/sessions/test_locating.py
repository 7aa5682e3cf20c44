"""Where an error learns where it happened."""

from __future__ import annotations

from ai.backend.client.actors.call import Call, Options
from ai.backend.client.actors.originals import monotonic
from ai.backend.client.actors.steps import Offload
from ai.backend.client.exceptions import DeadlineExceeded, NeverSent
from ai.backend.client.request import Request
from ai.backend.client.sessions.locating import crash_error, for_another_caller, locate, locate_call
from ai.backend.client.sessions.wire.endpoints import Endpoint


def place(error):
    return error.method, error.path, error.endpoint, error.attempts


def call_at(step, attempts=0, sent_to=None):
    call = Call(None, "function", "Kernel", iter(()), Options(1, 1, 0))
    call.step, call.attempts, call.sent_to = step, attempts, sent_to
    return call


def test_an_error_says_at_which_request_of_its_call_it_happened():
    error = DeadlineExceeded("too late")
    locate_call(error, call_at(Request("GET", "/x"), 3, Endpoint("http://h")))
    assert place(error) == ("GET", "/x", "http://h", 3)
    assert error.elapsed >= 0


def test_what_an_error_says_already_stays():
    error = NeverSent("no connection")
    locate(error, Request("GET", "/first"), "http://first", 1, monotonic())
    locate_call(error, call_at(Request("POST", "/second"), 2, Endpoint("http://second")))
    assert place(error) == ("GET", "/first", "http://first", 1)


def test_a_call_that_was_at_no_request_has_no_place():
    before, elsewhere = DeadlineExceeded("too late"), DeadlineExceeded("too late")
    locate_call(before, call_at(None))
    locate_call(elsewhere, call_at(Offload(print)))
    assert place(before) == (None, None, None, None)
    assert place(elsewhere) == (None, None, None, 0)


def test_other_errors_stay_as_they_are():
    error = OSError("disk full")
    locate_call(error, call_at(Request("GET", "/x")))
    assert vars(error) == {}


def test_each_caller_gets_an_error_of_its_own():
    error = NeverSent("no connection")
    error.__cause__ = OSError("refused")
    locate(error, Request("GET", "/"), "http://h", 2, monotonic())
    twin = for_another_caller(error)
    assert twin is not error
    assert (type(twin), twin.args, twin.__cause__, place(twin)) == (
        NeverSent,
        error.args,
        error.__cause__,
        place(error),
    )


def test_a_crash_names_what_failed_and_its_kind_and_no_more():
    cause = ValueError("s3cr3t")
    error = crash_error("Kernel", cause)
    assert error.args == ("Kernel failed: ValueError",)
    assert error.__cause__ is cause
