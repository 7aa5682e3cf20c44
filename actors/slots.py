"""Back-pressure: a bounded number of calls in flight."""

from __future__ import annotations

import collections
import itertools

from ai.backend.client.actors.originals import monotonic
from ai.backend.client.actors.waiting import Waiter, waiter

Hand = list[None]
"""Where a call keeps its token: empty, or one of them."""

_pop = collections.deque[None].pop


class Slots:
    """Tokens for calls in flight. Any thread; no lock, see :mod:`~ai.backend.client.actors.waiting`.

    A token is either free or in somebody's hand at any moment: it moves in one step of C, so that an interrupt loses
    none. Taking a free one costs 0.1 µs (a ``BoundedSemaphore``: 0.8 µs). Who finds none waits in line, as a thread or
    as a greenlet. While tokens are free, the first in line has been woken.

    Args:
        number: How many tokens there are.
    """

    def __init__(self, number: int) -> None:
        self._tokens: collections.deque[None] = collections.deque(itertools.repeat(None, number))
        self._line: collections.deque[Waiter] = collections.deque()
        self._closed = False

    def try_take(self, hand: Hand) -> bool:
        """Take a token if one is free."""
        try:
            hand.extend(map(_pop, (self._tokens,)))
        except IndexError:
            return False
        return True

    def take(self, hand: Hand, deadline: float | None) -> bool:
        """Take a token, waiting for it if need be.

        Args:
            hand: Where to put it.
            deadline: Monotonic seconds at which to give up; None: never (the end of the session ends the wait).

        Returns:
            False when none came free in time, or the slots were closed.
        """
        waiting: Waiter | None = None
        woken = True
        stand = self._line.append
        try:
            while not self._closed:
                if self.try_take(hand):
                    return True
                if not woken:
                    return False
                waiting = waiter()
                stand(waiting)
                # A token given back before we stood in line woke nobody: look again.
                if self.try_take(hand):
                    return True
                if not self._closed:
                    woken = waiting.wait(None if deadline is None else deadline - monotonic())
                self._leave(waiting)
                stand = self._line.appendleft  # woken in vain, because a newcomer was faster: keeps the place
            return False
        finally:
            if waiting is not None:
                self._leave(waiting)
            self._wake_next()  # more than one token may have come, or one that we do not use

    def give(self, hand: Hand) -> None:
        """Give a token back."""
        try:
            self._tokens.extend(map(list.pop, (hand,)))
        except IndexError:
            return
        self._wake_next()

    def _leave(self, waiting: Waiter) -> None:
        try:
            self._line.remove(waiting)
        except ValueError:
            pass

    def _wake_next(self) -> None:
        """Wake the first in line if there is a token for it."""
        if self._line and (self._tokens or self._closed):
            try:
                waiting = self._line[0]
            except IndexError:
                return
            waiting.wake()  # first this: whoever is stopped between the two has kept nobody waiting
            self._leave(waiting)

    def close(self) -> None:
        """End every wait, now and later."""
        self._closed = True
        while self._line:
            self._wake_next()
