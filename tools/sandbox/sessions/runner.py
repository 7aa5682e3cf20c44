"""What runs in the process of a compute session: a Python that keeps its state, and a shell. Started as a program.

Talks to the server over one socket, a line of JSON per message. The server sends ``["query", code]``,
``["batch", options]``, ``["bootstrap", script]``, ``["input", text]`` and ``["complete", number, line]``. It gets
``["stdout", text]``, ``["stderr", text]``, ``["html", text]``, ``["media", [type, data]]``, ``["log", text]``,
``["input", options]``, ``["stage", name, exit code]``, ``["done", exit code]`` and
``["completions", number, texts]``. ``["interrupt"]`` interrupts the run that was sent before it, also when it has not
begun. The process ends with its socket.

It imports only the standard library: the session's own code may need other versions of everything else.
"""

# ruff: noqa: BLE001  # whatever the session's code raises is shown, and the session lives on
from __future__ import annotations

import ast
import base64
import builtins
import codecs
import getpass
import io
import json
import linecache
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, TextIO

HOLD_SECONDS = 0.05
HOLD_BYTES = 16384
NOT_RUN = 127  # the exit status of a step that was not tried, because the one before failed
CRASHED = -1
IMAGE_SUFFIXES = {"_repr_png_": "image/png", "_repr_jpeg_": "image/jpeg"}


class Channel:
    """The way to the server. Output is collected for a moment, so that a loop of prints makes few messages."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lock = threading.RLock()
        self._kind = ""
        self._held: list[str] = []
        self._size = 0
        self._pending = threading.Event()
        threading.Thread(target=self._flush_soon, daemon=True).start()

    def send(self, *message: Any) -> None:
        with self._lock:
            self.flush()
            self._put(message)

    def output(self, kind: str, text: str) -> None:
        with self._lock:
            if kind != self._kind:
                self.flush()
                self._kind = kind
            self._held.append(text)
            self._size += len(text)
            if self._size >= HOLD_BYTES:
                self.flush()
            else:
                self._pending.set()

    def flush(self) -> None:
        with self._lock:
            if self._held:
                text = "".join(self._held)
                self._held.clear()
                self._size = 0
                self._put((self._kind, text))

    def _put(self, message: tuple[Any, ...]) -> None:
        try:
            self._link.sendall(json.dumps(message).encode() + b"\n")
        except OSError:  # the server is gone, and this process in a moment
            pass

    def _flush_soon(self) -> None:
        while True:
            self._pending.wait()
            time.sleep(HOLD_SECONDS)
            self._pending.clear()
            self.flush()


class Output(io.RawIOBase):
    """Behind sys.stdout and sys.stderr: what is written goes to the server, and to the container's log."""

    def __init__(self, channel: Channel, kind: str, descriptor: int) -> None:
        self._channel = channel
        self._kind = kind
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, given: Any) -> int:
        data = bytes(given)
        os.write(self._descriptor, data)
        text = self._decoder.decode(data)
        if text:
            self._channel.output(self._kind, text)
        return len(data)


class Input(io.TextIOBase):
    """sys.stdin: every line is asked for."""

    def __init__(self, ask: Callable[[str, bool], str]) -> None:
        self._ask = ask

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """The interpreter's exit() closes it; the next cell may ask again."""

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]  # as TextIOBase's own
        return self._ask("", False) + "\n"

    def read(self, _size: int | None = -1, /) -> str:
        return self.readline()


class Interpreter:
    """Runs cells of Python in one namespace."""

    def __init__(self, channel: Channel, answers: SimpleQueue[str]) -> None:
        self._channel = channel
        self._answers = answers
        self._count = 0
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins, "display": self.display}
        main = type(sys)("__main__")
        main.__dict__.update(self.namespace)
        self.namespace = main.__dict__
        sys.modules["__main__"] = main
        builtins.input = lambda prompt="": self.ask(prompt, False)
        getpass.getpass = lambda prompt="Password: ", _stream=None, **_options: self.ask(prompt, True)
        sys.stdin = Input(self.ask)

    def ask(self, prompt: object, is_password: bool) -> str:
        if prompt:
            sys.stdout.write(str(prompt))
        self._channel.send("input", {"is_password": is_password})
        return self._answers.get()

    def run(self, code: str) -> None:
        self._count += 1
        name = f"<cell {self._count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        try:
            tree = ast.parse(code, name)
            last = tree.body.pop() if self._shows_value(tree, code) else None
            exec(compile(tree, name, "exec"), self.namespace)
            if isinstance(last, ast.Expr):
                self.display(eval(compile(ast.Expression(last.value), name, "eval"), self.namespace))
        except SystemExit as error:
            if error.code not in (None, 0):
                print(f"SystemExit: {error.code}", file=sys.stderr)
        except BaseException as error:
            self._show_error(error)

    @staticmethod
    def _shows_value(tree: ast.Module, code: str) -> bool:
        return bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";")

    def display(self, value: object) -> None:
        """Show a value in the richest form that it has."""
        if value is None:
            return
        for method, media_type in IMAGE_SUFFIXES.items():
            data = self._form(value, method)
            if data is not None:
                text = data if isinstance(data, str) else base64.b64encode(data).decode()
                self._channel.send("media", [media_type, f"data:{media_type};base64,{text}"])
                return
        svg = self._form(value, "_repr_svg_")
        if svg is not None:
            self._channel.send("media", ["image/svg+xml", svg])
            return
        html = self._form(value, "_repr_html_")
        if html is not None:
            self._channel.send("html", html)
            return
        sys.stdout.write(repr(value))

    @staticmethod
    def _form(value: object, method: str) -> Any:
        maker = None if isinstance(value, type) else getattr(value, method, None)
        return maker() if callable(maker) else None

    @staticmethod
    def _show_error(error: BaseException) -> None:
        report = traceback.TracebackException.from_exception(error)
        report.stack = traceback.StackSummary.from_list([frame for frame in report.stack if frame.filename != __file__])
        print("".join(report.format()), end="", file=sys.stderr)

    def complete(self, line: str) -> list[str]:
        """Ways to go on from the end of a line."""
        import rlcompleter

        start = re.sub(r".*?([\w.]*)$", r"\1", line, flags=re.DOTALL)
        completer = rlcompleter.Completer(self.namespace)
        found: list[str] = []
        while (text := completer.complete(start, len(found))) is not None:
            found.append(text)
        return sorted(set(found))


