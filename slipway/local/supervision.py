"""What supervisord itself lacks, as an extension that it loads: counts of deaths, no leftovers, an end with its home.

Runs inside supervisord, so it imports nothing but supervisor and the standard library.
"""

import os
import shutil
import signal
from collections import Counter
from typing import Any

from supervisor import events
from supervisor.states import SupervisorStates


class Supervision:
    """XML-RPC namespace ``slipway``."""

    def __init__(self, daemon: Any, run_dir: str) -> None:
        self._daemon = daemon
        self._run_dir = run_dir
        self._deaths: Counter[str] = Counter()
        events.subscribe(events.ProcessStateExitedEvent, self._died)
        events.subscribe(events.ProcessStateBackoffEvent, self._died)
        events.subscribe(events.ProcessStateStoppedEvent, self._stopped)
        events.subscribe(events.ProcessGroupRemovedEvent, self._removed)
        events.subscribe(events.Tick5Event, self._ticked)

    def deaths(self) -> dict[str, int]:
        """How often each program ended without being told to, since it was added or stopped."""
        return dict(self._deaths)

    def failed_starts(self) -> dict[str, int]:
        """How many of its last starts in a row each program did not survive for a second."""
        groups = self._daemon.process_groups.values()
        return {name: process.backoff for group in groups for name, process in group.processes.items()}

    def _died(self, event: Any) -> None:
        self._deaths[event.process.config.name] += 1
        _kill_group(event.process.pid)

    def _stopped(self, event: Any) -> None:
        self._deaths.pop(event.process.config.name, None)
        _kill_group(event.process.pid)

    def _removed(self, event: Any) -> None:
        self._deaths.pop(event.group, None)

    def _ticked(self, _event: Any) -> None:
        # Somebody deleted the folder that all of this belongs to: nothing is left to serve, and nobody to say `down`.
        if not os.path.isdir(f"{self._run_dir}/home"):  # noqa: PTH112  pathlib would be memory for nothing
            self._daemon.options.mood = SupervisorStates.SHUTDOWN
            shutil.rmtree(self._run_dir, ignore_errors=True)


def _kill_group(pid: int) -> None:
    """Kill what a dead program left behind, or its restart would find its port taken.

    supervisord made each program the leader of a process group of the same number; the kernel doesn't give that number
    to anybody else while a member lives.
    """
    if pid:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # the usual case: none left


def make_supervision(daemon: Any, run_dir: str) -> Supervision:
    """Return the extension; supervisord calls this with the values of its section."""
    return Supervision(daemon, run_dir)
