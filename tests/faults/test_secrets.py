"""No secret leaves the process but to the server: not in an error, a representation, a traceback, a pickle or a log."""

from __future__ import annotations

import gc
import logging
import pickle
import traceback

import pytest

from ai.backend.client.exceptions import BackendError
from ai.backend.client.request import Request
from ai.backend.client.session import AsyncSession, Session
from support.recipes import Probe
from support.servers.faults import close, cut_after, head, raw, reply, silence
from support.waiting import LIMIT

CANARY = "canary-secret-key-6f1d2c"
ACCESS = "AKCANARY"
PASSWORD = "canary-password-77aa"


@pytest.fixture
def config(make_config, server):
    return make_config(server, access_key=ACCESS, secret_key=CANARY, retries=1)


@pytest.fixture
def log(caplog):
    """Everything that anyone logs, at the finest level."""
    caplog.set_level(logging.DEBUG)
    for name in ("ai.backend.client", "urllib3", "requests", "pykka", "concurrent.futures"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def texts(error):
    """All that a program might print of an error."""
    yield str(error)
    yield repr(error)
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
    yield repr(vars(error))
    seen = error
    while seen is not None:
        yield repr(seen) + repr(seen.args)
        seen = seen.__cause__ or seen.__context__


def signatures(server):
    """What was sent to the server and belongs nowhere else."""
    return [
        request.headers["authorization"].rpartition(":")[2]
        for request in server.requests
        if "authorization" in request.headers
    ]


def leaks(text, server):
    return [secret for secret in [CANARY, PASSWORD, *signatures(server)] if secret in text]


FAULTS = {
    "closed": close(),
    "cut": cut_after(60),
    "not http": raw(b"nonsense\r\n\r\n"),
    "not json": reply(b"<html>"),
    "api error": reply({"type": "x", "title": "y"}, status=500),
    "unauthorized": reply({"type": "x", "title": "y"}, status=401),
    "silence": silence(),
    "bad length": raw(head(headers={"Content-Length": "x"})),
}


@pytest.mark.parametrize("session_class", [Session, AsyncSession])
@pytest.mark.parametrize("fault", list(FAULTS))
def test_errors_and_logs_hold_no_secret(config, server, log, fault, session_class):
    server.script(FAULTS[fault])
    with session_class(config=config) as session:
        view = session.with_options(timeout=0.2)
        kernel = view.Kernel("kernel")
        for future in (kernel.get_info.submit(), kernel.execute.submit("run", PASSWORD)):
            error = future.exception(LIMIT)
            assert isinstance(error, BackendError)
            for text in texts(error):
                assert leaks(text, server) == []
    assert signatures(server)
    assert leaks(log.text, server) == []


def test_a_crash_logs_no_secret(config, server, log):
    with Session(config=config) as session:
        error = session.bind(Probe).crash.submit("kernel", ValueError("from the recipe")).exception(LIMIT)
        for text in texts(error):
            assert leaks(text, server) == []
    assert leaks(log.text, server) == []


def test_a_refused_connection_logs_no_secret(config, server, log):
    with Session(config=config) as session:
        server.stop()
        error = session.Kernel("kernel").get_info.submit().exception(LIMIT)
        for text in texts(error):
            assert leaks(text, server) == []
    assert leaks(log.text, server) == []


def test_a_successful_call_logs_no_secret(config, server, log):
    server.script(reply({"result": {"status": "finished"}}))
    with Session(config=config) as session:
        session.Kernel("kernel").execute("run", "code")
    assert signatures(server)
    assert leaks(log.text, server) == []


def test_errors_travel_in_pickles_without_secrets(config, server):
    """`multiprocessing` sends them to the parent; there they still say where they come from."""
    server.script(reply({"type": "x", "title": "y"}, status=404))
    with Session(config=config) as session:
        error = session.Kernel("kernel").get_info.submit().exception(LIMIT)
    data = pickle.dumps(error)
    assert leaks(data.decode("latin-1"), server) == []
    again = pickle.loads(data)
    assert (type(again), again.status, again.path, again.attempts) == (type(error), 404, error.path, error.attempts)
    assert str(again) == str(error)


@pytest.mark.parametrize("session_class", [Session, AsyncSession])
def test_representations_hold_no_secret(config, server, session_class):
    with session_class(config=config) as session:
        kernel = session.Kernel("kernel")
        request = Request(session, "POST", "/auth", PASSWORD)
        view = session.with_options(deadline=5)
        future = kernel.get_info.submit()
        things = [config, session, view, session.Kernel, kernel, kernel.get_info, request, future]
        for thing in things:
            assert leaks(repr(thing) + str(thing), server) == []
        future.result(LIMIT)
        assert leaks(repr(future), server) == []


def test_a_session_says_what_it_is(config):
    session = Session(config=config)
    assert "Session" in repr(session)
    session.close()


def test_credentials_in_a_proxy_url_are_not_repeated(make_config):
    proxy = "http://user:canary-password-77aa@127.0.0.1:9"
    config = make_config("http://manager.example", proxies={"http": proxy}, retries=0)
    assert PASSWORD not in repr(config)
    session = Session(config=config)
    error = session.Kernel("kernel").get_info.submit().exception(LIMIT)
    session.close()
    for text in texts(error):
        assert PASSWORD not in text


def test_nothing_is_logged_or_printed_by_default(config, server, capfd):
    server.script(close())
    with Session(config=config) as session:
        session.Kernel("kernel").get_info.submit().exception(LIMIT)
        session.bind(Probe).crash.submit("kernel", ValueError("x")).exception(LIMIT)
    del session
    gc.collect()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
