"""The supervisord of a home: found again by any later command, also after it was killed, with what it had started."""

import contextlib
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from slipway.local.supervisord_conf import conf_path, pid_path, socket_path

_LOOK_EVERY_S = 0.02
_KILL_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A supervisord, started or about to be, by its private folder.

    The folder's name is random and in supervisord's command line, and in the environment of everything it starts
    (``SUPERVISOR_SERVER_URL``). So neither it nor an orphan of it is ever mistaken for a process that got an old pid.
    """

    run_dir: Path

    @classmethod
    def load(cls, record: Path) -> Self | None:
        """Return the daemon that ``record`` names, if there is one."""
        try:
            return cls(run_dir=Path(record.read_text()))
        except FileNotFoundError:
            return None

    def process(self) -> psutil.Process | None:
        """Return the living supervisord."""
        try:
            pid = int(pid_path(self.run_dir).read_text())
        except (OSError, ValueError):  # not written yet, or the temporary folder was swept
            return next((process for process in psutil.process_iter() if self._is(process)), None)
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None
        return process if self._is(process) else None

    def orphans(self) -> list[psutil.Process]:
        """Return the living processes that supervisord started, directly or not; all of them orphans once it died."""
        marker = f"unix://{socket_path(self.run_dir)}"
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SUPERVISOR_SERVER_URL") == marker and _lives(process):
                    found.append(process)
            except (psutil.Error, OSError):  # ended meanwhile, or somebody else's and none of ours
                continue
        return found

    def end(self, *, timeout_s: float) -> list[int]:
        """End supervisord and all that it started, gently at first; return the pids of the orphans there were."""
        if process := self.process():
            _signal(process, signal.SIGTERM)  # it stops its programs, each in its own way
            _end([process], timeout_s=timeout_s)
        orphans = self.orphans()
        for orphan in orphans:
            # PostgreSQL would wait for every client to leave on TERM; INT is its fast shutdown.
            _signal(orphan, signal.SIGINT if _name(orphan) == "postgres" else signal.SIGTERM)
        _end(orphans, timeout_s=timeout_s)
        _end(self.orphans(), timeout_s=0)  # what they started meanwhile
        return [orphan.pid for orphan in orphans]

    def _is(self, process: psutil.Process) -> bool:
        try:
            return str(conf_path(self.run_dir)) in process.cmdline() and _lives(process)
        except psutil.Error:
            return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _end(processes: Sequence[psutil.Process], *, timeout_s: float) -> None:
    """Wait until none lives; those that do after ``timeout_s`` are killed."""
    for patience_s, number in ((timeout_s, signal.SIGKILL), (_KILL_TIMEOUT_S, None)):
        deadline = time.monotonic() + patience_s
        while (living := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        if number is not None:
            for process in living:
                _signal(process, number)
