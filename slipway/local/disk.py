"""SLIPWAY_HOME on its disk: made where it is missing, and told in one message when it can't be used or is full."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from slipway.local.errors import HomeUnusable, LocalError, NoSpace

# An empty PostgreSQL with its logs takes 60 MB, MLflow's tables and a first run as much again (measured).
NEEDED_BYTES = 250 * 2**20
# Below this a server that failed, failed for lack of space, whatever its log says: PostgreSQL's log files are 16 MB.
_FULL_BYTES = 32 * 2**20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def clear_about_space(home: Path) -> Iterator[None]:
    """Turn what fails for want of space below ``home`` into one message that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_space(home) from None
        raise
    except LocalError:
        if free_bytes(home) < _FULL_BYTES:
            raise no_space(home) from None
        raise


def make_home(home: Path) -> None:
    """Make the folder unless it is there; others may pass through it, as PostgreSQL's account has to, not look."""
    try:
        home.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise _unusable(home, str(error.strerror)) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise _unusable(home, "you may not write to it")


def free_bytes(path: Path) -> int:
    """Return the free space where ``path`` is, or will be."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(there).free


def no_space(home: Path) -> NoSpace:
    """Return the message."""
    msg = (
        f"{home} has {free_bytes(home) // 2**20} MB of free space and the local stack needs {NEEDED_BYTES // 2**20} MB;"
        " free some, or set SLIPWAY_HOME to a folder on another disk"
    )
    return NoSpace(msg)


def _unusable(home: Path, reason: str) -> HomeUnusable:
    msg = f"{home} can't hold the local stack's files: {reason}; set SLIPWAY_HOME to a folder that you may write to"
    return HomeUnusable(msg)
