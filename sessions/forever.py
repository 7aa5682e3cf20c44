"""Running an asyncio program until it is interrupted, as the vendor's 19.09 ``compat`` has it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

__all__ = ["asyncio_run_forever"]


def asyncio_run_forever(server_context: AbstractAsyncContextManager[Any], *, debug: bool = False) -> None:
    """Enter an async context in a new event loop and stay in it until Ctrl-C (or another exception) ends it.

    Args:
        server_context: What to run: ``async with`` is used on it.
        debug: Run the loop in debug mode.

    Raises:
        KeyboardInterrupt: Ctrl-C; the context was left in an orderly way first.
        RuntimeError: A loop runs in this thread already.
    """

    async def forever() -> None:
        async with server_context:
            await asyncio.get_running_loop().create_future()

    asyncio.run(forever(), debug=debug)
