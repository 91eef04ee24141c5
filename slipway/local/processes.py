"""Programs kept running by supervisord, which is detached and survives the command that started it."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from supervisor.states import STOPPED_STATES, ProcessStates
from supervisor.xmlrpc import Faults

from slipway.local.daemon import Daemon
from slipway.local.errors import NotReady, NotRunning, PortTaken, ProgramFailed, UnknownProgram
from slipway.local.files import write_private
from slipway.local.lock import locked
from slipway.local.ports import is_free
from slipway.local.program import Program, ProgramState, ProgramStatus
from slipway.local.readiness import listening_ports, ports_of, probe
from slipway.local.supervisord_conf import conf_path, home_path, program_path, render_daemon, render_program, url_of
from slipway.local.supervisord_rpc import answers, connected, tolerating

_STATES = {
    ProcessStates.RUNNING: ProgramState.RUNNING,
    ProcessStates.STARTING: ProgramState.STARTING,
    ProcessStates.BACKOFF: ProgramState.BACKOFF,
    ProcessStates.STOPPING: ProgramState.STOPPED,
    ProcessStates.STOPPED: ProgramState.STOPPED,
    ProcessStates.EXITED: ProgramState.EXITED,
    ProcessStates.FATAL: ProgramState.FATAL,
    ProcessStates.UNKNOWN: ProgramState.FATAL,
}
# What the caller's shell holds for the call alone, and must not reach servers that outlive it: how to connect (a
# program is told that by its own ``env``), and that Python shall write no bytecode, without which MLflow's import
# takes 8 s instead of 3 at each start (measured).
_NOT_INHERITED = ("POSTGRES_", "REDIS_", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE", "PYTEST_")
_LOCK_TIMEOUT_S = 120
_DAEMON_TIMEOUT_S = 15
_LOOK_EVERY_S = 0.05
# A socket's path may have 107 bytes on Linux, 103 on macOS; below this folder it has 19.
_LONGEST_TEMP_DIR = 80
# The third death says that the next start won't differ.
_HOPELESS = 3


class ProcessManager:
    """The programs of one SLIPWAY_HOME. Safe to use from several processes and threads at once."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._record = home / "supervisord"
        self._logs = home / "logs"

    def ensure_running(self) -> list[int]:
        """Start supervisord unless it runs; return the pids of orphans, left by a killed one, that were ended first."""
        with self._locked():
            daemon = Daemon.load(self._record)
            if daemon is not None and answers(daemon):
                return []
            ended = [] if daemon is None else self._end(daemon, timeout_s=20)
            self._spawn_daemon()
            return ended

    def is_running(self) -> bool:
        """Say whether supervisord answers."""
        daemon = Daemon.load(self._record)
        return daemon is not None and answers(daemon)

    def add(self, program: Program, *, stop_rank: int = 100) -> None:
        """Keep a program running; one that is there already and unchanged is only started if it had stopped.

        Of all programs, those of the highest ``stop_rank`` are stopped first by ``shutdown``. Needs a running
        supervisord: starting one would end the orphans of a killed one, which still serve.
        """
        with self._locked(), self._rpc(program.name) as rpc:
            run_dir = self._daemon().run_dir
            text = render_program(program, run_dir=run_dir, stop_rank=stop_rank)
            write_private(program_path(run_dir, program.name), text)
            [[added, changed, _removed]] = rpc.supervisor.reloadConfig()
            if program.name in changed:
                _drop(rpc, program.name)
            if program.name in {*added, *changed}:
                rpc.supervisor.addProcessGroup(program.name)
            else:
                _start(rpc, program.name)

    def start(self, name: str) -> None:
        """Start a program that was stopped or given up; a running one is left alone."""
        with self._rpc(name) as rpc:
            _start(rpc, name)

    def stop(self, name: str) -> None:
        """Stop a program and wait until it has ended; it stays known. A stopped one is left alone."""
        with self._rpc(name) as rpc, tolerating(Faults.NOT_RUNNING):
            rpc.supervisor.stopProcess(name)

    def remove(self, name: str) -> None:
        """Stop a program and forget it; an unknown one is no error. Its log stays."""
        with self._locked():
            if not self.is_running():
                return
            with self._rpc(name) as rpc:
                program_path(self._daemon().run_dir, name).unlink(missing_ok=True)
                _drop(rpc, name)
                rpc.supervisor.reloadConfig()

    def status(self) -> list[ProgramStatus]:
        """Return every program that supervisord keeps; where it was killed, what it left running; or nothing."""
        daemon = Daemon.load(self._record)
        if daemon is None:
            return []
        try:
            with self._rpc() as rpc:
                infos: list[dict[str, Any]] = rpc.supervisor.getAllProcessInfo()
                deaths: dict[str, int] = rpc.slipway.deaths()
                failed: dict[str, int] = rpc.slipway.failed_starts()
        except NotRunning:
            return _left_running(daemon)
        rows = [_status(info, daemon.run_dir) for info in infos]
        return [replace(row, restarts=deaths.get(row.name, 0), failed_starts=failed.get(row.name, 0)) for row in rows]

    def status_of(self, name: str) -> ProgramStatus:
        """Return one program's status; ``ABSENT`` where it isn't known."""
        found = (status for status in self.status() if status.name == name)
        return next(found, ProgramStatus(name=name, state=ProgramState.ABSENT))

    def ports(self) -> frozenset[int]:
        """Return the ports that the programs listen on."""
        return frozenset().union(*(listening_ports(status.pid) or () for status in self.status() if status.pid))

    def restarts(self, name: str) -> int:
        """Return how often a program died since it was added, or last stopped."""
        return self.status_of(name).restarts

    def wait_ready(self, program: Program, timeout_s: float | None = None) -> None:
        """Wait until a program is ready; one that was given up or is late raises, with the last lines of its log."""
        limit_s = program.start_timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        first = status = self.status_of(program.name)
        while (reason := _why_not_ready(program, status)) is not None:
            if status.restarts or status.failed_starts:
                self._fail_if_port_taken(program)
            # Counted from here on: a program that is added again, on another port, begins with a clean slate.
            failures = max(status.failed_starts - first.failed_starts, status.restarts - first.restarts)
            hopeless = failures >= _HOPELESS
            if hopeless or status.state in {ProgramState.FATAL, ProgramState.STOPPED, ProgramState.ABSENT}:
                self._fail(program, f"can't start ({status.state}, {reason})")
            if time.monotonic() > deadline:
                self._fail(program, f"was not ready within {limit_s:g} s ({status.state}, {reason})")
            time.sleep(_LOOK_EVERY_S)
            status = self.status_of(program.name)

    def log_path(self, name: str) -> Path:
        """Return where a program's output goes."""
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a program's log."""
        path = self.log_path(name)
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in self._logs.glob("*.log"))) or "none"
            msg = f"no log of {name!r} in {self._logs} (there: {known}); choose one of these"
            raise UnknownProgram(msg)
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def shutdown(self, timeout_s: float = 60) -> None:
        """Stop every program and supervisord itself; no process, socket or temporary folder is left afterwards."""
        with self._locked():
            daemon = Daemon.load(self._record)
            if daemon is None:
                return
            # Not running means killed: then only its orphans are to be ended.
            with contextlib.suppress(NotRunning), self._rpc() as rpc:
                _stop_by_rank(rpc, timeout_s=timeout_s)
                rpc.supervisor.shutdown()  # it would see a signal only up to a second later
            self._end(daemon, timeout_s=timeout_s)

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return locked(self._home / "supervisord.lock", timeout_s=_LOCK_TIMEOUT_S)

    def _daemon(self) -> Daemon:
        daemon = Daemon.load(self._record)
        if daemon is None:
            msg = f"the local stack of {self._home} is not running; run 'slipway up'"
            raise NotRunning(msg)
        return daemon

    def _rpc(self, name: str = "") -> contextlib.AbstractContextManager[Any]:
        return connected(self._daemon(), name)

    def _end(self, daemon: Daemon, *, timeout_s: float) -> list[int]:
        ended = daemon.end(timeout_s=timeout_s)
        shutil.rmtree(daemon.run_dir, ignore_errors=True)
        self._record.unlink(missing_ok=True)
        return ended

    def _spawn_daemon(self) -> None:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent = tempfile.gettempdir()
        if len(parent) > _LONGEST_TEMP_DIR:
            parent = "/tmp"  # noqa: S108  mkdtemp makes a private folder in it
        daemon = Daemon(run_dir=Path(tempfile.mkdtemp(prefix="slipway-", dir=parent)))
        # Before the start, so that a command killed right after it leaves nothing unknown.
        write_private(self._record, str(daemon.run_dir))
        (daemon.run_dir / "programs").mkdir()
        home_path(daemon.run_dir).symlink_to(self._home.absolute())
        conf = conf_path(daemon.run_dir)
        write_private(conf, render_daemon(daemon.run_dir, as_root=os.geteuid() == 0))
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
            cwd=daemon.run_dir,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith(_NOT_INHERITED)},
                "SLIPWAY_HOME": str(self._home.absolute()),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,  # Ctrl-C in the caller's terminal is not for it
            check=False,
        )
        deadline = time.monotonic() + _DAEMON_TIMEOUT_S
        while done.returncode == 0 and not answers(daemon) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S / 5)
        if not answers(daemon):
            self._end(daemon, timeout_s=1)
            words = (done.stderr or done.stdout).strip() or f"see {self.log_path('supervisord')}"
            msg = f"supervisord, which keeps the local stack, can't start: {words}"
            raise ProgramFailed(msg)

    def _fail(self, program: Program, what: str) -> None:
        path = self.log_path(program.name)
        text = self.tail(program.name) if path.is_file() else ""
        log = f"the last lines of {path}:\n{text}" if text else f"its log {path} is empty"
        msg = f"{program.name} {what}; {log}"
        raise ProgramFailed(msg)

    def _fail_if_port_taken(self, program: Program) -> None:
        # A program may listen on two: Envoy is ready on its administration's port and serves on another.
        served = urlsplit(program.url).port
        for port in (*ports_of(program.ready), *((served,) if served else ())):
            if not is_free(port) and port not in self.ports():
                raise PortTaken(program.name, port)


