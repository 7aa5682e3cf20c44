"""A server of many event streams, in a process of its own: each stream gets one numbered event per period.

Started with `python -I event_server.py PERIOD SPREAD`; prints its port. `GET /events/...` opens a stream, numbered in
the order of arrival, whose events are `<stream> <number> <monotonic seconds when it was sent>`; with SPREAD `1` the
streams' turns are spread over the period, with `0` all have theirs at once. `GET /count` tells what was sent. Anything
else is answered as a call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
VERSION = json.dumps({"version": "v7.20230615", "manager": "23.09.10"}).encode()
KERNEL = json.dumps({"status": "RUNNING", "padding": "x" * 2000}).encode()
STEPS = 200
"""Turns per period, when they are spread."""


class Streams:
    """Every open stream, and its number."""

    def __init__(self, period: float, spread: bool) -> None:
        self.period = period
        self.steps = STEPS if spread else 1
        self.turns: list[dict[asyncio.Transport, list[int]]] = [{} for _ in range(self.steps)]
        self.opened = 0
        self.sent: dict[int, int] = {}

    def add(self, transport: asyncio.Transport) -> None:
        number, self.opened = self.opened, self.opened + 1
        self.turns[number % self.steps][transport] = [number, 0]
        transport.write(HEAD)

    def remove(self, transport: asyncio.Transport) -> None:
        for turn in self.turns:
            turn.pop(transport, None)

    async def run(self) -> None:
        start = time.monotonic()
        step = 0
        while True:
            step += 1
            await asyncio.sleep(max(0.0, start + step * self.period / self.steps - time.monotonic()))
            for transport, state in self.turns[step % self.steps].items():
                number, count = state
                data = f"event: tick\r\ndata: {number} {count} {time.monotonic()}\r\n\r\n".encode()
                transport.write(b"%x\r\n%s\r\n" % (len(data), data))
                state[1] = self.sent[number] = count + 1


class Connection(asyncio.Protocol):
    """One connection."""

    streams: Streams

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # asyncio says BaseTransport

    def connection_lost(self, exc: Exception | None) -> None:
        self.streams.remove(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            target = head.split(b" ", 2)[1]
            if target.startswith(b"/events/"):
                self.streams.add(self.transport)
            elif target == b"/count":
                self.reply(json.dumps(self.streams.sent).encode())
            else:
                self.reply(VERSION if target == b"/" else KERNEL)

    def reply(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def main() -> None:
    Connection.streams = Streams(float(sys.argv[1]), sys.argv[2] == "1")
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await Connection.streams.run()


if __name__ == "__main__":
    asyncio.run(main())
