"""Paginated lists: one page per call, or every item lazily.

::

    page = session.Agent.paginated_list(page_size=50)          # one page
    for agent in session.Agent.paginated_list.iterate():       # page after page, as far as the loop gets
        ...

In asyncio: ``await session.Agent.paginated_list()`` and ``async for agent in session.Agent.paginated_list.iterate()``.
"""

from __future__ import annotations

import collections
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, overload

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.functions.base import (
    ApiFunction,
    Async,
    BaseFunction,
    BlockingFunction,
    BoundFunction,
    FutureFunction,
    Recipe,
    Sync,
    plain_arguments,
)
from ai.backend.client.types import undefined

__all__ = ["MAX_PAGE_SIZE", "ItemIterator", "PaginatedResult", "api_page_function"]

P = ParamSpec("P")
Row = dict[str, Any]

MAX_PAGE_SIZE = 100
"""Items per page that the manager gives at most."""

IDENTITIES = ("id", "uuid")
"""Fields that tell one item of a list from all others, each alone."""

ORIGINS = ("created_at", "endpoint_id")
TRAITS = (*ORIGINS, "access_key", "creator", "group", "host", "hostname", "name")
"""Fields that do so together, where at least one of :data:`ORIGINS` is among them: those that do not change."""


class PaginatedResult(NamedTuple):
    """One page.

    Attributes:
        total_count: How many items there are in all.
        items: Those of this page.
        fields: What was selected, as text.
    """

    total_count: int
    items: list[Row]
    fields: tuple[str, ...]


class ItemIterator:
    """Every item of a paginated list, for ``for`` and ``async for``. For one consumer.

    Fetches a page when the items of the one before have been taken, and nothing before the first. The loop may destroy
    what it gets: what is there all the time comes once, whatever appears or vanishes meanwhile. For that the items need
    an ``id``, ``uuid`` or ``created_at`` among their fields, as they have by default, and the list an order that stays.
    Otherwise items that move on the server meanwhile may be missed or come twice.

    The manager counts from the start for each page. So each page begins with the last item of the one before: where
    that is another item, some have vanished and the rest moved up, and the iterator goes back as far.

    Args:
        fetch: Starts fetching the page at an offset.
        wait: Waits for such a future in a blocking way.
        offset: Index of the first item.
    """

    def __init__(
        self,
        fetch: Callable[[int], CallFuture[PaginatedResult]],
        wait: Callable[[CallFuture[PaginatedResult]], PaginatedResult],
        offset: int,
    ) -> None:
        self._fetch = fetch
        self._wait = wait
        self._start = self._offset = offset
        self._overlaps = False
        self._is_stale = False  # whether the latest page had nothing new
        self._given: set[Any] = set()
        self._items: collections.deque[Row] = collections.deque()
        self._total: int | None = None
        self._exhausted = False

    @property
    def total_count(self) -> int | None:
        """How many items the latest page said there are in all, offset or not; None before the first page."""
        return self._total

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        while not self._items and not self._exhausted:
            self._take(self._wait(self._fetch(self._offset)))
        if not self._items:
            raise StopIteration
        return self._items.popleft()

    def __aiter__(self) -> AsyncIterator[Row]:
        return self

    async def __anext__(self) -> Row:
        while not self._items and not self._exhausted:
            self._take(await self._fetch(self._offset))
        if not self._items:
            raise StopAsyncIteration
        return self._items.popleft()

    def _take(self, page: PaginatedResult) -> None:
        keys = [_identity(row) for row in page.items]
        vanished = 0 if self._total is None else self._total - page.total_count
        self._total = page.total_count
        # Where the list has no order that stays, going back again and again would never end.
        if self._offset > self._start and not self._is_stale and self._is_too_far(keys, vanished):
            self._offset = max(self._start, self._offset - (vanished if vanished > 0 else MAX_PAGE_SIZE))
            return
        self._items.extend(row for row, key in zip(page.items, keys, strict=True) if key not in self._given)
        self._is_stale = not self._items
        self._given.update(key for key in keys if key is not None)
        end = self._offset + len(page.items)
        self._exhausted = not page.items or end >= page.total_count
        self._overlaps = len(keys) > 1 and None not in keys
        self._offset = end - self._overlaps

    def _is_too_far(self, keys: list[Any], vanished: int) -> bool:
        """Whether items that were not given yet may stand before a page."""
        if self._overlaps:
            return not keys or keys[0] not in self._given
        return bool(self._given) and vanished > 0  # pages of one item


def _identity(row: Row) -> Any:
    """What tells an item from the others of its list; None where nothing does."""
    for name in IDENTITIES:
        if isinstance(row.get(name), str | int):
            return row[name]
    return repr([row.get(name) for name in TRAITS]) if any(row.get(name) for name in ORIGINS) else None


class _Iterable(BoundFunction[P, PaginatedResult]):
    __slots__ = ()

    def iterate(self, *args: P.args, **kwargs: P.kwargs) -> ItemIterator:
        """Every item from ``page_offset`` on, page after page.

        Args:
            args: As for the function itself.
            kwargs: As for the function itself. ``page_size`` is the number of items per request.

        Returns:
            An iterator for ``for`` and ``async for``. Nothing is sent before its first item is asked for; each page is
            a call of its own, with limits of its own.

        Raises:
            TypeError: The arguments do not fit the function.
        """
        given, options = plain_arguments(args, kwargs)  # once for all pages
        offset = options.pop("page_offset", 0)
        self._function.recipe(self._target, *args, **kwargs).close()  # binds the arguments; never started
        submit: Any = self.submit
        start = 0 if offset is undefined else offset
        return ItemIterator(lambda at: submit(*given, page_offset=at, **options), self._session._wait, start)


class BlockingPageFunction(_Iterable[P], BlockingFunction[P, PaginatedResult]):
    """A paginated list of a ``Session``."""

    __slots__ = ()


class FuturePageFunction(_Iterable[P], FutureFunction[P, PaginatedResult]):
    """A paginated list of an ``AsyncSession``."""

    __slots__ = ()


class PageFunction(ApiFunction[P, PaginatedResult]):
    """A recipe that fetches one page, with ``page_offset`` among its keyword arguments."""

    blocking_kind = BlockingPageFunction
    future_kind = FuturePageFunction

    if TYPE_CHECKING:

        @overload  # narrower on purpose
        def __get__(
            self, instance: BaseFunction[Sync] | None, owner: type[BaseFunction[Sync]]
        ) -> BlockingPageFunction[P]: ...

        @overload
        def __get__(
            self, instance: BaseFunction[Async] | None, owner: type[BaseFunction[Async]]
        ) -> FuturePageFunction[P]: ...

        def __get__(self, instance: Any, owner: Any) -> Any: ...


def api_page_function(recipe: Callable[Concatenate[Any, P], Recipe[PaginatedResult]]) -> PageFunction[P]:
    """Make a recipe that fetches one page an API function of the class, with ``.iterate()`` for all of them."""
    return PageFunction(recipe, on_class=True)
