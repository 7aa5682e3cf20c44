"""How far a call is, for a bar that two threads may want to draw."""

from __future__ import annotations

import threading

from ai.backend.client.functions.transfer import progress
from ai.backend.client.functions.transfer.progress import Meter
from support.waiting import LIMIT


class SlowBar:
    """Draws until the second drawing begins, or `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._inside = 0
        self.begun = threading.Event()
        self.most_at_once = 0
        self.calls: list[object] = []
        self._second = threading.Event()

    def __call__(self, done: int, total: int | None) -> None:
        self._inside += 1
        self.most_at_once = max(self.most_at_once, self._inside)
        if self.begun.is_set():
            self._second.set()
        self.begun.set()
        self._second.wait(self._limit)
        self.calls.append((done, total))
        self._inside -= 1

    def close(self) -> None:
        self.calls.append("closed")


def test_the_last_numbers_are_not_drawn_while_others_are(monkeypatch):
    monkeypatch.setattr(progress, "DRAWING_LIMIT", 30.0)
    bar = SlowBar(limit=0.3)
    meter = Meter(None, bar)
    threads: list[threading.Thread] = []

    def on_worker(function):
        threads.append(threading.Thread(target=function))
        threads[-1].start()

    file = meter.file("f", 10)
    file.at(0)(4, on_worker)
    assert bar.begun.wait(LIMIT)
    file.at(4)(6, lambda function: None)
    meter.finish()
    threads[0].join(LIMIT)
    assert bar.most_at_once == 1
    assert bar.calls[-2:] == [(10, 10), "closed"]


def test_nothing_is_drawn_behind_the_end():
    bar = SlowBar(limit=0)
    meter = Meter(None, bar)
    late = []
    meter.file("f", 10).at(0)(4, late.append)
    meter.finish()
    for function in late:
        function()
    assert bar.calls == [(4, 10), "closed"]
