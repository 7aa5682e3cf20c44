"""What the tests of the transport share: a hub and its lanes, configurations that cost nothing, endpoints."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ai.backend.client.actors.hub import Hub
from ai.backend.client.actors.net import sockets
from ai.backend.client.config import APIConfig
from ai.backend.client.sessions.wire.endpoints import Endpoint
from support.desk import Desk
from support.waiting import LIMIT


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A running hub with a thread of its own."""
    hub = Hub()
    hub.start()
    hub.teardown = lambda: sockets.close_all(hub)
    yield hub
    hub.stop()
    assert hub.join(LIMIT), "the hub did not stop"


@pytest.fixture
def in_lane(hub: Hub) -> Callable[..., Any]:
    """`in_lane(function, *args)` runs it in a greenlet below the hub; its value, or its exception raised."""

    def run(function: Callable[..., Any], *args: Any) -> Any:
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def body() -> None:
            try:
                value = function(*args)
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(value)

        hub.call(lambda: hub.greenlet(body).switch())
        return outcome.result(LIMIT)

    return run


@pytest.fixture
def endpoint() -> Callable[[str], Endpoint]:
    """`endpoint(url)`: as the session makes it of the same URL in a configuration."""
    return lambda url: Endpoint(APIConfig(endpoint=url).endpoints[0])


@pytest.fixture
def make_desk(hub: Hub) -> Iterator[Callable[..., Desk]]:
    """`make_desk(**options)`: a supervisor whose transport is the test's."""
    desks: list[Desk] = []

    def make(**options: Any) -> Desk:
        desks.append(Desk(hub, **options))
        return desks[-1]

    yield make
    for desk in desks:  # a timer that is left would hold up the hub's end
        hub.call(desk.supervisor.in_flight.close)


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """One of them."""
    return make_desk()
