"""Turn actors: pykka's contract without pykka's loop, and the names of pykka that this leans on."""

from __future__ import annotations

import time
from types import SimpleNamespace

import gevent
import pykka
import pytest
from pykka import ActorDeadError, ActorRegistry
from pykka._envelope import Envelope

from ai.backend.client.actors.call import Call, Options
from ai.backend.client.actors.messages import (
    POISON_PILL,
    Cancel,
    Close,
    Crashed,
    Ended,
    Finished,
    Invoke,
    Received,
    Send,
)
from ai.backend.client.actors.steps import Offload
from ai.backend.client.actors.turn import AskFuture, TurnActor
from support.waiting import LIMIT

AT_ONCE = LIMIT / 2
"""Seconds: what is answered at once takes microseconds, and what is not takes for ever."""
SECRET = "s3cr3t"


class Worker(TurnActor):
    """Answers an ask with the value of the callable that it gets; keeps bare messages."""

    def __init__(self, hub):
        super().__init__(hub)
        self.bare = []
        self.orphans = []
        self.crashes = []
        self.number = 1

    def receive(self, message):
        self.bare.append(message)
        if callable(message):
            message()

    def on_receive(self, message):
        return message() if callable(message) else message

    def crashed(self, message, error):
        self.crashes.append((message, error))

    def died_with(self, message):
        self.orphans.append(message)

    def add(self, one, other):
        return one + other

    def fail(self, error):
        raise error


class Foreign(pykka.ThreadingActor):
    """An actor of another library."""

    def answer(self):
        return "alive"


@pytest.fixture
def worker(hub):
    return Worker.launch(hub)


@pytest.fixture
def ref(worker):
    return worker.actor_ref


@pytest.fixture
def foreign():
    reference = Foreign.start()
    yield reference
    reference.stop(timeout=LIMIT)


def raising(error):
    def handler():
        raise error

    return handler


# -- the seam ---------------------------------------------------------------------------------------------------------


def test_pykka_asks_an_actor_type_for_three_hooks_and_no_more():
    assert pykka.Actor.__abstractmethods__ == {"_create_actor_inbox", "_create_future", "_start_actor_loop"}


@pytest.mark.parametrize("name", ["_actor_loop_setup", "_handle_receive", "_actor_loop_teardown", "_stop"])
def test_the_private_methods_of_pykka_that_we_call_exist(name):
    assert callable(getattr(pykka.Actor, name, None)), f"pykka {pykka.__version__} has no Actor.{name}"


def test_pykka_starts_an_actor_by_registering_it_and_starting_its_loop(hub, monkeypatch):
    steps = []
    monkeypatch.setattr(ActorRegistry, "register", lambda ref: steps.append("register"))
    monkeypatch.setattr(Worker, "_start_actor_loop", lambda self: steps.append("loop"))
    Worker.start(hub)
    assert steps == ["register", "loop"]


def test_an_envelope_is_a_message_and_whom_to_reply_to():
    future = AskFuture()
    envelope = Envelope("message", reply_to=future)
    assert Envelope.__slots__ == ["message", "reply_to"]
    assert (envelope.message, envelope.reply_to) == ("message", future)


def test_pykka_puts_envelopes_into_the_inbox_that_we_made(worker, monkeypatch):
    put = []
    monkeypatch.setattr(type(worker.mailbox), "put", lambda self, message: put.append(message))
    worker.actor_ref.tell("told")
    worker.actor_ref.ask("asked", block=False)
    assert [type(message) for message in put] == [Envelope, Envelope]
    assert [message.message for message in put] == ["told", "asked"]
    assert put[0].reply_to is None
    assert isinstance(put[1].reply_to, AskFuture)


def test_a_reference_finds_its_actor_and_holds_it_weakly(worker):
    assert worker.actor_ref._actor_weakref() is worker
    assert worker.actor_inbox is worker.mailbox


