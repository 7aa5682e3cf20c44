"""What type checkers must see. Checked by `.ci/run` against the installed package; never executed."""

from __future__ import annotations

from typing import Any, assert_type

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.functions.base import Async, Sync
from ai.backend.client.functions.kernel import Kernel
from ai.backend.client.session import AsyncSession, Session


def blocking(session: Session) -> None:
    """Functions of a `Session` return values."""
    assert_type(session.Kernel, type[Kernel[Sync]])
    assert_type(session.Kernel.get_or_create("python"), Kernel[Sync])
    assert_type(session.ComputeSession.get_or_create("python"), Kernel[Sync])
    assert_type(session.Kernel("name").get_info(), dict[str, Any])
    assert_type(session.Manager.status(), dict[str, Any])
    assert_type(session.with_options(retries=0), Session)


def futures(session: Session) -> None:
    """`submit` returns futures of the same."""
    assert_type(session.Manager.status.submit(), CallFuture[dict[str, Any]])
    assert_type(session.Kernel.get_or_create.submit("python"), CallFuture[Kernel[Sync]])
    assert_type(session.Manager.status.submit().result(), dict[str, Any])


async def asynchronous(session: AsyncSession) -> None:
    """Functions of an `AsyncSession` return futures, which can be awaited."""
    assert_type(session.Manager.status(), CallFuture[dict[str, Any]])
    assert_type(await session.Manager.status(), dict[str, Any])
    kernel = await session.Kernel.get_or_create("python")
    assert_type(kernel, Kernel[Async])
    assert_type(kernel.get_info(), CallFuture[dict[str, Any]])
    async with session as entered:
        assert_type(entered, AsyncSession)


def mistakes(session: Session) -> None:
    """Wrong arguments are seen: an unused ignore would be an error."""
    session.Kernel("name").execute(cod="1")  # type: ignore[call-arg]
    session.Kernel.get_or_create()  # type: ignore[call-arg]
    session.NoSuchProxy  # type: ignore[attr-defined] # noqa: B018
