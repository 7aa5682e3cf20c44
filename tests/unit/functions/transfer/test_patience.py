"""How many breaks of a transfer are borne, and which."""

from __future__ import annotations

import pytest

from ai.backend.client.exceptions import (
    BackendAPIError,
    ConnectionLost,
    InvalidReply,
    NeverSent,
    ProtocolError,
    ReadTimeout,
    SessionClosed,
    TLSError,
)
from ai.backend.client.functions.transfer.patience import Patience, may_pass


def test_breaks_in_a_row_are_counted_and_waited_for_ever_longer():
    patience = Patience(3, rng=lambda: 1.0)
    pauses = [patience.after(ConnectionLost("x")).seconds for _ in range(3)]
    assert pauses == [0.02, 0.04, 0.08]
    with pytest.raises(ConnectionLost):
        patience.after(ConnectionLost("x"))
    patience.renew()
    assert patience.after(ConnectionLost("x")).seconds == 0.02


def test_a_pause_has_a_limit():
    patience = Patience(2000, rng=lambda: 1.0)
    assert max(patience.after(ConnectionLost("x")).seconds for _ in range(2000)) == 5.0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ConnectionLost("x"), True),
        (NeverSent("x"), True),
        (ReadTimeout("x"), True),
        (ProtocolError("x"), True),
        (InvalidReply("x"), False),
        (TLSError("x"), False),
        (SessionClosed("x"), False),
        (BackendAPIError(503, "", ""), True),
        (BackendAPIError(429, "", ""), True),
        (BackendAPIError(500, "", ""), False),
        (BackendAPIError(404, "", ""), False),
    ],
    ids=repr,
)
def test_what_counts_as_a_break(error, verdict):
    assert may_pass(error) is verdict
