"""What the process manager keeps: programs, how to see that they are ready, and what became of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """How to see that a program is ready; what is not given is not asked.

    ``tcp``: a loopback port that must accept connections. ``http``: a URL that must answer 200. Whichever port they
    name must be held by the program's own processes, so that a stranger on the same port is not taken for it.
    ``check``: called until it neither raises ``OSError`` or ``NotReady`` nor returns ``False``.
    """

    tcp: int | None = None
    http: str | None = None
    check: Callable[[], bool | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command to keep running: started again when it dies, stopped by ``stop_signal``, killed after ``stop_wait_s``.

    ``env`` is added to the environment that the stack was started in. ``depends_on`` names programs that must be
    ready before this one starts, and that are stopped after it.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ready: Ready | None = None
    user: str | None = None
    stop_signal: str = "TERM"
    stop_wait_s: float = 10
    start_timeout_s: float = 60
    depends_on: tuple[str, ...] = ()
    url: str = ""


class ProgramState(StrEnum):
    RUNNING = "running"
    STARTING = "starting"
    BACKOFF = "backoff"  # died right after its start; will be tried again
    STOPPED = "stopped"
    EXITED = "exited"
    FATAL = "fatal"  # died right after each of its starts; given up
    EXTERNAL = "external"  # named by the user's settings; not ours to start
    ABSENT = "absent"  # not part of the running stack


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatus:
    """One line of ``slipway status``.

    ``restarts`` counts how often the program died since it was started, ``failed_starts`` how many of its last starts
    in a row it did not survive for a second.
    """

    name: str
    state: ProgramState
    pid: int | None = None
    url: str = ""
    started_at: datetime | None = None
    restarts: int = 0
    failed_starts: int = 0
