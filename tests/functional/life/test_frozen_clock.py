"""The application's tests freeze the date: time limits end all the same, on the system's clock."""

from __future__ import annotations

import pytest

from support.runtimes.scripts import run_script

LIMITS = {
    "a deadline": "s.with_options(deadline=0.3).Kernel('never').get_info()",
    "a silent server": "s.with_options(timeout=0.3, retries=0).Kernel('never').get_info()",
    "a wait": "s.Kernel('never').get_info.submit().result(0.3)",
    "a wait for a slot": """
        for _ in range(2): s.Kernel('never').get_info.submit()
        s.with_options(deadline=0.3).Kernel('x').get_info()
    """,
    "a closing": "s.Kernel('never').get_info.submit(); s.close(0.3); raise TimeoutError",
}
SCRIPT = """
import textwrap
{freezing}
s = session(in_flight=2); s.open()
with freeze():
    try:
        exec(textwrap.dedent({limit!r}))
    except TimeoutError:
        pass
    else:
        raise AssertionError("no limit")
    assert {nothing_more} or s.Kernel("own-answer").get_info()["name"] == "own-answer"
mark("ending")
"""
FREEZING = {
    "freezegun": """
import freezegun
def freeze(): return freezegun.freeze_time("2001-02-03")
""",
    "everything of the time module": """
import contextlib, time
@contextlib.contextmanager
def freeze():
    real = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns")}
    for name in real: setattr(time, name, lambda: 1_000_000_000)
    try: yield
    finally:
        for name in real: setattr(time, name, real[name])
""",
}


@pytest.mark.parametrize("freezing", list(FREEZING))
@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("limit", list(LIMITS))
def test_a_time_limit_ends_while_the_clock_stands_still(echo, limit, patched, freezing):
    nothing_more = limit in ("a closing", "a wait for a slot")
    source = SCRIPT.format(freezing=FREEZING[freezing], limit=LIMITS[limit], nothing_more=nothing_more)
    result = run_script(source, echo.url, patched=patched)
    result.assert_clean()


def test_a_package_imported_while_the_clock_stands_still_has_time_limits_too(echo):
    """Test tools put their clocks into modules as these are imported, too."""
    result = run_script(
        """
        import sys
        for name in [name for name in sys.modules if name.startswith("ai.backend.client")]: del sys.modules[name]
        import freezegun
        with freezegun.freeze_time("2001-02-03"):
            from ai.backend.client.session import Session
            from ai.backend.client.config import APIConfig
            s = Session(config=APIConfig(endpoint=sys.argv[1], access_key="AK", secret_key="SK", deadline=0.5))
            try:
                s.Kernel("never").get_info()
            except TimeoutError:
                mark("ended")
        s.close()
        """,
        echo.url,
    )
    result.assert_clean()
    assert "ended" in result.out