def _why_not_ready(program: Program, status: ProgramStatus) -> str | None:
    if status.pid is None:
        return "no process"
    if program.ready is None:
        return None if status.state is ProgramState.RUNNING else "just started"
    try:
        probe(program.ready, pid=status.pid)
    except NotReady as error:
        return str(error)
    return None


def _start(rpc: Any, name: str) -> None:
    if rpc.supervisor.getProcessInfo(name)["state"] == ProcessStates.BACKOFF:
        rpc.supervisor.stopProcess(name)  # or it would sit out its delay first
    # What can't start is told by wait_ready, with its log.
    with tolerating(Faults.ALREADY_STARTED, Faults.SPAWN_ERROR, Faults.NO_FILE, Faults.NOT_EXECUTABLE):
        rpc.supervisor.startProcess(name, False)  # noqa: FBT003  XML-RPC has no keywords


def _drop(rpc: Any, name: str) -> None:
    with tolerating(Faults.BAD_NAME):
        rpc.supervisor.stopProcessGroup(name)
        rpc.supervisor.removeProcessGroup(name)


def _stop_by_rank(rpc: Any, *, timeout_s: float) -> None:
    """Stop programs of one rank together, the next rank when they have ended; supervisord itself goes one by one."""
    ranks = [(info["group_prio"], info["name"]) for info in rpc.supervisor.getAllConfigInfo() if info["inuse"]]
    deadline = time.monotonic() + timeout_s
    for _rank, members in groupby(sorted(ranks, reverse=True), key=lambda item: item[0]):
        names = {name for _rank, name in members}
        for name in names:
            with tolerating(Faults.NOT_RUNNING, Faults.BAD_NAME):
                rpc.supervisor.stopProcess(name, False)  # noqa: FBT003  XML-RPC has no keywords
        while time.monotonic() < deadline:
            infos = rpc.supervisor.getAllProcessInfo()
            if all(info["state"] in STOPPED_STATES for info in infos if info["name"] in names):
                break
            time.sleep(_LOOK_EVERY_S / 2)


def _status(info: dict[str, Any], run_dir: Path) -> ProgramStatus:
    pid = int(info["pid"]) or None
    conf = program_path(run_dir, info["name"])
    return ProgramStatus(
        name=info["name"],
        state=_STATES[info["state"]],
        pid=pid,
        url=url_of(conf.read_text()) if conf.is_file() else "",
        started_at=datetime.fromtimestamp(info["start"], tz=UTC) if pid else None,
    )


def _left_running(daemon: Daemon) -> list[ProgramStatus]:
    """Return what a killed supervisord left running: nobody restarts it, but it still serves."""
    found: dict[str, psutil.Process] = {}
    for process in sorted(daemon.orphans(), key=lambda orphan: orphan.pid):
        with contextlib.suppress(psutil.Error):
            found.setdefault(process.environ()["SUPERVISOR_PROCESS_NAME"], process)
    return [ProgramStatus(name=name, state=ProgramState.RUNNING, pid=process.pid) for name, process in found.items()]
