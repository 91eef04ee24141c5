"""Live traffic: visitors who ask for held-out entities at a steady rate, sent by a child process."""

import contextlib
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from slipway.loadtests.errors import TrafficFailed
from slipway.loadtests.profile import read_ids

# The last answers may take the time limit of a request.
STOP_TIMEOUT_S = 20.0
START_TIMEOUT_S = 15.0
POLL_S = 0.05
LAST_CHARACTERS = 2_000


class TrafficProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start, as of ``at_s`` seconds after it."""

    at_s: float = 0.0
    requests: int = 0
    failed: int = 0
    not_sent: int = 0
    late: int = 0
    in_flight: int = 0
    by_status: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFailure:
    """One failed request, as an access log would name it."""

    at: str
    request_id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficResult:
    """Every request that was sent, each counted once: good (200) or failed (anything else).

    ``by_status`` counts HTTP statuses, and for requests without an answer ``timeout``, ``refused`` or the name of the
    error. ``not_sent`` counts requests for which this machine had no socket or port left, ``late`` those that started
    more than a second after they were due; times run from when a request was due. ``failures`` shows the first ones.
    """

    requests: int
    failed: int
    not_sent: int
    late: int
    by_status: dict[str, int]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    failures: tuple[TrafficFailure, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Traffic:
    """Sends ``rps`` requests a second to ``url`` from :meth:`start` to :meth:`stop`; also a context manager.

    Each request asks for one entity of ``ids_file`` on behalf of one of ``units`` visitors, both drawn with ``seed``.
    It ends by itself after ``max_s`` seconds (0: never), and when this process dies. ``out`` receives the counts.
    """

    def __init__(
        self,
        url: str,
        ids_file: Path,
        *,
        out: Path,
        units: int = 50_000,
        rps: float = 100.0,
        seed: int = 7,
        max_s: float = 0.0,
    ) -> None:
        read_ids(ids_file)
        self._out = out
        self._log = out.with_name(f"{out.name}.log")
        self._command = [
            sys.executable,
            "-m",
            "slipway.loadtests.generator",
            f"--url={url}",
            f"--ids={ids_file.absolute()}",
            f"--units={units}",
            f"--rps={rps}",
            f"--seed={seed}",
            f"--max-s={max_s}",
            f"--out={out.absolute()}",
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._begun = threading.Event()
        self._progress = TrafficProgress()

    @property
    def progress(self) -> TrafficProgress:
        """The newest counts; at most a little more than a second old."""
        return self._progress

    @property
    def running(self) -> bool:
        """Whether requests are being sent."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the child process and return once it sends.

        Raises:
            TrafficFailed: it ended at once; says its last words.
        """
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._out.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the command that watches the traffic; it stops the traffic when it is done with it.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True, name="traffic-progress")
        self._reader.start()
        give_up = time.monotonic() + START_TIMEOUT_S
        while not self._begun.wait(POLL_S):
            if not self.running or time.monotonic() > give_up:
                self._kill()
                raise TrafficFailed(self._last_words("did not start"))
        return self

    def stop(self) -> TrafficResult:
        """Send no more, wait for the answers that are under way, and return the counts.

        Raises:
            TrafficFailed: the child process died before, or left no counts: what was sent is not known.
        """
        process = self._process
        if process is None or process.stdin is None:
            msg = "the traffic was not started"
            raise TrafficFailed(msg)
        # A broken pipe: it has ended already, and its exit code and counts tell how.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            raise TrafficFailed(self._last_words(f"did not end within {STOP_TIMEOUT_S:g} s")) from None
        self._close(process)
        try:
            content = self._out.read_bytes()
            result = msgspec.json.decode(content, type=TrafficResult)
        except (OSError, msgspec.DecodeError):
            raise TrafficFailed(self._last_words(f"ended with {code} and left no counts")) from None
        return result

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.stop()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Follow the child's lines until it ends."""
        if process.stdout is not None:
            for line in process.stdout:
                self._progress = msgspec.json.decode(line, type=TrafficProgress)
                self._begun.set()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close(self._process)

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        if self._reader is not None:
            self._reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _last_words(self, what: str) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")[-LAST_CHARACTERS:].strip()
        return f"the traffic generator {what}; its log {self._log} ends with:\n{text or '(nothing)'}"
