"""A manager and a storage proxy with real files, on loopback: what transfers of virtual folders need, and nothing else.

Runs as a process of its own (`support.servers.storage` starts it) and imports nothing of the code under test. It
behaves as 23.09.10 does, where that matters: PATCH appends whatever comes, the last one moves the file, HEAD tells the
offset, GET knows ranges and If-Range by date only, an expired token is answered with 400. It also takes and gives files
as multipart on the manager, as 19.09 does.

`POST /_control` takes orders, `GET /_control` tells what happened:

=========================  ==========================================================================================
`{"fault": {...}}`         spoil the next request that fits: `on` (method, or last part of the path) and perhaps
                           `name` (in the file's path). `after`: bytes of the body to let through, then close,
                           `reset`: with RST, `hang`: after so many seconds; `status` and `kind`: answer so instead;
                           `headers`: set these; `lose`: do the work, but close without an answer; `whole`: ignore
                           the range; `stall`: wait so many seconds first; `slow`: seconds per 64 KiB
`{"expire": true}`         no token that was handed out is good any more
`{"begin": true}`          a new test: requests of earlier ones write no file any more
`{"heal": true}`           forget the faults
`{"forget": true}`         forget the log
=========================  ==========================================================================================
"""

from __future__ import annotations

import argparse
import email.parser
import email.policy
import email.utils
import io
import json
import math
import os
import re
import secrets
import socket
import ssl
import stat
import struct
import sys
import threading
import time
import urllib.parse
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PIECE = 65536
NOTED = ("authorization", "cookie", "x-backendai-version", "range", "if-range", "upload-offset", "content-type", "host",
         "content-length", "transfer-encoding", "user-agent", "accept-encoding")  # fmt: skip
PROBLEM = "https://api.backend.ai/probs/"