def test_stop_travels_as_a_message_of_pykka_s_own(worker, monkeypatch):
    put = []
    monkeypatch.setattr(type(worker.mailbox), "put", lambda self, message: put.append(message.message))
    worker.stop()
    assert [type(message).__name__ for message in put] == ["_ActorStop"]


def test_a_future_of_pykka_keeps_its_hook_where_we_look_for_it():
    assert vars(pykka.Future()).keys() >= {"_get_hook", "_get_hook_result"}
    future = AskFuture()
    future.set_get_hook(lambda timeout: ("hooked", timeout))
    assert future.get(timeout=3) == ("hooked", 3)


# -- asking and telling -----------------------------------------------------------------------------------------------


def test_ask_tell_proxy_and_stop_work_from_a_thread(worker, ref):
    told = []
    ref.tell(lambda: told.append(1))
    assert ref.ask("echo", timeout=LIMIT) == "echo"
    assert told == [1]
    proxy = ref.proxy()
    assert proxy.add(2, 3).get(timeout=LIMIT) == 5
    assert proxy.number.get(timeout=LIMIT) == 1
    proxy.number = 7
    assert worker.number == 7
    assert ref.stop(timeout=LIMIT) is True
    assert not ref.is_alive()


def test_ask_tell_proxy_and_stop_work_from_a_greenlet_and_hold_up_no_other(worker, ref, in_gevent):
    def body():
        ticks = []
        ticker = gevent.spawn(lambda: [ticks.append(gevent.sleep(0)) for _ in range(100_000)])
        told = []
        ref.tell(lambda: told.append(1))
        answers = [job.get() for job in [gevent.spawn(ref.ask, number, timeout=LIMIT) for number in range(20)]]
        total = ref.proxy().add(2, 3).get(timeout=LIMIT)
        stopped = ref.stop(timeout=LIMIT)
        ticker.kill()
        return answers, total, stopped, told, len(ticks)

    answers, total, stopped, told, ticks = in_gevent(body)
    assert answers == list(range(20))
    assert (total, stopped, told) == (5, True, [1])
    assert ticks > 0


def test_messages_of_one_sender_are_handled_in_their_order(worker, ref):
    for number in range(500):
        worker.mailbox.put(number)
    ref.ask("all of them are before this", timeout=LIMIT)
    assert worker.bare == list(range(500))


def test_an_ask_that_is_not_answered_in_time_is_pykka_s_timeout(hub, ref):
    future = AskFuture()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.01)
    future.set("late")
    assert future.get(timeout=0) == "late"


def test_a_reply_is_set_once():
    future = AskFuture()
    future.set(1)
    with pytest.raises(RuntimeError):
        future.set(2)
    with pytest.raises(RuntimeError):
        future.set_exception((ValueError, ValueError(), None))
    assert future.get(timeout=0) == 1


def test_replies_can_be_mapped_and_collected_as_with_pykka(ref):
    futures = [ref.ask(number, block=False) for number in range(5)]
    assert pykka.get_all(futures, timeout=LIMIT) == [0, 1, 2, 3, 4]
    assert ref.ask(3, block=False).map(lambda value: value + 1).get(timeout=LIMIT) == 4


# -- the end ----------------------------------------------------------------------------------------------------------


def test_a_thousand_asks_before_a_stop_are_all_answered(ref):
    futures = [ref.ask(number, block=False) for number in range(1000)]
    assert ref.stop(timeout=LIMIT) is True
    assert [future.get(timeout=LIMIT) for future in futures] == list(range(1000))


def test_asks_that_race_with_a_stop_are_answered_or_refused(hub, spawn):
    for _ in range(20):
        reference = Worker.start(hub)
        holder = reference._actor_weakref()
        asking = spawn(lambda reference=reference: [reference.ask(n, block=False) for n in range(200)])
        reference.stop(block=False)
        for number, future in enumerate(asking.result(LIMIT)):
            try:
                assert future.get(timeout=LIMIT) == number
            except ActorDeadError:
                pass
        assert holder is not None


