"""`session.with_options`: a view with other limits on the same runtime, connections and life."""

from __future__ import annotations

import gc
import warnings
from functools import partial

import pytest

from ai.backend.client.exceptions import BackendAPIError, CallTimeout, InvalidArgument, SessionClosed
from support.asking import ask, is_answer, submit
from support.runtimes.calling import available
from support.waiting import soon


def test_a_view_makes_the_same_calls(runtime, echo, make_config, unique):
    names = [unique(), unique()]
    with runtime.session(make_config(echo, lanes=1)) as session:
        view = session.with_options(deadline=5, timeout=5, retries=1)
        first = runtime.value(partial(ask, session, names[0]))
        second = runtime.value(partial(ask, view, names[1]))
    assert is_answer(names[0], first)
    assert is_answer(names[1], second)
    assert first["connection"] == second["connection"]
    assert echo.stats()["paths"]["GET /"] == 1


def test_options_touch_the_view_only(runtime, echo, make_config, unique):
    name = unique("d300")
    with runtime.session(make_config(echo)) as session:
        hasty = session.with_options(deadline=0.05)
        assert isinstance(runtime.outcome(partial(ask, hasty, unique("never"))), CallTimeout)
        assert is_answer(name, runtime.value(partial(ask, session, name)))


def test_views_of_views_add_up(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(deadline=0.1).with_options(retries=0)
        with soon():
            assert isinstance(runtime.outcome(partial(ask, view, unique("never"))), CallTimeout)
        name = unique("s503")
        assert isinstance(runtime.outcome(partial(ask, view, name)), BackendAPIError)
        assert echo.seen(name) == 1


def test_no_limit_can_be_asked_for(runtime, echo, make_config, unique):
    name = unique("d500")
    with runtime.session(make_config(echo, deadline=0.1, read_timeout=0.1)) as session:
        patient = session.with_options(deadline=None, timeout=None)
        assert is_answer(name, runtime.value(partial(ask, patient, name)))


def test_closing_a_view_is_an_error(runtime, echo, make_config, unique):
    name = unique()
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(deadline=5)
        with pytest.raises(TypeError):
            view.close()
        assert not session.closed
        assert is_answer(name, runtime.value(partial(ask, view, name)))


def test_a_view_closes_with_its_session(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(deadline=5)
        runtime.close(session)
        assert view.closed
        assert isinstance(runtime.outcome(partial(ask, view, unique())), SessionClosed)


def test_a_view_opens_its_session(runtime, echo, make_config, unique):
    name = unique()
    session = runtime.make(make_config(echo))
    try:
        assert is_answer(name, runtime.value(partial(ask, session.with_options(deadline=5), name)))
        assert is_answer(name, runtime.value(partial(ask, session, name)))
    finally:
        runtime.close(session)
    assert echo.stats()["paths"]["GET /"] == 1


def test_objects_made_by_a_view_keep_its_options(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        kernel = session.with_options(deadline=0.05).Kernel(unique("never"))
        assert isinstance(runtime.outcome(kernel.get_info), CallTimeout)
        assert isinstance(runtime.outcome(kernel.get_info.submit), CallTimeout)


def test_a_view_keeps_its_session_open(runtime, echo, make_config, unique):
    name = unique()
    view = runtime.make(make_config(echo)).with_options(deadline=5)
    runtime.value(partial(ask, view, unique()))
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody can close that session any more
        assert is_answer(name, runtime.value(partial(ask, view, name)))
        del view
        gc.collect()


@pytest.mark.parametrize(
    "options",
    [
        {"deadline": -1},
        {"deadline": "soon"},
        {"timeout": "x"},
        {"retries": -1},
        {"retries": 1.5},
        {"deadline": float("nan")},
    ],
    ids=str,
)
def test_options_that_are_no_numbers_are_refused(runtime, echo, make_config, options):
    session = runtime.make(make_config(echo))
    with pytest.raises(InvalidArgument) as caught:
        session.with_options(**options)
    assert caught.value.argument == next(iter(options))


def test_unknown_options_are_refused(runtime, echo, make_config):
    session = runtime.make(make_config(echo))
    with pytest.raises(TypeError):
        session.with_options(patience=5)


@pytest.mark.parametrize("runtime", [name for name in available() if name != "asyncio"], indirect=True)
def test_map_on_a_view_uses_its_options(runtime, echo, make_config, unique):
    with runtime.session(make_config(echo)) as session:
        view = session.with_options(deadline=0.05)
        [outcome] = view.map(lambda name: submit(view, name), [unique("never")], return_exceptions=True)
    assert isinstance(outcome, CallTimeout)
