"""The restart budget: a sliding window, counted by the clock."""

from __future__ import annotations

import pytest

from ai.backend.client.actors.supervision import INTENSITY, PERIOD, RestartBudget


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_as_many_crashes_as_allowed_may_be_restarted_and_one_more_may_not(clock):
    budget = RestartBudget(3, 5.0, clock)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


def test_crashes_are_forgotten_when_they_leave_the_window(clock):
    budget = RestartBudget(2, 5.0, clock)
    assert [budget.spend(), budget.spend()] == [True, True]
    clock.now += 4.999
    assert budget.spend() is False
    clock.now += 0.001
    assert budget.spend() is True


def test_the_window_slides(clock):
    budget = RestartBudget(2, 5.0, clock)
    outcomes = []
    for _ in range(10):
        outcomes.append(budget.spend())
        clock.now += 2.5
    assert outcomes == [True] * 10
    clock.now += 5
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def test_crashes_that_were_refused_count_too(clock):
    budget = RestartBudget(1, 5.0, clock)
    assert budget.spend() is True
    for _ in range(5):
        clock.now += 2
        assert budget.spend() is False
    clock.now += 5
    assert budget.spend() is True


def test_a_budget_of_none_allows_none(clock):
    assert RestartBudget(0, 5.0, clock).spend() is False


def test_the_default_is_what_the_documentation_says(clock):
    budget = RestartBudget(clock=clock)
    assert [budget.spend() for _ in range(INTENSITY + 1)] == [True] * INTENSITY + [False]
    clock.now += PERIOD
    assert budget.spend() is True


def test_it_remembers_no_more_than_the_window_holds(clock):
    budget = RestartBudget(2, 5.0, clock)
    for _ in range(1000):
        budget.spend()
        clock.now += 1
    assert len(budget._crashes) <= 5
