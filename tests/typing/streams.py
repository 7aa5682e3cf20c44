"""What type checkers must see of streams: values under a `Session`, futures under an `AsyncSession`. Never executed."""

from __future__ import annotations

from typing import Any, assert_type

from ai.backend.client.actors.future import CallFuture
from ai.backend.client.functions.base import Async, Sync
from ai.backend.client.functions.compute.sockets import StreamExecute, StreamPty
from ai.backend.client.functions.streams.events import SSEMessage, SSEResponse
from ai.backend.client.functions.streams.tunnel import Tunnel
from ai.backend.client.functions.streams.websocket import WSMessage
from ai.backend.client.session import AsyncSession, Session


def blocking(session: Session) -> None:
    """Streams of a `Session`."""
    kernel = session.Kernel("mine")
    with kernel.listen_events() as events:
        assert_type(events, SSEResponse[Sync])
        for event in events:
            assert_type(event, SSEMessage)
    with kernel.stream_execute("code") as run:
        assert_type(run, StreamExecute[Sync])
        assert_type(next(run), WSMessage)
        assert_type(run.send_input("text"), None)
        assert_type(run.receive_str(), str)
        for result in run.results():
            assert_type(result, dict[str, Any])
    with kernel.stream_pty() as terminal:
        assert_type(terminal, StreamPty[Sync])
        assert_type(terminal.write("ls\n"), None)
        assert_type(terminal.read(), bytes)
    with kernel.tunnel("sshd") as tunnel:
        assert_type(tunnel, Tunnel[Sync])
        assert_type(tunnel.address, tuple[str, int])
    for block in kernel.get_task_logs("id"):
        assert_type(block, bytes)
    assert_type(events.close(), None)


async def asynchronous(session: AsyncSession) -> None:
    """Streams of an `AsyncSession`."""
    kernel = session.Kernel("mine")
    async with kernel.listen_events() as events:
        assert_type(events, SSEResponse[Async])
        async for event in events:
            assert_type(event, SSEMessage)
    async with kernel.stream_execute("code") as run:
        assert_type(run, StreamExecute[Async])
        assert_type(await anext(run), WSMessage)
        assert_type(run.send_input("text"), CallFuture[None])
        assert_type(await run.receive_str(), str)
        async for result in run.results():
            assert_type(result, dict[str, Any])
    async with kernel.stream_pty() as terminal:
        assert_type(terminal.resize(24, 80), CallFuture[None])
        async for output in terminal.output():
            assert_type(output, bytes)
    async with kernel.tunnel("sshd", port=8022) as tunnel:
        assert_type(tunnel, Tunnel[Async])
    async for block in kernel.get_task_logs("id"):
        assert_type(block, bytes)
    assert_type(events.close(), CallFuture[None])
