"""supervisord, for real, over programs of a few lines."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from slipway.local import Program, ProgramState, Ready
from slipway.local.errors import NotRunning, PortTaken, ProgramFailed, UnknownProgram
from slipway.local.processes import ProcessManager

SERVE = (
    "import socket,sys,time; s=socket.create_server(('127.0.0.1',int(sys.argv[1])));"
    "print('up',flush=True); time.sleep(600)"
)
SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    # As awkward as a path may be: longer than a socket's may, with a space, a bracket and a percent sign.
    made = tmp_path / ("a long folder " + "x" * 100) / "100% [home]"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def manager(home: Path) -> Iterator[ProcessManager]:
    made = ProcessManager(home)
    made.ensure_running()
    yield made
    made.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(name: str, code: str, *args: str, **more: object) -> Program:
    return Program(name=name, command=(sys.executable, "-c", code, *args), **more)


def server(name: str, port: int) -> Program:
    return python(name, SERVE, str(port), ready=Ready(tcp=port), url=f"tcp://127.0.0.1:{port}")


def until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def lives(pid: int | None) -> bool:
    assert pid is not None
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def daemon_pid(manager: ProcessManager) -> int:
    process = manager._daemon().process()
    assert process is not None
    return process.pid


def test_add_shows_the_program_when_it_is_ready(manager: ProcessManager) -> None:
    program = server("web", free_port())
    manager.add(program)
    manager.wait_ready(program)
    status = manager.status_of("web")
    assert status.url == program.url
    assert status.pid is not None
    assert psutil.Process(status.pid).cmdline()[1:3] == ["-c", SERVE]
    assert status.started_at is not None
    assert manager.ports() == {program.ready.tcp}
    assert manager.tail("web") == "up"


def test_add_changes_nothing_when_the_program_is_unchanged(manager: ProcessManager) -> None:
    program = server("web", free_port())
    manager.add(program)
    manager.wait_ready(program)
    pid = manager.status_of("web").pid
    manager.add(program)
    assert manager.status_of("web").pid == pid


def test_add_replaces_the_program_when_it_changed(manager: ProcessManager) -> None:
    manager.add(python("web", SLEEP, env={"COLOUR": "red"}))
    manager.add(python("web", SLEEP, env={"COLOUR": "blue, or 100% 'green' = $HOME \\"}))
    pid = manager.status_of("web").pid
    assert pid is not None
    until(lambda: psutil.Process(pid).environ().get("COLOUR") == "blue, or 100% 'green' = $HOME \\")


def test_add_refuses_when_supervisord_is_not_running(home: Path) -> None:
    with pytest.raises(NotRunning, match="run 'slipway up'"):
        ProcessManager(home).add(python("web", SLEEP))


def test_ensure_running_starts_one_supervisord_when_called_by_many(home: Path) -> None:
    code = (
        "from pathlib import Path; from slipway.local.processes import ProcessManager;"
        f"ProcessManager(Path({str(home)!r})).ensure_running()"
    )
    callers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [caller.wait(timeout=60) for caller in callers] == [0, 0, 0, 0]
    found = [p.pid for p in psutil.process_iter() if str(home) == _cwd(p) and "supervisor.supervisord" in p.cmdline()]
    ProcessManager(home).shutdown()
    assert len(found) == 1


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def test_a_program_is_started_again_and_counted_when_it_dies(manager: ProcessManager) -> None:
    program = server("web", free_port())
    manager.add(program)
    manager.wait_ready(program)
    until(lambda: manager.status_of("web").state is ProgramState.RUNNING)
    for died in (1, 2):
        pid = manager.status_of("web").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda died=died: manager.restarts("web") == died)
        manager.wait_ready(program)
        until(lambda: manager.status_of("web").state is ProgramState.RUNNING)


def test_restarts_begin_at_zero_again_when_the_program_was_stopped(manager: ProcessManager) -> None:
    manager.add(python("web", "raise SystemExit(3)"))
    until(lambda: manager.restarts("web") == 2)
    assert manager.status_of("web").state is ProgramState.BACKOFF
    manager.remove("web")
    manager.add(python("web", SLEEP))
    assert manager.restarts("web") == 0


def test_the_children_of_a_program_are_gone_when_it_dies(manager: ProcessManager, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess,sys,time,pathlib;"
        f"child=subprocess.Popen([sys.executable,'-c','{SLEEP}']);"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(600)"
    )
    manager.add(python("parent", code, str(note)))
    until(lambda: note.is_file() and note.read_text() != "")
    child = int(note.read_text())
    pid = manager.status_of("parent").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lives(child))


def test_wait_ready_shows_the_log_when_the_program_can_not_start(manager: ProcessManager) -> None:
    program = python("web", "print('no such file: model.onnx'); raise SystemExit(1)", ready=Ready(tcp=free_port()))
    manager.add(program)
    with pytest.raises(
        ProgramFailed, match=r"web can't start \((backoff|starting).*\n.*no such file: model.onnx"
    ) as caught:
        manager.wait_ready(program)
    assert str(manager.log_path("web")) in str(caught.value)


def test_wait_ready_shows_the_log_when_the_command_does_not_exist(manager: ProcessManager) -> None:
    program = Program(name="web", command=("/nowhere/server",), ready=Ready(tcp=free_port()))
    manager.add(program)
    with pytest.raises(ProgramFailed, match="web can't start"):
        manager.wait_ready(program, timeout_s=10)


def test_wait_ready_says_what_is_not_ready_when_it_takes_too_long(manager: ProcessManager) -> None:
    port = free_port()
    program = python("web", SLEEP, ready=Ready(http=f"http://127.0.0.1:{port}/readyz"))
    manager.add(program)
    with pytest.raises(ProgramFailed, match=r"not ready within 0.3 s .*does not listen on port.*its log .* is empty"):
        manager.wait_ready(program, timeout_s=0.3)


def test_wait_ready_gives_up_when_the_program_keeps_dying_late(manager: ProcessManager) -> None:
    program = python("web", "import time; time.sleep(1.2); raise SystemExit(1)", ready=Ready(tcp=free_port()))
    manager.add(program)
    started = time.monotonic()
    with pytest.raises(ProgramFailed, match="web can't start"):
        manager.wait_ready(program, timeout_s=60)
    assert time.monotonic() - started < 20


def test_a_program_begins_anew_when_its_configuration_names_another_port(
    manager: ProcessManager, tmp_path: Path
) -> None:
    configured = tmp_path / "port"
    code = "import pathlib,sys; sys.argv[1]=pathlib.Path(sys.argv[1]).read_text();" + SERVE

    def web(ready: int, served: int) -> Program:
        configured.write_text(str(served))
        return python("web", code, str(configured), ready=Ready(tcp=ready), url=f"http://127.0.0.1:{served}")

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        # Its readiness is asked elsewhere: only the URL names the port that a stranger has.
        hindered = web(free_port(), stranger.getsockname()[1])
        manager.add(hindered)
        until(lambda: manager.status_of("web").failed_starts >= 3, timeout_s=30)
        with pytest.raises(PortTaken):
            manager.wait_ready(hindered)
        port = free_port()
        moved = web(port, port)
        manager.add(moved)  # the same command: what it reads has changed
        manager.wait_ready(moved)
    assert manager.ports() == {port}


def test_wait_ready_is_not_deceived_when_a_stranger_has_the_port(manager: ProcessManager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        program = server("web", port)
        manager.add(program)
        with pytest.raises(PortTaken, match=f"port {port} was taken"):
            manager.wait_ready(program)


def test_stop_and_start_leave_the_program_known(manager: ProcessManager) -> None:
    program = server("web", free_port())
    manager.add(program)
    manager.wait_ready(program)
    manager.stop("web")
    manager.stop("web")
    assert manager.status_of("web").state is ProgramState.STOPPED
    manager.start("web")
    manager.start("web")
    manager.wait_ready(program)


def test_remove_forgets_the_program(manager: ProcessManager) -> None:
    program = server("web", free_port())
    manager.add(program)
    manager.wait_ready(program)
    manager.remove("web")
    manager.remove("web")
    assert manager.status() == []
    with pytest.raises(UnknownProgram, match="no program 'web'"):
        manager.start("web")


def test_tail_names_the_logs_there_are_when_asked_for_another(manager: ProcessManager) -> None:
    with pytest.raises(UnknownProgram, match=r"no log of 'webb' .*there: supervisord"):
        manager.tail("webb")


def test_secrets_are_readable_by_their_owner_alone(manager: ProcessManager) -> None:
    manager.add(python("web", SLEEP, env={"PASSWORD": "swordfish"}))
    run_dir = manager._daemon().run_dir
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    holders = [file for file in run_dir.rglob("*") if file.is_file() and "swordfish" in file.read_text()]
    assert [stat.S_IMODE(file.stat().st_mode) for file in holders] == [0o600]
    assert not any("swordfish" in part for process in psutil.process_iter() for part in command_line(process))
    assert "swordfish" not in manager.tail("supervisord", lines=1000)


def test_programs_outlive_the_command_that_started_them(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from slipway.local import Program;"
        "from slipway.local.processes import ProcessManager;"
        f"m=ProcessManager(Path({str(home)!r})); m.ensure_running();"
        f"m.add(Program(name='web',command=(sys.executable,'-c','{SLEEP}')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    manager = ProcessManager(home)
    pid = manager.status_of("web").pid
    manager.shutdown()
    assert not lives(pid)


def test_shutdown_leaves_nothing_behind(home: Path) -> None:
    manager = ProcessManager(home)
    manager.ensure_running()
    manager.add(server("web", free_port()))
    run_dir, pid = manager._daemon().run_dir, daemon_pid(manager)
    manager.shutdown()
    manager.shutdown()
    assert not lives(pid)
    assert not run_dir.exists()
    assert {path.name for path in home.iterdir()} == {"logs", "supervisord.lock"}
    assert manager.status() == []


def test_shutdown_stops_the_highest_rank_first(manager: ProcessManager, tmp_path: Path) -> None:
    code = (
        "import signal,sys,time;"
        "end=lambda *_: (time.sleep(0.2),open(sys.argv[1],'a').write(sys.argv[2]+' '),sys.exit());"
        "signal.signal(signal.SIGTERM,end); print('up',flush=True); time.sleep(600)"
    )
    order = tmp_path / "order"
    for name, rank in (("database", 10), ("controller", 200), ("slot", 100)):
        manager.add(python(name, code, str(order), name), stop_rank=rank)
        until(lambda name=name: manager.log_path(name).is_file() and manager.tail(name) == "up")
    manager.shutdown()
    assert order.read_text().split() == ["controller", "slot", "database"]


def test_a_program_that_ignores_the_stop_signal_is_killed(manager: ProcessManager) -> None:
    code = "import signal,time; signal.signal(signal.SIGTERM,signal.SIG_IGN); print('up',flush=True); time.sleep(600)"
    manager.add(python("deaf", code, stop_wait_s=1))
    until(lambda: manager.log_path("deaf").is_file() and manager.tail("deaf") == "up")
    started = time.monotonic()
    manager.stop("deaf")
    assert 0.5 < time.monotonic() - started < 5


def test_orphans_are_shown_and_ended_when_supervisord_was_killed(manager: ProcessManager) -> None:
    program = server("web", free_port())
    manager.add(program)
    manager.wait_ready(program)
    orphan = manager.status_of("web").pid
    os.kill(daemon_pid(manager), signal.SIGKILL)
    until(lambda: not manager.is_running())
    assert [(status.name, status.pid) for status in manager.status()] == [("web", orphan)]
    with pytest.raises(NotRunning, match="run 'slipway up'"):
        manager.add(program)
    assert manager.ensure_running() == [orphan]
    manager.add(program)
    manager.wait_ready(program)
    assert manager.status_of("web").pid != orphan


def test_shutdown_ends_the_orphans_when_supervisord_was_killed(manager: ProcessManager) -> None:
    manager.add(python("web", SLEEP))
    orphan = manager.status_of("web").pid
    os.kill(daemon_pid(manager), signal.SIGKILL)
    manager.shutdown()
    assert not lives(orphan)


def test_supervisord_is_found_when_the_temporary_folder_was_swept(manager: ProcessManager) -> None:
    manager.add(python("web", SLEEP))
    pid, old = manager.status_of("web").pid, daemon_pid(manager)
    run_dir = manager._daemon().run_dir
    for name in ("s", "pid"):
        (run_dir / name).unlink()
    manager.ensure_running()
    assert not lives(old)
    assert not lives(pid)
    assert manager.status() == []


def test_supervisord_ends_when_its_home_is_deleted(home: Path) -> None:
    manager = ProcessManager(home)
    manager.ensure_running()
    manager.add(python("web", SLEEP))
    web, pid, run_dir = manager.status_of("web").pid, daemon_pid(manager), manager._daemon().run_dir
    home.rename(home.with_name("gone"))
    until(lambda: not lives(pid) and not lives(web), timeout_s=15)
    assert not run_dir.exists()
