"""Memory of a run: the proportional set size of this process, its children and the stack, sampled in a thread."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Self

import psutil

INTERVAL_S = 1.0


class Meter:
    """Samples until closed; ``peak_mb`` is the highest sum seen since the last :meth:`mark`."""

    def __init__(self, stack_pids: Callable[[], Iterable[int]]) -> None:
        self._stack_pids = stack_pids
        self._stop = threading.Event()
        self._since_mark = 0.0
        self.peak_mb = 0.0
        self._thread = threading.Thread(target=self._sample, name="memory-meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def mark(self) -> float:
        """Return the peak since the last call, in MB, and start anew; the moment of the call counts too."""
        self._take()
        seen, self._since_mark = self._since_mark, 0.0
        return seen

    def _sample(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._take()

    def _take(self) -> None:
        now_mb = self._now_mb()
        self.peak_mb = max(self.peak_mb, now_mb)
        self._since_mark = max(self._since_mark, now_mb)

    def _now_mb(self) -> float:
        pids = {psutil.Process().pid, *self._stack_pids()}
        for pid in tuple(pids):
            with contextlib.suppress(psutil.Error):
                pids.update(child.pid for child in psutil.Process(pid).children(recursive=True))
        total = 0
        for pid in pids:
            with contextlib.suppress(psutil.Error):  # it ended meanwhile, or is another user's
                total += psutil.Process(pid).memory_full_info().pss
        return total / 1e6
