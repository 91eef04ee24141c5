"""One at a time, across processes: an advisory lock on a file, gone with the process that held it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slipway.local.errors import StackBusy

_LOOK_EVERY_S = 0.05


@contextmanager
def locked(path: Path, *, timeout_s: float, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock ``path``; while somebody else does, say so once and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(descriptor, path, timeout_s=timeout_s, on_wait=on_wait)
        with suppress(OSError):  # only a note for those who wait; a full disk must not keep `down` from its work
            os.pwrite(descriptor, f"{os.getpid():<10}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, *, timeout_s: float, on_wait: Callable[[str], None] | None) -> None:
    deadline = time.monotonic() + timeout_s
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() > deadline:
                msg = (
                    f"{path} has been held by process {holder} for more than {timeout_s:.0f} s; "
                    "let that command finish or end it, then run this one again"
                )
                raise StackBusy(msg) from None
            if on_wait and not told:
                on_wait(f"process {holder} is changing the stack; waiting for it")
                told = True
            time.sleep(_LOOK_EVERY_S)
        else:
            return
