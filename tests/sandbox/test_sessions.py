"""Compute sessions of the sandbox, driven by this client: code really runs, in both generations."""

from __future__ import annotations

import base64
import os
import secrets
import sys

import pytest

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.sandbox import Sandbox
from ai.backend.client.session import Session
from support.cluster import IMAGE
from support.job import finish, run
from support.sandboxes import emptied, left_over
from support.waiting import until


def test_a_value_is_shown_and_state_is_kept(kernel):
    assert run(kernel, "a = 20\na + 1")[0] == "21"
    assert run(kernel, "a + 2")[0] == "22"


def test_a_semicolon_keeps_a_value_from_being_shown(kernel):
    assert run(kernel, "1 + 1;")[0] == ""


def test_stderr_and_tracebacks(kernel):
    stdout, stderr, result = run(kernel, "import sys\nprint('a')\nprint('b', file=sys.stderr)\n1 / 0")
    assert (stdout, result["exitCode"]) == ("a\n", 0)
    assert stderr.startswith("b\nTraceback")
    assert 'File "<cell' in stderr
    assert "1 / 0" in stderr
    assert stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "runner.py" not in stderr


def test_a_syntax_error_shows_its_place(kernel):
    assert "SyntaxError" in run(kernel, "def f(:")[1]


def test_input_is_asked_for(kernel):
    assert run(kernel, "name = input('who? ')\nprint('hi', name)", ["bob"])[0] == "who? hi bob\n"


def test_a_password_is_asked_for_as_one(kernel):
    result = kernel.execute(code="import getpass\nprint(getpass.getpass())")
    assert result["status"] == "waiting-input"
    assert result["options"] == {"is_password": True}
    assert finish(kernel, kernel.execute(result["runId"], "secret", mode="input"))[0] == "secret\n"


def test_a_long_run_is_continued(kernel):
    result = kernel.execute(code="import time\nprint(1)\ntime.sleep(2.5)\nprint(2)")
    assert result["status"] == "continued"
    assert finish(kernel, result)[0] == "1\n2\n"


def test_an_interrupt_ends_the_run_and_not_the_session(kernel):
    result = kernel.execute(code="import time\nkept = 1\nwhile True: time.sleep(0.01)")
    assert result["status"] == "continued"
    kernel.interrupt()
    assert "KeyboardInterrupt" in finish(kernel, result)[1]
    assert run(kernel, "kept")[0] == "1"


def test_an_interrupt_while_nothing_runs_does_no_harm(kernel):
    kernel.interrupt()
    assert run(kernel, "'still here'")[0] == "'still here'"


def test_runs_of_one_session_wait_for_each_other(any_session, name):
    kernel = any_session.Kernel.get_or_create(IMAGE, name=name)
    futures = [kernel.execute.submit(code=f"import time; time.sleep(0.02); print({n})") for n in range(20)]
    assert [finish(kernel, future.result())[0] for future in futures] == [f"{n}\n" for n in range(20)]
    kernel.destroy()


def test_rich_values(kernel):
    code = """
class Page:
    def _repr_html_(self): return "<b>x</b>"
class Drawing:
    def _repr_svg_(self): return "<svg/>"
class Picture:
    def _repr_png_(self): return b"png"
display(Page())
display(Drawing())
Picture()
"""
    assert kernel.execute(code=code)["console"] == [
        ["html", "<b>x</b>"],
        ["media", ["image/svg+xml", "<svg/>"]],
        ["media", ["image/png", "data:image/png;base64,cG5n"]],
    ]


def test_a_batch_runs_its_three_steps(kernel):
    steps_of_it = {"clean": "true", "build": "echo built", "exec": "echo ran; exit 7"}
    result = kernel.execute(code="", mode="batch", opts=steps_of_it)
    steps = []
    while True:
        steps.append((result["status"], result["exitCode"], result["console"]))
        if result["status"] == "finished":
            break
        result = kernel.execute(result["runId"], "", mode="continue")
    assert steps == [
        ("clean-finished", 0, []),
        ("build-finished", 0, [["stdout", "built\n"]]),
        ("finished", 7, [["stdout", "ran\n"]]),
    ]


