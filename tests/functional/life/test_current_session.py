"""A proxy class that was imported from its module works for the session of the ``with`` block around the code."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import gevent
import pytest

from ai.backend.client.exceptions import SessionClosed
from ai.backend.client.func.dotfile import Dotfile
from ai.backend.client.func.manager import Manager as LaterManager
from ai.backend.client.kernel import Kernel
from ai.backend.client.session import AsyncSession, Session
from ai.backend.client.vfolder import VFolder
from support.runtimes.calling import AsyncioRuntime
from support.servers.faults import unused_port
from support.waiting import LIMIT


@contextlib.contextmanager
def entered(runtime: Any, session: Any) -> Iterator[Any]:
    """A `with` block of the session (in asyncio: `async with`)."""
    if isinstance(runtime, AsyncioRuntime):
        runtime.coroutine(session.__aenter__)
        leave = lambda: runtime.coroutine(lambda: session.__aexit__(None, None, None))  # noqa: E731  # two of a kind
    else:
        session.__enter__()
        leave = lambda: session.__exit__(None, None, None)  # noqa: E731  # two of a kind
    try:
        yield session
    finally:
        leave()


def value(runtime: Any, call: Callable[[], Any]) -> Any:
    """What a call gives in the context of the block."""
    if isinstance(runtime, AsyncioRuntime):
        return runtime.value(call)
    outcome = call()
    return outcome.result(LIMIT) if isinstance(outcome, Future) else outcome


@pytest.fixture
def make(runtime, echo, make_config):
    """Sessions of the runtime's kind, each with an access key of its own, which the server's answers tell."""
    return lambda key: runtime.make(make_config(echo, access_key=key))


def key_of(name: str = "mine") -> Any:
    """A call of the imported class: the answer tells the access key."""
    return Kernel(name).get_info()


def test_inside(runtime, make):
    with entered(runtime, make("ONE")):
        assert value(runtime, key_of)["access_key"] == "ONE"
        assert value(runtime, lambda: LaterManager.status())["access_key"] == "ONE"


def test_what_a_call_gives_is_that_of_the_session(runtime, make):
    """Values on `Session`, futures on `AsyncSession`; `submit` and `iterate` on both."""
    with entered(runtime, make("ONE")) as session:
        (future,) = value(runtime, lambda: [Kernel("mine").get_info.submit()])
        assert runtime.wait(future)["access_key"] == "ONE"
        assert value(runtime, lambda: Kernel.paginated_list.iterate()).total_count is None
        made = value(runtime, lambda: Dotfile.create("text", ".bashrc", "644"))
        assert isinstance(made, Dotfile)
        assert made.session is session


def test_the_innermost_block_counts(runtime, make):
    with entered(runtime, make("ONE")):
        with entered(runtime, make("TWO")):
            assert value(runtime, key_of)["access_key"] == "TWO"
        assert value(runtime, key_of)["access_key"] == "ONE"
        with entered(runtime, make("THREE")):
            assert value(runtime, key_of)["access_key"] == "THREE"
        assert value(runtime, key_of)["access_key"] == "ONE"


def test_blocks_may_end_in_another_order(runtime, make):
    """As an exit stack in a library may do it."""
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(entered(runtime, make("ONE")))
        second.enter_context(entered(runtime, make("TWO")))
        first.close()
        assert value(runtime, key_of)["access_key"] == "TWO"
    with pytest.raises(RuntimeError):
        value(runtime, key_of)


def test_a_view_is_a_session_of_its_own(runtime, make):
    with entered(runtime, make("ONE")) as session:
        view = session.with_options(retries=0)
        with entered(runtime, view):
            assert value(runtime, lambda: Kernel("mine").session) is view
            assert value(runtime, key_of)["access_key"] == "ONE"
        assert value(runtime, lambda: Kernel("mine").session) is session
        assert value(runtime, key_of)["access_key"] == "ONE"


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (key_of, "Kernel.get_info"),
        (lambda: LaterManager.status(), "Manager.status"),
        (lambda: VFolder.list.submit(), "VFolder.list"),
        (lambda: VFolder.paginated_list.iterate(), "VFolder.paginated_list"),
    ],
)
def test_outside(runtime, call, name):
    with pytest.raises(RuntimeError, match=rf"{name} has no session: use it inside `with Session\(\)`"):
        value(runtime, call)


def test_after_the_block(runtime, make):
    with entered(runtime, make("ONE")):
        kernel = value(runtime, lambda: Kernel("mine"))
    with pytest.raises(RuntimeError, match=r"Kernel\.get_info has no session"):
        value(runtime, key_of)
    with pytest.raises(SessionClosed):  # an object of the block belongs to its session
        value(runtime, lambda: kernel.get_info())


def test_a_block_that_an_exception_leaves(runtime, make):
    with pytest.raises(KeyError), entered(runtime, make("ONE")):
        raise KeyError
    with pytest.raises(RuntimeError):
        value(runtime, key_of)


def test_a_block_that_cannot_be_entered(runtime, make_config):
    session = runtime.make(make_config(f"http://127.0.0.1:{unused_port()}", retries=0))
    with pytest.raises(Exception, match="127"), entered(runtime, session):
        pass
    with pytest.raises(RuntimeError, match="has no session"):
        value(runtime, key_of)


def test_an_object_that_was_made_outside(runtime, make):
    """It has no session of its own: each use finds the one of the block."""
    kernel = value(runtime, lambda: Kernel("mine"))
    assert kernel.session is None
    for key in ("ONE", "TWO"):
        with entered(runtime, make(key)):
            assert value(runtime, lambda: kernel.get_info())["access_key"] == key
    with pytest.raises(RuntimeError):
        value(runtime, lambda: kernel.get_info())


def test_an_object_that_was_made_inside_stays_with_its_session(runtime, make):
    with entered(runtime, make("ONE")) as outer:
        kernel = value(runtime, lambda: Kernel("mine"))
        assert kernel.session is outer
        with entered(runtime, make("TWO")):
            assert value(runtime, lambda: kernel.get_info())["access_key"] == "ONE"


def test_what_a_call_changes_the_callers_object_shows(runtime, make):
    """Also when it was made outside, so that the call ran on another object."""
    folder = value(runtime, lambda: VFolder("before"))
    with entered(runtime, make("ONE")):
        value(runtime, lambda: folder.rename("after"))
        assert folder.name == "after"
        assert value(runtime, lambda: folder.info())["path"] == "/folders/after"
    assert folder.name == "after"


def test_classes_of_a_session_never_ask(runtime, make):
    with entered(runtime, make("ONE")) as outer, entered(runtime, make("TWO")):
        assert value(runtime, lambda: outer.Kernel("mine").get_info())["access_key"] == "ONE"
        assert value(runtime, lambda: outer.Manager.status())["access_key"] == "ONE"


def test_a_session_without_a_block_is_none(runtime, make):
    session = make("ONE")
    runtime.open(session)
    with pytest.raises(RuntimeError):
        value(runtime, key_of)
    runtime.close(session)


def in_thread(call: Callable[[], Any]) -> Any:
    """What a call gives in a new thread."""
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(caught(call)))
    thread.start()
    thread.join()
    return outcomes[0]


def caught(call: Callable[[], Any]) -> Any:
    """What a call gives, or raises."""
    try:
        return call()
    except RuntimeError as error:
        return error


def test_another_thread_starts_without(runtime, make):
    with entered(runtime, make("ONE")):
        assert isinstance(in_thread(key_of), RuntimeError)


def test_threads_have_blocks_of_their_own(echo, make_config):
    found: dict[str, str] = {}
    both = threading.Barrier(2, timeout=10)

    def ask(key: str) -> None:
        with Session(config=make_config(echo, access_key=key)):
            both.wait()
            found[key] = key_of()["access_key"]
            both.wait()

    threads = [threading.Thread(target=ask, args=(key,)) for key in ("ONE", "TWO")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"ONE": "ONE", "TWO": "TWO"}


def test_greenlets_have_blocks_of_their_own(echo, make_config):
    def ask(key: str) -> tuple[str, str]:
        with Session(config=make_config(echo, access_key=key)):
            before = key_of()["access_key"]
            gevent.sleep(0)  # the others have their turn
            return before, key_of()["access_key"]

    def crowd() -> list[Any]:
        greenlets = [gevent.spawn(ask, key) for key in ("ONE", "TWO", "THREE")]
        gevent.joinall(greenlets)
        return [greenlet.get() for greenlet in greenlets]

    # In a thread of their own: the main thread of the tests owns no hub.
    assert in_thread(crowd) == [("ONE", "ONE"), ("TWO", "TWO"), ("THREE", "THREE")]


def test_another_greenlet_starts_without(echo, make_config):
    def block() -> Any:
        with Session(config=make_config(echo, access_key="ONE")):
            return gevent.spawn(caught, key_of).get()

    assert isinstance(in_thread(block), RuntimeError)


def test_tasks_have_blocks_of_their_own(echo, make_config):
    async def ask(key: str) -> tuple[str, str]:
        async with AsyncSession(config=make_config(echo, access_key=key)):
            before = (await key_of())["access_key"]
            await asyncio.sleep(0)  # the others have their turn
            return before, (await key_of())["access_key"]

    async def crowd() -> list[tuple[str, str]]:
        return await asyncio.gather(*(ask(key) for key in ("ONE", "TWO", "THREE")))

    assert asyncio.run(crowd()) == [("ONE", "ONE"), ("TWO", "TWO"), ("THREE", "THREE")]


def test_a_task_of_the_block_is_inside_and_an_earlier_one_is_not(echo, make_config):
    async def main() -> tuple[Any, Any]:
        go = asyncio.Event()

        async def early() -> Any:
            await go.wait()
            return await key_of()

        before = asyncio.create_task(early())
        await asyncio.sleep(0)
        async with AsyncSession(config=make_config(echo, access_key="ONE")):

            async def late() -> Any:
                return await key_of()

            go.set()
            return await asyncio.gather(before, asyncio.create_task(late()), return_exceptions=True)

    before, late = asyncio.run(main())
    assert isinstance(before, RuntimeError)
    assert late["access_key"] == "ONE"


def test_both_kinds_of_session_may_be_nested(echo, make_config):
    with Session(config=make_config(echo, access_key="ONE")):
        with AsyncSession(config=make_config(echo, access_key="TWO")):
            assert key_of().result(LIMIT)["access_key"] == "TWO"
        assert key_of()["access_key"] == "ONE"


def test_classes_of_ones_own_work_too(runtime, make):
    from support.recipes import Probe

    with entered(runtime, make("ONE")):
        assert value(runtime, lambda: Probe.get("mine"))["access_key"] == "ONE"
    with pytest.raises(RuntimeError, match=r"Probe\.get has no session"):
        value(runtime, lambda: Probe.get("mine"))