def test_the_second_stop_says_that_there_was_nothing_to_stop(ref):
    assert ref.stop(timeout=LIMIT) is True
    assert ref.stop(timeout=LIMIT) is False


def test_an_ask_after_the_end_is_refused_at_once(ref):
    ref.stop(timeout=LIMIT)
    start = time.monotonic()
    with pytest.raises(ActorDeadError):
        ref.ask("anybody?", timeout=LIMIT)
    with pytest.raises(ActorDeadError):
        ref.tell("anybody?")
    with pytest.raises(ActorDeadError):
        ref.proxy()
    assert time.monotonic() - start < AT_ONCE


@pytest.mark.parametrize("hub_ended", [False, True], ids=["hub-runs", "hub-ended"])
def test_a_message_put_after_the_last_drain_is_answered(hub, worker, ref, hub_ended):
    """The sender looked whether the actor lives just before it died."""
    ref.stop(timeout=LIMIT)
    if hub_ended:
        hub.stop()
        assert hub.join(LIMIT)
    late = AskFuture()
    worker.mailbox.put(Envelope("late", reply_to=late))
    with pytest.raises(ActorDeadError):
        late.get(timeout=LIMIT)
    second_stop = AskFuture()
    worker.mailbox.put(Envelope(pykka.messages._ActorStop(), reply_to=second_stop))
    assert second_stop.get(timeout=LIMIT) is None


def test_a_bare_message_after_the_end_is_handed_to_who_answers_for_it(hub, worker, ref, on_hub):
    ref.stop(timeout=LIMIT)
    worker.mailbox.put("one")
    on_hub(lambda: None)
    worker.mailbox.put("other")
    on_hub(lambda: None)
    assert worker.orphans == ["one", "other"]
    assert worker.bare == []


def test_messages_behind_a_stop_are_not_handled(worker, ref, on_hub):
    def fill():
        worker.mailbox.put("before")
        worker.stop()
        worker.mailbox.put("behind")

    on_hub(fill)
    on_hub(lambda: None)
    assert (worker.bare, worker.orphans) == (["before"], ["behind"])


def test_an_error_in_an_orphan_s_answer_strands_no_other(hub, on_hub):
    class Careless(Worker):
        def died_with(self, message):
            super().died_with(message)
            if message == "bad":
                raise ValueError(message)

    actor = Careless.launch(hub)
    actor.actor_ref.stop(timeout=LIMIT)
    late = AskFuture()

    def fill():
        for message in ("bad", "good", Envelope("late", reply_to=late)):
            actor.mailbox.put(message)

    on_hub(fill)
    on_hub(lambda: None)
    assert actor.orphans == ["bad", "good"]
    with pytest.raises(ActorDeadError):
        late.get(timeout=AT_ONCE)


def test_an_actor_whose_start_failed_answers_nothing_but_its_death(hub):
    """As with pykka's own actors."""

    class Stillborn(Worker):
        def on_start(self):
            raise ValueError("no start")

    actor = Stillborn.launch(hub)
    future = AskFuture()
    actor.mailbox.put(Envelope("asked before the start failed", reply_to=future))
    with pytest.raises(ActorDeadError):
        future.get(timeout=AT_ONCE)


# -- failures ---------------------------------------------------------------------------------------------------------

ERRORS = [ValueError("no"), SystemExit(3), gevent.Timeout(5), gevent.GreenletExit(), KeyboardInterrupt()]
every_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


@every_error
def test_the_caller_of_a_failing_handler_gets_its_error_and_nobody_else_is_hurt(worker, ref, foreign, error):
    with pytest.raises(type(error)) as caught:
        ref.ask(raising(error), timeout=LIMIT)
    assert caught.value is error
    with pytest.raises(type(error)):
        ref.proxy().fail(error).get(timeout=LIMIT)
    assert ref.ask("next", timeout=LIMIT) == "next"
    assert foreign.proxy().answer().get(timeout=LIMIT) == "alive"
    assert worker.crashes == []