@pytest.mark.parametrize("command", ["python", "python3"])
def test_a_batch_has_the_interpreter_of_the_sandbox(kernel, command, tmp_path):
    """Also where the system has no command of that name, or another Python behind it."""
    (tmp_path / "main.py").write_text("import sys; print(sys.executable, sys.prefix, sys.argv[1:])\n")
    kernel.upload([tmp_path / "main.py"], basedir=tmp_path)
    expected = f"{sys.executable} {sys.prefix} ['a b']\n"
    assert run(kernel, "", mode="batch", opts={"exec": f"{command} main.py 'a b'"})[0] == expected


def test_python_is_there_where_the_system_has_none(name, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with Sandbox() as sandbox, Session(config=sandbox.config()) as session:
        kernel = session.Kernel.get_or_create(IMAGE, name=name)
        (_, _, result) = run(kernel, "", mode="batch", opts={"exec": "python -c 'import sys; sys.exit(3)'"})
        assert result["exitCode"] == 3


def test_what_a_test_leaves_running_takes_no_room_of_the_next(any_sandbox, name):
    with Session(config=any_sandbox.config()) as session, Session(config=any_sandbox.config("user")) as user:
        with emptied(any_sandbox):
            session.Kernel.get_or_create(IMAGE, name=name)
            user.Kernel.get_or_create(IMAGE, name=name + "-own")
            assert len(left_over(any_sandbox)) == 2
        assert left_over(any_sandbox) == []


def test_a_failed_build_keeps_the_program_from_running(kernel):
    result = kernel.execute(code="", mode="batch", opts={"build": "exit 3", "exec": "echo ran"})
    stdout, _, result = finish(kernel, result)
    assert (stdout, result["exitCode"]) == ("", 127)


def test_a_batch_is_interrupted(kernel):
    result = kernel.execute(code="", mode="batch", opts={"exec": "sleep 100"})
    while result["status"] != "continued":
        result = kernel.execute(result["runId"], "", mode="continue")
    kernel.interrupt()
    assert finish(kernel, result)[2]["exitCode"] != 0


def test_completions(kernel):
    run(kernel, "import os")
    found = kernel.complete("os.path.isab")["result"]["completions"]
    assert found == ["os.path.isabs("]


def test_files_go_up_and_come_down(kernel, tmp_path):
    (tmp_path / "up" / "inner").mkdir(parents=True)
    (tmp_path / "up" / "inner" / "a.txt").write_text("hello")
    kernel.upload([tmp_path / "up" / "inner" / "a.txt"], basedir=tmp_path / "up")
    assert run(kernel, "open('inner/a.txt').read()")[0] == "'hello'"
    run(kernel, "open('b.bin', 'wb').write(bytes(1000));")
    kernel.download(["b.bin", "inner"], dest=tmp_path / "down")
    assert (tmp_path / "down" / "b.bin").read_bytes() == bytes(1000)
    assert (tmp_path / "down" / "inner" / "a.txt").read_text() == "hello"
    assert '"filename": "b.bin"' in kernel.list_files()["files"]


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "out/passwd"])
def test_files_outside_of_the_session_are_refused(kernel, path, tmp_path):
    run(kernel, "import os\nos.symlink('/etc', 'out')")
    with pytest.raises(BackendAPIError) as caught:
        kernel.download([path], dest=tmp_path)
    assert "outside /home/work" in caught.value.data["agent-details"]["exception"]
    with pytest.raises(BackendAPIError):
        kernel.list_files(path)


def test_a_restart_forgets_state_and_keeps_files(kernel):
    run(kernel, "a = 1\nopen('kept.txt', 'w').write('x');")
    kernel.restart()
    assert "NameError" in run(kernel, "a")[1]
    assert run(kernel, "open('kept.txt').read()")[0] == "'x'"