class Shell:
    """Runs the steps of a batch."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.process: subprocess.Popen[bytes] | None = None
        self._interrupt_next = False

    def interrupt(self) -> None:
        """Interrupt the command that runs, or the next one."""
        if self.process is None:
            self._interrupt_next = True
        else:
            os.killpg(self.process.pid, signal.SIGINT)

    def batch(self, options: dict[str, Any]) -> int:
        """Run clean, build and exec.

        Returns:
            The exit status of the last.
        """
        self._interrupt_next = False
        self._stage("clean", 0 if options.get("clean") in (None, "", "*") else self.run(options["clean"]))
        build = options.get("build") or ""
        if build == "*":
            build = "python -m pip install --user -e ." if Path("setup.py").exists() else ""
            if not build:
                self._channel.send("stderr", 'skipping the build phase due to missing "setup.py" file\n')
        built = self.run(build) if build else 0
        self._stage("build", built)
        command = options.get("exec") or ""
        if command == "*":
            command = "python main.py" if Path("main.py").exists() else ""
            if not command:
                self._channel.send("stderr", 'cannot find the main script ("main.py").\n')
                return NOT_RUN
        if not command:
            return 0
        return self.run(command) if built == 0 else NOT_RUN

    def _stage(self, name: str, status: int) -> None:
        self._channel.send("stage", name, status)

    def run(self, command: str) -> int:
        process = self.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        if self._interrupt_next:
            self.interrupt()
        pipes = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        threads = [threading.Thread(target=self._pump, args=pipe, daemon=True) for pipe in pipes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = process.wait()
        self.process = None
        return status

    @staticmethod
    def _pump(pipe: IO[bytes], stream: TextIO) -> None:
        while data := os.read(pipe.fileno(), HOLD_BYTES):
            stream.buffer.write(data)
        pipe.close()


class Runner:
    """Takes messages one after the other; runs are run by the main thread, the only one that signals reach."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._channel = Channel(link)
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._work: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        sys.stdout, sys.stderr = self._stream("stdout", 1), self._stream("stderr", 2)
        self._interpreter = Interpreter(self._channel, self._answers)
        self._shell = Shell(self._channel)
        self._busy = False
        self._is_batch = False
        self._open = 0  # runs that were sent and have not ended
        self._interrupt_next = False
        self._lock = threading.RLock()
        signal.signal(signal.SIGINT, self._interrupted)

    def _stream(self, kind: str, descriptor: int) -> TextIO:
        raw: Any = Output(self._channel, kind, descriptor)  # unbuffered: TextIOWrapper does its own
        return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        self._channel.send("ready")
        while True:
            try:
                self._one(*self._work.get())
            except KeyboardInterrupt:  # came between the end of a run and the word of it
                self._ended(0)

    def _one(self, kind: str, content: Any) -> None:
        status = 0
        with self._lock:
            self._is_batch = kind != "query"
            self._busy = True
            interrupted, self._interrupt_next = self._interrupt_next, False
        try:
            if interrupted:
                self._interrupted()
            if kind == "query":
                self._interpreter.run(content)
            elif kind == "batch":
                status = self._shell.batch(content)
            else:
                status = self._shell.run(content)
        except Exception:
            traceback.print_exc()
            status = CRASHED
        except KeyboardInterrupt:  # before the first line of the code, or after its last
            print("KeyboardInterrupt", file=sys.stderr)
        self._ended(status)

    def _ended(self, status: int) -> None:
        with self._lock:
            self._busy = False
            self._open -= 1
        self._channel.send("done", status)

    def _interrupted(self, _number: int = 0, _frame: object = None) -> None:
        if not self._busy:
            return
        if self._is_batch:
            self._shell.interrupt()
        else:
            raise KeyboardInterrupt

    def _interrupt(self) -> None:
        """Signals reach the main thread only, wherever it is by then."""
        with self._lock:
            if self._busy:
                os.kill(os.getpid(), signal.SIGINT)
            elif self._open:
                self._interrupt_next = True

    def _listen(self) -> None:
        with self._link.makefile("rb") as lines:
            for line in lines:
                kind, *content = json.loads(line)
                if kind == "input":
                    self._answers.put(content[0])
                elif kind == "complete":
                    self._complete(*content)
                elif kind == "interrupt":
                    self._interrupt()
                else:
                    with self._lock:
                        self._open += 1
                    self._work.put((kind, content[0]))
        os.killpg(0, signal.SIGKILL)

    def _complete(self, number: int, line: str) -> None:
        try:
            found = self._interpreter.complete(line)
        except Exception:  # an attribute that cannot even be looked at
            found = []
        self._channel.send("completions", number, found)


def terminal(command: list[str]) -> None:
    """Become a program on the terminal that standard input is."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execvp(command[0], command)


def main() -> None:
    if sys.argv[1] == "--terminal":
        terminal(sys.argv[2:])
    link = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(link.fileno(), False)
    sys.argv = [""]
    sys.path[0] = ""  # modules are looked for in the session's folder, not in the sandbox's
    Runner(link).serve()


if __name__ == "__main__":
    main()
