"""A supervisor with a transport made of nothing: the test answers in its place."""

from __future__ import annotations

import os
from types import SimpleNamespace

from ai.backend.client.actors.call import Call, Options
from ai.backend.client.actors.future import CallFuture
from ai.backend.client.actors.messages import Cancel, Invoke
from ai.backend.client.actors.slots import Slots
from ai.backend.client.config import APIConfig
from ai.backend.client.functions.server import Server
from ai.backend.client.request import Request
from ai.backend.client.sessions.supervisor import Supervisor
from ai.backend.client.sessions.wire.transport import Transport
from support.waiting import LIMIT, until

CONFIG = APIConfig(endpoint="http://h", access_key="AK", secret_key="SK")


def real_transport(supervisor):
    return Transport(supervisor.hub, CONFIG, None, supervisor.deliver, supervisor.transport_failed)


class FakeTransport:
    """Keeps what it is given, until the test answers."""

    def __init__(self, supervisor):
        self.supervisor = supervisor
        self.version = ""
        self.is_strange = False
        self.under_way = {}
        self.abandoned = []
        self.fault = None

    def run(self, call, step):
        if self.fault is not None:
            raise self.fault
        self.under_way[call] = step

    def abandon(self, call):
        self.abandoned.append(call)
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None

    def stop(self):
        pass

    def close(self):
        pass


class Desk:
    """A supervisor, and what a session does with it."""

    def __init__(self, hub, slots=100, probes=False, make_transport=FakeTransport):
        self.hub = hub
        self.ended = []
        self.slots = Slots(slots)
        self.supervisor = Supervisor.launch(
            hub, Server(CONFIG), make_transport, self.slots, lambda: self.ended.append(1), probes
        )
        self.transport = self.supervisor.transport
        self._owner = SimpleNamespace(
            abandon=lambda call: self.put(Cancel(call)),
            run_callbacks=lambda function: function(),
            disown=lambda call: False,
            pid=os.getpid(),
            waiters=None,
            unremarkable=(),
        )

    def put(self, message):
        self.supervisor.mailbox.put(message)

    def make(self, recipe, actor="Kernel", deadline=None, **options):
        limits = Options(5, deadline, 0, **options)
        made = Call(self._owner, "function", actor, recipe, limits)
        self.slots.try_take(made.slot)
        made.future = CallFuture(made)
        return made

    def call(self, recipe=None, **options):
        made = self.make(recipe or ask(), **options)
        self.put(Invoke(made))
        return made

    def answer(self, call, value="answer"):
        self.hub.call(lambda: self.supervisor.deliver(call, value, None))

    def is_under_way(self, *calls):
        until(lambda: all(call in self.transport.under_way for call in calls), "the calls are under way")


def ask(steps=1, error=None):
    """A recipe of some requests; its value is the latest answer."""
    answer = None
    for _ in range(steps):
        answer = yield Request("GET", "/x")
    if error is not None:
        raise error
    return answer


def end_of(call):
    return call.future.exception(LIMIT)