def test_logs_hold_what_was_written_also_after_the_end(any_session, name):
    kernel = any_session.Kernel.get_or_create(IMAGE, name=name)
    run(kernel, "import os\nprint('from python')\nos.system('echo from a shell');")
    assert "from a shell" in kernel.get_logs()["result"]["logs"]
    kernel.destroy()
    assert "from python" in any_session.Kernel(name).get_logs()["result"]["logs"]


def test_information(kernel, name):
    info = kernel.get_info()
    assert (info["status"], info["image"], info["terminationTime"]) == ("RUNNING", IMAGE, None)
    assert info["occupiedSlots"] == "{'cpu': Decimal('1'), 'mem': Decimal('268435456')}"


def test_a_session_is_found_again(kernel, any_session, name):
    again = any_session.Kernel.get_or_create(IMAGE, name=name)
    assert (again.created, again.status) == (False, "RUNNING")
    with pytest.raises(BackendAPIError) as caught:
        any_session.Kernel.get_or_create(IMAGE, name=name, no_reuse=True)
    assert caught.value.status == 400
    assert "existingSessionId" in caught.value.data["data"]


def test_one_users_sessions_are_not_anothers(session, user, name):
    session.Kernel.get_or_create(IMAGE, name=name)
    with pytest.raises(BackendAPIError) as caught:
        user.Kernel(name).get_info()
    assert caught.value.status == 404
    session.Kernel(name).destroy()


def test_a_destroyed_session_is_gone_and_so_is_its_process(any_session, name):
    kernel = any_session.Kernel.get_or_create(IMAGE, name=name)
    pid = int(run(kernel, "import os; os.getpid()")[0])
    assert kernel.destroy(forced=True) == {"stats": {"status": "terminated"}}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(BackendAPIError) as caught:
        kernel.get_info()
    assert caught.value.status == 404


def test_a_run_whose_session_dies_ends(kernel):
    code = "import os, signal, time\nprint('bye')\ntime.sleep(0.2)\nos.kill(os.getpid(), signal.SIGKILL)"
    result = kernel.execute(code=code)
    stdout, _, result = finish(kernel, result)
    assert (stdout, result["exitCode"]) == ("bye\n", 130)


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        ({"image": "no/such:image"}, 404, None),
        ({"resources": {"mem": "1k"}}, 400, "invalid-api-params"),
        ({"resources": {"gold": 1}}, 400, "invalid-api-params"),
        ({"group_name": "no-such-group"}, 400, "invalid-api-params"),
        ({"scaling_group": "no-such-group"}, 400, "invalid-api-params"),
        ({"cluster_size": 2}, 501, "not-implemented"),
    ],
)
def test_what_cannot_be_started_is_refused(any_session, name, arguments, status, kind):
    with pytest.raises(BackendAPIError) as caught:
        any_session.Kernel.get_or_create(**{"image": IMAGE, "name": name, **arguments})
    assert caught.value.status == status
    if kind:
        assert caught.value.data["type"].endswith(kind)


def test_sessions_wait_for_room(session, name):
    names = [f"{name}-{number}" for number in range(3)]
    for one in names[:2]:
        session.Kernel.get_or_create(IMAGE, name=one, resources={"cpu": 4})
    waiting = session.Kernel.get_or_create(IMAGE, name=names[2], resources={"cpu": 4}, max_wait=1)
    assert waiting.status == "TIMEOUT"
    future = session.Kernel.get_or_create.submit(IMAGE, name=names[2], resources={"cpu": 4})
    session.Kernel(names[0]).destroy()
    future.result()
    session.Kernel(names[1]).destroy()
    session.Kernel(names[2]).destroy()


def test_a_batch_session_runs_its_command_and_ends(session, name):
    kernel = session.Kernel.get_or_create(IMAGE, name=name, type_="batch", startup_command="echo done; exit 0")
    assert kernel.created
    until(lambda: not session.Manager.status()["active_sessions"], "it has ended")
    assert "done" in kernel.get_logs()["result"]["logs"]


def test_a_bootstrap_script_runs_first(session, name):
    script = base64.b64encode(b"echo prepared > prepared.txt").decode()
    kernel = session.Kernel.get_or_create(IMAGE, name=name, bootstrap_script=script)
    assert run(kernel, "open('prepared.txt').read()")[0] == "'prepared\\n'"
    kernel.destroy()


