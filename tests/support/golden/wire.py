"""What calls send, recorded from real sessions whose HTTP is intercepted.

A *call* is written as a program would write it, for example ``Kernel('mine').destroy(forced=True)``, and is made on one
blocking session per protocol generation. What it sent becomes a list of requests as literals::

    {"send": "DELETE /session/mine", "query": {"forced": "true"}}

What the client refuses by itself is ``{"refused": "InvalidArgument(...)"}`` or a ``BackendAPIVersionError``. Any other
error fails the test, except one that the entry's own replies ask for.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import decimal
import email
import itertools
import json
import re
import tempfile
import types
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import responses

from ai.backend.client.auth import AuthTokenTypes
from ai.backend.client.config import APIConfig
from ai.backend.client.exceptions import BackendAPIError, BackendAPIVersionError, InvalidArgument
from ai.backend.client.functions import PROXIES
from ai.backend.client.functions.compute import creation, service
from ai.backend.client.functions.compute.inference_session import InferenceSession
from ai.backend.client.session import Session
from ai.backend.client.versioning import Release, parse_release
from support.golden.canned import archives, parts, reply_to
from support.golden.data import EVERY, GENERATIONS, SERVERS, Literal, Requests, spread

MANAGER = "http://manager.example"
SETTINGS = {"domain": "my-domain", "group": "my-group", "vfolder_mounts": ["my-folder"]}
"""Not the defaults, so that it shows where a configured value goes."""

FILES = {"one.txt": "1\n", "folder/two.txt": "22\n", "empty.txt": ""}
"""What is in the working directory of a call."""

STANDARD_HEADERS = frozenset(
    {"host", "user-agent", "date", "authorization", "content-length", "content-type"}
    | {"x-backendai-domain", "x-backendai-version"}
)
DISGUISE = "_disguise"
ELAPSED = re.compile(r" \[[^\]]*\]$")
"""Where and how long, at the end of an error's text."""


