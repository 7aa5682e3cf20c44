"""The host program's log handlers may raise, block, or use the session: no call fails or waits for it."""

from __future__ import annotations

import pytest

from support.runtimes.scripts import run_script

PRELUDE = """
import logging, threading
handled = []
class Handler(logging.Handler):
    def emit(self, record):
        handled.append(record.getMessage())
        act(record)
root = logging.getLogger("ai.backend.client"); root.addHandler(Handler()); root.setLevel(logging.DEBUG)
{act}
s = session(); s.open()
"""
ACTS = {
    "raises": "def act(record): raise ZeroDivisionError",
    "raises SystemExit": "def act(record): raise SystemExit(7)",
    "blocks": "gate = threading.Event()\ndef act(record): gate.wait(LIMIT)",
    "uses the session": "def act(record): s.Kernel('from-the-handler').get_info()",
    "uses a future of the session": "def act(record): s.Kernel('from-the-handler').get_info.submit().result(LIMIT)",
}
CALLS = """
for n in range(5):
    assert s.Kernel(f"own-{n}").get_info()["name"] == f"own-{n}"
try: s.with_options(retries=1).Kernel("s503-x").get_info()
except Exception as error: mark("failed", type(error).__name__)
mark("called")
if "gate" in globals(): gate.set()
until(lambda: any("answered" in text for text in handled), "the handler was asked")
s.close()
mark("ending")
"""


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("act", list(ACTS))
def test_a_handler_harms_no_call(echo, act, patched):
    result = run_script(PRELUDE.format(act=ACTS[act]) + CALLS, echo.url, patched=patched)
    assert result.code == 0, str(result)
    assert result.value("failed") == "BackendAPIError"
    result.assert_ended_soon("ending")


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_a_handler_of_the_program_s_own_records_may_use_the_session(echo, patched):
    """It holds the handler's lock meanwhile, which what the session logs needs too."""
    result = run_script(
        """
        import logging
        class Handler(logging.Handler):
            def emit(self, record):
                if record.name == "app": mark("sent", s.Kernel("own-answer").get_info()["name"])
        logging.basicConfig(level=logging.DEBUG, handlers=[Handler()])
        logging.getLogger("urllib3").setLevel(logging.INFO)
        s = session(); s.open()
        logging.getLogger("app").warning("said")
        s.close()
        """,
        echo.url,
        patched=patched,
    )
    result.assert_clean()
    assert result.value("sent") == "own-answer"
