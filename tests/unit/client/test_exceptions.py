"""Errors as values: they travel between processes, and can always be shown."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from ai.backend.client import exceptions

ARGUMENTS = {
    "BackendAPIError": (404, "Not Found", {"type": "x"}),
    "InvalidArgument": ("name", "", "must not be empty"),
    "InvalidReply": ("it is no object", 200, b"[]"),
    "SourceChanged": ("file", "changed"),
    "TargetExists": ("file", "is a directory"),
    "TransferError": ("file", "is not there"),
}


@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name != "NoItems"])
def test_an_error_travels_with_all_that_it_says(name):
    error = getattr(exceptions, name)(*ARGUMENTS.get(name, ("something happened",)))
    error.path, error.attempts = "/folders", 2
    error.add_note("while 'file' was uploaded")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(twin), twin.args, vars(twin), str(twin)) == (type(error), error.args, vars(error), str(error))


@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name not in ("NoItems", "APIVersionWarning")])
def test_the_name_of_an_error_s_type_stands_once_in_a_traceback(name):
    error = getattr(exceptions, name)(*ARGUMENTS.get(name, ("something happened",)))
    error.method, error.path, error.endpoint, error.hint = "GET", "/folders", "http://manager", "look there"
    last = traceback.format_exception_only(error)[-1]
    assert last.count(name) == repr(error).count(name) == 1
    for text in (last, repr(error)):
        assert text.rstrip().endswith("[GET /folders at http://manager] (look there)")


def test_a_page_in_place_of_an_error_is_cut_short():
    page = f"<html>{'x' * 100_000}</html>"
    error = exceptions.BackendAPIError(404, "Not Found", page)
    assert error.data["content"] == page
    for text in (str(error), repr(error)):
        assert "<html>" in text
        assert len(text) < 500


def test_all_errors_of_the_tree_are_public():
    family = [exceptions.BackendError]
    for member in family:
        family += [heir for heir in member.__subclasses__() if heir.__module__ == exceptions.__name__]
    assert {member.__name__ for member in family} <= set(exceptions.__all__)
