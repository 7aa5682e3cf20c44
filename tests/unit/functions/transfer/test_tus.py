"""The states of an upload: each row of its table, by requests and answers, and what is in no row."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from ai.backend.client.exceptions import BackendAPIError, BackendError, ConnectionLost, NeverSent, TransferError
from ai.backend.client.functions.base import Offload, Pause
from ai.backend.client.functions.transfer import tus
from ai.backend.client.functions.transfer.context import TransferContext
from ai.backend.client.functions.transfer.progress import Meter
from ai.backend.client.functions.transfer.tus import MOVES, RESTARTS, STAND_STILL, Action, Event, TusUpload, UploadState
from ai.backend.client.functions.transfer.upload_records import Record, SavedUploads
from ai.backend.client.request import Request, Response
from support.local_files import local

SIZE = 15


def answer(status: int, body: Any = None, **headers: object) -> Response:
    fields = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    raw = SimpleNamespace(reason="", headers=CaseInsensitiveDict(fields))
    return Response(status, b"" if body is None else json.dumps(body).encode(), raw)


TICKET = answer(200, {"token": "t0k", "url": "http://proxy/upload"})
BROKEN = ConnectionLost("broken")
GONE = BackendAPIError(404, "Not Found", "")
REFUSED = BackendAPIError(401, "Unauthorized", "")


def stored(offset: int) -> Response:
    return answer(204, Upload_Offset=offset)


def seen(offset: int) -> Response:
    return answer(200, Upload_Offset=offset, Upload_Length=SIZE)


def listing(*sizes: int) -> Response:
    return answer(200, {"files": json.dumps([{"filename": "file", "size": size, "mode": "-rw"} for size in sizes])})


class Driven(TusUpload):
    """An upload whose requests are answered by hand; `moves` are those that it made, with the pauses in each."""

    def __init__(self, folder: Any, chunk: int = 5, max_retries: int = 5, is_recalled: bool = False) -> None:
        (folder / "file").write_bytes(b"x" * SIZE)
        file = local(folder / "file")
        saved = SavedUploads(str(folder / "records"), "identity")
        if is_recalled:
            saved.remember("file", file, Record("http://proxy/upload", "t0k"))
        context = TransferContext("/folders/f", "f", "identity", True, {}, chunk, 1, max_retries, Meter(None, None))
        super().__init__(context, file, "file", saved)
        self.moves: list[tuple[UploadState, Event, UploadState, list[float]]] = []
        self.pauses: list[float] = []
        self.request: Request | None = None
        self.error: BackendError | None = None
        self._recipe = self.run()
        self._go_on(lambda: next(self._recipe))

    def move(self, event: Event) -> Any:
        before, self.pauses = self.state, []
        try:
            return (yield from super().move(event))
        finally:
            self.moves.append((before, event, self.state, self.pauses))

    def _go_on(self, resume: Any) -> None:
        """Up to the next request, or the end."""
        self.request = None
        try:
            step = resume()
            while not isinstance(step, Request):
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    step = self._recipe.send(None)
                else:
                    assert isinstance(step, Offload)
                    step = self._recipe.send(step.function(*step.args))
            self.request = step
        except StopIteration:
            pass
        except BackendError as error:
            self.error = error

    def answer(self, *answers: Response | BackendError) -> Driven:
        for one in answers:
            assert self.request is not None, "it waits for nothing"
            if isinstance(one, BackendError):
                self._go_on(lambda error=one: self._recipe.throw(error))
            else:
                self._go_on(lambda response=one: self._recipe.send(response))
        return self


WAYS: dict[UploadState, list[Any]] = {
    UploadState.NEW: [],
    UploadState.FRESH: [TICKET],
    UploadState.SENDING: [TICKET, stored(5)],
    UploadState.RECALLED: [],
    UploadState.LOOKING: [TICKET, stored(5), BROKEN, seen(5)],
    UploadState.LOST: [TICKET, stored(10), BROKEN, GONE],
    UploadState.CHECKING: [TICKET, stored(10), BROKEN, seen(10), seen(10), stored(SIZE)],
}
"""How an upload gets into a state."""

HAPPENS: dict[tuple[UploadState, Event], Any] = {
    (UploadState.NEW, Event.TICKET): TICKET,
    (UploadState.FRESH, Event.STORED): stored(5),
    (UploadState.FRESH, Event.COMPLETE): stored(SIZE),
    (UploadState.FRESH, Event.WRONG): stored(4),
    (UploadState.SENDING, Event.STORED): stored(10),
    (UploadState.SENDING, Event.COMPLETE): stored(SIZE),
    (UploadState.SENDING, Event.WRONG): stored(9),
    (UploadState.RECALLED, Event.MOVED): seen(0),
    (UploadState.LOOKING, Event.MOVED): seen(7),
    (UploadState.LOOKING, Event.STANDS): seen(5),
    (UploadState.LOOKING, Event.WRONG): seen(4),
    (UploadState.LOST, Event.THERE): listing(SIZE),
    (UploadState.LOST, Event.MISSING): listing(),
    (UploadState.CHECKING, Event.THERE): listing(SIZE),
    (UploadState.CHECKING, Event.MISSING): listing(4),
}
"""The answer that is an event of a state, where the event alone does not say."""

FAILURES = {Event.BROKEN: BROKEN, Event.GONE: GONE, Event.REFUSED: REFUSED}

LARGE_CHUNK = {
    (UploadState.FRESH, Event.COMPLETE): SIZE,
    (UploadState.SENDING, Event.COMPLETE): 10,
    **{(state, event): 10 for state, event in MOVES if state in (UploadState.LOST, UploadState.CHECKING)},
}


def in_state(folder: Any, state: UploadState, event: Event) -> Driven:
    upload = Driven(folder, LARGE_CHUNK.get((state, event), 5), is_recalled=state is UploadState.RECALLED)
    way = WAYS[state]
    if (state, event) == (UploadState.SENDING, Event.COMPLETE):
        way = [TICKET, stored(10)]
    assert upload.answer(*way).state is state
    return upload


@pytest.mark.parametrize(("state", "event"), MOVES, ids=lambda value: value.name)
def test_every_row_of_the_table(tmp_path, state, event):
    upload = in_state(tmp_path, state, event)
    before = len(upload.moves)
    upload.answer(HAPPENS.get((state, event)) or FAILURES[event])
    came, what, to, pauses = upload.moves[before]
    following, action = MOVES[state, event]
    assert (came, what, to) == (state, event, following)
    assert (upload.error is not None) is (action is Action.FAIL)
    if action is Action.PAUSE:
        assert pauses == [STAND_STILL]
    elif action is Action.WAIT:
        assert len(pauses) == 1
        assert pauses[0] < STAND_STILL
    else:
        assert pauses == []
    if action is Action.RESTART:
        assert upload.request.path == "folders/f/request-upload"


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(UploadState, Event) if pair not in MOVES],
    ids=lambda value: value.name,
)
def test_a_move_that_is_in_no_row_is_a_defect(tmp_path, state, event):
    upload = Driven(tmp_path)
    upload.state = state
    with pytest.raises(RuntimeError, match=f"{state.name} cannot meet {event.name}"):
        list(TusUpload.move(upload, event))


def test_the_table_that_is_drawn_is_the_one_that_is_followed():
    rows = [line.split() for line in tus.__doc__.splitlines()]
    drawn = {
        (UploadState[row[0]], Event[row[1]]): (UploadState[row[2]], Action[row[3]])
        for row in rows
        if len(row) == 4 and row[0] in UploadState.__members__ and row[3] in Action.__members__
    }
    assert drawn == MOVES


def test_every_state_is_reached_and_left():
    assert {state for state, _ in MOVES} == set(UploadState) - {UploadState.DONE}
    assert {state for state, _ in MOVES.values()} == set(UploadState)


def test_a_file_is_started_over_so_often_and_the_latest_reason_is_told(tmp_path):
    upload = Driven(tmp_path)
    for _ in range(RESTARTS):
        upload.answer(TICKET, stored(4))
    assert upload.error is None
    upload.answer(TICKET, stored(3))
    assert isinstance(upload.error, TransferError)
    assert "has 3 bytes after 5 were sent" in str(upload.error)


def test_breaks_in_a_row_are_borne_as_often_as_the_call_says_and_progress_renews_that(tmp_path):
    upload = Driven(tmp_path, max_retries=1).answer(TICKET, BROKEN, seen(5), seen(5), BROKEN)
    assert upload.error is None
    upload.answer(BROKEN)
    assert upload.error is BROKEN


def test_a_recalled_upload_whose_proxy_cannot_be_reached_is_started_over(tmp_path):
    upload = Driven(tmp_path, is_recalled=True).answer(NeverSent("refused"))
    assert upload.moves[0][:3] == (UploadState.RECALLED, Event.GONE, UploadState.NEW)


def test_an_upload_that_is_lost_in_the_middle_is_not_looked_for_in_the_folder(tmp_path):
    upload = Driven(tmp_path).answer(TICKET, stored(5), BROKEN, GONE)
    assert [move[1] for move in upload.moves[-2:]] == [Event.GONE, Event.MISSING]
    assert upload.request.path == "folders/f/request-upload"


def test_an_upload_without_a_break_asks_nothing_more(tmp_path):
    upload = Driven(tmp_path).answer(TICKET, stored(5), stored(10), stored(SIZE))
    assert (upload.state, upload.request, upload.error) == (UploadState.DONE, None, None)
    assert list((tmp_path / "records").iterdir()) == []


@pytest.mark.parametrize("state", [UploadState.NEW, UploadState.CHECKING])
def test_an_error_of_the_manager_ends_the_upload(tmp_path, state):
    upload = in_state(tmp_path, state, Event.THERE)
    upload.answer(BROKEN)
    assert upload.error is BROKEN
