"""API functions of the tests' own, as a user of `session.bind` would write them."""

from __future__ import annotations

from typing import Any

from ai.backend.client.functions.base import BaseFunction, api_class_function
from ai.backend.client.request import Request, segment


class Probe(BaseFunction):  # type: ignore[type-arg]  # of either kind of session
    """Calls to the echo server that no API function makes."""

    @api_class_function
    def get(cls, name: str, **options: Any) -> Any:
        """One GET."""
        response = yield Request("GET", f"/session/{segment(name)}", **options)
        return response.json()

    @api_class_function
    def post(cls, name: str, **options: Any) -> Any:
        """One POST."""
        response = yield Request("POST", f"/session/{segment(name)}", json={"name": name}, **options)
        return response.json()

    @api_class_function
    def many(cls, *names: str) -> Any:
        """Several GETs, one after the other; the list of their answers."""
        answers = []
        for name in names:
            response = yield Request("GET", f"/session/{segment(name)}")
            answers.append(response.json())
        return answers

    @api_class_function
    def crash(cls, name: str, error: BaseException) -> Any:
        """Fails in the recipe, with its answer already in hand."""
        yield Request("GET", f"/session/{segment(name)}")
        raise error

    @api_class_function
    def look(cls, name: str, hook: Any) -> Any:
        """Calls `hook()` on whatever runs recipes; its value."""
        yield Request("GET", f"/session/{segment(name)}")
        return hook()