class Storage:
    """What the handlers share."""

    def __init__(self, root: Path, version: str, proxy_host: str) -> None:
        self.root = root
        self.version = version
        self.proxy_host = proxy_host
        self.url = ""
        self.lock = threading.Lock()
        self.tokens: dict[str, dict[str, Any]] = {}
        self.faults: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []
        self.open = self.peak = 0
        self.round = 0  # of tests: what belongs to an earlier one writes no file any more

    def token(self, **about: Any) -> str:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = about
        return token

    def fault(self, method: str, path: str, name: str) -> dict[str, Any]:
        with self.lock:
            for fault in self.faults:
                on = fault["on"]
                if (on == method or path.endswith("/" + on)) and fault.get("name", "") in name:
                    self.faults.remove(fault)
                    return fault
        return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: Storage
    timeout = 60

    counted: int | None = None
    """The round of tests in which this connection was counted."""

    def count(self) -> None:
        """One more connection, if it is new: neither those that give orders nor those of an earlier round count."""
        with self.storage.lock:
            if self.counted is None:
                self.counted = self.storage.round
                self.storage.open += 1
                self.storage.peak = max(self.storage.peak, self.storage.open)

    def finish(self) -> None:
        with self.storage.lock:
            if self.counted == self.storage.round:
                self.storage.open -= 1
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass

    # -- dispatch -----------------------------------------------------------------------------------------------------

    def handle_any(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query))
        self.place = parts.path
        self.left = int(self.headers.get("Content-Length", 0))
        self.round = self.storage.round
        if self.place == "/_control":
            self.control()
            return
        self.count()
        self.entry: dict[str, Any] = {
            "method": self.command,
            "path": self.place,
            "headers": {name: self.headers[name] for name in NOTED if name in self.headers},
            "received": 0,
            "sent": 0,
            "status": None,
        }
        with self.storage.lock:
            self.storage.log.append(self.entry)
        try:
            self.route(parts.path)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        if self.left:  # aiohttp reads on for a while; a client must not rely on it
            self.close_connection = True

    def route(self, path: str) -> None:
        if path == "/":
            self.answer(200, {"version": self.storage.version, "manager": "test"})
        elif path == "/upload":
            self.tus()
        elif path == "/download":
            self.download()
        elif found := re.fullmatch("/folders/([^/]+)/([a-z_-]+)", path):
            self.folder = self.storage.root / urllib.parse.unquote(found[1])
            method = getattr(self, f"do_{found[2].replace('-', '_')}_{self.command}", None)
            if not self.folder.is_dir():
                self.problem(404, "vfolder-not-found")
            elif method is None:
                self.problem(404, "url-not-found")
            else:
                method()
        else:
            self.problem(404, "url-not-found")

    def control(self) -> None:
        storage = self.storage
        if self.command == "POST":
            order = json.loads(self.read_all())
            with storage.lock:
                if "fault" in order:
                    storage.faults.append(order["fault"])
                if "expire" in order:
                    storage.tokens.clear()
                if "begin" in order:
                    storage.round += 1
                    storage.open = 0
                if "heal" in order:
                    storage.faults.clear()
                if "forget" in order:
                    storage.log.clear()
                    storage.peak = storage.open
        self.entry = {}
        told = {"log": storage.log, "faults": storage.faults, "peak": storage.peak, "tokens": list(storage.tokens)}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # -- bodies -------------------------------------------------------------------------------------------------------

    def read_all(self) -> bytes:
        data = self.rfile.read(self.left)
        self.left -= len(data)
        return data

    def params(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read_all()) if self.left else self.query
        return found

    def end_headers(self) -> None:
        """A client that is not told that the connection ends may send its next request on it."""
        if self.close_connection:
            self.send_header("Connection", "close")
        super().end_headers()

    def answer(self, status: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.entry["status"] = status
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def problem(self, status: int, kind: str, **data: Any) -> None:
        self.answer(status, {"type": PROBLEM + kind, "title": kind, "data": data})

    def break_off(self, reset: bool = False) -> None:
        """End the connection."""
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR) if not reset else None
        self.connection.close()
        raise ConnectionAbortedError

    def check_round(self) -> None:
        if self.round != self.storage.round:
            self.break_off()

    def spoil(self, fault: dict[str, Any]) -> bool:
        """Faults that come before any work."""
        if "stall" in fault:
            time.sleep(fault["stall"])
        if "status" in fault:
            kind = fault.get("kind", "scripted")
            self.answer(
                fault["status"], {"type": PROBLEM + kind, "title": kind, "told": self.path}, fault.get("headers")
            )
            return True
        return False

    # -- manager ------------------------------------------------------------------------------------------------------

    def do_request_upload_POST(self) -> None:
        params = self.params()
        if self.spoil(self.storage.fault("POST", self.place, params["path"])):
            return
        temp = self.folder / ".upload" / secrets.token_hex(8)
        temp.parent.mkdir(exist_ok=True)
        temp.touch()
        token = self.storage.token(
            op="upload", path=params["path"], target=str(self.folder / params["path"]), temp=str(temp),
            size=int(params["size"]),
        )  # fmt: skip
        self.answer(200, {"token": token, "url": f"{self.storage.url}/upload"})

    def do_request_download_POST(self) -> None:
        params = self.params()
        if "file" in params:
            self.answer(200, {"token": self.storage.token(op="old")})
            return
        if self.spoil(self.storage.fault("POST", self.place, params["path"])):
            return
        token = self.storage.token(op="download", path=params["path"], target=str(self.folder / params["path"]))
        self.answer(200, {"token": token, "url": f"{self.storage.url}/download"})

    def do_files_GET(self) -> None:
        directory = self.folder / self.params().get("path", ".")
        if not directory.is_dir():
            self.problem(404, "vfolder-not-found")
            return
        files = [
            {
                "filename": entry.name,
                "size": about.st_size,
                "mode": stat.filemode(about.st_mode),
                "mtime": about.st_mtime,
            }
            for entry in os.scandir(directory)
            for about in [entry.stat(follow_symlinks=False)]
        ]
        self.answer(200, {"files": json.dumps(files)})

    def do_mkdir_POST(self) -> None:
        params = self.params()
        target = self.folder / params["path"]
        if target.exists() and not params.get("exist_ok"):
            self.problem(400, "invalid-api-params")
            return
        target.mkdir(parents=True, exist_ok=True)
        self.answer(201)

    def do_upload_POST(self) -> None:
        """Multipart, as 19.09 takes it."""
        fault = self.storage.fault("POST", self.place, "")
        if self.spoil(fault):
            return
        if "after" in fault:
            self.rfile.read(fault["after"])
            self.break_off(fault.get("reset", False))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        body = self.read_all()
        self.entry["received"] = len(body)
        self.check_round()
        message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(head + body)
        parts = message.get_payload()
        if len(parts) > 10:
            self.problem(400, "invalid-api-params")
            return
        for part in parts:
            told = part["content-disposition"]
            plain, _, quoted = told.partition("filename*=utf-8''")
            name = urllib.parse.unquote(quoted) if quoted else plain.partition('filename="')[2][:-1]
            target = (self.folder / name).resolve()
            target.relative_to(self.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(part.get_payload(decode=True))
        if fault.get("lose"):
            self.break_off()
        self.answer(201)

    def do_download_GET(self) -> None:
        """Multipart, as 19.09 gives it: names without directories, in the order of the question."""
        names = self.params()["files"]
        fault = self.storage.fault("GET", self.place, " ".join(names))
        if self.spoil(fault):
            return
        files = [self.folder / name for name in names]
        if not all(file.is_file() for file in files):
            self.problem(400, "invalid-api-params")
            return
        boundary = secrets.token_hex(16)
        body = io.BytesIO()
        for file in files:
            name = urllib.parse.quote(fault.get("rename", file.name), safe="")
            body.write(
                f"--{boundary}\r\nContent-Encoding: identity\r\nContent-Type: application/octet-stream\r\n"
                f'Content-Length: {file.stat().st_size}\r\nContent-Disposition: attachment; filename="{name}"; '
                f"filename*=utf-8''{name}\r\n\r\n".encode()
            )
            body.write(file.read_bytes())
            body.write(b"\r\n")
        body.write(f"--{boundary}--\r\n".encode())
        data = body.getvalue()
        self.send_body(
            200, {"Content-Type": f'multipart/mixed; boundary="{boundary}"'}, io.BytesIO(data), len(data), fault
        )

    # -- storage proxy ------------------------------------------------------------------------------------------------

    def session(self, op: str) -> dict[str, Any] | None:
        about = self.storage.tokens.get(self.query.get("token", ""))
        if about is None or about["op"] != op:
            self.problem(400, "storage/invalid-api-params", token="cannot decode the given value as JWT")
            return None
        return about

    def tus(self) -> None:
        about = self.session("upload")
        if about is None:
            return
        fault = self.storage.fault(self.command, self.place, about["path"])
        if self.spoil(fault):
            return
        temp = Path(about["temp"])
        if not temp.exists():
            self.problem(404, "storage/no-such-upload-session")
            return
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(about["size"]), "Cache-Control": "no-store"}
        if self.command == "HEAD":
            self.answer(200, None, {**tus, "Upload-Offset": str(temp.stat().st_size), **fault.get("headers", {})})
            return
        limit = fault.get("after", self.left)
        with temp.open("ab") as stream:
            while self.left and limit:
                data = self.rfile.read1(min(PIECE, self.left, limit))
                if not data:
                    break
                stream.write(data)
                stream.flush()
                self.left -= len(data)
                limit -= len(data)
                self.entry["received"] += len(data)
                time.sleep(fault.get("slow", 0))
        if "after" in fault:
            if "hang" in fault:
                time.sleep(fault["hang"])
            self.break_off(fault.get("reset", False))
        if self.left:
            self.close_connection = True
            return
        self.check_round()
        size = temp.stat().st_size
        if size >= about["size"]:
            target = Path(about["target"])
            target.parent.mkdir(parents=True, exist_ok=True)
            temp.rename(target)
        if fault.get("lose"):
            self.break_off()
        self.answer(204, None, {**tus, "Upload-Offset": str(size), **fault.get("headers", {})})

    def download(self) -> None:
        about = self.session("download")
        if about is None:
            return
        fault = self.storage.fault("GET", self.place, about["path"])
        if self.spoil(fault):
            return
        target = Path(about["target"])
        if fault.get("dead"):  # as real ones, when their header would have a line break
            self.break_off()
        if not target.exists():
            self.problem(404, "storage/file-not-found")
        elif target.is_dir() and self.query.get("archive"):
            self.send_archive(target, fault)
        elif not target.is_file():
            self.problem(400, "storage/The file is not a regular file.")
        else:
            self.send_file(target, fault)

    def send_file(self, target: Path, fault: dict[str, Any]) -> None:
        about = target.stat()
        start, status = 0, 200
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found and not fault.get("whole"):
            told = email.utils.parsedate_to_datetime(self.headers["If-Range"]) if "If-Range" in self.headers else None
            if told is None or about.st_mtime <= told.timestamp():
                start, status = int(found[1]), 206
        if start >= about.st_size and status == 206:
            self.answer(416, None, {"Content-Range": f"bytes */{about.st_size}"})
            return
        headers = {
            "Last-Modified": email.utils.formatdate(math.ceil(about.st_mtime), usegmt=True),
            "ETag": f'"{about.st_mtime_ns:x}-{about.st_size:x}"',
            "Content-Type": "application/octet-stream",
        }
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{about.st_size - 1}/{about.st_size}"
        with target.open("rb") as stream:
            stream.seek(start)
            self.send_body(status, headers, stream, about.st_size - start, fault)

    def send_archive(self, target: Path, fault: dict[str, Any]) -> None:
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            for path in sorted(target.rglob("*")):
                archive.write(path, path.relative_to(target))
        data = body.getvalue()
        body.seek(0)
        self.send_body(200, {"Content-Type": "application/zip"}, body, None, {**fault, "size": len(data)})

    def send_body(
        self, status: int, headers: dict[str, str], stream: Any, length: int | None, fault: dict[str, Any]
    ) -> None:
        self.entry["status"] = status
        self.send_response(status)
        for name, text in {**headers, **fault.get("headers", {})}.items():
            if text is not None:
                self.send_header(name, text)
        chunked = length is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif "Content-Length" not in fault.get("headers", {}):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        left = fault.get("after", math.inf)
        while data := stream.read(int(min(PIECE, left))):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
            self.entry["sent"] += len(data)
            left -= len(data)
            time.sleep(fault.get("slow", 0))
        if "after" in fault:
            if "hang" in fault:
                time.sleep(fault["hang"])
            self.break_off(fault.get("reset", False))
        if chunked:
            self.wfile.write(b"0\r\n\r\n")


for verb in ("GET", "HEAD", "POST", "PATCH", "OPTIONS", "DELETE"):
    setattr(Handler, f"do_{verb}", Handler.handle_any)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError | ValueError):  # a file closed under a handler
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--version", default="v7.20230615")
    parser.add_argument(
        "--proxy-host", default="localhost", help="name of the storage proxy, to tell it from the manager"
    )
    parser.add_argument("--certificate", help="PEM file with certificate and key: the storage proxy speaks TLS")
    options = parser.parse_args()
    storage = Storage(options.root, options.version, options.proxy_host)
    Handler.storage = storage
    manager = Server(("127.0.0.1", 0), Handler)
    proxy, scheme = manager, "http"
    if options.certificate:
        proxy, scheme = Server(("127.0.0.1", 0), Handler), "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
    storage.url = f"{scheme}://{options.proxy_host}:{proxy.server_address[1]}"
    sys.stdout.write(f"{manager.server_address[1]} {proxy.server_address[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    manager.serve_forever()


if __name__ == "__main__":
    main()
