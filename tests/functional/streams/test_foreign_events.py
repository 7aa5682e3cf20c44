"""Managers from 26.3 on send the events of all of the caller's sessions where one is named by its UUID."""

from __future__ import annotations

import json

import pytest

from support.runtimes.streaming import read
from support.servers.faults import reply
from support.servers.stream_steps import event, events

MINE, OTHER = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
SENT = [
    event(json.dumps({"sessionId": OTHER, "reason": "a"}), "session_started"),
    event(json.dumps({"sessionId": MINE, "reason": "b"}), "session_started"),
    event(json.dumps({"sessionName": "mine", "reason": "c"}), "session_started"),
    event("no JSON", "session_started"),
    event(json.dumps({"sessionId": OTHER, "reason": "d"}), "session_terminated"),
    event(json.dumps(["a list"]), "session_started"),
    event("", "server_close"),
]


@pytest.mark.parametrize(
    ("manager", "dropped"),
    [
        ({"version": "v9.20250722", "manager": "26.9.6"}, {0, 4}),
        ({"version": "v9.20250722", "manager": "26.2.5"}, set()),
        ({"version": "v7.20230615", "manager": "23.09.10"}, set()),
    ],
    ids=["26.9", "26.2", "23.09"],
)
def test_events_of_other_sessions_are_dropped(runtime, server, make_config, manager, dropped):
    server.probe = reply(manager)
    server.script(events(*SENT))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, session.Kernel("mine", id=MINE).listen_events())
    assert reading.error is None
    assert f"sessionId={MINE}" in server.requests[0].target
    wanted = [index for index in range(len(SENT)) if index not in dropped]
    assert [one.data.encode() in SENT[index] for one, index in zip(reading.items, wanted, strict=True)] == [True] * len(
        wanted
    )


def test_a_session_that_is_named_gets_all_that_the_server_sends(runtime, server, make_config):
    server.probe = reply({"version": "v9.20250722", "manager": "26.9.6"})
    server.script(events(*SENT))
    with runtime.session(make_config(server)) as session:
        reading = read(runtime, session.Kernel("mine").listen_events())
    assert len(reading.items) == len(SENT)
    assert "sessionName=mine" in server.requests[0].target
