"""The table of proxies, and the sessions that offer them."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import re

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.functions import PROXIES
from ai.backend.client.functions.base import ApiFunction, BaseFunction, BoundFunction
from ai.backend.client.session import AsyncSession, Session


def shown_by_help(thing: object) -> str:
    """Its help, each signature on one line: CPython 3.13 breaks the long ones."""
    return re.sub(r"\([\s|]+", "(", re.sub(r"[ \n]+", " ", pydoc.plain(pydoc.render_doc(thing))))


def test_all_proxies_are_there() -> None:
    assert sorted(PROXIES) == [
        "Admin", "Agent", "AgentWatcher", "Auth", "BackgroundTask", "ClusterTemplate", "ComputeSession", "Domain",
        "Dotfile", "EtcdConfig", "Group", "Image", "Kernel", "KeyPair", "KeypairResourcePolicy", "Manager", "Model",
        "Permission", "ProjectResourcePolicy", "QuotaScope", "Resource", "ScalingGroup", "ServerLog", "Service",
        "SessionTemplate", "Storage", "System", "User", "UserResourcePolicy", "VFolder",
    ]  # fmt: skip
    assert PROXIES["ComputeSession"] is PROXIES["Kernel"]


@pytest.mark.parametrize("kind", [Session, AsyncSession])
def test_every_proxy_is_an_attribute_of_a_session(kind) -> None:
    session = kind(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    for name, proxy in PROXIES.items():
        bound = getattr(session, name)
        assert issubclass(bound, proxy)
        assert bound.session is session
        assert getattr(session, name) is bound


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_every_function_says_what_it_sends(name) -> None:
    """Docstrings name the request, and whether it may be repeated."""
    for owner in PROXIES[name].__mro__:
        for function, member in vars(owner).items():
            if isinstance(member, ApiFunction):
                text = inspect.cleandoc(member.__doc__ or "")
                assert "dempotent" in text or "epeated" in text or "sent twice" in text, f"{owner.__name__}.{function}"


@pytest.mark.parametrize("kind", [Session, AsyncSession])
def test_every_function_is_documented_where_users_look(kind) -> None:
    """`help`, completion in notebooks and `inspect.signature` show the function itself, with a session and without."""
    session = kind(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    for name, proxy in PROXIES.items():
        for owner in (getattr(session, name), proxy):
            for function, member in inspect.getmembers(owner, lambda value: isinstance(value, BoundFunction)):
                recipe = member.__wrapped__
                assert inspect.getdoc(member) == inspect.getdoc(recipe)
                signature = inspect.signature(member)
                assert list(signature.parameters) == list(inspect.signature(recipe).parameters)[1:], function
                assert "Recipe" not in signature.return_annotation
                shown = pydoc.plain(pydoc.render_doc(member))
                assert f"{function}(" in shown or f"{recipe.__name__}(" in shown
                assert inspect.getdoc(recipe).splitlines()[0] in shown
    assert ("CallFuture" in str(inspect.signature(session.Manager.status))) is (kind is AsyncSession)
    assert "get_or_create(image" in shown_by_help(session.Kernel)


@pytest.mark.parametrize("kind", [Session, AsyncSession])
def test_every_proxy_shows_what_makes_its_objects(kind) -> None:
    """`__signature__` is what `help`, editors and `inspect.signature` read first, in every version of Python."""
    session = kind(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    for name, proxy in PROXIES.items():
        taken = [] if proxy.__init__ is object.__init__ else list(inspect.signature(proxy.__init__).parameters)[1:]
        for owner in (getattr(session, name), proxy):
            assert owner.__signature__ == inspect.signature(owner)
            assert list(inspect.signature(owner).parameters) == taken, name
    assert "kernel_id" in inspect.signature(session.Kernel).parameters
    assert " | Kernel(kernel_id: " in shown_by_help(session.Kernel)


@pytest.mark.parametrize("kind", [Session, AsyncSession])
def test_help_on_a_proxy_shows_every_function(kind) -> None:
    session = kind(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    for name in PROXIES:
        bound = getattr(session, name)
        shown = shown_by_help(bound)
        for function, member in inspect.getmembers(bound, lambda value: isinstance(value, BoundFunction | ApiFunction)):
            assert f" | {function}(" in shown or f" | {function} = {member.__name__}(" in shown, (name, function)


def test_a_function_of_objects_that_is_called_on_the_class_says_so() -> None:
    session = Session(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    with pytest.raises(TypeError, match="get_info is a function of objects"):
        session.Kernel.get_info()


def test_proxies_derive_from_one_base() -> None:
    assert all(issubclass(proxy, BaseFunction) for proxy in PROXIES.values())


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_what_holds_connections_is_neither_pickled_nor_copied(way) -> None:
    session = Session(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    for held in (session, session.with_options(timeout=1), session.Kernel("mine")):
        with pytest.raises(TypeError, match=r"cannot be pickled or copied"):
            way(held)