class Wiretap:
    """Makes calls and writes down what they send. One at a time; closes its sessions on leaving its ``with`` block."""

    def __init__(self) -> None:
        self._mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        self._sessions: dict[str, Session] = {}
        self._replies: Iterator[Literal] = iter(())
        self._taken: Requests = []
        self._spoken = ""

    def __enter__(self) -> Wiretap:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            self._mock.add_callback(method, re.compile(".*"), callback=self._answer)
        self._mock.start()
        for generation in GENERATIONS:
            config = APIConfig(endpoint=MANAGER, access_key="AK", secret_key="SK", retries=0, **SETTINGS)
            self._spoken = generation
            session = self._sessions[generation] = Session(config=config)
            session.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for session in self._sessions.values():
            session.close()
        self._mock.stop()

    def record(
        self,
        call: str,
        replies: list[Literal] | dict[str, list[Literal]],
        disguise: Callable[[Any], Any] | None = None,
        generations: Iterable[str] = GENERATIONS,
    ) -> dict[str, Requests]:
        """Make a call on every generation.

        Args:
            call: An expression over the proxies' names.
            replies: Answers to its first requests: `status`, `headers`, and `json`, `body` (text), or what a download
                holds: `archives` (a list of name-to-content objects) or `parts` (one such object). Or generations →
                such answers. Others are made up.
            disguise: Applied to every literal of the expression.
            generations: Make it on these only.

        Returns:
            Generation → what it sent.
        """
        expression = call if disguise is None else ast.unparse(_Disguised().visit(ast.parse(call, mode="eval")))
        by_generation = spread(replies if isinstance(replies, dict) else {EVERY: replies})
        return {
            generation: self._record(generation, expression, by_generation.get(generation, []), disguise)
            for generation in generations
        }

    def _record(
        self, generation: str, call: str, replies: list[Literal], disguise: Callable[[Any], Any] | None
    ) -> Requests:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for name, content in FILES.items():
                Path(name).parent.mkdir(exist_ok=True)
                Path(name).write_text(content)
            return self._call(generation, call, replies, {DISGUISE: disguise})

    def _call(self, generation: str, call: str, replies: list[Literal], more: dict[str, Any]) -> Requests:
        session = self._sessions[generation]
        self._taken, self._spoken = [], generation
        self._replies = iter(replies)
        numbers = itertools.count(1)
        numbered = types.SimpleNamespace(UUID=uuid.UUID, uuid4=lambda: uuid.UUID(int=next(numbers)))
        # What the caller does not name gets a random name. Only there: actors that start draw UUIDs, too.
        with (
            mock.patch.object(creation, "uuid", numbered),
            mock.patch.object(service, "uuid", numbered),
            mock.patch("secrets.token_hex", lambda size: "00" * size),
        ):
            try:
                value = eval(call, {**_names(session), **more})  # calls are data of this repository
                assert not isinstance(value, types.GeneratorType), "a generator was not run"
            except (BackendAPIVersionError, InvalidArgument) as error:
                self._taken.append({"refused": _neutral(repr(error), SERVERS[generation][0])})
            except BackendAPIError:
                if all(reply.get("status", 200) < 400 for reply in replies):
                    raise
        return self._taken

    def _answer(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        version, manager = SERVERS[self._spoken]
        if "x-backendai-version" not in {name.lower() for name in request.headers} and request.url == f"{MANAGER}/":
            return 200, {}, json.dumps({"version": version, "manager": manager}).encode()  # the session opens
        literal = describe(request, version)
        self._taken.append(literal)
        reply = next(self._replies, None)
        if reply is None:
            reply = reply_to(literal, wraps=Release(26, 3) <= (parse_release(manager) or ()))
        if "archives" in reply:
            headers, body = archives(reply["archives"])
        elif "parts" in reply:
            headers, body = parts(reply["parts"])
        else:
            headers, body = {}, (json.dumps(reply["json"]) if "json" in reply else reply.get("body", "")).encode()
        return reply.get("status", 200), {**headers, **reply.get("headers", {})}, body


class _Disguised(ast.NodeTransformer):
    """Wraps every literal of an expression, but what another class than ours makes its own."""

    def visit_Call(self, node: ast.Call) -> ast.AST:  # the form of the standard library
        is_theirs = isinstance(node.func, ast.Name) and node.func.id in {"Decimal", "Path", "UUID"}
        return node if is_theirs else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:  # the form of the standard library
        return ast.Call(ast.Name(DISGUISE, ast.Load()), [node], [])


def _neutral(error: str, version: str) -> str:
    """An error's text without what is different each time, or differs between generations that refuse alike."""
    return ELAPSED.sub("", error).replace(version, "(this version)").replace(str(Path.cwd()), "(here)")


def _names(session: Session) -> dict[str, Any]:
    proxies = {name: getattr(session, name) for name in PROXIES}
    return {
        **proxies,
        "AuthTokenTypes": AuthTokenTypes,
        "Decimal": decimal.Decimal,
        "InferenceSession": session.bind(InferenceSession),
        "Path": Path,
        "UUID": uuid.UUID,
    }


def describe(request: Any, version: str) -> Literal:
    """A prepared request as a literal. What follows from the rest is checked here, and left out.

    Every request to the manager announces version and domain; its type is `text/plain` without a body and
    `application/json` with JSON, else `type` has it (null: it has none). Signatures have tests of their own.
    """
    url = urllib.parse.urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    to_manager = f"{url.scheme}://{url.netloc}" == MANAGER
    target = url.path if to_manager else f"{url.scheme}://{url.netloc}{url.path}"
    literal: Literal = {"send": f"{request.method} {target}"}
    if url.query:
        pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True, strict_parsing=True)
        query: dict[str, list[str]] = {}
        for name, value in pairs:
            query.setdefault(name, []).append(value)
        literal["query"] = {name: values[0] if len(values) == 1 else values for name, values in query.items()}
    content_type = headers.get("content-type", "")
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    if not isinstance(body, bytes):
        body = b"".join(body)
    expected = "text/plain"
    if content_type == "application/json":
        expected = content_type
        literal |= _json_body(json.loads(body))
    elif content_type.startswith("multipart/form-data"):
        expected = content_type
        literal["files"] = _parts(content_type, body)
    elif body:
        literal["body"] = body.decode()
    if to_manager:
        assert headers["x-backendai-version"] == version
        assert headers["x-backendai-domain"] == SETTINGS["domain"]
        assert ("date" in headers, "host" in headers, "user-agent" in headers) == (True, True, True)
        if "authorization" not in headers:
            literal["unsigned"] = True
    if content_type != expected and (to_manager or content_type):
        literal["type"] = content_type or None
    if "sec-websocket-key" in headers:
        assert len(base64.b64decode(headers["sec-websocket-key"], validate=True)) == 16
        headers["sec-websocket-key"] = "(16 random bytes)"
    if extra := {name: value for name, value in headers.items() if name not in STANDARD_HEADERS}:
        literal["headers"] = extra
    return literal


def _json_body(body: Any) -> Literal:
    if isinstance(body, dict) and body.keys() == {"query", "variables"}:
        return {"graphql": body["query"], "variables": body["variables"]}
    return {"json": body}


def _parts(content_type: str, body: bytes) -> list[Literal]:
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return [
        {
            "field": part.get_param("name", header="content-disposition"),
            "filename": part.get_filename(),
            "type": part.get_content_type(),
            "content": part.get_payload(decode=True).decode(),
        }
        for part in message.get_payload()
    ]


def functions_called(call: str) -> Iterator[tuple[str, str, ast.Call]]:
    """The functions of proxies that an expression calls: proxy, function, and the call's node."""
    for node in ast.walk(ast.parse(call, mode="eval")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            function = node.func
            if function.attr in {"iterate", "submit"} and isinstance(function.value, ast.Attribute):
                function = function.value
            owner = function.value.func if isinstance(function.value, ast.Call) else function.value
            if isinstance(owner, ast.Name) and owner.id in PROXIES:
                yield owner.id, function.attr, node
