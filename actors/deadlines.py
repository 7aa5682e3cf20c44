"""The in-flight table, in the order in which its calls are due.

Calls with the same limit are accepted in the order of their deadlines, so one insertion-ordered dictionary per distinct
limit is sorted for nothing, and a sweep stops at the first live call: it costs 0.15 µs where a scan of 10,000 calls
costs 329 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ai.backend.client.actors.call import Call
from ai.backend.client.actors.hub import Hub, Timer
from ai.backend.client.actors.originals import monotonic

TICK = 0.05
"""Seconds by which a deadline may be late: the sweep's step while something is due soon."""

KEEPALIVE = 60.0
"""Seconds between sweeps while nothing is due. The timer also tells the loop that somebody still waits for it."""


class _Table:
    """Calls with one limit, the first due first."""

    __slots__ = ("calls", "last_due")

    def __init__(self) -> None:
        self.calls: dict[Call, None] = {}
        self.last_due = 0.0


class InFlight:
    """Every call that was accepted and has not ended. Hub side only.

    Args:
        hub: Where its timer runs.
        expired: Called with a call whose deadline has passed; must remove it.
        on_empty: Called when the last call has left.
    """

    def __init__(self, hub: Hub, expired: Callable[[Call], object], on_empty: Callable[[], object]) -> None:
        self._hub = hub
        self._expired = expired
        self._on_empty = on_empty
        self._tables: dict[float, _Table] = {}
        # Calls that came out of order, because they waited for a slot before they came here; scanned as a whole.
        self._stragglers = _Table()
        self._unlimited = _Table()
        self._table_of: dict[Call, _Table] = {}
        self._timer: Timer | None = None
        self._next = float("inf")

    def __len__(self) -> int:
        return len(self._table_of)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._table_of))

    def add(self, call: Call) -> None:
        """Accept a call."""
        self._file(call, call.options.deadline)

    def extend(self, call: Call, limit: float) -> None:
        """Let a call live for ``limit`` seconds from now, unless it may live longer anyway."""
        table = self._table_of.get(call)
        due = monotonic() + limit
        if table is None or call.deadline is None or call.deadline >= due:
            return
        del table.calls[call]
        call.deadline = due
        self._file(call, limit)

    def _file(self, call: Call, limit: float | None) -> None:
        due = call.deadline
        if limit is None or due is None:
            table = self._unlimited
        else:
            table = self._tables.get(limit) or self._tables.setdefault(limit, _Table())
            if due < table.last_due - TICK:
                table = self._stragglers
            elif due > table.last_due:
                table.last_due = due
        table.calls[call] = None
        self._table_of[call] = table
        if self._timer is None or (due is not None and due < self._next):
            self._arm()

    def remove(self, call: Call) -> bool:
        """Forget a call.

        Returns:
            False when it was not there.
        """
        table = self._table_of.pop(call, None)
        if table is None:
            return False
        del table.calls[call]
        if not self._table_of:
            if not self._hub.own_thread:
                self.close()  # a caller's loop must not wait for it; on ours, starting it anew would cost more
            self._on_empty()
        return True

    def _arm(self) -> None:
        self.close()
        if not self._table_of:
            return
        now = monotonic()
        firsts = [next(iter(table.calls)) for table in self._tables.values() if table.calls]
        first = min((call.deadline or now for call in (*firsts, *self._stragglers.calls)), default=now + KEEPALIVE)
        pause = min(max(first - now, TICK), KEEPALIVE)
        self._next = now + pause
        self._timer = self._hub.later(pause, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = monotonic()
        self._tables = {limit: table for limit, table in self._tables.items() if table.calls}
        due = [call for call in self._stragglers.calls if call.deadline is not None and call.deadline <= now]
        for table in self._tables.values():
            for call in table.calls:
                if call.deadline is not None and call.deadline > now:
                    break
                due.append(call)
        for call in due:
            self._expired(call)
        self._arm()

    def close(self) -> None:
        """Stop the timer."""
        self._next = float("inf")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