@every_error
def test_a_failing_handler_of_a_tell_is_a_crash_that_the_actor_survives(worker, ref, foreign, error):
    ref.tell(raising(error))
    worker.mailbox.put(raising(error))
    assert ref.ask("next", timeout=LIMIT) == "next"
    assert [crash for _, crash in worker.crashes] == [error, error]
    assert foreign.proxy().answer().get(timeout=LIMIT) == "alive"


def test_an_actor_that_fails_while_it_handles_a_crash_lives_on(hub, caplog):
    class Hopeless(Worker):
        def crashed(self, message, error):
            raise SystemExit("twice")

    reference = Hopeless.launch(hub).actor_ref
    reference.tell(raising(ValueError("once")))
    assert reference.ask("next", timeout=LIMIT) == "next"
    assert "failed twice" in caplog.text


@every_error
def test_an_error_in_on_stop_stops_the_actor_all_the_same(hub, error):
    class Reluctant(Worker):
        def on_stop(self):
            raise error

    reference = Reluctant.launch(hub).actor_ref
    if isinstance(error, Exception):
        reference.stop(timeout=LIMIT)
    else:
        with pytest.raises(type(error)):
            reference.stop(timeout=LIMIT)
    with pytest.raises(ActorDeadError):
        reference.ask("anybody?", timeout=AT_ONCE)


def test_a_handler_that_waits_is_refused_at_once(hub, ref):
    other = Worker.launch(hub)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="hub"):
        ref.ask(lambda: other.actor_ref.ask("echo", timeout=LIMIT), timeout=LIMIT)
    with pytest.raises(RuntimeError, match="hub"):
        ref.ask(lambda: ref.ask("myself", timeout=LIMIT), timeout=LIMIT)
    assert time.monotonic() - start < AT_ONCE
    assert ref.ask("next", timeout=LIMIT) == "next"


# -- neighbours -------------------------------------------------------------------------------------------------------


def test_our_actors_are_not_in_pykka_s_registry(ref, on_hub):
    on_hub(lambda: None)
    assert ref not in ActorRegistry.get_all()
    assert ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_another_library_that_stops_all_actors_leaves_ours_alive(ref, foreign):
    assert ActorRegistry.stop_all(timeout=LIMIT)
    assert not foreign.is_alive()
    assert ref.ask("next", timeout=LIMIT) == "next"


# -- what they are called ---------------------------------------------------------------------------------------------


def test_names_of_actors_hold_nothing_but_class_and_urn(hub):
    class Keeper(Worker):
        def __init__(self, hub, secret):
            super().__init__(hub)
            self.secret = secret

    actor = Keeper.launch(hub, SECRET)
    for text in (str(actor), repr(actor), str(actor.actor_ref), repr(actor.actor_ref)):
        assert "Keeper" in text
        assert SECRET not in text


def test_messages_and_calls_show_no_arguments():
    def recipe(password):
        yield password

    call = Call(None, "login", "Auth", recipe(SECRET), Options(1, 2, 0))
    call.step = SECRET
    messages = [
        Invoke(call),
        Send(call, SECRET),
        Received(call, SECRET, ValueError(SECRET)),
        Finished(call, SECRET, ValueError(SECRET)),
        Crashed("Auth", call, ValueError(SECRET)),
        Cancel(call),
        Close(10),
        Ended(SimpleNamespace(name="Auth", secret=SECRET)),
        POISON_PILL,
        Offload(recipe, SECRET),
        Envelope(Invoke(call)),
    ]
    for message in messages:
        assert SECRET not in repr(message)
        assert SECRET not in str(message)
    assert "Auth.login" in repr(Invoke(call))
