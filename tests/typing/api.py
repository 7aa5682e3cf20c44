"""What type checkers must see. Checked by `.ci/run` against the installed package; never executed."""

from __future__ import annotations

from typing import Any, assert_type

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.functions.base import Async, Sync
from ai.backend.client.functions.compute.kernel import Kernel
from ai.backend.client.functions.toolkit.pages import ItemIterator, PaginatedResult
from ai.backend.client.session import AsyncSession, Session


def blocking(session: Session) -> None:
    """Functions of a `Session` return values."""
    assert_type(session.Kernel, type[Kernel[Sync]])
    assert_type(session.Kernel.get_or_create("python"), Kernel[Sync])
    assert_type(session.ComputeSession.get_or_create("python"), Kernel[Sync])
    assert_type(session.Kernel("name").get_info(), dict[str, Any])
    assert_type(session.System.get_manager_version(), str)
    assert_type(session.with_options(retries=0), Session)


def futures(session: Session) -> None:
    """`submit` returns futures of the same."""
    assert_type(session.System.get_manager_version.submit(), CallFuture[str])
    assert_type(session.Kernel.get_or_create.submit("python"), CallFuture[Kernel[Sync]])
    assert_type(session.System.get_manager_version.submit().result(), str)


async def asynchronous(session: AsyncSession) -> None:
    """Functions of an `AsyncSession` return futures, which can be awaited."""
    assert_type(session.System.get_manager_version(), CallFuture[str])
    assert_type(await session.System.get_manager_version(), str)
    kernel = await session.Kernel.get_or_create("python")
    assert_type(kernel, Kernel[Async])
    assert_type(kernel.get_info(), CallFuture[dict[str, Any]])
    async with session as entered:
        assert_type(entered, AsyncSession)


def pages(session: Session) -> None:
    """A paginated list is a page, or every item lazily."""
    assert_type(session.Agent.paginated_list(), PaginatedResult)
    assert_type(session.Agent.paginated_list.iterate(), ItemIterator)
    for agent in session.Agent.paginated_list.iterate(page_size=50):
        assert_type(agent, dict[str, Any])


async def pages_asynchronously(session: AsyncSession) -> None:
    """The same for tasks."""
    assert_type(await session.Agent.paginated_list(), PaginatedResult)
    async for agent in session.Agent.paginated_list.iterate(page_size=50):
        assert_type(agent, dict[str, Any])


def views(session: AsyncSession) -> None:
    """A view is of the session's own kind, and so are its proxies."""
    view = session.with_options(deadline=5)
    assert_type(view, AsyncSession)
    assert_type(view.System.get_manager_version(), CallFuture[str])


def mistakes(session: Session) -> None:
    """Wrong arguments are seen: an unused ignore would be an error."""
    session.Kernel("name").execute(cod="1")  # type: ignore[call-arg]  # must be an error
    session.Kernel.get_or_create()  # type: ignore[call-arg]  # must be an error
    session.Domain.create("d", is_active="yes")  # type: ignore[arg-type]  # must be an error
    session.NoSuchProxy  # type: ignore[attr-defined] # noqa: B018  # must be an error
