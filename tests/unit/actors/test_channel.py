"""The channel: bounded, in order, nothing lost, whoever gives up when."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from ai.backend.client.actors import channel as module
from ai.backend.client.actors.channel import Channel, Take, following, stream_future
from ai.backend.client.actors.future import FINISHED, CallFuture
from ai.backend.client.actors.greenlets import HubGreenlet
from support.waiting import LIMIT

END = EOFError("the end")


class Owner(SimpleNamespace):
    """Stands for a runtime."""

    def __init__(self):
        super().__init__(pid=os.getpid(), waiters=None, ran=[])

    def run_callbacks(self, function):
        self.ran.append(function)

    def disown(self, call):
        call.future.orphan(RuntimeError("forked"))
        return True


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def channel(hub, owner):
    return Channel(hub, owner, len)


@pytest.fixture
def put(hub, channel, in_lane):
    """`put(item, ...)`: in a greenlet of the hub."""
    return lambda *items: in_lane(lambda: [channel.put(item) for item in items])


@pytest.fixture
def finish(channel, on_hub):
    return lambda error=END: on_hub(lambda: channel.finish(error))


def test_what_was_put_is_taken_in_order(channel, put):
    put("a", "b", "c")
    assert [channel.take().result(LIMIT) for _ in range(3)] == ["a", "b", "c"]


def test_who_comes_first_is_served_first(channel, put):
    takes = [channel.take() for _ in range(3)]
    assert not any(take.done() for take in takes)
    put("a", "b", "c", "d")
    assert [take.result(LIMIT) for take in takes] == ["a", "b", "c"]
    assert channel.take().result(LIMIT) == "d"


def test_a_newcomer_does_not_overtake_who_waits(channel, put, on_hub, hub):
    """An item has come, and has not yet been handed to the first in line."""
    first = channel.take()

    def put_and_take():
        channel._items.append("a")
        channel._bytes_put += 1
        channel._match_soon()
        return channel.take()

    second = on_hub(put_and_take)
    put("b")
    assert (first.result(LIMIT), second.result(LIMIT)) == ("a", "b")


def test_the_reader_s_own_reading_of_an_item(channel, put):
    put("5", "x", "7")
    assert channel.take(int).result(LIMIT) == 5
    with pytest.raises(ValueError, match="x"):
        channel.take(int).result(LIMIT)  # the item is consumed
    assert channel.take(int).result(LIMIT) == 7


def test_after_the_end_readers_get_what_is_left_and_then_the_error(channel, put, finish):
    put("a")
    finish()
    assert channel.take().result(LIMIT) == "a"
    for _ in range(2):
        assert channel.take().exception(LIMIT) is END


def test_the_end_wakes_who_waits(channel, finish):
    takes = [channel.take() for _ in range(2)]
    finish()
    assert [take.exception(LIMIT) for take in takes] == [END, END]


def test_nothing_is_put_after_the_end(channel, put, finish):
    finish()
    assert put("late") == [False]
    assert channel.take().exception(LIMIT) is END


def test_closing_drops_what_waits(channel, put):
    put("a", "b")
    channel.close(END)
    assert channel.take().exception(LIMIT) is END
    assert put("c") == [False]


def test_closing_wakes_who_waits(channel):
    take = channel.take()
    channel.close(END)
    assert take.exception(LIMIT) is END


def test_the_first_end_counts_unless_the_reader_closes(channel, finish):
    finish()
    finish(ValueError("later"))
    assert channel.take().exception(LIMIT) is END
    closed = ValueError("closed")
    channel.close(closed)
    assert channel.take().exception(LIMIT) is closed


# -- back-pressure ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "held"),
    [(["x" * 1000] * 400, module.BYTES // 1000 + 1), (["x"] * 3000, module.ITEMS + 1), (["x" * 2_000_000] * 3, 1)],
    ids=["bytes", "items", "one large item"],
)
def test_a_full_channel_makes_the_hub_wait(channel, start_lane, items, held, on_hub):
    done = start_lane(lambda: [channel.put(item) for item in items])
    on_hub(lambda: None)
    assert len(channel._items) == held
    assert not done.done()
    taken = [channel.take().result(LIMIT) for _ in items]
    assert taken == items
    assert done.result(LIMIT) == [True] * len(items)


def test_closing_frees_a_hub_that_waits(channel, start_lane, on_hub):
    done = start_lane(lambda: [channel.put("x" * 200_000) for _ in range(5)])
    on_hub(lambda: None)
    assert not done.done()
    channel.close(END)
    assert done.result(LIMIT)[-1] is False


def test_readers_that_wait_make_room_too(channel, start_lane):
    takes = [channel.take() for _ in range(50)]
    done = start_lane(lambda: [channel.put("x" * 100_000) for _ in range(50)])
    assert [len(take.result(LIMIT)) for take in takes] == [100_000] * 50
    assert all(done.result(LIMIT))


# -- giving up --------------------------------------------------------------------------------------------------------


def test_a_reader_that_gave_up_is_passed_over(channel, put):
    first, second = channel.take(), channel.take()
    assert first.cancel()
    put("a")
    assert second.result(LIMIT) == "a"
    with pytest.raises(CancelledError):
        first.result(0)


def test_readers_that_gave_up_are_forgotten(channel):
    for _ in range(100):
        channel.take().cancel()
    assert len(channel._takes) == 0


def test_an_item_that_nobody_has_seen_goes_back_to_its_place(channel, put):
    put("a", "b")
    take = channel.take()
    assert take.done()
    assert take.cancel()
    assert take.cancelled()
    assert take.cancel()  # repeating it gives nothing back again
    with pytest.raises(CancelledError):
        take.result(0)
    assert [channel.take().result(LIMIT) for _ in range(2)] == ["a", "b"]


def test_giving_up_while_the_outcome_is_being_made_known_gives_the_item_back(channel, put):
    """The hub has decided, and another thread runs before it has said so."""
    take = channel.take()
    take._first("_outcome", (FINISHED, "item", None))
    assert take.cancel()
    assert channel.take().result(LIMIT) == "item"


def test_an_item_that_was_seen_stays_with_its_reader(channel, put):
    put("a")
    take = channel.take()
    assert take.result(LIMIT) == "a"
    assert not take.cancel()
    assert not take.cancelled()
    assert take.result(LIMIT) == "a"


def test_an_item_given_back_wakes_who_waits(channel, put):
    put("a")
    take, waiting = channel.take(), channel.take()
    take.cancel()
    assert waiting.result(LIMIT) == "a"


def test_an_item_given_back_after_the_close_is_dropped(channel, put):
    put("a")
    take = channel.take()
    channel.close(END)
    take.cancel()
    assert channel.take().exception(LIMIT) is END


def test_giving_up_an_end_gives_nothing_back(channel, finish):
    finish()
    take = channel.take()
    assert not take.cancel()
    assert take.exception(LIMIT) is END


def test_asyncio_gets_items_and_loses_none(channel, start_lane):
    numbers = [str(number) for number in range(300)]
    start_lane(lambda: [channel.put(number) for number in numbers])

    async def main():
        seen = []
        while len(seen) < len(numbers):
            try:
                seen.append(await asyncio.wait_for(channel.take(), 0.0001))
            except TimeoutError:
                continue
        return seen

    assert asyncio.run(main()) == numbers


def test_many_readers_share_the_items(channel, start_lane, finish):
    found: list[str] = []
    lock = threading.Lock()

    def reader():
        while True:
            take = channel.take()
            if take.exception(LIMIT) is not None:
                return
            with lock:
                found.append(take.result())

    threads = [threading.Thread(target=reader) for _ in range(8)]
    for thread in threads:
        thread.start()
    numbers = [str(number) for number in range(2000)]
    start_lane(lambda: [channel.put(number) for number in numbers]).result(LIMIT)
    finish()
    for thread in threads:
        thread.join(LIMIT)
    assert sorted(found, key=int) == numbers


def test_callbacks_run_where_users_code_belongs(channel, put, owner):
    take = channel.take()
    take.add_done_callback(lambda future: None)
    put("a")
    take.result(LIMIT)
    assert len(owner.ran) == 1


def test_in_a_forked_child_a_waiting_future_is_over(channel, owner):
    take = channel.take()
    owner.pid = -1
    with pytest.raises(RuntimeError, match="forked"):
        take.result(LIMIT)


# -- futures ----------------------------------------------------------------------------------------------------------


def test_a_stream_s_future_tells_when_it_is_cancelled(owner):
    told = []
    future = stream_future(owner, lambda: told.append("cancelled"))
    assert future.cancel()
    assert future.cancel()
    assert told == ["cancelled"]
    settled = stream_future(owner, lambda: told.append("late"))
    settled.settle(5, None)
    assert not settled.cancel()
    assert told == ["cancelled"]


def test_following_another_future(owner):
    told = []
    inner = stream_future(owner, lambda: told.append("inner"))
    outer = following(inner, lambda: told.append("outer"))
    assert outer.cancel()
    assert told == ["outer"]
    assert not inner.done()
    second = following(inner, lambda: None)
    inner.settle("value", None)
    assert second.result(LIMIT) == "value"
    assert outer.cancelled()


@pytest.mark.parametrize("how", ["error", "cancel", "done"])
def test_following_one_that_ends_otherwise(owner, how):
    inner: CallFuture[str] = stream_future(owner, lambda: None)
    if how == "done":
        inner.settle("value", None)
        assert following(inner, lambda: None).result(LIMIT) == "value"
        return
    outer = following(inner, lambda: None)
    if how == "error":
        inner.settle(None, END)
        assert outer.exception(LIMIT) is END
    else:
        inner.cancel()
        assert outer.cancelled()


def test_a_take_is_a_call_future(channel):
    assert isinstance(channel.take(), Take)
    assert isinstance(channel.take(), CallFuture)
    assert not channel.take().running()


# -- greenlets --------------------------------------------------------------------------------------------------------


def test_a_greenlet_sleeps_and_waits(hub, on_hub):
    steps = []
    waited = CallFuture()
    ended = CallFuture()

    def work():
        steps.append("begun")
        greenlet.sleep(0.01)
        steps.append("slept")
        greenlet.wait(waited)
        steps.append(waited.result(0))
        ended.settle(None, None)

    greenlet = HubGreenlet(hub, work)
    on_hub(greenlet.start)
    on_hub(greenlet.start)  # once is enough
    waited.settle("heard", None)
    ended.result(LIMIT)
    assert steps == ["begun", "slept", "heard"]


@pytest.mark.parametrize("where", ["sleep", "wait", "before"])
def test_a_greenlet_is_stopped_wherever_it_waits(hub, on_hub, where):
    ended = []

    def work():
        try:
            greenlet.sleep(60) if where == "sleep" else greenlet.wait(CallFuture())
        finally:
            ended.append(where)

    greenlet = HubGreenlet(hub, work)
    if where != "before":
        on_hub(greenlet.start)
        on_hub(lambda: None)
    on_hub(greenlet.stop)
    on_hub(greenlet.start)
    on_hub(lambda: None)
    assert ended == ([] if where == "before" else [where])


def test_a_greenlet_that_fails_is_reported_and_harms_nobody(hub, on_hub, caplog):
    greenlet = HubGreenlet(hub, lambda: 1 / 0)
    on_hub(greenlet.start)
    assert on_hub(lambda: "alive") == "alive"
    assert "ZeroDivisionError" in caplog.text


def test_waking_a_wait_that_is_over_does_nothing(hub, on_hub):
    """A future that is settled while its waiter was woken by something else."""
    first, second, ended = CallFuture(), CallFuture(), CallFuture()

    def work():
        greenlet.wait(first)
        greenlet.wait(second)
        ended.settle(second.result(0), None)

    greenlet = HubGreenlet(hub, work)
    on_hub(greenlet.start)
    on_hub(lambda: first.settle(1, None))
    on_hub(lambda: [function() for function in list(first._wakers)])  # futures may report twice
    on_hub(lambda: None)
    assert not ended.done()
    second.settle(2, None)
    assert ended.result(LIMIT) == 2
