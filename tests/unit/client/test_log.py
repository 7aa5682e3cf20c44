"""The session's voice: nothing by default; and when it speaks, context and no secret."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest
import structlog

from ai.backend.client import log
from support.waiting import LIMIT

SECRET = "s3cr3t"


@pytest.fixture
def logger():
    return log.get_logger("tests")


@pytest.fixture
def output():
    """What a listener on the standard `logging` gets, as text lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger(log.ROOT)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_nothing_is_said_or_configured_by_default():
    source = f"""
import logging, structlog
before = structlog.get_config(), list(logging.root.handlers), logging.root.level
from ai.backend.client.session import Session
from ai.backend.client import log
logger = log.get_logger("tests")
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(logger, level)("said", secret_key="{SECRET}")
logging.getLogger("ai.backend.client.actors.hub").error("said by the runtime")
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("said")
assert (structlog.get_config(), list(logging.root.handlers), logging.root.level) == before
assert not structlog.is_configured()
assert not log.level_check("tests")(logging.INFO)
"""
    run = subprocess.run(
        [sys.executable, "-P", "-c", source], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_listener_hears_text_and_context(logger, output):
    logger.info("answered", function="Kernel.get_info", attempt=2)
    assert output.getvalue() == "INFO ai.backend.client.tests answered function='Kernel.get_info' attempt=2\n"


def test_levels_are_those_of_logging(logger, output):
    logging.getLogger(log.ROOT).setLevel(logging.WARNING)
    logger.info("not heard")
    logger.warning("heard")
    assert output.getvalue() == "WARNING ai.backend.client.tests heard\n"
    heard = log.level_check("tests")
    assert (heard(logging.INFO), heard(logging.WARNING)) == (False, True)


def test_context_that_was_bound_is_said_every_time_and_binds_nobody_else(logger, output):
    bound = logger.bind(call=7, endpoint="http://h")
    bound.info("one", attempt=1)
    bound.info("two")
    logger.info("other")
    lines = output.getvalue().splitlines()
    assert [line.partition("tests ")[2] for line in lines] == [
        "one call=7 endpoint='http://h' attempt=1",
        "two call=7 endpoint='http://h'",
        "other",
    ]


def test_context_is_there_for_handlers_too(logger, caplog):
    with caplog.at_level(logging.INFO, log.ROOT):
        logger.bind(call=7).info("one", attempt=1)
    assert caplog.records[0].backend == {"call": 7, "attempt": 1}


@pytest.mark.parametrize("text", ["100%", "%s %d", "/session/%ED%95%9C", "a%%b"])
def test_a_percent_sign_is_a_percent_sign(logger, output, text):
    logger.info(text, path=text)
    assert output.getvalue() == f"INFO ai.backend.client.tests {text} path={text!r}\n"


def test_an_exception_is_shown_with_its_traceback(logger, output):
    try:
        raise KeyError("from the test")
    except KeyError as error:
        logger.error("failed", exc_info=error)  # with the error as a value
    text = output.getvalue()
    assert text.startswith("ERROR ai.backend.client.tests failed\nTraceback")
    assert "KeyError: 'from the test'" in text


@pytest.mark.parametrize(
    "name",
    ["access_key", "secret_key", "password", "Authorization", "COOKIE", "token", "secret"],
)
def test_a_secret_is_not_said(logger, output, caplog, name):
    logger.bind(**{name: SECRET}).info("one")
    logger.info("two", **{name: SECRET})
    assert SECRET not in output.getvalue()
    assert output.getvalue().count("[secure]") == 2
    assert SECRET not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    "value",
    [
        {"Authorization": SECRET},
        {"set-cookie": SECRET, "Date": "today"},
        {"password": SECRET},
        {"data": {"password": SECRET}},
        {"token": SECRET, 5: "not a name"},
    ],
    ids=["header", "cookie", "field", "field of a field", "beside a key that is no text"],
)
def test_a_secret_inside_a_mapping_is_not_said(logger, output, value):
    logger.info("one", headers=value)
    assert "one" in output.getvalue()
    assert SECRET not in output.getvalue()
    assert SECRET in str(value)  # the caller's own is not changed


def test_an_application_s_own_configuration_of_structlog_changes_nothing(logger, output, capsys):
    try:
        structlog.configure(processors=[structlog.processors.JSONRenderer()])
        logger.info("one", attempt=1)
        log.get_logger("tests").info("two")
    finally:
        structlog.reset_defaults()
    assert [line.partition("tests ")[2] for line in output.getvalue().splitlines()] == ["one attempt=1", "two"]
    assert capsys.readouterr().out == ""
