"""The table of proxies, and the sessions that offer them."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from ai.backend.client.config import APIConfig
from ai.backend.client.functions import PROXIES
from ai.backend.client.functions.base import ApiFunction, BaseFunction
from ai.backend.client.session import AsyncSession, Session


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


def test_proxies_derive_from_one_base() -> None:
    assert all(issubclass(proxy, BaseFunction) for proxy in PROXIES.values())


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_what_holds_connections_is_neither_pickled_nor_copied(way) -> None:
    session = Session(config=APIConfig(endpoint="http://manager.example", access_key="AK", secret_key="SK"))
    for held in (session, session.with_options(timeout=1), session.Kernel("mine")):
        with pytest.raises(TypeError, match=r"cannot be pickled or copied"):
            way(held)
