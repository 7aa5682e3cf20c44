"""An HTTP/1.1 keep-alive server on loopback that answers every caller with what that caller asked for.

Runs as a process of its own (`support.servers.echo` starts it), so that it shares neither interpreter, lock nor
monkey-patching with the code under test, and imports nothing of it. What it does follows from the name in the path,
`/session/{name}`: leading words, separated by `-`, are orders, and the first word that is no order ends them.

=========== ==================================================================
`d50`       answer after 50 ms
`rand`      answer after 0 to 20 ms, at random; `rand200`: 0 to 200 ms
`never`     never answer
`s503`      answer with status 503
`s503x2`    answer with status 503 twice, then with 200 (counted per path)
`ra7`       add `Retry-After: 7` to an error answer
`drop1`     close the connection without an answer once, then answer (per path)
`chunk`     answer with a chunked body
`close`     close the connection after the answer
`pad64`     make the body 64 KiB longer
=========== ==================================================================

`GET /_control/stats` and `POST /_control/reset` are the control path. Paths with `bulk` in them are counted, but not
remembered one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import datetime
import hashlib
import hmac
import itertools
import json
import random
import re
import sys
import urllib.parse
from typing import Any, ClassVar

ORDER = re.compile(r"(d|rand|s|ra|drop|pad)(\d+)(?:x(\d+))?|rand|never|chunk|close")
VERSION = {"version": "v7.20230615", "manager": "23.09.10"}
RANDOM_DELAY_MS = 20
DATE_WINDOW = datetime.timedelta(minutes=15)
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
CREDENTIAL = re.compile(r"BackendAI signMethod=HMAC-SHA256, credential=([^:]+):([0-9a-f]{64})")


class Orders:
    """What the name in a path asks for."""

    def __init__(self, name: str) -> None:
        self.delay = 0.0
        self.status = 200
        self.failures: int | None = None
        self.retry_after: int | None = None
        self.drops = 0
        self.padding = 0
        self.never = self.chunked = self.close = False
        for word in name.split("-"):
            found = ORDER.fullmatch(word)
            if found is None:
                break
            self._obey(word, found[1], int(found[2] or 0), found[3])

    def _obey(self, word: str, order: str | None, number: int, times: str | None) -> None:
        if word.startswith("rand"):
            self.delay = random.random() * (number or RANDOM_DELAY_MS) / 1000
        elif order == "d":
            self.delay = number / 1000
        elif order == "s":
            self.status, self.failures = number, int(times) if times else None
        elif order == "ra":
            self.retry_after = number
        elif order == "drop":
            self.drops = number
        elif order == "pad":
            self.padding = number * 1024
        else:
            setattr(self, {"never": "never", "chunk": "chunked", "close": "close"}[word], True)


class Statistics:
    def __init__(self) -> None:
        self.open = 0
        self.reset()

    def reset(self) -> None:
        self.requests = self.connections = self.peak = self.pending = 0
        self.paths: collections.Counter[str] = collections.Counter()
        self.aborted: list[str] = []

    def begin(self, key: str) -> None:
        self.requests += 1
        self.pending += 1
        self.peak = max(self.peak, self.pending)
        if "bulk" not in key:
            self.paths[key] += 1

    def end(self) -> None:
        self.pending = max(0, self.pending - 1)

    def snapshot(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "connections": self.connections,
            "open": self.open,
            "peak": self.peak,
            "pending": self.pending,
            "paths": self.paths,
            "aborted": self.aborted,
        }


class Echo(asyncio.Protocol):
    """One connection."""

    statistics = Statistics()
    serial = itertools.count(1)
    identity = ""
    keys: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.buffer = b""
        self.pending: str | None = None
        self.control = False
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.number = next(self.serial)
        self.statistics.connections += 1
        self.statistics.open += 1

    def connection_lost(self, error: Exception | None) -> None:
        if not self.control:
            self.statistics.open -= 1
        if self.timer is not None:
            self.timer.cancel()
        if self.pending is not None:
            self.statistics.aborted.append(self.pending)
            self._finish()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.pending is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].decode("latin-1")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
            }
            total = end + 4 + int(headers.get("content-length", "0"))
            if len(self.buffer) < total:
                return
            body, self.buffer = self.buffer[end + 4 : total], self.buffer[total:]
            method, target, _ = head.split(" ", 2)
            self.handle(method, target, headers, body)

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        path, _, query = target.partition("?")
        if path.startswith("/_control/"):
            self.answer_control(path)
            return
        key = f"{method} {path}"
        self.statistics.begin(key)
        self.pending = key
        if path == "/":
            self.reply(200, VERSION, Orders(""))
            return
        refusal = self.refuse(method, target, headers) if self.keys else None
        if refusal is not None:
            self.reply(401, {"type": "https://api.backend.ai/probs/auth-failed", "title": refusal}, Orders(""))
            return
        name = urllib.parse.unquote(path.split("/")[2]) if path.count("/") > 1 else ""
        orders = Orders(name)
        if orders.never:
            return
        count = self.statistics.paths[key]
        if 0 < count <= orders.drops:
            self._finish()
            self.transport.close()
            return
        if orders.failures is not None and count > orders.failures:
            orders.status = 200
        if orders.status >= 300:
            answer: Any = {"type": "https://api.backend.ai/probs/scripted", "title": name}
        elif method == "POST":
            answer = {"result": {"name": name, "status": "finished", "body": body.decode("latin-1")}}
        else:
            answer = self.describe(name, method, path, query, headers)
        if method == "PATCH" or path.endswith("/interrupt"):
            orders.status, answer = 204, None
        if orders.delay:
            self.timer = asyncio.get_running_loop().call_later(orders.delay, self.reply, orders.status, answer, orders)
        else:
            self.reply(orders.status, answer, orders)

    def describe(self, name: str, method: str, path: str, query: str, headers: dict[str, str]) -> dict[str, Any]:
        found = CREDENTIAL.fullmatch(headers.get("authorization", ""))
        return {
            "name": name,
            "server": self.identity,
            "access_key": found[1] if found else None,
            "version": headers.get("x-backendai-version"),
            "method": method,
            "path": path,
            "query": query,
            "host": headers.get("host"),
            "connection": self.number,
        }

    def refuse(self, method: str, target: str, headers: dict[str, str]) -> str | None:
        """Verify date and signature as a manager does; the reason of the refusal, or None."""
        found = CREDENTIAL.fullmatch(headers.get("authorization", ""))
        if found is None:
            return "no credential"
        secret = self.keys.get(found[1])
        if secret is None:
            return "unknown access key"
        date_text = headers.get("date", "")
        date = datetime.datetime.fromisoformat(date_text)
        if abs(datetime.datetime.now(datetime.UTC) - date) > DATE_WINDOW:
            return "date too far off"
        key = hmac.digest(secret.encode(), date.strftime("%Y%m%d").encode(), "sha256")
        key = hmac.digest(key, headers["host"].encode(), "sha256")
        content_type = headers.get("content-type", "application/octet-stream").partition(";")[0].lower()
        lines = [method, target, date_text, f"host:{headers['host']}", f"content-type:{content_type}"]
        lines += [f"x-backendai-version:{headers['x-backendai-version']}", EMPTY_HASH]
        expected = hmac.new(key, "\n".join(lines).encode(), "sha256").hexdigest()
        return None if hmac.compare_digest(expected, found[2]) else "signature mismatch"

    def answer_control(self, path: str) -> None:
        if not self.control:
            self.control = True
            self.statistics.open -= 1
            self.statistics.connections -= 1
        if path == "/_control/reset":
            self.statistics.reset()
        self.pending = "control"
        self.reply(200, self.statistics.snapshot(), Orders(""), count=False)

    def reply(self, status: int, answer: Any, orders: Orders, *, count: bool = True) -> None:
        self.timer = None
        if self.transport.is_closing():
            return
        body = b"" if answer is None else json.dumps(answer).encode() + b" " * orders.padding
        head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n"
        if orders.retry_after is not None and status >= 300:
            head += f"Retry-After: {orders.retry_after}\r\n"
        if orders.close:
            head += "Connection: close\r\n"
        if orders.chunked:
            middle = len(body) // 2
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part)
            self.transport.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        else:
            length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
            self.transport.write(head.encode() + length + b"\r\n" + body)
        if count:
            self._finish()
        else:
            self.pending = None
        if orders.close:
            self.transport.close()
        elif self.buffer:
            self.data_received(b"")

    def _finish(self) -> None:
        self.pending = None
        self.statistics.end()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=16384)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # The parent holds the other end of stdin: when it goes, however it goes, so do we.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--identity", default="echo", help="returned in every answer")
    parser.add_argument("--key", action="append", default=[], help="access:secret; with any, signatures are verified")
    options = parser.parse_args()
    Echo.identity = options.identity
    Echo.keys = dict(pair.split(":", 1) for pair in options.key)
    asyncio.run(serve(options.port))


if __name__ == "__main__":
    main()
