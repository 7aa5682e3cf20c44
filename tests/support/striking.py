"""What a signal handler, a finalizer or a trace function can do to code of ours: strike it between any two steps.

A :class:`Strike` runs an action in the middle of a call, in the caller's own thread and greenlet, at one step of our
code: at the beginning of a line, as trace functions do, or where the interpreter itself looks for signals (after calls,
at the beginning of a function, at the end of a loop's body).
"""

from __future__ import annotations

import dis
import functools
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import greenlet

from ai.backend.client import actors, sessions

FOLDERS = tuple(str(Path(str(package.__file__)).parent) for package in (actors, sessions))

Step = tuple[CodeType, int]
Places = Callable[[CodeType], frozenset[int]]


class Strike:
    """Traces what the calling greenlet does in `actors` and `sessions`, between :meth:`arm` and :meth:`disarm`.

    Args:
        at: The step at which the action runs, the first time that it is reached; None: nowhere.
        action: What runs there. What it raises is raised in the traced code.
        places: Which steps to note: :func:`lines` or :func:`signal_places`.

    Attributes:
        steps: With `places`: every such step that was reached, each once, in this order.
        struck: Whether the action ran.
    """

    def __init__(
        self, at: Step | None = None, action: Callable[[], object] = lambda: None, places: Places | None = None
    ) -> None:
        self._at = at
        self._action = action
        self._places = places
        self.steps: dict[Step, None] = {}
        self.struck = False
        self._home: Any = None
        self._before: Any = None

    def arm(self) -> None:
        """From here on, in the calling greenlet."""
        self._home = greenlet.getcurrent()
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def disarm(self) -> None:
        """No more. In the thread that armed it."""
        if self._home is not None:
            self._home = None
            sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if greenlet.getcurrent() is not self._home or not code.co_filename.startswith(FOLDERS):
            return None
        if self._at is not None and code is not self._at[0]:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            if self._places is not None:
                if frame.f_lasti in self._places(code):
                    self.steps[code, frame.f_lasti] = None
            elif self._at is not None and frame.f_lasti == self._at[1] and not self.struck:
                self.struck = True
                self.disarm()
                self._action()
                return None
        return self._trace


@functools.cache
def lines(code: CodeType) -> frozenset[int]:
    """The beginnings of a function's lines."""
    return frozenset(start for start, _, line in code.co_lines() if line is not None)


@functools.cache
def signal_places(code: CodeType) -> frozenset[int]:
    """Where a function may be interrupted by a signal."""
    instructions = list(dis.get_instructions(code))
    return frozenset(
        after.offset
        for before, after in itertools.pairwise(instructions)
        if before.opname.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
    )


def place(step: Step) -> str:
    """Where a step is, for people."""
    code, offset = step
    line = next((line for start, end, line in code.co_lines() if start <= offset < end), None)
    return f"{Path(code.co_filename).name}:{line} {code.co_name}+{offset}"