def test_environment_variables(kernel, any_session, name):
    other = any_session.Kernel.get_or_create(IMAGE, name=name + "-env", envs={"COLOUR": "red"})
    assert run(other, "import os; os.environ['COLOUR']")[0] == "'red'"
    other.destroy()


def test_a_run_that_takes_too_long_is_ended():
    with Sandbox(exec_timeout=0.5) as sandbox, Session(config=sandbox.config()) as session:
        kernel = session.Kernel.get_or_create(IMAGE, name="slow-" + secrets.token_hex(4))
        assert kernel.execute(code="while True: pass")["status"] == "exec-timeout"
        assert run(kernel, "1 + 1")[0] == "2"


def test_not_implemented_says_so(session, name):
    kernel = session.Kernel.get_or_create(IMAGE, name=name)
    with pytest.raises(BackendAPIError) as caught:
        kernel.commit()
    assert (caught.value.status, caught.value.data["type"]) == (
        501,
        "https://api.backend.ai/probs/not-implemented",
    )
    kernel.destroy()


def test_rename(session, name):
    kernel = session.Kernel.get_or_create(IMAGE, name=name)
    kernel.rename(name + "-new")
    assert session.Kernel(name + "-new").get_info()["status"] == "RUNNING"
    session.Kernel(name + "-new").destroy()


def test_an_interrupt_reaches_a_run_that_has_not_begun(kernel):
    for _ in range(20):
        run_ = kernel.execute.submit(code="import time; time.sleep(50)")
        kernel.interrupt()
        result = run_.result()
        while result["status"] == "continued":  # the interrupt overtook it
            kernel.interrupt()
            result = kernel.execute(result["runId"], "", mode="continue")
        assert "KeyboardInterrupt" in "".join(text for _, text in result["console"])
    assert run(kernel, "'alive'")[0] == "'alive'"


def test_an_interrupted_batch_leaves_no_program_behind(kernel):
    seconds = str(1000 + secrets.randbelow(10**6))  # in its arguments we know it among all others
    result = kernel.execute(code="", mode="batch", opts={"exec": f"sleep {seconds}"})
    while result["status"] != "continued":
        result = kernel.execute(result["runId"], "", mode="continue")
    kernel.interrupt()
    assert finish(kernel, result)[2]["exitCode"] != 0
    listing = kernel.execute(code="", mode="batch", opts={"exec": f"ps -A -o args | grep '[s]leep {seconds}'"})
    assert seconds not in finish(kernel, listing)[0]


def test_sessions_that_are_destroyed_while_they_start(sandbox, session, name):
    for number in range(5):
        one = f"{name}-{number}"
        session.Kernel.get_or_create(IMAGE, name=one, enqueue_only=True)
        session.Kernel(one).destroy(forced=True)
    assert session.Manager.status()["active_sessions"] == 0
    kernel = session.Kernel.get_or_create(IMAGE, name=name)
    assert run(kernel, "'fine'")[0] == "'fine'"
    kernel.destroy()


def test_a_session_waits_for_its_start_time(session, name):
    arguments = {"type_": "batch", "startup_command": "echo late", "max_wait": 1}
    kernel = session.Kernel.get_or_create(IMAGE, name=name, starts_at="1h", **arguments)
    assert kernel.status == "TIMEOUT"
    assert session.Kernel(name).destroy() == {"stats": {"status": "cancelled"}}


def test_acting_for_others(session, user, sandbox, name):
    access_key, _ = sandbox.keys("user")
    session.Kernel.get_or_create(IMAGE, name=name, owner_access_key=access_key)
    assert user.Kernel(name).get_info()["status"] == "RUNNING"
    with pytest.raises(BackendAPIError) as caught:
        user.Kernel.get_or_create(IMAGE, name=name + "-x", owner_access_key=session.config.access_key)
    assert caught.value.status == 403
    session.Kernel(name, owner_access_key=access_key).destroy(forced=True)
