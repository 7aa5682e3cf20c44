"""Paginated lists: one page per call, or all items lazily."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.functions.base import BaseFunction, M, Recipe
from ai.backend.client.functions.toolkit.pages import PageFunction, PaginatedResult, api_page_function
from ai.backend.client.request import Request
from ai.backend.client.types import undefined
from support.waiting import LIMIT


class Things(BaseFunction[M]):
    """A list on a server that can change between pages."""

    @api_page_function
    def paginated_list(
        cls, kind: str | None = None, *, page_offset: int = 0, page_size: int = 2
    ) -> Recipe[PaginatedResult]:
        """A page."""
        items = yield Request("GET", f"/things/{kind}/{page_offset}/{page_size}")
        return PaginatedResult(len(cls.session.things), items, ("id",))


class Server:
    """A session whose calls are answered at once, or fail."""

    asynchronous = False

    def __init__(self, total: int) -> None:
        self.things = [{"id": number} for number in range(total)]
        self.asked: list[str] = []
        self.error: Exception | None = None

    def _submit(self, _name: str, _proxy: Any, recipe: Any) -> CallFuture[Any]:
        future: CallFuture[Any] = CallFuture()
        request = next(recipe)
        self.asked.append(request.path)
        if self.error is not None:
            future.settle(None, self.error)
            return future
        offset, size = map(int, request.path.split("/")[-2:])
        try:
            recipe.send(self.things[offset : offset + size])
        except StopIteration as stop:
            future.settle(stop.value, None)
        return future

    @staticmethod
    def _wait(future: CallFuture[Any]) -> Any:
        return future.result(LIMIT)


@pytest.fixture
def server() -> Server:
    return Server(5)


@pytest.fixture
def things(server: Server) -> Any:
    return type("Things", (Things,), {"session": server})


def test_one_page_per_call(server, things) -> None:
    page = things.paginated_list("a", page_offset=1, page_size=3)
    assert page == PaginatedResult(5, [{"id": 1}, {"id": 2}, {"id": 3}], ("id",))
    assert server.asked == ["things/a/1/3"]


def test_all_items_come_page_after_page(server, things) -> None:
    items = things.paginated_list.iterate("a")
    assert [item["id"] for item in items] == [0, 1, 2, 3, 4]
    assert server.asked == [f"things/a/{offset}/2" for offset in range(4)]  # each begins with the last one's end


def test_an_offset_that_was_not_given_is_none(server, things) -> None:
    assert len(list(things.paginated_list.iterate(page_offset=undefined))) == 5


def test_an_iterator_among_the_arguments_serves_every_page(proxy, reply) -> None:
    played = []
    agents = proxy()["Agent"]

    def wait(play):
        played.append(play)
        items = [{"id": f"a{len(played)}"}]
        return play.answer(reply({"agent_list": {"items": items, "total_count": 2}})).value

    agents.session._wait = wait
    items = agents.paginated_list.iterate(fields=(name for name in ["id"]), page_size=1)
    assert [item["id"] for item in items] == ["a1", "a2"]
    assert len(played) == 2


def test_asyncio_gets_the_same_items(server, things) -> None:
    async def collect() -> list[int]:
        return [item["id"] async for item in things.paginated_list.iterate(page_size=3)]

    assert asyncio.run(collect()) == [0, 1, 2, 3, 4]
    assert server.asked == ["things/None/0/3", "things/None/2/3"]


def test_nothing_is_sent_before_the_first_item_is_asked_for(server, things) -> None:
    items = things.paginated_list.iterate()
    assert (server.asked, items.total_count) == ([], None)
    next(items)
    assert (server.asked, items.total_count) == (["things/None/0/2"], 5)


def test_no_page_is_fetched_that_nobody_reads(server, things) -> None:
    for item in things.paginated_list.iterate():
        if item["id"] == 1:
            break
    assert server.asked == ["things/None/0/2"]


def test_an_offset_is_where_it_starts(things) -> None:
    items = things.paginated_list.iterate(page_offset=3)
    assert [item["id"] for item in items] == [3, 4]
    assert items.total_count == 5


@pytest.mark.parametrize("offset", [5, 9])
def test_an_offset_past_the_end_gives_nothing(offset, server, things) -> None:
    assert list(things.paginated_list.iterate(page_offset=offset)) == []
    assert len(server.asked) == 1


def test_an_empty_list(things, server) -> None:
    server.things.clear()
    items = things.paginated_list.iterate()
    assert list(items) == []
    assert items.total_count == 0
    assert list(items) == []  # and stays at its end
    assert len(server.asked) == 1


def test_a_list_that_shrinks_meanwhile_ends(server, things) -> None:
    items = things.paginated_list.iterate()
    next(items)
    del server.things[1:]
    assert [item["id"] for item in items] == [1]
    assert items.total_count == 1


def test_a_list_that_grows_meanwhile_is_read_to_its_end(server, things) -> None:
    items = things.paginated_list.iterate()
    next(items)
    server.things.append({"id": 5})
    assert [item["id"] for item in items] == [1, 2, 3, 4, 5]


def every(items, loop: str, each: Any) -> list[Any]:
    """All items, each handed to a function before the next is asked for."""
    found = []

    def take(item: Any) -> None:
        found.append(item)
        each(item)

    async def main() -> None:
        async for item in items:
            take(item)

    if loop == "async for":
        asyncio.run(main())
    else:
        for item in items:
            take(item)
    return found


LOOPS = pytest.mark.parametrize("loop", ["for", "async for"])
SIZES = pytest.mark.parametrize("size", [1, 2, 3, 20, 100])


@LOOPS
@SIZES
@pytest.mark.parametrize("step", [1, 2, 3])
def test_what_a_loop_destroys_makes_it_skip_nothing(loop, size, step, server, things) -> None:
    """All, every second, every third."""
    server.things = [{"id": number} for number in range(44)]
    items = things.paginated_list.iterate(page_size=size)
    given = every(items, loop, lambda item: item["id"] % step or server.things.remove(item))
    assert [item["id"] for item in given] == list(range(44))
    assert len(server.things) == sum(number % step > 0 for number in range(44))


@LOOPS
@pytest.mark.parametrize("size", [2, 3, 20])
def test_what_appears_meanwhile_makes_it_give_nothing_twice(loop, size, server, things) -> None:
    """At either end of the list, while others vanish, so that the total stays."""
    server.things = [{"id": number} for number in range(44)]
    fresh = itertools.count(100)

    def replace(item: Any) -> None:
        if item["id"] < 44:
            server.things.remove(item)
            server.things.insert(0 if item["id"] % 2 else len(server.things), {"id": next(fresh)})

    given = [item["id"] for item in every(things.paginated_list.iterate(page_size=size), loop, replace)]
    assert len(given) == len(set(given))
    assert [number for number in given if number < 44] == list(range(44))


@LOOPS
def test_items_at_the_front_push_none_into_the_next_page_again(loop, server, things) -> None:
    server.things = [{"id": number} for number in range(44)]
    items = things.paginated_list.iterate(page_size=20)
    given = every(items, loop, lambda item: item["id"] % 7 or server.things.insert(0, {"id": item["id"] + 100}))
    assert [item["id"] for item in given if item["id"] < 44] == list(range(44))


@LOOPS
def test_items_without_an_id_are_told_apart_by_their_origin(loop, server, things) -> None:
    server.things = [{"name": "same", "created_at": f"t{number}"} for number in range(44)]
    given = every(things.paginated_list.iterate(page_size=20), loop, server.things.remove)
    assert [item["created_at"] for item in given] == [f"t{number}" for number in range(44)]


@LOOPS
def test_a_list_without_any_order_ends(loop, server, things) -> None:
    """The server shuffles it for every page."""
    server.things = [{"id": number} for number in range(44)]
    shuffle = random.Random(1).shuffle
    for _ in range(20):
        given = every(things.paginated_list.iterate(page_size=5), loop, lambda _: shuffle(server.things))
        assert len({item["id"] for item in given}) == len(given)


def test_items_that_nothing_tells_apart_all_come(server, things) -> None:
    server.things = [{"status": "RUNNING"}] * 44
    assert len(list(things.paginated_list.iterate(page_size=20))) == 44
    assert server.asked == ["things/None/0/20", "things/None/20/20", "things/None/40/20"]


def test_a_failed_page_can_be_asked_for_again(server, things) -> None:
    items = things.paginated_list.iterate()
    assert [next(items), next(items)] == [{"id": 0}, {"id": 1}]
    server.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        next(items)
    server.error = None
    assert next(items) == {"id": 2}


@pytest.mark.parametrize(("args", "options"), [(("a", "b"), {}), ((), {"nonesuch": 1})])
def test_arguments_that_do_not_fit_are_refused_at_once(args, options, server, things) -> None:
    with pytest.raises(TypeError):
        things.paginated_list.iterate(*args, **options)
    assert server.asked == []


def test_it_is_a_function_of_the_class(things) -> None:
    assert isinstance(Things.__dict__["paginated_list"], PageFunction)
    assert things().paginated_list("a", page_size=1).items == [{"id": 0}]
    assert things.paginated_list.name == "Things.paginated_list"


def test_a_session_of_futures(server, things) -> None:
    server.asynchronous = True
    future = things.paginated_list(page_size=1)
    assert isinstance(future, CallFuture)
    assert future.result(LIMIT).items == [{"id": 0}]


def test_without_a_session_it_says_so() -> None:
    for call in (Things.paginated_list, Things.paginated_list.submit, Things.paginated_list.iterate):
        with pytest.raises(RuntimeError, match=r"Things\.paginated_list has no session"):
            call()
