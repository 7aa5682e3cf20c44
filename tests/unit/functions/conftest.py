"""Driving recipes by hand: no session, no actor, no network.

`proxy("v5.20191215")["Kernel"]` is a proxy class bound to a session of that version, which is a value and nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from ai.backend.client.config import APIConfig
from ai.backend.client.functions import PROXIES
from ai.backend.client.functions.base import Offload
from ai.backend.client.functions.server import Server
from ai.backend.client.request import Request, Response

LATEST = "v7.20230615"


class Play:
    """A recipe that was started: `step` is what it waits for, `value` what it returned, once `done`."""

    def __init__(self, recipe: Any) -> None:
        self._recipe = recipe
        self.done = False
        self.value: Any = None
        self.step: Any = None
        self._advance(lambda: next(recipe))

    def _advance(self, resume: Callable[[], Any]) -> None:
        try:
            self.step = resume()
        except StopIteration as stop:
            self.done, self.value, self.step = True, stop.value, None

    @property
    def request(self) -> dict[str, Any]:
        """The request it waits for, as a literal: what is at its default is left out."""
        request = self.step
        assert isinstance(request, Request), request
        literal: dict[str, Any] = {"send": f"{request.method} /{request.path}", "idempotent": request.idempotent}
        if request.params:
            literal["params"] = dict(request.params)
        if request.body is not None:
            assert request.content_type == "application/json"
            literal["json"] = json.loads(request.body)
        if request.files is not None:
            literal["files"] = list(request.files)
        if request.hold is not None:
            literal["hold"] = request.hold
        if request.anonymous:
            literal["anonymous"] = True
        return literal

    def answer(self, response: Any) -> Play:
        """Resume it with a response, or with the result of what it off-loaded."""
        self._advance(lambda: self._recipe.send(response))
        return self

    def fail(self, error: BaseException) -> Play:
        """Throw an error into it, as the transport does."""
        self._advance(lambda: self._recipe.throw(error))
        return self

    def off_load(self) -> Play:
        """Run here what it off-loads, errors included."""
        assert isinstance(self.step, Offload), self.step
        try:
            result = self.step.function(*self.step.args)
        except Exception as error:
            return self.fail(error)
        return self.answer(result)


@pytest.fixture
def proxy() -> Callable[..., dict[str, Any]]:
    """`proxy(version, **config)`: attribute → proxy class, bound to a session of that version."""

    def bind(version: str = LATEST, **config: Any) -> dict[str, Any]:
        keys = {"endpoint": "http://m", "access_key": "AK", "secret_key": "SK"}
        values = {"domain": "default", "group": "default", "vfolder_mounts": [], **config}
        server = Server(APIConfig(version=version, **keys, **values))
        session = SimpleNamespace(
            cookies="jar",
            asynchronous=True,
            _submit=lambda *call: Play(call[-1]),
        )
        bound = {"session": session, "server": server}
        return {name: type(name, (function,), bound) for name, function in PROXIES.items()}

    return bind


@pytest.fixture
def kernel(proxy: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """`kernel(version)`: an object for the session "mine"."""
    return lambda version=LATEST, *args, **options: proxy(version)["Kernel"](*(args or ("mine",)), **options)


@pytest.fixture
def play() -> Callable[..., Play]:
    """`play(Kernel.get_or_create, "python")`: start a recipe."""
    return lambda function, *args, **options: function.submit(*args, **options)


@pytest.fixture
def reply() -> Callable[..., Response]:
    """`reply(value, status=200)`: a JSON answer; bytes are sent as they are."""

    def make(value: Any = b"", status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        raw = SimpleNamespace(reason="", headers=CaseInsensitiveDict(headers or {}))
        return Response(status, content, raw)

    return make
