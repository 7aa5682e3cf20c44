"""The in-flight table: every call ends by its deadline, in order, and no timer runs for nothing."""

from __future__ import annotations

import pytest

from ai.backend.client.actors.deadlines import KEEPALIVE, TICK, InFlight


class Watched(InFlight):
    """An in-flight table that remembers what it reported."""

    def __init__(self, hub):
        super().__init__(hub, self._note, lambda: self.emptied.append(hub.now))
        self.hub = hub
        self.ended = []
        self.emptied = []

    def _note(self, call):
        self.ended.append((call, self.hub.now))
        self.remove(call)

    @property
    def order(self):
        return [call for call, _ in self.ended]


@pytest.fixture
def table(world):
    return Watched(world)


def test_a_call_ends_at_its_deadline_and_not_much_later(world, table, make_call):
    call = make_call(10)
    table.add(call)
    world.advance(9.99)
    assert table.ended == []
    world.advance(0.01 + TICK)
    assert table.order == [call]
    assert 0 <= table.ended[0][1] - call.deadline <= TICK


def test_calls_with_one_limit_end_in_the_order_they_came(world, table, make_call):
    calls = []
    for _ in range(50):
        calls.append(make_call(5))
        table.add(calls[-1])
        world.advance(0.1)
    world.advance(10)
    assert table.order == calls
    assert all(when - call.deadline <= TICK + 1e-6 for call, when in table.ended)


def test_calls_with_different_limits_end_each_at_its_own(world, table, make_call):
    calls = {limit: make_call(limit) for limit in (7, 1, 30, 3)}
    for call in calls.values():
        table.add(call)
    world.advance(100)
    assert table.order == [calls[1], calls[3], calls[7], calls[30]]
    assert all(when - call.deadline <= TICK + 1e-6 for call, when in table.ended)


def test_a_short_limit_that_comes_after_a_long_one_is_kept(world, table, make_call):
    long, short = make_call(100), make_call(1)
    table.add(long)
    world.advance(50)
    late = make_call(1)
    table.add(late)
    del short
    world.advance(1 + TICK)
    assert table.order == [late]


def test_a_call_that_ended_in_time_is_not_reported(world, table, make_call):
    ended, open_one = make_call(1), make_call(1)
    table.add(ended)
    table.add(open_one)
    assert table.remove(ended) is True
    assert table.remove(ended) is False
    world.advance(5)
    assert table.order == [open_one]


def test_a_call_that_waited_before_it_came_is_not_late(world, table, make_call):
    """It was accepted earlier than those in the table, so its deadline is earlier too: a straggler."""
    straggler = make_call(10)
    world.advance(6)
    first = make_call(10)
    table.add(first)
    table.add(straggler)
    world.advance(4 + TICK)
    assert table.order == [straggler]
    world.advance(6 + TICK)
    assert table.order == [straggler, first]


def test_stragglers_in_any_order_end_each_in_time(world, table, make_call):
    calls = []
    for _ in range(20):
        calls.append(make_call(10))
        world.advance(0.3)
    for call in reversed(calls):
        table.add(call)
    world.advance(20)
    assert table.order == calls
    assert all(when - call.deadline <= TICK + 1e-6 for call, when in table.ended)


def test_an_extended_call_lives_longer_and_the_others_do_not(world, table, make_call):
    extended, other = make_call(10), make_call(10)
    table.add(extended)
    table.add(other)
    world.advance(5)
    table.extend(extended, 100)
    assert extended.deadline == world.now + 100
    world.advance(50)
    assert table.order == [other]
    world.advance(51)
    assert table.order == [other, extended]


def test_an_extension_never_shortens(world, table, make_call):
    call = make_call(100)
    table.add(call)
    table.extend(call, 10)
    world.advance(99)
    assert table.ended == []
    world.advance(2)
    assert table.order == [call]


def test_extending_a_straggler_an_unlimited_call_or_a_stranger_is_harmless(world, table, make_call):
    straggler, unlimited, stranger = make_call(5), make_call(None), make_call(5)
    world.advance(2)
    table.add(make_call(5))
    table.add(straggler)
    table.add(unlimited)
    for call in (straggler, unlimited, stranger):
        table.extend(call, 30)
    assert unlimited.deadline is None
    world.advance(29)
    assert straggler not in table.order
    world.advance(2)
    assert straggler in table.order
    assert len(table) == 1


def test_extended_calls_and_new_ones_with_that_limit_keep_their_order(world, table, make_call):
    extended = make_call(1)
    table.add(extended)
    table.extend(extended, 20)
    world.advance(1)
    fresh = make_call(20)
    table.add(fresh)
    world.advance(1)
    early = make_call(1)
    table.add(early)
    table.extend(early, 20)
    world.advance(30)
    assert table.order == [extended, fresh, early]


def test_an_unlimited_call_is_held_and_never_ended(world, table, make_call):
    call = make_call(None)
    table.add(call)
    world.advance(100_000)
    assert table.ended == []
    assert list(table) == [call]
    assert table.remove(call)
    assert table.emptied == [world.now]


def test_a_limit_of_nothing_ends_at_the_next_sweep(world, table, make_call):
    call = make_call(0.0)
    table.add(call)
    world.advance(TICK)
    assert table.order == [call]


def test_who_leaves_last_is_told_of_once(world, table, make_call):
    calls = [make_call(10) for _ in range(3)]
    for call in calls:
        table.add(call)
    assert len(table) == 3
    for call in calls:
        table.remove(call)
    assert len(table) == 0
    assert table.emptied == [world.now]


def test_the_table_may_change_while_it_is_read(table, make_call):
    calls = [make_call(10) for _ in range(3)]
    for call in calls:
        table.add(call)
    seen = []
    for call in table:
        seen.append(call)
        table.remove(call)
        table.add(make_call(10))
    assert seen == calls


def test_an_end_that_ends_others_too_is_no_trouble(world, make_call):
    """One expiry may free the way for, or take down, other calls of the same sweep."""
    calls = [make_call(1) for _ in range(3)]
    newcomer = []

    def expired(call):
        if not newcomer:
            newcomer.append(make_call(1))
            table.add(newcomer[0])
        for one in calls:
            table.remove(one)

    table = InFlight(world, expired, lambda: None)
    for call in calls:
        table.add(call)
    world.advance(1 + TICK)
    assert list(table) == newcomer
    assert len(world.timers) == 1


def test_there_is_one_timer_while_there_are_calls_and_none_afterwards(world, table, make_call):
    assert world.timers == []
    calls = [make_call(limit) for limit in (5, 3, None, 9)]
    for call in calls:
        table.add(call)
        assert len(world.timers) == 1
    assert world.timers[0].due <= world.now + 3
    for call in calls:
        table.remove(call)
    world.advance(KEEPALIVE)
    assert world.timers == []


def test_distant_deadlines_cost_few_sweeps(world, table, make_call):
    table.add(make_call(10 * KEEPALIVE))
    sweeps = 0
    while not table.ended:
        world.advance(world.timers[0].due - world.now)
        sweeps += 1
    assert sweeps <= 12


def test_close_stops_the_timer_and_may_be_repeated(world, table, make_call):
    table.add(make_call(1))
    table.close()
    table.close()
    assert world.timers == []
    world.advance(10)
    assert table.ended == []
