"""The server's versions."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import InvalidReply

ANSWER = {"version": "v7.20230615", "manager": "23.09.10"}


@pytest.mark.parametrize("version", ["v4.20190615", "v5.20191215", "v6.20200815", "v6.20230315", "v7.20230615"])
@pytest.mark.parametrize(
    ("function", "value"),
    [("get_versions", ANSWER), ("get_manager_version", "23.09.10"), ("get_api_version", "v7.20230615")],
)
def test_versions(version, function, value, proxy, play, reply) -> None:
    call = play(getattr(proxy(version)["System"], function))
    assert call.request == {"send": "GET /", "idempotent": True}
    assert call.answer(reply(ANSWER)).value == value


def test_a_server_that_does_not_tell_its_release(proxy, play, reply) -> None:
    with pytest.raises(InvalidReply, match="manager"):
        play(proxy()["System"].get_manager_version).answer(reply({"version": "v4.20190615"}))
