"""Lanes: they grow on demand, hold what waits, and let go of what was given up."""

from __future__ import annotations

import gevent
import pytest

from ai.backend.client.actors.lanes import IDLE_LIMIT, Lanes
from ai.backend.client.actors.offload import Abandoned


class Shop:
    """Lanes whose work waits until it is told to go on."""

    def __init__(self, hub, limit):
        self.hub = hub
        self.started = []
        self.ended = []
        self.left = []
        self.failures = []
        self._greenlets = {}
        self.lanes = Lanes(hub, limit, self._work, lambda call, error: self.failures.append((call, error)))

    def _work(self, call, step):
        self.started.append(call)
        try:
            if callable(step):
                step(call)
            while step == "wait":
                self._greenlets[call] = call.lane.greenlet
                if self.hub.park() == "end":
                    break
        except BaseException as error:
            self.left.append((call, type(error)))
            raise
        self.ended.append(call)

    def run(self, call, step="wait"):
        self.lanes.run(call, step)
        return call

    def finish(self, call):
        self._greenlets[call].switch("end")


@pytest.fixture
def shop(world):
    return Shop(world, 2)


def test_nothing_runs_before_it_is_needed(shop):
    assert len(shop.lanes) == 0


def test_work_that_does_not_wait_needs_one_lane(shop, make_call):
    calls = [shop.run(make_call(), "go") for _ in range(10)]
    assert shop.ended == calls
    assert len(shop.lanes) == 1
    assert all(call.lane is None for call in calls)


def test_lanes_grow_up_to_the_limit_and_the_rest_stands_in_line(shop, make_call):
    calls = [shop.run(make_call()) for _ in range(5)]
    assert len(shop.lanes) == 2
    assert len(shop.lanes._line) == 3
    assert shop.started == calls[:2]
    assert [call.lane is not None for call in calls] == [True, True, False, False, False]


def test_the_line_is_served_in_order_as_lanes_become_free(shop, make_call):
    calls = [shop.run(make_call()) for _ in range(5)]
    shop.finish(calls[1])
    assert shop.started == calls[:3]
    shop.finish(calls[0])
    shop.finish(calls[2])
    shop.finish(calls[3])
    shop.finish(calls[4])
    assert shop.started == calls
    assert shop.ended == [calls[1], calls[0], calls[2], calls[3], calls[4]]
    assert len(shop.lanes._line) == 0
    assert len(shop.lanes) == 2


def test_an_idle_lane_is_used_again_before_a_new_one_is_made(shop, make_call):
    first = shop.run(make_call())
    lane = first.lane
    shop.finish(first)
    second = shop.run(make_call())
    assert second.lane is lane
    assert len(shop.lanes) == 1


def test_a_call_that_is_given_up_in_line_is_never_begun(shop, make_call):
    calls = [shop.run(make_call()) for _ in range(4)]
    shop.lanes.abandon(calls[2])
    assert len(shop.lanes._line) == 1
    shop.finish(calls[0])
    assert shop.started == [calls[0], calls[1], calls[3]]


def test_a_call_that_is_given_up_at_work_leaves_its_lane_to_the_next(shop, make_call):
    calls = [shop.run(make_call()) for _ in range(3)]
    shop.lanes.abandon(calls[0])
    assert shop.left == [(calls[0], Abandoned)]
    assert calls[0].lane is None
    assert shop.started == calls
    assert len(shop.lanes) == 2
    assert shop.failures == []
    shop.finish(calls[2])
    assert shop.ended == [calls[2]]


def test_giving_up_twice_or_after_the_end_disturbs_nobody(shop, make_call):
    ended = shop.run(make_call(), "go")
    shop.lanes.abandon(ended)
    shop.lanes.abandon(make_call())
    working = shop.run(make_call())
    assert working.lane is not None
    shop.lanes.abandon(ended)
    given_up = shop.run(make_call())
    shop.lanes.abandon(given_up)
    shop.lanes.abandon(given_up)
    shop.finish(working)
    assert shop.ended == [ended, working]
    assert shop.left == [(given_up, Abandoned)]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(1), gevent.Timeout(5), gevent.GreenletExit(), KeyboardInterrupt()]
)
def test_work_that_raises_is_reported_and_the_lane_goes_on(shop, make_call, error):
    def fail(call):
        raise error

    failing = shop.run(make_call(), fail)
    assert shop.failures == [(failing, error)]
    assert failing.lane is None
    following = shop.run(make_call(), "go")
    assert shop.ended == [following]
    assert len(shop.lanes) == 1


def test_a_failure_frees_the_lane_for_who_stands_in_line(world, make_call):
    shop = Shop(world, 1)
    working = shop.run(make_call())

    def fail(call):
        raise ValueError("no")

    failing = shop.run(make_call(), fail)
    following = shop.run(make_call(), "go")
    shop.finish(working)
    assert [call for call, _ in shop.failures] == [failing]
    assert shop.ended == [working, following]


def test_lanes_that_nobody_needs_end_after_a_while(world, shop, make_call):
    calls = [shop.run(make_call()) for _ in range(2)]
    for call in calls:
        shop.finish(call)
    assert len(shop.lanes) == 2
    world.advance(3 * IDLE_LIMIT)
    assert len(shop.lanes) == 0
    assert world.timers == []


def test_lanes_in_use_do_not_end(world, shop, make_call):
    working, other = shop.run(make_call()), shop.run(make_call())
    shop.finish(other)
    world.advance(10 * IDLE_LIMIT)
    assert len(shop.lanes) == 1
    assert shop.left == []
    shop.finish(working)
    assert shop.ended == [other, working]


def test_a_lane_that_is_needed_now_and_then_stays(world, shop, make_call):
    shop.run(make_call(), "go")
    for _ in range(10):
        world.advance(IDLE_LIMIT / 2)
        shop.run(make_call(), "go")
    assert len(shop.lanes) == 1
    assert len(shop.ended) == 11


def test_new_work_after_the_lanes_have_ended_makes_new_ones(world, shop, make_call):
    shop.run(make_call(), "go")
    world.advance(3 * IDLE_LIMIT)
    call = shop.run(make_call(), "go")
    assert shop.ended[-1] is call
    assert len(shop.lanes) == 1


def test_close_ends_every_lane_whatever_it_does(world, shop, make_call):
    idle, working, _ = shop.run(make_call()), shop.run(make_call()), shop.run(make_call())
    shop.lanes.abandon(working)
    shop.finish(idle)
    busy = [call for call in shop.started if call not in (idle, working)]
    shop.lanes.close()
    assert len(shop.lanes) == 0
    assert len(shop.lanes._line) == 0
    assert world.timers == []
    assert shop.left == [(working, Abandoned), *((call, Abandoned) for call in busy)]
    assert shop.failures == []


def test_close_begins_nothing_that_stood_in_line(shop, make_call):
    calls = [shop.run(make_call()) for _ in range(4)]
    shop.lanes.close()
    shop.lanes.close()
    assert shop.started == calls[:2]
    assert len(shop.lanes) == 0
